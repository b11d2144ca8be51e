//! Who is here, on this gateway: with a live connection, or by a recent poll.
//!
//! Times are of the gateway's steady clock, so that nobody goes when somebody sets the time of day.
//!
//! What changed since the last tick goes to the store with the next one; nothing is said of a
//! visitor who just stays, unless the store asks for everyone.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::line::{Epoch, Number, Numbers};

/// Who holds a ticket: the number, and the epoch in which it was given. After everything was lost, a new line gives the
/// numbers of the old one again.
pub type Holder = (Epoch, Number);

/// The visitors of one room that this gateway vouches for.
#[derive(Debug)]
pub struct Presence {
    inner: Mutex<Inner>,
    /// How many are here. It is changed with them, and read by everybody who polls, without a lock.
    count: AtomicUsize,
}

impl Default for Presence {
    /// Begins with nobody here; the first that the store is told is everyone.
    fn default() -> Self {
        let inner = Mutex::new(Inner { is_forgotten: true, ..Inner::default() });
        Self { inner, count: AtomicUsize::new(0) }
    }
}

#[derive(Debug, Default)]
struct Inner {
    here: HashMap<Holder, Here>,
    /// Who came, and the store has not been told.
    came: HashSet<Holder>,
    /// Who went, and the store has only been told that they came.
    went: HashSet<Holder>,
    /// When visitors are looked at because a poll may have run out, the first on top: at most once for each.
    polls: BinaryHeap<Reverse<(u64, Holder)>>,
    /// What the store was told counts no more: it is told of everyone.
    is_forgotten: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Here {
    connections: u32,
    poll_until_ms: u64,
    /// When it is looked at next whether the polls have run out; 0 where that is not due.
    due_ms: u64,
}

/// What the store is to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Who came, or who is here.
    pub here: Numbers,
    /// Whether `here` are all who are here.
    pub all_here: bool,
    /// Who went.
    pub gone: Numbers,
}

impl Presence {
    /// Notes a live connection.
    pub fn connect(&self, holder: Holder) {
        self.change(|inner| inner.come(holder).connections += 1);
    }

    /// Notes that a live connection ended; the last one takes the visitor away at once.
    pub fn disconnect(&self, holder: Holder, steady_ms: u64) {
        self.change(|inner| {
            if let Some(here) = inner.here.get_mut(&holder) {
                here.connections = here.connections.saturating_sub(1);
                inner.drop_if_gone(holder, steady_ms);
            }
        });
    }

    /// Notes a poll, good for `lease_ms`; one that is good for longer stays so.
    pub fn poll(&self, holder: Holder, steady_ms: u64, lease_ms: u64) {
        let until_ms = steady_ms + lease_ms;
        self.change(|inner| {
            let here = inner.come(holder);
            here.poll_until_ms = here.poll_until_ms.max(until_ms);
            if here.due_ms == 0 {
                here.due_ms = until_ms;
                inner.polls.push(Reverse((until_ms, holder)));
            }
        });
    }

    /// Lets go whose polls have run out; for when nobody takes the changes.
    pub fn expire(&self, steady_ms: u64) {
        self.change(|inner| inner.expire_polls(steady_ms));
    }

    /// Returns what changed since the last time, and takes it as told. They are put in order when nobody waits for the
    /// lock any more: there may be hundreds of thousands. Nothing is said of strangers to the line, whose numbers are those
    /// of others there; once the line is theirs again, everyone is told.
    pub fn take_changes(&self, steady_ms: u64, is_stranger: impl Fn(Holder) -> bool) -> Changes {
        let (here, all_here, gone) = self.change(|inner| inner.take_changes(steady_ms));
        let known = |holder: Holder| (!is_stranger(holder)).then_some(holder.1);
        Changes {
            here: here.into_iter().filter_map(known).collect(),
            all_here,
            gone: gone.into_iter().filter_map(known).collect(),
        }
    }

    /// Notes that the store does not know whom this gateway vouches for, or may not have heard what changed.
    pub fn forget_told(&self) {
        self.change(|inner| inner.is_forgotten = true);
    }

    /// Counts who is here.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn change<A>(&self, change: impl FnOnce(&mut Inner) -> A) -> A {
        let mut inner = self.lock();
        let answer = change(&mut inner);
        self.count.store(inner.here.len(), Ordering::Relaxed);
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn come(&mut self, holder: Holder) -> &mut Here {
        let (came, went) = (&mut self.came, &mut self.went);
        self.here.entry(holder).or_insert_with(|| {
            if !went.remove(&holder) {
                came.insert(holder);
            }
            Here::default()
        })
    }

    /// Returns who came, or all who are here, which of the two, and who went.
    fn take_changes(&mut self, steady_ms: u64) -> (Vec<Holder>, bool, HashSet<Holder>) {
        self.expire_polls(steady_ms);
        let (came, went) = (std::mem::take(&mut self.came), std::mem::take(&mut self.went));
        match std::mem::take(&mut self.is_forgotten) {
            true => (self.here.keys().copied().collect(), true, HashSet::new()),
            false => (came.into_iter().collect(), false, went),
        }
    }

    fn drop_if_gone(&mut self, holder: Holder, steady_ms: u64) {
        let gone = |here: &Here| here.connections == 0 && here.poll_until_ms <= steady_ms;
        if self.here.get(&holder).is_some_and(gone) {
            self.here.remove(&holder);
            // Another gateway may vouch for them: nothing is said of those of whom nothing was said.
            if !self.came.remove(&holder) {
                self.went.insert(holder);
            }
        }
    }

