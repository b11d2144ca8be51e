//! The pure line: (state, verb, now) → answer, with no I/O and no clock.
//!
//! It is the embedded store, and the model against which every other store is tested. Every verb
//! that changes something durable appends one [`Entry`] to the log and applies it to the roll;
//! presence is not durable, gateways vouch for it again after a loss.

mod attendance;
mod counting;
mod drawing;
mod epochs;
mod muster;
mod persons;
mod sessions;

use std::collections::VecDeque;

use super::bits::ones;
use super::{
    CALL_LIMIT, Entry, Epoch, JOIN_LIMIT, Joined, Known, LAPSE_LIMIT, LOG_CAP, LONG_LINE, News, Number, Numbers,
    PACE_STEP_US, Page, Phase, Roll, Settings, Steering, Tick,
};
use crate::admission::{self, Limits};
use crate::line::roll::Era;
use attendance::Attendance;
use counting::Counted;
use persons::Persons;

/// One room's line.
#[derive(Clone, Debug)]
pub struct LineState {
    roll: Roll,
    attendance: Attendance,
    /// The newest entries, at most [`LOG_CAP`] of them.
    log: VecDeque<Entry>,
    /// The highest number that an entry has told of.
    told: Number,
    persons: Persons,
    /// The last count of who is present in a long line.
    counted: Option<Counted>,
}

impl LineState {
    /// Begins a line at `now_us`. Its epoch is the second of its beginning, so a line that begins after all
    /// was lost is of a later epoch than any before.
    #[must_use]
    pub fn new(now_us: u64) -> Self {
        let mut roll = Roll::default();
        roll.eras.push(Era { epoch: epoch_at(now_us), above: 0 });
        Self::with_roll(roll, now_us)
    }

    /// Makes a line of what is durable, with nobody present and an empty log; for a store that keeps
    /// those itself and only wants a verdict.
    pub(super) fn with_roll(roll: Roll, now_us: u64) -> Self {
        let told = roll.issued;
        let attendance = Attendance::since(roll.issued, now_us);
        Self { roll, attendance, log: VecDeque::new(), told, persons: Persons::default(), counted: None }
    }

    /// Tells whether the room was made, that is, configured. Until then nobody joins: an empty line may be
    /// one that was lost, and is restored in a moment.
    #[must_use]
    pub fn is_made(&self) -> bool {
        self.settings().is_some()
    }

    /// Returns what is durable.
    #[must_use]
    pub fn roll(&self) -> &Roll {
        &self.roll
    }

    /// Gives `count` consecutive numbers. Where nobody callable waits, as many as the limits allow
    /// are called at once.
    pub fn join(&mut self, count: u64, now_us: u64) -> Joined {
        self.close_entries(now_us);
        let count = count.clamp(1, JOIN_LIMIT);
        let free = if self.anyone_callable() { 0 } else { self.allowance(now_us) };
        let first = self.roll.issued + 1;
        let last = first + count - 1;
        let admitted = free.min(count);
        self.roll.raise_to(last);
        self.attendance.arrive(first + admitted, last);
        let ends_s = self.ends_s(now_us);
        if admitted > 0 {
            self.call_in(Numbers::run(first, first + admitted - 1), 0, now_us);
        } else if last - self.told > JOIN_LIMIT {
            self.append(Entry::default(), now_us);
        }
        Joined { epoch: self.roll.epoch(), first, count, admitted, ends_s, at_us: now_us }
    }

