"""The house that is drilled: two gateways, Redis, the booking API, PostgreSQL and the bank, with wires between them."""

import datetime, http.client, json, pathlib, socket, subprocess, time, urllib.error, urllib.request

from plan import WIRES
from processes import PATIENCE_S, PostgreSQL, Process, Redis, postgresql_program
from wires import Switchboard

TOKEN = "a token for the drills alone"
ROOM = "tatkal"
RATE, BURST = 25, 5
HOLD_S = 15
CLASSES = ("3A", "2A", "1A")
DAYS = 100
ROUNDS_MAX = DAYS * len(CLASSES)
CANARY_SEATS = 1_000_000

GATEWAY = """
listen = "127.0.0.1:{port}"
admin_listen = "127.0.0.1:{admin}"
data = "{folder}/{name}"
keys = "{folder}/keys.toml"
admin_token = "{token}"
upstream = "http://127.0.0.1:{upstream}"
drain = "2s"
[store]
url = "redis://127.0.0.1:{store}/"
[room.{room}]
title = "Tatkal booking"
admissions_per_second = {rate}
burst = {burst}
items = ["/api/inventory/{{key}}", "/api/holds?inventory={{key}}"]
[room.pulse]
paths = ["/readyz"]
session_duration = "10s"
grace = "10s"
"""

BOOKING = """
listen = "127.0.0.1:{port}"
database = "postgres://booking@127.0.0.1:{database}/postgres"
[holds]
seconds = {hold_s}
[payments]
provider_url = "http://127.0.0.1:{bank}"
webhook_secret = "{token}"
provider_timeout_ms = 3000
pending_seconds = 15
{gateways}
{rows}
"""


