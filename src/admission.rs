//! How many may be called now: the law of rate, burst and active limit.
//!
//! The rate limit is the generic cell rate algorithm (GCRA, ITU-T I.371): its whole state is one
//! instant, the *theoretical arrival time* (TAT). Every admission moves the TAT one interval
//! forward; it may run ahead of the clock by at most `burst` intervals. So no credit beyond the
//! burst ever builds up, however long the line was idle, paused or out of reach.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::schedule::{Schedule, Stage};

/// What bounds admission into a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Microseconds between two admissions; 0 means that the rate is not limited.
    pub interval_us: u64,
    /// How many may be admitted at one instant after a quiet time, of [`BURST`](Self::BURST).
    pub burst: u64,
    /// How many sessions may run at once, of [`ACTIVE_USERS`](Self::ACTIVE_USERS); `None` means no limit.
    pub total_active_users: Option<u64>,
    /// How long an admitted visitor may stay, in seconds, of [`SPAN_S`](Self::SPAN_S).
    pub session_duration_s: u64,
    /// How long an absent visitor's place is kept at the least, in milliseconds; as long as a stay may be.
    pub grace_ms: u64,
    /// When anybody may be admitted at all.
    #[serde(default, skip_serializing_if = "Schedule::is_empty")]
    pub schedule: Schedule,
    /// Where the rate adapts to the upstream's health: the longest interval that it may come to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor_interval_us: Option<u64>,
}

impl Limits {
    /// What an operator may set as the burst.
    pub const BURST: RangeInclusive<u64> = 1..=1_000_000;
    /// What an operator may set as the number of sessions at once.
    pub const ACTIVE_USERS: RangeInclusive<u64> = 0..=1_000_000_000;
    /// How long an operator may let a session, or the grace time, be, in seconds: up to thirty days.
    pub const SPAN_S: RangeInclusive<u64> = 1..=30 * 86_400;
    /// What an operator may set as the lowest rate that adapts, in admissions a second.
    pub const FLOOR: RangeInclusive<f64> = 0.001..=1_000_000.0;

    /// Turns a rate into the interval between admissions, rounded up to a whole microsecond so
    /// that the rate is never exceeded; at 10,000 a second the rounding costs at most 1 %.
    ///
    /// A rate that is not a positive finite number gives the longest interval, about 292,000
    /// years: nobody is admitted.
    #[must_use]
    pub fn interval_us(admissions_per_second: f64) -> u64 {
        let interval = 1_000_000.0 / admissions_per_second;
        if admissions_per_second > 0.0 && interval < MAX_INTERVAL_US as f64 {
            (interval.ceil() as u64).max(1)
        } else {
            MAX_INTERVAL_US
        }
    }

    /// Tells whether the rate adapts: there is a floor, and a rate between it and zero that may be lowered.
    #[must_use]
    pub fn adapts(&self) -> bool {
        self.floor_interval_us.is_some() && !matches!(self.interval_us, 0 | MAX_INTERVAL_US)
    }

    /// Returns the limits in force where the gateways wish for an interval of `wish_us`, 0 for none: it counts
    /// only where the rate adapts, and within the bounds that are set.
    #[must_use]
    pub fn at(&self, wish_us: u64) -> Self {
        let slowed = |floor_us: u64| wish_us.min(floor_us).max(self.interval_us);
        let floor_us = self.floor_interval_us.filter(|_| self.adapts());
        Self { interval_us: floor_us.map_or(self.interval_us, slowed), ..self.clone() }
    }

    /// Returns the rate that the interval stands for, or `None` when it is not limited.
    #[must_use]
    pub fn admissions_per_second(&self) -> Option<f64> {
        match self.interval_us {
            0 => None,
            MAX_INTERVAL_US => Some(0.0),
            interval => Some((1e9 / interval as f64).round() / 1_000.0),
        }
    }
}

