//! Another machine's clock, as far as its answers tell: two bounds, not a guess.

use std::sync::Arc;

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
/// somebody does to it there is known with the first answer that contradicts what was known.
///
/// A slow answer tells little: the moment at which it was given may be long ago. So what is known of how late it is at
/// the least stays known, and what has opened does not close again. How late it may be at the most is always as the last answer has
/// it, for a clock put forward is later than any answer before can tell.
#[derive(Debug, Default)]
pub struct FarClock(ArcSwapOption<Heard>);

/// What is known since the last answer, by instants of the own steady clock.
#[derive(Clone, Copy, Debug)]
struct Heard {
    /// What the far clock showed at the least when the answer was there.
    earliest_us: u64,
    answered_us: u64,
    /// What it showed at the most when it was asked.
    latest_us: u64,
    asked_us: u64,
}

impl FarClock {
    /// Notes that the far clock showed `said_us` after it was asked, at `asked_us` of the own steady clock, and before
    /// now. Of two who note something at once, one is not heard.
    pub fn hear(&self, own: &Clock, said_us: u64, asked_us: u64) {
        let answered_us = own.steady_us().max(asked_us);
        let heard = Heard { earliest_us: said_us, answered_us, latest_us: said_us, asked_us };
        let known = self.0.load().as_ref().map_or(heard, |known| known.followed_by(heard));
        self.0.store(Some(Arc::new(known)));
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
    /// Adds what the next answer tells. One that says it is earlier than it can be tells of a clock put back.
    fn followed_by(&self, next: Self) -> Self {
        let earliest_us = self.earliest_us_at(next.answered_us);
        let is_put_back = earliest_us > next.latest_us_at(next.answered_us);
        Self { earliest_us: if is_put_back { next.earliest_us } else { next.earliest_us.max(earliest_us) }, ..next }
    }

    fn at(&self, steady_us: u64) -> Between {
        Between { earliest_ms: self.earliest_us_at(steady_us) / 1_000, latest_ms: self.latest_us_at(steady_us) / 1_000 }
    }

    fn earliest_us_at(&self, steady_us: u64) -> u64 {
        let passed_us = steady_us.saturating_sub(self.answered_us);
        self.earliest_us + passed_us - passed_us.div_ceil(DRIFT)
    }

    fn latest_us_at(&self, steady_us: u64) -> u64 {
        let passed_us = steady_us.saturating_sub(self.asked_us);
        self.latest_us + passed_us + passed_us.div_ceil(DRIFT)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        assert_eq!(far.now(&own), Between::exactly(4_000_000), "it was put back");
    }

    #[test]
    fn a_slow_answer_takes_back_nothing() {
        let (own, far) = (Clock::manual(0), FarClock::default());
        far.hear(&own, 5_000_000_000, own.steady_us());
        own.advance_ms(3_000);
        far.hear(&own, 5_000_500_000, own.steady_us() - 2_900_000);
        assert_eq!(far.now(&own), Between { earliest_ms: 5_002_997, latest_ms: 5_003_402 });
    }

    /// One question: how long before it nothing happens, how long it is under way, and how long the answer.
    type Question = (u64, u64, u64);

    fn questions() -> impl Strategy<Value = Vec<Question>> {
        let delay_us = || prop_oneof![4 => 0u64..5_000, 1 => 0u64..3_000_000];
        prop::collection::vec((0u64..2_000_000, delay_us(), delay_us()), 1..60)
    }

    /// Two machines: the far clock goes faster than the own one by `drift` parts in a million.
    struct Pair {
        own: Clock,
        far: FarClock,
        drift: i64,
        put_us: i64,
    }

    impl Pair {
        fn new(drift: i64) -> Self {
            Self { own: Clock::manual(7), far: FarClock::default(), drift, put_us: 1_800_000_000_000_000 }
        }

        fn shown_us(&self) -> u64 {
            let passed_us = self.own.steady_us() as i64;
            (self.put_us + passed_us + passed_us * self.drift / 1_000_000) as u64
        }

        /// Asks; returns what was known just before the answer, and what the answer says by itself.
        fn ask(&self, (pause_us, there_us, back_us): Question) -> (Between, Between) {
            self.own.advance_us(pause_us);
            let asked_us = self.own.steady_us();
            self.own.advance_us(there_us);
            let said_us = self.shown_us();
            self.own.advance_us(back_us);
            let (known, alone) = (self.far.now(&self.own), FarClock::default());
            alone.hear(&self.own, said_us, asked_us);
            self.far.hear(&self.own, said_us, asked_us);
            (known, alone.now(&self.own))
        }

        fn bounds_hold(&self) -> bool {
            let Between { earliest_ms, latest_ms } = self.far.now(&self.own);
            (earliest_ms..=latest_ms).contains(&(self.shown_us() / 1_000))
        }
    }

    proptest! {
        #[test]
        fn what_is_known_holds_and_what_has_opened_stays_open(questions in questions(), drift in -999i64..=999) {
            let pair = Pair::new(drift);
            let mut earliest_ms = 0;
            for question in questions {
                pair.ask(question);
                prop_assert!(pair.bounds_hold());
                let before_ms = std::mem::replace(&mut earliest_ms, pair.far.now(&pair.own).earliest_ms);
                prop_assert!(earliest_ms >= before_ms);
                pair.own.advance_us(question.0);
                prop_assert!(pair.bounds_hold());
            }
        }

        #[test]
        fn a_step_is_believed_with_the_first_answer_that_shows_it(
            before in questions(),
            after in questions(),
            drift in -999i64..=999,
            step_us in -5_000_000i64..5_000_000,
        ) {
            let mut pair = Pair::new(drift);
            for question in before {
                pair.ask(question);
            }
            pair.put_us += step_us;
            for question in after {
                let (known, alone) = pair.ask(question);
                let now = pair.far.now(&pair.own);
                prop_assert!(now.earliest_ms <= now.latest_ms && pair.shown_us() / 1_000 <= now.latest_ms);
                prop_assert_eq!(now.latest_ms, alone.latest_ms);
                if known.earliest_ms > alone.latest_ms {
                    prop_assert_eq!(now, alone, "it was put back");
                }
            }
        }
    }
}
