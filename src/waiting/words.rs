//! A language's sentences: one JSON file each, which the server and the page both speak from.
//!
//! `live` holds what changes while the page is open, and goes along with it; `page` what stands still; `notice` the
//! short notices, as a heading and a text. `{name}` in a sentence leaves room for a value. A sentence that counts has
//! a form for each plural category of its language (Unicode CLDR); numbers are written as the language writes them.

use icu_decimal::DecimalFormatter;
use icu_decimal::input::Decimal;
use icu_locale_core::Locale;
use icu_plurals::{PluralCategory, PluralRules};
use serde_json::{Map, Value};

use super::Files;
use super::language::Language;
use super::packing::Piece;

/// One language's sentences.
pub(super) struct Words {
    /// Whose they are.
    pub(super) language: Language,
    /// What the page's script needs, as JSON that may stand in a script element.
    pub(super) live_json: String,
    /// The same, packed.
    pub(super) live_piece: Piece,
    /// What stands still, for the template.
    pub(super) page: minijinja::Value,
    live: Map<String, Value>,
    notices: Map<String, Value>,
    plurals: PluralRules,
    numbers: DecimalFormatter,
}

impl Words {
    /// Reads the sentences that the binary carries.
    ///
    /// # Panics
    /// When a file that was built in is not what it should be; a test holds that they are.
    pub(super) fn of(language: Language) -> Self {
        let name = format!("languages/{}.json", language.tag());
        let file = Files::get(&name).expect("every language has its file");
        let mut all: Map<String, Value> = serde_json::from_slice(&file.data).expect("the file is JSON");
        let mut part = |name| match all.remove(name) {
            Some(Value::Object(part)) => part,
            _ => panic!("{name} is a part of every language"),
        };
        let (live, page, notices) = (part("live"), part("page"), part("notice"));
        let locale: Locale = language.tag().parse().expect("a tag is a locale");
        let live_json = in_script(&live);
        Self {
            language,
            live_piece: Piece::new(live_json.as_str()),
            live_json,
            page: minijinja::value::Serde(&page).into(),
            live,
            notices,
            plurals: PluralRules::try_new_cardinal((&locale).into()).expect("its rules are built in"),
            numbers: DecimalFormatter::try_new((&locale).into(), Default::default()).expect("its digits are built in"),
        }
    }

    /// Writes a whole number.
    pub(super) fn count(&self, n: u64) -> String {
        self.numbers.format(&n.into()).to_string()
    }

    /// Writes a number with two digits at the least.
    pub(super) fn two(&self, n: u64) -> String {
        let mut digits = Decimal::from(n);
        digits.absolute.pad_start(2);
        self.numbers.format(&digits).to_string()
    }

    /// Says a sentence, with values in the places of their names.
    pub(super) fn say(&self, key: &str, values: &[(&str, &str)]) -> String {
        fill(self.live.get(key).and_then(Value::as_str).unwrap_or_default(), values)
    }

    /// Says a sentence that counts.
    pub(super) fn plural(&self, key: &str, n: u64) -> String {
        let category = match self.plurals.category_for(n) {
            PluralCategory::Zero => "zero",
            PluralCategory::One => "one",
            PluralCategory::Two => "two",
            PluralCategory::Few => "few",
            PluralCategory::Many => "many",
            PluralCategory::Other => "other",
        };
        let forms = &self.live[key];
        let form = forms.get(category).or(forms.get("other")).and_then(Value::as_str).unwrap_or_default();
        fill(form, &[("n", &self.count(n))])
    }

    /// Says a short text of the notices, such as what a button says.
    pub(super) fn short(&self, key: &str, values: &[(&str, &str)]) -> String {
        fill(self.notices.get(key).and_then(Value::as_str).unwrap_or_default(), values)
    }

    /// Returns the heading and the text of a notice, if this language has it.
    pub(super) fn notice(&self, kind: &str) -> Option<(&str, &str)> {
        let pair = self.notices.get(kind)?.as_array()?;
        Some((pair.first()?.as_str()?, pair.get(1)?.as_str()?))
    }

    /// Says a sentence of those that stand still.
    pub(super) fn still(&self, key: &str, values: &[(&str, &str)]) -> String {
        let text = self.page.get_attr(key).unwrap_or_default();
        fill(text.as_str().unwrap_or_default(), values)
    }
}

/// Writes JSON so that it can stand in a script element, whatever is in it.
pub(super) fn in_script(what: &impl serde::Serialize) -> String {
    let json = serde_json::to_vec(what).unwrap_or_default();
    String::from_utf8(harmless(json)).unwrap_or_default()
}

