//! What is sold out, from memory, so that the answer costs the upstream nothing.
//!
//! The upstream says so with a header, or an operator through the admin API; it is taken back the same ways, or when its
//! time to live has passed. It holds here at once, and on the room's other gateways when the room has shared it
//! ([`crate::line::board`], which also says which of two words counts).

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dashmap::{DashMap, Entry};
use tokio::sync::Notify;

use crate::line::board::{FOR_GOOD_MS, Heard, KEYS_CAP, Reading, SHARE_LIMIT, WORD_KEPT_MS, Word};

/// Says that everything in the room is sold out.
pub const EVERYTHING: &str = "*";

/// The memory of one room.
#[derive(Debug, Default)]
pub struct SoldOut {
    /// The last word about each key.
    words: DashMap<String, Heeded>,
    /// Whether a word was ever kept: until then nobody looks for one.
    has_words: AtomicBool,
    stock: DashMap<String, u64>,
    sharing: Mutex<Sharing>,
    /// Wakes whoever shares what was heard here with the other gateways.
    pub untold: Notify,
}

/// A word, and what the other gateways heard of it.
#[derive(Debug, Clone, Copy)]
struct Heeded {
    word: Word,
    shared: Option<Word>,
}

/// How far this gateway and the others have heard of each other.
#[derive(Debug, Default)]
struct Sharing {
    /// Keys of which the others have not heard what is true here.
    untold: HashSet<String>,
    reading: Reading,
    /// When the others were last heard of.
    heard_ms: u64,
}

/// Says what became of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Taken,
    /// A newer one was heard before; nothing changed.
    Stale,
    /// There is no room for another key; the upstream answers itself.
    Full,
}

impl SoldOut {
    /// Remembers that `key` is sold out for `ttl_ms`, or for good. A memory that is full forgets nothing and takes
    /// nothing.
    pub fn mark(&self, key: &str, ttl_ms: Option<u64>, version: Option<u64>, now_ms: u64) -> Verdict {
        let until_ms = ttl_ms.map_or(FOR_GOOD_MS, |ttl_ms| now_ms.saturating_add(ttl_ms));
        self.hear(key, until_ms, version, now_ms)
    }

    /// Remembers that `key` is on sale.
    pub fn clear(&self, key: &str, version: Option<u64>, now_ms: u64) -> Verdict {
        if version.is_none() && !self.words.contains_key(key) {
            return Verdict::Taken;
        }
        self.hear(key, 0, version, now_ms)
    }

    /// Tells whether `key` itself is sold out.
    #[must_use]
    pub fn holds(&self, key: &str, now_ms: u64) -> bool {
        let has_words = self.has_words.load(Ordering::Acquire);
        has_words && self.words.get(key).is_some_and(|heeded| heeded.word.holds(now_ms))
    }

    /// Tells whether everything is sold out.
    #[must_use]
    pub fn holds_everything(&self, now_ms: u64) -> bool {
        self.holds(EVERYTHING, now_ms)
    }

    /// Lists what is sold out.
    #[must_use]
    pub fn list(&self, now_ms: u64) -> Vec<String> {
        let held = self.words.iter().filter(|entry| entry.value().word.holds(now_ms));
        let mut keys: Vec<String> = held.map(|entry| entry.key().clone()).collect();
        keys.sort_unstable();
        keys
    }

    /// Remembers how many of `key` are left.
    pub fn set_stock(&self, key: &str, available: u64) {
        if self.stock.len() < KEYS_CAP || self.stock.contains_key(key) {
            self.stock.insert(key.to_owned(), available);
        }
    }

    /// Returns how many of `key` are left, as last heard.
    #[must_use]
    pub fn stock(&self, key: &str) -> Option<u64> {
        self.stock.get(key).map(|entry| *entry.value())
    }

    /// Lists the stock by key.
    #[must_use]
    pub fn all_stock(&self) -> BTreeMap<String, u64> {
        self.stock.iter().map(|entry| (entry.key().clone(), *entry.value())).collect()
    }

