//! Whether what is left will last until a visitor's turn.
//!
//! Learned from two counts alone: how many were called, and how many seats went meanwhile. Seats taken are a Poisson
//! count with an unknown rate for each person called; a Gamma prior of Jeffreys makes the rate's posterior, and that a
//! negative binomial forecast of what those ahead will take (A. Gelman et al., Bayesian Data Analysis, 3rd ed., 2.6). People
//! buy for two or for four, and in waves, so the variance is widened by the dispersion that was seen (P. McCullagh,
//! J. Nelder, Generalized Linear Models, 2nd ed., 6.2.3). What is said firmly has nine chances in ten by that law.
//!
//! Pure: time and counts come in as arguments. Unknown is `None`, never a guess.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// What a visitor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forecast {
    /// It will probably last until the turn.
    LikelyEnough,
    /// It may or may not.
    Close,
    /// It will probably be sold out before.
    LikelySoldOut,
}

impl Forecast {
    /// Names it as the protocol does.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LikelyEnough => "likely_enough",
            Self::Close => "close",
            Self::LikelySoldOut => "likely_sold_out",
        }
    }
}

/// The standard score beyond which lies a tenth of the normal distribution.
const FIRM: f64 = 1.281_6;

/// So many have to have been called since the first seat went before anything is said.
const LEAST_CALLED: u64 = 20;

/// For how many seconds counts are kept: what people did longer ago says little of what they do now.
const KEPT_S: usize = 600;

/// What those who were called have taken, as far as it was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taking {
    /// How many were called since the first seat went.
    called: f64,
    /// How many seats each of them takes, in the mean.
    each: f64,
    /// How many seats those will yet take who were called and have not taken theirs.
    undecided: f64,
    /// How much more the counts vary than those of a Poisson law; 1 at the least.
    dispersion: f64,
}

impl Taking {
    /// Tells whether of `left` seats one will be left when `ahead` people have had their turn.
    #[must_use]
    pub fn forecast(&self, left: u64, ahead: f64) -> Forecast {
        let wanted = ahead * self.each;
        let mean = wanted + self.undecided;
        let variance = self.dispersion * (mean + wanted * ahead / self.called);
        let score = (left as f64 - 0.5 - mean) / variance.max(f64::MIN_POSITIVE).sqrt();
        match score {
            enough if enough >= FIRM => Forecast::LikelyEnough,
            none if none <= -FIRM => Forecast::LikelySoldOut,
            _ => Forecast::Close,
        }
    }
}

/// The counts at one second.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Count {
    at_s: u64,
    called: u64,
    left: u64,
}

/// Watches the counts of one room and learns from them.
#[derive(Debug, Default)]
pub struct Learning {
    /// Where it began: nobody who was called before is known.
    base: Option<Count>,
    /// One for each second since the first seat went, the newest last.
    counts: VecDeque<Count>,
    taking: Option<Taking>,
}

impl Learning {
    /// Returns what was learned, `None` while it is too little.
    #[must_use]
    pub const fn taking(&self) -> Option<Taking> {
        self.taking
    }

    /// Takes in how many were called in all, and how many seats are left, as of a second. More seats than there were at
    /// first are new ones, and fewer calls are another line; it then begins again.
    pub fn note(&mut self, at_s: u64, called: u64, left: Option<u64>) {
        let Some(left) = left else { return *self = Self::default() };
        let count = Count { at_s, called, left };
        let base = *self.base.get_or_insert(count);
        let known = self.counts.back().unwrap_or(&base);
        if left > base.left || called < known.called {
            *self = Self { base: Some(count), ..Self::default() };
        } else if self.counts.back().map_or(left < base.left, |last| last.at_s < at_s) {
            self.counts.push_back(count);
            self.counts.drain(..self.counts.len().saturating_sub(KEPT_S));
            self.taking = self.learn(&base);
        }
    }

    fn learn(&self, base: &Count) -> Option<Taking> {
        let (first, last) = (self.counts.front()?, self.counts.back()?);
        let called = last.called - first.called;
        if called < LEAST_CALLED {
            return None;
        }
        let each = (taken(first, last).max(0.0) + 0.5) / called as f64;
        let called_in_all = (last.called - base.called) as f64;
        let undecided = (each * called_in_all - taken(base, last)).clamp(0.0, each * called as f64);
        Some(Taking { called: called as f64, each, undecided, dispersion: self.dispersion(each) })
    }

    /// Pearson's chi-squared over its degrees of freedom, over the spans in which somebody was called.
    fn dispersion(&self, each: f64) -> f64 {
        let mut spans = 0.0;
        let mut sum = 0.0;
        let mut from = self.counts.front();
        for to in &self.counts {
            let Some(start) = from.filter(|start| to.called >= start.called + LEAST_CALLED / 2) else { continue };
            let expected = each * (to.called - start.called) as f64;
            sum += (taken(start, to) - expected).powi(2) / expected;
            spans += 1.0;
            from = Some(to);
        }
        if spans > 1.0 { (sum / (spans - 1.0)).max(1.0) } else { 1.0 }
    }
}