    /// Takes one gateway's tick: all it has to say, then the call, then the news. A gateway that knows
    /// more than the line only vouches: an entry appended now would stand in the place of a lost one. One
    /// of an older epoch only has its lease renewed: what it remembers of the lost is to be merged before
    /// it says or calls anything.
    pub fn tick(&mut self, tick: &Tick, now_us: u64) -> Page {
        let vouched = self.vouch(tick, now_us);
        let is_in_step = !is_ahead(tick.known, self.roll.known()) && !self.has_left_behind(tick.known);
        let present = if is_in_step {
            if self.understands(tick.known) {
                self.take_back(&tick.returned, now_us);
                self.leave(&tick.left, now_us);
                self.end(&tick.ended, now_us);
                self.renew(&tick.renewed, now_us);
            }
            self.introduce(&tick.introduced, now_us);
            self.call_and_count(now_us)
        } else {
            self.present(now_us)
        };
        Page { news: self.follow(tick.known), present, vouched, held: false, now_us }
    }

    /// Renews a gateway's lease and notes who came to it and who went. Returns whether it was heard; if not, it says
    /// again who is here.
    pub fn vouch(&mut self, tick: &Tick, now_us: u64) -> bool {
        let is_understood = self.understands(tick.known) && !self.has_left_behind(tick.known);
        self.attendance.vouch(tick, is_understood, &self.roll.waiting, self.roll.issued, now_us)
    }

    /// Gives back the places of visitors whom the store had forgotten.
    pub fn take_back(&mut self, numbers: &Numbers, now_us: u64) {
        let returned: Numbers = numbers.iter().filter(|n| self.roll.is_forgotten(*n)).collect();
        if !returned.is_empty() {
            self.attendance.come_back(&returned);
            self.append(Entry { returned, ..Entry::default() }, now_us);
        }
    }

    /// Takes the places of those who give up.
    pub fn leave(&mut self, numbers: &Numbers, now_us: u64) {
        let left: Numbers = numbers.iter().filter(|n| self.roll.waiting.contains(*n)).collect();
        if !left.is_empty() {
            self.append(Entry { left, ..Entry::default() }, now_us);
        }
    }

    /// Calls the lowest numbers that are waiting and present, as many as the limits allow; lets
    /// those lapse who were away for too long; tells of new arrivals. A second call at the same
    /// instant finds nothing to do (L7).
    pub fn call(&mut self, now_us: u64) {
        self.tend(now_us);
        self.call_next(now_us);
    }

    /// Does so, and returns how many of the waiting are then present.
    fn call_and_count(&mut self, now_us: u64) -> u64 {
        self.tend(now_us);
        let (present, is_long) = (self.present(now_us), self.span() >= LONG_LINE);
        let before = self.roll.tally.called;
        self.call_next(now_us);
        let present = present.saturating_sub(self.roll.tally.called - before);
        if let Some(counted) = self.counted.as_mut().filter(|_| is_long) {
            counted.present = present;
        }
        present
    }

    /// Does what is due before anybody is called.
    fn tend(&mut self, now_us: u64) {
        self.close_entries(now_us);
        self.attendance.tend(self.roll.issued, now_us);
        self.adapt(now_us);
        self.lapse(now_us);
    }

    fn call_next(&mut self, now_us: u64) {
        let called = self.lowest_callable(self.allowance(now_us));
        if !called.is_empty() {
            self.call_in(called, 0, now_us);
        } else if self.roll.issued > self.told {
            self.append(Entry::default(), now_us);
        }
    }

    /// Changes the settings.
    pub fn steer(&mut self, steering: &Steering, now_us: u64) {
        match steering {
            Steering::Revise { from, to } => drop(self.revise(from, to, now_us)),
            Steering::Configure(limits) => self.configure(limits, now_us),
            Steering::Limits(limits) => self.change(now_us, |settings| settings.limits = limits.clone()),
            Steering::Phase(phase) => self.change(now_us, |settings| settings.phase = *phase),
            Steering::Message(message) => self.change(now_us, |settings| settings.message.clone_from(message)),
            Steering::Admit(count) => self.call_by_hand(*count, now_us),
            Steering::Reset => self.reset(now_us),
            Steering::Promise(promise) => self.promise(promise, now_us),
            Steering::Forgo => self.forgo(now_us),
            Steering::Draw(reveal) => self.draw(reveal, now_us),
        }
    }

