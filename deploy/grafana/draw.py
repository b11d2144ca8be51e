#!/usr/bin/env python3
"""Draws the dashboards of Grafana. What they show is written here in a few words a panel; Grafana wants it at length.

    deploy/grafana/draw.py           writes deploy/grafana/dashboards/*.json
    deploy/grafana/draw.py --check   fails when a file there is not what this would write

Every gateway follows the whole line, so what is about the line reads the same on each: take `max by (room)`, never a
sum. What is about one gateway's own visitors (connections, answers, refusals) is summed.
"""

import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
COLUMNS = 24


def quantile(part, histogram, by, span="1m", over="sum"):
    return f"histogram_quantile({part}, {over} by ({by}) (rate({histogram}_bucket{span_of(histogram, span)})))"


def span_of(histogram, span):
    """The label filter of what the dashboard lets one choose, and the time a rate looks back."""
    chosen = '{room=~"$room"}' if histogram in OF_A_ROOM else '{instance=~"$instance"}' if histogram in OF_A_GATEWAY else ""
    return f"{chosen}[{span}]"


OF_A_ROOM = {"vestibule_wait_seconds", "vestibule_eta_error_ratio", "vestibule_proxy_duration_seconds"}
OF_A_GATEWAY = {"vestibule_store_call_seconds"}


def stat(title, expression, unit="short", width=4, about=""):
    return {"type": "stat", "title": title, "unit": unit, "size": (width, 4), "targets": [(expression, "")], "about": about}


def plot(title, *targets, unit="short", width=12, about=""):
    return {"type": "timeseries", "title": title, "unit": unit, "size": (width, 8), "targets": targets, "about": about}


ROOM, INSTANCE = '{room=~"$room"}', '{instance=~"$instance"}'


def line(name, room=ROOM):
    return f"max by (room) (vestibule_{name}{room})"


def line_rate(name, room=ROOM, span="30s"):
    return f"max by (room) (rate(vestibule_{name}_total{room}[{span}]))"


LIMIT = "max by (room) (vestibule_admission_rate_limit%s >= 0)"

OVERVIEW = [
    stat("Waiting", "sum(max by (room) (vestibule_waiting))"),
    stat("Of them here now", "sum(max by (room) (vestibule_present))"),
    stat("Inside", "sum(max by (room) (vestibule_active_sessions))"),
    stat("Let in, a second", "sum(max by (room) (rate(vestibule_admissions_total[30s])))"),
    stat("Gateways up", 'sum(up{job="vestibule"})'),
    stat("Line's store", "min(vestibule_store_up)", about="1 while every gateway reaches it"),
    plot("Waiting, by room", (line("waiting", ""), "{{room}}")),
    plot("Let in a second, by room", (line_rate("admissions", ""), "{{room}}"), (LIMIT % "", "{{room}}, limit")),
    plot(
        "How long the called had waited, 95 of 100",
        ("histogram_quantile(0.95, max by (room, le) (rate(vestibule_wait_seconds_bucket[1m])))", "{{room}}"),
        unit="s",
    ),
    plot("Places asked for a second, by room", (line_rate("arrivals", ""), "{{room}}")),
    plot(
        "Errors of the sites",
        ('sum by (room) (rate(vestibule_proxy_requests_total{code="5xx"}[1m])) / '
         "sum by (room) (rate(vestibule_proxy_requests_total[1m]))", "{{room}}"),
        unit="percentunit",
        width=8,
    ),
    plot("Refused a second, by reason", ("sum by (reason) (rate(vestibule_refused_total[1m]))", "{{reason}}"), width=8),
    plot("What operators changed", ("sum by (room, action) (increase(vestibule_changes_total[1m]))", "{{room}}: {{action}}"), width=8),
]

