//! Reading TOML so that every problem is found, not just the first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::instant::{Zone, parse_instant};
use super::problem::{Problem, Problems};
use super::spelling::{is_like, nearest};
use super::variables::{self, Environment, IgnoredVariable};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table of the file that is being read; notes which keys were asked for, and what is wrong.
pub struct Section<'a> {
    source: &'a str,
    path: Vec<String>,
    table: Option<DeTable<'a>>,
    /// Where the table stands, in bytes from the start.
    at: Option<usize>,
    environment: &'a Environment,
    asked: BTreeSet<String>,
    /// The variables that could have set what was asked for.
    heard: BTreeSet<String>,
    /// Where the keys stood that were read.
    places: BTreeMap<String, usize>,
    problems: Vec<Problem>,
}

impl<'a> Section<'a> {
    /// Parses a text into its root table.
    pub fn parse(source: &'a str, environment: &'a Environment) -> Result<Self, Problems> {
        let table = DeTable::parse(source).map_err(|e| {
            let line = e.span().map(|span| line_of(source, span.start));
            Problems::one(Problem { line, key: String::new(), text: e.message().to_owned() })
        })?;
        Ok(Self::new(source, Vec::new(), Some(table.into_inner()), None, environment))
    }

    fn new(
        source: &'a str,
        path: Vec<String>,
        table: Option<DeTable<'a>>,
        at: Option<usize>,
        environment: &'a Environment,
    ) -> Self {
        Self {
            source,
            path,
            table,
            at,
            environment,
            asked: BTreeSet::new(),
            heard: BTreeSet::new(),
            places: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Takes out a table; one that is only in the environment, or nowhere, is empty.
    pub fn section(&mut self, key: &str) -> Option<Self> {
        self.asked.insert(key.to_owned());
        let path = self.path.iter().cloned().chain([key.to_owned()]).collect();
        let value = self.table.as_mut().and_then(|table| table.remove(key));
        let at = value.as_ref().map(|value| value.span().start);
        let table = match value.map(Spanned::into_inner) {
            Some(DeValue::Table(table)) => Some(table),
            None => None,
            Some(_) => {
                self.problem_in_file(at, key, format!("is a table, written [{}]", self.name(key)));
                return None;
            }
        };
        Some(Self::new(self.source, path, table, at, self.environment))
    }

    /// Takes back a table that was read, with its problems.
    pub fn close(&mut self, mut section: Self) {
        section.find_unknown();
        self.problems.append(&mut section.problems);
        self.heard.append(&mut section.heard);
    }

    /// Finds the variables that set nothing, once everything was read.
    pub fn ignored_variables(&self) -> Vec<IgnoredVariable> {
        variables::ignored(self.environment, &self.heard)
    }

    /// Ends the reading: all that is wrong, sorted by place.
    pub fn finish(mut self) -> Problems {
        self.find_unknown();
        self.problems.sort();
        self.problems.dedup();
        Problems(self.problems)
    }

    /// Lists the tables in this one, in the file or the environment.
    pub fn section_names(&self) -> Vec<String> {
        self.table.iter().flat_map(|table| table.keys().map(|key| key.get_ref().to_string())).collect()
    }

    /// Reads a text.
    pub fn text(&mut self, key: &str) -> Option<String> {
        if let Some(text) = self.variable(key) {
            return Some(text);
        }
        match self.take(key)? {
            (_, DeValue::String(text)) => Some(text.into_owned()),
            (at, _) => self.wrong(at, key, "is a text in quotes"),
        }
    }

    /// Reads a text that others must not read: it stands there, or in the file that `KEY_file` names.
    pub fn secret(&mut self, key: &str) -> Option<String> {
        let key_file = format!("{key}_file");
        let (text, path) = (self.text(key), self.text(&key_file));
        if text.is_some() && path.is_some() {
            self.problem(&key_file, format!("give {key} or {key_file}, not both"));
        }
        let Some(path) = path else { return text };
        match std::fs::read_to_string(&path).as_deref().map(str::trim) {
            Ok("") => self.problem(&key_file, format!("{path} is empty")),
            Ok(secret) => return Some(secret.to_owned()),
            Err(e) => self.problem(&key_file, format!("cannot read {path}: {e}")),
        }
        None
    }

    /// Reads a text as one of a few words.
    pub fn choice<'c>(&mut self, key: &str, words: &[&'c str]) -> Option<&'c str> {
        let text = self.text(key)?;
        let word = words.iter().find(|word| **word == text).copied();
        if word.is_none() {
            self.problem(key, format!("is one of {}, not `{text}`", words.join(", ")));
        }
        word
    }

    /// Reads a text that has a form of its own.
    pub fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, key: &str) -> Option<T> {
        let at = self.place(key);
        let text = self.text(key)?;
        text.parse().map_err(|e| self.problem_at(at, key, format!("`{text}`: {e}"))).ok()
    }

    /// Reads where to listen.
    pub fn address(&mut self, key: &str) -> Option<SocketAddr> {
        let at = self.place(key);
        let text = self.text(key)?;
        let bad = |_| format!("is an IP address and a port, such as 127.0.0.1:8080, not `{text}`");
        text.parse().map_err(bad).map_err(|what| self.problem_at(at, key, what)).ok()
    }

    /// Reads a list of texts that have a form of their own; in the environment, separated by commas.
    pub fn parsed_list<T: FromStr<Err: fmt::Display>>(&mut self, key: &str) -> Option<Vec<T>> {
        let at = self.place(key);
        let texts = match self.variable(key) {
            Some(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
            None => self.texts(key)?,
        };
        let parse = |text: String| text.parse().map_err(|e: T::Err| self.problem_at(at, key, e.to_string())).ok();
        // All of them are parsed before any is missed, so that every problem is told.
        let parsed: Vec<Option<T>> = texts.into_iter().map(parse).collect();
        parsed.into_iter().collect()
    }

    /// Reads a text that has a form of its own, or a list of them.
    pub fn parsed_one_or_more<T: FromStr<Err: fmt::Display>>(&mut self, key: &str) -> Option<Vec<T>> {
        let value = self.table.as_ref().and_then(|table| table.get(key)).map(Spanned::get_ref);
        let is_one = matches!(value, Some(DeValue::String(_))) && self.variable(key).is_none();
        if is_one { self.parsed(key).map(|one| vec![one]) } else { self.parsed_list(key) }
    }

    /// Reads a whole number within a range.
    pub fn whole(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let what = format!("is a whole number from {} to {}", range.start(), range.end());
        let (at, text) = self.numeral(key, &what)?;
        match text.replace('_', "").parse().ok().filter(|n| range.contains(n)) {
            Some(n) => Some(n),
            None => self.wrong(at, key, &what),
        }
    }

    /// Reads a number within a range.
    pub fn number(&mut self, key: &str, range: RangeInclusive<f64>) -> Option<f64> {
        let what = format!("is a number from {} to {}", range.start(), range.end());
        let (at, text) = self.numeral(key, &what)?;
        match text.replace('_', "").parse().ok().filter(|n| range.contains(n)) {
            Some(n) => Some(n),
            None => self.wrong(at, key, &what),
        }
    }

    /// Reads `true` or `false`.
    pub fn flag(&mut self, key: &str) -> Option<bool> {
        const WHAT: &str = "is true or false, without quotes";
        if let Some(text) = self.variable(key) {
            return text.parse().ok().or_else(|| self.wrong(None, key, WHAT));
        }
        match self.take(key)? {
            (_, DeValue::Boolean(flag)) => Some(flag),
            (at, _) => self.wrong(at, key, WHAT),
        }
    }

    /// Reads a time span such as `"90s"`, `"10m"` or `"1h 30m"`.
    pub fn duration(&mut self, key: &str) -> Option<Duration> {
        let at = self.place(key);
        let text = self.text(key)?;
        let read = humantime::parse_duration(&text);
        let bad = |e| self.problem_at(at, key, format!("is a time span such as \"90s\" or \"10m\": {e}"));
        read.map_err(bad).ok()
    }

    /// Reads an instant, in milliseconds since the Unix epoch: a date and time with an offset, or one of `zone`.
    pub fn instant(&mut self, key: &str, zone: Option<&Zone>) -> Option<u64> {
        let at = self.place(key);
        let text = match self.variable(key) {
            Some(text) => text,
            None => match self.take(key)? {
                (_, DeValue::String(text)) => text.into_owned(),
                (_, DeValue::Datetime(instant)) => instant.to_string(),
                (at, _) => return self.wrong(at, key, "is a date and time, such as 2026-12-01T10:00:00+05:30"),
            },
        };
        parse_instant(&text, zone).map_err(|why| self.problem_at(at, key, format!("`{text}` {why}"))).ok()
    }

    /// Tells whether a key that was not read yet is given, be its value right or wrong.
    pub fn gives(&self, key: &str) -> bool {
        self.place(key).is_some() || self.environment.contains_key(&self.variable_name(key))
    }

    /// Tells whether a key that was not read yet is misspelt here, which is told when the section is closed.
    pub fn misspells(&self, key: &str) -> bool {
        self.table.iter().flat_map(|table| table.keys()).any(|given| {
            let given = given.get_ref().as_ref();
            given != key && is_like(key, given)
        })
    }

    /// Notes that a key has to be given, unless it is: then its value is wrong or its name misspelt, and that is told.
    pub fn missing(&mut self, key: &str, what: &str) {
        if !(self.places.contains_key(key) || self.gives(key) || self.misspells(key)) {
            self.problem_at(self.at, key, format!("is missing: {what}"));
        }
    }

    /// Notes what is wrong with a key.
    pub fn problem(&mut self, key: &str, text: String) {
        self.problem_at(self.places.get(key).copied().or(self.at), key, text);
    }

    fn numeral(&mut self, key: &str, what: &str) -> Option<(Option<usize>, String)> {
        if let Some(text) = self.variable(key) {
            return Some((None, text));
        }
        match self.take(key)? {
            (at, DeValue::Integer(n)) => Some((at, n.to_string())),
            (at, DeValue::Float(n)) => Some((at, n.as_str().to_owned())),
            (at, _) => self.wrong(at, key, what),
        }
    }

    fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let what = "is a list of texts, such as [\"/book/*\"]";
        match self.take(key)? {
            (at, DeValue::Array(values)) => {
                let texts: Option<Vec<String>> = values
                    .into_iter()
                    .map(|value| match value.into_inner() {
                        DeValue::String(text) => Some(text.into_owned()),
                        _ => None,
                    })
                    .collect();
                texts.or_else(|| self.wrong(at, key, what))
            }
            (at, _) => self.wrong(at, key, what),
        }
    }

    fn take(&mut self, key: &str) -> Option<(Option<usize>, DeValue<'a>)> {
        self.asked.insert(key.to_owned());
        let value = self.table.as_mut()?.remove(key)?;
        self.places.insert(key.to_owned(), value.span().start);
        Some((Some(value.span().start), value.into_inner()))
    }

    fn place(&self, key: &str) -> Option<usize> {
        self.table.as_ref()?.get(key).map(|value| value.span().start)
    }

    fn variable(&mut self, key: &str) -> Option<String> {
        let name = self.variable_name(key);
        let text = self.environment.get(&name).cloned();
        self.heard.insert(name);
        if text.is_some() {
            self.take(key);
        }
        text
    }

    fn variable_name(&self, key: &str) -> String {
        variables::name(self.path.iter().map(String::as_str).chain([key]))
    }

    fn find_unknown(&mut self) {
        let Some(table) = self.table.take() else { return };
        for key in table.keys() {
            let name = key.get_ref().to_string();
            let like = nearest(self.asked.iter().map(String::as_str), &name);
            let hint = like.map_or(String::new(), |known| format!("; did you mean `{known}`?"));
            self.problem_in_file(Some(key.span().start), &name, format!("is no key that is known here{hint}"));
        }
    }

    fn wrong<T>(&mut self, at: Option<usize>, key: &str, what: &str) -> Option<T> {
        self.problem_at(at, key, what.to_owned());
        None
    }

    /// Notes what is wrong with a value, which is the variable's where there is one.
    fn problem_at(&mut self, at: Option<usize>, key: &str, text: String) {
        let variable = self.variable_name(key);
        if self.environment.contains_key(&variable) {
            self.problems.push(Problem { line: None, key: variable, text });
        } else {
            self.problem_in_file(at, key, text);
        }
    }

    fn problem_in_file(&mut self, at: Option<usize>, key: &str, text: String) {
        let line = at.map(|at| line_of(self.source, at));
        self.problems.push(Problem { line, key: self.name(key), text });
    }

    fn name(&self, key: &str) -> String {
        let parts: Vec<&str> = self.path.iter().map(String::as_str).chain([key]).collect();
        parts.join(".").trim_end_matches('.').to_owned()
    }
}

fn line_of(source: &str, at: usize) -> usize {
    source.as_bytes()[..at.min(source.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}
