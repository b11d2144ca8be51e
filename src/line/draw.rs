//! The draw: the order of those who came before the start, by a lot that anyone can check.
//!
//! First come, first served rewards robots at the opening second. So a room may collect entries
//! until it starts, and then draw their order. A secret seed is fixed beforehand, and its SHA-256,
//! the *commitment*, stands in the log before the first entry. At the start the entries close, the
//! seed is told, and the number that somebody took becomes a place by a permutation that the seed
//! decides. So the operator cannot choose the seed after seeing who came, and whoever came cannot
//! know it. A public value that is named beforehand and known only later (a closing price, a
//! beacon) may be mixed in: then the operator could not have known the outcome either.
//!
//! No order is stored. The permutation is a Feistel network over the range of the entries, which
//! computes any place, or the entry of any place, by itself.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Number;
use super::bits::Bits;

/// What was said of a draw, before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrawStep {
    /// A draw was promised: whoever comes from now on is in it.
    Promised(Promise),
    /// The sale has started: whoever came up to `last` is in the draw.
    Closed {
        /// The last number of the draw.
        last: Number,
    },
    /// The order was drawn.
    Drawn(Draw),
    /// The promise was taken back: first come, first served.
    Forgone,
}

/// What is published before the first entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// The SHA-256 of the seed.
    #[serde(with = "hexadecimal")]
    pub commitment: [u8; 32],
    /// From which of the gateways' keys the seed is made.
    pub key: String,
    /// What, besides the key, the seed is made from.
    #[serde(with = "hexadecimal")]
    pub nonce: [u8; 16],
    /// The public value that will be mixed in, in words, such as "closing value of the index on 1 May".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_value: Option<String>,
}

/// A draw that was promised and not made yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// What was promised.
    pub promise: Promise,
    /// Whoever has a greater number is in the draw.
    pub above: Number,
    /// The last number of the draw, once the sale has started.
    pub closed: Option<Number>,
}

/// What is published at the draw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reveal {
    /// The seed.
    #[serde(with = "hexadecimal")]
    pub seed: [u8; 32],
    /// The public value, where one was promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_value: Option<String>,
}

/// A draw that was made: the numbers from `first` to `last` have places from `first` to `last`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw {
    /// What decided.
    #[serde(flatten)]
    pub reveal: Reveal,
    /// The first number that was in it.
    pub first: Number,
    /// The last one; less than `first` where nobody was.
    pub last: Number,
}

impl Reveal {
    /// Returns what had to be published beforehand: the SHA-256 of the seed.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        Sha256::digest(self.seed).into()
    }
}

impl Promise {
    /// Promises `seed`.
    #[must_use]
    pub fn of(seed: &[u8; 32], key: String, nonce: [u8; 16], public_value: Option<String>) -> Self {
        Self { commitment: Sha256::digest(seed).into(), key, nonce, public_value }
    }

    /// Tells whether `reveal` is what was promised.
    #[must_use]
    pub fn is_kept_by(&self, reveal: &Reveal) -> bool {
        let mixed = reveal.public_value.as_deref().is_some_and(|value| !value.is_empty());
        reveal.commitment() == self.commitment && mixed == self.public_value.is_some()
    }
}

impl Pending {
    /// Returns what is pending after a step that is taken when `issued` numbers have been given.
    #[must_use]
    pub fn after(before: Option<Self>, step: &DrawStep, issued: Number) -> Option<Self> {
        match step {
            DrawStep::Promised(promise) => Some(Self { promise: promise.clone(), above: issued, closed: None }),
            DrawStep::Closed { last } => before.map(|pending| Self { closed: Some(*last), ..pending }),
            DrawStep::Drawn(_) | DrawStep::Forgone => None,
        }
    }

    /// Makes the draw that `reveal` decides; `None` before the entries are closed, or where it is not what was
    /// promised.
    #[must_use]
    pub fn draw(&self, reveal: &Reveal) -> Option<Draw> {
        let last = self.closed.filter(|_| self.promise.is_kept_by(reveal))?;
        Some(Draw { reveal: reveal.clone(), first: self.above + 1, last })
    }

