"""Is everything well? Newcomers through each gateway, and whole purchases, four times a second, as long as a drill lasts."""

import itertools, json, os, threading, time

from house import ask

BEAT_S = 0.25
TIMEOUT_S = 5.0
AT_ONCE_MAX = 24
"""Beats of one kind that may be under way: some more than come within the timeout."""


class Pulse:
    """Beats by itself until it is stopped. What each beat came to is kept as (begin, end, whether it went well)."""

    def __init__(self, house):
        self.house, self.run, self.count = house, f"{os.getpid()}-{time.time_ns()}", itertools.count()
        self.beats = {"gateway-a": [], "gateway-b": [], "purchase": []}
        self.over = threading.Event()
        self.places = {name: threading.BoundedSemaphore(AT_ONCE_MAX) for name in self.beats}
        acts = {name: lambda name=name: self.come_in(name) for name in ("gateway-a", "gateway-b")} | {"purchase": self.buy}
        self.threads = [threading.Thread(target=self.beat, args=item, daemon=True) for item in acts.items()]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(timeout=2 * TIMEOUT_S)

    def beat(self, name, act):
        while not self.over.wait(BEAT_S):
            if self.places[name].acquire(blocking=False):
                threading.Thread(target=self.once, args=(name, act), daemon=True).start()
            else:
                now = time.monotonic()
                self.beats[name].append((now, now, False))

    def once(self, name, act):
        began = time.monotonic()
        try:
            went_well = act()
        except (OSError, ValueError, KeyError):
            went_well = False
        finally:
            self.places[name].release()
        self.beats[name].append((began, time.monotonic(), went_well))

    def come_in(self, gateway):
        """A newcomer gets a place, is called at once, and is let through to the booking API, which asks its database."""
        return ask(f"{self.house.url(gateway)}/readyz", timeout_s=TIMEOUT_S, Accept="application/json")[0] == 200

    def buy(self):
        """A seat is held and paid; it goes well when there is a booking."""
        api, key, end = f"{self.house.url('booking')}/api", f"pulse-{self.run}-{next(self.count)}", time.monotonic() + TIMEOUT_S
        status, held = ask(f"{api}/holds", {"inventory": self.house.canary, "quantity": 1}, timeout_s=TIMEOUT_S, Idempotency_Key=f"{key}-hold")
        if status != 201:
            return False
        hold = f"{api}/holds/{json.loads(held)['id']}"
        status, _ = ask(f"{hold}/payments", {"method": "sim_ok"}, timeout_s=TIMEOUT_S, Idempotency_Key=f"{key}-pay")
        while status in (200, 201, 202) and time.monotonic() < end:
            if json.loads(ask(hold, timeout_s=TIMEOUT_S)[1]).get("status") == "confirmed":
                return True
            time.sleep(0.1)
        return False

    def healed_s(self, name, since):
        """Seconds from an instant to the end of the first beat begun after it that went well; `None` if there is none yet."""
        ends = [end for began, end, went_well in self.beats[name] if went_well and began >= since]
        return min(ends) - since if ends else None

    def all_healed_s(self, since):
        healed = [self.healed_s(name, since) for name in self.beats]
        return None if None in healed else max(healed)

    def felt(self, since, until):
        """Which kinds of beat failed that began in a span of time."""
        return [name for name, beats in self.beats.items() if any(not well and since <= began < until for began, _, well in beats)]