    /// Sets the limits where they are `from`, or `to` already; returns whether they are `to` now.
    #[must_use]
    pub fn revise(&mut self, from: &Limits, to: &Limits, now_us: u64) -> bool {
        let is_as_read = self.settings().is_some_and(|settings| [from, to].contains(&&settings.limits));
        if is_as_read {
            self.change(now_us, |settings| settings.limits = to.clone());
        }
        is_as_read
    }

    /// Returns what is new after `known`.
    #[must_use]
    pub fn follow(&self, known: Known) -> News {
        let mine = self.roll.known();
        let first_kept = self.roll.seq + 1 - self.log.len() as u64;
        if is_ahead(known, mine) {
            News::Behind
        } else if known.epoch == mine.epoch && known.seq + 1 >= first_kept {
            let new = (mine.seq - known.seq) as usize;
            News::Entries(self.log.range(self.log.len() - new..).cloned().collect())
        } else {
            News::Roll(Box::new(self.roll.clone()))
        }
    }

    /// Returns the entries that are kept, oldest first: of a line that was only just read, those of what was done to it since.
    pub fn kept(&self) -> impl Iterator<Item = &Entry> {
        self.log.iter()
    }

    /// Tells whether a mirror is of an older epoch, and not one that has just begun and knows nothing.
    fn has_left_behind(&self, known: Known) -> bool {
        (1..self.roll.epoch()).contains(&known.epoch)
    }

    fn settings(&self) -> Option<&Settings> {
        self.roll.settings.as_ref()
    }

    /// Takes the limits of a configuration. Where the rate adapts, a new room begins at the floor: nothing is known of
    /// its upstream yet.
    fn configure(&mut self, limits: &Limits, now_us: u64) {
        let taken = |limits: &Limits| (limits.clone(), limits.clone());
        match self.settings() {
            Some(settings) if settings.configured == *limits => {}
            Some(_) => self.change(now_us, |settings| (settings.limits, settings.configured) = taken(limits)),
            None => {
                let pace_us = if limits.adapts() { limits.at(u64::MAX).interval_us } else { 0 };
                let (limits, configured) = taken(limits);
                let settings = Settings { phase: Phase::Open, limits, configured, message: None };
                self.append(Entry { settings: Some(settings), pace_us, ..Entry::default() }, now_us);
            }
        }
    }

    fn change(&mut self, now_us: u64, change: impl FnOnce(&mut Settings)) {
        let Some(mut settings) = self.settings().cloned() else { return };
        change(&mut settings);
        if self.settings() != Some(&settings) {
            self.append(Entry { settings: Some(settings), ..Entry::default() }, now_us);
        }
    }

    /// Comes to the interval that the gateways wish for, at most once a second.
    fn adapt(&mut self, now_us: u64) {
        let Some(wish_us) = self.attendance.longest_wish_us() else { return };
        let Some(settings) = self.settings().filter(|settings| settings.limits.adapts()) else { return };
        let pace_us = settings.limits.at(wish_us).interval_us;
        if pace_us != self.roll.pace_us && now_us >= self.roll.paced_at_us + PACE_STEP_US {
            self.append(Entry { pace_us, ..Entry::default() }, now_us);
        }
    }

    fn allowance(&self, now_us: u64) -> u64 {
        match (self.settings().map(|settings| settings.phase), self.roll.limits()) {
            (Some(phase), Some(limits)) if phase.calls() && self.has_order() => {
                admission::allowance(self.roll.tat_us, now_us, self.roll.active(now_us / 1_000_000), &limits)
            }
            _ => 0,
        }
    }

    fn ends_s(&self, now_us: u64) -> u64 {
        now_us / 1_000_000 + self.settings().map_or(0, |settings| settings.limits.session_duration_s)
    }

