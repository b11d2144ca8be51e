//! Numbers: the seats of a row, or the tickets of a slot, counted from 1.
//!
//! Where seats are numbered, the count says how many are left and the number says which. Both change in one commit, and
//! a UNIQUE key on (row, number) is the last word on who owns a number.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The most numbers one row may have: choosing among them is done in memory.
pub const MOST_NUMBERS: u32 = 10_000;

/// Names one seat or ticket of a row by its place in the row, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeatNumber(u32);

impl SeatNumber {
    /// Wraps a number, which counts from 1.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for SeatNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Says whether the seats of a row have numbers, and who chooses them. It is fixed when the row is created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Numbering {
    /// No numbers: any seat is as good as another.
    #[default]
    Pool,
    /// Numbered seats in coaches: the buyer chooses, or is given seats together.
    Seats,
    /// Numbered tickets: given in order, the lowest free number first.
    ///
    /// A number that is given back leaves a gap, and the next buyer gets it; so the numbers in use never exceed the
    /// capacity, and a row is sold out exactly when all of them are taken.
    Tickets,
}

impl Numbering {
    const ALL: [Self; 3] = [Self::Pool, Self::Seats, Self::Tickets];

    /// Returns the word the databases store.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Seats => "seats",
            Self::Tickets => "tickets",
        }
    }

    /// Reads the word the databases store.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|numbering| numbering.word() == word)
    }
}

/// Says which seats a buyer wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// Any; together where they are numbered.
    #[default]
    Any,
    /// These, or none.
    These(Vec<SeatNumber>),
}

/// Holds the numbers of a row that nobody owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Free(BTreeSet<SeatNumber>);

impl Free {
    /// Returns what is left of 1 to `capacity` without the numbers taken.
    #[must_use]
    pub fn of(capacity: u32, taken: &[SeatNumber]) -> Self {
        let mut free = Self((1..=capacity).map(SeatNumber).collect());
        free.remove(taken);
        free
    }

    /// Tells whether a number is free.
    #[must_use]
    pub fn has(&self, number: SeatNumber) -> bool {
        self.0.contains(&number)
    }

    /// Lists them in ascending order.
    #[must_use]
    pub fn numbers(&self) -> Vec<SeatNumber> {
        self.0.iter().copied().collect()
    }

    /// Takes exactly these.
    ///
    /// # Errors
    /// Those that are not free; nothing is taken then.
    pub fn take(&mut self, wanted: &[SeatNumber]) -> Result<(), Vec<SeatNumber>> {
        let gone: Vec<SeatNumber> = wanted.iter().copied().filter(|number| !self.0.contains(number)).collect();
        if !gone.is_empty() {
            return Err(gone);
        }
        self.remove(wanted);
        Ok(())
    }

    /// Takes those of these that are free.
    pub fn remove(&mut self, gone: &[SeatNumber]) {
        for number in gone {
            self.0.remove(number);
        }
    }

    /// Returns the lowest numbers; `None` when there are too few.
    #[must_use]
    pub fn lowest(&self, count: usize) -> Option<Vec<SeatNumber>> {
        (self.0.len() >= count).then(|| self.0.iter().copied().take(count).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(numbers: &[u32]) -> Vec<SeatNumber> {
        numbers.iter().copied().map(SeatNumber::new).collect()
    }

    #[test]
    fn a_gap_is_filled_first() {
        let free = Free::of(10, &numbers(&[1, 2, 4, 5]));
        assert_eq!(free.lowest(2), Some(numbers(&[3, 6])));
        assert_eq!(free.lowest(7), None);
    }

    #[test]
    fn chosen_seats_are_taken_all_or_none() {
        let mut free = Free::of(4, &numbers(&[2]));
        assert_eq!(free.take(&numbers(&[1, 2, 5])), Err(numbers(&[2, 5])));
        assert_eq!(free.take(&numbers(&[1, 3])), Ok(()));
        assert_eq!(free.numbers(), numbers(&[4]));
    }
}
