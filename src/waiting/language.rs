//! The languages that the pages speak, and which of them a visitor wants.

use std::cmp::Reverse;

/// A language of the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Hindi.
    Hi,
    /// Bengali.
    Bn,
    /// Tamil.
    Ta,
    /// Telugu.
    Te,
    /// Urdu.
    Ur,
    /// Arabic.
    Ar,
    /// Spanish.
    Es,
    /// French.
    Fr,
    /// German.
    De,
    /// Portuguese.
    Pt,
    /// Chinese, in simplified characters.
    Zh,
}

/// At most so many wishes of a header are looked at.
const WISHES_CAP: usize = 32;

impl Language {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 12] = [
        Self::En,
        Self::Hi,
        Self::Bn,
        Self::Ta,
        Self::Te,
        Self::Ur,
        Self::Ar,
        Self::Es,
        Self::Fr,
        Self::De,
        Self::Pt,
        Self::Zh,
    ];

    /// Names it as BCP 47 does.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Hi => "hi",
            Self::Bn => "bn",
            Self::Ta => "ta",
            Self::Te => "te",
            Self::Ur => "ur",
            Self::Ar => "ar",
            Self::Es => "es",
            Self::Fr => "fr",
            Self::De => "de",
            Self::Pt => "pt",
            Self::Zh => "zh",
        }
    }

    /// Names it in its own words.
    #[must_use]
    pub const fn own_name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Hi => "हिन्दी",
            Self::Bn => "বাংলা",
            Self::Ta => "தமிழ்",
            Self::Te => "తెలుగు",
            Self::Ur => "اردو",
            Self::Ar => "العربية",
            Self::Es => "Español",
            Self::Fr => "Français",
            Self::De => "Deutsch",
            Self::Pt => "Português",
            Self::Zh => "简体中文",
        }
    }

    /// Returns the direction of its script, as HTML writes it.
    #[must_use]
    pub const fn direction(self) -> &'static str {
        match self {
            Self::Ur | Self::Ar => "rtl",
            _ => "ltr",
        }
    }

    /// Finds the language of a tag such as `pt-BR`; the region does not matter.
    #[must_use]
    pub fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next()?.trim();
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    /// Picks the first language that an `Accept-Language` asks for and the pages speak (RFC 9110, 12.5.4; the lookup of
    /// RFC 4647, 3.4): by weight, then by order. `None` where it asks for none of them, or for any.
    #[must_use]
    pub fn accepted(header: &str) -> Option<Self> {
        // The first of those that weigh most.
        let wishes = header.split(',').take(WISHES_CAP).filter_map(wish);
        wishes.min_by_key(|(weight, _)| *weight).map(|(_, language)| language)
    }
}

/// Reads one wish with its weight in thousandths; `None` for what is not wanted, not spoken or not readable.
fn wish(text: &str) -> Option<(Reverse<u16>, Language)> {
    let (tag, parameters) = text.split_once(';').unwrap_or((text, ""));
    let weight = match parameters.trim() {
        "" => 1.0,
        weighted => weighted.strip_prefix("q=").or(weighted.strip_prefix("Q="))?.trim().parse::<f64>().ok()?,
    };
    let thousandths = (weight.clamp(0.0, 1.0) * 1_000.0) as u16;
    Some((Reverse(thousandths), Language::of_tag(tag.trim())?)).filter(|_| thousandths > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_wish_that_is_spoken_wins() {
        for (header, language) in [
            ("hi-IN,hi;q=0.9,en;q=0.8", Some(Language::Hi)),
            ("nl, fr;q=0.3, ur;q=0.7", Some(Language::Ur)),
            ("en;q=0.5, de;q=0.5", Some(Language::En)),
            ("PT-br ; q=0.4, en;q=0", Some(Language::Pt)),
            ("zh-Hant-TW", Some(Language::Zh)),
            ("en;q=0", None),
            ("nl, *;q=0.1", None),
            ("de;q=NaN, te;q=x, ta", Some(Language::Ta)),
            ("", None),
        ] {
            assert_eq!(Language::accepted(header), language, "{header}");
        }
        let long = "xx,".repeat(WISHES_CAP) + "de";
        assert_eq!(Language::accepted(&long), None, "what is looked at is bounded");
    }
}