def free_ports(count):
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def ask(url, body=None, method=None, timeout_s=5, **headers):
    """Returns status and body; raises OSError when there is no answer."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    data = json.dumps(body).encode() if body is not None else None
    if data:
        sent["Content-Type"] = "application/json"
    request = urllib.request.Request(url, data, sent, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()
    except http.client.HTTPException as broken:
        raise OSError(f"no HTTP: {broken!r}") from broken


class House:
    """Everything that runs. `seats` are those of each round's row."""

    def __init__(self, folder, vestibule, booking_api, seats):
        self.folder, self.vestibule, self.booking_api = pathlib.Path(folder), vestibule, booking_api
        tomorrow = datetime.date.today() + datetime.timedelta(days=1)
        self.days = [tomorrow + datetime.timedelta(days=day) for day in range(DAYS)]
        self.canary = f"12952:{self.days[0]}:2A"
        names = ("gateway-a", "gateway-b", "redis", "postgresql", "booking", "bank", "admin-a", "admin-b")
        self.ports = dict(zip(names, free_ports(len(names))))
        self.switchboard = Switchboard()
        self.wires = {name: self.switchboard.wire(self.ports[name.split(":")[1]]) for name in WIRES}
        self.processes = {process.name: process for process in self.cast(seats)}

    def row(self, number):
        """What is on sale in a round, counted from 0."""
        return f"12951:{self.days[number % DAYS]}:{CLASSES[number // DAYS]}"

    def cast(self, seats):
        secret = ["--secret", TOKEN]
        return [
            Redis(self.folder, self.ports["redis"]),
            PostgreSQL(self.folder, self.ports["postgresql"]),
            Process("bank", self.folder, [
                self.booking_api, "provider", "--listen", f"127.0.0.1:{self.ports['bank']}", *secret,
                "--merchant", f"http://127.0.0.1:{self.wires['bank:booking'].port}", "--state", self.folder / "bank.jsonl",
            ]),
            Process("booking", self.folder, [self.booking_api, "--config", self.write_booking(seats)]),
            *(Process(name, self.folder, [self.vestibule, "serve", "--config", self.write_gateway(name)]) for name in ("gateway-a", "gateway-b")),
        ]  # fmt: skip

    def write_gateway(self, name):
        path = self.folder / f"{name}.toml"
        path.write_text(GATEWAY.format(
            name=name, port=self.ports[name], admin=self.admin(name), folder=self.folder, token=TOKEN, room=ROOM, rate=RATE, burst=BURST,
            upstream=self.wires[f"{name}:booking"].port, store=self.wires[f"{name}:redis"].port,
        ))  # fmt: skip
        return path

    def write_booking(self, seats):
        path = self.folder / "booking.toml"
        gateways = "".join(
            f'[[gateways]]\nadmin = "http://127.0.0.1:{self.admin(name)}"\nroom = "{ROOM}"\ntoken = "{TOKEN}"\n' for name in ("gateway-a", "gateway-b")
        )
        rows = {self.row(number): seats for number in range(ROUNDS_MAX)} | {self.canary: CANARY_SEATS}
        path.write_text(BOOKING.format(
            port=self.ports["booking"], database=self.wires["booking:postgresql"].port, bank=self.wires["booking:bank"].port, token=TOKEN,
            hold_s=HOLD_S, gateways=gateways, rows="".join(f'[[sale]]\ninventory = "{row}"\ncapacity = {count}\n' for row, count in rows.items()),
        ))  # fmt: skip
        return path

    def admin(self, name):
        return self.ports[name.replace("gateway", "admin")]

    def url(self, name):
        return f"http://127.0.0.1:{self.ports[name]}"

    def log_of(self, gateway):
        """The admission log as a gateway exports it."""
        status, text = ask(f"http://127.0.0.1:{self.admin(gateway)}/api/rooms/{ROOM}/log", timeout_s=20, Authorization=f"Bearer {TOKEN}")
        assert status == 200, f"{gateway} exports its log: {status}"
        return text.decode()

    def sql(self, statement):
        """Asks the database itself, past booking API and wires; returns rows of text."""
        words = [postgresql_program("psql"), "-X", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", statement]
        done = subprocess.run(
            [*words, f"postgres://booking@127.0.0.1:{self.ports['postgresql']}/postgres"], capture_output=True, text=True, timeout=PATIENCE_S
        )
        if done.returncode:
            raise RuntimeError(f"psql: {done.stderr}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def play(self, rules, seed=0):
        """Has the bank go wrong by these rules from now on."""
        status, said = ask(f"{self.url('bank')}/faults", {"seed": seed, "rules": rules}, "PUT")
        assert status == 204, f"the bank takes a script: {status} {said}"

    def start(self):
        subprocess.run([self.vestibule, "keys", "--file", self.folder / "keys.toml", "new"], check=True, stdout=subprocess.DEVNULL)
        self.processes["postgresql"].create()
        ready = {
            "redis": lambda: socket.create_connection(("127.0.0.1", self.ports["redis"]), 1).close() is None,
            "postgresql": lambda: self.sql("SELECT 1") == [["1"]],
            "bank": lambda: ask(f"{self.url('bank')}/healthz")[0] == 200,
            "booking": lambda: ask(f"{self.url('booking')}/readyz")[0] == 200,
            "gateway-a": lambda: ask(f"http://127.0.0.1:{self.admin('gateway-a')}/readyz")[0] == 200,
            "gateway-b": lambda: ask(f"http://127.0.0.1:{self.admin('gateway-b')}/readyz")[0] == 200,
        }
        for name, is_ready in ready.items():
            self.processes[name].start()
            self.until(name, is_ready)

    def until(self, name, is_ready):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                if is_ready():
                    return
            except (OSError, RuntimeError):
                pass
            if self.processes[name].process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"drill: {name} does not start:\n{self.processes[name].log_end()}")

    def watch(self):
        for process in self.processes.values():
            process.watch()

    def stop(self):
        for process in reversed(self.processes.values()):
            if process.process:
                process.kill()
        self.switchboard.close()
