//! The one place that reads time.
//!
//! Everything else is handed a [`Clock`], so that a test or a simulation can turn time by hand
//! and a decision stays a function of its arguments.

mod date;
mod far;
mod rough;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub use date::{HttpDate, http_date};
pub use far::{Between, FarClock};
pub use rough::rough_ms;

/// Tells the time, in microseconds or milliseconds since the Unix epoch.
///
/// Clones share the same source, so turning a manual clock turns every clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Hands>),
}

/// A clock that is turned by hand: what it shows, and how much time has passed.
#[derive(Debug)]
struct Hands {
    shown_us: AtomicU64,
    passed_us: AtomicU64,
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
        let shown_us = AtomicU64::new(start_ms * 1_000);
        Self(Source::Manual(Arc::new(Hands { shown_us, passed_us: AtomicU64::new(0) })))
    }

    /// Returns microseconds since the Unix epoch.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        match &self.0 {
            Source::System => system_us(),
            Source::Manual(hands) => hands.shown_us.load(Ordering::SeqCst),
        }
    }

    /// Returns the microseconds that have passed since some instant: they go on evenly, also when somebody sets the
    /// machine's clock.
    #[must_use]
    pub fn steady_us(&self) -> u64 {
        match &self.0 {
            Source::System => system_steady_us(),
            Source::Manual(hands) => hands.passed_us.load(Ordering::SeqCst),
        }
    }

    /// Returns the same in milliseconds.
    #[must_use]
    pub fn steady_ms(&self) -> u64 {
        self.steady_us() / 1_000
    }

    /// Returns the same in seconds.
    #[must_use]
    pub fn steady_s(&self) -> u64 {
        self.steady_us() / 1_000_000
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

    /// Sets what a manual clock shows, forwards or back; no time passes by that. A system clock is left alone.
    pub fn set_us(&self, us: u64) {
        if let Source::Manual(hands) = &self.0 {
            hands.shown_us.store(us, Ordering::SeqCst);
        }
    }

    /// Turns a manual clock forward by microseconds; a system clock is left alone.
    pub fn advance_us(&self, us: u64) {
        if let Source::Manual(hands) = &self.0 {
            hands.shown_us.fetch_add(us, Ordering::SeqCst);
            hands.passed_us.fetch_add(us, Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this file owns the wall clock")]
fn system_us() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}

fn system_steady_us() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(now);
    u64::try_from(now().duration_since(*START).as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "this file owns the steady clock too")]
fn now() -> Instant {
    Instant::now()
}
