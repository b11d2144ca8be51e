//! Who is inside, and until when: the slots of the active limit that are taken.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Standing;
use crate::line::bits::Bits;
use crate::line::{Number, Numbers};

/// The sessions that were begun by a call and have not run out, by the second of their end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// Runs called together, by their first number.
    runs: BTreeMap<Number, SessionRun>,
    /// For each last second, how many sessions are in use.
    in_use: BTreeMap<u64, u64>,
    /// Those that go on after the end of their run, by number.
    #[serde(default)]
    renewed: BTreeMap<Number, Session>,
}

/// A run of numbers called together; its first number is its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::line) struct SessionRun {
    pub(in crate::line) last: Number,
    pub(in crate::line) ends_s: u64,
    pub(in crate::line) at_us: u64,
}

/// One session; whose it is, is its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::line) struct Session {
    pub(in crate::line) ends_s: u64,
    /// When the number was called.
    pub(in crate::line) at_us: u64,
}

impl Sessions {
    /// Makes the sessions from their parts, as another store keeps them.
    pub(in crate::line) fn from_parts(
        runs: BTreeMap<Number, SessionRun>,
        in_use: BTreeMap<u64, u64>,
        renewed: BTreeMap<Number, Session>,
    ) -> Self {
        Self { runs, in_use, renewed }
    }

    /// Returns the runs by their first number.
    pub(in crate::line) fn runs(&self) -> &BTreeMap<Number, SessionRun> {
        &self.runs
    }

    /// Returns how many sessions of each last second are in use.
    pub(in crate::line) fn in_use(&self) -> &BTreeMap<u64, u64> {
        &self.in_use
    }

    /// Returns the sessions that were renewed, by number.
    pub(in crate::line) fn renewed(&self) -> &BTreeMap<Number, Session> {
        &self.renewed
    }

    /// Begins the sessions of a run of numbers, called at `at_us`.
    pub fn begin(&mut self, first: Number, last: Number, ends_s: u64, at_us: u64) {
        self.runs.insert(first, SessionRun { last, ends_s, at_us });
        *self.in_use.entry(ends_s).or_default() += last - first + 1;
    }

    /// Ends the session of a number, one of those that would end at `ends_s`.
    pub fn end(&mut self, number: Number, ends_s: u64) {
        self.renewed.remove(&number);
        if let Some(count) = self.in_use.get_mut(&ends_s) {
            *count = count.saturating_sub(1);
        }
    }

    /// Lets the session of a number go on until `to_s`, in one of the slots that are taken until `from_s`; where there is
    /// none, nothing is done. `now_us` stands for its call where that is not known.
    pub fn renew(&mut self, number: Number, from_s: u64, to_s: u64, now_us: u64) {
        let Some(count) = self.in_use.get_mut(&from_s).filter(|count| **count > 0) else { return };
        *count -= 1;
        *self.in_use.entry(to_s).or_default() += 1;
        let known = self.of(number).filter(|session| session.ends_s > now_us / 1_000_000);
        let at_us = known.map_or(now_us, |session| session.at_us);
        self.renewed.insert(number, Session { ends_s: to_s, at_us });
    }

    /// Returns when the session of a number ends that was renewed.
    pub(in crate::line) fn renewed_end(&self, number: Number) -> Option<u64> {
        self.renewed.get(&number).map(|session| session.ends_s)
    }

    /// Counts the sessions in use.
    #[must_use]
    pub fn active(&self, now_s: u64) -> u64 {
        self.in_use.range(now_s + 1..).map(|(_, count)| count).sum()
    }

    /// Forgets the sessions of the numbers after `last`; how many are in use is counted anew when they are merged.
    pub(super) fn cut_off_after(&mut self, last: Number) {
        drop(self.runs.split_off(&(last + 1)));
        self.runs.values_mut().for_each(|run| run.last = run.last.min(last));
        drop(self.renewed.split_off(&(last + 1)));
    }

    pub(super) fn find(&self, number: Number, now_s: u64) -> Standing {
        match self.of(number).filter(|session| session.ends_s > now_s) {
            Some(Session { ends_s, at_us }) => Standing::Called { ends_s, at_us },
            None => Standing::Over,
        }
    }

    /// Returns the session of a number, also of one that has ended or run out.
    fn of(&self, number: Number) -> Option<Session> {
        let run = || self.runs.range(..=number).next_back().map(|(_, run)| *run).filter(|run| number <= run.last);
        let begun = || run().map(|SessionRun { ends_s, at_us, .. }| Session { ends_s, at_us });
        self.renewed.get(&number).copied().or_else(begun)
    }

    /// Forgets what has run out. Walks the runs only when a second has run out.
    pub(in crate::line) fn prune(&mut self, now_s: u64) {
        if self.in_use.first_key_value().is_some_and(|(ends_s, _)| *ends_s <= now_s) {
            self.in_use = self.in_use.split_off(&(now_s + 1));
            self.runs.retain(|_, run| run.ends_s > now_s);
            self.renewed.retain(|_, session| session.ends_s > now_s);
        }
    }

    /// Adds the sessions that `other` knows of. A number that was called in both, once before and once after a
    /// loss, holds one session, the one that ends last; a session that is over in either is over.
    pub(super) fn merge(&mut self, other: &Self, over: &Bits) {
        let mut runs: Vec<(Number, SessionRun)> = self.runs.iter().chain(&other.runs).map(|(f, r)| (*f, *r)).collect();
        runs.sort_by_key(|(first, run)| (Reverse(run.ends_s), run.at_us, *first));
        let renewed = std::mem::take(&mut self.renewed);
        *self = Self::default();
        let mut held = Bits::default();
        for (first, run) in &runs {
            let new: Numbers = (*first..=run.last).filter(|number| !held.contains(*number)).collect();
            for (first, last) in new.runs() {
                held.insert_run(first, last);
                self.runs.insert(first, SessionRun { last, ..*run });
            }
        }
        for (number, session) in renewed.into_iter().chain(other.renewed.clone()) {
            let is_later = self.of(number).is_none_or(|known| known.ends_s < session.ends_s);
            if is_later && !over.contains(number) {
                self.renewed.insert(number, session);
            }
        }
        self.count(over);
    }

    /// Counts anew how many sessions are in use.
    fn count(&mut self, over: &Bits) {
        for (first, run) in &self.runs {
            let live =
                (*first..=run.last).filter(|number| !over.contains(*number) && !self.renewed.contains_key(number));
            *self.in_use.entry(run.ends_s).or_default() += live.count() as u64;
        }
        for session in self.renewed.values() {
            *self.in_use.entry(session.ends_s).or_default() += 1;
        }
    }
}
