#!/usr/bin/env python3
"""Checks the drill itself: one seed deals one plan, each mood of a wire is what it says, and each check of the verdict
finds what it is for. VESTIBULE_BIN and BOOKING_API are the programs."""

import contextlib, os, pathlib, shutil, signal, socket, subprocess, sys, tempfile, threading, time

import plan, verdict
from house import House
from pulse import Pulse
from wires import Switchboard


def check_plan():
    assert plan.rounds(5, 7) == plan.rounds(5, 7), "the same seed, the same faults"
    assert plan.rounds(5, 7) != plan.rounds(5, 8)
    deck = {f"{verb} {whom}" for verb, (everyone, *_) in plan.SPANS.items() for whom in everyone}
    dealt = [fault.name() for strokes in plan.rounds(60, 7) for stroke in strokes for fault in stroke.faults]
    assert set(dealt) == deck, "in an hour every fault comes"
    times = [dealt.count(name) for name in deck]
    assert max(times) - min(times) <= 2, "and about as often as any other"
    for strokes in plan.rounds(60, 7):
        for stroke in strokes:
            whom = [part for fault in stroke.faults for part in set(fault.whom.split(":"))]
            assert len(whom) == len(set(whom)), "nothing is broken in two ways at once"


class Echo:
    """Answers with what it hears."""

    def __init__(self):
        self.heard, self.socket = b"", socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            threading.Thread(target=self.answer, args=(self.socket.accept()[0],), daemon=True).start()

    def answer(self, connection):
        with connection, contextlib.suppress(OSError):
            while said := connection.recv(100):
                self.heard += said
                connection.sendall(said)


def say(connection, word):
    """What comes back: the word, nothing in time, or the end of the connection."""
    try:
        connection.sendall(word)
        return connection.recv(100) or "end"
    except TimeoutError:
        return "nothing"
    except OSError:
        return "end"


def check_wires():
    echo, board = Echo(), Switchboard()
    wire = board.wire(echo.socket.getsockname()[1])
    connect = lambda: socket.create_connection(("127.0.0.1", wire.port), timeout=0.5)
    first = connect()
    assert say(first, b"whole") == b"whole"
    wire.bend("slow")
    began = time.monotonic()
    assert say(first, b"slow") == b"slow" and time.monotonic() - began >= 0.08, "both ways are slow"
    wire.bend("silence")
    assert say(first, b"hush") == "nothing" and b"hush" not in echo.heard
    wire.mend()
    assert first.recv(100) == b"hush", "what was held back arrives"
    wire.bend("deaf")
    assert say(first, b"lost") == "nothing" and b"lost" in echo.heard, "the question was heard, the answer is lost"
    wire.mend()
    assert say(first, b"gone") == "end", "a stream with a hole is not gone on with"
    second = connect()
    assert say(second, b"again") == b"again"
    wire.bend("cut")
    assert say(second, b"cut") == "end" and say(connect(), b"cut") == "end"
    wire.mend()
    assert say(connect(), b"mended") == b"mended"
    board.close()


DRILLER = """
from processes import Process
sleeper = Process("sleeper", {folder!r}, ["sleep", "1000"])
sleeper.start()
sleeper.freeze()
print(sleeper.process.pid, flush=True)
input()
"""


def check_end(folder):
    """What a drill has started ends with it, even if it is killed and its child is frozen."""
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parent), "PYTHONDONTWRITEBYTECODE": "1"}
    driller = subprocess.Popen([sys.executable, "-c", DRILLER.format(folder=str(folder))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    sleeper = pathlib.Path("/proc", driller.stdout.readline().decode().strip())
    assert sleeper.exists()
    driller.kill()
    driller.wait()
    end = time.monotonic() + 10
    while is_running(sleeper):
        assert time.monotonic() < end, "a child outlives its drill"
        time.sleep(0.05)


def is_running(entry):
    with contextlib.suppress(OSError):
        return (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


# What is done to the books, what must be found, and what puts it right again.
SABOTAGE = [
    (
        "UPDATE inventory SET sold = sold - 1, available = available + 1 WHERE sold > 0", "rows whose bookings are not what is sold",
        "UPDATE inventory SET sold = sold + 1, available = available - 1 WHERE capacity = 1000000",
    ),
    ("UPDATE holds SET status = 'held'", "rows whose holds are not what is held", "UPDATE holds SET status = 'confirmed'"),
    ("UPDATE bookings SET cancelled_at = 1", "charges kept by the bank without a booking", "UPDATE bookings SET cancelled_at = NULL"),
    ("UPDATE payments SET status = 'voided'", "bookings without a payment kept", "UPDATE payments SET status = 'kept'"),
    ("UPDATE payments SET status = 'refunded'", "the ledger does not hold", "UPDATE payments SET status = 'kept'"),
    ("DELETE FROM bookings", "payments kept without a booking", ""),
]  # fmt: skip


def found(house):
    return "; ".join(verdict.of_database(house) + verdict.of_bank(house) + verdict.of_ledger(house))


def check_verdict(folder):
    house = House(folder, os.environ["VESTIBULE_BIN"], os.environ["BOOKING_API"], 100)
    try:
        house.start()
        pulse = Pulse(house)
        assert pulse.buy() and pulse.come_in("gateway-a") and pulse.come_in("gateway-b")
        sound = verdict.until_at_rest(house) + verdict.of_logs(house) + [found(house)]
        assert sound == [""], sound
        for harm, fault, remedy in SABOTAGE:
            house.sql(harm)
            assert fault in found(house), f"{harm}: {found(house)}"
            if remedy:
                house.sql(remedy)
                assert found(house) == "", f"{remedy}: {found(house)}"
        house.sql("UPDATE payments SET status = 'captured'")
        verdict.AT_REST_S = 0
        assert "payments under way" in verdict.until_at_rest(house)[0]
        # One end is seen by whoever watches, the other by whoever kills it before that.
        for see in (house.watch, house.processes["bank"].kill):
            house.processes["bank"].signal(signal.SIGKILL)
            house.processes["bank"].process.wait()
            see()
            house.processes["bank"].start()
        assert house.processes["bank"].crashes() == [-9, -9] and "bank crashed by itself" in verdict.of_processes(house)[0]
    finally:
        house.stop()


sys.dont_write_bytecode = True
check_plan()
check_wires()
folder = pathlib.Path(tempfile.mkdtemp(prefix="drill-"))
folder.chmod(0o755)
try:
    check_end(folder)
    check_verdict(folder)
finally:
    shutil.rmtree(folder)
print("the drill is sound: its plan, its wires, its end, its checks")
