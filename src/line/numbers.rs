//! A set of numbers in line, kept as runs.
//!
//! Those who are called, leave or lapse together are mostly neighbours, so a set of a thousand
//! numbers is a few runs. The text form (`12-40,45`) is the same in the store, in the exported
//! log and in Rust.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Number;
use super::bits::Bits;

/// A set of numbers, ascending, as inclusive runs that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Numbers(Vec<(Number, Number)>);

/// Says which part of a text is not a set of numbers.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no ascending list of numbers and runs such as `12-40,45`")]
pub struct NotNumbers(String);

impl Numbers {
    /// Makes the set `first..=last`, empty when `first > last`.
    #[must_use]
    pub fn run(first: Number, last: Number) -> Self {
        if first > last { Self::default() } else { Self(vec![(first, last)]) }
    }

    /// Adds a number that is greater than all the set holds.
    ///
    /// # Panics
    /// When it is not: the caller walks the line upwards.
    pub fn push(&mut self, number: Number) {
        match self.0.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            previous => {
                assert!(previous.is_none_or(|(_, last)| *last < number), "numbers ascend");
                self.0.push((number, number));
            }
        }
    }

    /// Returns the set counted from `zero` on: every number less by that.
    ///
    /// # Panics
    /// When a number is below `zero`.
    #[must_use]
    pub fn counted_from(&self, zero: Number) -> Self {
        let less = |number: Number| number.checked_sub(zero).expect("no number is below zero");
        Self(self.runs().map(|(first, last)| (less(first), less(last))).collect())
    }

    /// Takes a set that is counted from `zero` on; returns nothing where a number would be too large.
    #[must_use]
    pub fn counting_from(&self, zero: Number) -> Option<Self> {
        let more = |number: Number| number.checked_add(zero).filter(|number| *number < Number::MAX);
        self.runs().map(|(first, last)| Some((more(first)?, more(last)?))).collect::<Option<_>>().map(Self)
    }

    /// Tells whether nobody is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts the numbers.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Tells whether `number` is in the set.
    #[must_use]
    pub fn contains(&self, number: Number) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= number);
        after > 0 && number <= self.0[after - 1].1
    }

    /// Makes the set that also holds the runs of `other`, all of which lie above this one's.
    #[must_use]
    pub fn followed_by(&self, other: &Self) -> Self {
        let mut all = self.0.clone();
        for (first, last) in other.runs() {
            match all.last_mut() {
                Some((_, top)) if *top + 1 == first => *top = last,
                Some((_, top)) if *top >= first => {}
                _ => all.push((first, last)),
            }
        }
        Self(all)
    }

    /// Adds another set.
    pub fn merge(&mut self, other: &Self) {
        let mut all = Vec::with_capacity(self.0.len() + other.0.len());
        let (mut mine, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        loop {
            let from_mine = mine.peek().is_some_and(|(first, _)| theirs.peek().is_none_or(|(next, _)| first <= next));
            let next = if from_mine { mine.next() } else { theirs.next() };
            let Some((first, last)) = next.copied() else { break };
            match all.last_mut() {
                Some((_, top)) if *top + 1 >= first => *top = last.max(*top),
                _ => all.push((first, last)),
            }
        }
        self.0 = all;
    }

    /// Counts the runs.
    #[must_use]
    pub fn run_count(&self) -> usize {
        self.0.len()
    }

    /// Gives the set as a bitmap: how many bytes of zeros are left out before it, and its bytes, the lowest
    /// number first, most significant bit first within a byte. As long as the span of the set.
    #[must_use]
    pub fn to_bitmap(&self) -> (u64, Vec<u8>) {
        let (Some((first, _)), Some((_, last))) = (self.0.first(), self.0.last()) else { return (0, Vec::new()) };
        let from = first / 8;
        let mut bytes = vec![0u8; (last / 8 - from + 1) as usize];
        for number in self.iter() {
            bytes[(number / 8 - from) as usize] |= 0x80 >> (number % 8);
        }
        (from, bytes)
    }

    /// Walks the runs upwards.
    pub fn runs(&self) -> impl Iterator<Item = (Number, Number)> + '_ {
        self.0.iter().copied()
    }

    /// Walks the numbers upwards.
    pub fn iter(&self) -> impl Iterator<Item = Number> + '_ {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }
}

