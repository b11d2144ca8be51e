//! What is known of a race: where each person stands, and the log of every statement that was sent.

use std::time::Duration;

use serde::Serialize;

use super::step::Step;
use super::way::Ending;

/// How many lines a log has at most; a race is far shorter.
const MOST_LINES: usize = 400;

/// A statement that is the next one, or is being done.
#[derive(Clone, Debug, Serialize)]
pub struct Order {
    /// Its kind, by which the page explains it.
    pub step: &'static str,
    /// Its text.
    pub text: String,
}

/// Where one person stands.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// Waits for a click.
    Ready {
        /// What it would send.
        next: Order,
        /// Whether a transaction is open.
        inside: bool,
    },
    /// Waits for a store.
    Asking {
        /// What was sent.
        next: Order,
        /// Whether a transaction is open.
        inside: bool,
    },
    /// Has come to an end.
    Over {
        /// Which.
        ending: Ending,
    },
}

/// One statement in the log.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Who sent it: 1 or 2.
    pub person: usize,
    /// Its kind.
    pub step: &'static str,
    /// Its text.
    pub text: String,
    /// When it was sent, in microseconds since the race began.
    pub at_us: u64,
    /// How long the answer took, in microseconds; `None` while it is awaited.
    pub took_us: Option<u64>,
    /// What was answered.
    pub said: Option<String>,
}

/// Is the board of one race.
#[derive(Debug)]
pub(super) struct Board {
    began: Duration,
    pub(super) people: [Standing; 2],
    pub(super) retries: [u32; 2],
    pub(super) log: Vec<Line>,
}

impl Board {
    /// Begins at a reading of the stopwatch.
    pub(super) fn new(began: Duration, people: [Standing; 2]) -> Self {
        Self { began, people, retries: [0; 2], log: Vec::new() }
    }

    /// Notes that a statement is sent, and returns its line.
    pub(super) fn sent(&mut self, person: usize, step: Step, text: String, inside: bool, now: Duration) -> usize {
        let next = Order { step: step.name(), text: text.clone() };
        self.people[person] = Standing::Asking { next, inside };
        if self.log.len() < MOST_LINES {
            let at_us = micros(now.saturating_sub(self.began));
            self.log.push(Line { person: person + 1, step: step.name(), text, at_us, took_us: None, said: None });
        }
        self.log.len() - 1
    }

    /// Notes what was answered.
    pub(super) fn said(&mut self, line: usize, words: String, now: Duration) {
        let line = &mut self.log[line];
        line.took_us = Some(micros(now.saturating_sub(self.began)).saturating_sub(line.at_us));
        line.said = Some(words);
    }

    /// Tells whether nobody goes on.
    pub(super) fn over(&self) -> bool {
        self.people.iter().all(|standing| matches!(standing, Standing::Over { .. }))
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
