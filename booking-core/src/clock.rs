//! The only place that reads time. Everyone else is handed a clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::domain::moment::Moment;

/// Tells the time, on the wall and on a stopwatch.
pub trait Clock: Send + Sync + 'static {
    /// Returns the present moment.
    fn now(&self) -> Moment;

    /// Returns the time since some fixed point; never goes backwards. For measuring only.
    fn stopwatch(&self) -> Duration;
}

/// Reads the clock of the machine.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Starts the stopwatch.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads time")]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the file that reads time")]
impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn stopwatch(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Stands still until it is told to move; for tests and simulations.
#[derive(Debug)]
pub struct ManualClock {
    now_ms: AtomicI64,
}

impl ManualClock {
    /// Starts at a moment.
    #[must_use]
    pub fn at(now: Moment) -> Self {
        Self { now_ms: AtomicI64::new(now.as_ms()) }
    }

    /// Moves by so many milliseconds; back when negative.
    pub fn advance_ms(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment::from_ms(self.now_ms.load(Ordering::SeqCst))
    }

    fn stopwatch(&self) -> Duration {
        Duration::from_millis(self.now_ms.load(Ordering::SeqCst).unsigned_abs())
    }
}
