//! What an outsider makes of a draw: from what was published before and after, the place of every number, told a
//! second time as `docs/fairness.md` tells it.

use std::rc::Rc;

use sha2::{Digest as _, Sha256};
use vestibule::line::Number;
use vestibule::line::draw::{Draw, Pending};

/// How often the halves are mixed.
const ROUNDS: u8 = 8;

/// The draws of a line as they were published.
#[derive(Clone, Debug, Default)]
pub struct Draws {
    pub pending: Option<Pending>,
    pub made: Vec<Rc<Lots>>,
}

/// A draw that was made, with the place of each of its numbers.
#[derive(Debug)]
pub struct Lots {
    pub draw: Draw,
    /// By number, from the first.
    places: Vec<Number>,
    /// By place, from the first.
    numbers: Vec<Number>,
}

impl Draws {
    pub fn place(&self, number: Number) -> Number {
        self.made.iter().find(|lots| lots.draw.covers(number)).map_or(number, |lots| lots.place(number))
    }

    pub fn number(&self, place: Number) -> Number {
        self.made.iter().find(|lots| lots.draw.covers(place)).map_or(place, |lots| lots.number(place))
    }
}

impl Lots {
    pub fn of(draw: &Draw) -> Self {
        let Draw { reveal, first, last } = draw;
        let value = reveal.public_value.as_deref().unwrap_or_default();
        let key = Sha256::digest([&b"vestibule draw"[..], &reveal.seed, value.as_bytes()].concat());
        let size = (last + 1).saturating_sub(*first);
        let width = (1..).find(|width| width * width >= size).unwrap_or(1);
        let sides = [width, size.div_ceil(width)];
        let places: Vec<Number> = (0..size).map(|entry| first + drawn(entry, size, sides, &key)).collect();
        let mut numbers = vec![0; places.len()];
        for (number, place) in (*first..).zip(&places) {
            numbers[(place - first) as usize] = number;
        }
        Self { draw: draw.clone(), places, numbers }
    }

    /// The place of a number of the draw.
    pub fn place(&self, number: Number) -> Number {
        number.checked_sub(self.draw.first).map_or(number, |at| self.places[at as usize])
    }

    fn number(&self, place: Number) -> Number {
        self.numbers[(place - self.draw.first) as usize]
    }

    /// The place of any number.
    pub fn of_any(&self, number: Number) -> Number {
        if self.draw.covers(number) { self.place(number) } else { number }
    }

    /// Tells whether each place went to one number.
    pub fn are_fair(&self) -> bool {
        !self.numbers.contains(&0)
    }
}

/// Mixes quotient and remainder until what comes out is an entry again.
fn drawn(entry: u64, size: u64, [width, height]: [u64; 2], key: &[u8]) -> u64 {
    let mut at = entry;
    loop {
        let (mut left, mut right) = (at % width, at / width);
        for round in 0..ROUNDS {
            let hash =
                Sha256::new().chain_update(key).chain_update([round]).chain_update(right.to_be_bytes()).finalize();
            let lot = hash[..8].iter().fold(0, |lot: u64, byte| lot << 8 | u64::from(*byte)) >> 2;
            let modulus = if round % 2 == 1 { height } else { width };
            (left, right) = (right, (left + lot) % modulus);
        }
        at = width * right + left;
        if at < size {
            return at;
        }
    }
}
