//! The board: what the gateways of a room tell one another besides the line, which is what is sold out, by key.
//!
//! Pure. The embedded store keeps it as it is, and the Redis scripts are tested against it.
//!
//! Words overtake one another: a "sold out" that was true once may arrive after the "on sale" that ended it. So a word
//! tells when it was said, by the clock of the line's store, and may carry a version; one that is older than the newest
//! of its key changes nothing ([`Word::follows`]). A gateway that finds that its store has lost something tells again
//! what it knows, and the same law sorts that out.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

/// The most keys of one room that are remembered; beyond it, new ones wait until others have run out.
pub const KEYS_CAP: usize = 10_000;

/// How long a version keeps older words away, and a word that has run out is remembered, in milliseconds: longer than an
/// answer can be on its way, and no longer, so that an upstream whose count began again is heard.
pub const WORD_KEPT_MS: u64 = 600_000;

/// The end of a word without an end, in milliseconds since the Unix epoch; doubles count exactly so far.
pub const FOR_GOOD_MS: u64 = 1 << 53;

/// At most this many words are told, and heard, at once.
pub const SHARE_LIMIT: usize = 1_000;

/// How much longer a word has to last to be news, in milliseconds.
pub const NEWS_MS: u64 = 1_000;

/// What was last said of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Until when it is sold out, in milliseconds since the Unix epoch; 0 when it is on sale.
    pub until_ms: u64,
    /// When that was said.
    pub said_ms: u64,
    /// The newest version heard, and when.
    pub version: Option<(u64, u64)>,
}

impl Word {
    /// Makes a word that is said now.
    #[must_use]
    pub fn new(until_ms: u64, version: Option<u64>, now_ms: u64) -> Self {
        let version = version.map(|version| (version.min(FOR_GOOD_MS), now_ms));
        Self { until_ms: until_ms.min(FOR_GOOD_MS), said_ms: now_ms, version }
    }

    /// Returns the word with the version that it came with, and no other.
    #[must_use]
    pub fn as_said(self) -> Self {
        Self { version: self.version.filter(|(_, said_ms)| *said_ms == self.said_ms), ..self }
    }

    /// Tells whether it is sold out.
    #[must_use]
    pub const fn holds(self, now_ms: u64) -> bool {
        self.until_ms > now_ms
    }

    /// Returns what is true of a key once `said` was heard after this; `None` where that is stale. Of two versions the
    /// newer counts, else what was said later. A word without a version leaves the version as it is.
    #[must_use]
    pub fn follows(said: Self, known: Self, now_ms: u64) -> Option<Self> {
        let kept = known.version.filter(|(_, heard_ms)| heard_ms + WORD_KEPT_MS > now_ms);
        match (kept, said.version) {
            (Some((newest, _)), Some((version, _))) if version < newest => None,
            (Some((newest, _)), Some((version, _))) if version > newest => Some(said),
            _ if said.said_ms < known.said_ms => None,
            (kept, version) => Some(Self { version: version.or(kept), ..said }),
        }
    }

    /// Tells whether `next` says of the key what this does: then nobody needs to hear it.
    #[must_use]
    pub fn says_as(self, next: Self, now_ms: u64) -> bool {
        let number = |word: Self| word.version.map(|(number, _)| number);
        let lasts_as = self.until_ms.abs_diff(next.until_ms) < NEWS_MS;
        number(self) == number(next) && (lasts_as || !(self.holds(now_ms) || next.holds(now_ms)))
    }

    /// When it may be forgotten.
    const fn kept_until_ms(self) -> u64 {
        let heard_ms = match self.version {
            Some((_, heard_ms)) if heard_ms > self.said_ms => heard_ms,
            _ => self.said_ms,
        };
        let kept_ms = heard_ms + WORD_KEPT_MS;
        if self.until_ms > kept_ms { self.until_ms } else { kept_ms }
    }
}

