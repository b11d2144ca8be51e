//! What is sold out, from memory, so that the answer costs the upstream nothing.
//!
//! The upstream says so with a header, or an operator through the admin API; it is taken back the
//! same ways, or when its time to live has passed.

use dashmap::DashMap;

/// Says that everything in the room is sold out.
pub const EVERYTHING: &str = "*";

/// The most keys of one room that are remembered; beyond it, keys that ran out make room.
const KEYS_CAP: usize = 10_000;

/// The memory of one room.
#[derive(Debug, Default)]
pub struct SoldOut {
    /// Until when each key is sold out, in milliseconds since the Unix epoch.
    until_ms: DashMap<String, u64>,
    stock: DashMap<String, u64>,
}

impl SoldOut {
    /// Remembers that `key` is sold out for `ttl_ms`, or for good. A memory that is full forgets nothing and takes
    /// nothing: then the upstream answers itself. Returns whether it was taken.
    pub fn mark(&self, key: &str, ttl_ms: Option<u64>, now_ms: u64) -> bool {
        if self.until_ms.len() >= KEYS_CAP && !self.until_ms.contains_key(key) {
            self.until_ms.retain(|_, until_ms| *until_ms > now_ms);
        }
        let has_room = self.until_ms.len() < KEYS_CAP || self.until_ms.contains_key(key);
        if has_room {
            let until_ms = ttl_ms.map_or(u64::MAX, |ttl_ms| now_ms.saturating_add(ttl_ms));
            self.until_ms.insert(key.to_owned(), until_ms);
        }
        has_room
    }

    /// Forgets that `key` is sold out. Returns whether it was known to be.
    pub fn clear(&self, key: &str) -> bool {
        self.until_ms.remove(key).is_some()
    }

    /// Tells whether `key`, or everything, is sold out.
    #[must_use]
    pub fn holds(&self, key: &str, now_ms: u64) -> bool {
        !self.until_ms.is_empty() && (self.holds_just(key, now_ms) || self.holds_just(EVERYTHING, now_ms))
    }

    /// Lists what is sold out.
    #[must_use]
    pub fn list(&self, now_ms: u64) -> Vec<String> {
        let held = self.until_ms.iter().filter(|entry| *entry.value() > now_ms);
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

    fn holds_just(&self, key: &str, now_ms: u64) -> bool {
        self.until_ms.get(key).is_some_and(|until_ms| *until_ms > now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sold_out_comes_back_by_word_or_by_time() {
        let memory = SoldOut::default();
        memory.mark("a", Some(100), 1_000);
        memory.mark("b", None, 1_000);
        assert!(memory.holds("a", 1_099) && !memory.holds("a", 1_100));
        assert_eq!(memory.list(1_050), ["a", "b"]);
        assert!(memory.clear("b") && !memory.clear("b"));
        assert!(!memory.holds("b", 1_001));
        memory.mark(EVERYTHING, None, 1_000);
        assert!(memory.holds("c", 1_001));
    }

    #[test]
    fn the_memory_is_bounded() {
        let memory = SoldOut::default();
        for i in 0..KEYS_CAP {
            assert!(memory.mark(&i.to_string(), Some(10), 0));
        }
        assert!(!memory.mark("one more", Some(10), 5));
        assert!(memory.mark("one more", Some(10), 10), "those that ran out make room");
    }
}
