//! The connections that nobody uses just now.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::rough_ms;

/// A connection, and since when nobody has used it, by the rough clock.
pub(super) struct Idle<C> {
    pub(super) connection: C,
    pub(super) since_ms: u64,
}

impl<C> Idle<C> {
    /// Says whether nobody has used it for so long.
    pub(super) fn is_for(&self, timeout: Duration, now_ms: u64) -> bool {
        u128::from(now_ms.saturating_sub(self.since_ms)) >= timeout.as_millis()
    }
}

/// Idle connections of one kind: the most recently used last, and taken first, so that those that are not needed grow old
/// and are dropped.
pub(super) struct Shelf<C> {
    idle: Mutex<VecDeque<Idle<C>>>,
    most: usize,
    timeout: Duration,
}

impl<C> Shelf<C> {
    /// Makes a shelf of at most so many, each for at most so long.
    pub(super) fn new(most: usize, timeout: Duration) -> Self {
        Self { idle: Mutex::default(), most, timeout }
    }

    /// Locks the list, without those that have grown too old.
    pub(super) fn fresh(&self) -> MutexGuard<'_, VecDeque<Idle<C>>> {
        self.fresh_at(rough_ms())
    }

    fn fresh_at(&self, now_ms: u64) -> MutexGuard<'_, VecDeque<Idle<C>>> {
        // A panic cannot leave the list half changed, so that a poisoned one is still sound.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while idle.front().is_some_and(|oldest| oldest.is_for(self.timeout, now_ms)) {
            idle.pop_front();
        }
        idle
    }

    /// Keeps a connection where there is room for it and it is wanted. That is asked under the lock, so that nothing comes in
    /// behind the last look.
    pub(super) fn keep(&self, connection: C, is_wanted: impl FnOnce() -> bool) {
        let since_ms = rough_ms();
        let mut idle = self.fresh_at(since_ms);
        if idle.len() < self.most && is_wanted() {
            idle.push_back(Idle { connection, since_ms });
        }
    }
}
