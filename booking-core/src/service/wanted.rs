//! What a buyer asks for, brought into one form: a line for each row, in ascending order.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use thiserror::Error;

use super::request_hash;
use crate::domain::hold::RequestHash;
use crate::domain::inventory::InventoryId;
use crate::domain::order::Keep;
use crate::domain::seat::{SeatNumber, Wish};

/// Asks for something of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The row.
    pub inventory: InventoryId,
    /// What of it.
    pub want: Want,
}

/// Says how many seats are wanted, or which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// So many, any.
    Any(u32),
    /// These.
    Seats(Vec<SeatNumber>),
}

/// Says why an order does not make sense, whatever is on sale.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadOrder {
    /// It asks for nothing.
    #[error("an order has at least one item")]
    Empty,
    /// It names rows that are kept in different databases.
    #[error("{0} and {1} are kept apart and cannot be held together; make an order of each")]
    Apart(InventoryId, InventoryId),
    /// It names a seat twice.
    #[error("the seat {1} of {0} is named twice")]
    SeatTwice(InventoryId, SeatNumber),
    /// It asks for chosen seats and for any seats of one row.
    #[error("{0}: name the seats or say how many, not both")]
    Mixed(InventoryId),
    /// It names seats where there are none to choose.
    #[error("seats of {0} cannot be chosen")]
    NotNumbered(InventoryId),
    /// It names a seat that the row does not have.
    #[error("{0} has no such seat")]
    NoSuchSeat(InventoryId),
}

/// Is an order in its one form.
///
/// Two items of one row become one line and are judged on their sum, and rows stand in ascending order, which is the
/// order in which every database locks them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted(Vec<Item>);

impl Wanted {
    pub(super) fn of(items: &[Item]) -> Result<Self, BadOrder> {
        let mut lines: BTreeMap<InventoryId, Want> = BTreeMap::new();
        for item in items {
            match lines.entry(item.inventory) {
                Entry::Vacant(line) => drop(line.insert(item.want.clone())),
                Entry::Occupied(mut line) => line.get_mut().add(item)?,
            }
        }
        let mut lines: Vec<Item> = lines.into_iter().map(|(inventory, want)| Item { inventory, want }).collect();
        lines.iter_mut().try_for_each(Item::sort)?;
        if lines.is_empty() { Err(BadOrder::Empty) } else { Ok(Self(lines)) }
    }

    pub(super) fn lines(&self) -> &[Item] {
        &self.0
    }

    /// Returns how many seats it asks for in all.
    pub(super) fn quantity(&self) -> u32 {
        self.0.iter().fold(0, |sum: u32, item| sum.saturating_add(item.want.quantity()))
    }

    /// Hashes what it asks for; the same order in other words has the same hash.
    pub(super) fn hash(&self) -> RequestHash {
        let words: Vec<String> =
            self.0.iter().flat_map(|item| [item.inventory.to_string(), item.want.word()]).collect();
        request_hash(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

impl Item {
    /// Returns what is to be kept of a hold, if that is what this is about.
    pub(super) fn keep(mut self) -> Result<Keep, BadOrder> {
        self.sort()?;
        Ok(match self.want {
            Want::Any(count) => Keep::Any(count),
            Want::Seats(seats) => Keep::Seats(seats),
        })
    }

    /// Puts chosen seats in ascending order.
    fn sort(&mut self) -> Result<(), BadOrder> {
        let Want::Seats(seats) = &mut self.want else { return Ok(()) };
        seats.sort_unstable();
        match seats.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(BadOrder::SeatTwice(self.inventory, pair[0])),
            None => Ok(()),
        }
    }
}

impl Want {
    /// Returns how many seats it is about.
    pub(super) fn quantity(&self) -> u32 {
        match self {
            Self::Any(quantity) => *quantity,
            Self::Seats(seats) => seats.len() as u32,
        }
    }

    pub(super) fn wish(&self) -> Wish {
        match self {
            Self::Any(_) => Wish::Any,
            Self::Seats(seats) => Wish::These(seats.clone()),
        }
    }

    fn add(&mut self, item: &Item) -> Result<(), BadOrder> {
        match (self, &item.want) {
            (Self::Any(sum), Self::Any(more)) => *sum = sum.saturating_add(*more),
            (Self::Seats(all), Self::Seats(more)) => all.extend(more),
            _ => return Err(BadOrder::Mixed(item.inventory)),
        }
        Ok(())
    }

    fn word(&self) -> String {
        match self {
            Self::Any(quantity) => quantity.to_string(),
            Self::Seats(seats) => seats.iter().fold("seats".to_owned(), |words, seat| format!("{words} {seat}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(row: &str, quantity: u32) -> Item {
        Item { inventory: row.parse().unwrap(), want: Want::Any(quantity) }
    }

    fn seats(row: &str, seats: &[u32]) -> Item {
        let seats = seats.iter().copied().map(SeatNumber::new).collect();
        Item { inventory: row.parse().unwrap(), want: Want::Seats(seats) }
    }

    const ONE: &str = "12951:2026-11-23:3A";
    const TWO: &str = "12952:2026-11-23:3A";

    #[test]
    fn an_order_has_one_form_in_whatever_words() {
        let expected = Wanted::of(&[any(ONE, 3), seats(TWO, &[1, 2])]).unwrap();
        let said = [seats(TWO, &[2]), any(ONE, 1), seats(TWO, &[1]), any(ONE, 2)];
        let wanted = Wanted::of(&said).unwrap();
        assert_eq!(wanted, expected);
        assert_eq!(wanted.hash(), expected.hash());
        assert_eq!(wanted.quantity(), 5);
        assert_ne!(wanted.hash(), Wanted::of(&[any(ONE, 3), any(TWO, 2)]).unwrap().hash());
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let row = ONE.parse().unwrap();
        assert_eq!(Wanted::of(&[]), Err(BadOrder::Empty));
        assert_eq!(Wanted::of(&[any(ONE, 1), seats(ONE, &[1])]), Err(BadOrder::Mixed(row)));
        assert_eq!(Wanted::of(&[seats(ONE, &[4, 1, 4])]), Err(BadOrder::SeatTwice(row, SeatNumber::new(4))));
    }
}
