//! The oracle: what must be true of a line, told a second time, simply, with nothing of the code under test.
//!
//! It sits at the store's end of the wire. After every verb it reads the log as one more mirror would, and holds
//! each entry against its own [`books`]. The [`desk`] knows every ticket and pass.

mod books;
mod bucket;
mod desk;
mod entries;
mod places;
mod screen;

use std::collections::{BTreeMap, BTreeSet};

use vestibule::gate::Decision;
use vestibule::line::{Arrival, Joined, Known, News, Number, PersonId, Roll, Standing, Steering, Tick};
use vestibule::schedule::Schedule;
use vestibule::token::Ticket;

use super::machine::Machine;
use super::wire::{Answer, Verb};
use books::Books;
use desk::{Desk, Fate};
pub use desk::{LineNow, Shown};
use places::Places;
pub use screen::{Screen, Told};

/// What was asked for, by whoever may ask.
#[derive(Debug, Default)]
struct Asked {
    left: BTreeSet<Number>,
    ended: BTreeSet<Number>,
    returned: BTreeSet<Number>,
    /// Which numbers each person was ever given.
    persons: BTreeMap<PersonId, BTreeSet<Number>>,
    /// How many the operator lets in by hand with the verb that is being done.
    by_hand: u64,
    /// Whether that verb takes every place.
    reset: bool,
}

/// What has ever happened, in whichever life of the store.
#[derive(Debug, Default)]
struct Ever {
    /// Who was called, and the last second of the session; of the first, where a lost call was made again.
    called: BTreeMap<Number, u64>,
    over: Places,
    latest_s: u64,
}

/// Watches one run.
#[derive(Debug, Default)]
pub struct Oracle {
    violation: Option<String>,
    books: Books,
    desk: Desk,
    asked: Asked,
    ever: Ever,
    /// The line as the log tells it.
    rebuilt: Roll,
    /// The epoch that a store must have heard of to be whole again, after it has lost everything.
    owes: Option<u32>,
    verbs: u64,
}

impl Oracle {
    /// Watches a store that begins at `start_us`.
    pub fn since(start_us: u64) -> Self {
        Self { books: Books::since(start_us), ..Self::default() }
    }

    /// Returns the first thing that was not as it must be.
    pub fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// Tells whether an offer is from before what the store has lost and not got back.
    pub fn is_out_of_date(&self, offered: &Roll) -> bool {
        self.owes.is_some_and(|epoch| offered.epoch() < epoch)
    }

    /// Tells whether the store has everything again that it ever lost.
    pub fn is_whole(&self) -> bool {
        self.owes.is_none()
    }

    /// Notes what was not as it must be, as the world found it.
    pub fn expect(&mut self, holds: bool, what: impl FnOnce() -> String) {
        self.demand(holds, what);
    }

    fn demand(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.violation.is_none() {
            self.violation = Some(what());
        }
    }

    fn take(&mut self, verdict: Result<(), String>) {
        if let Err(what) = verdict {
            self.demand(false, || what);
        }
    }

    pub fn ask_to_leave(&mut self, number: Number) {
        self.asked.left.insert(number);
    }

    pub fn ask_to_end(&mut self, number: Number) {
        self.asked.ended.insert(number);
    }

    pub fn ask_to_return(&mut self, number: Number) {
        self.asked.returned.insert(number);
    }

    /// Notes a new ticket. (L1) A number has one holder, and (L3) a person one place; after a loss a person may have
    /// two, until a ticket tells which is which.
    pub fn issued(&mut self, text: &str, ticket: Ticket, line: LineNow) {
        let other = self
            .desk
            .numbers_of(ticket.id)
            .find(|number| *number != ticket.number && !self.fate_of(*number).has_ended(line.maybe_ms));
        let is_sole = other.is_none() || self.rebuilt.eras.len() > 1;
        self.demand(is_sole, || format!("(L3) {ticket:?} is of a person who has {other:?}"));
        let verdict = self.desk.issue(text, ticket);
        self.take(verdict);
    }

    /// Notes a new pass.
    pub fn signed(&mut self, text: &str, ticket: &Ticket, issued_ms: u64, ends_s: u64) {
        self.desk.sign(text, ticket, issued_ms, ends_s);
    }

    /// Judges what the gate said, of a gateway that goes by this schedule.
    pub fn decided(&mut self, shown: &Shown<'_>, schedule: &Schedule, decision: &Decision) {
        if *decision == Decision::Join {
            let opens = schedule.opens_ms.is_none_or(|opens_ms| opens_ms <= shown.line.maybe_ms);
            let goes_on = schedule.ends_ms.is_none_or(|ends_ms| shown.line.surely_ms < ends_ms);
            self.demand(opens && goes_on, || {
                format!("somebody may join at {:?}, and the sale is {schedule:?}", shown.line)
            });
        }
        let verdict = self.desk.judge(shown, decision, |number| self.fate_of(number));
        self.take(verdict);
    }