/// How far somebody has heard of a board: of which one, by its beginning, and of how many changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// When the board began, in microseconds since the Unix epoch; 0 for none.
    pub began_us: u64,
    /// Up to which change.
    pub change: u64,
}

/// What somebody is told of a board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// How far that goes; where there is more, ask again.
    pub reading: Reading,
    /// The words that are new, and those of what was told that the board does not agree with.
    pub words: Vec<(String, Word)>,
    /// Whether there are more.
    pub is_more: bool,
}

/// The words of one room.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Board {
    reading: Reading,
    words: HashMap<String, (Word, u64)>,
}

impl Board {
    /// Takes in what a gateway tells, and tells what it has not heard of.
    pub fn share(&mut self, told: &[(String, Word)], known: Reading, now_us: u64) -> Heard {
        let now_ms = now_us / 1_000;
        if self.reading.began_us == 0 {
            self.reading.began_us = now_us;
        }
        self.words.retain(|_, (word, _)| word.kept_until_ms() > now_ms);
        let bygone: Vec<(String, Word)> = told.iter().filter_map(|(key, word)| self.hear(key, *word, now_ms)).collect();
        let known = if known.began_us == self.reading.began_us { known.change } else { 0 };
        let mut heard = self.after(known);
        heard.words.extend(bygone);
        heard
    }

    /// Tells how far the board has come.
    #[must_use]
    pub const fn reading(&self) -> Reading {
        self.reading
    }

    /// Takes a word; returns one that ends it where this board has forgotten the key: it was said long ago, and what
    /// became of it was told since.
    fn hear(&mut self, key: &str, said: Word, now_ms: u64) -> Option<(String, Word)> {
        let known = self.words.get(key).map(|(word, _)| *word);
        let is_bygone = said.kept_for_ms(now_ms) == 0 && self.reading.began_us / 1_000 <= said.said_ms;
        if known.is_none() && is_bygone {
            return Some((key.to_owned(), Word::new(0, None, now_ms)));
        }
        let next = known.map_or(Some(said), |known| Word::follows(said, known, now_ms))?;
        let is_news = known.is_none_or(|known| !known.says_as(next, now_ms));
        if is_news && (known.is_some() || self.words.len() < KEYS_CAP) {
            self.reading.change += 1;
            self.words.insert(key.to_owned(), (next, self.reading.change));
        }
        None
    }

    /// The words that changed after a change, the oldest first.
    fn after(&self, change: u64) -> Heard {
        let changed = self.words.iter().filter(|(_, (_, at))| *at > change);
        let changed: BTreeMap<u64, (&String, Word)> = changed.map(|(key, (word, at))| (*at, (key, *word))).collect();
        let is_more = changed.len() > SHARE_LIMIT;
        let last = changed.keys().nth(SHARE_LIMIT - 1).filter(|_| is_more);
        let reading = Reading { change: last.copied().unwrap_or(self.reading.change), ..self.reading };
        let words = changed.into_values().take(SHARE_LIMIT).map(|(key, word)| (key.clone(), word)).collect();
        Heard { reading, words, is_more }
    }
}

