//! What becomes of a line when its store may have lost something: a new epoch, and the merging of what the mirrors
//! remember.

use std::collections::BTreeMap;

use super::attendance::Attendance;
use super::persons::Persons;
use super::{LineState, epoch_at, is_ahead};
use crate::admission::{self, Limits, MAX_INTERVAL_US};
use crate::line::roll::{Era, Parting};
use crate::line::{EPOCH_MARGIN, Entry, Epoch, Number, Numbers, PersonId, Phase, REST_US, Roll, Settings};

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
    /// whoever comes back with a forgotten number gets the place back. Where both went on alone from the same line, or
    /// have nothing in common, one has to give way.
    pub fn restore(&mut self, offered: &Roll, now_us: u64) -> &Roll {
        match self.roll.parting(offered) {
            Some(parting) if self.roll.may_give_way(offered, parting, now_us / 1_000_000) => {
                self.give_way(offered, parting, now_us);
            }
            None if is_ahead(offered.known(), self.roll.known()) => self.make_good(offered, now_us),
            None if self.roll.knows(offered.epoch()) && self.has_left_behind(offered.known()) => {
                self.merge(offered, now_us);
            }
            // Whoever has a ticket of a line that does not come back joins again, once its epoch is an older one.
            Some(_) if offered.epoch() > self.roll.epoch() => {
                let epoch = epoch_at(now_us).max(offered.epoch() + 1);
                self.begin_epoch(epoch, self.rested_tat_us(now_us), now_us);
            }
            _ => {}
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

    /// Gives way to the line that was lost. Since they parted, both have given the same numbers, so these cannot be
    /// merged: the few of this line, who came last, are strangers now and join again, at the end; their epochs
    /// are left with no numbers. What became of the others meanwhile is kept, and so is what was set, and the rate that
    /// was used up.
    fn give_way(&mut self, lost: &Roll, parting: Parting, now_us: u64) {
        let mine = std::mem::replace(&mut self.roll, lost.clone());
        self.persons = Persons::default();
        self.roll.settings = self.roll.settings.take().or_else(|| mine.settings.clone());
        self.roll.use_up(mine.tat_us, mine.limits().as_ref(), now_us);
        if parting.last > 0 && mine.draws_lots_as(lost, parting.last) {
            self.roll.merge(&mine.up_to(parting.last), now_us);
        }
        let above = self.roll.issued + EPOCH_MARGIN;
        let own = mine.eras.iter().skip(parting.eras).filter(|era| !lost.has_begun(era.epoch));
        self.roll.eras.extend(own.map(|era| Era { epoch: era.epoch, above }));
        let epoch = epoch_at(now_us).max(mine.epoch().max(lost.epoch()) + 1);
        self.begin_epoch(epoch, self.rested_tat_us(now_us), now_us);
        self.set_again(&mine, parting, now_us);
        // Whoever was called on the line that gave way counts against a limit that is set again, too.
        let rested_us = self.rested_tat_us(now_us);
        if rested_us > self.roll.tat_us {
            self.append(Entry { tat_us: rested_us, ..Entry::default() }, now_us);
        }
    }

    /// Takes over what was set on the line that gives way since it parted: that was later than all that the lost one knew.
    fn set_again(&mut self, mine: &Roll, parting: Parting, now_us: u64) {
        let (Some(set), Some(own)) = (&mine.settings, mine.eras.get(parting.eras)) else { return };
        if parting.eras == 0 {
            self.set_what_differs(set, now_us);
        } else if mine.set_at_us >= u64::from(own.epoch) * 1_000_000 {
            self.change(now_us, |settings| *settings = set.clone());
        }
    }

    /// Takes over what was set on a line that was made anew, as far as it is not what every new line has.
    fn set_what_differs(&mut self, set: &Settings, now_us: u64) {
        self.configure(&set.configured, now_us);
        self.change(now_us, |settings| {
            if set.limits != set.configured {
                settings.limits = set.limits.clone();
            }
            if set.phase != Phase::Open {
                settings.phase = set.phase;
            }
            settings.message = set.message.clone().or(settings.message.take());
        });
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
