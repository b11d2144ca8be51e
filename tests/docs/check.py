#!/usr/bin/env python3
"""Holds the documents to the code: links, configuration keys, metrics, refusals, status fields, commands that no test runs
(commands.py), and the page of Python in docs/fairness.md, which has to find a true log true and an edited one edited. Needs no
library; VESTIBULE_BIN and BOOKING_API are the programs."""

import hashlib, json, pathlib, re, subprocess, sys, tempfile

sys.dont_write_bytecode = True

import commands  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
faults = []


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def code(path):
    return read(path).split("#[cfg(test)]")[0]


def need(what, wanted, text):
    """Every wanted word stands in the text."""
    for word in sorted(wanted):
        before = r"(?<!\w)" if word[0].isalnum() else ""
        if not re.search(rf"{before}{re.escape(word)}(?!\w)", text):
            faults.append(f"{what}: `{word}` is missing")


def prose(path):
    return re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)


def anchors(path):
    headings = re.findall(r"^#+ (.*)$", prose(path), flags=re.M)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def check_links():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("booking-core/**/*.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if link.startswith(("http:", "https:")):
                continue
            if not target.exists() or (anchor and anchor not in anchors(target)):
                faults.append(f"{page.relative_to(ROOT)}: {link} leads nowhere")


def check_words():
    protocol, reference = read("docs/protocol.md"), read("vestibule.toml")
    reader = r'\.(?:text|parsed|parsed_list|whole|number|duration|choice|instant)(?:::<[^>]*>)?\(\s*"([a-z_]+)"'
    need("vestibule.toml", set(re.findall(reader, code("src/config.rs"))), reference)
    metrics = r'(?:opts|counters|gauges|floats|histograms?)\(\s*"([a-z_]+)"'
    # In the document, metrics of one row share the prefix of the first.
    need("docs/protocol.md, metrics", set(re.findall(metrics, code("src/metrics.rs") + code("src/metrics/runtimes.rs"))), re.sub(r"\b(vestibule)?_(?=[a-z])", "", protocol))
    need("docs/protocol.md, metrics", {"booking_" + name for name in re.findall(metrics, code("booking-core/src/metrics.rs"))}, protocol)
    kinds = r'told\(\s*StatusCode::\w+,\s*"([a-z_]+)"'
    need("docs/protocol.md, refusals", {"/problems/" + kind for kind in re.findall(kinds, code("src/respond/told.rs"))}, protocol)
    fields = lambda path, name: re.findall(r"pub (\w+):", code(path).split(f"pub struct {name} {{")[1].split("\n}")[0])
    need("docs/protocol.md, status", set(fields("src/status.rs", "Status")), protocol)
    need("docs/protocol.md, log", set(fields("src/line.rs", "Entry")), protocol)
    need("docs/protocol.md, report", set(fields("src/cli/crowd/report.rs", "Report")), protocol)
    actions = re.findall(r'^\s+"([a-z-]+)"(?: \| "([a-z-]+)")? => ', code("src/console/actions.rs"), flags=re.M)
    words = {f"/{word}" for pair in actions for word in pair if word}
    need("docs/protocol.md, actions", words, protocol)
    need("docs/api/admin.json, actions", {"/api/rooms/{room}" + word for word in words}, read("docs/api/admin.json"))


def log(rate_us):
    """A small true log: ten come, one is passed over and called later."""
    limits = {"interval_us": rate_us, "burst": 2, "total_active_users": None, "session_duration_s": 60, "grace_ms": 60000}
    settings = {"phase": "open", "limits": limits, "configured": limits, "message": "Zügig „los“"}
    steps = [{"settings": settings}, {}, {"called": "1,3", "ends_s": 61, "tat_us": 1_000_000 + 2 * rate_us}, {"called": "2", "ends_s": 61, "tat_us": 1_200_000 + 3 * rate_us}]
    link, lines = "00" * 32, []
    for seq, step in enumerate(steps, 1):
        entry = {"seq": seq, "at_us": 1_000_000 + (seq - 3) * 200_000, "epoch": 1, "issued": 0 if seq == 1 else 10, **step}
        text = json.dumps(entry, separators=(",", ":"), ensure_ascii=False)
        prev, link = link, hashlib.sha256(bytes.fromhex(link) + text.encode()).hexdigest()
        lines.append(json.dumps({"prev": prev, "hash": link, **entry}, separators=(",", ":"), ensure_ascii=False))
    return lines


def opening(first, link=None):
    """The line that says what came before the second entry."""
    entry = json.loads(first)
    start = {"seq": 1, "link": link or entry["hash"], "epoch": 1, "issued": 0, "tat_us": 0, "settings": entry["settings"]}
    return json.dumps({"start": start}, separators=(",", ":"), ensure_ascii=False)


def adapting(pace_us):
    """A small true log of a rate that adapts: 10 a second, then as slow as is said, and a third call 0.9 s after."""
    lines = [json.loads(line) for line in log(100_000)[:2]]
    lines[0]["settings"]["limits"]["floor_interval_us"] = 1_000_000
    at = lines[1]["at_us"]
    steps = [{"called": "1-2", "ends_s": 60, "tat_us": at + 200_000}, {"pace_us": pace_us}, {"called": "3", "ends_s": 61, "tat_us": at + 900_000 + 3 * pace_us}]
    for seq, (step, later) in enumerate(zip(steps, (0, 0, 900_000)), 3):
        lines.append({"seq": seq, "at_us": at + later, "epoch": 1, "issued": 10, **step})
    return chained(lines)


def renewing(until_s, called, who="1", ends_s=90):
    """A small log of a room for two: somebody is renewed after half a minute, and some are called after a whole one."""
    lines = [json.loads(line) for line in log(100_000)[:2]]
    lines[0]["settings"]["limits"].update(total_active_users=2, interval_us=0)
    at_s = lines[1]["at_us"] // 1_000_000
    steps = [
        (0, {"called": "1-2", "ends_s": at_s + 60}),
        (30, {"ends_s": at_s + ends_s, "renewed": [{"ends_s": at_s + until_s, "numbers": who}]}),
        (60, {"called": called, "ends_s": at_s + 120}),
    ]
    for seq, (after_s, step) in enumerate(steps, 3):
        lines.append({"seq": seq, "at_us": (at_s + after_s) * 1_000_000, "epoch": 1, "issued": 10, **step})
    return chained(lines)


def put_back():
    """A small true log of a room for two: two are inside, an entry finds their sessions over, the clock is put back, another is called."""
    lines = [json.loads(line) for line in log(100_000)[:2]]
    lines[0]["settings"]["limits"].update(total_active_users=2, interval_us=0)
    at_s = lines[1]["at_us"] // 1_000_000
    steps = [(0, {"called": "1-2", "ends_s": at_s + 60}), (61, {}), (58, {"called": "3", "ends_s": at_s + 118})]
    for seq, (after_s, step) in enumerate(steps, 3):
        lines.append({"seq": seq, "at_us": (at_s + after_s) * 1_000_000, "epoch": 1, "issued": 10, **step})
    return chained(lines)


def chained(lines):
    link, written = "00" * 32, []
    for entry in lines:
        entry = {name: value for name, value in entry.items() if name not in ("prev", "hash")}
        text = json.dumps(entry, separators=(",", ":"), ensure_ascii=False)
        prev, link = link, hashlib.sha256(bytes.fromhex(link) + text.encode()).hexdigest()
        written.append(json.dumps({"prev": prev, "hash": link, **entry}, separators=(",", ":"), ensure_ascii=False))
    return written


def check_page_of_python():
    pages = re.findall(r"```python\n(.*?)```", read("docs/fairness.md"), flags=re.S)
    page = next(page for page in pages if "passed_over" in page)
    true = log(100_000)
    cases = {
        "a true log": (true, 0, "1 were passed over because they were away; 1 of them were called later"),
        "a log with what came before": ([opening(true[0])] + true[1:], 0, "1 were passed over"),
        "another beginning": ([opening(true[0], "11" * 32)] + true[1:], 1, "entry 2: the chain is broken"),
        "an edited entry": ([line.replace('"1,3"', '"1,4"') for line in true], 1, "entry 3: the chain is broken"),
        "a missing entry": (true[:1] + true[2:], 1, "entry 3: 2 should be here"),
        "a rate that adapts": (adapting(500_000), 0, "the rate was checked"),
        "too fast for a rate that adapts": (adapting(1_000_000), 1, "entry 5: 1 more than rate and burst allow"),
        "a renewed session": (renewing(60, "3"), 0, "no fault"),
        "a renewal of another session": (renewing(61, "3"), 1, "entry 4: 1 was renewed, but was not inside until then"),
        "a renewal that shortens": (renewing(60, "3", ends_s=59), 1, "entry 4: 1 was renewed, but was not inside until then"),
        "a renewal for too long": (renewing(60, "3", ends_s=91), 1, "entry 4: sessions end at"),
        "a renewal of somebody who waits": (renewing(60, "3", who="3"), 1, "entry 4: 3 was renewed, but was not inside until then"),
        "a clock that was put back": (put_back(), 0, "no fault"),
        "too many beside a renewed session": (renewing(60, "3-4"), 1, "entry 5: 3 are inside, and 2 may be"),
        "too fast a call": (log(900_000), 1, "entry 4: 1 more than rate and burst allow"),
    }
    with tempfile.TemporaryDirectory() as folder:
        program, file = pathlib.Path(folder, "check.py"), pathlib.Path(folder, "log.jsonl")
        program.write_text(page, encoding="utf-8")
        for name, (lines, status, part) in cases.items():
            file.write_text("\n".join(lines) + "\n", encoding="utf-8")
            done = subprocess.run([sys.executable, program, file], capture_output=True, text=True)
            if done.returncode != status or part not in done.stdout:
                faults.append(f"docs/fairness.md: {name}: exit {done.returncode}, said\n{done.stdout}{done.stderr}")


check_links()
check_words()
check_page_of_python()
faults += commands.faults()
print("\n".join(faults) or "the documents hold: links, keys, metrics, refusals, fields, actions, commands, the page of Python")
sys.exit(bool(faults))
