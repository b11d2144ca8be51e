//! A language's sentences: one JSON file each, which the server and the page both speak from.
//!
//! `live` holds what changes while the page is open, and goes along with it; `page` what stands still; `notice` the
//! short notices, as a heading and a text. `{name}` in a sentence leaves room for a value. A sentence that counts has
//! a form for each plural category of its language (Unicode CLDR); numbers are written as the language writes them.

use icu_locale_core::Locale;
use serde_json::{Map, Value};

use super::Files;
use super::language::Language;
use super::numerals::{CATEGORIES, Numerals, Plurals};
use super::packing::Piece;
use super::sentence::Sentence;

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
    live: Vec<(String, Sentence)>,
    /// Those that count, in the forms of [`CATEGORIES`].
    counting: Vec<(String, [Sentence; CATEGORIES.len()])>,
    notices: Map<String, Value>,
    plurals: Plurals,
    numerals: Numerals,
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
            live: sentences(&live, |said| said.as_str().map(Sentence::of)),
            counting: sentences(&live, |said| said.as_object().map(forms)),
            notices,
            plurals: Plurals::of(&locale),
            numerals: Numerals::of(&locale),
        }
    }

    /// Writes a whole number.
    pub(super) fn count(&self, n: u64) -> String {
        let mut written = String::with_capacity(COUNT_EXPECTED_BYTES);
        self.numerals.write(n, 1, &mut written);
        written
    }

    /// Writes the time of day: hours, minutes and seconds with two digits each.
    pub(super) fn time(&self, [hours, minutes, seconds]: [u64; 3]) -> String {
        let mut written = String::with_capacity(COUNT_EXPECTED_BYTES);
        self.numerals.write(hours, 2, &mut written);
        for n in [minutes, seconds] {
            written.push(':');
            self.numerals.write(n, 2, &mut written);
        }
        written
    }

    /// Says a sentence, with values in the places of their names.
    pub(super) fn say(&self, key: &str, values: &[(&str, &str)]) -> String {
        find(&self.live, key).map(|sentence| sentence.say(values)).unwrap_or_default()
    }

    /// Says a sentence that counts.
    pub(super) fn plural(&self, key: &str, n: u64) -> String {
        let form = find(&self.counting, key).map(|forms| &forms[self.plurals.category(n)]);
        form.map(|form| form.say(&[("n", &self.count(n))])).unwrap_or_default()
    }

    /// Says a short text of the notices, such as what a button says.
    pub(super) fn short(&self, key: &str, values: &[(&str, &str)]) -> String {
        Sentence::of(self.notices.get(key).and_then(Value::as_str).unwrap_or_default()).say(values)
    }

    /// Returns the heading and the text of a notice, if this language has it.
    pub(super) fn notice(&self, kind: &str) -> Option<(&str, &str)> {
        let pair = self.notices.get(kind)?.as_array()?;
        Some((pair.first()?.as_str()?, pair.get(1)?.as_str()?))
    }

    /// Says a sentence of those that stand still.
    pub(super) fn still(&self, key: &str, values: &[(&str, &str)]) -> String {
        let text = self.page.get_attr(key).unwrap_or_default();
        Sentence::of(text.as_str().unwrap_or_default()).say(values)
    }
}

/// Most numbers take no more.
const COUNT_EXPECTED_BYTES: usize = 32;

/// Cuts those sentences that `cut` takes; sorted by their keys.
fn sentences<S>(all: &Map<String, Value>, cut: impl Fn(&Value) -> Option<S>) -> Vec<(String, S)> {
    let mut cut: Vec<_> = all.iter().filter_map(|(key, said)| Some((key.clone(), cut(said)?))).collect();
    cut.sort_by(|(a, _), (b, _)| a.cmp(b));
    cut
}

fn find<'s, S>(sorted: &'s [(String, S)], key: &str) -> Option<&'s S> {
    let at = sorted.binary_search_by(|(named, _)| named.as_str().cmp(key)).ok()?;
    Some(&sorted[at].1)
}

/// Cuts a sentence that counts; a form that is not there is like the last.
fn forms(said: &Map<String, Value>) -> [Sentence; CATEGORIES.len()] {
    let form = |category| said.get(category).or(said.get("other")).and_then(Value::as_str).unwrap_or_default();
    CATEGORIES.map(|category| Sentence::of(form(category)))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use icu_plurals::PluralRules;

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
}