/// Makes JSON such that it can stand there.
pub(super) fn harmless(json: Vec<u8>) -> Vec<u8> {
    match memchr::memchr(b'<', &json) {
        None => json,
        Some(_) => String::from_utf8_lossy(&json).replace('<', "\\u003c").into_bytes(),
    }
}

/// Puts values in the places of their names, as in `{n} people`.
fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let room: usize = values.iter().map(|(_, value)| value.len()).sum();
    let (mut filled, mut rest) = (String::with_capacity(text.len() + room), text);
    while let Some((before, behind)) = rest.split_once('{') {
        filled.push_str(before);
        let named =
            values.iter().find_map(|(name, value)| Some((value, behind.strip_prefix(name)?.strip_prefix('}')?)));
        let (value, behind) = named.map_or(("{", behind), |(value, behind)| (*value, behind));
        filled.push_str(value);
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn whole(language: Language) -> Value {
        let file = Files::get(&format!("languages/{}.json", language.tag())).unwrap();
        serde_json::from_slice(&file.data).unwrap()
    }

    /// The values that a text leaves room for.
    fn names(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect()
    }

    /// Compares a language with English, key by key.
    fn compare(path: &str, english: &Value, other: &Value, language: Language, faults: &mut Vec<String>) {
        let mut fault = |what: String| faults.push(format!("{}: {path}: {what}", language.tag()));
        match (english, other) {
            (Value::Object(forms), Value::Object(own)) if forms.contains_key("other") => {
                let rules = PluralRules::try_new_cardinal((&language.tag().parse::<Locale>().unwrap()).into()).unwrap();
                let needed: BTreeSet<String> = rules.categories().map(|c| format!("{c:?}").to_lowercase()).collect();
                let has: BTreeSet<String> = own.keys().cloned().collect();
                if needed != has {
                    fault(format!("has the forms {has:?}, needs {needed:?}"));
                }
            }
            (Value::Object(keys), Value::Object(own)) => {
                let [wanted, has]: [BTreeSet<&String>; 2] = [keys.keys().collect(), own.keys().collect()];
                wanted.symmetric_difference(&has).for_each(|key| fault(format!("{key} is in one only")));
                for (key, value) in keys.iter().filter(|(key, _)| own.contains_key(*key)) {
                    compare(&format!("{path}.{key}"), value, &own[key], language, faults);
                }
            }
            (Value::Array(pair), Value::Array(own)) if pair.len() == own.len() => {
                pair.iter().zip(own).for_each(|(a, b)| compare(path, a, b, language, faults));
            }
            (Value::String(text), Value::String(own)) => {
                if names(text) != names(own) || own.trim().is_empty() {
                    fault(format!("has room for {:?}, needs {:?}", names(own), names(text)));
                }
            }
            _ => fault("is not of the same kind".to_owned()),
        }
    }

    #[test]
    fn every_language_has_every_sentence_and_every_plural_form() {
        let english = whole(Language::En);
        let mut faults = Vec::new();
        for language in Language::ALL {
            compare("", &english, &whole(language), language, &mut faults);
        }
        assert_eq!(faults, Vec::<String>::new());
    }

    #[test]
    fn a_sentence_that_is_missing_is_found() {
        let english = whole(Language::En);
        let mut other = english.clone();
        other["live"]["second"].as_object_mut().unwrap().remove("one");
        other["page"].as_object_mut().unwrap().remove("help");
        other["live"]["kept"] = "for a while".into();
        let mut faults = Vec::new();
        compare("", &english, &other, Language::En, &mut faults);
        assert_eq!(faults.len(), 3, "{faults:?}");
    }

    #[test]
    fn numbers_and_plurals_are_the_languages_own() {
        let of = |language, n| Words::of(language).plural("second", n);
        assert_eq!((of(Language::En, 1), of(Language::En, 2)), ("1 second".into(), "2 seconds".into()));
        assert_eq!(of(Language::Fr, 0), "0 seconde");
        assert_eq!(of(Language::Ar, 2), "ثانيتين");
        assert_eq!(Words::of(Language::Hi).count(1_234_567), "12,34,567");
        assert_eq!(Words::of(Language::Bn).count(1_234_567), "১২,৩৪,৫৬৭");
        assert_eq!(Words::of(Language::De).count(90_311), "90.311");
    }

    #[test]
    fn a_sentence_is_filled_once_and_from_nothing_else() {
        let values = [("n", "{m}"), ("m", "7")];
        assert_eq!(fill("{n} of {m}, {k} {", &values), "{m} of 7, {k} {");
    }
}
