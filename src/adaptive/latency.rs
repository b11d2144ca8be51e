//! How long answers took, as counts in steps that grow by a fifth: bounded, mergeable, and good for any quantile.

/// How many steps there are: from 0.1 ms up to over a minute.
pub const STEPS: usize = 76;

/// The upper edge of the first step, in seconds.
const FIRST_S: f64 = 0.000_1;

/// How much longer each step is than the one before.
const GROWTH: f64 = 1.2;

/// Counts of latencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latencies([u64; STEPS]);

impl Default for Latencies {
    fn default() -> Self {
        Self([0; STEPS])
    }
}

/// Returns the step of a latency.
#[must_use]
pub fn step_of(latency_s: f64) -> usize {
    let steps = (latency_s / FIRST_S).max(1.0).ln() / GROWTH.ln();
    (steps.ceil() as usize).min(STEPS - 1)
}

/// Returns the middle of a step, in seconds.
fn middle_s(step: usize) -> f64 {
    FIRST_S * GROWTH.powf(step as f64 - 0.5)
}

impl Latencies {
    /// Takes counts by step.
    #[must_use]
    pub fn new(counts: [u64; STEPS]) -> Self {
        Self(counts)
    }

    /// Notes one latency.
    pub fn note(&mut self, latency_s: f64) {
        self.0[step_of(latency_s)] += 1;
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// Returns how many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns the geometric mean in seconds, `None` of nothing. One answer of ten seconds among a hundred of ten
    /// milliseconds moves it by 7 %, four slow ones in ten by a factor of sixteen: it hears the part of the
    /// requests that gets slow, and not the single one.
    #[must_use]
    pub fn typical_s(&self) -> Option<f64> {
        let count = self.count();
        let logs = self.0.iter().enumerate().map(|(step, n)| *n as f64 * middle_s(step).ln());
        (count > 0).then(|| (logs.sum::<f64>() / count as f64).exp())
    }

    /// Returns the latency in seconds that a part `q` (0 to 1) of the answers does not exceed.
    #[must_use]
    pub fn quantile_s(&self, q: f64) -> Option<f64> {
        let rank = (q * self.count() as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        let step = self.0.iter().position(|n| {
            below += n;
            below >= rank
        });
        step.map(middle_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(latencies: &[(f64, u64)]) -> Latencies {
        let mut all = Latencies::default();
        latencies.iter().for_each(|(latency_s, count)| (0..*count).for_each(|_| all.note(*latency_s)));
        all
    }

    #[test]
    fn a_latency_is_known_to_a_tenth() {
        for latency_s in [0.000_2, 0.003, 0.05, 0.42, 7.0, 40.0] {
            let told = of(&[(latency_s, 1)]).quantile_s(0.5).unwrap();
            assert!((told / latency_s - 1.0).abs() < 0.1, "{latency_s} as {told}");
        }
        assert_eq!((step_of(0.0), step_of(1e9)), (0, STEPS - 1));
    }

    #[test]
    fn one_slow_answer_is_not_heard_and_a_slow_part_is() {
        let usual = of(&[(0.01, 100)]).typical_s().unwrap();
        let one = of(&[(0.01, 99), (10.0, 1)]).typical_s().unwrap();
        let part = of(&[(0.01, 60), (10.0, 40)]).typical_s().unwrap();
        assert!(one < 1.1 * usual && part > 10.0 * usual, "{usual} {one} {part}");
        assert!(of(&[(0.01, 60), (10.0, 40)]).quantile_s(0.95).unwrap() > 9.0);
        assert_eq!(of(&[]).typical_s(), None);
        assert_eq!(of(&[]).quantile_s(0.5), None);
    }
}
