//! One address that fails again and again is left alone for a while, each time for longer.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::FleetRules;

/// An address is out at most so many times as long as the first time.
const LONGEST: u64 = 10;

/// What is known of one address. Several threads tell; a failure that is counted twice or not at all does no harm.
#[derive(Debug, Default)]
pub(super) struct Ejection {
    /// Failures since the last success.
    in_a_row: AtomicU32,
    /// How often it was out without having done well since.
    times: AtomicU64,
    out_until_ms: AtomicU64,
    failures: AtomicU64,
    ejections: AtomicU64,
}

impl Ejection {
    pub(super) fn is_out(&self, now_ms: u64) -> bool {
        now_ms < self.out_until_ms.load(Relaxed)
    }

    pub(super) fn succeed(&self) {
        if self.in_a_row.load(Relaxed) > 0 {
            self.in_a_row.store(0, Relaxed);
        }
        if self.times.load(Relaxed) > 0 {
            self.times.store(0, Relaxed);
        }
    }

    /// Counts a failure; returns whether the address is out from now on. One that was out and fails at its first
    /// request is out again.
    pub(super) fn fail(&self, rules: &FleetRules, now_ms: u64, may_eject: bool) -> bool {
        self.failures.fetch_add(1, Relaxed);
        let in_a_row = self.in_a_row.fetch_add(1, Relaxed) + 1;
        let is_enough = rules.eject_after > 0 && in_a_row >= rules.eject_after;
        if !is_enough || !may_eject || self.is_out(now_ms) {
            return false;
        }
        let times = (self.times.fetch_add(1, Relaxed) + 1).min(LONGEST);
        let for_ms = u64::try_from(rules.eject_for.as_millis()).unwrap_or(u64::MAX).saturating_mul(times);
        self.in_a_row.store(rules.eject_after - 1, Relaxed);
        self.out_until_ms.store(now_ms.saturating_add(for_ms), Relaxed);
        self.ejections.fetch_add(1, Relaxed);
        true
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    pub(super) fn ejections(&self) -> u64 {
        self.ejections.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn out_after_failures_in_a_row_and_back_after_a_while() {
        let (rules, ejection) =
            (FleetRules { eject_after: 3, eject_for: Duration::from_secs(1), max_ejected: 1.0 }, Ejection::default());
        let fail = |now_ms| ejection.fail(&rules, now_ms, true);
        assert_eq!([fail(0), fail(0)], [false, false]);
        ejection.succeed();
        assert_eq!([fail(5), fail(5), fail(5)], [false, false, true]);
        assert!(ejection.is_out(1_004) && !ejection.is_out(1_005));
        assert!(!fail(500), "those still under way change nothing");
        assert!(fail(1_005), "the first failure after its return is enough");
        assert!(ejection.is_out(3_004) && !ejection.is_out(3_005), "for twice as long");
        ejection.succeed();
        assert_eq!([fail(4_000), fail(4_000), fail(4_000)], [false, false, true]);
        assert!(!ejection.is_out(5_000));
        assert_eq!((ejection.failures(), ejection.ejections()), (10, 3));
        let never = FleetRules { eject_after: 0, ..rules };
        assert!((0..99).all(|_| !Ejection::default().fail(&never, 0, true)));
    }
}
