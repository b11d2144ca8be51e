//! The hash chain of each room, as far as this process has seen its log.
//!
//! Lua has no SHA-256, so the store remembers only a link now and then, a checkpoint, and whoever
//! needs a later one hashes the entries after it. Every gateway follows the log anyway; each gives a
//! checkpoint when the last one it knows of is [`CHECKPOINT`] entries old, long before the log's cap.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::line::chain::Link;
use crate::line::{Entry, Known, Roll, RoomName};

/// How many entries there are between two checkpoints.
const CHECKPOINT: u64 = 256;

/// The newest link that this process knows, for each room of the configuration.
#[derive(Debug, Default)]
pub struct Chains(Mutex<HashMap<RoomName, Chain>>);

#[derive(Clone, Copy, Debug)]
struct Chain {
    known: Known,
    link: Link,
    /// The entry of the last checkpoint that this process knows of.
    saved_seq: u64,
}

impl Chains {
    /// Starts from a roll whose link is the true one, with the store's checkpoint at `saved_seq`.
    pub fn start(&self, room: &RoomName, roll: &Roll, saved_seq: u64) {
        let chain = Chain { known: roll.known(), link: roll.link, saved_seq };
        self.lock().insert(room.clone(), chain);
    }

    /// Goes on with entries. Ones that are known are passed over; after a gap the chain is given up.
    pub fn follow(&self, room: &RoomName, entries: &[Entry]) {
        let mut chains = self.lock();
        let Some(chain) = chains.get_mut(room) else { return };
        for entry in entries {
            if entry.epoch != chain.known.epoch || entry.seq > chain.known.seq + 1 {
                chains.remove(room);
                return;
            }
            if entry.seq == chain.known.seq + 1 {
                chain.link = chain.link.then(entry);
                chain.known.seq = entry.seq;
            }
        }
    }

    /// Returns a checkpoint when one is due.
    pub fn due(&self, room: &RoomName) -> Option<(Known, Link)> {
        let chain = self.lock().get(room).copied()?;
        (chain.known.seq >= chain.saved_seq + CHECKPOINT).then_some((chain.known, chain.link))
    }

    /// Notes that a checkpoint was given.
    pub fn saved(&self, room: &RoomName, seq: u64) {
        if let Some(chain) = self.lock().get_mut(room) {
            chain.saved_seq = chain.saved_seq.max(seq);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomName, Chain>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the link after all `entries`.
pub fn link_after(start: Link, entries: &[Entry]) -> Link {
    entries.iter().fold(start, |link, entry| link.then(entry))
}