SALE = [
    stat("Waiting", line("waiting")),
    stat("Of them here now", line("present")),
    stat("Inside", line("active_sessions")),
    stat("Let in, a second", line_rate("admissions")),
    stat("Limit", line("admission_rate_limit"), about="-1 where there is none"),
    stat("Live connections", f"sum(vestibule_live_connections{ROOM})"),
    plot("The room is", (f"max by (phase) (vestibule_room_phase{ROOM})", "{{phase}}"), width=24, about="1 for the phase it is in"),
    plot("The line", (line("waiting"), "waiting"), (line("present"), "of them here")),
    plot(
        "People a second",
        (line_rate("arrivals"), "come"),
        (line_rate("admissions"), "let in"),
        (LIMIT % ROOM, "limit"),
    ),
    plot(
        "How long the called had waited",
        (quantile(0.5, "vestibule_wait_seconds", "room, le", over="max"), "half of them"),
        (quantile(0.95, "vestibule_wait_seconds", "room, le", over="max"), "95 of 100"),
        unit="s",
    ),
    plot(
        "How far the told waits were off",
        (quantile(0.5, "vestibule_eta_error_ratio", "room, le", over="max"), "half of them"),
        (quantile(0.9, "vestibule_eta_error_ratio", "room, le", over="max"), "90 of 100"),
        unit="percentunit",
        about="distance of the wait that was told from the wait that was, as a part of the latter",
    ),
    plot(
        "Places given up and lapsed, a minute",
        (f"{line_rate('left', span='1m')} * 60", "given up"),
        (f"{line_rate('lapsed', span='1m')} * 60", "lapsed"),
    ),
    plot(
        "Answers a second",
        (f"sum by (code) (rate(vestibule_proxy_requests_total{ROOM}[30s]))", "the site: {{code}}"),
        (f"sum(rate(vestibule_sold_out_responses_total{ROOM}[30s]))", "sold out, from memory"),
    ),
    plot(
        "Time until the site's answer begins",
        (quantile(0.5, "vestibule_proxy_duration_seconds", "le"), "half of them"),
        (quantile(0.99, "vestibule_proxy_duration_seconds", "le"), "99 of 100"),
        unit="s",
    ),
    plot(
        "The site's health, as the rate sees it",
        (f"max by (room) (vestibule_upstream_latency_seconds{ROOM})", "now"),
        (f"max by (room) (vestibule_upstream_baseline_seconds{ROOM})", "usually"),
        unit="s",
        about="the slowest gateway's view; a rate that adapts goes by it",
    ),
    plot(
        "The rate that adapts",
        (f"min by (room) (vestibule_adaptive_rate{ROOM} >= 0)", "lowest wish of a gateway"),
        (LIMIT % ROOM, "in force"),
        (f"max by (bound) (vestibule_adaptive_bound{ROOM} >= 0)", "{{bound}}"),
    ),
    plot(
        "Why it is where it is",
        (f"sum by (reason) (vestibule_adaptive_reason{ROOM}) > 0", "{{reason}}"),
        about="how many gateways give which reason; nothing where the rate does not adapt",
    ),
    plot(
        "Requests that wait for an answer, and errors",
        (f"sum by (room) (vestibule_upstream_in_flight{ROOM})", "waiting"),
        (f"max by (room) (vestibule_upstream_error_ratio{ROOM}) * 100", "errors in 100"),
    ),
]

