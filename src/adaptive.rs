//! How fast people may be let in, by the upstream's health: the law of a rate that adapts.
//!
//! # The plant
//!
//! Whoever is let in asks for minutes. So the load that the upstream feels is not the rate but its average over the
//! last visits, and a law that looks at the latency alone keeps braking long after the rate is right: it swings
//! between floor and ceiling. The gateway sees every request and knows since when each asker has been in; the mean
//! of that age *is* the delay of the plant, measured and not guessed. With it goes `felt`, the rate as the upstream
//! feels it now: the admissions, averaged with the delay as time constant.
//!
//! # The law
//!
//! Once a second, from a sample of the last seconds, a *gradient* from 0 to 1 says which part of the load felt now
//! the upstream would bear: `tolerance × baseline / latency`, `most in flight / in flight`, or
//! `(1 − errors) / (1 − max_errors)`, whichever is least.
//!
//! - Below 1, the rate goes to `felt × gradient`, within two seconds. So it brakes by what the upstream shows to be
//!   too much of the load that it feels, not again and again by what is still on its way. At the first such second
//!   of an episode that product is what the upstream is `known` to bear.
//! - At 1, the rate climbs: quickly up to what is known, then by a small part for each delay, so that what it does
//!   is felt before it does more; the more slowly, the nearer the latency is to where it brakes.
//! - It climbs only while people wait for it: nothing is learned from a line that is empty. Where too few requests
//!   come to say anything, it climbs until enough do.
//!
//! The latency is compared with the upstream's own baseline: the least that it has shown. The baseline rises only
//! under light load, so that it cannot creep up with a lasting overload; where the upstream has really become slower,
//! the law brakes until the load is light, learns, and climbs again.
//!
//! # Sources
//!
//! Additive climbing and multiplicative braking: D. Chiu, R. Jain, "Analysis of the increase and decrease
//! algorithms for congestion avoidance in computer networks" (1989). Delay against the least delay seen: TCP Vegas
//! (Brakmo, Peterson 1995). The gradient with a tolerance: the adaptive limits of Netflix (Gradient2) and Envoy,
//! whose way to learn the baseline anew at the least load is also taken. Quick to the last good rate and slow beyond:
//! CUBIC (RFC 9438). No growth without use: RFC 7661. What is new here is `felt`, for a delay of minutes instead of
//! one round trip; decision 0011 says what was tried without it.

mod account;
pub mod latency;
pub mod window;

pub use account::Account;
pub use latency::Latencies;
pub use window::{Reading, Sample, Window};

use serde::Serialize;

/// Between what the rate moves, in admissions a second; `0 < floor ≤ ceiling`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The least rate. Never zero: only who is let in can show that the upstream is well again.
    pub floor: f64,
    /// The highest rate.
    pub ceiling: f64,
}

/// What counts as healthy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// How many times its baseline the latency may be; above 1.
    pub latency: f64,
    /// Which part of the answers may be errors, 0 to below 1.
    pub max_errors: f64,
    /// How many requests may wait for their answer at once on this gateway; `None` for any number.
    pub max_in_flight: Option<u64>,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { latency: 2.0, max_errors: 0.05, max_in_flight: None }
    }
}

/// Why the rate is where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nothing speaks against a higher rate, and nobody waits for one.
    #[default]
    Unused,
    /// The upstream is well, and the rate climbs.
    Climbing,
    /// The upstream is well, and the rate is as high as it may be.
    AtCeiling,
    /// The upstream answers slowly.
    Slow,
    /// The upstream answers with errors.
    Errors,
    /// Too many requests wait for an answer.
    InFlight,
    /// The upstream does not answer at all.
    Silent,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 7] =
        [Self::Unused, Self::Climbing, Self::AtCeiling, Self::Slow, Self::Errors, Self::InFlight, Self::Silent];

    /// Returns the reason's word, as it stands in the admin listener's answers and in the metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::Climbing => "climbing",
            Self::AtCeiling => "at_ceiling",
            Self::Slow => "slow",
            Self::Errors => "errors",
            Self::InFlight => "in_flight",
            Self::Silent => "silent",
        }
    }
}

/// What the law goes by in one second, besides the sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// How many a second were let in lately, over all gateways.
    pub admitted: f64,
    /// Whether people wait for a higher rate, and nothing else than this law keeps them.
    pub is_wanted: bool,
    /// The sum of the ages and the number of the requests of this second; see [`Reading`].
    pub ages_s: f64,
    /// How many requests tell their age.
    pub aged: u64,
}