/// Stands for a rate of zero. Small enough that every sum in this file, and the same sums in a
/// store that counts in doubles, stay exact (below 2^53) with times in microseconds.
pub const MAX_INTERVAL_US: u64 = 1 << 50;

/// What a rest is counted in at a rate of zero, in microseconds: else what was called by hand at a crawl before a stop
/// would hold up the rush after it.
pub const STOPPED_INTERVAL_US: u64 = 1_000_000;

/// The latest instant that the TAT reaches, in the year 2255. A long interval spent many times would
/// else leave what a double counts exactly.
pub const MAX_TAT_US: u64 = 1 << 53;

/// Returns how many may be admitted at `now_us`, given the TAT and the sessions in use.
#[must_use]
pub fn allowance(tat_us: u64, now_us: u64, active: u64, limits: &Limits) -> u64 {
    if limits.schedule.stage(now_us / 1_000) != Stage::Running {
        return 0;
    }
    let free = limits.total_active_users.map_or(u64::MAX, |limit| limit.saturating_sub(active));
    free.min(rate_allowance(tat_us, now_us, limits))
}

/// How far ahead of the clock the TAT is decides how much of the burst is used up: the burst less
/// the intervals, or parts of one, still owed.
fn rate_allowance(tat_us: u64, now_us: u64, limits: &Limits) -> u64 {
    match limits.interval_us {
        0 => u64::MAX,
        MAX_INTERVAL_US => 0,
        interval => limits.burst.saturating_sub(tat_us.saturating_sub(now_us).div_ceil(interval)),
    }
}

/// Returns in how many microseconds the rate allows the next admission; 0 when it does now.
#[must_use]
pub fn wait_us(tat_us: u64, now_us: u64, limits: &Limits) -> u64 {
    let credit_us = limits.burst.saturating_sub(1).saturating_mul(limits.interval_us);
    match limits.interval_us {
        MAX_INTERVAL_US => MAX_INTERVAL_US,
        _ => tat_us.saturating_sub(now_us).saturating_sub(credit_us),
    }
}

/// Returns the TAT after `count` admissions at `now_us`.
#[must_use]
pub fn spend(tat_us: u64, now_us: u64, count: u64, limits: &Limits) -> u64 {
    match limits.interval_us {
        0 | MAX_INTERVAL_US => tat_us,
        interval => tat_us.max(now_us).saturating_add(count.saturating_mul(interval)).min(MAX_TAT_US),
    }
}

