//! A room's own colour, and whether it can be read.
//!
//! Contrast is that of WCAG 2.2 (relative luminance, contrast ratio); text needs 4.5. On dark paper the colour is mixed
//! with white until it can be read there.

use std::fmt;
use std::str::FromStr;

/// The least contrast of text, WCAG 2.2, 1.4.3.
const READABLE: f64 = 4.5;

/// What the colour stands on, by day and by night, as in `page.css`.
const CARD: Rgb = Rgb(0xff, 0xfe, 0xfb);
const PAPER: Rgb = Rgb(0xf5, 0xf3, 0xee);
const DARK_CARD: Rgb = Rgb(0x18, 0x1f, 0x27);
const WHITE: Rgb = Rgb(0xff, 0xff, 0xff);
const BLACK: Rgb = Rgb(0, 0, 0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rgb(u8, u8, u8);

/// A colour that can be read on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accent(Rgb);

impl Accent {
    /// Returns the style that sets the colours for light and dark.
    #[must_use]
    pub fn css(self) -> String {
        let Self(light) = self;
        let dark = light.readable_on(DARK_CARD);
        let rule = |key: Rgb, card: Rgb| {
            format!(":root{{--key:{key};--on-key:{};--wash:{}}}", key.best_on(), key.mixed(card, 0.86))
        };
        format!("{}@media(prefers-color-scheme:dark){{{}}}", rule(light, CARD), rule(dark, DARK_CARD))
    }
}

impl FromStr for Accent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let colour = Rgb::read(text).ok_or("a colour is written as #0b5d56: # and six hexadecimal digits")?;
        let contrast = colour.contrast(PAPER).min(colour.contrast(CARD));
        if contrast < READABLE {
            let darker = (0..=100).map(|step| colour.mixed(BLACK, f64::from(step) / 100.0));
            let readable = darker.into_iter().find(|one| one.contrast(PAPER) >= READABLE).unwrap_or(BLACK);
            return Err(format!(
                "its contrast on the page is {contrast:.1} and text needs {READABLE}; {readable} is the same colour, \
                 darker"
            ));
        }
        Ok(Self(colour))
    }
}

impl fmt::Display for Accent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(r, g, b) = self;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

impl Rgb {
    fn read(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        let [r, g, b] = *hex::decode(digits).ok()?.first_chunk()?;
        Some(Self(r, g, b))
    }

    fn luminance(self) -> f64 {
        let linear = |byte: u8| match f64::from(byte) / 255.0 {
            dim if dim <= 0.040_45 => dim / 12.92,
            bright => ((bright + 0.055) / 1.055).powf(2.4),
        };
        let Self(r, g, b) = self;
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance() + 0.05, other.luminance() + 0.05);
        a.max(b) / a.min(b)
    }

    /// Mixes a share of `other` in.
    fn mixed(self, other: Self, share: f64) -> Self {
        let mix = |a: u8, b: u8| (f64::from(a) * (1.0 - share) + f64::from(b) * share).round() as u8;
        Self(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }

    /// Mixes as much white in as it takes.
    fn readable_on(self, ground: Self) -> Self {
        let lighter = (0..=100).map(|step| self.mixed(WHITE, f64::from(step) / 100.0));
        lighter.into_iter().find(|one| one.contrast(ground) >= READABLE).unwrap_or(WHITE)
    }

    /// What is read best on it.
    fn best_on(self) -> Self {
        if self.contrast(WHITE) >= self.contrast(BLACK) { WHITE } else { BLACK }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn contrast_is_that_of_the_guidelines() {
        assert!((BLACK.contrast(WHITE) - 21.0).abs() < 1e-9);
        let grey = Rgb::read("#767676").unwrap().contrast(WHITE);
        assert!((4.54..4.55).contains(&grey), "{grey}");
    }

    #[test]
    fn a_colour_that_cannot_be_read_is_refused_with_one_that_can() {
        let told = "#ffcc00".parse::<Accent>().unwrap_err();
        let remedy = told.split('#').nth(1).unwrap()[..6].to_owned();
        assert!(format!("#{remedy}").parse::<Accent>().is_ok(), "{told}");
        for text in ["0b5d56", "#0b5d5", "#0b5d5g", "red", "#é0000"] {
            assert!(text.parse::<Accent>().unwrap_err().contains("#0b5d56"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_can_be_read_by_day_and_by_night(r: u8, g: u8, b: u8) {
            let colour = Rgb(r, g, b);
            prop_assume!(colour.to_string().parse::<Accent>().is_ok());
            let dark = colour.readable_on(DARK_CARD);
            prop_assert!(dark.contrast(DARK_CARD) >= READABLE);
            prop_assert!(dark.best_on().contrast(dark) >= READABLE && colour.best_on().contrast(colour) >= READABLE);
        }
    }
}