/// The law's state.
#[derive(Clone, Debug, PartialEq)]
pub struct Law {
    rate: f64,
    /// The rate as the upstream feels it.
    felt: f64,
    /// The rate that the upstream is known to bear; `None` before it has shown that it cannot bear more.
    known: Option<f64>,
    /// What was known before the upstream became unwell.
    known_before: Option<f64>,
    /// Whether it has been broken since it became unwell.
    was_broken: bool,
    /// The most that it has felt lately; forgotten within some minutes.
    busiest: f64,
    baseline_s: Option<f64>,
    /// The mean age of requests: how long after being let in people ask.
    delay_s: f64,
    /// For how long the upstream has been unwell, in seconds; 0 when it is well.
    unwell_s: f64,
    /// For how long the rate has been at its floor while the upstream is unwell.
    at_floor_s: f64,
    reason: Reason,
}

/// How quickly the rate falls, as a time constant in seconds.
const FALL_S: f64 = 1.0;

/// A gradient below this is no overload: the upstream is broken, and nothing is learned of what it bears.
const BROKEN: f64 = 0.25;

/// How quickly what is known follows what the upstream shows while it is unwell, as a time constant in seconds.
const BEARS_S: f64 = 10.0;

/// How quickly the busiest time is forgotten, as a time constant in seconds.
const FORGET_S: f64 = 1_800.0;

/// How quickly it climbs back to what is known, at the most, as a time constant in seconds.
const RETURN_S: f64 = 10.0;

/// The part of what is known that it climbs back to quickly.
const SURE: f64 = 0.9;

/// How many delays it takes the rate to grow by its own size: while nothing is known, and beyond what is known.
const SEARCH: f64 = 2.0;
const PROBE: f64 = 8.0;

/// The delay before anything is known of it, in seconds: at the beginning, all have only just come in.
const FIRST_DELAY_S: f64 = 30.0;

/// Bounds of the delay, in seconds.
const LEAST_DELAY_S: f64 = 5.0;
const MOST_DELAY_S: f64 = 300.0;

/// The most that a latency or a count in flight brakes by: they exaggerate, as they also count what waits.
const STRONGEST_BRAKE: f64 = 0.3;

/// How quickly the baseline falls and, under light load, rises: in answers and in seconds.
const BASELINE_ANSWERS: f64 = 500.0;
const BASELINE_RISE_S: f64 = 60.0;

/// How long the rate is at its floor before a latency that stays is taken for the upstream's own.
const ACCEPT_S: f64 = 20.0;

