//! The one place that reads time.
//!
//! Everything else is handed a [`Clock`], so that a test or a simulation can turn time by hand
//! and a decision stays a function of its arguments.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time, in microseconds or milliseconds since the Unix epoch.
///
/// Clones share the same source, so turning a manual clock turns every clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// Follows the machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Stands still at `start_ms` until it is turned with [`Clock::advance_ms`].
    #[must_use]
    pub fn manual(start_ms: u64) -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(start_ms * 1_000))))
    }

    /// Returns microseconds since the Unix epoch.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        match &self.0 {
            Source::System => system_us(),
            Source::Manual(now_us) => now_us.load(Ordering::SeqCst),
        }
    }

    /// Returns milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_us() / 1_000
    }

    /// Turns a manual clock forward; a system clock is left alone.
    pub fn advance_ms(&self, ms: u64) {
        self.advance_us(ms * 1_000);
    }

    /// Sets a manual clock, forwards or back; a system clock is left alone.
    pub fn set_us(&self, us: u64) {
        if let Source::Manual(now_us) = &self.0 {
            now_us.store(us, Ordering::SeqCst);
        }
    }

    /// Turns a manual clock forward by microseconds; a system clock is left alone.
    pub fn advance_us(&self, us: u64) {
        if let Source::Manual(now_us) = &self.0 {
            now_us.fetch_add(us, Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this file owns the wall clock")]
fn system_us() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}
