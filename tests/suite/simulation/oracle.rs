//! The oracle: what must be true of a line, told a second time, simply, with nothing of the code under test.
//!
//! It sits at the store's end of the wire. After every verb it reads the log as one more mirror would, and holds
//! each entry against its own [`books`]. The [`desk`] knows every ticket and pass.

mod books;
mod bucket;
mod desk;
mod drawing;
mod entries;
mod ever;
mod losses;
mod lots;
mod places;
mod screen;

use std::collections::{BTreeMap, BTreeSet};

use vestibule::gate::Decision;
use vestibule::line::{Arrival, Joined, Known, News, Number, PersonId, Roll, Steering, Tick};
use vestibule::token::Ticket;

use super::census::Census;
use super::machine::Machine;
use super::wire::{Answer, Verb};
use books::Books;
use desk::{Desk, Key};
pub use desk::{LineNow, Shown};
use ever::Ever;
use lots::Draws;
pub use screen::{Screen, Told};

/// What was asked for, by whoever may ask.
#[derive(Debug, Default)]
struct Asked {
    left: BTreeSet<Number>,
    ended: BTreeSet<Number>,
    renewed: BTreeSet<Number>,
    returned: BTreeSet<Number>,
    /// Which numbers each person was ever given.
    persons: BTreeMap<PersonId, BTreeSet<Number>>,
    /// How many the operator lets in by hand with the verb that is being done.
    by_hand: u64,
    /// Whether that verb takes every place.
    reset: bool,
    /// The first number that it gives, if it is a join.
    joining: Option<Number>,
}

/// Watches one run.
#[derive(Debug, Default)]
pub struct Oracle {
    violation: Option<String>,
    books: Books,
    desk: Desk,
    asked: Asked,
    ever: Ever,
    draws: Draws,
    /// The line as the log tells it.
    rebuilt: Roll,
    verbs: u64,
    /// What was reached.
    pub census: Census,
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

    pub fn ask_to_renew(&mut self, number: Number) {
        self.asked.renewed.insert(number);
    }

    pub fn ask_to_return(&mut self, number: Number) {
        self.asked.returned.insert(number);
    }

    /// Notes a new ticket. (L1) A number has one holder, and (L3) a person one place; after a loss a person may have
    /// two, until a ticket tells which is which, and so may who has used up a session that a clock put back prolongs.
    pub fn issued(&mut self, text: &str, ticket: Ticket, line: LineNow) {
        let stands = |held: &Key| *held != desk::key(&ticket) && !self.ever.fate(*held).has_ended(line.surely_ms);
        let other = self.desk.keys_of(ticket.id).find(stands);
        // An answer may come late, with a place whose session was over when the person got another.
        let is_over = self.ever.fate(desk::key(&ticket)).has_ended(self.books.clock_us / 1_000);
        let excused = self.rebuilt.eras.len() > 1 || self.books.went_back || is_over;
        let is_sole = other.is_none_or(|(epoch, _)| epoch != ticket.epoch || excused);
        self.demand(is_sole, || format!("(L3) {ticket:?} is of a person who has {other:?}"));
        let verdict = self.desk.issue(text, ticket);
        self.take(verdict);
        self.forget_whose_line_gave_way(&ticket);
    }

    /// Notes a new pass.
    pub fn signed(&mut self, text: &str, ticket: &Ticket, issued_ms: u64, ends_s: u64) {
        self.desk.sign(text, ticket, issued_ms, ends_s);
    }

    /// Judges what the gate said, of a gateway that goes by this schedule.
    pub fn decided(&mut self, shown: &Shown<'_>, mirror: &Roll, decision: &Decision) {
        let schedule = mirror.settings.as_ref().map(|settings| settings.limits.schedule).unwrap_or_default();
        if *decision == Decision::Join {
            let opens = schedule.opens_ms.is_none_or(|opens_ms| opens_ms <= shown.line.maybe_ms);
            let goes_on = schedule.ends_ms.is_none_or(|ends_ms| shown.line.surely_ms < ends_ms);
            self.demand(opens && goes_on, || {
                format!("somebody may join at {:?}, and the sale is {schedule:?}", shown.line)
            });
        }
        if *decision == Decision::Join {
            self.put_aside(shown, mirror);
        }
        let verdict = self.desk.judge(shown, decision, |key| self.ever.fate(key));
        self.take(verdict);
    }

    /// Judges what a gateway tells somebody in line. (L4)
    pub fn shown(&mut self, screen: &mut Screen, told: &Told<'_>) {
        self.check_lot(told);
        let Some(position) = told.status.position else { return };
        let verdict = screen.show(told, position);
        self.take(verdict);
        let is_of_now = self.books.epoch == told.room.mirror.known().epoch;
        let place = self.draws.place(told.ticket.number);
        let least = self.books.ahead_of(place) + 1;
        if is_of_now && self.books.waiting.contains(&place) {
            self.demand(position >= least, || format!("(L4) {place} is told position {position}, and it is {least}"));
        }
    }

    /// Checks the store after it has done a verb: of a tick, the first `parts` of five.
    pub fn heard(&mut self, verb: &Verb, answer: Option<&Answer>, parts: u64, machine: &Machine, clock_us: u64) {
        self.verbs += 1;
        self.ever.latest_s = self.ever.latest_s.max(clock_us / 1_000_000);
        self.books.pass_to(clock_us);
        (self.asked.by_hand, self.asked.reset, self.asked.joining) = (0, false, None);
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
                let is_understood = tick.known.seq >= self.books.drawn_seq;
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
                if is_heard && is_understood {
                    self.done(tick, &inside);
                }
            }
            Verb::Steer(steering) => {
                self.steered(steering);
                self.read_log(machine);
            }
            Verb::Restore(offered) => self.restored(offered, machine),
        }
        self.compare(machine);
        if self.verbs.is_multiple_of(16) {
            self.check_deeply(machine, clock_us);
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
        self.asked.joining = Some(next);
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
        let is_done = (keeps, runs) == (None, None);
        self.demand(is_done, || format!("(L6) said and not done: {keeps:?} left, the session of {runs:?} ended"));
        let books = &self.books;
        let length_s = books.limits.as_ref().map_or(0, |limits| limits.session_duration_s);
        let least_s = books.clock_us / 1_000_000 + length_s;
        let renewed = tick.renewed.iter().map(|renewal| renewal.number);
        let mut short = renewed.filter(|number| books.session_end(*number).is_some_and(|ends_s| ends_s < least_s));
        let short = short.next();
        self.demand(short.is_none(), || format!("(L6) said and not done: the session of {short:?} renewed"));
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

    /// Reads the log on, as a mirror does.
    fn read_log(&mut self, machine: &Machine) {
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
}
