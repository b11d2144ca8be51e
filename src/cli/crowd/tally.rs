//! What is counted of the whole crowd while it runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::latency::Latencies;
use super::status::Status;

const LAG_MAX_MS: u64 = 3_600_000;
/// How many kinds of errors are told apart; what comes beyond is `other`.
const KINDS_MAX: usize = 64;

/// Counts the whole crowd while it runs; every visitor writes, the progress and the report read.
#[derive(Debug)]
pub struct Tally {
    /// How many came.
    pub arrived: Gauge,
    /// How many are in line.
    pub waiting: Gauge,
    /// How many were let in.
    pub admitted: Gauge,
    /// How many hold seats that they have not got booked yet.
    pub holding: Gauge,
    /// How many have a booking.
    pub sold: Gauge,
    /// How many were told that everything is sold.
    pub told: Gauge,
    /// How many live connections are open.
    pub live: Gauge,
    lag_ms: Mutex<Histogram<u64>>,
    errors: Mutex<BTreeMap<String, u64>>,
    limits: Mutex<Limits>,
    robots: Mutex<Robots>,
    answers: Mutex<Latencies>,
    pages: Mutex<Latencies>,
}

/// The limits that the statuses spoke of, at their highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Admissions a second.
    pub per_second: Option<f64>,
    /// How many at one instant.
    pub burst: Option<u64>,
}

/// What robots got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Robots {
    /// Places in line, none of which they wait in.
    pub places: u64,
    /// How often they were let in at once, where nobody stood in line.
    pub let_in: u64,
    /// How often they got neither.
    pub refused: u64,
}

/// The gauges at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts([u64; 7]);

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(own, other)| *own += other);
    }
}

/// What a tally knows beside its gauges, to be added to another's.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Sums {
    /// How many live updates were so many milliseconds old.
    lags: Vec<(u64, u64)>,
    errors: BTreeMap<String, u64>,
    limits: Limits,
    robots: Robots,
    answers: Latencies,
    pages: Latencies,
}

impl Tally {
    /// Starts at nothing.
    #[must_use]
    pub fn new() -> Self {
        let lag_ms = Histogram::new_with_bounds(1, LAG_MAX_MS, 3).expect("the bounds are constants and sound");
        Self {
            arrived: Gauge::default(),
            waiting: Gauge::default(),
            admitted: Gauge::default(),
            holding: Gauge::default(),
            sold: Gauge::default(),
            told: Gauge::default(),
            live: Gauge::default(),
            lag_ms: Mutex::new(lag_ms),
            errors: Mutex::default(),
            limits: Mutex::default(),
            robots: Mutex::default(),
            answers: Mutex::default(),
            pages: Mutex::default(),
        }
    }

    /// Counts an error of a kind.
    pub fn error(&self, kind: &str) {
        self.add_errors(kind, 1);
    }

    fn add_errors(&self, kind: &str, count: u64) {
        let mut errors = lock(&self.errors);
        let kind = if errors.contains_key(kind) || errors.len() < KINDS_MAX { kind } else { "other" };
        *errors.entry(kind.to_owned()).or_default() += count;
    }

    /// Notes how old a live update was when it came.
    pub fn lag(&self, ms: u64) {
        lock(&self.lag_ms).saturating_record(ms);
    }

    /// Notes that an answer came in the given second of the run, after so many microseconds.
    pub fn answer(&self, second: u64, us: u64) {
        lock(&self.answers).note(second, us);
    }

    /// Notes that a page of the site came, likewise.
    pub fn page(&self, second: u64, us: u64) {
        lock(&self.pages).note(second, us);
    }

    /// Notes the limits that a status speaks of.
    pub fn limits(&self, status: &Status) {
        self.raise_limits(Limits { per_second: status.admissions_per_second, burst: status.burst });
    }

    fn raise_limits(&self, seen: Limits) {
        let mut limits = lock(&self.limits);
        limits.burst = limits.burst.max(seen.burst);
        if seen.per_second > limits.per_second {
            limits.per_second = seen.per_second;
        }
    }

    /// Notes what a robot got.
    pub fn robot(&self, got: Robots) {
        let mut robots = lock(&self.robots);
        robots.places += got.places;
        robots.let_in += got.let_in;
        robots.refused += got.refused;
    }

