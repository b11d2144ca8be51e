//! A sentence with room for values.

use std::mem;

/// A sentence such as `{n} people`: cut once, where its values go, and not whenever it is said.
#[derive(Debug, Default)]
pub(super) struct Sentence {
    /// Texts, each with the name of the value behind it.
    parts: Vec<(String, String)>,
    last: String,
    /// Of the text without values.
    length: usize,
}

impl Sentence {
    pub(super) fn of(text: &str) -> Self {
        let (mut parts, mut part, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, behind)) = rest.split_once('{') {
            part.push_str(before);
            rest = match behind.split_once('}').filter(|(name, _)| is_name(name)) {
                Some((name, behind)) => {
                    parts.push((mem::take(&mut part), name.to_owned()));
                    behind
                }
                None => {
                    part.push('{');
                    behind
                }
            };
        }
        Self { parts, last: part + rest, length: text.len() }
    }

    /// Says it with values in the places of their names.
    pub(super) fn say(&self, values: &[(&str, &str)]) -> String {
        let room: usize = values.iter().map(|(_, value)| value.len()).sum();
        let mut said = String::with_capacity(self.length + room);
        for (text, name) in &self.parts {
            said.push_str(text);
            match values.iter().find(|(named, _)| named == name) {
                Some((_, value)) => said.push_str(value),
                None => said.extend(["{", name, "}"]),
            }
        }
        said.push_str(&self.last);
        said
    }
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_filled_once_and_from_nothing_else() {
        let values = [("n", "{m}"), ("m", "7")];
        assert_eq!(Sentence::of("{n} of {m}, {k} {").say(&values), "{m} of 7, {k} {");
        assert_eq!(Sentence::of("{{n}} {n m}{}").say(&values), "{{m}} {n m}{}");
    }
}