/// Returns the TAT when the limits in force change at `now_us`: the credit stays as it is, and the change
/// grants none. So calls in any window stay within what the rates of its instants allow, and the burst.
///
/// By the law no more than the burst is ever owed. What the TAT is further ahead is a time to rest: the clock was
/// put back, or an epoch has begun, or an operator called more by hand. At a slower rate that stays as long as it is;
/// at a faster one it takes no more intervals than before, so that calls by hand at a crawl do not hold up a rush. So
/// whatever the rate becomes, calls by hand aside, the TAT is never further than the burst ahead of the latest instant
/// that the clock has shown.
///
/// A rate of zero earns nothing, and leaves no credit behind; the TAT is then ahead by the rest alone, which goes on. It
/// takes no longer than at one a second.
///
/// Counts in doubles, in this order, as the stores' scripts do.
#[must_use]
pub fn carry_over(tat_us: u64, now_us: u64, old: &Limits, new: &Limits) -> u64 {
    if new.interval_us == 0 || (old.interval_us, old.burst) == (new.interval_us, new.burst) {
        return tat_us;
    }
    let (ahead_us, burst) = (tat_us.saturating_sub(now_us) as f64, old.burst as f64);
    let (credit, rest_us) = match old.interval_us {
        0 => (burst, 0.0),
        MAX_INTERVAL_US => (0.0, ahead_us),
        interval => (burst - ahead_us / interval as f64, (ahead_us - burst * interval as f64).max(0.0)),
    };
    let rest_interval_us = if new.interval_us == MAX_INTERVAL_US { STOPPED_INTERVAL_US } else { new.interval_us };
    let rest_us = match rest_interval_us < old.interval_us && old.interval_us != MAX_INTERVAL_US {
        true => rest_us / old.interval_us as f64 * rest_interval_us as f64,
        false => rest_us,
    };
    let owed_us = match new.interval_us {
        MAX_INTERVAL_US => 0.0,
        interval => (new.burst as f64 - credit.clamp(0.0, new.burst as f64)) * interval as f64,
    };
    (now_us as f64 + (owed_us + rest_us).ceil()).min(MAX_TAT_US as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(rate: f64, burst: u64) -> Limits {
        Limits {
            interval_us: Limits::interval_us(rate),
            burst,
            total_active_users: None,
            session_duration_s: 60,
            grace_ms: 1_000,
            schedule: Schedule::ALWAYS,
            floor_interval_us: None,
        }
    }

    #[test]
    fn a_quiet_hour_earns_no_more_than_the_burst() {
        let limits = limits(50.0, 5);
        let tat = spend(0, 1_000_000, 5, &limits);
        assert_eq!(allowance(tat, 1_000_000, 0, &limits), 0);
        assert_eq!(allowance(tat, 1_020_000, 0, &limits), 1);
        assert_eq!(allowance(tat, 3_600_000_000, 0, &limits), 5);
    }

    #[test]
    fn a_rate_of_zero_admits_nobody() {
        for rate in [0.0, -3.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(allowance(0, 1 << 52, 0, &limits(rate, 100)), 0, "{rate}");
        }
    }

    #[test]
    fn the_active_limit_caps_the_rate() {
        let limits = Limits { total_active_users: Some(10), ..limits(1_000.0, 50) };
        assert_eq!(allowance(0, 1_000_000, 7, &limits), 3);
        assert_eq!(allowance(0, 1_000_000, 12, &limits), 0);
    }

    #[test]
    fn nobody_is_admitted_before_the_start_or_after_the_end() {
        let schedule = Schedule { starts_ms: Some(2_000), ends_ms: Some(3_000), ..Schedule::default() };
        let limits = Limits { schedule, ..limits(10.0, 5) };
        let at = [1_999_999, 2_000_000, 2_999_999, 3_000_000].map(|now_us| allowance(0, now_us, 0, &limits));
        assert_eq!(at, [0, 5, 5, 0]);
    }

    #[test]
    fn the_tat_stays_where_doubles_are_exact() {
        let limits = Limits { interval_us: MAX_INTERVAL_US - 1, ..limits(1.0, 1) };
        assert_eq!(spend(0, 1_800_000_000_000_000, 1_000_000, &limits), MAX_TAT_US);
    }

    #[test]
    fn a_wish_counts_between_floor_and_ceiling_only() {
        let plain = limits(50.0, 5);
        let adaptive = Limits { floor_interval_us: Some(Limits::interval_us(5.0)), ..plain.clone() };
        let rate = |limits: &Limits, wish| limits.at(wish).admissions_per_second();
        assert_eq!(rate(&plain, 100_000), Some(50.0));
        for (wish, expected) in [(0, 50.0), (1, 50.0), (50_000, 20.0), (900_000, 5.0), (u64::MAX, 5.0)] {
            assert_eq!(rate(&adaptive, wish), Some(expected), "{wish}");
        }
        let unlimited = Limits { interval_us: 0, ..adaptive.clone() };
        assert_eq!(rate(&unlimited, 100_000), None);
        let stopped = Limits { interval_us: MAX_INTERVAL_US, ..adaptive };
        assert_eq!(rate(&stopped, 100_000), Some(0.0), "an operator's stop is a stop");
    }

    #[test]
    fn a_change_of_the_rate_grants_no_burst() {
        let now = 1_000_000_000;
        for (old, new, spent, expected) in [
            (limits(50.0, 10), limits(1.0, 10), 10, 0),
            (limits(1.0, 10), limits(50.0, 10), 10, 0),
            (limits(5.0, 1), limits(50.0, 10), 0, 1),
            (limits(50.0, 10), limits(5.0, 1), 0, 1),
            (limits(0.0, 10), limits(50.0, 10), 0, 0),
            (limits(50.0, 10), limits(25.0, 10), 4, 6),
        ] {
            let tat = carry_over(spend(0, now, spent, &old), now, &old, &new);
            assert_eq!(allowance(tat, now, 0, &new), expected, "{old:?} to {new:?}");
        }
    }

    /// Returns when somebody may be called, where the burst of 10 is used up at a rate of `old` and the clock is then
    /// put back by `back_us`, after how long the rate becoming `new`.
    fn rest_us(old: f64, back_us: u64, new: f64) -> u64 {
        let (old, new, now) = (limits(old, 10), limits(new, 10), 1_000_000_000);
        let tat = spend(0, now, 10, &old);
        wait_us(carry_over(tat, now - back_us, &old, &new), now - back_us, &new)
    }

    #[test]
    fn a_clock_put_back_rests_no_longer_at_a_slower_rate() {
        assert_eq!(rest_us(50.0, 2_000_000, 50.0), 2_020_000, "until the clock is as far again, and an interval");
        assert_eq!(rest_us(50.0, 2_000_000, 0.5), 4_000_000);
        assert_eq!(rest_us(0.5, 580_000_000, 50.0), 5_820_000, "as many intervals, shorter ones");
        assert_eq!(rest_us(0.5, 0, 50.0), 20_000);
    }

    #[test]
    fn what_is_called_by_hand_at_a_crawl_does_not_hold_up_a_rush() {
        let (now, rush) = (1_000_000_000, limits(50.0, 3));
        let by_hand = spend(0, now, 30, &rush);
        let slower = carry_over(by_hand, now, &rush, &limits(0.5, 3));
        assert_eq!(slower, now + 3 * 2_000_000 + 27 * 20_000, "27 on top of the burst, as long as they took");
        let at_a_crawl = Limits { interval_us: MAX_INTERVAL_US / 64, ..limits(1.0, 3) };
        let faster = carry_over(spend(0, now, 30, &at_a_crawl), now, &at_a_crawl, &rush);
        assert_eq!(faster, by_hand);
        let crawl_again = carry_over(by_hand, now, &rush, &Limits { interval_us: MAX_INTERVAL_US - 1, ..rush.clone() });
        assert!(crawl_again <= MAX_TAT_US);
    }

    #[test]
    fn a_stop_keeps_the_rest_and_what_was_called_by_hand_before_it_does_not_hold_up_a_rush() {
        let (now, stop, rush) = (1_000_000_000, limits(0.0, 10), limits(50.0, 10));
        let spent = spend(0, now, 10, &rush);
        let back = now - 600_000_000;
        let resumed = carry_over(carry_over(spent, back, &rush, &stop), back + 5_000_000, &stop, &rush);
        assert_eq!(resumed, spent, "as if nobody had stopped it");
        assert_eq!(allowance(resumed, now + 40_000, 0, &rush), 2, "when the clock is set right again");
        let crawl = limits(0.01, 10);
        let stopped = carry_over(spend(0, now, 37, &crawl), now, &crawl, &stop);
        assert_eq!(stopped, now + 27_000_000, "27 on top of the burst");
        assert_eq!(wait_us(carry_over(stopped, now, &stop, &rush), now, &rush), 27_020_000);
    }

    proptest! {
        /// A stop lets nobody be called earlier than without it, and afterwards nobody waits for longer than the burst
        /// takes to come back and what was left of the rest.
        #[test]
        fn a_stop_earns_nothing_and_forgets_nothing(
            interval_us in 1u64..=STOPPED_INTERVAL_US,
            burst in 1u64..50,
            ahead_us in 0u64..1_000_000_000,
            stopped_us in 0u64..1_000_000_000,
        ) {
            let (now, stop) = (1_700_000_000_000_000, limits(0.0, burst));
            let running = Limits { interval_us, ..limits(1.0, burst) };
            let stopped = carry_over(now + ahead_us, now, &running, &stop);
            let resumed = carry_over(stopped, now + stopped_us, &stop, &running);
            prop_assert!(resumed >= now + ahead_us.max(stopped_us));
            let rest_us = ahead_us.saturating_sub(burst * interval_us).saturating_sub(stopped_us);
            prop_assert!(resumed <= now + stopped_us + burst * interval_us + rest_us + 1);
        }

        /// (L5) In any window, admissions stay within the sum of what the rate of each instant allows, and the
        /// burst, however the rate changes and the clock is put back: then time is what passes forwards. And the
        /// TAT is never further than the burst ahead of the latest that the clock has shown.
        #[test]
        fn any_window_keeps_a_rate_that_changes(
            burst in 1u64..50,
            steps in prop::collection::vec(
                (0u64..200_000, 0u64..80, 0usize..5, prop_oneof![9 => Just(0), 1 => 0u64..3_000_000]),
                1..120,
            ),
        ) {
            let rates = [1.0, 5.0, 50.0, 500.0, 0.0].map(|rate| limits(rate, burst));
            let (mut now, mut tat, mut at) = (1_700_000_000_000_000, 0, 0);
            let (mut earned, mut latest) = (0.0, now);
            let mut calls: Vec<(f64, u64)> = Vec::new();
            for (wait, wanted, next, back) in steps {
                now = now - back + wait;
                latest = latest.max(now);
                if rates[at].interval_us < MAX_INTERVAL_US {
                    earned += wait as f64 / rates[at].interval_us as f64;
                }
                let count = wanted.min(allowance(tat, now, 0, &rates[at]));
                tat = spend(tat, now, count, &rates[at]);
                calls.push((earned, count));
                tat = carry_over(tat, now, &rates[at], &rates[next]);
                at = next;
                let interval = rates[at].interval_us;
                let owed = if interval == MAX_INTERVAL_US { 0 } else { burst * interval };
                prop_assert!(tat <= latest + owed, "{tat} > {latest}");
            }
            for (i, (from, _)) in calls.iter().enumerate() {
                let mut sum = 0;
                for (to, count) in &calls[i..] {
                    sum += count;
                    prop_assert!(sum as f64 <= to - from + burst as f64 + 1e-3, "{sum} > {}", to - from);
                }
            }
        }

        /// (L5) In any window, admissions stay within rate × window + burst.
        #[test]
        fn any_window_keeps_the_rate(
            rate in 0.5f64..5_000.0,
            burst in 1u64..50,
            steps in prop::collection::vec((0u64..200_000, 0u64..80), 1..120),
        ) {
            let limits = limits(rate, burst);
            let (mut now, mut tat) = (1_700_000_000_000_000, 0);
            let mut calls: Vec<(u64, u64)> = Vec::new();
            for (wait, wanted) in steps {
                let due = wait_us(tat, now, &limits);
                prop_assert_eq!(due == 0, allowance(tat, now, 0, &limits) > 0);
                prop_assert!(allowance(tat, now + due, 0, &limits) > 0);
                now += wait;
                let count = wanted.min(allowance(tat, now, 0, &limits));
                tat = spend(tat, now, count, &limits);
                calls.push((now, count));
            }
            for (i, (from, _)) in calls.iter().enumerate() {
                let mut sum = 0;
                for (to, count) in &calls[i..] {
                    sum += count;
                    let bound = rate * (to - from) as f64 / 1e6 + burst as f64;
                    prop_assert!(sum as f64 <= bound + 1e-6, "{sum} > {bound}");
                }
            }
        }
    }
}
