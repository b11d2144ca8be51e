//! The crowd's dice: the same seed throws the same crowd, today and in later versions.

/// What each draw adds.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// Draws numbers by SplitMix64 (Steele, Lea, Flood, 2014).
///
/// It is written out here because the promise "same seed, same crowd" must not depend on which generator a
/// library prefers this year.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Starts from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns an independent stream for one visitor.
    #[must_use]
    pub fn stream(seed: u64, visitor: u64) -> Self {
        Self(Self(seed ^ visitor.wrapping_mul(0xD134_2543_DE82_EF95)).bits())
    }

    /// Starts from a seed as it is after so many draws.
    #[must_use]
    pub fn after(seed: u64, draws: u64) -> Self {
        Self(seed.wrapping_add(draws.wrapping_mul(GAMMA)))
    }

    /// Draws 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Draws a fraction in 0 ≤ x < 1.
    pub fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Draws a whole number in `low..=high`; `high` must not be below `low`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "an empty range has nothing to draw");
        low + (self.fraction() * (high - low + 1) as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_throws_of_a_seed_never_change() {
        let mut chance = Chance::new(1_234_567);
        let throws = [chance.bits(), chance.bits(), chance.bits()];
        assert_eq!(throws, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
        assert_eq!([0, 1, 2].map(|draws| Chance::after(1_234_567, draws).bits()), throws);
    }

    #[test]
    fn fractions_stay_below_one_and_ranges_within_their_ends() {
        let mut chance = Chance::new(7);
        for _ in 0..10_000 {
            assert!((0.0..1.0).contains(&chance.fraction()));
            assert!((3..=5).contains(&chance.between(3, 5)));
        }
    }
}
