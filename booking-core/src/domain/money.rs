//! Money in integers of the smallest unit; there is no float on any path.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Counts paise, the hundredth part of an Indian rupee; never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Paise(u32);

impl Paise {
    /// Wraps a number of paise.
    #[must_use]
    pub const fn new(paise: u32) -> Self {
        Self(paise)
    }

    /// Returns the number of paise, in the width the databases use.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0 as i64
    }

    /// Multiplies by a quantity; `None` when the sum is beyond what one order may cost (42 million rupees).
    #[must_use]
    pub const fn times(self, quantity: u32) -> Option<Self> {
        match self.0.checked_mul(quantity) {
            Some(paise) => Some(Self(paise)),
            None => None,
        }
    }

    /// Returns so many hundredths of it, rounded down to the paisa.
    #[must_use]
    pub const fn percent(self, percent: u8) -> Self {
        let share = self.0 as u64 * percent as u64 / 100;
        Self(if share < self.0 as u64 { share as u32 } else { self.0 })
    }

    /// Returns what is left of it without a part, at least nothing.
    #[must_use]
    pub const fn less(self, part: Self) -> Self {
        Self(self.0.saturating_sub(part.0))
    }

    /// Adds; `None` when the sum is beyond what one order may cost.
    #[must_use]
    pub const fn plus(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(paise) => Some(Self(paise)),
            None => None,
        }
    }

    /// Reads an amount back from the width the databases use; `None` when it cannot have been written by us.
    #[must_use]
    pub fn from_i64(paise: i64) -> Option<Self> {
        u32::try_from(paise).ok().map(Self)
    }
}

impl fmt::Display for Paise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "₹{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_rupees_and_paise() {
        assert_eq!(Paise::new(207_605).to_string(), "₹2076.05");
    }

    #[test]
    fn a_share_is_rounded_down_and_never_more_than_the_whole() {
        for (paise, percent, share) in
            [(999, 50, 499), (999, 100, 999), (u32::MAX, 100, u32::MAX), (3, 33, 0), (5, 200, 5)]
        {
            let whole = Paise::new(paise);
            assert_eq!(whole.percent(percent), Paise::new(share));
            assert_eq!(whole.less(whole.percent(percent)), Paise::new(paise - share));
        }
    }

    #[test]
    fn refuses_to_wrap() {
        assert_eq!(Paise::new(u32::MAX).times(2), None);
        assert_eq!(Paise::from_i64(-1), None);
    }
}
