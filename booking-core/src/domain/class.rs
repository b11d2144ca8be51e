//! What a row of stock is a row of: a class of travel, or a slot of appointments.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::inventory::BadInventoryId;

/// Names a class of travel, or a slot of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// First class with air conditioning.
    FirstAc,
    /// Executive chair car.
    ExecutiveChair,
    /// Two-tier sleeper with air conditioning.
    TwoTierAc,
    /// Three-tier sleeper with air conditioning.
    ThreeTierAc,
    /// Chair car with air conditioning.
    ChairCar,
    /// Sleeper.
    Sleeper,
    /// Second class, sitting.
    SecondSitting,
    /// Appointments that begin at one time of the day, by their place among the slots of that day.
    Slot(Slot),
}

/// Names a slot by its place among the slots of a day, from 1 to 24.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u8);

impl Slot {
    /// Slots in one day, at most.
    pub const MOST: usize = SLOTS.len();

    /// Returns its place among the slots of the day, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

const SLOTS: [&str; 24] = [
    "T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "T10", "T11", "T12", "T13", "T14", "T15", "T16", "T17",
    "T18", "T19", "T20", "T21", "T22", "T23", "T24",
];

impl Class {
    /// Every class of travel, the dearest first.
    pub const ALL: [Self; 7] = [
        Self::FirstAc,
        Self::ExecutiveChair,
        Self::TwoTierAc,
        Self::ThreeTierAc,
        Self::ChairCar,
        Self::Sleeper,
        Self::SecondSitting,
    ];

    /// Returns the code that stands in inventory ids.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::FirstAc => "1A",
            Self::ExecutiveChair => "EC",
            Self::TwoTierAc => "2A",
            Self::ThreeTierAc => "3A",
            Self::ChairCar => "CC",
            Self::Sleeper => "SL",
            Self::SecondSitting => "2S",
            Self::Slot(slot) => SLOTS[slot.index()],
        }
    }

    /// Returns the name a traveller reads.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::FirstAc => "AC first class",
            Self::ExecutiveChair => "Executive chair car",
            Self::TwoTierAc => "AC 2 tier",
            Self::ThreeTierAc => "AC 3 tier",
            Self::ChairCar => "AC chair car",
            Self::Sleeper => "Sleeper",
            Self::SecondSitting => "Second sitting",
            Self::Slot(_) => "Appointment",
        }
    }
}

impl FromStr for Class {
    type Err = BadInventoryId;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        let travel = || Self::ALL.into_iter().find(|class| class.code() == code);
        let slot = || SLOTS.iter().zip(0..).find(|(slot, _)| **slot == code).map(|(_, index)| Self::Slot(Slot(index)));
        travel().or_else(slot).ok_or(BadInventoryId::Class)
    }
}

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