    /// Returns some of what the other gateways have not heard of, and how far this one has heard of them. A gateway that
    /// has not heard of them for long may have missed what was taken back and forgotten since: it begins anew.
    #[must_use]
    pub fn tell(&self, now_ms: u64) -> (Vec<(String, Word)>, Reading) {
        let mut sharing = self.sharing();
        if sharing.reading.began_us > 0 && now_ms >= sharing.heard_ms + WORD_KEPT_MS {
            self.begin_anew(&mut sharing);
        }
        let keys: Vec<String> = sharing.untold.iter().take(SHARE_LIMIT).cloned().collect();
        let told = keys.into_iter().filter_map(|key| {
            sharing.untold.remove(&key);
            let word = self.words.get(&key)?.word;
            Some((key, word.as_said()))
        });
        (told.collect(), sharing.reading)
    }

    /// Notes that what was told did not reach the others, or may not have.
    pub fn put_back(&self, told: Vec<(String, Word)>) {
        self.sharing().untold.extend(told.into_iter().map(|(key, _)| key));
    }

    /// Takes in what the others have told. Where they have lost what they knew, tells them again.
    pub fn take_in(&self, heard: Heard, now_ms: u64) {
        let mut sharing = self.sharing();
        let before = std::mem::replace(&mut sharing.reading, heard.reading);
        sharing.heard_ms = now_ms;
        for (key, word) in heard.words {
            if self.has_room(&key, now_ms) {
                // What was heard here since is newer, and is told next.
                self.heed(key, word, now_ms, |_| Some(word));
            }
        }
        let is_another = before.began_us != 0 && before.began_us != heard.reading.began_us;
        if is_another || before.change > heard.reading.change {
            self.begin_anew(&mut sharing);
        }
    }

    /// Tells all again, and hears all again.
    fn begin_anew(&self, sharing: &mut Sharing) {
        sharing.reading = Reading::default();
        sharing.untold.extend(self.words.iter().map(|entry| entry.key().clone()));
        self.untold.notify_one();
    }

    fn hear(&self, key: &str, until_ms: u64, version: Option<u64>, now_ms: u64) -> Verdict {
        if !self.has_room(key, now_ms) {
            return Verdict::Full;
        }
        // Whatever the clocks say: what is heard now is later than what was heard before.
        let last_ms = self.words.get(key).map_or(0, |heeded| heeded.word.said_ms);
        let said = Word::new(until_ms, version, now_ms.max(last_ms));
        let mut is_news = false;
        let is_taken = self.heed(key.to_owned(), said, now_ms, |(word, shared)| {
            is_news = !shared.is_some_and(|shared| shared.says_as(word, now_ms));
            if is_news { Some(word) } else { shared }
        });
        if is_news {
            self.sharing().untold.insert(key.to_owned());
            self.untold.notify_one();
        }
        if is_taken { Verdict::Taken } else { Verdict::Stale }
    }

    /// Takes a word unless it is stale; `share` says what the others have heard then, of what is true and what they had
    /// heard before.
    fn heed(
        &self,
        key: String,
        said: Word,
        now_ms: u64,
        share: impl FnOnce((Word, Option<Word>)) -> Option<Word>,
    ) -> bool {
        match self.words.entry(key) {
            Entry::Vacant(free) => {
                free.insert(Heeded { word: said, shared: share((said, None)) });
                self.has_words.store(true, Ordering::Release);
                true
            }
            Entry::Occupied(mut known) => {
                let Heeded { word, shared } = *known.get();
                let next = Word::follows(said, word, now_ms);
                if let Some(word) = next {
                    known.insert(Heeded { word, shared: share((word, shared)) });
                }
                next.is_some()
            }
        }
    }

    fn has_room(&self, key: &str, now_ms: u64) -> bool {
        if self.words.len() >= KEYS_CAP && !self.words.contains_key(key) {
            self.words.retain(|_, heeded| heeded.word.holds(now_ms));
        }
        self.words.len() < KEYS_CAP || self.words.contains_key(key)
    }

    fn sharing(&self) -> MutexGuard<'_, Sharing> {
        self.sharing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::board::Board;

    /// A gateway's round: it tells the board, and hears of it.
    fn share(memory: &SoldOut, board: &mut Board, now_ms: u64) -> usize {
        let (told, known) = memory.tell(now_ms);
        memory.take_in(board.share(&told, known, now_ms * 1_000), now_ms);
        told.len()
    }

