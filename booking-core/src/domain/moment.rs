//! A point in time as a plain number, so that the domain can compare times without being able to read one.

use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime, UtcOffset};

const IST_SECONDS: i32 = 5 * 3600 + 30 * 60;

/// Counts milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(i64);

impl Moment {
    /// Wraps milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Returns milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// Returns the moment so many milliseconds later (earlier when negative), without wrapping.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns how many milliseconds `earlier` lies before this moment; negative when it lies after.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the moment at which a calendar day begins in India.
    #[must_use]
    pub fn beginning_in_india(day: Date) -> Self {
        Self(day.midnight().assume_utc().unix_timestamp().saturating_sub(i64::from(IST_SECONDS)).saturating_mul(1000))
    }

    /// Returns the calendar day in India at this moment.
    ///
    /// Trains run and are sold by Indian days, wherever the server stands. A moment beyond the calendar counts as its
    /// first day, on which nothing is on sale.
    #[must_use]
    pub fn day_in_india(self) -> Date {
        let Ok(offset) = UtcOffset::from_whole_seconds(IST_SECONDS) else {
            return Date::MIN;
        };
        OffsetDateTime::from_unix_timestamp(self.0.div_euclid(1000))
            .map_or(Date::MIN, |utc| utc.to_offset(offset).date())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_turns_at_half_past_six_in_the_evening_utc() {
        let before = Moment::from_ms(1_795_285_799_000); // 2026-11-21T18:29:59Z
        assert_eq!(before.day_in_india().to_string(), "2026-11-21");
        let day = before.plus_ms(1000).day_in_india();
        assert_eq!(day.to_string(), "2026-11-22");
        assert_eq!(Moment::beginning_in_india(day), before.plus_ms(1000));
    }
}
