//! Texts that others must not read: they stand in the configuration, or in a file of their own that it names.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Is a text that was written as one, or as `{ file = "PATH" }`: then it is what the file says, without blanks around it.
#[derive(Deserialize)]
#[serde(transparent)]
struct Secret(#[serde(deserialize_with = "text")] String);

/// Reads a text that others must not read.
///
/// # Errors
/// What is wrong with it, or why its file cannot be read.
pub fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    from.deserialize_any(TextOrFile)
}

/// Reads one that may be missing.
///
/// # Errors
/// As [`text`].
pub fn option<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Secret::deserialize(from).map(|Secret(text)| Some(text))
}

struct TextOrFile;

impl<'de> Visitor<'de> for TextOrFile {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes, or { file = \"PATH\" } for a text that a file says")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let (Some((key, path)), None) = (map.next_entry::<String, String>()?, map.next_key::<String>()?) else {
            return Err(A::Error::custom("write { file = \"PATH\" }, and nothing besides"));
        };
        if key != "file" {
            return Err(A::Error::unknown_field(&key, &["file"]));
        }
        match std::fs::read_to_string(&path).as_deref().map(str::trim) {
            Ok("") => Err(A::Error::custom(format!("{path} is empty"))),
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(A::Error::custom(format!("cannot read {path}: {error}"))),
        }
    }
}
