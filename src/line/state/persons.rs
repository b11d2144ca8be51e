//! Which number each person has, in a room where one person holds one place.
//!
//! What is kept is no more than (person → number). Whether a number still stands is the roll's to say, so
//! nothing has to be done when a place ends: the next claim sees it, and a slow sweep forgets it.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use super::{LineState, is_ahead};
use crate::line::{Arrival, CLAIM_LIMIT, Claimed, Epoch, Joined, Known, Number, Numbers, PersonId, Roll, Standing};

/// How many persons are looked at in each sweep, to forget those whose place is over.
const SWEEP: usize = 64;

/// The persons of one line.
#[derive(Clone, Debug, Default)]
pub(super) struct Persons {
    numbers: BTreeMap<PersonId, Number>,
    /// The last person that the sweep has looked at.
    swept: Option<PersonId>,
    /// What a store that keeps a file has yet to write.
    unwritten: Vec<(PersonId, Number)>,
}

impl Persons {
    /// Takes what a file has kept.
    pub(super) fn kept(numbers: BTreeMap<PersonId, Number>) -> Self {
        Self { numbers, ..Self::default() }
    }

    fn get(&self, person: PersonId) -> Option<Number> {
        self.numbers.get(&person).copied()
    }

    fn set(&mut self, person: PersonId, number: Number) {
        self.numbers.insert(person, number);
        self.unwritten.push((person, number));
    }

    /// Forgets those of the next few whose number `is_over`, and goes on from there the next time.
    fn sweep(&mut self, is_over: impl Fn(Number) -> bool) {
        let after = self.swept.map_or(Unbounded, Excluded);
        let seen: Vec<(PersonId, Number)> =
            self.numbers.range((after, Unbounded)).take(SWEEP).map(|(person, number)| (*person, *number)).collect();
        self.swept = seen.last().filter(|_| seen.len() == SWEEP).map(|(person, _)| *person);
        for (person, number) in seen {
            if is_over(number) {
                self.numbers.remove(&person);
            }
        }
    }
}

impl LineState {
    /// Gives each arrival a number, in order: a person the one they have, as long as its place stands,
    /// anybody else a new one. At most [`CLAIM_LIMIT`] arrivals. `None`, and nothing done, for a mirror that knows
    /// more than the line: numbers that were lost would be given again, and be written down as somebody's.
    pub fn claim(&mut self, arrivals: &[Arrival], known: Known, now_us: u64) -> Option<Claimed> {
        assert!(arrivals.len() <= CLAIM_LIMIT, "a claim is bounded");
        if is_ahead(known, self.roll.known()) || self.has_left_behind(known) {
            return None;
        }
        let held = self.held(arrivals);
        let forgotten = |number: &Number| !is_drawn(&self.roll, *number) && self.roll.is_forgotten(*number);
        let back: Numbers = held.iter().flatten().copied().filter(forgotten).collect();
        self.take_back(&back, now_us);
        let first = self.roll.issued + 1;
        let mut next = first;
        let mut numbers = Vec::with_capacity(arrivals.len());
        for (arrival, held) in arrivals.iter().zip(held) {
            let number = held.or_else(|| self.persons.get(arrival.person()?).filter(|number| *number >= first));
            numbers.push(number.unwrap_or(next));
            if number.is_none() {
                arrival.person().into_iter().for_each(|person| self.persons.set(person, next));
                next += 1;
            }
        }
        let joined = self.join_some(next - first, now_us);
        let epoch_of = |number| (self.roll.epoch_of(number), number);
        Some(Claimed { joined, numbers: numbers.into_iter().map(epoch_of).collect() })
    }

    /// Finds the number that a person has, where its place may still stand.
    #[must_use]
    pub fn find(&self, person: PersonId) -> Option<(Epoch, Number)> {
        let [held] = self.held(&[Arrival::Person { id: person, over: None }])[..] else { return None };
        held.map(|number| (self.roll.epoch_of(number), number))
    }

    /// Takes in what the tickets of returning persons tell, after a loss. Of two places that both wait,
    /// the earlier one stays and the other is given up; otherwise, and where lots were drawn, the one that is told
    /// counts.
    pub fn introduce(&mut self, persons: &[(PersonId, Number)], now_us: u64) {
        let waits = |number: &Number| !is_drawn(&self.roll, *number) && self.roll.waiting.contains(*number);
        let mut doubled = Vec::new();
        for (person, told) in persons.iter().copied().filter(|(_, number)| holds(&self.roll, *number)) {
            let known = self.persons.get(person);
            let other = known.filter(|known| *known != told && waits(known) && waits(&told));
            doubled.extend(other.map(|other| other.max(told)));
            let kept = other.map_or(told, |other| other.min(told));
            if known != Some(kept) {
                self.persons.set(person, kept);
            }
        }
        self.leave(&doubled.into_iter().collect(), now_us);
    }

    /// Returns who has which number since the last [`LineState::written`].
    #[must_use]
    pub fn unwritten(&self) -> &[(PersonId, Number)] {
        &self.persons.unwritten
    }

    /// Notes that this much of [`LineState::unwritten`] is on disk, or need not be.
    pub fn written(&mut self) {
        self.persons.unwritten.clear();
    }

    /// Walks all persons whose place may still stand.
    pub fn persons(&self) -> impl Iterator<Item = (PersonId, Number)> + '_ {
        self.persons.numbers.iter().map(|(person, number)| (*person, *number))
    }

    /// Forgets some of those whose place is over. A store does that now and then; no answer depends on it, as long
    /// as gateways tell whose session has run out.
    pub fn sweep_persons(&mut self, now_us: u64) {
        let Self { persons, roll, .. } = self;
        let now_s = now_us / 1_000_000;
        persons.sweep(|number| {
            matches!(roll.standing(roll.epoch_of(number), number, now_s), Standing::Over | Standing::Foreign)
        });
    }

    /// Finds the number that each arrival has and whose place stands.
    fn held(&self, arrivals: &[Arrival]) -> Vec<Option<Number>> {
        let held = |arrival: &Arrival| match arrival {
            Arrival::Anybody => None,
            Arrival::Person { id, over } => {
                let number = self.persons.get(*id).filter(|number| Some(*number) != *over)?;
                (holds(&self.roll, number) || self.roll.is_forgotten(number)).then_some(number)
            }
        };
        arrivals.iter().map(held).collect()
    }

    fn join_some(&mut self, count: u64, now_us: u64) -> Joined {
        if count > 0 {
            return self.join(count, now_us);
        }
        let (epoch, first) = (self.roll.epoch(), self.roll.issued + 1);
        Joined { epoch, first, count, admitted: 0, ends_s: self.ends_s(now_us), at_us: now_us }
    }
}

/// Tells whether lots were drawn for a number. Where it stands is then known by place, which not every store can
/// compute; gateways can, and tell.
fn is_drawn(roll: &Roll, number: Number) -> bool {
    roll.draws.iter().any(|draw| draw.covers(number))
}

/// Tells whether a number waits, or was called and has not ended its session early, as far as the store can know.
fn holds(roll: &Roll, number: Number) -> bool {
    is_drawn(roll, number)
        || roll.waiting.contains(number)
        || (roll.called.contains(number) && !roll.over.contains(number))
}
