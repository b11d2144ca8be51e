//! The pace of a room whose rate adapts: once a second it reads the upstream's health and wishes for a rate.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::adaptive::{Account, Bounds, Flow, Law, Sample, Tolerance, Window};
use crate::admission::Limits;
use crate::health::Health;

/// How long a step of the law is, in microseconds.
const STEP_US: u64 = 1_000_000;

/// A wish changes when it differs by this part: less is noise, and each change is an entry of the log.
const NOTICEABLE: f64 = 0.02;

/// What the law goes by besides the upstream.
#[derive(Clone, Debug)]
pub struct Line {
    /// The limits that are set.
    pub limits: Limits,
    /// The limits in force.
    pub in_force: Limits,
    /// How many were ever called.
    pub called: u64,
    /// How many of those who wait are here.
    pub present: u64,
    /// Whether the room calls anybody and has sessions to give.
    pub is_free: bool,
}

/// The pace of one room as this gateway sees it.
#[derive(Debug, Default)]
pub struct Pacing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When the last step was, and how many had been called.
    last: Option<(u64, u64)>,
    window: Window,
    sample: Sample,
    law: Option<Law>,
    wish: Option<f64>,
    account: Option<Account>,
}

impl Pacing {
    /// Takes a step when one is due by the gateway's steady clock. Returns whether it did.
    pub fn beat(&self, health: &Health, line: &Line, tolerance: &Tolerance, steady_us: u64) -> bool {
        let mut state = self.state();
        let Some(admitted) = state.admitted_since(line.called, steady_us) else { return false };
        let reading = health.read();
        let (ages_s, aged) = (reading.ages_s, reading.aged);
        state.window.push(reading);
        state.sample = state.window.sample();
        state.decide(line, Flow { admitted, is_wanted: false, ages_s, aged }, tolerance);
        true
    }

    /// Returns the interval that this gateway wishes for, in microseconds; `None` where the rate does not adapt.
    #[must_use]
    pub fn wish_us(&self) -> Option<u64> {
        self.state().wish.map(Limits::interval_us)
    }

    /// Returns how the upstream does.
    #[must_use]
    pub fn sample(&self) -> Sample {
        self.state().sample.clone()
    }

