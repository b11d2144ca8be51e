//! How a language writes whole numbers, and which form of a sentence goes with one: by the rules of the Unicode CLDR,
//! which are asked once and not for every figure of every page.

use icu_decimal::DecimalFormatter;
use icu_locale_core::Locale;
use icu_plurals::{PluralCategory, PluralRules};

/// No number has more digits.
const DIGITS_CAP: usize = 20;

/// A language's digits, and what stands between them.
pub(super) struct Numerals {
    digits: [char; 10],
    separator: char,
    /// For each count of digits, a bit for each digit, the last one first: whether a separator stands behind it.
    parted: [u32; DIGITS_CAP + 1],
}

impl Numerals {
    /// # Panics
    /// When the digits of a language were not built in; a test holds that they are.
    pub(super) fn of(locale: &Locale) -> Self {
        let formatter = DecimalFormatter::try_new(locale.into(), Default::default()).expect("its digits are built in");
        let written = |n: u64| formatter.format(&n.into()).to_string();
        let digits = std::array::from_fn(|digit| written(digit as u64).chars().next().unwrap_or_default());
        let separator = written(u64::MAX).chars().find(|c| !digits.contains(c)).unwrap_or_default();
        let mut parted = [0; DIGITS_CAP + 1];
        for (count, bits) in parted.iter_mut().enumerate().skip(1) {
            let mut place = 0;
            for c in written(10_u64.pow(count as u32 - 1)).chars().rev() {
                if c == separator { *bits |= 1 << place } else { place += 1 }
            }
        }
        Self { digits, separator, parted }
    }

    /// Writes a number to the end of `out`, with so many digits at the least.
    pub(super) fn write(&self, mut n: u64, least: usize, out: &mut String) {
        let (mut digits, mut count) = ([0; DIGITS_CAP], 0);
        while n > 0 || count < least {
            digits[count] = (n % 10) as usize;
            n /= 10;
            count += 1;
        }
        for place in (0..count).rev() {
            out.push(self.digits[digits[place]]);
            if self.parted[count] >> place & 1 == 1 {
                out.push(self.separator);
            }
        }
    }
}

/// The plural categories by their names in a language's file.
pub(super) const CATEGORIES: [&str; 6] = ["zero", "one", "two", "few", "many", "other"];

/// Which of [`CATEGORIES`] goes with a number.
pub(super) struct Plurals([u8; MILLIONS + 1]);

/// Stands for all whole millions.
const MILLIONS: usize = 200;

impl Plurals {
    /// # Panics
    /// When the rules of a language were not built in; a test holds that they are.
    pub(super) fn of(locale: &Locale) -> Self {
        let rules = PluralRules::try_new_cardinal(locale.into()).expect("its rules are built in");
        Self(std::array::from_fn(|like| match rules.category_for(if like == MILLIONS { 1_000_000 } else { like }) {
            PluralCategory::Zero => 0,
            PluralCategory::One => 1,
            PluralCategory::Two => 2,
            PluralCategory::Few => 3,
            PluralCategory::Many => 4,
            PluralCategory::Other => 5,
        }))
    }

    /// The rules of our languages look at small numbers, at the last two digits of others, and at whole millions; a test
    /// holds that.
    pub(super) fn category(&self, n: u64) -> usize {
        let like = match n {
            0..100 => n as usize,
            _ if n.is_multiple_of(1_000_000) => MILLIONS,
            _ => 100 + (n % 100) as usize,
        };
        self.0[like].into()
    }
}

#[cfg(test)]
mod tests {
    use icu_decimal::input::Decimal;

    use super::super::Language;
    use super::*;

    /// All small numbers, and those of every length: around each power of ten, and with many digits.
    fn numbers() -> Vec<u64> {
        let around = |exponent| (0..3).map(move |more| 10_u64.pow(exponent) - 1 + more);
        let long = (0..20_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (n % 64));
        let millions = (1..2_000).flat_map(|n| [n * 1_000_000, n * 100_000, n * 1_000_000 + n % 101]);
        (0..12_000).chain((1..20).flat_map(around)).chain(long).chain(millions).chain([u64::MAX]).collect()
    }

    #[test]
    fn every_language_writes_and_counts_by_the_cldr() {
        let numbers = numbers();
        for language in Language::ALL {
            let locale: Locale = language.tag().parse().unwrap();
            let formatter = DecimalFormatter::try_new((&locale).into(), Default::default()).unwrap();
            let rules = PluralRules::try_new_cardinal((&locale).into()).unwrap();
            let (numerals, plurals) = (Numerals::of(&locale), Plurals::of(&locale));
            for (n, least) in numbers.iter().flat_map(|n| [(*n, 1), (*n, 2)]) {
                let mut digits = Decimal::from(n);
                digits.absolute.pad_start(least as i16);
                let mut written = String::new();
                numerals.write(n, least, &mut written);
                assert_eq!(written, formatter.format(&digits).to_string(), "{n} in {}", language.tag());
            }
            for n in &numbers {
                let category = format!("{:?}", rules.category_for(*n)).to_lowercase();
                assert_eq!(CATEGORIES[plurals.category(*n)], category, "{n} in {}", language.tag());
            }
        }
    }
}
