//! What is sold out, from memory, so that the answer costs the upstream nothing.
//!
//! The upstream says so with a header, or an operator through the admin API; it is taken back the
//! same ways, or when its time to live has passed. Answers overtake one another: a "sold out" that was true once may
//! arrive after the "on sale" that ended it. So a word may carry a version, and one that is older than the newest heard
//! of its key changes nothing.
//!
//! Times are of the gateway's steady clock, so that nothing comes back on sale when somebody sets the time of day.

use dashmap::DashMap;

/// Says that everything in the room is sold out.
pub const EVERYTHING: &str = "*";

/// The most keys of one room that are remembered; beyond it, keys that ran out make room.
const KEYS_CAP: usize = 10_000;

/// How long a version keeps older words away, in milliseconds: longer than an answer can be on its way, and no longer,
/// so that an upstream whose count began again is heard.
const VERSION_KEPT_MS: u64 = 600_000;

/// The memory of one room.
#[derive(Debug, Default)]
pub struct SoldOut {
    /// The last word about each key.
    words: DashMap<String, Word>,
    stock: DashMap<String, u64>,
}

/// Is what was last said about a key.
#[derive(Debug, Clone, Copy)]
struct Word {
    /// Until when it is sold out, in milliseconds of the steady clock; 0 when it is on sale.
    until_ms: u64,
    /// The newest version heard, and until when it counts.
    version: Option<(u64, u64)>,
}

/// Says what became of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It holds.
    Taken,
    /// A newer one was heard before; nothing changed.
    Stale,
    /// There is no room for another key; the upstream answers itself.
    Full,
}

impl Word {
    /// Returns the version that counts once a word of `version` is heard; `None` when a newer one was heard before. A
    /// word without a version is always heard, and leaves the version as it is.
    #[expect(
        clippy::option_option,
        reason = "stale and without a version are two answers, and neither leaves this file"
    )]
    fn newer(known: Option<&Self>, version: Option<u64>, steady_ms: u64) -> Option<Option<(u64, u64)>> {
        let known = known.and_then(|word| word.version).filter(|(_, until_ms)| *until_ms > steady_ms);
        match (known, version) {
            (Some((newest, _)), Some(version)) if version < newest => None,
            (_, Some(version)) => Some(Some((version, steady_ms.saturating_add(VERSION_KEPT_MS)))),
            (known, None) => Some(known),
        }
    }
}

impl SoldOut {
    /// Remembers that `key` is sold out for `ttl_ms`, or for good. A memory that is full forgets nothing and takes
    /// nothing.
    pub fn mark(&self, key: &str, ttl_ms: Option<u64>, version: Option<u64>, steady_ms: u64) -> Heard {
        let until_ms = ttl_ms.map_or(u64::MAX, |ttl_ms| steady_ms.saturating_add(ttl_ms));
        self.hear(key, until_ms, version, steady_ms)
    }

    /// Remembers that `key` is on sale.
    pub fn clear(&self, key: &str, version: Option<u64>, steady_ms: u64) -> Heard {
        if version.is_none() && !self.words.contains_key(key) {
            return Heard::Taken;
        }
        self.hear(key, 0, version, steady_ms)
    }

    fn hear(&self, key: &str, until_ms: u64, version: Option<u64>, steady_ms: u64) -> Heard {
        if !self.has_room(key, steady_ms) {
            return Heard::Full;
        }
        let mut word = self.words.entry(key.to_owned()).or_insert(Word { until_ms: 0, version: None });
        let Some(version) = Word::newer(Some(&word), version, steady_ms) else { return Heard::Stale };
        *word = Word { until_ms, version };
        Heard::Taken
    }

    fn has_room(&self, key: &str, steady_ms: u64) -> bool {
        if self.words.len() >= KEYS_CAP && !self.words.contains_key(key) {
            self.words.retain(|_, word| word.until_ms > steady_ms);
        }
        self.words.len() < KEYS_CAP || self.words.contains_key(key)
    }

    /// Tells whether `key`, or everything, is sold out.
    #[must_use]
    pub fn holds(&self, key: &str, steady_ms: u64) -> bool {
        !self.words.is_empty() && (self.holds_just(key, steady_ms) || self.holds_just(EVERYTHING, steady_ms))
    }

    /// Lists what is sold out.
    #[must_use]
    pub fn list(&self, steady_ms: u64) -> Vec<String> {
        let held = self.words.iter().filter(|entry| entry.value().until_ms > steady_ms);
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
    pub fn all_stock(&self) -> std::collections::BTreeMap<String, u64> {
        self.stock.iter().map(|entry| (entry.key().clone(), *entry.value())).collect()
    }

    fn holds_just(&self, key: &str, steady_ms: u64) -> bool {
        self.words.get(key).is_some_and(|word| word.until_ms > steady_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sold_out_comes_back_by_word_or_by_time() {
        let memory = SoldOut::default();
        memory.mark("a", Some(100), None, 1_000);
        memory.mark("b", None, None, 1_000);
        assert!(memory.holds("a", 1_099) && !memory.holds("a", 1_100));
        assert_eq!(memory.list(1_050), ["a", "b"]);
        assert_eq!(memory.clear("b", None, 1_000), Heard::Taken);
        assert!(!memory.holds("b", 1_001));
        memory.mark(EVERYTHING, None, None, 1_000);
        assert!(memory.holds("c", 1_001));
    }

    #[test]
    fn a_late_word_does_not_undo_a_newer_one() {
        let memory = SoldOut::default();
        assert_eq!(memory.mark("a", Some(30_000), Some(7), 0), Heard::Taken);
        assert_eq!(memory.clear("a", Some(6), 1), Heard::Stale);
        assert!(memory.holds("a", 2), "it was on sale before that");
        assert_eq!(memory.clear("a", Some(8), 3), Heard::Taken);
        assert_eq!(memory.mark("a", Some(30_000), Some(7), 4), Heard::Stale);
        assert!(!memory.holds("a", 5));
        assert_eq!(memory.mark("a", Some(30_000), None, 6), Heard::Taken, "an operator is always heard");
        assert_eq!(memory.clear("a", Some(7), 7), Heard::Stale, "and forgets no version");
        assert_eq!(memory.clear("a", None, 8), Heard::Taken);
        assert_eq!(memory.mark("a", Some(30_000), Some(1), 3 + VERSION_KEPT_MS), Heard::Taken, "the count began again");
    }

    #[test]
    fn the_memory_is_bounded() {
        let memory = SoldOut::default();
        for i in 0..KEYS_CAP {
            assert_eq!(memory.mark(&i.to_string(), Some(10), None, 0), Heard::Taken);
        }
        assert_eq!(memory.mark("one more", Some(10), None, 5), Heard::Full);
        assert_eq!(memory.clear("one more", Some(1), 5), Heard::Full);
        assert_eq!(memory.mark("one more", Some(10), None, 10), Heard::Taken, "those that ran out make room");
    }
}
