//! Another machine's clock, as far as its answers tell: two bounds, not a guess.

use arc_swap::ArcSwapOption;

use super::Clock;

/// By how much one of two clocks may go faster than the other, one part in so many. NTP slews a clock by one in 2,000
/// at the most.
const DRIFT: u64 = 1_000;

/// An instant that lies between two, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Between {
    /// It is not earlier than this.
    pub earliest_ms: u64,
    /// It is not later than this.
    pub latest_ms: u64,
}

impl Between {
    /// Makes an instant that is known to the millisecond.
    #[must_use]
    pub const fn exactly(ms: u64) -> Self {
        Self { earliest_ms: ms, latest_ms: ms }
    }

    /// Returns the latest second that it may be.
    #[must_use]
    pub const fn latest_s(self) -> u64 {
        self.latest_ms / 1_000
    }
}

/// A clock that is read from afar: it said what it showed, at some moment between a question and its answer.
///
/// Between answers the own steady clock counts on, so what somebody does to the time of day here changes nothing. What
/// somebody does to it there is known with the next answer.
#[derive(Debug, Default)]
pub struct FarClock(ArcSwapOption<Heard>);

#[derive(Clone, Copy, Debug)]
struct Heard {
    said_us: u64,
    asked_us: u64,
    answered_us: u64,
}

impl FarClock {
    /// Notes that the far clock showed `said_us` after it was asked, at `asked_us` of the own steady clock, and before
    /// now.
    pub fn hear(&self, own: &Clock, said_us: u64, asked_us: u64) {
        let answered_us = own.steady_us().max(asked_us);
        self.0.store(Some(std::sync::Arc::new(Heard { said_us, asked_us, answered_us })));
    }

    /// Returns between which instants the far clock is now; before it was ever heard, what the own clock shows.
    #[must_use]
    pub fn now(&self, own: &Clock) -> Between {
        let heard = self.0.load();
        heard.as_ref().map_or_else(|| Between::exactly(own.now_ms()), |heard| heard.at(own.steady_us()))
    }
}

impl Between {
    /// Returns by how much it is ahead of `own_ms`, in seconds; below 0 when it is behind, and 0 where that is not known.
    #[must_use]
    pub fn ahead_of_s(self, own_ms: u64) -> f64 {
        let ahead = self.earliest_ms.saturating_sub(own_ms) as f64;
        let behind = own_ms.saturating_sub(self.latest_ms) as f64;
        (ahead - behind) / 1_000.0
    }
}

impl Heard {
    fn at(&self, steady_us: u64) -> Between {
        let at_most_us = steady_us.saturating_sub(self.asked_us);
        let at_least_us = steady_us.saturating_sub(self.answered_us);
        Between {
            earliest_ms: (self.said_us + at_least_us - at_least_us / DRIFT) / 1_000,
            latest_ms: (self.said_us + at_most_us + at_most_us / DRIFT) / 1_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_far_clock_is_between_its_bounds_whatever_the_own_clock_shows() {
        let (own, far) = (Clock::manual(1_000_000), FarClock::default());
        assert_eq!(far.now(&own), Between::exactly(1_000_000), "never heard");
        let asked_us = own.steady_us();
        own.advance_ms(40);
        far.hear(&own, 5_000_000_000, asked_us);
        assert_eq!(far.now(&own), Between { earliest_ms: 5_000_000, latest_ms: 5_000_040 });
        own.set_us(0);
        own.advance_ms(10_000);
        assert_eq!(
            far.now(&own),
            Between { earliest_ms: 5_009_990, latest_ms: 5_010_050 },
            "and a little for the drift"
        );
        let ahead_s = [5_009_000, 5_009_990, 5_010_050, 5_010_150].map(|own_ms| far.now(&own).ahead_of_s(own_ms));
        assert_eq!(ahead_s, [0.99, 0.0, 0.0, -0.1]);
        far.hear(&own, 4_000_000_000, own.steady_us());
        assert_eq!(far.now(&own), Between::exactly(4_000_000), "the last answer counts");
    }
}