    /// Tells whether a draw is the one that was pending.
    #[must_use]
    pub fn is_made_by(&self, draw: &Draw) -> bool {
        draw.first == self.above + 1
    }
}

impl Draw {
    /// Tells whether a number was in the draw, and a place was drawn.
    #[must_use]
    pub fn covers(&self, number: Number) -> bool {
        (self.first..=self.last).contains(&number)
    }

    /// Returns the permutation of the numbers.
    #[must_use]
    pub fn permutation(&self) -> Permutation {
        let value = self.reveal.public_value.as_deref().unwrap_or_default();
        let hash = Sha256::new().chain_update(b"vestibule draw").chain_update(self.reveal.seed).chain_update(value);
        let size = self.last.saturating_sub(self.first.saturating_sub(1));
        Permutation::new(hash.finalize().into(), self.first, size)
    }

    /// Returns those of a set that are in the draw.
    #[must_use]
    pub fn within(&self, numbers: &Bits) -> Bits {
        let mut within = numbers.clone();
        within.remove_run(0, self.first.saturating_sub(1));
        within.remove_run(self.last + 1, Number::MAX);
        within
    }

    /// Gives every number of a set its place.
    #[must_use]
    pub fn apply(&self, numbers: &Bits) -> Bits {
        let permutation = self.permutation();
        let mut drawn = numbers.clone();
        drawn.remove_run(self.first, self.last);
        for number in numbers.iter_from(self.first).take_while(|number| *number <= self.last) {
            drawn.insert(permutation.place(number));
        }
        drawn
    }
}

/// How often the two halves are mixed. Four already make a strong permutation of a good round function (M. Luby
/// and C. Rackoff, 1988); twice as many cost little.
const ROUNDS: u8 = 8;

/// A pseudo-random permutation of `first ..= first + size - 1`.
///
/// The generalised Feistel network of J. Black and P. Rogaway ("Ciphers with Arbitrary Finite Domains", 2002): an
/// entry is split into a remainder below `a` and a quotient below `b`, where `a × b` is hardly more than `size`, and
/// each round adds a hash of one to the other. An outcome beyond `size` goes around again.
#[derive(Clone, Debug)]
pub struct Permutation {
    key: [u8; 32],
    first: Number,
    size: u64,
    a: u64,
    b: u64,
}

impl Permutation {
    fn new(key: [u8; 32], first: Number, size: u64) -> Self {
        let root = size.isqrt();
        let a = if root * root < size { root + 1 } else { root.max(1) };
        Self { key, first, size, a, b: size.div_ceil(a) }
    }

    /// Returns the place of a number of the range; any other is its own.
    #[must_use]
    pub fn place(&self, number: Number) -> Number {
        self.walk(number, Self::mix)
    }

    /// Returns the number that has a place of the range; any other is its own.
    #[must_use]
    pub fn number(&self, place: Number) -> Number {
        self.walk(place, Self::unmix)
    }

    /// Tells whether a number, or a place, is of the range.
    #[must_use]
    pub fn covers(&self, number: Number) -> bool {
        number.checked_sub(self.first).is_some_and(|at| at < self.size)
    }

    fn walk(&self, from: Number, step: impl Fn(&Self, u64) -> u64) -> Number {
        let Some(mut at) = from.checked_sub(self.first).filter(|at| *at < self.size) else { return from };
        loop {
            at = step(self, at);
            if at < self.size {
                return self.first + at;
            }
        }
    }

    fn mix(&self, at: u64) -> u64 {
        let (mut left, mut right) = (at % self.a, at / self.a);
        for round in 0..ROUNDS {
            (left, right) = (right, (left + self.hash(round, right)) % self.modulus(round));
        }
        self.a * right + left
    }

    fn unmix(&self, at: u64) -> u64 {
        let (mut left, mut right) = (at % self.a, at / self.a);
        for round in (0..ROUNDS).rev() {
            let modulus = self.modulus(round);
            (left, right) = ((right + modulus - self.hash(round, left) % modulus) % modulus, left);
        }
        self.a * right + left
    }

    fn modulus(&self, round: u8) -> u64 {
        if round.is_multiple_of(2) { self.a } else { self.b }
    }