    /// Returns the gauges as they are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts(self.gauges().map(Gauge::now))
    }

    /// Shows these counts from now on.
    pub fn show(&self, counts: Counts) {
        self.gauges().into_iter().zip(counts.0).for_each(|(gauge, count)| gauge.set(count));
    }

    fn gauges(&self) -> [&Gauge; 7] {
        [&self.arrived, &self.waiting, &self.admitted, &self.holding, &self.sold, &self.told, &self.live]
    }

    /// Returns all but the gauges.
    #[must_use]
    pub fn sums(&self) -> Sums {
        let lags = self.lags_ms().iter_recorded().map(|lag| (lag.value_iterated_to(), lag.count_at_value())).collect();
        Sums {
            lags,
            errors: self.errors(),
            limits: self.highest_limits(),
            robots: self.robots(),
            answers: self.answers(),
            pages: self.pages(),
        }
    }

    /// Adds those of another part of the crowd.
    pub fn add(&self, sums: Sums) {
        let mut lags = lock(&self.lag_ms);
        sums.lags.into_iter().for_each(|(ms, count)| lags.saturating_record_n(ms, count));
        drop(lags);
        sums.errors.iter().for_each(|(kind, count)| self.add_errors(kind, *count));
        self.raise_limits(sums.limits);
        self.robot(sums.robots);
        lock(&self.answers).add(&sums.answers);
        lock(&self.pages).add(&sums.pages);
    }

    /// Returns the errors by kind.
    #[must_use]
    pub fn errors(&self) -> BTreeMap<String, u64> {
        lock(&self.errors).clone()
    }

    /// Returns the ages of the live updates.
    #[must_use]
    pub fn lags_ms(&self) -> Histogram<u64> {
        lock(&self.lag_ms).clone()
    }

    /// Returns the highest limits seen.
    #[must_use]
    pub fn highest_limits(&self) -> Limits {
        *lock(&self.limits)
    }

    /// Returns what the robots got.
    #[must_use]
    pub fn robots(&self) -> Robots {
        *lock(&self.robots)
    }

    /// Returns how long answers took, second by second.
    #[must_use]
    pub fn answers(&self) -> Latencies {
        lock(&self.answers).clone()
    }

    /// Returns how long the site's pages took.
    #[must_use]
    pub fn pages(&self) -> Latencies {
        lock(&self.pages).clone()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

/// A number that goes up and down, and how high it ever was.
#[derive(Debug, Default)]
pub struct Gauge {
    now: AtomicU64,
    peak: AtomicU64,
}

impl Gauge {
    /// One more.
    pub fn up(&self) {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(now, Ordering::Relaxed);
    }

    fn set(&self, now: u64) {
        self.now.store(now, Ordering::Relaxed);
        self.peak.fetch_max(now, Ordering::Relaxed);
    }

    /// One more until the guard is dropped.
    #[must_use]
    pub fn during(&self) -> During<'_> {
        self.up();
        During(self)
    }

    /// Returns the number.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// Returns how high it ever was.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

/// Takes one off again when dropped, however a visit is cut short.
#[derive(Debug)]
pub struct During<'a>(&'a Gauge);

impl Drop for During<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_errors_are_bounded() {
        let tally = Tally::new();
        (0..200).for_each(|kind| tally.error(&kind.to_string()));
        let errors = tally.errors();
        assert_eq!((errors.len(), errors["other"]), (KINDS_MAX + 1, 200 - KINDS_MAX as u64));
    }

    #[test]
    fn parts_of_a_crowd_add_up() {
        let parts = [Tally::new(), Tally::new()];
        let whole = Tally::new();
        let mut counts = Counts::default();
        for (part, ms) in parts.iter().zip([10, 30]) {
            part.arrived.up();
            part.lag(ms);
            part.error("connect");
            part.answer(3, 1_000);
            part.robot(Robots { places: 2, ..Robots::default() });
            counts += part.counts();
            whole.add(serde_json::from_str(&serde_json::to_string(&part.sums()).unwrap()).unwrap());
        }
        whole.show(counts);
        assert_eq!((whole.arrived.now(), whole.arrived.peak(), whole.errors()["connect"]), (2, 2, 2));
        assert_eq!((whole.lags_ms().len(), whole.lags_ms().max()), (2, 30));
        assert_eq!((whole.answers().whole().count(), whole.robots().places), (2, 4));
    }
}
