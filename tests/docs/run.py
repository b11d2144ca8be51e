#!/usr/bin/env python3
"""Runs the commands of the documentation as they stand: every ```sh block of a page, in order, in one shell and an empty folder,
but for the few of which commands.py says why not. Only the ports are others, and the site is a small one of its own. BEFORE says
what a page takes to be there already. VESTIBULE_BIN and BOOKING_API are the programs; names of pages run those only."""

import http.server, os, pathlib, re, signal, socket, subprocess, sys, tempfile, threading, time

sys.dont_write_bytecode = True

from commands import OURS, PAGES, blocks, blocks_to_run  # noqa: E402

LIMIT_S = 180
PORTS = [5432, 6379, 8080, 8081, 8082, 8083, 9000]

SHELL = "set -euo pipefail\nset -m\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n"
READY = "until curl -fs http://127.0.0.1:8081/readyz > /dev/null; do sleep 0.1; done\n"
GATEWAY = f"""
printf 'upstream = "http://127.0.0.1:9000"\\n[room.sale]\\npaths = ["/book/*"]\\nadmissions_per_second = 20\\n' > vestibule.toml
vestibule serve --config vestibule.toml > gateway.log 2>&1 &
GATEWAY=$!
{READY}"""
OPERATOR = """
ADMIN=http://127.0.0.1:8081/api/rooms/sale
AUTH="Authorization: Bearer $(cat vestibule-data/admin-token)"
"""
# A Redis and a PostgreSQL of this run's own; PostgreSQL does not run as root.
SERVERS = """
redis=127.0.0.1:6379 postgresql=127.0.0.1:5432
mkdir redis postgresql
printf 'bind 127.0.0.1\\nport %s\\ndir redis\\nappendonly yes\\n' "${redis#*:}" > redis.conf
redis-server redis.conf > redis.log 2>&1 &
programs=$(ls -d /usr/lib/postgresql/*/bin | tail -1) as_owner=()
[ "$(id -u)" -ne 0 ] || { chmod 755 .; chown postgres postgresql; as_owner=(setpriv --reuid=postgres --regid=postgres --clear-groups); }
"${as_owner[@]}" "$programs/initdb" --auth=trust --username=postgres --no-sync -D postgresql > postgresql.log
"${as_owner[@]}" "$programs/postgres" -D postgresql -h 127.0.0.1 -p "${postgresql#*:}" -k '' > postgresql.log 2>&1 &
until pg_isready -q -d "postgres://postgres@$postgresql"; do sleep 0.1; done
"""
VISITORS = "for visitor in 1 2 3; do curl -s http://127.0.0.1:8080/book/; done\n"


def saved(page, language, name, part=""):
    """Saves a block of a page, as whoever reads it would."""
    block = next(block for block in blocks(page, language) if part in block)
    return f"cat > {name} <<'END OF {name}'\n{block}\nEND OF {name}\n"


BEFORE = {
    "README.md": saved("README.md", "toml", "vestibule.toml"),
    "docs/backup.md": SERVERS,
    "docs/fairness.md": GATEWAY + VISITORS + saved("docs/fairness.md", "python", "check.py", "passed_over"),
    "docs/operations.md": GATEWAY,
    "docs/runbook.md": GATEWAY + OPERATOR,
}
AFTER = {
    "README.md": READY + "curl -fs http://127.0.0.1:8080/book/",
    "docs/operations.md": "curl -fs http://127.0.0.1:8082/metrics | promtool check metrics",
}


class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def script(page, ports):
    told = "".join(f"echo '--- block {number}'\n{block}\necho\n" for number, block in enumerate(blocks_to_run(page), 1))
    text = SHELL + BEFORE.get(page, "") + told + AFTER.get(page, "")
    return re.sub(r"127\.0\.0\.1:(\d+)", lambda address: f"127.0.0.1:{ports.get(int(address[1]), address[1])}", text)


def environment(folder, ports):
    """The programs by their names, and listening where this run has them listen."""
    (folder / "bin").mkdir()
    for name, program in OURS.items():
        (folder / "bin" / name).symlink_to(program)
    return {
        **os.environ,
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
        "VESTIBULE_LISTEN": f"127.0.0.1:{ports[8080]}",
        "VESTIBULE_ADMIN_LISTEN": f"127.0.0.1:{ports[8081]}",
        "BOOKING_LISTEN": f"127.0.0.1:{ports[8082]}",
    }


def run(page, ports):
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        shell = subprocess.Popen(
            ["bash", "-c", script(page, ports)], cwd=folder, env=environment(folder, ports), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            told, _ = shell.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            shell.send_signal(signal.SIGTERM)
            told = shell.communicate()[0] + f"this took longer than {LIMIT_S} s"
        if shell.returncode:
            logs = "".join(path.read_text() for path in folder.glob("*.log"))
            print(told, logs, sep="\n")
            sys.exit(f"{page}: a block failed with {shell.returncode}; the last that began is the one")
    print(f"{page}: {len(blocks_to_run(page))} blocks were run, in {time.monotonic() - began:.0f} s", flush=True)


if absent := [str(program) for program in OURS.values() if not program.exists()]:
    sys.exit(f"{', '.join(absent)}: build it, or name it in VESTIBULE_BIN and BOOKING_API")
site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
threading.Thread(target=site.serve_forever, daemon=True).start()
for page in sys.argv[1:] or [page for page in PAGES if blocks_to_run(page)]:
    ports = {port: free_port() for port in PORTS}
    # The site is there from the start, but where the page starts one itself.
    run(page, ports if page == "docs/backup.md" else {**ports, 9000: site.server_port})
