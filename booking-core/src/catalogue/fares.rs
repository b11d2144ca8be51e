//! The rule for classes, seats and fares. The data has none; this is ours, and it is stated whole.
//!
//! The kind of a train follows from its name:
//!
//! | kind | name contains | classes |
//! |---|---|---|
//! | day | VANDE BHARAT, SHATABDI, SHTBDI, TEJAS without RAJ | EC CC |
//! | plain day | JANSHATABDI, JAN SHATABDI, INTERCITY | CC 2S |
//! | night | RAJDHANI, RAJ (as a word) | 1A 2A 3A |
//! | fast | DURONTO | 1A 2A 3A SL |
//! | one class | GARIB, HUMSAFAR | 3A |
//! | mail | anything else | 1A 2A 3A SL 2S |
//!
//! Seats are coaches times berths: 1A 1×24, EC 2×52, 2A 2×48, 3A 5×64, CC 8×78, SL 8×72, 2S 4×108; trains of one class
//! carry 16 coaches of 3A, night trains 9.
//!
//! A fare is a fixed part plus paise for each kilometre of the whole run, at least 100 km, a quarter more on day, night
//! and fast trains, rounded up to five rupees.

use crate::domain::inventory::Class;
use crate::domain::money::Paise;

/// What kind of train it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Day,
    PlainDay,
    Night,
    Fast,
    OneClass,
    Mail,
}

const FIVE_RUPEES: u32 = 500;
const SHORTEST_KM: u32 = 100;

impl Kind {
    /// Tells the kind by the train's name.
    pub(super) fn of(name: &str) -> Self {
        let has = |part: &str| name.contains(part);
        let word = |wanted: &str| name.split(|c: char| !c.is_ascii_alphabetic()).any(|word| word == wanted);
        match () {
            () if has("JANSHATABDI") || has("JAN SHATABDI") || has("JANSHTBDI") || has("INTERCITY") => Self::PlainDay,
            () if has("RAJDHANI") || word("RAJ") => Self::Night,
            () if has("VANDE BHARAT") || has("SHATABDI") || has("SHTBDI") || has("TEJAS") => Self::Day,
            () if has("DURONTO") => Self::Fast,
            () if has("GARIB") || has("HUMSAFAR") => Self::OneClass,
            () => Self::Mail,
        }
    }

    /// Returns the classes of a train, the dearest first.
    pub(super) const fn classes(self) -> &'static [Class] {
        use Class::{ChairCar, ExecutiveChair, FirstAc, SecondSitting, Sleeper, ThreeTierAc, TwoTierAc};
        match self {
            Self::Day => &[ExecutiveChair, ChairCar],
            Self::PlainDay => &[ChairCar, SecondSitting],
            Self::Night => &[FirstAc, TwoTierAc, ThreeTierAc],
            Self::Fast => &[FirstAc, TwoTierAc, ThreeTierAc, Sleeper],
            Self::OneClass => &[ThreeTierAc],
            Self::Mail => &[FirstAc, TwoTierAc, ThreeTierAc, Sleeper, SecondSitting],
        }
    }

    /// Returns how many seats of a class a train carries.
    pub(super) const fn seats(self, class: Class) -> u32 {
        let (coaches, berths) = match class {
            Class::FirstAc => (1, 24),
            Class::ExecutiveChair => (2, 52),
            Class::TwoTierAc => (2, 48),
            Class::ThreeTierAc => (self.coaches_of_three_tiers(), 64),
            Class::ChairCar => (8, 78),
            Class::Sleeper => (8, 72),
            Class::SecondSitting => (4, 108),
            // No train carries it.
            Class::Slot(_) => (0, 0),
        };
        coaches * berths
    }

    const fn coaches_of_three_tiers(self) -> u32 {
        match self {
            Self::OneClass => 16,
            Self::Night => 9,
            _ => 5,
        }
    }

    /// Returns what one seat costs for the whole run.
    pub(super) fn fare(self, distance_km: u32, class: Class) -> Paise {
        let (fixed, per_km) = match class {
            Class::FirstAc => (6_000, 330),
            Class::ExecutiveChair => (6_000, 260),
            Class::TwoTierAc => (5_000, 200),
            Class::ThreeTierAc => (4_000, 138),
            Class::ChairCar => (4_000, 120),
            Class::Sleeper => (2_000, 50),
            Class::SecondSitting => (1_500, 30),
            Class::Slot(_) => (0, 0),
        };
        let plain = fixed + per_km * distance_km.max(SHORTEST_KM);
        let is_dear = matches!(self, Self::Day | Self::Night | Self::Fast);
        let paise = if is_dear { plain + plain / 4 } else { plain };
        Paise::new(paise.div_ceil(FIVE_RUPEES) * FIVE_RUPEES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_kind() {
        for (name, expected) in [
            ("NDLS TEJAS RAJ", Kind::Night),
            ("RAJDHANI EXPRES", Kind::Night),
            ("RAJKOT EXP", Kind::Mail),
            ("VANDE BHARAT EX", Kind::Day),
            ("BHOPAL SHTBDI", Kind::Day),
            ("JANSHATABDI EXP", Kind::PlainDay),
            ("MANDOVI EXPRESS", Kind::Mail),
            ("GARIB RATH EXP", Kind::OneClass),
            ("DURONTO EXP", Kind::Fast),
        ] {
            assert_eq!(Kind::of(name), expected, "{name}");
        }
    }

    #[test]
    fn a_fare_is_whole_and_of_a_sensible_size() {
        assert_eq!(Kind::of("NDLS TEJAS RAJ").fare(1384, Class::ThreeTierAc), Paise::new(244_000));
        assert_eq!(Kind::of("ANY EXP").fare(13, Class::SecondSitting), Paise::new(4_500));
    }
}