    fn fate_of(&self, number: Number) -> Fate {
        Fate {
            ends_s: self.ever.called.get(&number).copied(),
            is_over: self.ever.over.contains(number),
            latest_s: self.ever.latest_s,
        }
    }

    /// Judges what a gateway tells somebody in line. (L4)
    pub fn shown(&mut self, screen: &mut Screen, told: &Told<'_>) {
        let Some(position) = told.status.position else { return };
        let number = told.ticket.number;
        let verdict = screen.show(told, position);
        self.take(verdict);
        let is_of_now = self.owes.is_none() && self.books.epoch == told.room.mirror.known().epoch;
        let least = self.books.ahead_of(number) + 1;
        if is_of_now && self.books.waiting.contains(&number) {
            self.demand(position >= least, || format!("(L4) {number} is told place {position}, and it is {least}"));
        }
    }

    /// Checks the store after it has done a verb: of a tick, the first `parts` of five.
    pub fn heard(&mut self, verb: &Verb, answer: Option<&Answer>, parts: u64, machine: &Machine, clock_us: u64) {
        self.verbs += 1;
        self.ever.latest_s = self.ever.latest_s.max(clock_us / 1_000_000);
        self.books.pass_to(clock_us);
        (self.asked.by_hand, self.asked.reset) = (0, false);
        match verb {
            Verb::Join(_) => {
                if let Some(Answer::Joined(joined)) = answer {
                    self.joined(joined, machine);
                }
            }
            Verb::Claim(arrivals, _) => self.claimed(arrivals, answer, machine),
            Verb::Tick(tick) => {
                self.introduced(tick);
                let is_of_old = (1..self.books.epoch).contains(&tick.known.epoch);
                if parts > 0 {
                    let is_heard = matches!(answer, Some(Answer::Page(page)) if page.vouched);
                    self.books.vouch(tick, is_of_old, is_heard);
                }
                let is_behind = matches!(answer, Some(Answer::Page(page)) if page.news == News::Behind);
                let inside = self.inside(tick);
                let is_heard = parts == 5 && !is_behind && !is_of_old;
                if is_heard {
                    self.books.tend();
                }
                self.read_log(machine);
                if is_heard {
                    self.done(tick, &inside);
                }
            }
            Verb::Steer(steering) => {
                self.steered(steering);
                self.read_log(machine);
            }
            Verb::Restore(_) => self.restored(machine),
        }
        self.compare(machine);
        if self.verbs.is_multiple_of(16) {
            self.check_deeply(machine, clock_us);
        }
    }

    /// Notes that the store has lost everything.
    pub fn lost(&mut self) {
        self.owes = self.owes.or(Some(self.books.epoch));
    }

    /// Notes that a replica has taken over.
    pub fn failed_over(&mut self, machine: &Machine, clock_us: u64) {
        self.books.pass_to(clock_us);
        let is_whole = self.owes.is_none_or(|epoch| machine.roll().eras.iter().any(|era| era.epoch == epoch));
        if is_whole {
            self.owes = None;
            self.begin_anew(machine);
        }
    }

    /// Persons get what they have, which a store may have to take back first.
    fn claimed(&mut self, arrivals: &[Arrival], answer: Option<&Answer>, machine: &Machine) {
        let Some(Answer::Claimed(Some(claimed))) = answer else { return self.read_log(machine) };
        for (arrival, (_, number)) in arrivals.iter().zip(&claimed.numbers) {
            let Some(person) = arrival.person() else { continue };
            let numbers = self.asked.persons.entry(person).or_default();
            self.asked.returned.extend(numbers.iter());
            numbers.insert(*number);
        }
        match claimed.joined.count {
            0 => self.read_log(machine),
            _ => self.joined(&claimed.joined, machine),
        }
    }

    /// Of two places of a person, one is given up when a ticket tells of the other.
    fn introduced(&mut self, tick: &Tick) {
        for (person, told) in &tick.introduced {
            let numbers = self.asked.persons.entry(*person).or_default();
            numbers.insert(*told);
            self.asked.left.extend(numbers.iter());
        }
    }

    fn joined(&mut self, joined: &Joined, machine: &Machine) {
        let next = self.books.issued + 1;
        self.demand(joined.first == next, || format!("(L1) a join got {} and not {next}", joined.first));
        self.books.join(joined);
        self.read_log(machine);
        for number in joined.first..joined.first + joined.admitted {
            let called = self.books.called.contains(&number);
            self.demand(called, || format!("{number} was told to be called, and the log does not say so"));
        }
    }

    /// Finds those whose sessions a tick is to end. Whose call was lost may be called again by that very tick.
    fn inside(&self, tick: &Tick) -> Vec<Number> {
        let ended = tick.ended.iter().flat_map(|ended| ended.numbers.iter());
        ended.filter(|number| self.books.called.contains(number)).collect()
    }

