//! One row of stock: the seats of one class of one train on one day, or the places of one slot of a practice.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::Date;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

pub use super::class::Class;
use super::money::Paise;
use super::seat::{Numbering, SeatNumber};

/// The way dates are written everywhere: `2026-11-23`.
pub const DATE_FORMAT: &[BorrowedFormatItem<'static>] = format_description!("[year]-[month]-[day]");

/// Says which part of an inventory id is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadInventoryId {
    /// It does not have three parts.
    #[error("an inventory id reads TRAIN:DATE:CLASS, for example 12951:2026-11-23:3A")]
    Shape,
    /// The train is not a five-digit number.
    #[error("the train must be a number of five digits")]
    Train,
    /// The date is not a day of the calendar written as `YYYY-MM-DD`.
    #[error("the date must read YYYY-MM-DD and be a day of the calendar")]
    Date,
    /// The class is not one of those we know.
    #[error("the class must be one of 1A, EC, 2A, 3A, CC, SL, 2S, or a slot from T1 to T24")]
    Class,
}

/// Names a train by its number of five digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrainNumber(u32);

impl fmt::Display for TrainNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:05}", self.0)
    }
}

impl Serialize for TrainNumber {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for TrainNumber {
    type Err = BadInventoryId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
        if !digits {
            return Err(BadInventoryId::Train);
        }
        text.parse().map(Self).map_err(|_| BadInventoryId::Train)
    }
}

/// Names one row of stock. Its text form `12951:2026-11-23:3A` has exactly one spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InventoryId {
    /// The train.
    pub train: TrainNumber,
    /// The day on which it leaves its origin, in India.
    pub date: Date,
    /// The class.
    pub class: Class,
}

impl fmt::Display for InventoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It is written several times for each hold: piece by piece into a text of known length costs a third of `write!`.
        let (year, month, day) = self.date.to_calendar_date();
        let mut text = *b"00000:0000-00-00:";
        digits(&mut text[..5], self.train.0);
        digits(&mut text[6..10], year.unsigned_abs());
        digits(&mut text[11..13], u8::from(month).into());
        digits(&mut text[14..16], day.into());
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)?;
        f.write_str(self.class.code())
    }
}

/// Writes a number in as many digits as there is space for.
fn digits(space: &mut [u8], mut number: u32) {
    for digit in space.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

impl FromStr for InventoryId {
    type Err = BadInventoryId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(':');
        let (Some(train), Some(date), Some(class), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadInventoryId::Shape);
        };
        Ok(Self { train: train.parse()?, date: parse_date(date)?, class: class.parse()? })
    }
}

/// Reads a date in its one spelling, `YYYY-MM-DD`.
///
/// # Errors
/// [`BadInventoryId::Date`] for anything else, a thirtieth of February included.
pub fn parse_date(text: &str) -> Result<Date, BadInventoryId> {
    if text.len() != 10 || !text.is_ascii() {
        return Err(BadInventoryId::Date);
    }
    Date::parse(text, DATE_FORMAT).map_err(|_| BadInventoryId::Date)
}

impl Serialize for InventoryId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InventoryId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Describes a row that may have to be created: how much there is and what one seat costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Which row.
    pub inventory: InventoryId,
    /// Seats in all.
    pub capacity: u32,
    /// The price of one seat.
    pub price: Paise,
    /// Whether its seats have numbers.
    pub numbering: Numbering,
}

/// Counts the seats of one row by what became of them.
///
/// # Invariants
/// (B1) `available + held + sold = capacity`, at every commit; a CHECK constraint says so too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock {
    /// Seats in all.
    pub capacity: u32,
    /// Seats that can be taken.
    pub available: u32,
    /// Seats promised until their hold ends.
    pub held: u32,
    /// Seats booked.
    pub sold: u32,
}

impl Stock {
    /// Returns the stock of a row nobody has taken anything from.
    #[must_use]
    pub const fn fresh(capacity: u32) -> Self {
        Self { capacity, available: capacity, held: 0, sold: 0 }
    }