    /// Lets a visitor go whose polls have run out, or looks again when they will have.
    fn look_at(&mut self, holder: Holder, due_ms: u64, steady_ms: u64) {
        let Some(here) = self.here.get_mut(&holder).filter(|here| here.due_ms == due_ms) else { return };
        here.due_ms = if here.poll_until_ms > steady_ms { here.poll_until_ms } else { 0 };
        match here.due_ms {
            0 => self.drop_if_gone(holder, steady_ms),
            due_ms => self.polls.push(Reverse((due_ms, holder))),
        }
    }

    fn expire_polls(&mut self, steady_ms: u64) {
        while let Some(&Reverse((until_ms, holder))) = self.polls.peek() {
            if until_ms > steady_ms {
                break;
            }
            self.polls.pop();
            self.look_at(holder, until_ms, steady_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody(_: Holder) -> bool {
        false
    }

    /// A gateway that has told the store of everyone: of nobody yet.
    fn begun() -> Presence {
        let presence = Presence::default();
        assert_eq!(presence.take_changes(0, nobody), Changes { all_here: true, ..Changes::default() });
        presence
    }

    fn changes(presence: &Presence, now_ms: u64) -> (String, String) {
        let changes = presence.take_changes(now_ms, nobody);
        (changes.here.to_string(), changes.gone.to_string())
    }

    #[test]
    fn only_changes_are_told() {
        let presence = begun();
        presence.connect((1, 1));
        presence.connect((1, 1));
        presence.connect((1, 2));
        assert_eq!(changes(&presence, 0), ("1-2".into(), String::new()));
        presence.disconnect((1, 1), 0);
        assert_eq!(changes(&presence, 0), (String::new(), String::new()), "a second tab is still there");
        presence.disconnect((1, 1), 0);
        assert_eq!(changes(&presence, 0), (String::new(), "1".into()));
    }

    #[test]
    fn a_poll_is_good_for_its_lease() {
        let presence = begun();
        presence.poll((1, 7), 0, 100);
        presence.poll((1, 7), 50, 100);
        assert_eq!(changes(&presence, 149), ("7".into(), String::new()));
        assert_eq!(changes(&presence, 150), (String::new(), "7".into()));
    }

    #[test]
    fn however_often_somebody_polls_they_are_looked_at_once() {
        let presence = begun();
        (0..1_000).for_each(|now_ms| presence.poll((1, 7), now_ms, 100));
        assert_eq!(presence.lock().polls.len(), 1);
        assert_eq!(changes(&presence, 1_098), ("7".into(), String::new()));
        assert_eq!(presence.lock().polls.len(), 1);
        presence.poll((1, 7), 1_098, 50);
        presence.poll((1, 7), 1_098, 1);
        assert_eq!(changes(&presence, 1_147), Default::default(), "one that is good for longer stays so");
        assert_eq!(changes(&presence, 1_148), (String::new(), "7".into()));
        assert_eq!(presence.lock().polls.len(), 0);
    }

    #[test]
    fn who_polls_while_nobody_is_told_is_noted_once_and_let_go() {
        let presence = begun();
        for ms in 0..1_000 {
            presence.poll((1, 7), ms, 100);
            presence.poll((1, ms + 10), ms, 100);
            presence.expire(ms);
        }
        let held = |presence: &Presence| (presence.count(), presence.lock().polls.len());
        assert_eq!(held(&presence), (101, 101), "those of the last tenth of a second, and the one who stays");
        presence.expire(2_000);
        assert_eq!(held(&presence), (0, 0));
    }

    #[test]
    fn a_short_lease_does_not_wait_for_a_long_one() {
        let presence = begun();
        presence.poll((1, 7), 0, 1_000);
        presence.poll((1, 8), 0, 100);
        assert_eq!(changes(&presence, 0), ("7-8".into(), String::new()));
        assert_eq!(changes(&presence, 100), (String::new(), "8".into()));
    }

    #[test]
    fn who_comes_and_goes_between_two_ticks_is_not_spoken_of() {
        let presence = begun();
        presence.connect((1, 1));
        presence.disconnect((1, 1), 0);
        assert_eq!(presence.take_changes(0, nobody), Changes::default(), "another gateway may vouch for them");
        presence.connect((1, 2));
        presence.take_changes(0, nobody);
        presence.disconnect((1, 2), 0);
        presence.connect((1, 2));
        assert_eq!(presence.take_changes(0, nobody), Changes::default());
    }

    #[test]
    fn what_may_not_have_been_told_is_told_with_everyone() {
        let presence = begun();
        presence.connect((1, 1));
        presence.connect((1, 2));
        presence.take_changes(0, nobody);
        presence.disconnect((1, 1), 0);
        presence.forget_told();
        let all = Changes { here: Numbers::run(2, 2), all_here: true, gone: Numbers::default() };
        assert_eq!(presence.take_changes(0, nobody), all);
        assert_eq!(presence.take_changes(0, nobody), Changes::default());
    }

    #[test]
    fn a_stranger_is_not_told_of_as_somebody_else() {
        let presence = begun();
        presence.connect((1, 7));
        presence.forget_told();
        let is_stranger = |(epoch, _): Holder| epoch == 1;
        let nobody_here = Changes { all_here: true, ..Changes::default() };
        assert_eq!(presence.take_changes(0, is_stranger), nobody_here);
        presence.connect((2, 7));
        assert_eq!(presence.take_changes(0, is_stranger).here, Numbers::run(7, 7));
        presence.disconnect((1, 7), 0);
        assert_eq!(presence.take_changes(0, is_stranger), Changes::default(), "the other 7 is still there");
    }
}
