//! Numbers that visitors may hold whom the store has forgotten: each comes back with its holder, or lapses.

use super::Roll;
use crate::line::bits::Bits;
use crate::line::{Number, Numbers};

/// How many places are looked at one by one.
const FEW: u64 = 64;

impl Roll {
    /// Tells whether a place may be held by someone the store has forgotten.
    #[must_use]
    pub fn is_forgotten(&self, place: Number) -> bool {
        let known = self.waiting.contains(place) || self.called.contains(place) || self.over.contains(place);
        !known && self.unseen.contains(place)
    }

    /// Tells whether somebody may yet come back to a place below this one.
    ///
    /// Until none can, how many are ahead is not known; from then on it only falls (L4).
    #[must_use]
    pub fn is_forgotten_below(&self, place: Number) -> bool {
        let mut below = self.unseen.runs().take_while(|(first, _)| *first < place);
        below.any(|(first, last)| self.is_any_forgotten(first, last.min(place - 1)))
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

    /// Looks into halves, and leaves out those in which everyone waits or is over.
    fn is_any_forgotten(&self, first: Number, last: Number) -> bool {
        let within = |bits: &Bits| bits.count_below(last + 1) - bits.count_below(first);
        let count = last + 1 - first;
        let middle = first + count / 2;
        if within(&self.waiting) + within(&self.over) == count {
            false
        } else if count <= FEW {
            (first..=last).any(|place| self.is_forgotten(place))
        } else {
            self.is_any_forgotten(first, middle - 1) || self.is_any_forgotten(middle, last)
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
        assert!(!roll.is_forgotten_below(11) && roll.is_forgotten_below(12) && roll.is_forgotten_below(1_003));
        roll.apply(&Entry { issued: 1_005, returned: [11, 500].into_iter().collect(), ..Entry::default() });
        assert!(!roll.is_forgotten_below(12) && roll.is_forgotten_below(13));
        roll.apply(&Entry { issued: 1_005, lapsed: Numbers::run(12, 499), ..Entry::default() });
        assert!(!roll.is_forgotten_below(501) && roll.is_forgotten_below(1_003));
        roll.apply(&Entry {
            issued: 1_005,
            lapsed: Numbers::run(501, 1_000),
            called: [500].into_iter().collect(),
            ..Entry::default()
        });
        assert!(!roll.is_forgotten_below(1_003), "all came back or have lapsed");
        assert!(roll.waiting.contains(11) && roll.tally.lapsed == 0, "who came back keeps the place");
    }

    #[test]
    fn each_place_is_looked_at() {
        let mut roll = Roll { unseen: Numbers::run(1, 5_000), issued: 5_000, ..Roll::default() };
        for forgotten in [1, 64, 65, 2_500, 5_000] {
            roll.over = (1..=5_000).filter(|place| *place != forgotten).collect();
            assert!(roll.is_forgotten_below(forgotten + 1) && !roll.is_forgotten_below(forgotten));
        }
    }
}
