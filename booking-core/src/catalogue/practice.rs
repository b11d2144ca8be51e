//! Practices: appointments in slots, so many numbered places in each. `90001:2026-11-23:T2` is the second slot of a day.

use serde::{Deserialize, Serialize};
use time::Date;

use crate::domain::inventory::{Class, InventoryId, Offer, TrainNumber};
use crate::domain::money::Paise;
use crate::domain::seat::{MOST_NUMBERS, Numbering};

/// Offers appointments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Practice {
    /// Its number of five digits, which stands first in its rows' ids; no train has it.
    pub number: String,
    /// Its name.
    pub name: String,
    /// When its slots begin, such as `09:30`, in the order of the day.
    pub slots: Vec<String>,
    /// Places in each slot, numbered from 1.
    pub places: u32,
    /// What a place costs.
    pub price_paise: u32,
    /// On which days it is open, Monday first: `1111100`.
    pub days: String,
}

impl Practice {
    /// Lists what is wrong with it, and what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let slot = |text: &String| text.len() == 5 && time::Time::parse(text, SLOT_FORMAT).is_ok();
        let days = self.days.len() == 7 && self.days.bytes().all(|day| matches!(day, b'0' | b'1'));
        [
            (self.number().is_some(), "number must have five digits"),
            ((1..=crate::domain::class::Slot::MOST).contains(&self.slots.len()), "slots must be 1 to 24"),
            (self.slots.iter().all(slot), "slots must be times of the day such as 09:30"),
            (self.slots.is_sorted_by(|one, next| one < next), "slots must be in the order of the day, each once"),
            ((1..=MOST_NUMBERS).contains(&self.places), "places must be 1 to 10000"),
            (days, "days must be seven digits 0 or 1, Monday first"),
        ]
        .into_iter()
        .filter(|(right, _)| !right)
        .map(|(_, problem)| format!("practices: {}: {problem}", self.number))
        .collect()
    }

    pub(super) fn number(&self) -> Option<TrainNumber> {
        self.number.parse().ok()
    }

    /// Returns when the slot of a row begins, if it is one of this practice's.
    #[must_use]
    pub fn slot(&self, row: InventoryId) -> Option<&str> {
        match row.class {
            Class::Slot(slot) if self.number() == Some(row.train) => self.slots.get(slot.index()).map(String::as_str),
            _ => None,
        }
    }

    /// Tells whether it is open on a day.
    #[must_use]
    pub fn is_open(&self, date: Date) -> bool {
        self.days.as_bytes().get(usize::from(date.weekday().number_days_from_monday())) == Some(&b'1')
    }

    pub(super) fn offer(&self, inventory: InventoryId) -> Offer {
        let price = Paise::new(self.price_paise);
        Offer { inventory, capacity: self.places, price, numbering: Numbering::Tickets }
    }
}

const SLOT_FORMAT: &[time::format_description::BorrowedFormatItem<'static>] =
    time::macros::format_description!("[hour]:[minute]");

#[cfg(test)]
mod tests {
    use super::*;

    fn practice() -> Practice {
        Practice {
            number: "90001".to_owned(),
            name: "Dr Rao".to_owned(),
            slots: vec!["09:00".to_owned(), "10:30".to_owned()],
            places: 10,
            price_paise: 50_000,
            days: "1111100".to_owned(),
        }
    }

    #[test]
    fn a_practice_says_what_is_wrong_with_it() {
        assert!(practice().problems().is_empty());
        let broken = Practice {
            number: "9".to_owned(),
            slots: vec!["10:30".to_owned(), "9:00".to_owned()],
            places: 0,
            days: "Mon".to_owned(),
            ..practice()
        };
        let problems = broken.problems().join("\n");
        for part in ["five digits", "such as 09:30", "1 to 10000", "Monday first"] {
            assert!(problems.contains(part), "{part}: {problems}");
        }
        let reversed = Practice { slots: vec!["10:30".to_owned(), "09:00".to_owned()], ..practice() };
        assert_eq!(reversed.problems().len(), 1);
    }

    #[test]
    fn a_slot_is_named_by_its_place_in_the_day() {
        for (row, slot) in [
            ("90001:2026-11-23:T2", Some("10:30")),
            ("90001:2026-11-23:T3", None),
            ("90001:2026-11-23:3A", None),
            ("90002:2026-11-23:T1", None),
        ] {
            assert_eq!(practice().slot(row.parse().unwrap()), slot, "{row}");
        }
    }
}
