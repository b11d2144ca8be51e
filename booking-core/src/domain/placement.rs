//! Which of several databases keeps what: by train and day, the same on every copy of this program, for good.
//!
//! All classes of a train on a day lie together. Among the shards that take a day, the one with the highest score wins,
//! where the score mixes the shard's number with the train and the day (rendezvous hashing, Thaler and Ravishankar 1998):
//! so the load spreads evenly without a table. A row must never move, for its holds do not. So a shard that is added
//! says from which day on it takes trains, a day that was not on sale before; and one that is to go says until when.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::Date;

use super::id::{HoldId, PaymentId};
use super::inventory::InventoryId;

/// Shards there may be; a number fits into five bits of an id.
pub const MOST_SHARDS: usize = 32;

/// Numbers a shard, from 0 to 31. It is written into the ids of holds and payments, so it stays with its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct ShardNumber(u8);

/// The number is above 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a shard's number is from 0 to 31")]
pub struct BadShardNumber;

impl TryFrom<u8> for ShardNumber {
    type Error = BadShardNumber;

    fn try_from(number: u8) -> Result<Self, BadShardNumber> {
        if usize::from(number) < MOST_SHARDS { Ok(Self(number)) } else { Err(BadShardNumber) }
    }
}

impl From<ShardNumber> for u8 {
    fn from(number: ShardNumber) -> Self {
        number.0
    }
}

impl fmt::Display for ShardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ShardNumber {
    fn of(id: &[u8; 16]) -> Self {
        Self(id[0] >> 3)
    }

    const fn into_id(self, mut id: [u8; 16]) -> [u8; 16] {
        id[0] = (self.0 << 3) | (id[0] & 7);
        id
    }

    /// Returns the shard that a hold's id names. An id that was made before there were shards may name any.
    #[must_use]
    pub fn of_hold(id: HoldId) -> Self {
        Self::of(id.as_bytes())
    }

    /// Returns the shard that a payment's id names, which is its hold's.
    #[must_use]
    pub fn of_payment(id: PaymentId) -> Self {
        Self::of(id.as_bytes())
    }

    /// Writes this number into a hold's id.
    #[must_use]
    pub fn name(self, id: HoldId) -> HoldId {
        HoldId::from_bytes(self.into_id(*id.as_bytes()))
    }

    /// Writes this number into a payment's id.
    #[must_use]
    pub fn name_payment(self, id: PaymentId) -> PaymentId {
        PaymentId::from_bytes(self.into_id(*id.as_bytes()))
    }

    fn score(self, inventory: InventoryId) -> u64 {
        let name = inventory.to_string();
        let train_and_day = name.rsplit_once(':').map_or(name.as_str(), |(kept_together, _class)| kept_together);
        let seed = mixed(u64::from(self.0).wrapping_add(0x9e37_79b9_7f4a_7c15));
        train_and_day.bytes().fold(seed, |score, byte| mixed(score ^ u64::from(byte)))
    }
}

/// Mixes all bits into all bits (the finalizer of `SplitMix64`, Steele, Lea and Flood 2014).
const fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Says which days a shard takes trains of, by the day on which they leave their origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardDays {
    /// Which shard.
    pub number: ShardNumber,
    /// The first day; every day before `until` when it is missing.
    pub from: Option<Date>,
    /// The last day.
    pub until: Option<Date>,
}

impl ShardDays {
    fn takes(&self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) && self.until.is_none_or(|until| day <= until)
    }
}

/// Places every row on one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement(Vec<ShardDays>);

impl Placement {
    /// Checks that every day has a shard.
    ///
    /// # Errors
    /// Everything that is wrong, in words.
    pub fn new(shards: Vec<ShardDays>) -> Result<Self, Vec<String>> {
        let placement = Self(shards);
        let problems = placement.problems();
        if problems.is_empty() { Ok(placement) } else { Err(problems) }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (index, shard) in self.0.iter().enumerate() {
            let number = shard.number;
            if self.0[..index].iter().any(|other| other.number == number) {
                problems.push(format!("shards: number {number} is given twice; each database has its own"));
            }
            if shard.from.zip(shard.until).is_some_and(|(from, until)| until < from) {
                problems.push(format!("shards: number {number} takes no day: its until is before its from"));
            }
        }
        // Who takes a day can only change on these.
        let after = |shard: &ShardDays| shard.until.and_then(Date::next_day);
        let edges = self.0.iter().flat_map(|shard| [shard.from, after(shard)]).flatten();
        if let Some(bare) = std::iter::once(Date::MIN).chain(edges).find(|&day| !self.0.iter().any(|s| s.takes(day))) {
            problems.push(match bare {
                Date::MIN => "shards: one of them must have no from, so that every day has a shard".to_owned(),
                day => format!("shards: none takes trains of {day}; leave an until out, or let one begin there"),
            });
        }
        problems
    }

