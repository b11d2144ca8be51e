//! The pure line: (state, verb, now) → answer, with no I/O and no clock.
//!
//! It is the embedded store, and the model against which every other store is tested. Every verb
//! that changes something durable appends one [`Entry`] to the log and applies it to the roll;
//! presence is not durable, gateways vouch for it again after a loss.

mod attendance;
mod drawing;
mod persons;

use std::collections::{BTreeMap, VecDeque};

use super::bits::ones;
use super::{
    CALL_LIMIT, EPOCH_MARGIN, Ended, Entry, Epoch, JOIN_LIMIT, Joined, Known, LOG_CAP, News, Number, Numbers, Page,
    PersonId, Phase, Roll, Settings, Steering, Tick,
};
use crate::admission::{self, Limits};
use crate::line::roll::Era;
use attendance::Attendance;
use persons::Persons;

/// For how long a line that began from nothing gives way to the mirror of an older one, in microseconds.
const YOUNG_US: u64 = 60_000_000;

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
        Self { roll, attendance, log: VecDeque::new(), told, persons: Persons::default() }
    }

    /// Goes on with what a stopped process had saved: a new epoch begins, because numbers may have
    /// been given after the last thing that was saved.
    #[must_use]
    pub fn revive(saved: Roll, persons: BTreeMap<PersonId, Number>, now_us: u64) -> Self {
        let mut state = Self { persons: Persons::kept(persons), ..Self::with_roll(saved, now_us) };
        state.next_epoch(now_us);
        state
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
    /// more than the line only vouches: an entry appended now would stand in the place of a lost one.
    pub fn tick(&mut self, tick: &Tick, now_us: u64) -> Page {
        let vouched = self.vouch(tick, now_us);
        if !is_ahead(tick.known, self.roll.known()) {
            if self.understands(tick.known) {
                self.take_back(&tick.returned, now_us);
                self.leave(&tick.left, now_us);
                self.end(&tick.ended, now_us);
            }
            self.introduce(&tick.introduced, now_us);
            self.call(now_us);
        }
        Page { news: self.follow(tick.known), present: self.count_present(), vouched, now_us }
    }

    /// Renews a gateway's lease and notes who came to it and who went. Returns whether the gateway
    /// was known.
    pub fn vouch(&mut self, tick: &Tick, now_us: u64) -> bool {
        self.attendance.vouch(tick, self.understands(tick.known), self.roll.issued, now_us)
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

    /// Ends sessions before their time.
    pub fn end(&mut self, ended: &[Ended], now_us: u64) {
        let running = |n: &Number| self.roll.called.contains(*n) && !self.roll.over.contains(*n);
        let ended: Vec<Ended> = ended
            .iter()
            .map(|e| Ended { ends_s: e.ends_s, numbers: e.numbers.iter().filter(running).collect() })
            .filter(|e| !e.numbers.is_empty())
            .collect();
        if !ended.is_empty() {
            self.append(Entry { ended, ..Entry::default() }, now_us);
        }
    }

    /// Calls the lowest numbers that are waiting and present, as many as the limits allow; lets
    /// those lapse who were away for too long; tells of new arrivals. A second call at the same
    /// instant finds nothing to do (L7).
    pub fn call(&mut self, now_us: u64) {
        self.close_entries(now_us);
        self.attendance.tend(self.roll.issued, now_us);
        self.lapse(now_us);
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

    /// Merges what a mirror remembers. Where this line knows less than the mirror, something was
    /// lost, and a new epoch begins: its numbers start above all that can have been given, and
    /// whoever comes back with a forgotten number gets the place back.
    pub fn restore(&mut self, offered: &Roll, now_us: u64) -> &Roll {
        if is_ahead(offered.known(), self.roll.known()) {
            self.make_good(offered, now_us);
        } else if self.shares_past(offered) {
            if offered.epoch() < self.roll.epoch() {
                self.merge(offered, now_us);
            }
        } else if self.is_in_place_of(offered, now_us) {
            self.give_way(offered, now_us);
        }
        &self.roll
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

    /// Counts those of the waiting who are present.
    #[must_use]
    pub fn count_present(&self) -> u64 {
        self.callable_words().map(|(_, word)| u64::from(word.count_ones())).sum()
    }

    /// Makes good what was lost. The log goes on after the later entry, so that no `seq` comes twice.
    fn make_good(&mut self, offered: &Roll, now_us: u64) {
        if (offered.epoch(), offered.seq) > (self.roll.epoch(), self.roll.seq) {
            let mine = std::mem::replace(&mut self.roll, offered.clone());
            self.roll.merge(&mine);
        } else {
            self.roll.merge(offered);
        }
        self.next_epoch(now_us);
    }

    /// Takes in what an older epoch's mirror adds. No entry can tell the other mirrors of it, so
    /// the log ends here, and they take the whole roll.
    fn merge(&mut self, offered: &Roll, now_us: u64) {
        let now_s = now_us / 1_000_000;
        let mut mine = self.roll.clone();
        mine.sessions.prune(now_s);
        let mut merged = mine.clone();
        merged.merge(offered);
        merged.sessions.prune(now_s);
        if merged.draws != mine.draws {
            self.roll = merged;
            self.next_epoch(now_us);
        } else if merged != mine {
            self.roll = merged;
            self.append(Entry::default(), now_us);
            self.log.clear();
        }
    }

    fn shares_past(&self, offered: &Roll) -> bool {
        self.roll.eras.iter().any(|era| era.epoch == offered.epoch())
    }

    /// Tells whether this line began because the store had lost the offered one, an older line with
    /// nothing in common. A line that has given numbers for long is not put aside for the mirror of a
    /// gateway that slept through its beginning.
    fn is_in_place_of(&self, offered: &Roll, now_us: u64) -> bool {
        let is_young = now_us < u64::from(self.roll.epoch()) * 1_000_000 + YOUNG_US;
        let began_alone = self.roll.eras.len() == 1 && (self.roll.issued == 0 || is_young);
        began_alone && (1..self.roll.epoch()).contains(&offered.epoch())
    }

    /// Gives way to the line that was lost. Both have numbers from 1 on, so they cannot be merged:
    /// the few of this line, who came last, are strangers now and join again, at the end. The rate
    /// they have used up stays used up.
    fn give_way(&mut self, lost: &Roll, now_us: u64) {
        let mine = std::mem::replace(&mut self.roll, lost.clone());
        self.persons = Persons::default();
        self.roll.tat_us = self.roll.tat_us.max(mine.tat_us);
        self.roll.settings = self.roll.settings.take().or(mine.settings.clone());
        self.begin_epoch(epoch_at(now_us).max(mine.epoch() + 1), now_us);
    }

    fn next_epoch(&mut self, now_us: u64) {
        self.begin_epoch(epoch_at(now_us).max(self.roll.epoch() + 1), now_us);
    }

    /// Begins an epoch, for which mirrors take the whole roll. Who is here must be said again; until
    /// that can have happened, all who wait count as present, so that no newcomer is called before them.
    fn begin_epoch(&mut self, epoch: Epoch, now_us: u64) {
        let last = self.roll.issued + EPOCH_MARGIN;
        let unseen = Numbers::run(self.roll.issued + 1, last);
        self.attendance = Attendance::anew(&self.roll.waiting, last, now_us);
        self.log.clear();
        self.write(Entry { epoch, issued: last, unseen, ..Entry::default() }, now_us);
    }

    fn settings(&self) -> Option<&Settings> {
        self.roll.settings.as_ref()
    }

    fn configure(&mut self, limits: &Limits, now_us: u64) {
        let taken = |limits: &Limits| (limits.clone(), limits.clone());
        match self.settings() {
            Some(settings) if settings.configured == *limits => {}
            Some(_) => self.change(now_us, |settings| (settings.limits, settings.configured) = taken(limits)),
            None => {
                let (limits, configured) = taken(limits);
                let settings = Settings { phase: Phase::Open, limits, configured, message: None };
                self.append(Entry { settings: Some(settings), ..Entry::default() }, now_us);
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

    fn allowance(&self, now_us: u64) -> u64 {
        match self.settings() {
            Some(Settings { phase: Phase::Open, limits, .. }) if self.has_order() => {
                admission::allowance(self.roll.tat_us, now_us, self.roll.active(now_us / 1_000_000), limits)
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
        let limits = self.settings().map(|settings| &settings.limits);
        let tat_us = limits.map_or(0, |limits| admission::spend(self.roll.tat_us, now_us, called.len(), limits));
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
        let Roll { waiting, issued, .. } = &self.roll;
        let lapsed = self.attendance.take_lapsed(waiting, *issued, grace_ms, now_us);
        if !lapsed.is_empty() {
            self.append(Entry { lapsed, ..Entry::default() }, now_us);
        }
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