    /// Hashes a half to a number below 2^62, so that no sum overflows.
    fn hash(&self, round: u8, half: u64) -> u64 {
        let hash = Sha256::new().chain_update(self.key).chain_update([round]).chain_update(half.to_be_bytes());
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hash.finalize().into();
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 2
    }
}

/// Bytes as hexadecimal text.
mod hexadecimal {
    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub fn deserialize<'de, const N: usize, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; N], D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; N];
        hex::decode_to_slice(text, &mut bytes).map(|()| bytes).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Numbers;

    fn draw(seed: u8, first: Number, last: Number) -> Draw {
        Draw { reveal: Reveal { seed: [seed; 32], public_value: None }, first, last }
    }

    #[test]
    fn every_size_is_permuted_and_back() {
        for size in (1..70).chain([99, 100, 101, 1_000, 4_095, 4_097]) {
            let permutation = draw(3, 501, 500 + size).permutation();
            let places: Numbers = (501..=500 + size).map(|number| permutation.place(number)).collect();
            assert_eq!(places, Numbers::run(501, 500 + size), "size {size}");
            assert!((501..=500 + size).all(|n| permutation.number(permutation.place(n)) == n), "size {size}");
            assert_eq!([500, 501 + size].map(|n| permutation.place(n)), [500, 501 + size], "not in the draw");
        }
        assert_eq!(draw(1, 5, 4).permutation().place(5), 5, "nobody came");
    }

    /// Every number has every place about equally often: Pearson's test, at one in ten thousand.
    #[test]
    fn lots_are_fair() {
        const SIZE: usize = 7;
        let mut seen = [[0f64; SIZE]; SIZE];
        let rounds: u16 = 7_000;
        for round in 0..rounds {
            let mut seed = [0; 32];
            seed[..2].copy_from_slice(&round.to_be_bytes());
            let draw = Draw { reveal: Reveal { seed, public_value: None }, first: 1, last: SIZE as u64 };
            let permutation = draw.permutation();
            (0..SIZE).for_each(|n| seen[n][permutation.place(n as u64 + 1) as usize - 1] += 1.0);
        }
        let expected = f64::from(rounds) / SIZE as f64;
        let chi: f64 = seen.iter().flatten().map(|count| (count - expected).powi(2) / expected).sum();
        assert!(chi < 74.0, "{chi} with 36 degrees of freedom");
    }

    #[test]
    fn a_promise_is_kept_by_its_seed_alone() {
        let plain = Promise::of(&[7; 32], "k".into(), [0; 16], None);
        let mixed = Promise { public_value: Some("a price".into()), ..plain.clone() };
        let reveal = |seed, value: Option<&str>| Reveal { seed: [seed; 32], public_value: value.map(str::to_owned) };
        assert!(plain.is_kept_by(&reveal(7, None)) && mixed.is_kept_by(&reveal(7, Some("85"))));
        assert!(!plain.is_kept_by(&reveal(8, None)) && !plain.is_kept_by(&reveal(7, Some("85"))));
        assert!(!mixed.is_kept_by(&reveal(7, None)) && !mixed.is_kept_by(&reveal(7, Some(""))));
        let pending = Pending { promise: plain, above: 10, closed: None };
        assert_eq!(pending.draw(&reveal(7, None)), None, "entries are still taken");
    }

    #[test]
    fn a_public_value_decides_too() {
        let with = |value: &str| {
            let reveal = Reveal { seed: [7; 32], public_value: Some(value.to_owned()) };
            Draw { reveal, first: 1, last: 1_000 }.permutation().place(1)
        };
        assert_ne!(with("85,123.45"), with("85,123.46"));
    }

    #[test]
    fn a_set_is_drawn_whole() {
        let numbers: Bits = [2, 5, 6, 9, 12].into_iter().collect();
        let draw = draw(9, 4, 10);
        let drawn = draw.apply(&numbers);
        assert_eq!(drawn.count(), 5);
        assert!([2, 12].into_iter().all(|n| drawn.contains(n)), "those beside it stay");
        let permutation = draw.permutation();
        assert!([5, 6, 9].into_iter().all(|n| drawn.contains(permutation.place(n))));
        assert_eq!(draw.within(&numbers), [5, 6, 9].into_iter().collect());
    }
}
