//! The newest part of a room's log, for export and receipts: text in pieces, bounded in bytes.
//!
//! A piece keeps the entries' canonical texts and the state of the line before the first of them. Their links are
//! hashed again when somebody reads them, which is rare. A reader takes the pieces as they are at that
//! moment, and holds up nobody while it works through them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::line::chain::{Link, LogStart, Logged, Opening};
use crate::line::{Entry, Number, Numbers};

/// How much is kept: at ten entries a second, those of about an hour.
const HISTORY_BYTES: usize = 4 << 20;

/// From this length on, a piece is full.
const PIECE_BYTES: usize = 16 << 10;

/// The newest entries of a log.
#[derive(Clone, Debug, Default)]
pub struct History {
    pieces: VecDeque<Arc<Piece>>,
    bytes: usize,
    /// The line after the last entry.
    end: LogStart,
}

/// Some entries that follow each other.
#[derive(Clone, Debug)]
pub struct Piece {
    start: LogStart,
    /// The entries' canonical texts, a line each.
    text: String,
    called: Numbers,
}

impl History {
    /// Begins where a line stands.
    #[must_use]
    pub fn since(start: LogStart) -> Self {
        Self { end: start, ..Self::default() }
    }

    /// Takes in the next entry, whose link is `link`.
    pub fn push(&mut self, entry: &Entry, link: Link) {
        self.make_room();
        if let Some(piece) = self.pieces.back_mut() {
            let before = piece.bytes();
            let piece = Arc::make_mut(piece);
            piece.push(entry);
            self.bytes = self.bytes - before + piece.bytes();
        }
        self.end.follow(entry, link);
    }

    /// Writes it out as an exported log: the line that says where it begins, also where nothing has followed yet, then each
    /// piece when it is asked for. Of a line that was never followed there is nothing to say.
    pub fn export(self) -> impl Iterator<Item = String> {
        let start = self.pieces.front().map_or(&self.end, |piece| piece.start()).clone();
        let opening = (start.epoch > 0 || !self.pieces.is_empty()).then(|| Opening { start }.to_line());
        opening.into_iter().chain(self.pieces.into_iter().map(|piece| piece.to_lines()))
    }

    /// Returns the newest piece in which a number was called.
    #[must_use]
    pub fn piece_that_calls(&self, number: Number) -> Option<Arc<Piece>> {
        self.pieces.iter().rev().find(|piece| piece.called.contains(number)).cloned()
    }

    /// Begins a piece when the last one is full, and drops the oldest when there is too much.
    fn make_room(&mut self) {
        if self.pieces.back().is_some_and(|piece| piece.text.len() < PIECE_BYTES) {
            return;
        }
        if let Some(full) = self.pieces.back_mut() {
            Arc::make_mut(full).text.shrink_to_fit();
        }
        let piece = Piece { start: self.end.clone(), text: String::new(), called: Numbers::default() };
        self.bytes += piece.bytes();
        self.pieces.push_back(Arc::new(piece));
        while self.bytes > HISTORY_BYTES && self.pieces.len() > 1 {
            let oldest = self.pieces.pop_front();
            self.bytes -= oldest.map_or(0, |piece| piece.bytes());
        }
    }
}

impl Piece {
    /// Returns the line before the first entry.
    #[must_use]
    pub fn start(&self) -> &LogStart {
        &self.start
    }

    /// Writes the entries as lines of JSON with their links.
    #[must_use]
    pub fn to_lines(&self) -> String {
        let mut link = self.start.link;
        let mut lines = String::with_capacity(self.text.len() * 5 / 2);
        for text in self.text.lines() {
            let next = link.then_text(text);
            lines.push_str(&Logged::line(link, next, text));
            lines.push('\n');
            link = next;
        }
        lines
    }

    /// Finds the entry that called a number.
    #[must_use]
    pub fn call_of(&self, number: Number) -> Option<Logged> {
        let mut prev = self.start.link;
        for text in self.text.lines() {
            let calls = text.contains("\"called\":").then(|| serde_json::from_str::<Entry>(text).ok()).flatten();
            match calls.filter(|entry| entry.called.contains(number)) {
                Some(entry) => return Some(Logged::new(prev, entry)),
                None => prev = prev.then_text(text),
            }
        }
        None
    }

    fn push(&mut self, entry: &Entry) {
        self.text.push_str(&entry.canonical());
        self.text.push('\n');
        self.called.merge(&entry.called);
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.text.len() + self.called.run_count() * size_of::<(Number, Number)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(history: &mut History, entries: u64) -> Vec<Logged> {
        let mut all = Vec::new();
        for seq in 1..=entries {
            let called = [seq * 7, seq * 7 + 2].into_iter().collect();
            let entry = Entry { seq, at_us: seq * 100_000, issued: seq * 10, called, tat_us: seq, ..Entry::default() };
            let logged = Logged::new(all.last().map_or(Link::default(), |before: &Logged| before.hash), entry);
            history.push(&logged.entry, logged.hash);
            all.push(logged);
        }
        all
    }

    #[test]
    fn lines_are_the_entries_with_their_links() {
        let mut history = History::default();
        let all = fill(&mut history, 500);
        assert!(history.pieces.len() > 1, "more than one piece");
        let lines: String = history.pieces.iter().map(|piece| piece.to_lines()).collect();
        let expected: Vec<String> = all.iter().map(|logged| serde_json::to_string(logged).unwrap()).collect();
        assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_call_is_found_as_long_as_it_is_kept() {
        let mut history = History::default();
        let all = fill(&mut history, 60_000);
        let of = |number| history.piece_that_calls(number).and_then(|piece| piece.call_of(number));
        assert_eq!(of(59_000 * 7 + 2), Some(all[58_999].clone()));
        assert_eq!((of(59_000 * 7 + 1), of(7)), (None, None), "never called, and long ago");
    }

    #[test]
    fn a_log_without_entries_says_where_it_begins() {
        let start = LogStart { seq: 7, link: Link([3; 32]), epoch: 2, issued: 40, ..LogStart::default() };
        let lines: Vec<String> = History::since(start.clone()).export().collect();
        assert_eq!(lines, [Opening { start }.to_line()]);
        assert_eq!(History::default().export().count(), 0, "the line was never heard of");
    }

    #[test]
    fn what_is_kept_is_bounded_and_says_where_it_begins() {
        let mut history = History::default();
        let all = fill(&mut history, 60_000);
        let held: usize = history.pieces.iter().map(|piece| piece.bytes()).sum();
        assert_eq!(history.bytes, held);
        assert!((HISTORY_BYTES / 2..HISTORY_BYTES + 2 * PIECE_BYTES).contains(&held), "{held}");
        let start = history.pieces[0].start().clone();
        let before = &all[start.seq as usize - 1];
        assert_eq!((start.link, start.issued, start.tat_us), (before.hash, before.entry.issued, before.entry.tat_us));
    }
}