impl Word {
    /// For how long a board yet remembers that this was said, whatever it says.
    const fn kept_for_ms(self, now_ms: u64) -> u64 {
        (self.said_ms + WORD_KEPT_MS).saturating_sub(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_795_000_000_000;

    fn told(key: &str, word: Word) -> Vec<(String, Word)> {
        vec![(key.to_owned(), word)]
    }

    fn share(board: &mut Board, told: &[(String, Word)], known: Reading, now_ms: u64) -> Heard {
        board.share(told, known, now_ms * 1_000)
    }

    #[test]
    fn who_comes_later_hears_what_holds_and_then_what_changes() {
        let mut board = Board::default();
        let sold_out = Word::new(FOR_GOOD_MS, None, NOW_MS);
        let first = share(&mut board, &told("a", sold_out), Reading::default(), NOW_MS);
        assert_eq!(first.words, told("a", sold_out));
        let second = share(&mut board, &[], Reading::default(), NOW_MS + 5);
        assert_eq!((&second.words, second.reading), (&first.words, first.reading));
        assert_eq!(share(&mut board, &[], first.reading, NOW_MS + 6).words, [], "nothing is new");
        let on_sale = Word::new(0, None, NOW_MS + 7);
        share(&mut board, &told("a", on_sale), first.reading, NOW_MS + 7);
        assert_eq!(share(&mut board, &[], first.reading, NOW_MS + 8).words, told("a", on_sale));
    }

    #[test]
    fn the_newer_version_counts_else_the_later_word() {
        let sold_out = |version, said_ms| Word::new(FOR_GOOD_MS, version, said_ms);
        let on_sale = |version, said_ms| Word::new(0, version, said_ms);
        let then = |said, known| Word::follows(said, known, NOW_MS).map(Word::as_said);
        assert_eq!(then(on_sale(Some(6), NOW_MS), sold_out(Some(7), NOW_MS - 9)), None, "a late answer");
        assert_eq!(then(on_sale(Some(8), 0), sold_out(Some(7), NOW_MS)), Some(on_sale(Some(8), 0)), "newer, if slower");
        assert_eq!(then(on_sale(None, 3), sold_out(None, 4)), None);
        assert_eq!(then(on_sale(None, 4), sold_out(None, 4)), Some(on_sale(None, 4)));
        let by_hand = Word::follows(on_sale(None, NOW_MS), sold_out(Some(7), NOW_MS - 1), NOW_MS).unwrap();
        assert_eq!(then(sold_out(Some(6), NOW_MS), by_hand), None, "the version stays");
        let later = NOW_MS + WORD_KEPT_MS;
        assert!(Word::follows(sold_out(Some(1), later), by_hand, later).is_some(), "the count began again");
    }

    #[test]
    fn what_a_lost_board_knew_is_told_again_and_what_was_taken_back_is_not_revived() {
        let (mut board, old) = (Board::default(), Word::new(FOR_GOOD_MS, None, NOW_MS));
        share(&mut board, &[], Reading::default(), NOW_MS - 1);
        let late_ms = NOW_MS + WORD_KEPT_MS;
        let heard = share(&mut board, &told("a", old), Reading::default(), late_ms);
        assert_eq!(heard.words, told("a", Word::new(0, None, late_ms)), "this board has known it, and forgotten");
        let mut new = Board::default();
        assert_eq!(share(&mut new, &told("a", old), Reading::default(), late_ms).words, told("a", old));
    }

    #[test]
    fn a_board_is_bounded_forgets_and_tells_in_pieces() {
        let mut board = Board::default();
        let brief = Word::new(NOW_MS + 5, None, NOW_MS);
        let all: Vec<(String, Word)> = (0..=KEYS_CAP).map(|i| (i.to_string(), brief)).collect();
        let heard = share(&mut board, &all, Reading::default(), NOW_MS);
        assert!(heard.is_more && heard.words.len() == SHARE_LIMIT && board.words.len() == KEYS_CAP);
        let next = share(&mut board, &[], heard.reading, NOW_MS);
        assert_eq!(next.reading.change, 2 * SHARE_LIMIT as u64);
        share(&mut board, &[], Reading::default(), NOW_MS + WORD_KEPT_MS);
        assert!(board.words.is_empty());
    }

    #[test]
    fn what_lasts_a_little_longer_is_no_news() {
        let mut board = Board::default();
        let word = |ms| Word::new(NOW_MS + 30_000 + ms, Some(7), NOW_MS + ms);
        let first = share(&mut board, &told("a", word(0)), Reading::default(), NOW_MS).reading;
        assert_eq!(share(&mut board, &told("a", word(NEWS_MS - 1)), first, NOW_MS + 1).reading, first);
        assert_ne!(share(&mut board, &told("a", word(NEWS_MS)), first, NOW_MS + 2).reading, first);
    }
}
