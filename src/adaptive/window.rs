//! The last seconds of an upstream, long enough to say something.

use std::collections::VecDeque;

use super::latency::Latencies;

/// The most seconds that are looked at together.
const LONGEST_S: usize = 60;

/// The fewest seconds.
const SHORTEST_S: usize = 3;

/// As many answers say enough; the window ends there.
const ENOUGH: u64 = 100;

/// Fewer answers say nothing.
pub const LEAST: u64 = 20;

/// What was heard of the upstream in one second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// How many requests were sent.
    pub asked: u64,
    /// How many were answered, errors left out.
    pub answered: u64,
    /// How long answers took, as far as the upstream alone had to be waited for.
    pub latencies: Latencies,
    /// How many requests the upstream answered with 5xx, did not answer in time, or refused to take.
    pub errors: u64,
    /// How many requests wait for the beginning of an answer now.
    pub in_flight: u64,
    /// How long ago those who asked had come in, in seconds, summed over `aged` requests.
    pub ages_s: f64,
    /// How many requests tell their age.
    pub aged: u64,
}

impl Reading {
    fn add(&mut self, other: &Self) {
        self.asked += other.asked;
        self.answered += other.answered;
        self.latencies.add(&other.latencies);
        self.errors += other.errors;
    }
}

/// What the window says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// How many answers it is made of, errors counted in.
    pub answers: u64,
    /// How many good answers came for each request that was sent: below 1 while the upstream falls behind, above 1
    /// while it catches up. What it bears is the load that it is sent, times this.
    pub kept_up: f64,
    /// The part of the answers that were errors, 0 to 1.
    pub errors: f64,
    /// The typical latency, in seconds; see [`Latencies::typical_s`].
    pub latency_s: Option<f64>,
    /// The 95th percentile, in seconds.
    pub p95_s: Option<f64>,
    /// How many requests wait for the beginning of an answer.
    pub in_flight: u64,
    /// Whether nothing at all came back for as long as the window is, though requests wait.
    pub is_silent: bool,
}

/// The readings of the last seconds, newest last.
#[derive(Clone, Debug, Default)]
pub struct Window(VecDeque<Reading>);

impl Window {
    /// Takes in the next second.
    pub fn push(&mut self, reading: Reading) {
        self.0.push_back(reading);
        if self.0.len() > LONGEST_S {
            self.0.pop_front();
        }
    }

    /// Looks back as far as it takes to hear enough.
    #[must_use]
    pub fn sample(&self) -> Sample {
        let mut sum = Reading::default();
        for (seconds, reading) in (1..).zip(self.0.iter().rev()) {
            sum.add(reading);
            if seconds >= SHORTEST_S && sum.answered + sum.errors >= ENOUGH {
                break;
            }
        }
        let Reading { asked, answered, latencies, errors, .. } = sum;
        let part = |of: u64, all: u64, of_none| if all > 0 { of as f64 / all as f64 } else { of_none };
        Sample {
            answers: answered + errors,
            kept_up: part(answered, asked, 1.0),
            errors: part(errors, answered + errors, 0.0),
            latency_s: latencies.typical_s().filter(|_| latencies.count() >= LEAST),
            p95_s: latencies.quantile_s(0.95),
            in_flight: self.0.back().map_or(0, |reading| reading.in_flight),
            is_silent: self.is_silent(),
        }
    }

    /// Tells whether, for some seconds now, requests have waited and none was answered.
    fn is_silent(&self) -> bool {
        let last = || self.0.iter().rev().take(SHORTEST_S + 1);
        let waits = |reading: &Reading| reading.in_flight >= SILENT_IN_FLIGHT;
        let hears = |reading: &Reading| reading.errors + reading.answered > 0;
        last().count() > SHORTEST_S && last().all(waits) && !last().take(SHORTEST_S).any(hears)
    }
}

/// Fewer requests that wait are no sign: they may be slow ones.
const SILENT_IN_FLIGHT: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn second(answered: u64, errors: u64, latency_s: f64) -> Reading {
        let mut reading = Reading { asked: answered + errors, answered, errors, ..Reading::default() };
        (0..answered).for_each(|_| reading.latencies.note(latency_s));
        reading
    }

    fn window(seconds: impl IntoIterator<Item = Reading>) -> Window {
        let mut window = Window::default();
        seconds.into_iter().for_each(|reading| window.push(reading));
        window
    }

    #[test]
    fn it_looks_back_as_far_as_it_takes() {
        let busy = window((0..20).map(|_| second(60, 0, 0.5)).chain((0..3).map(|_| second(60, 0, 0.01))));
        assert_eq!(busy.sample().answers, 180, "three seconds at the least");
        assert!(busy.sample().latency_s.unwrap() < 0.02);
        let calm = window((0..100).map(|_| second(1, 0, 0.01)));
        assert_eq!(calm.sample().answers, 60, "a minute at the most");
        let still = window((0..10).map(|_| second(1, 0, 0.01)));
        assert_eq!((still.sample().answers, still.sample().latency_s), (10, None), "too few to say how slow");
    }

    #[test]
    fn errors_and_falling_behind_are_parts() {
        let failing = window((0..3).map(|_| Reading { asked: 80, ..second(45, 15, 0.01) }));
        let sample = failing.sample();
        assert_eq!((sample.errors, sample.kept_up), (0.25, 0.5625));
        assert_eq!(Window::default().sample().kept_up, 1.0);
    }

    #[test]
    fn silence_is_many_who_wait_and_none_answered_for_some_seconds() {
        let waiting = |in_flight| Reading { asked: 2, in_flight, ..Reading::default() };
        assert!(!window((0..3).map(|_| waiting(9))).sample().is_silent, "not long enough");
        assert!(window((0..4).map(|_| waiting(9))).sample().is_silent);
        assert!(!window((0..9).map(|_| waiting(2))).sample().is_silent, "two slow ones");
        let one = (0..9).map(|i| if i == 7 { Reading { in_flight: 9, ..second(1, 0, 0.1) } } else { waiting(9) });
        assert!(!window(one).sample().is_silent);
    }
}
