"""What goes wrong, and in which order: the same seed deals the same faults. Pure; nothing is started here."""

import dataclasses, random

PROCESSES = ("gateway-a", "gateway-b", "redis", "postgresql", "booking", "bank")
WIRES = ("gateway-a:redis", "gateway-b:redis", "gateway-a:booking", "gateway-b:booking", "booking:postgresql", "booking:bank", "bank:booking")

# What may happen, to whom, and for how many seconds. A gateway's lease on its visitors is 10 s.
SPANS = {
    "kill": (PROCESSES, 0.2, 4.0),  # kill -9; started again after so long
    "freeze": (PROCESSES, 1.0, 8.0),  # SIGSTOP, then SIGCONT
    "outlast": (("gateway-a", "gateway-b", "redis"), 11.0, 15.0),  # frozen for longer than the lease
    "forget": (("redis",), 0.2, 2.0),  # killed, and started again with nothing on disk
    "cut": (WIRES, 0.5, 7.0),  # connections are reset, new ones too
    "silence": (WIRES, 1.0, 7.0),  # nothing passes; then what was held back arrives
    "deaf": (WIRES, 0.5, 4.0),  # questions pass, answers are lost; then connections are reset
    "slow": (WIRES, 2.0, 7.0),  # 40 to 120 ms are added to every message
    "unwell": (("bank",), 3.0, 7.0),  # refuses, is late, answers nonsense, tells things three times
}  # fmt: skip
TWO_AT_ONCE = 0.2
PAUSE_S = (0.5, 2.5)
HEALING_S = 1.0
"""What a round allows for the healing after each stroke when it is filled; how long it truly takes is measured."""


@dataclasses.dataclass(frozen=True)
class Fault:
    verb: str
    whom: str
    lasts_s: float
    after_s: float = 0.0
    """How long after the first fault of its stroke it begins."""

    def name(self):
        return f"{self.verb} {self.whom}"


@dataclasses.dataclass(frozen=True)
class Stroke:
    """One fault, or two at once; the next stroke waits until everything is well again, and then for the pause."""

    pause_s: float
    faults: tuple

    def lasts_s(self):
        return max(fault.after_s + fault.lasts_s for fault in self.faults)


def rounds(minutes, seed):
    """Deals rounds of about a minute. Every card of the deck is dealt before one comes twice."""
    count = max(1, round(minutes))
    dealer = Dealer(seed)
    return [dealer.round(60 * minutes / count) for _ in range(count)]


class Dealer:
    # Of Python's generator only `random()` is promised to stay what it is in later versions.
    def __init__(self, seed):
        self.chance, self.deck = random.Random(seed), []

    def between(self, low, high):
        return round(low + (high - low) * self.chance.random(), 2)

    def card(self):
        if not self.deck:
            self.deck = [(verb, whom) for verb, (everyone, *_) in SPANS.items() for whom in everyone]
            for i in range(len(self.deck) - 1, 0, -1):
                j = int(self.chance.random() * (i + 1))
                self.deck[i], self.deck[j] = self.deck[j], self.deck[i]
        verb, whom = self.deck.pop()
        return Fault(verb, whom, self.between(*SPANS[verb][1:]))

    def stroke(self):
        pause_s, first = self.between(*PAUSE_S), self.card()
        if self.chance.random() >= TWO_AT_ONCE:
            return Stroke(pause_s, (first,))
        second = self.card()
        # One thing is not broken in two ways at once.
        if set(first.whom.split(":")) & set(second.whom.split(":")):
            self.deck.append((second.verb, second.whom))
            return Stroke(pause_s, (first,))
        return Stroke(pause_s, (first, dataclasses.replace(second, after_s=round(first.lasts_s / 2, 2))))

    def round(self, length_s):
        strokes, filled_s = [], 0.0
        while filled_s < length_s:
            stroke = self.stroke()
            strokes.append(stroke)
            filled_s += stroke.pause_s + stroke.lasts_s() + HEALING_S
        return strokes