    /// What a gateway said with a whole tick has been done.
    fn done(&mut self, tick: &Tick, inside: &[Number]) {
        let books = &self.books;
        let keeps = tick.left.iter().find(|number| books.waiting.contains(number));
        let runs = inside.iter().find(|number| !books.over.contains(**number));
        let is_done = self.owes.is_some() || (keeps, runs) == (None, None);
        self.demand(is_done, || format!("(L6) said and not done: {keeps:?} left, the session of {runs:?} ended"));
    }

    fn steered(&mut self, steering: &Steering) {
        let books = &mut self.books;
        match steering {
            Steering::Configure(limits) if books.configured.as_ref() != Some(limits) => {
                books.limit(Some(limits.clone()));
                books.configured = Some(limits.clone());
            }
            Steering::Limits(limits) if books.limits.is_some() => books.limit(Some(limits.clone())),
            Steering::Phase(phase) if books.limits.is_some() => books.phase = *phase,
            Steering::Admit(count) => {
                self.asked.by_hand = *count;
                books.tend();
            }
            Steering::Reset => self.asked.reset = true,
            _ => {}
        }
    }

    fn restored(&mut self, machine: &Machine) {
        let roll = machine.roll();
        if self.owes.is_some_and(|epoch| roll.eras.iter().any(|era| era.epoch == epoch)) {
            self.owes = None;
            self.begin_anew(machine);
        } else if roll.epoch() != self.books.epoch {
            self.begin_anew(machine);
        } else if roll.seq != self.rebuilt.seq {
            self.books.agree_with(machine.roll());
        }
        self.rebuilt = roll.clone();
    }

    /// An epoch has begun: the books are written anew from what the store says, and no place may be gone.
    fn begin_anew(&mut self, machine: &Machine) {
        self.books.agree_with(machine.roll());
        self.books.begin_anew();
        self.rebuilt = machine.roll().clone();
        self.check_places(machine);
    }

    /// Reads the log on, as a mirror does.
    fn read_log(&mut self, machine: &Machine) {
        if self.owes.is_some() {
            return;
        }
        let known = Known { issued: 0, ..self.rebuilt.known() };
        match machine.state().follow(known) {
            News::Entries(entries) => entries.iter().for_each(|entry| self.read(entry)),
            News::Roll(roll) if self.rebuilt.epoch() == 0 => {
                // The first that is heard of it: whoever vouched with this verb goes on to.
                self.books.agree_with(&roll);
                self.rebuilt = *roll;
            }
            news => self.demand(false, || format!("the log broke off at {known:?}: {news:?}")),
        }
    }

    /// Holds the store's sets against the books, by their sizes.
    fn compare(&mut self, machine: &Machine) {
        if self.owes.is_some() {
            return;
        }
        let (books, roll) = (&self.books, machine.roll());
        let mine = [books.issued, books.waiting.len() as u64, books.called.len() as u64, books.over.count()];
        let theirs = [roll.issued, roll.waiting.count(), roll.called.count(), roll.over.count()];
        self.demand(mine == theirs, || {
            format!("issued, waiting, called and over are {theirs:?}, and should be {mine:?}")
        });
        let (sessions, slots) = (self.books.active(), roll.active(self.books.clock_us / 1_000_000));
        // After a loss, a session of which two calls told two ends may hold its slot until the later one.
        let is_right = slots == sessions || (slots > sessions && roll.eras.len() > 1);
        self.demand(is_right, || format!("(L6) {slots} slots are in use, and {sessions} sessions run"));
    }

    /// Checks what costs more than a look: that the log alone rebuilds the roll, that a second call at the same
    /// instant changes nothing (L7), that no place is gone (L8).
    fn check_deeply(&mut self, machine: &Machine, clock_us: u64) {
        if self.owes.is_some() {
            return;
        }
        let roll = machine.roll();
        let all_told = roll.issued == self.rebuilt.issued;
        self.demand(!all_told || *roll == self.rebuilt, || "the log does not rebuild the roll".to_owned());
        let mut again = machine.state().clone();
        again.call(clock_us);
        let once = again.roll().clone();
        again.call(clock_us);
        self.demand(*again.roll() == once, || "(L7) ticking twice at one instant is not ticking once".to_owned());
        self.check_places(machine);
    }

    /// Every place that was given and is not over is in line, called, or can be taken back. (L8)
    fn check_places(&mut self, machine: &Machine) {
        let roll = machine.roll();
        let gone = self.desk.places().find_map(|(epoch, number)| {
            let standing = roll.standing(epoch, number, 0);
            let fate = self.fate_of(number);
            let is_kept = !matches!(standing, Standing::Over | Standing::Foreign | Standing::Unheard);
            (!is_kept && !fate.is_over && fate.ends_s.is_none()).then(|| format!("(L8) place {number} is {standing:?}"))
        });
        self.demand(gone.is_none(), || gone.unwrap_or_default());
    }
}