impl Law {
    /// Begins at `rate`.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Self {
            rate,
            felt: 0.0,
            known: None,
            known_before: None,
            was_broken: false,
            busiest: 0.0,
            baseline_s: None,
            delay_s: FIRST_DELAY_S,
            unwell_s: 0.0,
            at_floor_s: 0.0,
            reason: Reason::Unused,
        }
    }

    /// Returns the rate, in admissions a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Returns why it is so.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns what latency is usual, in seconds.
    #[must_use]
    pub fn baseline_s(&self) -> Option<f64> {
        self.baseline_s
    }

    /// Returns how long after being let in people ask, on average, in seconds.
    #[must_use]
    pub fn delay_s(&self) -> f64 {
        self.delay_s
    }

    /// Takes one second's sample and returns the rate for the next.
    pub fn step(&mut self, sample: &Sample, flow: &Flow, bounds: Bounds, tolerance: &Tolerance) -> f64 {
        self.feel(flow);
        if sample.answers >= window::LEAST || sample.is_silent {
            let (gradient, reason) = self.judge(sample, tolerance);
            self.learn(sample, bounds);
            if gradient < 1.0 {
                self.brake(gradient, reason, sample, bounds)
            } else {
                self.climb(sample, flow, bounds, tolerance)
            }
        } else {
            self.climb(sample, flow, bounds, tolerance);
        }
        self.rate = self.rate.clamp(bounds.floor, bounds.ceiling);
        self.rate
    }

    fn feel(&mut self, flow: &Flow) {
        if flow.aged > 0 {
            let mean_s = flow.ages_s / flow.aged as f64;
            // While the rate grows, most have only just come in: so the delay is believed slowly when it falls.
            let time_s = if mean_s > self.delay_s { self.delay_s } else { MOST_DELAY_S };
            self.delay_s = (self.delay_s + (mean_s - self.delay_s) * toward(time_s)).clamp(LEAST_DELAY_S, MOST_DELAY_S);
        }
        self.felt += (flow.admitted - self.felt) * toward(self.delay_s);
        self.busiest = self.felt.max(self.busiest * (1.0 - toward(FORGET_S)));
    }

    /// Says which part of the load felt now the upstream would bear, and what says so.
    fn judge(&self, sample: &Sample, tolerance: &Tolerance) -> (f64, Reason) {
        let latency = sample.latency_s.zip(self.baseline_s);
        let slow = latency.map_or(1.0, |(latency_s, baseline_s)| tolerance.latency * baseline_s / latency_s);
        let in_flight = tolerance.max_in_flight.map_or(1.0, |most| most as f64 / sample.in_flight.max(1) as f64);
        let gentle = |ratio: f64| ratio.sqrt().max(STRONGEST_BRAKE);
        let errors = (1.0 - sample.errors) / (1.0 - tolerance.max_errors);
        let judged = [
            (gentle(slow), Reason::Slow),
            (gentle(in_flight), Reason::InFlight),
            (errors, Reason::Errors),
            (if sample.is_silent { 0.0 } else { 1.0 }, Reason::Silent),
        ];
        let least = judged.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
        least.filter(|(gradient, _)| *gradient < 1.0).unwrap_or((1.0, Reason::Climbing))
    }

    /// Learns what latency is usual: the least, and under light load what there is.
    fn learn(&mut self, sample: &Sample, bounds: Bounds) {
        let Some(latency_s) = sample.latency_s else { return };
        let baseline_s = *self.baseline_s.get_or_insert(latency_s);
        let fallen_s = latency_s + (baseline_s - latency_s) * (-(sample.answers as f64) / BASELINE_ANSWERS).exp();
        let risen_s = if self.is_light(bounds) { baseline_s * (1.0 / BASELINE_RISE_S).exp() } else { baseline_s };
        self.baseline_s = Some(if latency_s < baseline_s { fallen_s } else { risen_s.min(latency_s) });
    }

    /// Tells whether the upstream feels so little that its latency is its own: half of what it has felt lately, or
    /// the floor, for a while.
    fn is_light(&self, bounds: Bounds) -> bool {
        let at_floor = self.felt <= bounds.floor * 1.05 && self.unwell_s == 0.0;
        at_floor || self.at_floor_s >= ACCEPT_S || self.felt <= self.busiest / 2.0
    }

    fn brake(&mut self, gradient: f64, reason: Reason, sample: &Sample, bounds: Bounds) {
        if self.unwell_s == 0.0 {
            (self.known_before, self.was_broken) = (self.known, false);
        }
        self.was_broken |= gradient < BROKEN;
        let bearable = if self.was_broken {
            self.known = self.known_before;
            self.felt * gradient * gradient
        } else {
            let known = self.bears(sample).min(bounds.ceiling);
            self.known = Some(known);
            (self.felt * gradient).max(known / 2.0)
        };
        self.unwell_s += 1.0;
        self.rate += (bearable - self.rate).min(0.0) * toward(FALL_S);
        self.at_floor_s = if self.rate <= bounds.floor * 1.05 { self.at_floor_s + 1.0 } else { 0.0 };
        self.reason = reason;
    }

    /// Says what the upstream shows to bear, as a rate: what it feels, times how far it keeps up with it.
    fn bears(&self, sample: &Sample) -> f64 {
        let shown = self.felt * sample.kept_up;
        match self.known.filter(|_| self.unwell_s > 0.0) {
            Some(known) => known + (shown - known) * toward(BEARS_S),
            None => shown.min(self.felt),
        }
    }

    fn climb(&mut self, sample: &Sample, flow: &Flow, bounds: Bounds, tolerance: &Tolerance) {
        (self.unwell_s, self.at_floor_s) = (0.0, 0.0);
        if self.rate >= bounds.ceiling {
            self.reason = Reason::AtCeiling;
            return;
        }
        if !flow.is_wanted {
            self.reason = Reason::Unused;
            return;
        }
        self.reason = Reason::Climbing;
        let sure = self.known.map_or(0.0, |known| known * SURE);
        if self.rate < sure {
            self.rate += (sure * 1.01 - self.rate) * toward(RETURN_S);
        } else {
            let delays = if self.known.is_some() { PROBE } else { SEARCH };
            self.rate *= 1.0 + self.headroom(sample, tolerance) / (delays * self.delay_s);
            self.known = self.known.map(|known| known.max(self.rate));
        }
    }

    /// Says how far the latency is from where the law brakes: 1 at the baseline, 0 at the tolerance.
    fn headroom(&self, sample: &Sample, tolerance: &Tolerance) -> f64 {
        let latency = sample.latency_s.zip(self.baseline_s);
        let times = latency.map_or(1.0, |(latency_s, baseline_s)| latency_s / baseline_s);
        let latency = (tolerance.latency - times) / (tolerance.latency - 1.0);
        let errors = if sample.errors > 0.0 { 1.0 - sample.errors / tolerance.max_errors } else { 1.0 };
        latency.min(errors).clamp(0.0, 1.0)
    }
}

/// Returns which part of the way is gone in one second, given a time constant.
fn toward(time_s: f64) -> f64 {
    1.0 - (-1.0 / time_s).exp()
}
