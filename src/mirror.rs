//! The mirror: a room's line as this gateway knows it, one tick old at the most.
//!
//! Reads are short and never await; the ticker alone writes, but for the numbers of own joins,
//! which are noted at once.

mod pace;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError, RwLock};

use crate::line::chain::Logged;
use crate::line::{Entry, Joined, Known, News, Numbers, Roll};
pub use pace::{Pace, Seconds};

/// How many log entries are kept for export and for receipts.
const HISTORY_CAP: usize = 50_000;

/// One room's mirror.
#[derive(Debug, Default)]
pub struct Mirror {
    roll: RwLock<Roll>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    history: VecDeque<Logged>,
    pace: Pace,
}

/// What a page of news brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// Who was called, in the order of the entries.
    pub called: Vec<Numbers>,
    /// How many gave up.
    pub left: u64,
    /// How many lapsed.
    pub lapsed: u64,
    /// How many came, on all gateways.
    pub arrived: u64,
    /// How long the called had waited, in seconds, and how many waited so long.
    pub waits: Vec<(f64, u64)>,
    /// Whether the settings are others, or the whole roll is.
    pub resettled: bool,
    /// Whether anything changed at all.
    pub changed: bool,
}

impl Mirror {
    /// Lets `look` see the roll. To be short: the ticker waits for it.
    pub fn read<A>(&self, look: impl FnOnce(&Roll) -> A) -> A {
        look(&self.roll.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns how far the log was followed.
    #[must_use]
    pub fn known(&self) -> Known {
        self.read(Roll::known)
    }

    /// Notes an own join ahead of the log.
    pub fn note(&self, joined: &Joined) {
        self.roll.write().unwrap_or_else(PoisonError::into_inner).note(joined);
    }

    /// Takes in the news of a tick; `None` when the store knows less than this mirror and wants
    /// to be restored.
    pub fn take(&self, news: News) -> Option<Taken> {
        match news {
            News::Entries(entries) => Some(self.take_entries(entries)),
            News::Roll(roll) => Some(self.replace(*roll)),
            News::Behind => None,
        }
    }

    /// Puts another roll in the place of what is known.
    pub fn replace(&self, roll: Roll) -> Taken {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.history.clear();
        kept.pace = Pace::since(roll.issued);
        *self.roll.write().unwrap_or_else(PoisonError::into_inner) = roll;
        Taken { resettled: true, changed: true, ..Taken::default() }
    }

    /// Returns the newest entries of the log with their links, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<Logged> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.history.iter().cloned().collect()
    }

    /// Finds the entry that called a number, if it is still kept.
    #[must_use]
    pub fn call_of(&self, number: u64) -> Option<Logged> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.history.iter().rev().find(|logged| logged.entry.called.contains(number)).cloned()
    }

    /// Lets `look` see how fast the line moves.
    pub fn pace<A>(&self, look: impl FnOnce(&Pace) -> A) -> A {
        look(&self.kept.lock().unwrap_or_else(PoisonError::into_inner).pace)
    }

    fn take_entries(&self, entries: Vec<Entry>) -> Taken {
        let mut taken = Taken { changed: !entries.is_empty(), ..Taken::default() };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            kept.pace.arrive(&entry);
            taken.arrived += kept.pace.last_arrived();
            taken.waits.extend(kept.pace.waits(&entry));
            taken.left += entry.left.len();
            taken.lapsed += entry.lapsed.len();
            taken.resettled |= entry.settings.is_some();
            taken.called.extend((!entry.called.is_empty()).then(|| entry.called.clone()));
            let prev = self.apply(&entry);
            kept.history.push_back(Logged::new(prev, entry));
        }
        let excess = kept.history.len().saturating_sub(HISTORY_CAP);
        kept.history.drain(..excess);
        taken
    }

    fn apply(&self, entry: &Entry) -> crate::line::chain::Link {
        let mut roll = self.roll.write().unwrap_or_else(PoisonError::into_inner);
        let prev = roll.link;
        roll.apply(entry);
        prev
    }
}