/// How many seats went between two counts; fewer than none when more came back.
fn taken(from: &Count, to: &Count) -> f64 {
    from.left as f64 - to.left as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    /// A sale: `rate` are called each second, of whom a share `buys` for `party` after `delay` seconds.
    #[derive(Clone, Copy, Debug)]
    struct Sale {
        stock: u64,
        rate: u64,
        buys: f64,
        party: u64,
        delay: usize,
    }

    /// Plays a sale; says for each second what is left and was called, until nothing is left or `seconds` are over.
    fn play(sale: Sale, seconds: usize, seed: u64) -> Vec<(u64, u64)> {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut left, mut wishes, mut seen) = (sale.stock, Vec::new(), Vec::new());
        for second in 0..seconds {
            wishes.push((0..sale.rate).filter(|_| rng.random_bool(sale.buys)).count() as u64);
            if let Some(due) = second.checked_sub(sale.delay) {
                left = left.saturating_sub(wishes[due] * sale.party);
            }
            seen.push((left, (second as u64 + 1) * sale.rate));
        }
        seen
    }

    /// What is told at `second` to somebody with `ahead` ahead, and whether something was left when they, as slow as the
    /// others, came to take theirs.
    fn told(sale: Sale, second: usize, ahead: u64, seed: u64) -> (Option<Forecast>, bool) {
        let turn = second + (ahead / sale.rate) as usize + sale.delay;
        let seen = play(sale, turn + 1, seed);
        let mut learning = Learning::default();
        for (at, (left, called)) in seen[..=second].iter().enumerate() {
            learning.note(at as u64, *called, Some(*left));
        }
        let forecast = learning.taking().map(|taking| taking.forecast(seen[second].0, ahead as f64));
        (forecast, seen[turn].0 > 0)
    }

    #[test]
    fn nothing_is_said_before_enough_is_known() {
        let mut learning = Learning::default();
        (0..100).for_each(|s| learning.note(s, s * 50, None));
        assert_eq!(learning.taking(), None, "no stock");
        (0..100).for_each(|s| learning.note(s, s * 50, Some(900)));
        assert_eq!(learning.taking(), None, "nothing sold");
        learning.note(100, 5_000, Some(899));
        learning.note(101, 5_000 + LEAST_CALLED - 1, Some(890));
        assert_eq!(learning.taking(), None, "too few");
        learning.note(102, 5_000 + LEAST_CALLED, Some(889));
        assert!(learning.taking().is_some());
        learning.note(103, 5_100, Some(2_000));
        assert_eq!(learning.taking(), None, "new seats came");
    }

    #[test]
    fn the_middle_is_close_and_the_ends_are_firm() {
        let sale = Sale { stock: 2_000, rate: 20, buys: 0.5, party: 1, delay: 5 };
        let at = |ahead| told(sale, 60, ahead, 7).0.unwrap();
        assert_eq!(at(200), Forecast::LikelyEnough);
        assert_eq!(at(2_800), Forecast::Close);
        assert_eq!(at(6_000), Forecast::LikelySoldOut);
    }

    #[test]
    fn those_who_are_still_deciding_are_counted() {
        // 60 s of people are inside and will take half a seat each: 600 of the 900 that seem to be left.
        let sale = Sale { stock: 1_500, rate: 20, buys: 0.5, party: 1, delay: 60 };
        let (forecast, lasts) = told(sale, 120, 1_000, 3);
        assert!(!lasts);
        assert_eq!(forecast, Some(Forecast::LikelySoldOut));
    }

    #[test]
    fn firm_words_come_true_at_least_eight_times_in_ten() {
        let (mut firm, mut came_true) = (0, 0);
        for seed in 0..400 {
            let mut rng = StdRng::seed_from_u64(seed);
            let sale = Sale {
                stock: rng.random_range(200..2_000),
                rate: rng.random_range(5..60),
                buys: rng.random_range(0.1..0.9),
                party: rng.random_range(1..5),
                delay: rng.random_range(0..20),
            };
            let (forecast, lasts) = told(sale, rng.random_range(20..60), rng.random_range(10..3_000), seed);
            let holds = match forecast {
                Some(Forecast::LikelyEnough) => lasts,
                Some(Forecast::LikelySoldOut) => !lasts,
                _ => continue,
            };
            firm += 1;
            came_true += u32::from(holds);
        }
        assert!(firm > 200, "{firm} firm words");
        assert!(came_true * 10 >= firm * 8, "{came_true} of {firm} came true");
    }

    proptest! {
        #[test]
        fn more_ahead_or_less_left_is_never_better(
            called in 20.0..1e6, each in 0.001..10.0, undecided in 0.0..1e4, dispersion in 1.0..20.0,
            left in 0_u64..1_000_000, less in 0_u64..1_000_000, ahead in 0.0..1e6, more in 0.0..1e6,
        ) {
            let rank = |forecast| match forecast {
                Forecast::LikelyEnough => 2,
                Forecast::Close => 1,
                Forecast::LikelySoldOut => 0,
            };
            let taking = Taking { called, each, undecided, dispersion };
            let now = rank(taking.forecast(left, ahead));
            prop_assert!(rank(taking.forecast(left.saturating_sub(less), ahead)) <= now);
            // With more ahead the mean grows and so does the doubt: what was firmly enough can only become less so.
            prop_assert!(now != 2 || rank(taking.forecast(left, ahead + more)) <= 2);
            prop_assert!(now != 1 || left as f64 <= ahead * each + undecided || rank(taking.forecast(left, ahead + more)) <= 1);
        }

        #[test]
        fn no_counts_make_it_panic(counts in prop::collection::vec((0_u64..50, 0_u64..10_000, prop::option::of(0_u64..5_000)), 0..200)) {
            let mut learning = Learning::default();
            for (at_s, called, left) in counts {
                learning.note(at_s, called, left);
                if let Some(taking) = learning.taking() {
                    prop_assert!(taking.each > 0.0 && taking.each.is_finite() && taking.dispersion.is_finite());
                    prop_assert!(taking.undecided >= 0.0 && taking.forecast(u64::MAX, 0.0) == Forecast::LikelyEnough);
                }
            }
        }
    }
}