GATEWAY = [
    stat("Gateways up", f'sum(up{{job="vestibule",instance=~"$instance"}})'),
    stat("Connections", f"sum(vestibule_connections{INSTANCE})"),
    stat("Live connections", f"sum(vestibule_live_connections{INSTANCE})"),
    stat("Memory", f'sum(process_resident_memory_bytes{{job="vestibule",instance=~"$instance"}})', unit="bytes"),
    stat("Restores of the line", f"sum(vestibule_restores_total{INSTANCE})"),
    stat("Versions that run", f"count(count by (version) (vestibule_build_info{INSTANCE}))", about="more than 1 during an upgrade"),
    plot(
        "Connections",
        (f"sum by (instance) (vestibule_connections{INSTANCE})", "{{instance}}"),
        (f"sum by (instance) (vestibule_live_connections{INSTANCE})", "{{instance}}, of visitors in line"),
    ),
    plot("Live frames a second", (f"sum by (instance) (rate(vestibule_live_frames_total{INSTANCE}[30s]))", "{{instance}}")),
    plot("Refused a second, by reason", (f"sum by (reason) (rate(vestibule_refused_total{INSTANCE}[1m]))", "{{reason}}")),
    plot(
        "Calls to the line's store, 99 of 100",
        (quantile(0.99, "vestibule_store_call_seconds", "verb, le"), "{{verb}}"),
        unit="s",
    ),
    plot("Calls to the line's store, a second", (f"sum by (verb) (rate(vestibule_store_call_seconds_count{INSTANCE}[30s]))", "{{verb}}")),
    plot("The store answers", (f"min by (instance) (vestibule_store_up{INSTANCE})", "{{instance}}")),
    plot(
        "Addresses of the sites: which get requests",
        (f"min by (room, upstream) (vestibule_upstream_up{INSTANCE})", "{{room}}: {{upstream}}"),
        about="0 while its checks fail, or after it failed again and again",
    ),
    plot(
        "Requests that an address has not answered whole",
        (f"sum by (room, upstream) (vestibule_upstream_outstanding{INSTANCE})", "{{room}}: {{upstream}}"),
    ),
    plot(
        "Failures of an address, a minute",
        (f"sum by (room, upstream) (rate(vestibule_upstream_failures_total{INSTANCE}[1m])) * 60", "{{room}}: {{upstream}}"),
        (f"sum by (room, upstream) (increase(vestibule_upstream_ejections_total{INSTANCE}[5m]))", "{{room}}: {{upstream}}, out in 5 minutes"),
    ),
    plot(
        "Clock of the line's store, ahead of the gateway's",
        (f"max by (instance) (vestibule_store_clock_ahead_seconds{INSTANCE})", "{{instance}}"),
        unit="s",
    ),
    plot(
        "How busy the threads are",
        (f"rate(vestibule_runtime_busy_seconds_total{INSTANCE}[1m]) / on (instance, runtime) vestibule_runtime_workers{INSTANCE}",
         "{{instance}} {{runtime}}"),
        unit="percentunit",
        width=8,
    ),
    plot("Tasks", (f"vestibule_runtime_tasks{INSTANCE}", "{{instance}} {{runtime}}"), width=8),
    plot("Tasks that wait for a thread", (f"vestibule_runtime_queue_depth{INSTANCE}", "{{instance}} {{runtime}}"), width=8),
    plot("Processor, in cores", (f'rate(process_cpu_seconds_total{{job="vestibule",instance=~"$instance"}}[1m])', "{{instance}}"), width=8),
    plot("Memory", (f'process_resident_memory_bytes{{job="vestibule",instance=~"$instance"}}', "{{instance}}"), unit="bytes", width=8),
    plot(
        "Open files, of those allowed",
        (f'process_open_fds{{job="vestibule",instance=~"$instance"}} / '
         f'process_max_fds{{job="vestibule",instance=~"$instance"}}', "{{instance}}"),
        unit="percentunit",
        width=8,
    ),
]

BOOKING = [
    stat("Seats left", "sum(min by (inventory) (booking_available))"),
    stat("Held now", "max(booking_holds_active)"),
    stat("Paid, a minute", 'sum(rate(booking_payments_total{result="kept"}[1m])) * 60'),
    stat("Oldest task of the outbox", "max(booking_outbox_lag_seconds)", unit="s"),
    stat("Ledger contradicts", "max(booking_ledger_faults)", about="payments; 0 is the only good figure"),
    stat("Databases away", "max(booking_databases_away)"),
    plot("Requests for seats a second", ("sum by (result) (rate(booking_holds_total[30s]))", "{{result}}")),
    plot(
        "Time to hold a seat",
        (quantile(0.5, "booking_hold_seconds", "le"), "half of them"),
        (quantile(0.99, "booking_hold_seconds", "le"), "99 of 100"),
        unit="s",
    ),
    plot("Seats left", ("min by (inventory) (booking_available)", "{{inventory}}")),
    plot(
        "Requests in one commit",
        ("sum(rate(booking_batch_size_sum[30s])) / sum(rate(booking_batch_size_count[30s]))", "the mean"),
    ),
    plot(
        "Payments a second",
        ("sum by (result) (rate(booking_payments_total[30s]))", "{{result}}"),
        ("sum(rate(booking_refunds_total[30s]))", "refunded"),
        ("sum(rate(booking_voids_total[30s]))", "let go"),
    ),
    plot("Money, by account", ("max by (account) (booking_ledger_paise) / 100", "{{account}}"), unit="currencyINR"),
    plot("Oldest task of the outbox", ("max(booking_outbox_lag_seconds)", "age"), unit="s", width=8),
    plot(
        "What the reconciler finds",
        ("max(booking_reconciler_discrepancies)", "told differently"),
        ("sum(increase(booking_reconciler_orphans_total[5m]))", "known to nobody, in 5 minutes"),
        width=8,
    ),
    plot(
        "News for the gateways",
        ("max(booking_notices_waiting)", "waiting"),
        ("sum(rate(booking_notice_failures_total[1m])) * 60", "not taken, a minute"),
        width=8,
    ),
]


