//! How many may be called now: the law of rate, burst and active limit.
//!
//! The rate limit is the generic cell rate algorithm (GCRA, ITU-T I.371): its whole state is one
//! instant, the *theoretical arrival time* (TAT). Every admission moves the TAT one interval
//! forward; it may run ahead of the clock by at most `burst` intervals. So no credit beyond the
//! burst ever builds up, however long the line was idle, paused or out of reach.

use serde::{Deserialize, Serialize};

use crate::schedule::{Schedule, Stage};

/// What bounds admission into a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Microseconds between two admissions; 0 means that the rate is not limited.
    pub interval_us: u64,
    /// How many may be admitted at one instant after a quiet time; at least 1.
    pub burst: u64,
    /// How many sessions may run at once; `None` means no limit.
    pub total_active_users: Option<u64>,
    /// How long an admitted visitor may stay, in seconds; at least 1.
    pub session_duration_s: u64,
    /// How long an absent visitor's place is kept at the least, in milliseconds.
    pub grace_ms: u64,
    /// When anybody may be admitted at all.
    #[serde(default, skip_serializing_if = "Schedule::is_empty")]
    pub schedule: Schedule,
}

impl Limits {
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

    proptest! {
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
