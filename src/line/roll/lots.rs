//! What takes long of a draw, apart from its roll: a million places are computed while nobody waits for a lock.

use super::Roll;
use crate::line::bits::{Bits, ones};
use crate::line::draw::{Draw, Permutation};
use crate::line::{Number, Numbers};

/// The draws of a line as they were at one instant: they give many numbers their places.
#[derive(Clone, Debug, Default)]
pub struct Lots(Vec<Permutation>);

impl Lots {
    /// Gives every number of a set its place.
    #[must_use]
    pub fn places(&self, numbers: Numbers) -> Numbers {
        self.each(numbers, Permutation::place)
    }

    /// Gives every place of a set its number.
    #[must_use]
    pub fn numbers(&self, places: Numbers) -> Numbers {
        self.each(places, Permutation::number)
    }

    /// Tells whether no lots were drawn: then every number is its own place.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn each(&self, set: Numbers, of: impl Fn(&Permutation, Number) -> Number) -> Numbers {
        let of = |one: Number| self.0.iter().find(|drawn| drawn.covers(one)).map_or(one, |drawn| of(drawn, one));
        if self.is_empty() { set } else { set.iter().map(of).collect() }
    }
}

/// A draw as it was made of a roll, which goes on meanwhile.
#[derive(Clone, Debug)]
pub struct Drawn {
    draw: Draw,
    before: Sets,
    after: Sets,
}

/// Who has which place: what a draw changes of a roll.
#[derive(Clone, Debug)]
struct Sets([Bits; 4]);

impl Sets {
    fn of(roll: &Roll) -> Self {
        Self([roll.waiting.clone(), roll.called.clone(), roll.over.clone(), Bits::from(&roll.unseen)])
    }
}

impl Drawn {
    /// Makes a draw of a roll. Takes half a second for a million.
    #[must_use]
    pub fn of(draw: Draw, roll: &Roll) -> Self {
        let before = Sets::of(roll);
        let after = Sets(before.0.each_ref().map(|set| draw.apply(set)));
        Self { draw, before, after }
    }

    /// Returns the draw.
    #[must_use]
    pub fn draw(&self) -> &Draw {
        &self.draw
    }

    /// Follows the roll to where it is `now`: takes long only where many have come or gone.
    #[must_use]
    pub fn following(mut self, now: &Roll) -> Self {
        let permutation = self.draw.permutation();
        let now = Sets::of(now);
        for ((before, now), after) in self.before.0.iter().zip(&now.0).zip(&mut self.after.0) {
            for number in difference(before, now) {
                let place = permutation.place(number);
                if now.contains(number) {
                    after.insert(place)
                } else {
                    after.remove(place)
                };
            }
        }
        Self { before: now, ..self }
    }

    /// Returns who of the draw waits, was called, is over and is unseen, by place.
    #[must_use]
    pub fn within(&self) -> [Bits; 4] {
        self.after.0.each_ref().map(|set| self.draw.within(set))
    }
}

impl Roll {
    /// Returns the draws that were made, to compute many places with.
    #[must_use]
    pub fn lots(&self) -> Lots {
        Lots(self.draws.iter().map(Draw::permutation).collect())
    }

    /// Puts everyone in the place that was drawn, if this was not done before. Takes no longer than it takes to
    /// follow whoever has come or gone since.
    pub(in crate::line) fn put_drawn(&mut self, drawn: Drawn) {
        let Drawn { draw, after, .. } = drawn.following(self);
        if self.is_undrawn(&draw) {
            let [waiting, called, over, unseen] = after.0;
            (self.waiting, self.called, self.over, self.unseen) = (waiting, called, over, unseen.into());
            self.draws.push(draw);
        }
    }
}

fn difference(a: &Bits, b: &Bits) -> impl Iterator<Item = Number> {
    let words = 0..a.word_count().max(b.word_count());
    words.flat_map(|i| ones(i, a.word(i) ^ b.word(i)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::draw::Reveal;

    fn draw() -> Draw {
        Draw { reveal: Reveal { seed: [7; 32], public_value: None }, first: 11, last: 90 }
    }

    #[test]
    fn a_draw_that_follows_its_roll_is_one_that_is_made_of_it_now() {
        let mut roll = Roll { unseen: Numbers::run(60, 70), ..Roll::default() };
        roll.waiting.insert_run(1, 59);
        roll.waiting.insert_run(80, 100);
        let mut drawn = Drawn::of(draw(), &roll);
        roll.waiting.remove_run(20, 40);
        drawn = drawn.following(&roll);
        roll.over.insert_run(20, 40);
        roll.waiting.insert_run(65, 66);
        roll.waiting.insert_run(101, 120);
        roll.unseen = Numbers::run(68, 70);
        drawn = drawn.following(&roll);
        roll.waiting.remove(50);
        let (mut at_once, mut followed) = (roll.clone(), roll);
        at_once.redraw(&draw());
        followed.put_drawn(drawn.clone());
        assert_eq!(followed, at_once);
        followed.put_drawn(drawn);
        assert_eq!(followed, at_once, "it is put in place once");
    }

    #[test]
    fn lots_give_places_as_the_roll_does() {
        let mut roll = Roll::default();
        roll.redraw(&draw());
        roll.redraw(&Draw { first: 91, last: 95, ..draw() });
        let numbers = Numbers::run(5, 100);
        let places: Numbers = numbers.iter().map(|number| roll.place(number)).collect();
        assert_eq!(
            roll.lots().places([12, 92, 3].into_iter().collect()),
            [12, 92, 3].map(|n| roll.place(n)).into_iter().collect()
        );
        assert_eq!(roll.lots().numbers(places), numbers);
    }
}
