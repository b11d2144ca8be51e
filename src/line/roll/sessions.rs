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
}

/// A run of numbers called together; its first number is its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::line) struct SessionRun {
    pub(in crate::line) last: Number,
    pub(in crate::line) ends_s: u64,
    pub(in crate::line) at_us: u64,
}

impl Sessions {
    /// Makes the sessions from their parts, as another store keeps them.
    pub(in crate::line) fn from_parts(runs: BTreeMap<Number, SessionRun>, in_use: BTreeMap<u64, u64>) -> Self {
        Self { runs, in_use }
    }

    /// Returns the runs by their first number, and how many sessions of each last second are in use.
    pub(in crate::line) fn parts(&self) -> (&BTreeMap<Number, SessionRun>, &BTreeMap<u64, u64>) {
        (&self.runs, &self.in_use)
    }

    /// Begins the sessions of a run of numbers, called at `at_us`.
    pub fn begin(&mut self, first: Number, last: Number, ends_s: u64, at_us: u64) {
        self.runs.insert(first, SessionRun { last, ends_s, at_us });
        *self.in_use.entry(ends_s).or_default() += last - first + 1;
    }

    /// Ends one session of those that would end at `ends_s`.
    pub fn end(&mut self, ends_s: u64) {
        if let Some(count) = self.in_use.get_mut(&ends_s) {
            *count = count.saturating_sub(1);
        }
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
    }

    pub(super) fn find(&self, number: Number, now_s: u64) -> Standing {
        match self.runs.range(..=number).next_back() {
            Some((_, run)) if number <= run.last && run.ends_s > now_s => {
                Standing::Called { ends_s: run.ends_s, at_us: run.at_us }
            }
            _ => Standing::Over,
        }
    }

    /// Forgets what has run out. Walks the runs only when a second has run out.
    pub(in crate::line) fn prune(&mut self, now_s: u64) {
        if self.in_use.first_key_value().is_some_and(|(ends_s, _)| *ends_s <= now_s) {
            self.in_use = self.in_use.split_off(&(now_s + 1));
            self.runs.retain(|_, run| run.ends_s > now_s);
        }
    }

    /// Adds the runs that `other` knows of. A number that was called in both, once before and once after a
    /// loss, holds one session, the one that ends last; a session that is over in either is over.
    pub(super) fn merge(&mut self, other: &Self, over: &Bits) {
        let mut runs: Vec<(Number, SessionRun)> = self.runs.iter().chain(&other.runs).map(|(f, r)| (*f, *r)).collect();
        runs.sort_by_key(|(first, run)| (Reverse(run.ends_s), run.at_us, *first));
        let mut held = Bits::default();
        *self = Self::default();
        for (first, run) in runs {
            let new: Numbers = (first..=run.last).filter(|number| !held.contains(*number)).collect();
            for (first, last) in new.runs() {
                held.insert_run(first, last);
                self.runs.insert(first, SessionRun { last, ..run });
                let live = (first..=last).filter(|number| !over.contains(*number)).count();
                *self.in_use.entry(run.ends_s).or_default() += live as u64;
            }
        }
    }
}