    /// Says why the rate is where it is; `None` where it does not adapt.
    #[must_use]
    pub fn account(&self) -> Option<Account> {
        self.state().account.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns how many a second were called since the last step, `None` while that is too recent.
    fn admitted_since(&mut self, called: u64, steady_us: u64) -> Option<f64> {
        let (last_us, before) = self.last.unwrap_or((steady_us, called));
        let since_us = steady_us.saturating_sub(last_us);
        let is_due = self.last.is_none() || since_us >= STEP_US;
        is_due.then(|| {
            self.last = Some((steady_us, called));
            called.saturating_sub(before) as f64 * 1e6 / since_us.max(STEP_US) as f64
        })
    }

    fn decide(&mut self, line: &Line, flow: Flow, tolerance: &Tolerance) {
        let Some(bounds) = bounds(&line.limits) else {
            (self.law, self.wish, self.account) = (None, None, None);
            return;
        };
        let in_force = line.in_force.admissions_per_second().unwrap_or(bounds.ceiling);
        let law = self.law.get_or_insert_with(|| Law::new(if line.called > 0 { in_force } else { bounds.floor }));
        // Where another gateway wishes for less, a higher wish of this one would not be put to the test.
        let is_heeded = in_force >= law.rate() * 0.9;
        let flow = Flow { is_wanted: line.present > 0 && line.is_free && is_heeded, ..flow };
        let rate = law.step(&self.sample, &flow, bounds, tolerance);
        self.account = Some(Account::of(law, &self.sample, bounds, tolerance));
        let is_at_bound = rate == bounds.floor || rate == bounds.ceiling;
        let is_news = |wish: f64| is_at_bound || (rate / wish - 1.0).abs() >= NOTICEABLE;
        if self.wish.is_none_or(is_news) {
            self.wish = Some(rate);
        }
    }
}

/// Returns between what the rate may move, `None` where it does not adapt.
fn bounds(limits: &Limits) -> Option<Bounds> {
    let ceiling = limits.admissions_per_second().filter(|_| limits.adapts())?;
    let floor = 1e6 / limits.floor_interval_us? as f64;
    Some(Bounds { floor: floor.min(ceiling), ceiling })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Schedule;
    use hyper::StatusCode;

    fn line(called: u64, wish_us: u64) -> Line {
        let limits = Limits {
            interval_us: 20_000,
            burst: 10,
            total_active_users: None,
            session_duration_s: 60,
            grace_ms: 1_000,
            schedule: Schedule::ALWAYS,
            floor_interval_us: Some(200_000),
        };
        Line { in_force: limits.at(wish_us), limits, called, present: 9, is_free: true }
    }

    fn beats(pacing: &Pacing, seconds: std::ops::Range<u64>, line: &Line, status: StatusCode) {
        let health = Health::default();
        for s in seconds {
            (0..50).for_each(|_| health.ask(Some(1), false).answered(status));
            assert!(pacing.beat(&health, line, &Tolerance::default(), (s + 1) * STEP_US));
            assert!(!pacing.beat(&health, line, &Tolerance::default(), (s + 1) * STEP_US + 100_000), "once a second");
        }
    }

    #[test]
    fn a_new_line_begins_at_the_floor_and_another_where_it_is() {
        for (called, expected) in [(0, 5.0), (7, 20.0)] {
            let pacing = Pacing::default();
            pacing.beat(&Health::default(), &line(called, 50_000), &Tolerance::default(), STEP_US);
            beats(&pacing, 2..3, &line(called, 50_000), StatusCode::OK);
            let wish = pacing.account().unwrap().wish;
            assert!((wish / expected - 1.0).abs() < 0.05, "{wish}");
        }
    }

    #[test]
    fn a_broken_upstream_is_at_the_floor_within_seconds_and_a_well_one_climbs() {
        let pacing = Pacing::default();
        pacing.beat(&Health::default(), &line(7, 0), &Tolerance::default(), STEP_US);
        beats(&pacing, 1..8, &line(7, 0), StatusCode::BAD_GATEWAY);
        assert_eq!(pacing.wish_us(), Some(200_000));
        assert_eq!(pacing.sample().errors, 1.0);
        for s in 8..40 {
            beats(&pacing, s..s + 1, &line(7, pacing.wish_us().unwrap()), StatusCode::OK);
        }
        assert!(pacing.wish_us() < Some(150_000), "{:?}", pacing.wish_us());
    }

    #[test]
    fn a_wish_that_another_gateway_undercuts_does_not_run_away() {
        let pacing = Pacing::default();
        pacing.beat(&Health::default(), &line(7, 50_000), &Tolerance::default(), STEP_US);
        beats(&pacing, 1..300, &line(7, 50_000), StatusCode::OK);
        let wish = pacing.account().unwrap().wish;
        assert!((20.0..23.0).contains(&wish), "{wish}");
    }

    #[test]
    fn a_rate_that_does_not_adapt_has_no_wish() {
        let pacing = Pacing::default();
        let mut fixed = line(7, 0);
        beats_first(&pacing, &fixed);
        assert!(pacing.wish_us().is_some());
        fixed.limits.floor_interval_us = None;
        beats(&pacing, 2..4, &fixed, StatusCode::OK);
        assert_eq!((pacing.wish_us(), pacing.account()), (None, None));
        assert_eq!(pacing.sample().answers, 150, "but the upstream's health is known");
    }

    fn beats_first(pacing: &Pacing, line: &Line) {
        pacing.beat(&Health::default(), line, &Tolerance::default(), STEP_US);
        beats(pacing, 1..2, line, StatusCode::OK);
    }
}
