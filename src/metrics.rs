//! What Prometheus reads. Passed to whoever counts, never global; no visitor, address or path is a
//! label.

mod of_room;
mod runtimes;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder as _, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

pub use of_room::RoomCounts;
pub use runtimes::Runtimes;

/// All of the gateway's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Visitors that were given a place.
    pub arrivals: IntCounterVec,
    /// Visitors that were called.
    pub admissions: IntCounterVec,
    /// Visitors that gave up their place.
    pub left: IntCounterVec,
    /// Visitors that were away for longer than the grace period.
    pub lapsed: IntCounterVec,
    /// Visitors that hold a place.
    pub waiting: IntGaugeVec,
    /// Of those, how many are present on any gateway.
    pub present: IntGaugeVec,
    /// What the operator has the line do: 1 for the phase that the room is in, 0 for the others.
    pub phase: IntGaugeVec,
    /// Sessions in use.
    pub active_sessions: IntGaugeVec,
    /// The rate limit in force, admissions a second; -1 where there is none.
    pub rate_limit: GaugeVec,
    /// The rate that this gateway wishes for, admissions a second; -1 where the rate does not adapt.
    pub adaptive_rate: GaugeVec,
    /// Between what it may move, by `bound`: `floor` and `ceiling`; -1 where the rate does not adapt.
    pub adaptive_bound: GaugeVec,
    /// Why this gateway wishes for that rate: 1 for the reason, 0 for the others.
    pub adaptive_reason: IntGaugeVec,
    /// Seconds until the upstream's answer began, over the last seconds: the geometric mean.
    pub upstream_latency: GaugeVec,
    /// The same when the upstream has little to do, as far as it is known.
    pub upstream_baseline: GaugeVec,
    /// The part of the upstream's answers that were errors, over the last seconds.
    pub upstream_errors: GaugeVec,
    /// 1 while an address of an upstream gets requests.
    pub upstream_up: IntGaugeVec,
    /// Requests that an address has not answered whole.
    pub upstream_outstanding: IntGaugeVec,
    /// Requests that an address failed at.
    pub upstream_failures: IntCounterVec,
    /// Times that an address got no requests for a while because it failed again and again.
    pub upstream_ejections: IntCounterVec,
    /// Requests that wait for the beginning of an answer.
    pub upstream_in_flight: IntGaugeVec,
    /// Seconds from joining to being called.
    pub wait_seconds: HistogramVec,
    /// How far what people were told was from how long they waited, as a part of the latter.
    pub eta_error_ratio: HistogramVec,
    /// Live connections of this gateway.
    pub live_connections: IntGaugeVec,
    /// Frames sent over live connections.
    pub live_frames: IntCounterVec,
    /// Answers "sold out" from memory.
    pub sold_out_responses: IntCounterVec,
    /// Requests that were forwarded, by the class of the answer's status code.
    pub proxy_requests: IntCounterVec,
    /// Seconds until the upstream's answer began.
    pub proxy_duration: HistogramVec,
    /// Requests and visitors that were refused, by reason.
    pub refused: IntCounterVec,
    /// 1 while the line's store answers.
    pub store_up: IntGauge,
    /// Seconds of a call to the line's store.
    pub store_call_seconds: HistogramVec,
    /// Times that a store was restored from this gateway's mirror.
    pub restores: IntCounter,
    /// Connections that are open on the public listener.
    pub connections: IntGauge,
    /// What operators changed.
    pub changes: IntCounterVec,
    /// How far the store's clock is ahead of this gateway's, in seconds.
    pub clock_ahead: GaugeVec,
    /// How busy the threads are.
    pub runtimes: Runtimes,
}