    /// Returns the shard that keeps a row.
    ///
    /// # Panics
    /// Never: every day has a shard, which was checked.
    #[must_use]
    #[expect(clippy::expect_used, reason = "checked when it was made")]
    pub fn of(&self, inventory: InventoryId) -> ShardNumber {
        let takers = self.0.iter().filter(|shard| shard.takes(inventory.date)).map(|shard| shard.number);
        takers.max_by_key(|number| (number.score(inventory), *number)).expect("every day has a shard")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inventory::parse_date;

    fn shard(number: u8, from: &str, until: &str) -> ShardDays {
        let day = |text: &str| (!text.is_empty()).then(|| parse_date(text).unwrap());
        ShardDays { number: ShardNumber(number), from: day(from), until: day(until) }
    }

    fn row(train: u32, day: u8, class: &str) -> InventoryId {
        format!("{train:05}:2026-11-{day:02}:{class}").parse().unwrap()
    }

    #[test]
    fn a_placement_is_for_good() {
        let two = Placement::new(vec![shard(0, "", ""), shard(1, "", "")]).unwrap();
        let placed: Vec<u8> = (1..=12).map(|train| two.of(row(train, 23, "3A")).0).collect();
        assert_eq!(
            placed,
            [0, 1, 1, 1, 1, 1, 0, 0, 0, 1, 0, 1],
            "rows that are sold already would be looked for elsewhere"
        );
    }

    #[test]
    fn the_classes_of_a_train_lie_together_and_the_trains_are_spread() {
        let shards = (0..4).map(|number| shard(number, "", "")).collect();
        let placement = Placement::new(shards).unwrap();
        let mut counts = [0_u32; 4];
        for train in 0..1000 {
            for day in 1..=10 {
                let number = placement.of(row(train, day, "3A"));
                assert_eq!(placement.of(row(train, day, "SL")), number);
                counts[usize::from(number.0)] += 1;
            }
        }
        assert!(counts.iter().all(|count| (2_350..2_650).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_shard_that_is_added_moves_nothing_before_its_first_day() {
        let before = Placement::new(vec![shard(0, "", ""), shard(1, "", "")]).unwrap();
        let after = Placement::new(vec![shard(0, "", ""), shard(1, "", ""), shard(2, "2026-11-20", "")]).unwrap();
        let rows = || (0..200).flat_map(|train| (1..=28).map(move |day| row(train, day, "SL")));
        assert!(rows().filter(|row| row.date.day() < 20).all(|row| before.of(row) == after.of(row)));
        let moved = rows().filter(|row| row.date.day() >= 20 && before.of(*row) != after.of(*row)).collect::<Vec<_>>();
        assert!(moved.iter().all(|row| after.of(*row).0 == 2), "and after it, rows go to the new one only");
        assert!((450..750).contains(&moved.len()), "a third of 1,800: {}", moved.len());
    }

    #[test]
    fn every_day_has_a_shard() {
        let problems = |shards| Placement::new(shards).unwrap_err().join("\n");
        assert!(problems(vec![]).contains("must have no from"));
        assert!(problems(vec![shard(0, "2026-11-20", "")]).contains("must have no from"));
        assert!(problems(vec![shard(0, "", "2026-11-19")]).contains("none takes trains of 2026-11-20"));
        let gap = vec![shard(0, "", "2026-11-19"), shard(1, "2026-11-21", "")];
        assert!(problems(gap).contains("none takes trains of 2026-11-20"));
        assert!(problems(vec![shard(0, "", ""), shard(0, "", "")]).contains("given twice"));
        assert!(problems(vec![shard(0, "", ""), shard(1, "2026-11-20", "2026-11-19")]).contains("takes no day"));
        assert!(Placement::new(vec![shard(0, "", "2026-11-19"), shard(1, "2026-11-20", "")]).is_ok());
    }

    #[test]
    fn an_id_tells_its_shard() {
        for number in 0..32 {
            let id = ShardNumber(number).name(HoldId::from_bytes([0xa5; 16]));
            assert_eq!(ShardNumber::of_hold(id).0, number);
            assert_eq!(id.as_bytes()[1..], [0xa5; 15]);
            assert_eq!(id.as_bytes()[0] & 7, 5);
        }
        assert_eq!(ShardNumber::try_from(32), Err(BadShardNumber));
    }
}
