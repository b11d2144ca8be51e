"""What a drill came to, for people and as JSON."""

import re, statistics

FELT = {"gateway-a": "newcomers", "gateway-b": "newcomers", "purchase": "purchases"}


def by_kind(strokes):
    """Groups the faults that came alone by kind, whichever gateway it was; two at once are a kind of their own."""
    kinds = {}
    for stroke in strokes:
        name = stroke["faults"][0]["name"] if len(stroke["faults"]) == 1 else "two at once"
        kinds.setdefault(re.sub("gateway-[ab]", "gateway", name), []).append(stroke)
    return dict(sorted(kinds.items()))


def table(strokes):
    """A table in Markdown: how often each fault came, what was felt of it, and how soon all was well after it."""
    lines = ["| fault | times | failed meanwhile | well again after, median | at most |", "|---|--:|---|--:|--:|"]
    for name, group in by_kind(strokes).items():
        felt = sorted({FELT[kind] for stroke in group for kind in stroke["felt"]})
        healed = [stroke["healed_s"] for stroke in group if stroke["healed_s"] is not None]
        middle, most = (f"{statistics.median(healed):.2f} s", f"{max(healed):.2f} s") if healed else ("never", "never")
        lines.append(f"| {name} | {len(group)} | {', '.join(felt) or 'nothing'} | {middle} | {most} |")
    return "\n".join(lines)


def summary(told):
    """The few lines that end a drill."""
    rounds = told["rounds"]
    total = lambda key: sum((round["crowd"] or {}).get(key, 0) for round in rounds)
    strokes = [stroke for round in rounds for stroke in round["strokes"]]
    lines = [
        table(strokes), "",
        f"{len(rounds)} rounds, {len(strokes)} strokes, {sum(len(stroke['faults']) for stroke in strokes)} faults, seed {told['seed']}, {told['seconds']} s",
        f"{total('visitors')} visitors, {total('admitted')} let in, {total('sold')} bookings, {total('told')} told that it is sold out, "
        f"{total('gave_up')} gave up, {total('unfinished')} unfinished; {told['beats']} beats of the pulse",
    ]  # fmt: skip
    if told["faults"]:
        return "\n".join([*lines, *(f"FAILED: {fault}" for fault in told["faults"])])
    return "\n".join([*lines, "Every check held: nothing oversold, no money without a booking, no place lost, nobody called twice, order and rate kept."])