    fn call_by_hand(&mut self, count: u64, now_us: u64) {
        if !self.has_order() {
            return;
        }
        self.attendance.tend(self.roll.issued, now_us);
        let active = self.roll.active(now_us / 1_000_000);
        let limit = self.settings().and_then(|settings| settings.limits.total_active_users);
        let free = limit.map_or(u64::MAX, |limit| limit.saturating_sub(active));
        let called = self.lowest_callable(count.min(free));
        if !called.is_empty() {
            let by_hand = called.len();
            self.call_in(called, by_hand, now_us);
        }
    }

    fn reset(&mut self, now_us: u64) {
        let first = self.roll.waiting.iter_from(0).next();
        if let Some(first) = first {
            let left = Numbers::run(first, self.roll.issued);
            self.append(Entry { left, ..Entry::default() }, now_us);
        }
    }

    fn call_in(&mut self, called: Numbers, by_hand: u64, now_us: u64) {
        let limits = self.roll.limits();
        let tat_us = limits.map_or(0, |limits| admission::spend(self.roll.tat_us, now_us, called.len(), &limits));
        let ends_s = self.ends_s(now_us);
        self.append(Entry { called, ends_s, tat_us, by_hand, ..Entry::default() }, now_us);
    }

    fn append(&mut self, entry: Entry, now_us: u64) {
        self.write(Entry { epoch: self.roll.epoch(), issued: self.roll.issued, ..entry }, now_us);
    }

    fn write(&mut self, entry: Entry, now_us: u64) {
        let entry = Entry { seq: self.roll.seq + 1, at_us: now_us, ..entry };
        self.roll.apply(&entry);
        self.told = entry.issued;
        self.log.push_back(entry);
        if self.log.len() > LOG_CAP {
            self.log.pop_front();
        }
    }

    fn lapse(&mut self, now_us: u64) {
        let Some(grace_ms) = self.settings().map(|settings| settings.limits.grace_ms) else { return };
        if self.attendance.is_grace_over(grace_ms, now_us) && self.lapse_forgotten(now_us) {
            return;
        }
        let Roll { waiting, issued, .. } = &self.roll;
        let lapsed = self.attendance.take_lapsed(waiting, *issued, grace_ms, now_us);
        if !lapsed.is_empty() {
            self.append(Entry { lapsed, ..Entry::default() }, now_us);
        }
    }

    /// Lets those lapse, like anyone who was away for all of the period, who were forgotten when the epoch began.
    /// Tells whether there are more of them than lapse at once; the period is over when the last have.
    fn lapse_forgotten(&mut self, now_us: u64) -> bool {
        if self.roll.unseen.is_empty() {
            return false;
        }
        let forgotten = self.roll.forgotten();
        let mut lapsed = Numbers::default();
        forgotten.runs().take(LAPSE_LIMIT).for_each(|(first, last)| lapsed.merge(&Numbers::run(first, last)));
        if !lapsed.is_empty() {
            self.append(Entry { lapsed, ..Entry::default() }, now_us);
        }
        forgotten.runs().nth(LAPSE_LIMIT).is_some()
    }

    fn anyone_callable(&self) -> bool {
        self.callable_words().any(|(_, word)| word != 0)
    }

    fn lowest_callable(&self, count: u64) -> Numbers {
        let numbers = self.callable_words().flat_map(|(i, word)| ones(i, word));
        numbers.take(count.min(CALL_LIMIT) as usize).collect()
    }

    fn callable_words(&self) -> impl Iterator<Item = (usize, u64)> {
        self.attendance.present_words(&self.roll.waiting)
    }
}
fn epoch_at(now_us: u64) -> Epoch {
    Epoch::try_from(now_us / 1_000_000).unwrap_or(Epoch::MAX).max(1)
}

/// Tells whether `theirs` knows of entries, or of numbers given, that `mine` does not have.
fn is_ahead(theirs: Known, mine: Known) -> bool {
    let knows_more = theirs.seq > mine.seq || theirs.issued > mine.issued;
    theirs.epoch > mine.epoch || (theirs.epoch == mine.epoch && knows_more)
}

#[cfg(test)]
mod tests;
