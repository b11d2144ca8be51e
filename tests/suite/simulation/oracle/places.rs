//! A set of places that is mostly long runs: those that nobody came back for lapse by the hundred thousand.

use std::collections::BTreeMap;

use vestibule::line::Number;

/// Runs that do not touch the same number twice, the last number by the first.
#[derive(Clone, Debug, Default)]
pub struct Places(BTreeMap<Number, Number>);

impl Places {
    /// Adds a number, once.
    pub fn insert(&mut self, number: Number) {
        if !self.contains(number) {
            self.0.insert(number, number);
        }
    }

    /// Adds a run, of which some may be in the set.
    pub fn insert_run(&mut self, first: Number, last: Number) {
        let touches = |(from, to): (&Number, &Number)| (*to >= first).then_some((*from, *to));
        let touched: Vec<(Number, Number)> = self.0.range(..=last).rev().map_while(touches).collect();
        self.0.retain(|from, _| !touched.iter().any(|(first, _)| first == from));
        let first = touched.iter().map(|(from, _)| *from).fold(first, Number::min);
        let last = touched.iter().map(|(_, to)| *to).fold(last, Number::max);
        self.0.insert(first, last);
    }

    pub fn contains(&self, number: Number) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, last)| number <= *last)
    }

    /// The same places, each of `first..=last` given another of them.
    pub fn redrawn(&self, [first, last]: [Number; 2], of: impl Fn(Number) -> Number) -> Self {
        let (mut kept, mut drawn) = (Self::default(), Vec::new());
        for (&from, &to) in &self.0 {
            drawn.extend((from.max(first)..=to.min(last)).map(&of));
            for (from, to) in [(from, to.min(first - 1)), (from.max(last + 1), to)] {
                if from <= to {
                    kept.0.insert(from, to);
                }
            }
        }
        drawn.sort_unstable();
        kept.0.extend(drawn.chunk_by(|a, b| a + 1 == *b).map(|run| (run[0], run[run.len() - 1])));
        kept
    }

    pub fn count(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }
}

impl FromIterator<(Number, Number)> for Places {
    fn from_iter<I: IntoIterator<Item = (Number, Number)>>(runs: I) -> Self {
        Self(runs.into_iter().collect())
    }
}
