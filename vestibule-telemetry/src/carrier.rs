//! Takes traces to the collector: those that come while it takes some go together the next time.

use std::time::Duration;

use http::HeaderValue;
use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use prometheus::IntCounterVec;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{TraceFault, TraceRules};

/// For how long the collector may take for one message, tries of the same included.
const PATIENCE: Duration = Duration::from_secs(5);

/// For how long more traces are waited for before a message goes.
const GATHERING: Duration = Duration::from_millis(200);

/// How many traces go in one message.
const BATCH: usize = 512;

/// What takes traces to the collector.
pub(crate) struct Carrier {
    exporter: SpanExporter,
    waiting: mpsc::Receiver<Vec<SpanData>>,
    fates: IntCounterVec,
    stop: CancellationToken,
}

impl Carrier {
    pub(crate) fn new(
        rules: &TraceRules,
        resource: &Resource,
        waiting: mpsc::Receiver<Vec<SpanData>>,
        fates: IntCounterVec,
        stop: CancellationToken,
    ) -> Result<Self, TraceFault> {
        let mut exporter = exporter(rules)?;
        exporter.set_resource(resource);
        Ok(Self { exporter, waiting, fates, stop })
    }

    /// Carries until it is told to stop, and then what waits already.
    pub(crate) async fn run(mut self) {
        let (mut traces, mut was_taken) = (Vec::new(), true);
        loop {
            if self.stop.run_until_cancelled(self.waiting.recv_many(&mut traces, 1)).await.is_none() {
                self.waiting.close();
                let last = timeout(PATIENCE, self.waiting.recv_many(&mut traces, BATCH)).await;
                if last.is_ok() && !traces.is_empty() {
                    self.send(&mut traces, was_taken).await;
                }
                return;
            }
            self.stop.run_until_cancelled(tokio::time::sleep(GATHERING)).await;
            while traces.len() < BATCH
                && let Ok(trace) = self.waiting.try_recv()
            {
                traces.push(trace);
            }
            was_taken = self.send(&mut traces, was_taken).await;
        }
    }

    /// Sends what has gathered; returns whether it was taken.
    async fn send(&self, traces: &mut Vec<Vec<SpanData>>, was_taken: bool) -> bool {
        let spans: Vec<SpanData> = traces.drain(..).flatten().collect();
        let count = spans.len() as u64;
        let sent = self.exporter.export(spans).await;
        if let Err(fault) = &sent
            && was_taken
        {
            tracing::warn!(%fault, "the collector takes no traces; they are lost until it does");
        }
        if sent.is_ok() && !was_taken {
            tracing::info!("the collector takes traces again");
        }
        self.fates.with_label_values(&[if sent.is_ok() { "sent" } else { "failed" }]).inc_by(count);
        sent.is_ok()
    }
}

fn exporter(rules: &TraceRules) -> Result<SpanExporter, TraceFault> {
    let builder = SpanExporter::builder().with_http().with_endpoint(rules.endpoint.to_string()).with_timeout(PATIENCE);
    // What the environment says for the whole machine is not ours to send.
    let nobody: Option<HeaderValue> = None;
    let builder = if rules.endpoint.is_encrypted() {
        let cryptography = rustls::crypto::aws_lc_rs::default_provider();
        let trusting = HttpsConnectorBuilder::new().with_provider_and_native_roots(cryptography);
        let connector = trusting.map_err(TraceFault::Certificates)?.https_only().enable_http1().build();
        builder.with_http_client(HyperClient::new(connector, PATIENCE, nobody))
    } else {
        builder.with_http_client(HyperClient::with_default_connector(PATIENCE, nobody))
    };
    Ok(builder.build()?)
}
