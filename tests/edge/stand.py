"""What a way in is tried with: a site that tells what reached it, a gateway, a real proxy, and visitors."""

import contextlib, http.client, http.cookies, http.server, json, os, pathlib, posixpath, re, socket, subprocess
import threading, time, urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("VESTIBULE_BIN", ROOT / "target/debug/vestibule")).resolve()
TOKEN = "a token for the tests alone"
START_LIMIT_S = 30
ANSWER_LIMIT_S = 10


def free_ports(count):
    with contextlib.ExitStack() as kept:
        probes = [kept.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def until(what, holds, process=None):
    """Asks until it holds; a refused or broken connection is a no."""
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end:
        if process and process.poll() is not None:
            raise AssertionError(f"{what}: the program ended with {process.returncode}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            if holds():
                return
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {START_LIMIT_S} s")


class Site(http.server.ThreadingHTTPServer):
    """Answers every request with what it brought along, and keeps count."""

    daemon_threads = True

    def __init__(self):
        self.reached = 0
        super().__init__(("127.0.0.1", 0), Echo)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.server.reached += self.path.startswith("/book/")
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        told = json.dumps({"site": True, "method": self.command, "path": self.path, "headers": headers, "body": sent})
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told.encode())

    do_GET = do_HEAD = do_POST = do_OPTIONS = answer

    def log_message(self, *_):
        pass


class Answer:
    """An answer of whoever gave it, the site, the gateway or the proxy."""

    def __init__(self, response):
        self.status, self.text = response.status, response.read().decode()
        self.cookies = response.headers.get_all("Set-Cookie") or []

    def is_of_site(self):
        return self.text.startswith('{"site"')

    def path(self):
        """What a site makes of the path that reached it: escapes decoded, dot segments and doubled slashes resolved."""
        plain = urllib.parse.unquote(json.loads(self.text)["path"].split("?")[0])
        return re.sub("^/+", "/", posixpath.normpath(plain))

    def sent(self, name):
        """All that reached the site under this name of a header."""
        return [value for header, value in json.loads(self.text)["headers"] if header == name]

    def __repr__(self):
        return f"{self.status} {self.text[:400]!r} {self.cookies}"


class Visitor:
    """A browser, or with `accept` a program: it keeps its cookies and comes to one address."""

    def __init__(self, port, accept="text/html"):
        self.port, self.accept, self.cookies = port, accept, {}

    def ask(self, path, method="GET", body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            headers["Cookie"] = self.cookie()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_LIMIT_S)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Accept": self.accept, **headers})
            answer = Answer(connection.getresponse())
        for cookie in answer.cookies:
            self.cookies |= {name: morsel.value for name, morsel in http.cookies.SimpleCookie(cookie).items()}
        return answer

    def cookie(self):
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def status(self):
        return json.loads(self.ask("/.vestibule/status").text)

    def twin(self, **cookies):
        """The same browser with other cookies."""
        twin = Visitor(self.port, self.accept)
        twin.cookies = {**self.cookies, **{name.replace("_", "-"): value for name, value in cookies.items()}}
        return twin


class Stand:
    """A folder of an example, run with other ports; everything in it ends with it."""

    def __init__(self, folder, kept):
        self.folder, self.kept = pathlib.Path(folder), kept
        self.proxy, self.gateway, self.console = free_ports(3)
        self.site = Site()
        kept.callback(self.site.shutdown)

    def copy(self, example):
        """Copies a file of `deploy/`; only its addresses are others."""
        text = (ROOT / "deploy" / example).read_text(encoding="utf-8")
        ports = {"8000": self.proxy, "8080": self.gateway, "8081": self.console, "9000": self.site.server_port}
        text = re.sub(r"(?<!\d)(8000|8080|8081|9000)(?!\d)", lambda found: str(ports[found[0]]), text)
        target = self.folder / pathlib.Path(example).name
        target.write_text(text.replace("/tmp/nginx.pid", str(self.folder / "nginx.pid")), encoding="utf-8")
        return target

    def start(self, *command, **environment):
        log = self.kept.enter_context(open(self.folder / f"{pathlib.Path(command[0]).name}.log", "w"))
        process = subprocess.Popen(command, cwd=self.folder, env={**os.environ, **environment}, stdout=log, stderr=log)
        self.kept.callback(stop, process)
        return process

    def start_gateway(self, config):
        self.vestibule = self.start(
            str(PROGRAM), "serve", "--config", str(config), VESTIBULE_DATA=":memory:", VESTIBULE_ADMIN_TOKEN=TOKEN,
            VESTIBULE_ROOM_SALE_ADMISSIONS_PER_SECOND="0",
        )  # fmt: skip
        until("the gateway", lambda: Visitor(self.console).ask("/readyz").status == 200, self.vestibule)

    def start_proxy(self, command, **environment):
        process = self.start(*command, **environment)
        until("the proxy", lambda: Visitor(self.proxy).ask("/").is_of_site(), process)
        until("its way to the gateway", lambda: Visitor(self.proxy).ask("/.vestibule/jwks.json").status == 200, process)

    def operate(self, action="", body=None):
        method = "POST" if action else "GET"
        sent = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        answer = Visitor(self.console).ask(f"/api/rooms/sale{action}", method, body, **sent)
        assert answer.status == 200, answer
        return json.loads(answer.text)

    def logs(self):
        return "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in self.folder.glob("*.log"))


def stop(process):
    process.terminate()
    try:
        process.wait(ANSWER_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
