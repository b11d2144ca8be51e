#!/usr/bin/env python3
"""Runs a sale from the documentation alone: every block of docs/sale.md, in order, in one shell and an empty folder.
Only the ports are others, and the site is a small one of its own. VESTIBULE_BIN is the program."""

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


site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
threading.Thread(target=site.serve_forever, daemon=True).start()

page = (ROOT / "docs/sale.md").read_text(encoding="utf-8")
blocks = re.findall(r"^```sh\n(.*?)^```$", page, flags=re.S | re.M)
assert len(blocks) > 10, "the page has lost its blocks"
gateway, console = free_port(), free_port()
script = "set -euo pipefail\nset -m\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
for number, block in enumerate(blocks, 1):
    script += f"echo '--- block {number}'\n{block}\necho\n"
for old, new in (("9000", site.server_port), ("8080", gateway), ("8081", console)):
    script = script.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")

with tempfile.TemporaryDirectory() as folder:
    pathlib.Path(folder, "bin").mkdir()
    pathlib.Path(folder, "bin/vestibule").symlink_to(PROGRAM)
    environment = {
        **os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}",
        "VESTIBULE_LISTEN": f"127.0.0.1:{gateway}", "VESTIBULE_ADMIN_LISTEN": f"127.0.0.1:{console}",
    }
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    logs = pathlib.Path(folder, "gateway.log")
    if done.returncode:
        print(done.stdout, done.stderr, logs.read_text() if logs.exists() else "", sep="\n")
        sys.exit(f"docs/sale.md: a block failed with {done.returncode}; the last that began is the one")
print(f"a sale was run from docs/sale.md: {len(blocks)} blocks, from the first line to the audit")
