//! What was measured of the people called lately: how long they had waited, and how far off the told waits were.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How far back "lately" goes, in seconds.
const WINDOW_S: u64 = 60;

/// At most this many figures are kept; of more, the oldest are dropped first.
const CAP: usize = 4_096;

/// Figures of the last minute, each with how many people it is true of.
#[derive(Debug, Default)]
pub struct Lately(Mutex<VecDeque<Figure>>);

#[derive(Clone, Copy, Debug)]
struct Figure {
    at_s: u64,
    value: f64,
    people: u64,
}

impl Lately {
    /// Adds figures that were measured at `now_s` of the steady clock.
    pub fn add(&self, figures: &[(f64, u64)], now_s: u64) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(figures.iter().map(|&(value, people)| Figure { at_s: now_s, value, people }));
        let surplus = kept.len().saturating_sub(CAP);
        kept.drain(..surplus);
        while kept.front().is_some_and(|figure| figure.at_s + WINDOW_S < now_s) {
            kept.pop_front();
        }
    }

    /// Returns the figures that the given parts of the people, 0 to 1 and rising, stay within; `None` when nobody was
    /// measured within the last minute.
    #[must_use]
    pub fn quantiles<const N: usize>(&self, parts: [f64; N], now_s: u64) -> Option<[f64; N]> {
        let mut figures: Vec<Figure> = self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        figures.retain(|figure| figure.at_s + WINDOW_S >= now_s);
        figures.sort_by(|a, b| a.value.total_cmp(&b.value));
        let all: u64 = figures.iter().map(|figure| figure.people).sum();
        let last = figures.last()?.value;
        Some(parts.map(|part| within(&figures, (part * all as f64).ceil() as u64).unwrap_or(last)))
    }
}

/// Returns the figure that `people` of them stay within.
fn within(figures: &[Figure], people: u64) -> Option<f64> {
    let mut passed = 0;
    figures
        .iter()
        .find(|figure| {
            passed += figure.people;
            passed >= people
        })
        .map(|figure| figure.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_count_people_and_not_figures() {
        let lately = Lately::default();
        assert_eq!(lately.quantiles([0.5], 100), None);
        lately.add(&[(10.0, 1), (2.0, 90)], 100);
        lately.add(&[(5.0, 9)], 101);
        assert_eq!(lately.quantiles([0.5, 0.95, 0.995, 1.0], 101), Some([2.0, 5.0, 10.0, 10.0]));
    }

    #[test]
    fn what_is_older_than_a_minute_counts_no_more() {
        let lately = Lately::default();
        lately.add(&[(9.0, 100)], 100);
        lately.add(&[(1.0, 1)], 160);
        assert_eq!(lately.quantiles([0.5], 160), Some([9.0]));
        assert_eq!(lately.quantiles([0.5], 161), Some([1.0]));
        assert_eq!(lately.quantiles([0.5], 221), None);
    }

    #[test]
    fn no_more_is_kept_than_may_be() {
        let lately = Lately::default();
        (0..3 * CAP).for_each(|i| lately.add(&[(i as f64, 1)], 5));
        assert_eq!(lately.0.lock().unwrap().len(), CAP);
    }
}
