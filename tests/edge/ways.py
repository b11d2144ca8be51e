#!/usr/bin/env python3
"""Runs every way in of docs/integrate.md on the real proxy, from the example in deploy/. VESTIBULE_BIN is the program.

nginx and HAProxy are Debian's. Traefik, Caddy, Envoy and a WebSocket client are installed beside the build, once."""

import contextlib, json, os, pathlib, subprocess, sys, tempfile

HERE = pathlib.Path(__file__).resolve().parent
HOME = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parents[1] / "target")).resolve() / "tmp/edge"


def install():
    """Makes the environment that requirements.txt asks for, and goes on in it."""
    wanted, told = (HERE / "requirements.txt").read_text(), HOME / "installed"
    python = HOME / "bin/python"
    if not told.exists() or told.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", HOME], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", HERE / "requirements.txt"], check=True)
        told.write_text(wanted)
    if pathlib.Path(sys.prefix) != HOME:
        os.execv(python, [str(python), __file__, *sys.argv[1:]])


install()
from websockets.sync.client import connect  # noqa: E402

from stand import ANSWER_LIMIT_S, Stand, Visitor  # noqa: E402

# How each proxy is started in a folder with its files, and with which gateway.
BESIDE = "beside/vestibule.toml"
INSTALLED = HOME / "bin"
WAYS = {
    "nginx": (BESIDE, ["nginx/auth_request.conf"], ["nginx", "-p", ".", "-c", "auth_request.conf", "-g", "daemon off;"]),
    "haproxy": ("haproxy/vestibule.toml", ["haproxy/haproxy.cfg"], ["haproxy", "-f", "haproxy.cfg"]),
    "traefik": (BESIDE, ["traefik/traefik.yml", "traefik/routes.yml"], [INSTALLED / "traefik", "--configFile=traefik.yml"]),
    "caddy": (BESIDE, ["caddy/Caddyfile"], [INSTALLED / "caddy", "run", "--config", "Caddyfile"]),
    "envoy": (BESIDE, ["envoy/envoy.yaml"], [INSTALLED / "envoy", "-c", "envoy.yaml", "--use-dynamic-base-id", "--concurrency", "1"]),
}
FORGED = "eyJhbGciOiJub25lIiwidHlwIjoidmVzdGlidWxlLXBhc3Mrand0In0.eyJhdWQiOiJzYWxlIn0."


def expect(what, holds, *seen):
    assert holds, f"{what}: {seen}"


def waits(answer):
    return not answer.is_of_site() and '"state":"waiting"' in answer.text


def nobody_gets_in_without_a_pass(stand, asha, bela, app, page_status):
    expect("the rest of the site is open", asha.ask("/").is_of_site())
    first = asha.ask("/book/1?class=2A")
    expect("a browser gets the waiting page", waits(first) and "<html" in first.text and first.status == page_status, first)
    expect("the place is kept", waits(asha.ask("/book/2")) and asha.status()["number"] == 1, asha.status())
    expect("another visitor is the next", waits(bela.ask("/book/1")) and bela.status()["number"] == 2, bela.status())
    told = app.ask("/book/1")
    expect("a program gets its status", told.status == 429 and json.loads(told.text)["number"] == 3, told)
    preflight = Visitor(stand.proxy).ask("/book/1", "OPTIONS", Origin="https://shop.example")
    expect("a preflight gets in nowhere, and takes no place", not preflight.is_of_site() and not preflight.cookies, preflight)
    picture = Visitor(stand.proxy, "image/*").ask("/book/seats.svg", Sec_Fetch_Mode="no-cors")
    expect("nor does a picture", not picture.is_of_site() and not picture.cookies, picture)
    for forged in (asha.twin(vestibule_pass_sale=FORGED).ask("/book/1"), asha.ask("/book/1", Vestibule_Pass=FORGED)):
        expect("a forged pass is none", waits(forged), forged)
    for path in ("/%62ook/1", "//book/1", "/book/%31", "/x/../book/1", "/x/%2e%2e/book/1", "/x/%2e%2e%2fbook/1"):
        other = Visitor(stand.proxy).ask(path)
        expect("no spelling leads around", not other.is_of_site() or not other.path().startswith("/book/"), path, other)
    expect("the site was left alone", stand.site.reached == 0, stand.site.reached)


