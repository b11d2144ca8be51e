//! The figures of one process, passed to whoever counts; there is no global registry.

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// Counts and measures what the booking core does.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Requests for seats by result: `granted`, `replayed`, `sold_out`, `seat_taken`, `refused`, `busy`, `failed`.
    pub holds: IntCounterVec,
    /// Seconds from a request for seats to its answer.
    pub hold_seconds: Histogram,
    /// Times that a database did not say whether it knows an order under the same key.
    pub keys_unchecked: IntCounter,
    /// Attempts to lock chosen seats in Redis, by result: `ours`, `others`, `unknown`.
    pub seat_locks: IntCounterVec,
    /// Requests in one commit.
    pub batch_size: Histogram,
    /// Decisions on holds and payments in one commit.
    pub decision_batch_size: Histogram,
    /// Seats on sale, for the rows of which seats were taken lately; bounded in number.
    pub available: IntGaugeVec,
    /// Holds not paid for and not over, as of the last count, which is made every 15 seconds and goes to 100,000.
    pub holds_active: IntGauge,
    /// Payments by result: `refused`, `replayed`, or the state in which the answer left them, such as `kept`.
    pub payments: IntCounterVec,
    /// Refunds done.
    pub refunds: IntCounter,
    /// Refunds that failed, before they were done or after; each is made again.
    pub refunds_failed: IntCounter,
    /// Payments of which a refund failed and the one that stands in for it is not done, as of the last count, which is made
    /// every 15 seconds.
    pub refunds_failing: IntGauge,
    /// Reservations of money that were let go.
    pub voids: IntCounter,
    /// Payments whose money the ledger and the payment tell differently, as of the last whole audit.
    pub ledger_faults: IntGauge,
    /// What each account of the ledger stands at, in paise, as of the last whole audit.
    pub ledger_paise: IntGaugeVec,
    /// Charges of which the provider says something else than our books, and that nothing here can put right,
    /// as of the last whole comparison.
    pub discrepancies: IntGauge,
    /// Databases that did not answer, as of the last look.
    pub databases_away: IntGauge,
    /// Charges found at the provider that nobody here knew.
    pub orphans: IntCounter,
    /// Age of the oldest task that is due.
    pub outbox_lag_seconds: Gauge,
    /// Background work that failed on one row and went on with the others, by worker.
    pub worker_faults: IntCounterVec,
    /// News for gateways that waits to be told.
    pub notices_waiting: IntGauge,
    /// News a gateway did not take, told again later.
    pub notice_failures: IntCounter,
}

