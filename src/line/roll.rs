//! The roll: what is durable of a line, and what a mirror knows of it.
//!
//! A roll is made by applying log entries in order. The store's own line, a gateway's mirror and
//! the line that a restart reads back are all rolls, so one function, [`Roll::apply`], says what an
//! entry means.

mod drawn;
mod eras;
mod forgotten;
mod lots;
mod merging;
mod regulated;
mod sessions;
mod standing;

use serde::{Deserialize, Serialize};

use super::bits::Bits;
use super::chain::{Link, LogStart};
use super::draw::{Draw, Pending};
use super::{Entry, Epoch, Joined, Known, Number, Numbers, Settings, Slots};
pub(in crate::line) use eras::Parting;
pub use lots::{Drawn, Lots};
pub use sessions::Sessions;
pub(super) use sessions::{Session, SessionRun};
pub use standing::Standing;

/// Who has which place. Every number up to `issued` is in just one state: waiting, called
/// (then maybe over), over, or unseen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Roll {
    /// The epochs of the line and the last number before each, oldest first.
    pub eras: Vec<Era>,
    /// The last entry applied.
    pub seq: u64,
    /// The link of the last entry applied.
    pub link: Link,
    /// The highest number given.
    pub issued: Number,
    /// Who holds a place.
    pub waiting: Bits,
    /// Who was called.
    pub called: Bits,
    /// Who gave up, lapsed, or ended a session early.
    pub over: Bits,
    /// Numbers that may be held by visitors the store has forgotten.
    pub unseen: Numbers,
    /// The rate limit's theoretical arrival time.
    pub tat_us: u64,
    /// The interval that the gateways have come to, in microseconds, and since when; 0 until they do.
    #[serde(default)]
    pub pace_us: u64,
    /// When they came to it.
    #[serde(default)]
    pub paced_at_us: u64,
    /// The sessions that have not ended.
    pub sessions: Sessions,
    /// What the operator set; `None` until the room is made.
    pub settings: Option<Settings>,
    /// When it was set last, in microseconds since the Unix epoch.
    #[serde(default)]
    pub set_at_us: u64,
    /// How many were ever called, left and lapsed: for the console.
    pub tally: Tally,
    /// The draw that was promised and not made yet.
    #[serde(default)]
    pub pending: Option<Pending>,
    /// The entry of the last step of a draw: who knows the later one knows what is pending.
    #[serde(default)]
    pub step_seq: u64,
    /// The draws that were made, oldest first. The bitmaps are of places: see [`Roll::place`].
    #[serde(default)]
    pub draws: Vec<Draw>,
    /// The entry of the last draw.
    #[serde(default)]
    pub drawn_seq: u64,
}

/// An epoch and the numbers it began above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Era {
    /// The epoch.
    pub epoch: Epoch,
    /// The highest number that belongs to an earlier epoch.
    pub above: Number,
}

/// Finds the epoch of a number among the epochs of its line, oldest first.
pub(super) fn epoch_of(eras: &[Era], number: Number) -> Epoch {
    eras.iter().rev().find(|era| era.above < number).map_or(0, |era| era.epoch)
}

/// How many of each kind there have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Called.
    pub called: u64,
    /// Gave up.
    pub left: u64,
    /// Away for longer than the grace period.
    pub lapsed: u64,
}

