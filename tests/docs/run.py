#!/usr/bin/env python3
"""Runs pages of the documentation as they stand: every block of docs/sale.md, in order, in one shell and an empty folder,
and then those of docs/rehearse.md and docs/backup.md. Only the ports are others, and the site is a small one of its own. VESTIBULE_BIN is the
program."""

import http.server, os, pathlib, re, socket, subprocess, sys, tempfile, threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("VESTIBULE_BIN", ROOT / "target/debug/vestibule")).resolve()
LIMIT_S = 180


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


def script(page, ports):
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), flags=re.S | re.M)
    assert len(blocks) > 6, f"{page} has lost its blocks"
    text = "set -euo pipefail\nset -m\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
    for number, block in enumerate(blocks, 1):
        text += f"echo '--- block {number}'\n{block}\necho\n"
    for old, new in ports.items():
        text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
    return len(blocks), text


def run(page, ports):
    count, text = script(page, ports)
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "bin").mkdir()
        pathlib.Path(folder, "bin/vestibule").symlink_to(PROGRAM)
        environment = {
            **os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}",
            "VESTIBULE_LISTEN": f"127.0.0.1:{ports[8080]}", "VESTIBULE_ADMIN_LISTEN": f"127.0.0.1:{ports[8081]}",
        }
        done = subprocess.run(["bash", "-c", text], cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
        if done.returncode:
            logs = "".join(path.read_text() for path in pathlib.Path(folder).glob("*.log"))
            print(done.stdout, done.stderr, logs, sep="\n")
            sys.exit(f"{page}: a block failed with {done.returncode}; the last that began is the one")
    print(f"{page}: {count} blocks were run, from the first line to the last")


site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
threading.Thread(target=site.serve_forever, daemon=True).start()
run("docs/sale.md", {9000: site.server_port, 8080: free_port(), 8081: free_port()})
run("docs/rehearse.md", {9000: site.server_port, 8080: free_port(), 8081: free_port()})
run("docs/backup.md", {9000: free_port(), 8080: free_port(), 8081: free_port()})