    #[test]
    fn what_is_sold_out_comes_back_by_word_or_by_time() {
        let memory = SoldOut::default();
        memory.mark("a", Some(100), None, 1_000);
        memory.mark("b", None, None, 1_000);
        assert!(memory.holds("a", 1_099) && !memory.holds("a", 1_100));
        assert_eq!(memory.list(1_050), ["a", "b"]);
        assert_eq!(memory.clear("b", None, 1_000), Verdict::Taken);
        assert!(!memory.holds("b", 1_001));
        memory.mark(EVERYTHING, None, None, 1_000);
        assert!(memory.holds_everything(1_001) && !memory.holds("c", 1_001));
    }

    #[test]
    fn a_late_word_does_not_undo_a_newer_one() {
        let memory = SoldOut::default();
        assert_eq!(memory.mark("a", Some(30_000), Some(7), 0), Verdict::Taken);
        assert_eq!(memory.clear("a", Some(6), 1), Verdict::Stale);
        assert!(memory.holds("a", 2), "it was on sale before that");
        assert_eq!(memory.clear("a", Some(8), 3), Verdict::Taken);
        assert_eq!(memory.mark("a", Some(30_000), Some(7), 4), Verdict::Stale);
        assert!(!memory.holds("a", 5));
        assert_eq!(memory.mark("a", Some(30_000), None, 6), Verdict::Taken, "an operator is always heard");
        assert_eq!(memory.clear("a", Some(7), 7), Verdict::Stale, "and forgets no version");
        assert_eq!(memory.clear("a", None, 8), Verdict::Taken);
        let again = memory.mark("a", Some(30_000), Some(1), 3 + WORD_KEPT_MS);
        assert_eq!(again, Verdict::Taken, "the count began again");
    }

    #[test]
    fn the_memory_is_bounded() {
        let memory = SoldOut::default();
        for i in 0..KEYS_CAP {
            assert_eq!(memory.mark(&i.to_string(), Some(10), None, 0), Verdict::Taken);
        }
        assert_eq!(memory.mark("one more", Some(10), None, 5), Verdict::Full);
        assert_eq!(memory.clear("one more", Some(1), 5), Verdict::Full);
        assert_eq!(memory.mark("one more", Some(10), None, 10), Verdict::Taken, "those that ran out make room");
    }

    #[test]
    fn what_one_gateway_hears_all_know() {
        let (a, b, mut board) = (SoldOut::default(), SoldOut::default(), Board::default());
        a.mark("x", None, None, 1_000);
        share(&a, &mut board, 1_000);
        share(&b, &mut board, 1_001);
        assert!(b.holds("x", 1_002));
        b.clear("x", None, 1_003);
        share(&b, &mut board, 1_003);
        share(&a, &mut board, 1_004);
        assert!(!a.holds("x", 1_005));
        assert_eq!((share(&a, &mut board, 1_006), share(&b, &mut board, 1_006)), (0, 0), "and nothing is left to tell");
    }

    #[test]
    fn an_upstream_that_says_the_same_again_and_again_is_told_of_now_and_then() {
        let (memory, mut board) = (SoldOut::default(), Board::default());
        let tellings = (0..10_000).map(|ms| {
            memory.mark("x", Some(30_000), Some(7), ms);
            share(&memory, &mut board, ms)
        });
        assert!((9..=11).contains(&tellings.sum::<usize>()), "once a second");
    }

    #[test]
    fn a_board_that_was_lost_is_told_again() {
        let (a, mut board) = (SoldOut::default(), Board::default());
        a.mark("x", None, None, 1_000);
        share(&a, &mut board, 1_000);
        let mut board = Board::default();
        share(&a, &mut board, 5_000);
        assert_eq!(share(&a, &mut board, 5_001), 1);
        let new = SoldOut::default();
        share(&new, &mut board, 5_002);
        assert!(new.holds("x", 5_003));
    }

    #[test]
    fn who_was_cut_off_for_long_takes_back_what_the_others_took_back() {
        let (a, b, mut board) = (SoldOut::default(), SoldOut::default(), Board::default());
        a.mark("x", None, None, 1_000);
        share(&a, &mut board, 1_000);
        share(&b, &mut board, 1_000);
        b.clear("x", None, 2_000);
        share(&b, &mut board, 2_000);
        let later = 2_000 + 2 * WORD_KEPT_MS;
        share(&b, &mut board, later);
        share(&a, &mut board, later);
        assert!(!a.holds("x", later) && !b.holds("x", later));
    }
}