    /// Returns the stock after a move; `None` when a count would fall below zero.
    #[must_use]
    pub fn after(self, step: StockMove) -> Option<Self> {
        let moved = Self {
            capacity: self.capacity,
            available: self.available.checked_add_signed(step.available)?,
            held: self.held.checked_add_signed(step.held)?,
            sold: self.sold.checked_add_signed(step.sold)?,
        };
        assert!(moved.adds_up(), "B1: a move neither makes nor loses a seat");
        Some(moved)
    }

    /// Tells whether (B1) holds.
    #[must_use]
    pub const fn adds_up(self) -> bool {
        self.available as u64 + self.held as u64 + self.sold as u64 == self.capacity as u64
    }
}

/// Moves seats of one row from one count to another. The three changes always sum to zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StockMove {
    /// Change of `available`.
    pub available: i32,
    /// Change of `held`.
    pub held: i32,
    /// Change of `sold`.
    pub sold: i32,
}

impl StockMove {
    /// Takes seats for a hold.
    #[must_use]
    pub const fn take(quantity: u32) -> Self {
        Self { available: -(quantity as i32), held: quantity as i32, sold: 0 }
    }

    /// Gives held seats back.
    #[must_use]
    pub const fn release(quantity: u32) -> Self {
        Self { available: quantity as i32, held: -(quantity as i32), sold: 0 }
    }

    /// Turns held seats into sold ones.
    #[must_use]
    pub const fn sell_held(quantity: u32) -> Self {
        Self { available: 0, held: -(quantity as i32), sold: quantity as i32 }
    }

    /// Puts sold seats on sale again.
    #[must_use]
    pub const fn take_back(quantity: u32) -> Self {
        Self { available: quantity as i32, held: 0, sold: -(quantity as i32) }
    }

    /// Sells seats that are on sale, for a payment whose hold ran out.
    #[must_use]
    pub const fn sell_available(quantity: u32) -> Self {
        Self { available: -(quantity as i32), held: 0, sold: quantity as i32 }
    }
}

/// Moves seats of one row, and says which they are where they have numbers.
///
/// A number belongs to the hold exactly while its seat counts as held or sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockChange {
    /// Which row.
    pub inventory: InventoryId,
    /// What becomes of its counts.
    pub change: StockMove,
    /// The numbers of these seats; none in a pool.
    pub seats: Vec<SeatNumber>,
}

impl StockMove {
    /// Returns both moves as one.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        let (available, held, sold) =
            (self.available + other.available, self.held + other.held, self.sold + other.sold);
        Self { available, held, sold }
    }

    /// Returns by how much the seats that have an owner grow.
    #[must_use]
    pub const fn owned(self) -> i32 {
        self.held + self.sold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        for (text, expected) in [
            ("12951:2026-11-23:3A", Ok(())),
            ("00113:2026-11-23:SL", Ok(())),
            ("", Err(BadInventoryId::Shape)),
            ("12951:2026-11-23", Err(BadInventoryId::Shape)),
            ("12951:2026-11-23:3A:", Err(BadInventoryId::Shape)),
            ("1295:2026-11-23:3A", Err(BadInventoryId::Train)),
            ("+2951:2026-11-23:3A", Err(BadInventoryId::Train)),
            ("１2951:2026-11-23:3A", Err(BadInventoryId::Train)),
            ("12951:2026-02-30:3A", Err(BadInventoryId::Date)),
            ("12951:2026-1-3:3A", Err(BadInventoryId::Date)),
            ("12951:+026-11-23:3A", Err(BadInventoryId::Date)),
            ("12951:2026-11-23:3a", Err(BadInventoryId::Class)),
            ("12951:2026-11-23:", Err(BadInventoryId::Class)),
            ("90001:2026-11-23:T1", Ok(())),
            ("90001:2026-11-23:T24", Ok(())),
            ("90001:2026-11-23:T0", Err(BadInventoryId::Class)),
            ("90001:2026-11-23:T01", Err(BadInventoryId::Class)),
            ("90001:2026-11-23:T25", Err(BadInventoryId::Class)),
        ] {
            let parsed = text.parse::<InventoryId>();
            assert_eq!(parsed.map(|_| ()), expected, "{text:?}");
            if let Ok(id) = parsed {
                assert_eq!(id.to_string(), text);
            }
        }
    }
}
