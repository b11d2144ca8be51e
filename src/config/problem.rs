//! What is wrong with a configuration, in words.

use std::fmt;

use super::variables::IgnoredVariable;

/// Something wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub(super) line: Option<usize>,
    /// The key, or the variable that sets it; empty where it is about neither.
    pub(super) key: String,
    pub(super) text: String,
}

/// All that is wrong with a configuration, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub(super) Vec<Problem>);

impl Problem {
    /// Makes a problem that has no place.
    #[must_use]
    pub fn general(text: String) -> Self {
        Self { line: None, key: String::new(), text }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.text)
    }
}

impl Problems {
    /// Makes a list of one.
    #[must_use]
    pub fn one(problem: Problem) -> Self {
        Self(vec![problem])
    }

    /// Adds the variables that are misspelt, which may be why something is missing.
    pub(super) fn with_misspelt(mut self, ignored: &[IgnoredVariable]) -> Self {
        let misspelt = ignored.iter().filter(|variable| variable.like.is_some());
        self.0.extend(misspelt.map(|variable| Problem::general(variable.to_string())));
        self
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Walks the problems.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(i, problem)| {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")
        })
    }
}