impl Metrics {
    /// Makes a fresh set, all at zero.
    ///
    /// # Panics
    /// Never: the names are constants that are known to be valid and different.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        of_this_process(&registry);
        Self {
            holds: keep(
                &registry,
                IntCounterVec::new(opts("holds_total", "Requests for seats by result"), &["result"]),
            ),
            hold_seconds: keep(&registry, histogram("hold_seconds", "Time to answer a request for seats", 0.000_25)),
            keys_unchecked: keep(
                &registry,
                IntCounter::with_opts(opts("keys_unchecked_total", "Keys of which a database did not tell their use")),
            ),
            seat_locks: keep(
                &registry,
                IntCounterVec::new(opts("seat_locks_total", "Attempts to lock chosen seats by result"), &["result"]),
            ),
            batch_size: keep(&registry, histogram("batch_size", "Requests in one commit", 1.0)),
            decision_batch_size: keep(
                &registry,
                histogram("decision_batch_size", "Decisions on holds and payments in one commit", 1.0),
            ),
            available: keep(&registry, IntGaugeVec::new(opts("available", "Seats on sale"), &["inventory"])),
            holds_active: keep(
                &registry,
                IntGauge::with_opts(opts(
                    "holds_active",
                    "Holds that keep seats; as many as are counted, 100000, or more",
                )),
            ),
            payments: keep(&registry, IntCounterVec::new(opts("payments_total", "Payments by result"), &["result"])),
            refunds: keep(&registry, IntCounter::with_opts(opts("refunds_total", "Refunds done"))),
            refunds_failed: keep(&registry, IntCounter::with_opts(opts("refunds_failed_total", "Refunds that failed"))),
            refunds_failing: keep(
                &registry,
                IntGauge::with_opts(opts("refunds_failing", "Payments whose money could not be given back yet")),
            ),
            voids: keep(&registry, IntCounter::with_opts(opts("voids_total", "Reservations of money let go"))),
            ledger_faults: keep(
                &registry,
                IntGauge::with_opts(opts("ledger_faults", "Payments the ledger contradicts")),
            ),
            ledger_paise: keep(
                &registry,
                IntGaugeVec::new(opts("ledger_paise", "What each account stands at, in paise"), &["account"]),
            ),
            discrepancies: keep(
                &registry,
                IntGauge::with_opts(opts("reconciler_discrepancies", "Charges the provider tells differently")),
            ),
            databases_away: keep(
                &registry,
                IntGauge::with_opts(opts("databases_away", "Databases that do not answer")),
            ),
            orphans: keep(
                &registry,
                IntCounter::with_opts(opts("reconciler_orphans_total", "Charges found that nobody knew")),
            ),
            outbox_lag_seconds: keep(&registry, Gauge::with_opts(opts("outbox_lag_seconds", "Age of the oldest task"))),
            worker_faults: keep(
                &registry,
                IntCounterVec::new(opts("worker_faults_total", "Rows a worker could not process"), &["worker"]),
            ),
            notices_waiting: keep(&registry, IntGauge::with_opts(opts("notices_waiting", "News waiting to be told"))),
            notice_failures: keep(&registry, IntCounter::with_opts(opts("notice_failures_total", "News not taken"))),
            registry,
        }
    }

    /// Shows what somebody else counts; of two of one name, the first.
    pub fn also(&self, collector: impl Collector + 'static) {
        let _ = self.registry.register(Box::new(collector));
    }

    /// Writes everything in the text format of Prometheus.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let written = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        debug_assert!(written.is_ok(), "writing into memory does not fail");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("booking_{name}"), help)
}

/// Makes a histogram of 16 buckets, each twice as wide as the one before.
fn histogram(name: &str, help: &str, first: f64) -> prometheus::Result<Histogram> {
    let buckets = (0..16).map(|power| first * f64::from(1 << power)).collect();
    Histogram::with_opts(HistogramOpts::from(opts(name, help)).buckets(buckets))
}

/// Adds the memory, files and processor time of this process, where the system tells them.
#[expect(clippy::expect_used, reason = "a registry of its own takes each collector once")]
fn of_this_process(registry: &Registry) {
    registry.register(Box::new(ProcessCollector::for_self())).expect("the registry is new");
}

#[expect(clippy::expect_used, reason = "constants, checked by the test below")]
fn keep<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let collector = made.expect("the name of a metric is valid");
    registry.register(Box::new(collector.clone())).expect("each metric is registered once");
    collector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_every_metric_of_the_contract() {
        let metrics = Metrics::new();
        metrics.holds.with_label_values(&["granted"]).inc();
        metrics.payments.with_label_values(&["kept"]).inc();
        metrics.available.with_label_values(&["12951:2026-11-23:3A"]).set(7);
        let text = String::from_utf8(metrics.render()).unwrap();
        for name in [
            "booking_holds_total{result=\"granted\"} 1",
            "booking_hold_seconds_count 0",
            "booking_batch_size_count 0",
            "booking_decision_batch_size_count 0",
            "booking_available{inventory=\"12951:2026-11-23:3A\"} 7",
            "booking_holds_active 0",
            "booking_payments_total{result=\"kept\"} 1",
            "booking_refunds_total 0",
            "booking_reconciler_orphans_total 0",
            "booking_outbox_lag_seconds 0",
            "process_resident_memory_bytes",
        ] {
            assert!(text.contains(name), "{name} in\n{text}");
        }
    }
}
