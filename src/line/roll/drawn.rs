//! What draws have made of a roll: a number on a ticket, and the place that was drawn for it.

use super::Roll;
use crate::line::bits::Bits;
use crate::line::draw::{Draw, DrawStep, Pending};
use crate::line::{Entry, Number};

impl Roll {
    /// Returns the place of a number: the number itself, unless lots were drawn for it. All that
    /// is kept and logged of a line, but the number on the ticket, is in places.
    #[must_use]
    pub fn place(&self, number: Number) -> Number {
        let draw = self.draws.iter().find(|draw| draw.covers(number));
        draw.map_or(number, |draw| draw.permutation().place(number))
    }

    /// Returns the number that has a place.
    #[must_use]
    pub fn number(&self, place: Number) -> Number {
        let draw = self.draws.iter().find(|draw| draw.covers(place));
        draw.map_or(place, |draw| draw.permutation().number(place))
    }

    /// Makes the draws here that only `other` knows of, and returns it with those that only this knows of.
    pub(super) fn with_same_draws(&mut self, other: &Self) -> Self {
        let mut other = other.clone();
        other.draws.iter().for_each(|draw| self.redraw(draw));
        self.draws.iter().for_each(|draw| other.redraw(draw));
        self.drawn_seq = self.drawn_seq.max(other.drawn_seq);
        if other.step_seq > self.step_seq {
            (self.step_seq, self.pending) = (other.step_seq, other.pending.take());
        }
        self.pending = self.pending.take().filter(|pending| !self.draws.iter().any(|draw| pending.is_made_by(draw)));
        other
    }

    /// Puts everyone in the place that was drawn, once.
    pub(in crate::line) fn redraw(&mut self, draw: &Draw) {
        if self.is_undrawn(draw) {
            let unseen = Bits::from(&self.unseen);
            [&mut self.waiting, &mut self.called, &mut self.over].into_iter().for_each(|bits| *bits = draw.apply(bits));
            if unseen.iter_from(draw.first).next().is_some_and(|number| draw.covers(number)) {
                self.unseen = draw.apply(&unseen).into();
            }
            self.draws.push(draw.clone());
        }
    }

    /// Tells whether the places of those up to `last`, whom two lines have in common, can be had from both: whatever lots
    /// either has drawn are among these alone, and the other has drawn them too, or none of them.
    pub(in crate::line) fn draws_lots_as(&self, other: &Self, last: Number) -> bool {
        let are_told = |one: &Self, by: &Self| {
            one.draws.iter().all(|draw| draw.last <= last && (by.draws.contains(draw) || by.is_undrawn(draw)))
        };
        are_told(self, other) && are_told(other, self)
    }

    /// Tells whether there is something to a draw, and it was not made here before.
    pub(super) fn is_undrawn(&self, draw: &Draw) -> bool {
        draw.first <= draw.last && !self.draws.iter().any(|made| made.covers(draw.first))
    }

    /// Takes the step of an entry. Who is in a draw is as the entry says it: a mirror may have noted later joins already.
    pub(super) fn take_step(&mut self, step: &DrawStep, entry: &Entry) {
        self.step_seq = entry.seq;
        self.pending = Pending::after(self.pending.take(), step, entry.issued);
        if let DrawStep::Drawn(draw) = step {
            self.redraw(draw);
            self.drawn_seq = entry.seq;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::draw::{Promise, Reveal};

    #[test]
    fn of_two_rolls_the_one_that_knows_the_later_step_knows_what_is_pending() {
        let reveal = Reveal { seed: [7; 32], public_value: None };
        let mut old = Roll::default();
        let promised = DrawStep::Promised(Promise::of(&reveal.seed, "root".to_owned(), [0; 16], None));
        old.take_step(&promised, &Entry { seq: 3, ..Entry::default() });
        for end in [DrawStep::Forgone, DrawStep::Drawn(Draw { reveal, first: 1, last: 0 })] {
            let mut new = old.clone();
            new.take_step(&end, &Entry { seq: 7, ..Entry::default() });
            let (mut ahead, mut behind) = (new.clone(), old.clone());
            ahead.merge(&old, 0);
            behind.merge(&new, 0);
            assert_eq!([ahead.pending, behind.pending], [None, None], "{end:?} is not undone");
        }
        let mut empty = Roll::default();
        empty.merge(&old, 0);
        assert_eq!(empty.pending, old.pending, "a promise that was lost comes back");
    }

    #[test]
    fn who_is_in_a_draw_is_the_same_for_a_mirror_that_has_noted_later_joins() {
        let promise = Promise::of(&[7; 32], "root".to_owned(), [0; 16], None);
        let entry = Entry { seq: 1, issued: 5, draw: Some(DrawStep::Promised(promise)), ..Entry::default() };
        let (mut store, mut mirror) = (Roll::default(), Roll::default());
        mirror.raise_to(7);
        store.apply(&entry);
        mirror.apply(&entry);
        assert_eq!(mirror.pending, store.pending);
        assert_eq!(mirror.pending.unwrap().above, 5);
    }
}
