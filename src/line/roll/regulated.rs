//! What bounds admission into a line: the limits that are set, and the rate as far as it has adapted.

use super::Roll;
use crate::admission::{self, Limits};
use crate::line::Entry;

impl Roll {
    /// Returns the limits in force, the rate as far as it has adapted; `None` until the room is made.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.settings.as_ref().map(|settings| settings.limits.at(self.pace_us))
    }

    /// Takes in what was used up of the rate under limits that may have been others: calls that another roll of this
    /// line, or a line that gives way to it, knows of.
    pub(in crate::line) fn use_up(&mut self, tat_us: u64, under: Option<&Limits>, now_us: u64) {
        let carried_us = match (under, self.limits()) {
            (Some(old), Some(new)) => admission::carry_over(tat_us, now_us, old, &new),
            _ => tat_us,
        };
        self.tat_us = self.tat_us.max(carried_us);
    }

    /// Takes in what the entry changes of the limits; the credit is carried over.
    pub(super) fn regulate(&mut self, entry: &Entry) {
        if entry.settings.is_none() && entry.pace_us == 0 {
            return;
        }
        let old = self.limits();
        if entry.pace_us > 0 {
            (self.pace_us, self.paced_at_us) = (entry.pace_us, entry.at_us);
        }
        if let Some(settings) = &entry.settings {
            (self.settings, self.set_at_us) = (Some(settings.clone()), entry.at_us);
        }
        if let (Some(old), Some(new)) = (old, self.limits()) {
            self.tat_us = admission::carry_over(self.tat_us, entry.at_us, &old, &new);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::admission::{allowance, spend};
    use crate::line::{Phase, Settings};
    use crate::schedule::Schedule;

    const NOW_US: u64 = 1_800_000_000_000_000;

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

    /// A roll of a line that has called `spent` within its burst, under these limits.
    fn roll(limits: &Limits, spent: u64) -> Roll {
        let (limits, configured) = (limits.clone(), limits.clone());
        let tat_us = spend(0, NOW_US, spent.min(limits.burst), &limits);
        let settings = Settings { phase: Phase::Open, limits, configured, message: None };
        Roll { settings: Some(settings), tat_us, ..Roll::default() }
    }

    proptest! {
        /// Whatever the limits of the two were, the one that goes on rests no longer than its burst takes to come back,
        /// and has no more left of it than either had.
        #[test]
        fn what_two_rolls_have_used_up_is_carried_over_to_the_limits_of_the_one(
            (mine, theirs) in (0usize..6, 0usize..6),
            (burst, their_burst) in (1u64..50, 1u64..50),
            (spent, their_spent) in (0u64..60, 0u64..60),
            passed_us in 0u64..10_000_000,
        ) {
            let rates = [0.01, 1.0, 5.0, 50.0, 5_000.0, 0.0];
            let (mine, theirs) = (limits(rates[mine], burst), limits(rates[theirs], their_burst));
            let (mut merged, other) = (roll(&mine, spent), roll(&theirs, their_spent));
            let now_us = NOW_US + passed_us;
            let left = [(&merged, &mine), (&other, &theirs)].map(|(roll, limits)| allowance(roll.tat_us, now_us, 0, limits));
            merged.merge(&other, now_us);
            prop_assert_eq!(merged.limits(), Some(mine.clone()));
            let is_stopped = mine.interval_us == admission::MAX_INTERVAL_US;
            let owed_us = if is_stopped { 0 } else { burst * mine.interval_us };
            prop_assert!(merged.tat_us <= now_us + owed_us, "{} us ahead", merged.tat_us - now_us);
            prop_assert!(allowance(merged.tat_us, now_us, 0, &mine) <= left[0].min(left[1]));
        }
    }
}