def choice(name, label, query, several):
    chosen = {"selected": True, "text": ["All"], "value": ["$__all"]} if several else {}
    return {
        "name": name, "label": label, "type": "query", "datasource": SOURCE, "refresh": 2, "sort": 1,
        "query": {"query": query, "refId": name}, "includeAll": several, "multi": several,
        **({"allValue": ".*", "current": chosen} if several else {}),
    }


A_ROOM = choice("room", "Room", "label_values(vestibule_waiting, room)", False)
GATEWAYS = choice("instance", "Gateway", "label_values(vestibule_connections, instance)", True)

DASHBOARDS = {
    "vestibule": ("Vestibule: all rooms", OVERVIEW, [], ""),
    "vestibule-sale": ("Vestibule: one sale", SALE, [A_ROOM], ROOM),
    "vestibule-gateway": ("Vestibule: gateways", GATEWAY, [GATEWAYS], ""),
    "vestibule-booking": ("Vestibule: booking core", BOOKING, [], ""),
}


def panel(number, at, given):
    width, height = given["size"]
    targets = [
        {"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
        for i, (expression, legend) in enumerate(given["targets"])
    ]
    drawn = {
        "id": number, "type": given["type"], "title": given["title"], "description": given["about"],
        "datasource": SOURCE, "gridPos": {"x": at[0], "y": at[1], "w": width, "h": height},
        "fieldConfig": {"defaults": {"unit": given["unit"], "min": 0}, "overrides": []}, "targets": targets,
    }
    if given["type"] == "stat":
        del drawn["fieldConfig"]["defaults"]["min"]
        drawn["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "none", "graphMode": "area"}
    else:
        drawn["options"] = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    return drawn


def panels(given):
    x = y = height = 0
    for number, one in enumerate(given, 1):
        if x + one["size"][0] > COLUMNS:
            x, y, height = 0, y + height, 0
        yield panel(number, (x, y), one)
        x, height = x + one["size"][0], max(height, one["size"][1])


def dashboard(uid, title, given, choices, room):
    changes = {
        "name": "What operators changed", "datasource": SOURCE, "enable": True, "iconColor": "orange",
        "expr": f"sum by (room, action) (increase(vestibule_changes_total{room}[15s])) > 0",
        "titleFormat": "{{room}}: {{action}}", "step": "15s",
    }
    others = {
        "title": "Vestibule", "type": "dashboards", "tags": ["vestibule"], "asDropdown": False, "includeVars": False,
        "keepTime": True,
    }
    return {
        "uid": uid, "title": title, "tags": ["vestibule"], "schemaVersion": 39, "version": 1, "editable": False,
        "refresh": "5s", "timezone": "browser", "time": {"from": "now-15m", "to": "now"}, "links": [others],
        "templating": {"list": choices}, "annotations": {"list": [changes]}, "panels": list(panels(given)),
    }


def main():
    texts = {
        FOLDER / f"{uid}.json": json.dumps(dashboard(uid, *rest), indent=1) + "\n" for uid, rest in DASHBOARDS.items()
    }
    if sys.argv[1:] == ["--check"]:
        stale = [path.name for path, text in texts.items() if not path.exists() or path.read_text() != text]
        stale += [path.name for path in FOLDER.glob("*.json") if path not in texts]
        sys.exit(f"run deploy/grafana/draw.py: {', '.join(stale)}" if stale else None)
    for path, text in texts.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
