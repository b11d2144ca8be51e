//! How long answers took, second by second, in few bytes.

use serde::{Deserialize, Serialize};

/// Seconds that are told apart; what comes later is counted into the last.
const SECONDS_MAX: usize = 86_400;
/// Steps within each doubling: a value is known to within a fifth.
const STEPS: u32 = 4;
/// From a microsecond to more than an hour.
const BUCKETS: usize = 32 * STEPS as usize;

/// Counts of latencies, in buckets that grow with the value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted(Vec<u32>);

impl Counted {
    fn note(&mut self, us: u64) {
        let bucket = bucket_of(us);
        self.0.resize(self.0.len().max(bucket + 1), 0);
        self.0[bucket] = self.0[bucket].saturating_add(1);
    }

    fn add(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own = own.saturating_add(*other));
    }

    /// Counts all.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|count| u64::from(*count)).sum()
    }

    /// Returns the latency in milliseconds that the share `quantile` does not exceed; `None` where nothing was counted.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let rank = ((quantile * self.count() as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let bucket = self.0.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        });
        bucket.map(|bucket| upper_us(bucket) / 1_000.0)
    }
}

/// Returns the bucket of a value: a power of two, and a quarter between it and the next.
fn bucket_of(us: u64) -> usize {
    let power = us.max(1).ilog2();
    let within = ((us.max(1) as f64 / (1u64 << power) as f64 - 1.0) * f64::from(STEPS)) as u32;
    ((power * STEPS + within.min(STEPS - 1)) as usize).min(BUCKETS - 1)
}

/// Returns where a bucket ends, in microseconds.
fn upper_us(bucket: usize) -> f64 {
    let (power, within) = (bucket as u32 / STEPS, bucket as u32 % STEPS);
    (1u64 << power) as f64 * (1.0 + f64::from(within + 1) / f64::from(STEPS))
}

/// Latencies by the second of the run in which they ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latencies(Vec<Counted>);

impl Latencies {
    /// Counts one.
    pub fn note(&mut self, second: u64, us: u64) {
        let second = (second as usize).min(SECONDS_MAX - 1);
        self.0.resize_with(self.0.len().max(second + 1), Counted::default);
        self.0[second].note(us);
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Self) {
        self.0.resize_with(self.0.len().max(other.0.len()), Counted::default);
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| own.add(other));
    }

    /// Returns those of one second.
    #[must_use]
    pub fn of(&self, second: usize) -> Option<&Counted> {
        self.0.get(second)
    }

    /// Returns all of them together.
    #[must_use]
    pub fn whole(&self) -> Counted {
        self.0.iter().fold(Counted::default(), |mut whole, second| {
            whole.add(second);
            whole
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seconds_are_kept_apart_and_add_up() {
        let (mut one, mut other) = (Latencies::default(), Latencies::default());
        one.note(2, 1_000);
        other.note(2, 9_000);
        other.note(5, 100);
        one.add(&other);
        assert_eq!((one.of(2).unwrap().count(), one.of(3).unwrap().count(), one.of(9)), (2, 0, None));
        assert_eq!(one.whole().count(), 3);
        assert_eq!(Counted::default().quantile_ms(0.5), None);
        one.note(u64::MAX, u64::MAX);
        assert_eq!(one.whole().count(), 4);
    }

    proptest! {
        #[test]
        fn a_quantile_is_known_to_within_a_quarter(us in 1u64..3_000_000_000) {
            let mut counted = Counted::default();
            counted.note(us);
            let said_us = counted.quantile_ms(0.5).unwrap() * 1_000.0;
            prop_assert!(said_us >= us as f64 && said_us <= us as f64 * 1.26 + 1.0, "{us} {said_us}");
        }
    }
}
