"""The checks at the end, from the database, the bank's own journal, the ledger, the gateways' logs and the crowd's notes."""

import json, subprocess, time

AT_REST_S = 90
"""How long what was begun may take to come to an end once everything is well: holds and payments of 15 s, the outbox."""

SAME_LOG_S = 5

UNDER_WAY = "('pending', 'challenged', 'authorized', 'capturing', 'captured', 'voiding', 'refunding')"

# Each counts what must not be there.
OF_THE_DATABASE = {
    "rows sold beyond their capacity": "SELECT count(*) FROM inventory WHERE sold > capacity OR available + held + sold <> capacity",
    "rows whose bookings are not what is sold": """
        SELECT count(*) FROM inventory i WHERE sold <> (
            SELECT coalesce(sum(b.quantity), 0) FROM bookings b WHERE b.inventory_id = i.id AND b.cancelled_at IS NULL)""",
    "rows whose holds are not what is held": """
        SELECT count(*) FROM inventory i WHERE held <> (
            SELECT coalesce(sum(h.quantity), 0) FROM holds h WHERE h.inventory_id = i.id AND h.status IN ('held', 'paid'))""",
    "payments kept without a booking": """
        SELECT count(*) FROM payments p WHERE p.status = 'kept' AND NOT EXISTS (SELECT 1 FROM bookings b WHERE b.payment_id = p.id)""",
    "bookings without a payment kept": """
        SELECT count(*) FROM bookings b JOIN payments p ON p.id = b.payment_id WHERE b.cancelled_at IS NULL AND p.status <> 'kept'""",
}

AT_REST = {
    "payments under way": f"SELECT count(*) FROM payments WHERE status IN {UNDER_WAY}",
    "tasks in the outbox": "SELECT count(*) FROM outbox",
    "holds that ran out": "SELECT count(*) FROM holds WHERE status = 'held' AND expires_at < extract(epoch FROM now()) * 1000 - 5000",
}


def made(check, *words):
    """What a check finds; one that cannot be made is a fault too, and keeps no other from being made."""
    try:
        return check(*words)
    except Exception as fault:
        return [f"{check.__name__} could not be made: {fault!r}"]


def of_round(house, number, report):
    """Holds what the crowd wrote down against what the database says of the round's row; returns faults in words."""
    broken = ("overtakings", "position_regressions", "rate_overshoot", "oversold", "paid_without_booking", "lost_places")
    faults = [f"{check}: {report[check]}" for check in broken if report[check]]
    [[capacity, sold]] = house.sql(f"SELECT capacity, sold FROM inventory WHERE name = '{house.row(number)}'")
    if report["sold"] > int(sold):
        faults.append(f"the crowd has {report['sold']} bookings, the database {sold}")
    if int(sold) > int(capacity):
        faults.append(f"{sold} seats sold of {capacity}")
    return faults


def until_at_rest(house):
    """Waits until nothing is under way any more; returns what still is, in words."""
    end = time.monotonic() + AT_REST_S
    while True:
        left = {what: int(house.sql(statement)[0][0]) for what, statement in AT_REST.items()}
        if not any(left.values()):
            return []
        if time.monotonic() > end:
            return [f"{what} after {AT_REST_S} s: {count}" for what, count in left.items() if count]
        house.watch()
        time.sleep(0.5)


def of_database(house):
    counts = {what: int(house.sql(statement)[0][0]) for what, statement in OF_THE_DATABASE.items()}
    return [f"{what}: {count}" for what, count in counts.items() if count]


def of_bank(house):
    """Holds the bank's own journal against the bookings: money kept if and only if there is one, and of one charge."""
    accounts = {}
    for line in (house.folder / "bank.jsonl").read_text().splitlines():
        account = json.loads(line)
        accounts[account["id"]] = account
    booked = {row[0] for row in house.sql("SELECT encode(payment_id, 'hex') FROM bookings WHERE cancelled_at IS NULL")}
    charged = [account for account in accounts.values() if account["status"] == "captured" and account["amount_paise"] > account["refunded_paise"]]
    kept = [account["payment"].replace("-", "") for account in charged]
    set_aside = [account for account in accounts.values() if account["status"] == "authorized"]
    counts = {
        "charges kept by the bank without a booking": len(set(kept) - booked),
        "bookings whose money the bank does not have": len(booked - set(kept)),
        "payments charged twice": len(kept) - len(set(kept)),
        "charges still set aside": len(set_aside),
    }
    return [f"{what}: {count}" for what, count in counts.items() if count]


def of_ledger(house):
    words = [house.booking_api, "ledger", "--config", house.folder / "booking.toml"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    return [] if done.returncode == 0 else [f"the ledger does not hold: {done.stdout[-800:]}{done.stderr[-400:]}"]


def of_logs(house):
    """Audits the admission log of both gateways, which must be one: nobody called twice, nobody beyond the rate."""
    faults, ends = [], {gateway: audit(house, gateway) for gateway in ("gateway-a", "gateway-b")}
    for gateway, (fault, _) in ends.items():
        faults += [f"the log of {gateway} does not hold: {fault}"] if fault else []
    # One may be a tick ahead of the other, and one that has just been started knows of no entry yet.
    end = time.monotonic() + SAME_LOG_S
    while (differ := len({last for _, last in ends.values() if last}) > 1) and time.monotonic() < end:
        time.sleep(0.2)
        ends = {gateway: audit(house, gateway) for gateway in ends}
    return faults + (["the logs of the gateways end differently"] if differ else [])


def audit(house, gateway):
    """What `vestibule audit` finds wrong with the log of a gateway, and the last entry, if it knows of one."""
    path = house.folder / f"{gateway}.jsonl"
    path.write_text(house.log_of(gateway))
    done = subprocess.run([house.vestibule, "audit", path], capture_output=True, text=True, timeout=120)
    fault = (done.stdout + done.stderr)[-800:] if done.returncode else None
    entries = [line for line in path.read_text().splitlines() if not line.startswith('{"start":')]
    return fault, "".join(entries[-1:])


def of_processes(house):
    crashed = {name: process.crashes() for name, process in house.processes.items()}
    return [f"{name} crashed by itself: {codes}\n{house.processes[name].log_end()}" for name, codes in crashed.items() if codes]
