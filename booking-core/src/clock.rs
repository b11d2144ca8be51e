//! The only place that reads time. Everyone else is handed a clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::domain::moment::Moment;

/// Tells the time, on the wall and on a stopwatch.
pub trait Clock: Send + Sync + 'static {
    /// Returns the present moment, by which promises are measured; never goes backwards on the machine's own clock.
    fn now(&self) -> Moment;

    /// Returns what the clock on the wall shows, for talking with others who have their own.
    fn wall(&self) -> Moment {
        self.now()
    }

    /// Returns the time since some fixed point; never goes backwards. For measuring only.
    fn stopwatch(&self) -> Duration;
}

/// Reads the clock of the machine, and is not carried along when that is put forward or back.
///
/// Promises are measured with it. A step of the machine's clock must neither end a hold early nor keep it long, so time
/// goes on by the monotonic clock, and follows the wall at a millisecond for each second, as slow as a clock may be wrong
/// and nobody notices. Only a new process begins with what the wall shows.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    course: Mutex<Course>,
}

impl SystemClock {
    /// Starts the stopwatch.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads time")]
    pub fn new() -> Self {
        Self { started: Instant::now(), course: Mutex::new(Course::begin(wall())) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let mut course = self.course.lock().unwrap_or_else(PoisonError::into_inner);
        course.at(wall(), self.started.elapsed())
    }

    fn wall(&self) -> Moment {
        wall()
    }

    fn stopwatch(&self) -> Duration {
        self.started.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the file that reads time")]
fn wall() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// By how much the course may follow the wall: one part in so many.
const SLOWNESS: i64 = 1_000;

/// How far the wall may be away before a step is spoken of, in milliseconds.
const WORTH_SAYING_MS: i64 = 2_000;

/// Is the way of a clock that is not carried along by steps: pure, from what two other clocks show.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// Where it was a second ago or less, in microseconds since the Unix epoch.
    base_us: i64,
    /// What the stopwatch showed then.
    stopwatch: Duration,
    /// The latest it has shown.
    shown_us: i64,
    /// Whether the last look found the wall far away.
    is_apart: bool,
}

impl Course {
    /// Begins with the wall, at zero on the stopwatch.
    #[must_use]
    pub const fn begin(wall: Moment) -> Self {
        let base_us = wall.as_ms().saturating_mul(1_000);
        Self { base_us, stopwatch: Duration::ZERO, shown_us: base_us, is_apart: false }
    }

    /// Goes on to where both clocks are now.
    pub fn at(&mut self, wall: Moment, stopwatch: Duration) -> Moment {
        let passed = stopwatch.saturating_sub(self.stopwatch);
        let passed_us = i64::try_from(passed.as_micros()).unwrap_or(i64::MAX);
        let now_us = self.base_us.saturating_add(passed_us);
        self.shown_us = self.shown_us.max(now_us);
        if passed_us >= 1_000_000 {
            let apart_us = wall.as_ms().saturating_mul(1_000).saturating_sub(now_us);
            self.note(apart_us / 1_000);
            (self.base_us, self.stopwatch) = (now_us.saturating_add(follow_us(apart_us, passed_us)), stopwatch);
        }
        Moment::from_ms(self.shown_us.div_euclid(1_000))
    }

    fn note(&mut self, apart_ms: i64) {
        let is_apart = apart_ms.abs() > WORTH_SAYING_MS;
        if is_apart && !self.is_apart {
            tracing::warn!(apart_ms, "the machine's clock was put forward or back; holds are measured without that");
        }
        self.is_apart = is_apart;
    }
}

/// Returns how far to follow a wall that is away. It counts in whole milliseconds, so it is right within one.
fn follow_us(apart_us: i64, passed_us: i64) -> i64 {
    let most_us = passed_us / SLOWNESS;
    if apart_us.abs() < 1_000 { 0 } else { apart_us.clamp(-most_us, most_us) }
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOON_MS: i64 = 1_795_242_600_000;

    /// Asks every tenth of a second for so long, on a wall that is so far away, and returns by how much the course has
    /// gone further than the stopwatch.
    fn gained_ms(course: &mut Course, from_s: i64, seconds: i64, wall_is_ahead_ms: i64) -> i64 {
        let mut now = 0;
        for tenth in from_s * 10..=(from_s + seconds) * 10 {
            let passed_ms = tenth * 100;
            let wall = Moment::from_ms(NOON_MS + passed_ms + wall_is_ahead_ms);
            let next = course.at(wall, Duration::from_millis(passed_ms.unsigned_abs())).as_ms();
            assert!(next >= now, "it never goes backwards");
            now = next;
        }
        now - NOON_MS - (from_s + seconds) * 1_000
    }

    #[test]
    fn goes_with_the_wall_while_that_is_right() {
        let mut course = Course::begin(Moment::from_ms(NOON_MS));
        assert_eq!(gained_ms(&mut course, 0, 3_600, 0), 0);
    }

    #[test]
    fn a_step_of_ten_minutes_neither_ends_nor_keeps_a_hold_of_five() {
        for step_ms in [600_000, -600_000] {
            let mut course = Course::begin(Moment::from_ms(NOON_MS));
            assert_eq!(gained_ms(&mut course, 0, 10, 0), 0);
            let gained = gained_ms(&mut course, 10, 300, step_ms) * step_ms.signum();
            assert!((299..=301).contains(&gained), "a thousandth of the time: {gained}");
        }
    }

    #[test]
    fn it_follows_in_the_end() {
        let mut course = Course::begin(Moment::from_ms(NOON_MS));
        let gained = gained_ms(&mut course, 0, 7_200, 5_000);
        assert!((4_999..=5_000).contains(&gained), "{gained}");
    }
}
