//! Was anybody overtaken, and was anybody let in faster than the limit? Judged from the crowd's own notes.

/// Time allowed at both ends of a presence for the gateway's tick and the way there and back.
pub const ALLOWANCE_MS: u64 = 1_000;

/// What one visitor knows of its place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its number in line.
    pub number: u64,
    /// When it was called, by the gateway's clock; `None` when it never was.
    pub called_at_ms: Option<u64>,
    /// When it was on a live connection, as the gateway's times of its first and last frame; disjoint, in order.
    pub present_ms: Vec<(u64, u64)>,
}

impl Turn {
    /// Returns the spans in which a call of someone behind would have been an overtaking: present, less the
    /// allowance at both ends, and before its own call.
    fn exposed_ms(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let before_call = self.called_at_ms.map_or(u64::MAX, |at| at.saturating_sub(1));
        let shrink = move |&(from, to): &(u64, u64)| {
            (from.saturating_add(ALLOWANCE_MS), to.saturating_sub(ALLOWANCE_MS).min(before_call))
        };
        self.present_ms.iter().map(shrink).filter(|(from, to)| from <= to)
    }
}

/// Counts the pairs (a, b) where a's number is lower, b was called at an instant when a was present, and a was
/// called later or never.
///
/// Present means: frames came on one live connection from at least [`ALLOWANCE_MS`] before that instant to at least
/// as long after it. Those called
/// in one tick have the same instant and do not overtake one another. Takes O(n log n) for n spans: numbers are
/// visited from the highest down, and the calls seen so far are counted in a Fenwick tree over their instants.
#[must_use]
pub fn overtakings(turns: &[Turn]) -> u64 {
    let mut instants: Vec<u64> = turns.iter().filter_map(|turn| turn.called_at_ms).collect();
    instants.sort_unstable();
    instants.dedup();
    let mut by_number: Vec<&Turn> = turns.iter().collect();
    by_number.sort_unstable_by_key(|turn| std::cmp::Reverse(turn.number));
    let mut behind = Fenwick::new(instants.len());
    let mut pairs = 0;
    for same_number in by_number.chunk_by(|a, b| a.number == b.number) {
        for (from, to) in same_number.iter().flat_map(|turn| turn.exposed_ms()) {
            let until = |ms: u64| instants.partition_point(|&at| at < ms);
            pairs += behind.sum(until(to.saturating_add(1))) - behind.sum(until(from));
        }
        for at in same_number.iter().filter_map(|turn| turn.called_at_ms) {
            behind.add(instants.partition_point(|&instant| instant < at));
        }
    }
    pairs
}

/// Counts, under a sorted list of instants, how many calls were at each; both verbs take O(log n).
struct Fenwick(Vec<u64>);

impl Fenwick {
    fn new(len: usize) -> Self {
        Self(vec![0; len + 1])
    }

    fn add(&mut self, index: usize) {
        let mut at = index + 1;
        while at < self.0.len() {
            self.0[at] += 1;
            at += at & at.wrapping_neg();
        }
    }

    /// Sums the first `count` places.
    fn sum(&self, count: usize) -> u64 {
        let (mut at, mut sum) = (count, 0);
        while at > 0 {
            sum += self.0[at];
            at -= at & at.wrapping_neg();
        }
        sum
    }
}

/// Returns the most calls that lie within any one second.
#[must_use]
pub fn most_in_a_second(mut called_at_ms: Vec<u64>) -> u64 {
    called_at_ms.sort_unstable();
    let ends = called_at_ms.iter().map(|&from| called_at_ms.partition_point(|&at| at < from + 1_000));
    ends.enumerate().map(|(start, end)| (end - start) as u64).max().unwrap_or(0)
}

/// Returns by how many the busiest second went over what rate and burst allow; 0 when it did not.
#[must_use]
pub fn overshoot(most: u64, per_second: f64, burst: u64) -> u64 {
    let allowed = per_second.max(0.0).ceil() + burst as f64;
    if allowed >= most as f64 { 0 } else { most - allowed as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn turn(number: u64, called_at_ms: impl Into<Option<u64>>, present_ms: &[(u64, u64)]) -> Turn {
        Turn { number, called_at_ms: called_at_ms.into(), present_ms: present_ms.to_vec() }
    }

    #[test]
    fn being_passed_over_while_present_is_being_overtaken() {
        let turns = [turn(1, 9_000, &[(0, 9_000)]), turn(2, 5_000, &[(0, 5_000)])];
        assert_eq!(overtakings(&turns), 1);
    }

    #[test]
    fn being_passed_over_while_away_is_not() {
        let turns = [turn(1, 20_000, &[(0, 4_000), (8_000, 20_000)]), turn(2, 6_000, &[(0, 6_000)])];
        assert_eq!(overtakings(&turns), 0);
    }

    #[test]
    fn the_ends_of_a_presence_are_given_an_allowance() {
        let called_soon_after_a_came = [turn(1, 9_000, &[(4_500, 9_000)]), turn(2, 5_000, &[])];
        assert_eq!(overtakings(&called_soon_after_a_came), 0);
        let called_just_before_a_went = [turn(1, None, &[(0, 5_500)]), turn(2, 5_000, &[])];
        assert_eq!(overtakings(&called_just_before_a_went), 0);
    }

    #[test]
    fn one_tick_overtakes_nobody_and_never_called_counts() {
        let together = [turn(1, 5_000, &[(0, 5_000)]), turn(2, 5_000, &[(0, 5_000)])];
        assert_eq!(overtakings(&together), 0);
        let forgotten = [turn(1, None, &[(0, 90_000)]), turn(2, 5_000, &[]), turn(3, 6_000, &[])];
        assert_eq!(overtakings(&forgotten), 2);
    }

    #[test]
    fn the_busiest_second_is_found_wherever_it_starts() {
        assert_eq!(most_in_a_second(vec![]), 0);
        assert_eq!(most_in_a_second(vec![2_500, 900, 1_000, 1_899, 1_900]), 3);
        assert_eq!(overshoot(58, 50.0, 5), 3);
        assert_eq!(overshoot(55, 50.0, 5), 0);
        assert_eq!(overshoot(3, 0.5, 1), 1);
    }

    /// Says the rule word by word, in O(n²).
    fn pairs_by_the_rule(turns: &[Turn]) -> u64 {
        let mut pairs = 0;
        for a in turns {
            for b in turns {
                let Some(at) = b.called_at_ms else { continue };
                let later = a.called_at_ms.is_none_or(|own| own > at);
                let present =
                    a.present_ms.iter().any(|&(from, to)| from + ALLOWANCE_MS <= at && at + ALLOWANCE_MS <= to);
                pairs += u64::from(a.number < b.number && later && present);
            }
        }
        pairs
    }

    prop_compose! {
        fn any_turn()(
            number in 1u64..60,
            called_at_ms in prop::option::of(0u64..12_000),
            cuts in prop::collection::btree_set(0u64..14_000, 0..6),
        ) -> Turn {
            let cuts: Vec<u64> = cuts.into_iter().collect();
            Turn { number, called_at_ms, present_ms: cuts.chunks_exact(2).map(|cut| (cut[0], cut[1])).collect() }
        }
    }

    proptest! {
        #[test]
        fn the_count_is_the_one_of_the_rule(turns in prop::collection::vec(any_turn(), 0..60)) {
            prop_assert_eq!(overtakings(&turns), pairs_by_the_rule(&turns));
        }
    }
}
