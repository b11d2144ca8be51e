//! Numbers that visitors may hold whom the store has forgotten: each comes back with its holder, or lapses.

use super::Roll;
use crate::line::bits::{Bits, ones};
use crate::line::{Number, Numbers};

impl Roll {
    /// Tells whether a place may be held by someone the store has forgotten.
    #[must_use]
    pub fn is_forgotten(&self, place: Number) -> bool {
        let known = self.waiting.contains(place) || self.called.contains(place) || self.over.contains(place);
        !known && self.unseen.contains(place)
    }

    /// Returns the lowest place, from this one on, to which somebody may yet come back.
    ///
    /// As long as there is one below a place, how many are ahead of that is not known; from then on it only falls (L4).
    #[must_use]
    pub fn first_forgotten(&self, from: Number) -> Option<Number> {
        let runs = self.unseen.runs().filter(|(_, last)| *last >= from);
        runs.filter_map(|(first, last)| self.first_forgotten_within(first.max(from), last)).next()
    }

    fn first_forgotten_within(&self, first: Number, last: Number) -> Option<Number> {
        let known = |i| self.waiting.word(i) | self.called.word(i) | self.over.word(i);
        let words = (first / 64) as usize..=(last / 64) as usize;
        let within = |number: &Number| (first..=last).contains(number);
        words.filter(|i| known(*i) != u64::MAX).find_map(|i| ones(i, !known(i)).find(within))
    }

    /// Returns the places that may be held by someone the store has forgotten.
    pub(in crate::line) fn forgotten(&self) -> Bits {
        let mut forgotten = Bits::from(&self.unseen);
        [&self.waiting, &self.called, &self.over].into_iter().for_each(|known| forgotten.subtract(known));
        forgotten
    }

    /// Lets those of `lapsed` be over who were forgotten and did not come back.
    pub(super) fn forget(&mut self, lapsed: &Numbers) {
        if !lapsed.is_empty() && !self.unseen.is_empty() {
            let mut forgotten = self.forgotten();
            forgotten.intersect(&Bits::from(lapsed));
            self.over.union_with(&forgotten);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Entry;

    #[test]
    fn a_place_is_known_when_nobody_below_can_come_back() {
        let mut roll = Roll { unseen: Numbers::run(11, 1_000), issued: 1_000, ..Roll::default() };
        roll.raise_to(1_005);
        assert_eq!(roll.first_forgotten(0), Some(11));
        roll.apply(&Entry { issued: 1_005, returned: [11, 500].into_iter().collect(), ..Entry::default() });
        assert_eq!((roll.first_forgotten(0), roll.first_forgotten(500)), (Some(12), Some(501)));
        roll.apply(&Entry { issued: 1_005, lapsed: Numbers::run(12, 499), ..Entry::default() });
        assert_eq!(roll.first_forgotten(0), Some(501));
        roll.apply(&Entry {
            issued: 1_005,
            lapsed: Numbers::run(501, 1_000),
            called: [500].into_iter().collect(),
            ..Entry::default()
        });
        assert_eq!(roll.first_forgotten(0), None, "all came back or have lapsed");
        assert!(roll.waiting.contains(11) && roll.tally.lapsed == 0, "who came back keeps the place");
    }

    #[test]
    fn each_place_is_looked_at() {
        let mut roll = Roll { unseen: Numbers::run(1, 5_000), issued: 5_000, ..Roll::default() };
        for forgotten in [1, 63, 64, 65, 2_500, 5_000] {
            roll.over = (1..=5_000).filter(|place| *place != forgotten).collect();
            assert_eq!(roll.first_forgotten(0), Some(forgotten));
            assert_eq!(roll.first_forgotten(forgotten + 1), None);
        }
    }
}
