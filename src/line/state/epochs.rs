//! What becomes of a line when its store may have lost something: a new epoch, and the merging of what the mirrors
//! remember.

use std::collections::BTreeMap;

use super::attendance::Attendance;
use super::persons::Persons;
use super::{LineState, epoch_at, is_ahead};
use crate::admission::{self, Limits, MAX_INTERVAL_US};
use crate::line::roll::Era;
use crate::line::{EPOCH_MARGIN, Entry, Epoch, Number, Numbers, PersonId, REST_US, Roll};

impl LineState {
    /// Goes on with what a stopped process had saved: a new epoch begins, because numbers may have
    /// been given after the last thing that was saved.
    #[must_use]
    pub fn revive(saved: Roll, persons: BTreeMap<PersonId, Number>, now_us: u64) -> Self {
        let mut state = Self { persons: Persons::kept(persons), ..Self::with_roll(saved, now_us) };
        state.begin_epoch(state.next_epoch(now_us), 0, now_us);
        state
    }

    /// Goes on in another process of the store, which may lack what the last one did: a new epoch begins.
    pub fn succeed(&mut self, now_us: u64) {
        self.begin_epoch(self.next_epoch(now_us), self.rested_tat_us(now_us), now_us);
    }

    /// Merges what a mirror remembers. Where this line knows less than the mirror, something was
    /// lost, and a new epoch begins: its numbers start above all that can have been given, and
    /// whoever comes back with a forgotten number gets the place back.
    pub fn restore(&mut self, offered: &Roll, now_us: u64) -> &Roll {
        if is_ahead(offered.known(), self.roll.known()) {
            self.make_good(offered, now_us);
        } else if self.roll.knows(offered.epoch()) {
            if self.has_left_behind(offered.known()) {
                self.merge(offered, now_us);
            }
        } else if !offered.eras.is_empty() && self.roll.may_replace(offered.epoch(), now_us / 1_000_000) {
            self.give_way(offered, now_us);
        }
        &self.roll
    }

    /// Makes good what was lost. The log goes on after the later entry, so that no `seq` comes twice.
    fn make_good(&mut self, offered: &Roll, now_us: u64) {
        if (offered.epoch(), offered.seq) > (self.roll.epoch(), self.roll.seq) {
            let mine = std::mem::replace(&mut self.roll, offered.clone());
            self.roll.merge(&mine, now_us);
        } else {
            self.roll.merge(offered, now_us);
        }
        self.succeed(now_us);
    }

    /// Takes in what an older epoch's mirror adds. No entry can tell the other mirrors of it, so
    /// the log ends here, and they take the whole roll.
    fn merge(&mut self, offered: &Roll, now_us: u64) {
        let now_s = now_us / 1_000_000;
        let mut mine = self.roll.clone();
        mine.sessions.prune(now_s);
        let mut merged = mine.clone();
        merged.merge(offered, now_us);
        merged.sessions.prune(now_s);
        if merged.draws != mine.draws {
            self.roll = merged;
            self.succeed(now_us);
        } else if merged != mine {
            self.roll = merged;
            self.append(Entry::default(), now_us);
            self.log.clear();
        }
    }

    /// Gives way to the line that was lost. Both have numbers from 1 on, so they cannot be merged:
    /// the few of this line, who came last, are strangers now and join again, at the end; their epoch
    /// is left with no numbers. The rate they have used up stays used up.
    fn give_way(&mut self, lost: &Roll, now_us: u64) {
        let mine = std::mem::replace(&mut self.roll, lost.clone());
        self.persons = Persons::default();
        self.roll.settings = self.roll.settings.take().or(mine.settings.clone());
        self.roll.use_up(mine.tat_us, mine.limits().as_ref(), now_us);
        self.roll.eras.push(Era { epoch: mine.epoch(), above: self.roll.issued + EPOCH_MARGIN });
        let epoch = epoch_at(now_us).max(mine.epoch() + 1);
        self.begin_epoch(epoch, self.rested_tat_us(now_us), now_us);
    }

    fn next_epoch(&self, now_us: u64) -> Epoch {
        epoch_at(now_us).max(self.roll.epoch() + 1)
    }

    /// Returns the TAT of a line that knows not whom it has called of late: the burst is used up, and nobody
    /// is called before the mirrors have had time to tell. So what was lost breaks neither rate nor order.
    fn rested_tat_us(&self, now_us: u64) -> u64 {
        match self.roll.limits() {
            Some(Limits { interval_us: MAX_INTERVAL_US, .. }) => now_us + REST_US,
            Some(limits) => admission::spend(0, now_us + REST_US, limits.burst, &limits),
            None => 0,
        }
    }

    /// Begins an epoch, for which mirrors take the whole roll. Who is here must be said again; until
    /// that can have happened, all who wait count as present, so that no newcomer is called before them.
    fn begin_epoch(&mut self, epoch: Epoch, tat_us: u64, now_us: u64) {
        let last = self.roll.issued + EPOCH_MARGIN;
        let unseen = Numbers::run(self.roll.issued + 1, last);
        self.attendance = Attendance::anew(&self.roll.waiting, last, now_us);
        self.log.clear();
        self.write(Entry { epoch, issued: last, tat_us, unseen, ..Entry::default() }, now_us);
    }
}