impl Metrics {
    /// Makes the metrics in a registry of their own.
    ///
    /// # Panics
    /// Never: the names below are distinct and well formed.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let metrics = Self {
            arrivals: counters("arrivals_total", "Visitors that were given a place", &["room"]),
            admissions: counters("admissions_total", "Visitors that were called", &["room"]),
            left: counters("left_total", "Visitors that gave up their place", &["room"]),
            lapsed: counters("lapsed_total", "Visitors away for longer than the grace period", &["room"]),
            waiting: gauges("waiting", "Visitors that hold a place", &["room"]),
            present: gauges("present", "Waiting visitors that are present on any gateway", &["room"]),
            phase: gauges("room_phase", "1 for the phase that the room is in", &["room", "phase"]),
            active_sessions: gauges("active_sessions", "Sessions in use", &["room"]),
            rate_limit: floats("admission_rate_limit", "Rate limit in admissions a second, -1 for none", &["room"]),
            adaptive_rate: floats(
                "adaptive_rate",
                "Rate that this gateway wishes for, -1 where it does not adapt",
                &["room"],
            ),
            adaptive_bound: floats(
                "adaptive_bound",
                "Floor and ceiling of the rate, -1 where it does not adapt",
                &["room", "bound"],
            ),
            adaptive_reason: gauges(
                "adaptive_reason",
                "Why this gateway wishes for its rate: 1 for the reason",
                &["room", "reason"],
            ),
            upstream_latency: floats(
                "upstream_latency_seconds",
                "Typical seconds until the upstream's answer began, lately",
                &["room"],
            ),
            upstream_baseline: floats(
                "upstream_baseline_seconds",
                "Typical seconds until an answer begins when the upstream has little to do",
                &["room"],
            ),
            upstream_errors: floats(
                "upstream_error_ratio",
                "Part of the upstream's answers that were errors, over the last seconds",
                &["room"],
            ),
            upstream_up: gauges("upstream_up", "1 while an address gets requests", &["room", "upstream"]),
            upstream_outstanding: gauges(
                "upstream_outstanding",
                "Requests that an address has not answered whole",
                &["room", "upstream"],
            ),
            upstream_failures: counters(
                "upstream_failures_total",
                "Requests that an address failed at",
                &["room", "upstream"],
            ),
            upstream_ejections: counters(
                "upstream_ejections_total",
                "Times that an address got no requests for a while",
                &["room", "upstream"],
            ),
            upstream_in_flight: gauges("upstream_in_flight", "Requests that wait for an answer to begin", &["room"]),
            wait_seconds: histograms("wait_seconds", "Seconds from joining to being called", &["room"], WAITS),
            eta_error_ratio: histograms(
                "eta_error_ratio",
                "Distance of the wait that was told from the wait that was, as a part of the latter",
                &["room"],
                RATIOS,
            ),
            live_connections: gauges("live_connections", "Live connections of this gateway", &["room"]),
            live_frames: counters("live_frames_total", "Frames sent over live connections", &["room"]),
            sold_out_responses: counters("sold_out_responses_total", "Answers of sold out from memory", &["room"]),
            proxy_requests: counters(
                "proxy_requests_total",
                "Requests forwarded, by class of answer",
                &["room", "code"],
            ),
            proxy_duration: histograms(
                "proxy_duration_seconds",
                "Seconds until the upstream's answer began",
                &["room"],
                LATENCIES,
            ),
            refused: counters("refused_total", "Requests and visitors refused, by reason", &["reason"]),
            store_up: valid(IntGauge::with_opts(opts("store_up", "1 while the line's store answers"))),
            store_call_seconds: histograms(
                "store_call_seconds",
                "Seconds of a call to the store",
                &["verb"],
                LATENCIES,
            ),
            restores: valid(IntCounter::with_opts(opts(
                "restores_total",
                "Times the store was restored from a mirror",
            ))),
            connections: valid(IntGauge::with_opts(opts("connections", "Open connections on the public listener"))),
            changes: counters("changes_total", "Changes by operators, as in the audit trail", &["room", "action"]),
            clock_ahead: floats(
                "store_clock_ahead_seconds",
                "How far the clock of the line's store is ahead of this gateway's",
                &["room"],
            ),
            runtimes: Runtimes::new(),
            registry,
        };
        metrics.register();
        metrics
    }

    /// Begins what is counted of a room, and of all rooms, at 0: what has not happened yet is to be seen as not having
    /// happened, and the first of a kind as an increase.
    pub fn begin(&self, room: &str) {
        for counters in [&self.arrivals, &self.admissions, &self.left, &self.lapsed, &self.sold_out_responses] {
            counters.with_label_values(&[room]).inc_by(0);
        }
        for class in ["2xx", "3xx", "4xx", "5xx"] {
            self.proxy_requests.with_label_values(&[room, class]).inc_by(0);
        }
        for reason in ["full", "store_down", "busy", "connections"] {
            self.refused.with_label_values(&[reason]).inc_by(0);
        }
    }

    /// Shows what somebody else counts; of two of one name, the first.
    pub fn also(&self, collector: impl Collector + 'static) {
        let _ = self.registry.register(Box::new(collector));
    }

    /// Gives the text that Prometheus reads.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        encoded.ok().and_then(|()| String::from_utf8(text).ok()).unwrap_or_default()
    }

    fn register(&self) {
        let build = valid(Gauge::with_opts(
            opts("build_info", "1; the label says what runs").const_label("version", env!("CARGO_PKG_VERSION")),
        ));
        build.set(1.0);
        let all: [Box<dyn Collector>; 37] = [
            Box::new(self.arrivals.clone()),
            Box::new(self.admissions.clone()),
            Box::new(self.left.clone()),
            Box::new(self.lapsed.clone()),
            Box::new(self.waiting.clone()),
            Box::new(self.present.clone()),
            Box::new(self.phase.clone()),
            Box::new(self.active_sessions.clone()),
            Box::new(self.rate_limit.clone()),
            Box::new(self.adaptive_rate.clone()),
            Box::new(self.adaptive_bound.clone()),
            Box::new(self.adaptive_reason.clone()),
            Box::new(self.upstream_latency.clone()),
            Box::new(self.upstream_baseline.clone()),
            Box::new(self.upstream_errors.clone()),
            Box::new(self.upstream_in_flight.clone()),
            Box::new(self.upstream_up.clone()),
            Box::new(self.upstream_outstanding.clone()),
            Box::new(self.upstream_failures.clone()),
            Box::new(self.upstream_ejections.clone()),
            Box::new(self.wait_seconds.clone()),
            Box::new(self.eta_error_ratio.clone()),
            Box::new(self.live_connections.clone()),
            Box::new(self.live_frames.clone()),
            Box::new(self.sold_out_responses.clone()),
            Box::new(self.proxy_requests.clone()),
            Box::new(self.proxy_duration.clone()),
            Box::new(self.refused.clone()),
            Box::new(self.store_up.clone()),
            Box::new(self.store_call_seconds.clone()),
            Box::new(self.restores.clone()),
            Box::new(self.connections.clone()),
            Box::new(self.changes.clone()),
            Box::new(self.clock_ahead.clone()),
            Box::new(self.runtimes.clone()),
            Box::new(ProcessCollector::for_self()),
            Box::new(build),
        ];
        all.into_iter().for_each(|collector| valid(self.registry.register(collector)));
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

const WAITS: &[f64] = &[0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];
const RATIOS: &[f64] = &[0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0];
const LATENCIES: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("vestibule_{name}"), help)
}

fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    valid(IntCounterVec::new(opts(name, help), labels))
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    valid(IntGaugeVec::new(opts(name, help), labels))
}

fn floats(name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    valid(GaugeVec::new(opts(name, help), labels))
}

fn histograms(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    let opts = HistogramOpts { common_opts: opts(name, help), buckets: buckets.to_vec() };
    valid(HistogramVec::new(opts, labels))
}

fn valid<T>(made: prometheus::Result<T>) -> T {
    made.expect("metric names are distinct and well formed")
}
