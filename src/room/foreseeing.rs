//! Learns, once a second, what those who are called take of the item that a room is about.

use std::sync::{MutexGuard, PoisonError};

use super::Room;
use crate::forecast::{Learning, Taking};

impl Room {
    /// Looks at what the called have taken of the room's item by now, a second of the steady clock.
    pub fn learn(&self, steady_s: u64) {
        let Some(item) = &self.rules.item else { return };
        let called = self.mirror.read(|roll| roll.tally.called);
        self.learning().note(steady_s, called, self.sold_out.stock(item));
    }

    /// Returns what the called take of the room's item, as far as it is known.
    #[must_use]
    pub fn taking(&self) -> Option<Taking> {
        self.learning().taking()
    }

    fn learning(&self) -> MutexGuard<'_, Learning> {
        self.learning.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
