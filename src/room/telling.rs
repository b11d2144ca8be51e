//! What a room tells the store at a tick, and again where it may not have been heard.

use std::sync::atomic::Ordering;

use super::{LEASE_MS, Room};
use crate::line::{Known, Number, Numbers, Renewal, Roll, Slots, Tick};
use crate::presence::Changes;

impl Room {
    /// Makes the next tick out of all that there is to say, in numbers.
    pub fn take_tick(&self) -> Tick {
        let pending = self.pending().take_some();
        let Changes { here, all_here, gone } = self.changes(!pending.returned.is_empty());
        Tick {
            gateway: self.shared.gateway,
            serial: self.ticks.fetch_add(1, Ordering::Relaxed) + 1,
            lease_ms: LEASE_MS,
            here,
            all_here,
            gone,
            returned: pending.returned.into_iter().collect(),
            left: pending.left.into_iter().collect(),
            ended: group_by_end(pending.ended),
            renewed: self.renewals(pending.renewed),
            wish_us: self.pacing.wish_us(),
            introduced: pending.introduced,
            known: Known::default(),
        }
    }

    /// Returns what is to be told of who is here: nothing to a store that did not answer the last tick, for once it does,
    /// all is told again, and that is not gathered for every try. But whoever has returned is told of as here at once, lest
    /// somebody behind them is called first.
    fn changes(&self, has_returned: bool) -> Changes {
        let steady_ms = self.shared.clock.steady_ms();
        if has_returned || self.is_heard.load(Ordering::Relaxed) {
            let line = self.mirror.read(Roll::outline);
            return self.presence.take_changes(steady_ms, |(epoch, number)| line.is_strange(epoch, number));
        }
        self.presence.expire(steady_ms);
        Changes::default()
    }

    /// Finds out what the store needs to know of sessions that are to go on, as they are known now: since it was asked for,
    /// the line may have been restored.
    fn renewals(&self, numbers: Vec<Number>) -> Vec<Renewal> {
        if numbers.is_empty() {
            return Vec::new();
        }
        let now_s = self.line_now().latest_s();
        let numbers: Numbers = numbers.into_iter().collect();
        self.mirror.read(|roll| numbers.iter().filter_map(|number| roll.renewal(number, now_s)).collect())
    }

    /// Notes whether the store answered a tick.
    pub fn note_heard(&self, is_heard: bool) {
        self.is_heard.store(is_heard, Ordering::Relaxed);
    }

    /// Takes back a tick, in numbers, that may not have reached the store, or that spoke of places from before a draw.
    pub fn put_back(&self, tick: Tick) {
        self.presence.forget_told();
        self.hold(tick);
    }

    /// Says again with the next tick what this one said of places, but not who is here.
    pub fn hold(&self, tick: Tick) {
        let mut pending = self.pending();
        pending.returned.extend(tick.returned.iter());
        pending.left.extend(tick.left.iter());
        let ended = tick.ended.iter().flat_map(|e| e.numbers.iter().map(|number| (e.ends_s, number)));
        pending.ended.extend(ended);
        pending.renewed.extend(tick.renewed.iter().map(|renewal| renewal.number));
        pending.introduced.extend(tick.introduced);
    }
}

fn group_by_end(mut ended: Vec<(u64, Number)>) -> Vec<Slots> {
    ended.sort_unstable();
    ended
        .chunk_by(|a, b| a.0 == b.0)
        .map(|group| {
            let numbers: Numbers = group.iter().map(|(_, number)| *number).collect();
            Slots { ends_s: group[0].0, numbers }
        })
        .collect()
}