impl From<&Numbers> for Bits {
    fn from(numbers: &Numbers) -> Self {
        let mut bits = Self::default();
        numbers.runs().for_each(|(first, last)| bits.insert_run(first, last));
        bits
    }
}

impl From<Bits> for Numbers {
    fn from(bits: Bits) -> Self {
        Self(bits.runs().collect())
    }
}

impl FromIterator<Number> for Numbers {
    /// Collects numbers in any order, repeated or not.
    fn from_iter<I: IntoIterator<Item = Number>>(numbers: I) -> Self {
        let mut sorted: Vec<Number> = numbers.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut set = Self::default();
        sorted.into_iter().for_each(|number| set.push(number));
        set
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Numbers {
    type Err = NotNumbers;

    /// Reads the text form; neighbours given apart (`1,2`) are joined.
    fn from_str(text: &str) -> Result<Self, NotNumbers> {
        let mut runs: Vec<(Number, Number)> = Vec::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let run = parse_run(part).ok_or_else(|| NotNumbers(part.to_owned()))?;
            match runs.last_mut() {
                Some((_, last)) if *last >= run.0 => return Err(NotNumbers(part.to_owned())),
                Some((_, last)) if *last + 1 == run.0 => *last = run.1,
                _ => runs.push(run),
            }
        }
        Ok(Self(runs))
    }
}

fn parse_run(part: &str) -> Option<(Number, Number)> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let run = (first.parse().ok()?, last.parse().ok()?);
    (run.0 <= run.1 && run.1 < Number::MAX).then_some(run)
}

impl TryFrom<String> for Numbers {
    type Error = NotNumbers;

    fn try_from(text: String) -> Result<Self, NotNumbers> {
        text.parse()
    }
}

impl From<Numbers> for String {
    fn from(numbers: Numbers) -> Self {
        numbers.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_that_is_no_set_is_refused() {
        for text in ["x", "3-1", "5,4", "1,,2", "1-2-3", "-", " 1", "4-6,6"] {
            assert!(text.parse::<Numbers>().is_err(), "{text}");
        }
    }

    #[test]
    fn sets_that_touch_become_one_run() {
        let both = Numbers::run(2, 9).followed_by(&Numbers::run(10, 20));
        assert_eq!(both, Numbers::run(2, 20));
    }

    #[test]
    fn a_bitmap_begins_with_its_first_byte() {
        let set: Numbers = [17, 18, 33].into_iter().collect();
        assert_eq!(set.to_bitmap(), (2, vec![0b0110_0000, 0, 0b0100_0000]));
        assert_eq!(Numbers::default().to_bitmap(), (0, vec![]));
    }

    proptest! {
        #[test]
        fn a_merged_set_holds_both(
            a in prop::collection::btree_set(0u64..100, 0..60),
            b in prop::collection::btree_set(0u64..100, 0..60),
        ) {
            let mut merged: Numbers = a.iter().copied().collect();
            merged.merge(&b.iter().copied().collect());
            prop_assert_eq!(merged, a.union(&b).copied().collect());
        }

        #[test]
        fn text_and_set_are_one(numbers in prop::collection::btree_set(0u64..200, 0..60)) {
            let set: Numbers = numbers.iter().copied().rev().collect();
            prop_assert_eq!(set.to_string().parse::<Numbers>().unwrap(), set.clone());
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), numbers.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(set.len() as usize, numbers.len());
            let bits = Bits::from(&set);
            prop_assert!(bits.iter_from(0).eq(numbers.iter().copied()));
            prop_assert_eq!(Numbers::from(bits), set.clone());
            for n in 0..200 {
                prop_assert_eq!(set.contains(n), numbers.contains(&n));
            }
        }
    }
}