impl Roll {
    /// Returns the epoch, 0 for a line that was never begun.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.eras.last().map_or(0, |era| era.epoch)
    }

    /// Returns how far the log was followed.
    #[must_use]
    pub fn known(&self) -> Known {
        Known { epoch: self.epoch(), seq: self.seq, issued: self.issued }
    }

    /// Returns where a log begins that goes on from here.
    #[must_use]
    pub fn log_start(&self) -> LogStart {
        let settings = self.settings.clone();
        LogStart {
            seq: self.seq,
            link: self.link,
            epoch: self.epoch(),
            issued: self.issued,
            tat_us: self.tat_us,
            pace_us: self.pace_us,
            pending: self.pending.clone(),
            settings,
        }
    }

    /// Tells in which epoch `number` was given, if it was; 0 in a line that was never begun.
    #[must_use]
    pub fn epoch_of(&self, number: Number) -> Epoch {
        epoch_of(&self.eras, number)
    }

    /// Applies the next entry of the log.
    pub fn apply(&mut self, entry: &Entry) {
        self.begin(entry);
        self.raise(entry);
        for number in entry.returned.iter() {
            if self.is_forgotten(number) {
                self.waiting.insert(number);
            }
        }
        self.forget(&entry.lapsed);
        self.tally.left += self.give_up(&entry.left);
        self.tally.lapsed += self.give_up(&entry.lapsed);
        entry.ended.iter().for_each(|slots| self.end(slots));
        entry.renewed.iter().for_each(|slots| self.renew(slots, entry));
        self.take_calls(entry);
        self.tat_us = self.tat_us.max(entry.tat_us);
        self.regulate(entry);
        if let Some(step) = &entry.draw {
            self.take_step(step, entry);
        }
        self.sessions.prune(entry.at_us / 1_000_000);
        self.give_up_unseen(entry.at_us / 1_000_000);
        self.seq = entry.seq;
        self.link = self.link.then(entry);
    }

    /// Takes in the answer to an own join ahead of the log, so that those who joined have a
    /// position at once. The entry that follows finds it done. What the calls among them use up of the rate comes with
    /// that entry: until then the store knows it, and a store that loses it begins an epoch with the burst used up.
    pub fn note(&mut self, joined: &Joined) {
        if joined.epoch == self.epoch() {
            self.raise_to(joined.first + joined.count - 1);
            let admitted = Numbers::run(joined.first, joined.first + joined.admitted - 1);
            self.call(&admitted, joined.ends_s, joined.at_us);
        }
    }

    /// Counts the sessions in use at `now_s`, in seconds since the Unix epoch.
    #[must_use]
    pub fn active(&self, now_s: u64) -> u64 {
        self.sessions.active(now_s)
    }

    fn begin(&mut self, entry: &Entry) {
        if entry.epoch > self.epoch() {
            let above = if entry.unseen.is_empty() { self.issued } else { entry.issued };
            self.eras.push(Era { epoch: entry.epoch, above });
        }
    }

    fn raise(&mut self, entry: &Entry) {
        if entry.unseen.is_empty() {
            self.raise_to(entry.issued);
        } else {
            self.unseen = self.unseen.followed_by(&entry.unseen);
            self.issued = entry.issued;
        }
    }

    /// Gives every number up to `issued` a waiting place.
    pub(crate) fn raise_to(&mut self, issued: Number) {
        if issued > self.issued {
            self.waiting.insert_run(self.issued + 1, issued);
            self.issued = issued;
        }
    }

    fn give_up(&mut self, numbers: &Numbers) -> u64 {
        let before = self.waiting.count();
        for (first, last) in numbers.runs() {
            self.over.insert_run_of(&self.waiting, first, last);
            self.waiting.remove_run(first, last);
        }
        before - self.waiting.count()
    }

    /// Takes the calls of an entry. Sessions of those that were noted ahead of it begin again where they have run out
    /// meanwhile, by entries of a clock that was further on.
    fn take_calls(&mut self, entry: &Entry) {
        let is_noted = |number: &Number| self.called.contains(*number) && !self.over.contains(*number);
        let noted: Numbers = entry.called.iter().filter(is_noted).collect();
        self.call(&entry.called, entry.ends_s, entry.at_us);
        let has_run_out = |number: &Number| self.sessions.find(*number, 0) == Standing::Over;
        let again: Numbers = noted.iter().filter(has_run_out).collect();
        again.runs().for_each(|(first, last)| self.sessions.begin(first, last, entry.ends_s, entry.at_us));
    }

    fn call(&mut self, called: &Numbers, ends_s: u64, at_us: u64) {
        for (first, last) in called.runs() {
            let new = (first..=last).filter(|n| !self.called.contains(*n) && !self.over.contains(*n));
            let new: Numbers = new.collect();
            for (first, last) in new.runs() {
                self.waiting.remove_run(first, last);
                self.called.insert_run(first, last);
                self.sessions.begin(first, last, ends_s, at_us);
                self.tally.called += last - first + 1;
            }
        }
    }

    fn end(&mut self, slots: &Slots) {
        for number in slots.numbers.iter() {
            if self.called.contains(number) && self.over.insert(number) {
                self.sessions.end(number, slots.ends_s);
            }
        }
    }

    fn renew(&mut self, slots: &Slots, entry: &Entry) {
        for number in slots.numbers.iter() {
            if self.called.contains(number) && !self.over.contains(number) {
                self.sessions.renew(number, slots.ends_s, entry.ends_s, entry.at_us);
            }
        }
    }
}

impl Tally {
    fn max(self, other: Self) -> Self {
        Self {
            called: self.called.max(other.called),
            left: self.left.max(other.left),
            lapsed: self.lapsed.max(other.lapsed),
        }
    }
}
