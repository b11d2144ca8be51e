//! Who is here, on this gateway: with a live connection, or by a recent poll.
//!
//! Times are of the gateway's steady clock, so that nobody goes when somebody sets the time of day.
//!
//! What changed since the last tick goes to the store with the next one; nothing is said of a
//! visitor who just stays.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::line::{Number, Numbers};

/// The visitors of one room that this gateway vouches for.
#[derive(Debug, Default)]
pub struct Presence(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    here: HashMap<Number, Here>,
    /// What the store has not been told yet: came, or went.
    untold: HashMap<Number, bool>,
    /// When polls are looked at, the first on top: once for each visitor, however often they poll.
    polls: BinaryHeap<Reverse<(u64, Number)>>,
    /// The store has to be told of everyone.
    forgotten: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Here {
    connections: u32,
    poll_until_ms: u64,
    /// When that is looked at; 0 for never.
    due_ms: u64,
}

/// What the store is to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Who came.
    pub here: Numbers,
    /// Who went.
    pub gone: Numbers,
}

impl Presence {
    /// Notes a live connection.
    pub fn connect(&self, number: Number) {
        let mut inner = self.lock();
        inner.come(number).connections += 1;
    }

    /// Notes that a live connection ended; the last one takes the visitor away at once.
    pub fn disconnect(&self, number: Number, steady_ms: u64) {
        let mut inner = self.lock();
        if let Some(here) = inner.here.get_mut(&number) {
            here.connections = here.connections.saturating_sub(1);
            inner.drop_if_gone(number, steady_ms);
        }
    }

    /// Notes a poll, good for `lease_ms`; one that is good for longer stays so.
    pub fn poll(&self, number: Number, steady_ms: u64, lease_ms: u64) {
        let mut inner = self.lock();
        let until_ms = steady_ms + lease_ms;
        let here = inner.come(number);
        here.poll_until_ms = here.poll_until_ms.max(until_ms);
        if here.due_ms == 0 {
            here.due_ms = until_ms;
            inner.polls.push(Reverse((until_ms, number)));
        }
    }

    /// Returns what changed since the last time, and takes it as told.
    pub fn take_changes(&self, steady_ms: u64) -> Changes {
        let mut inner = self.lock();
        inner.expire_polls(steady_ms);
        if std::mem::take(&mut inner.forgotten) {
            let here: Vec<Number> = inner.here.keys().copied().collect();
            inner.untold.extend(here.into_iter().map(|number| (number, true)));
        }
        let untold = std::mem::take(&mut inner.untold);
        let of = |came| untold.iter().filter(move |(_, c)| **c == came).map(|(number, _)| *number).collect();
        Changes { here: of(true), gone: of(false) }
    }

    /// Takes back what could not be told; what has changed since then counts more.
    pub fn put_back(&self, changes: &Changes) {
        let mut inner = self.lock();
        for (numbers, came) in [(&changes.here, true), (&changes.gone, false)] {
            numbers.iter().for_each(|number| {
                inner.untold.entry(number).or_insert(came);
            });
        }
    }

    /// Notes that the store has forgotten whom this gateway vouches for.
    pub fn forget_told(&self) {
        self.lock().forgotten = true;
    }

    /// Counts who is here.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().here.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn come(&mut self, number: Number) -> &mut Here {
        let untold = &mut self.untold;
        self.here.entry(number).or_insert_with(|| {
            untold.insert(number, true);
            Here::default()
        })
    }

    fn drop_if_gone(&mut self, number: Number, steady_ms: u64) {
        let gone = |here: &Here| here.connections == 0 && here.poll_until_ms <= steady_ms;
        if self.here.get(&number).is_some_and(gone) {
            self.here.remove(&number);
            self.untold.insert(number, false);
        }
    }

    fn expire_polls(&mut self, steady_ms: u64) {
        while let Some(&Reverse((until_ms, number))) = self.polls.peek() {
            if until_ms > steady_ms {
                break;
            }
            self.polls.pop();
            let Some(here) = self.here.get_mut(&number).filter(|here| here.due_ms == until_ms) else { continue };
            let has_polled_since = here.poll_until_ms > steady_ms;
            here.due_ms = if has_polled_since { here.poll_until_ms } else { 0 };
            if has_polled_since {
                self.polls.push(Reverse((here.due_ms, number)));
            } else {
                self.drop_if_gone(number, steady_ms);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(presence: &Presence, now_ms: u64) -> (String, String) {
        let changes = presence.take_changes(now_ms);
        (changes.here.to_string(), changes.gone.to_string())
    }

    #[test]
    fn only_changes_are_told() {
        let presence = Presence::default();
        presence.connect(1);
        presence.connect(1);
        presence.connect(2);
        assert_eq!(changes(&presence, 0), ("1-2".into(), String::new()));
        presence.disconnect(1, 0);
        assert_eq!(changes(&presence, 0), (String::new(), String::new()), "a second tab is still there");
        presence.disconnect(1, 0);
        assert_eq!(changes(&presence, 0), (String::new(), "1".into()));
    }

    #[test]
    fn a_poll_is_good_for_its_lease() {
        let presence = Presence::default();
        presence.poll(7, 0, 100);
        presence.poll(7, 50, 100);
        assert_eq!(changes(&presence, 149), ("7".into(), String::new()));
        assert_eq!(changes(&presence, 150), (String::new(), "7".into()));
    }

    #[test]
    fn however_often_somebody_polls_they_are_looked_at_once() {
        let presence = Presence::default();
        (0..1_000).for_each(|now_ms| presence.poll(7, now_ms, 100));
        assert_eq!(presence.lock().polls.len(), 1);
        assert_eq!(changes(&presence, 1_098), ("7".into(), String::new()));
        assert_eq!(presence.lock().polls.len(), 1);
        presence.poll(7, 1_098, 50);
        presence.poll(7, 1_098, 1);
        assert_eq!(changes(&presence, 1_147), Default::default(), "one that is good for longer stays so");
        assert_eq!(changes(&presence, 1_148), (String::new(), "7".into()));
        assert_eq!(presence.lock().polls.len(), 0);
    }

    #[test]
    fn a_short_lease_does_not_wait_for_a_long_one() {
        let presence = Presence::default();
        presence.poll(7, 0, 1_000);
        presence.poll(8, 0, 100);
        assert_eq!(changes(&presence, 0), ("7-8".into(), String::new()));
        assert_eq!(changes(&presence, 100), (String::new(), "8".into()));
    }

    #[test]
    fn what_was_not_told_is_told_later() {
        let presence = Presence::default();
        presence.connect(1);
        presence.connect(2);
        let untold = presence.take_changes(0);
        presence.disconnect(1, 0);
        presence.put_back(&untold);
        assert_eq!(changes(&presence, 0), ("2".into(), "1".into()));
        presence.forget_told();
        assert_eq!(changes(&presence, 0), ("2".into(), String::new()));
    }
}
