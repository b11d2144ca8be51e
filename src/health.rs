//! How an upstream does, as this gateway sees it: counted by every thread, read once a second.
//!
//! Each request costs a few additions to atomic counters. A visitor who goes away in the middle counts as never
//! having asked; an answer of 4xx is an answer like any other.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hyper::StatusCode;
use tokio::time::Instant;

use crate::adaptive::latency::{STEPS, step_of};
use crate::adaptive::{Latencies, Reading};
use crate::proxy::ProxyFault;

/// The counts of one room since they were last read.
#[derive(Debug)]
pub struct Health {
    asked: AtomicU64,
    answered: AtomicU64,
    errors: AtomicU64,
    ages_s: AtomicU64,
    aged: AtomicU64,
    /// Of those that asked, how many went away.
    withdrawn: AtomicU64,
    /// How many wait now.
    waiting: AtomicU64,
    latencies: [AtomicU64; STEPS],
}

impl Default for Health {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            asked: zero(),
            answered: zero(),
            errors: zero(),
            ages_s: zero(),
            aged: zero(),
            withdrawn: zero(),
            waiting: zero(),
            latencies: std::array::from_fn(|_| zero()),
        }
    }
}

/// One request that waits for the beginning of its answer; counted as such until it is dropped.
#[derive(Debug)]
pub struct Asked<'a> {
    health: &'a Health,
    since: Instant,
    is_upload: bool,
    is_told: bool,
}

impl Health {
    /// Counts a request that is about to be sent by someone who was let in `age_s` seconds ago, if that is known.
    /// An upload counts only when it is answered, and not its time: it may be the visitor who is slow.
    pub fn ask(&self, age_s: Option<u64>, is_upload: bool) -> Asked<'_> {
        if let Some(age_s) = age_s {
            self.ages_s.fetch_add(age_s, Relaxed);
            self.aged.fetch_add(1, Relaxed);
        }
        if !is_upload {
            self.asked.fetch_add(1, Relaxed);
            self.waiting.fetch_add(1, Relaxed);
        }
        Asked { health: self, since: Instant::now(), is_upload, is_told: false }
    }

    /// Reads what was counted since it was last read.
    pub fn read(&self) -> Reading {
        let take = |counter: &AtomicU64| counter.swap(0, Relaxed);
        Reading {
            asked: take(&self.asked).saturating_sub(take(&self.withdrawn)),
            answered: take(&self.answered),
            latencies: Latencies::new(std::array::from_fn(|step| take(&self.latencies[step]))),
            errors: take(&self.errors),
            in_flight: self.waiting.load(Relaxed),
            ages_s: take(&self.ages_s) as f64,
            aged: take(&self.aged),
        }
    }
}

impl Asked<'_> {
    /// Notes the status of the answer that has begun.
    pub fn answered(mut self, status: StatusCode) {
        let counter = if status.is_server_error() { &self.health.errors } else { &self.health.answered };
        counter.fetch_add(1, Relaxed);
        if !self.is_upload && !status.is_server_error() {
            self.health.latencies[step_of(self.since.elapsed().as_secs_f64())].fetch_add(1, Relaxed);
        }
        self.tell();
    }

    /// Notes why there is no answer. What the visitor did is not the upstream's.
    pub fn failed(mut self, fault: &ProxyFault) {
        if fault.is_upstreams() {
            self.health.errors.fetch_add(1, Relaxed);
            self.tell();
        }
    }

    fn tell(&mut self) {
        self.is_told = true;
        if self.is_upload {
            self.health.asked.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.is_upload {
            return;
        }
        self.health.waiting.fetch_sub(1, Relaxed);
        if !self.is_told {
            self.health.withdrawn.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_counted_for_what_came_of_it() {
        let health = Health::default();
        health.ask(Some(40), false).answered(StatusCode::OK);
        health.ask(Some(20), false).answered(StatusCode::NOT_FOUND);
        health.ask(None, false).answered(StatusCode::SERVICE_UNAVAILABLE);
        health.ask(None, false).failed(&ProxyFault::HeaderTimeout);
        health.ask(None, false).failed(&ProxyFault::ClientGone);
        drop(health.ask(None, false));
        health.ask(None, true).answered(StatusCode::OK);
        drop(health.ask(None, true));
        let waits = [health.ask(None, false), health.ask(None, true)];
        let reading = health.read();
        assert_eq!((reading.asked, reading.answered, reading.errors, reading.in_flight), (6, 3, 2, 1));
        assert_eq!((reading.latencies.count(), reading.ages_s, reading.aged), (2, 60.0, 2));
        drop(waits);
        assert_eq!(health.read(), Reading::default());
    }
}
