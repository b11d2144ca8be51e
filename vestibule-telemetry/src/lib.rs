//! What a process tells of itself while it runs: logs, traces of requests, as OpenTelemetry has them, and what a command
//! prints.
//!
//! Spans are made with `tracing`, under the target [`TARGET`]; where nothing is to be traced they cost a look at a flag.
//! The spans of a request are kept back until its last one has ended. Only then is it known whether the request was slow
//! or failed (`tail`), and what is worth keeping goes to a collector over OTLP (`carrier`). Whatever is kept back, or
//! waits for the collector, is bounded; what there is no space for is counted and lost.

mod logs;

mod voice;

mod rules;

mod context;

mod spans;

mod tail;

mod carrier;

#[cfg(feature = "collector")]
pub mod collector;

pub use context::{continue_from, id_of, pass_on, together};
pub use logs::{LogForm, start_logs};
pub use rules::{BadEndpoint, BadShare, Endpoint, Share, TraceRules};
pub use spans::{answered, failed, method_word};
pub use voice::say_line;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use prometheus::{IntCounterVec, Opts};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Metadata;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, Filtered, filter_fn};
use tracing_subscriber::registry::LookupSpan;

use carrier::Carrier;
use tail::{Sampling, Tail};

/// The target of every span that belongs to a trace.
pub const TARGET: &str = "request_span";

/// How many traces may wait for the collector.
const WAITING_CAP: usize = 4_096;

/// The part of the logs that makes spans into traces.
pub type TraceLayer<S> = Filtered<OpenTelemetryLayer<S, SdkTracer>, FilterFn, S>;

/// Says why no traces can be sent.
#[derive(Debug, Error)]
pub enum TraceFault {
    /// The system has no certificates to check the collector's by.
    #[error("traces: this system has no certificate store to check the collector's by: {0}; install ca-certificates")]
    Certificates(std::io::Error),
    /// The collector's address.
    #[error("traces: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Sends traces until [`Traces::stop`].
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    /// Counts spans by what became of them: `sent`, `dropped` where there was no space, `failed` where the collector did
    /// not take them.
    fates: IntCounterVec,
    stop: CancellationToken,
    carrier: JoinHandle<()>,
}

impl Traces {
    /// Begins to send the traces of a service; `prefix` begins the name of its metric.
    ///
    /// # Errors
    /// [`TraceFault`].
    ///
    /// # Panics
    /// Outside a runtime of tokio, and with a prefix that no metric may have.
    pub fn start(rules: &TraceRules, service: &'static str, prefix: &str) -> Result<Self, TraceFault> {
        let fates =
            IntCounterVec::new(Opts::new(format!("{prefix}_spans_total"), "Spans by what became of them"), &["fate"])
                .expect("the prefix begins a metric's name");
        let resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.name", service),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("service.instance.id", format!("{:016x}", std::process::id())),
            ])
            .build();
        let (kept, waiting) = mpsc::channel(WAITING_CAP);
        let stop = CancellationToken::new();
        let carrier = Carrier::new(rules, &resource, waiting, fates.clone(), stop.clone())?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(Sampling(rules.sample_ratio))
            .with_span_processor(Tail::new(rules.slow, kept, fates.clone()))
            .build();
        let tracer = provider.tracer("vestibule");
        Ok(Self { provider, tracer, fates, stop, carrier: tokio::spawn(carrier.run()) })
    }

    /// Returns the part of the logs that makes spans into traces.
    #[must_use]
    pub fn layer<S>(&self) -> TraceLayer<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let is_ours: fn(&Metadata<'_>) -> bool = |metadata| metadata.is_span() && metadata.target() == TARGET;
        let layer = OpenTelemetryLayer::new(self.tracer.clone());
        layer.with_location(false).with_threads(false).with_tracked_inactivity(false).with_filter(filter_fn(is_ours))
    }

    /// Returns the count of spans, for a registry of metrics.
    #[must_use]
    pub fn fates(&self) -> IntCounterVec {
        self.fates.clone()
    }

    /// Sends what is kept, for a few seconds at the most, and ends.
    pub async fn stop(self) {
        self.stop.cancel();
        if self.carrier.await.is_err() {
            tracing::error!("what sends traces has panicked");
        }
        drop(self.provider);
    }
}
