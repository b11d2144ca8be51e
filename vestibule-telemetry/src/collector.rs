//! A collector for tests: takes what is sent over OTLP/HTTP and shows it.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode as Outcome};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One span, as a collector sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenSpan {
    /// Which process it is from.
    pub service: String,
    /// The trace, in hexadecimal digits.
    pub trace: String,
    /// The span, in hexadecimal digits.
    pub id: String,
    /// The span it is a part of; empty for the first of a trace.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// 1 internal, 2 server, 3 client, as in the protocol.
    pub kind: i32,
    /// What it says.
    pub attributes: BTreeMap<String, String>,
    /// Whether it failed.
    pub is_failed: bool,
    /// How many other spans it is linked with.
    pub links: usize,
}

/// A collector on a free port; it ends with its owner.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    serving: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    spans: Vec<SeenSpan>,
    bytes: Vec<u8>,
}

impl Collector {
    /// Starts to take traces.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, seen) = (listener.local_addr()?, Arc::<Mutex<Seen>>::default());
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&seen));
        let serving = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { address, seen, serving })
    }

    /// Returns where it listens, for a configuration.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns what it has got so far.
    #[must_use]
    pub fn spans(&self) -> Vec<SeenSpan> {
        lock(&self.seen).spans.clone()
    }

    /// Returns the same as it came.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        lock(&self.seen).bytes.clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn take(State(seen): State<Arc<Mutex<Seen>>>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body.clone()) else { return StatusCode::BAD_REQUEST };
    let mut seen = lock(&seen);
    seen.bytes.extend_from_slice(&body);
    for part in request.resource_spans {
        let attributes = part.resource.map(|resource| texts(resource.attributes)).unwrap_or_default();
        let service = attributes.get("service.name").cloned().unwrap_or_default();
        let spans = part.scope_spans.into_iter().flat_map(|scope| scope.spans);
        seen.spans.extend(spans.map(|span| seen_span(&service, span)));
    }
    StatusCode::OK
}

fn seen_span(service: &str, span: Span) -> SeenSpan {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    SeenSpan {
        service: service.to_owned(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name,
        kind: span.kind,
        is_failed: span.status.is_some_and(|status| status.code == Outcome::Error as i32),
        links: span.links.len(),
        attributes: texts(span.attributes),
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}