def the_live_connection_calls(stand, asha):
    address = f"ws://127.0.0.1:{stand.proxy}/.vestibule/live?room=sale"
    headers = {"Cookie": asha.cookie()}
    with connect(address, additional_headers=headers, origin=f"http://127.0.0.1:{stand.proxy}") as live:
        told = json.loads(live.recv(ANSWER_LIMIT_S))
        expect("the live connection tells the place", told["state"] == "waiting" and told["number"] == 1, told)
        stand.operate("/admit", '{"count":1}')
        while told["state"] == "waiting":
            told = json.loads(live.recv(ANSWER_LIMIT_S))
        expect("and calls", told["state"] == "called", told)


def whoever_is_called_gets_in(asha, bela):
    claimed = {"Vestibule_Visitor": "somebody", "Vestibule_Room": "another", "Vestibule_Ticket": "x"}
    inside = asha.ask("/book/1?class=2A", **claimed)
    expect("whoever is called reaches the site", inside.is_of_site(), inside)
    receipt = json.loads(asha.ask("/.vestibule/receipt").text)
    expect("it hears who it is", inside.sent("vestibule-visitor") == [receipt["ticket"]], inside)
    expect("it hears of which room", inside.sent("vestibule-room") == ["sale"], inside)
    expect("it never gets the ticket in a header", inside.sent("vestibule-ticket") == [], inside)
    cookies = [cookie for cookie in inside.cookies if cookie.startswith("vestibule-pass-sale=")]
    expect("the browser keeps the pass", len(cookies) == 1 and "HttpOnly" in cookies[0], inside)
    expect("it is the one the site saw", inside.sent("vestibule-pass") == [asha.cookies["vestibule-pass-sale"]], inside)
    held = asha.ask("/book/holds", "POST", '{"seats":2}', Content_Type="application/json")
    expect("a body goes through", held.is_of_site() and json.loads(held.text)["body"] == '{"seats":2}', held)
    expect("with the same pass", held.sent("vestibule-pass") == inside.sent("vestibule-pass"), held)
    thief = bela.twin(vestibule_pass_sale=asha.cookies["vestibule-pass-sale"]).ask("/book/1")
    expect("a pass opens nothing beside another ticket", waits(thief), thief)


def an_app_gets_in_by_headers(stand):
    app = Visitor(stand.proxy, "application/json")
    joined = json.loads(app.ask("/.vestibule/join", "POST", '{"room":"sale"}').text)
    ticket = {"Vestibule_Ticket": joined["ticket"]}
    waiting = app.ask("/book/1", **ticket)
    expect("an app without cookies keeps its place", waits(waiting) and joined["status"]["number"] == json.loads(waiting.text)["number"], waiting)
    stand.operate("/admit", '{"count":10}')
    while (status := json.loads(app.ask("/.vestibule/status", **ticket).text))["state"] == "waiting":
        pass
    expect("it is called", status["state"] == "called", status)
    inside = app.ask("/book/1", **ticket)
    expect("and gets in", inside.is_of_site() and inside.sent("vestibule-visitor"), inside)


def nobody_gets_in_while_the_gateway_is_away(stand, asha):
    stand.vestibule.kill()
    stand.vestibule.wait()
    answer = asha.ask("/book/1")
    expect("without the gateway the site is shut", not answer.is_of_site() and answer.status >= 500, answer)


def try_way(name):
    config, files, command = WAYS[name]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as kept:
        stand = Stand(folder, kept)
        try:
            stand.start_gateway(stand.copy(config))
            for file in files:
                stand.copy(file)
            stand.start_proxy([str(part) for part in command])
            asha, bela, app = Visitor(stand.proxy), Visitor(stand.proxy), Visitor(stand.proxy, "application/json")
            nobody_gets_in_without_a_pass(stand, asha, bela, app, 429 if config == BESIDE else 200)
            the_live_connection_calls(stand, asha)
            whoever_is_called_gets_in(asha, bela)
            an_app_gets_in_by_headers(stand)
            if config == BESIDE:
                nobody_gets_in_while_the_gateway_is_away(stand, asha)
        except BaseException:
            print(f"{name} failed\n{stand.logs()}", file=sys.stderr)
            raise


chosen = sys.argv[1:] or list(WAYS)
for way in chosen:
    try_way(way)
print(f"every way in works on the real thing: {', '.join(chosen)}")
