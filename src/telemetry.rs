//! What this gateway tells of a request: its id, and the spans of its trace.
//!
//! The attributes are those of OpenTelemetry's semantic conventions for HTTP and databases (1.37, 2025), without the path
//! and the query of what is forwarded: these are the site's, and may name a person.

use std::fmt::{self, Write as _};

use hyper::header::HeaderValue;
use hyper::{Method, Request};
use tracing::field::Empty;
use tracing::{Span, info_span};
pub use vestibule_telemetry::{
    Endpoint, LogForm, Share, TraceFault, TraceRules, Traces, answered, failed, pass_on, together,
};
use vestibule_telemetry::{TARGET, continue_from, id_of, method_word, start_logs};

/// Begins to log, and to trace if there are rules for that. The environment's `VESTIBULE_LOG` chooses what is logged, in the
/// form of `tracing`'s filter; by default all from `info` on.
///
/// # Errors
/// [`TraceFault`]; then there are logs and no traces.
pub fn start(form: LogForm, rules: Option<&TraceRules>) -> Result<Option<Traces>, TraceFault> {
    let traces = rules.map(|rules| Traces::start(rules, "vestibule", "vestibule")).transpose();
    let wished = std::env::var("VESTIBULE_LOG").ok();
    start_logs(form, wished.as_deref(), traces.as_ref().ok().and_then(Option::as_ref));
    traces
}

/// The id of a request, the same in every log line, trace and process that it touches: that of its trace, where it has
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(u128);

impl RequestId {
    /// Takes the id of a span's trace; where there is no trace, makes one by `chance`.
    pub fn of(span: &Span, chance: impl FnOnce() -> u128) -> Self {
        Self(id_of(span).unwrap_or_else(chance))
    }
}

impl RequestId {
    /// Returns it as headers say it: 32 hexadecimal digits.
    #[must_use]
    pub fn header_value(self) -> HeaderValue {
        HeaderValue::from_bytes(&self.digits()).expect("digits may stand in a header")
    }

    /// Returns those digits.
    #[must_use]
    pub fn digits(self) -> [u8; 32] {
        let mut digits = [0; 32];
        hex::encode_to_slice(self.0.to_be_bytes(), &mut digits).expect("two digits for each byte");
        digits
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digits().into_iter().try_for_each(|digit| f.write_char(char::from(digit)))
    }
}

/// Begins the span of a visitor's request. It goes on with the trace that the request names if that `is_believed`.
pub fn request<B>(request: &Request<B>, scheme: &'static str, is_believed: impl FnOnce() -> bool) -> Span {
    let method = method_word(request.method());
    let span = info_span!(
        target: TARGET,
        "request",
        otel.kind = "server",
        otel.name = method,
        otel.status_code = Empty,
        otel.status_description = Empty,
        request_id = Empty,
        http.request.method = method,
        http.response.status_code = Empty,
        http.route = Empty,
        url.scheme = scheme,
        network.protocol.version = version(request.version()),
        "error.type" = Empty,
        vestibule.room = Empty,
        vestibule.decision = Empty,
    );
    if !span.is_disabled() && is_believed() {
        continue_from(&span, request.headers());
    }
    span
}

/// Says which of the gateway's own paths a request is for.
pub fn route(span: &Span, method: &Method, route: &str) {
    if !span.is_disabled() {
        span.record("http.route", route);
        span.record("otel.name", format!("{} {route}", method_word(method)));
    }
}

/// Says what was decided about a request, in which room.
pub fn decided(span: &Span, room: &str, decision: &'static str) {
    span.record("vestibule.room", room);
    span.record("vestibule.decision", decision);
}

/// Begins the span of one attempt to have an address of the upstream answer.
pub fn attempt(method: &Method, host: &str, port: u16, before: usize) -> Span {
    let method = method_word(method);
    info_span!(
        target: TARGET,
        "attempt",
        otel.kind = "client",
        otel.name = method,
        otel.status_code = Empty,
        otel.status_description = Empty,
        http.request.method = method,
        http.request.resend_count = before,
        http.response.status_code = Empty,
        server.address = host,
        server.port = port,
        "error.type" = Empty,
    )
}

/// Begins the span of a verb of the line, whichever store keeps it.
pub fn verb(verb: &str) -> Span {
    info_span!(
        target: TARGET,
        "line",
        otel.name = format!("line {verb}"),
        otel.status_code = Empty,
        otel.status_description = Empty,
        "error.type" = Empty,
    )
}

/// Begins the span of somebody who waits at a room's door for a number.
pub fn door() -> Span {
    info_span!(target: TARGET, "door")
}

/// Begins the span of a call to the store for all who were at the door.
pub fn joining(parent: &Span, count: usize) -> Span {
    info_span!(target: TARGET, parent: parent, "joining", vestibule.joining = count)
}

/// Begins the span of one message to Redis.
pub fn redis() -> Span {
    info_span!(
        target: TARGET,
        "redis",
        otel.kind = "client",
        otel.status_code = Empty,
        otel.status_description = Empty,
        db.system.name = "redis",
        "error.type" = Empty,
    )
}

fn version(version: hyper::Version) -> &'static str {
    if version == hyper::Version::HTTP_2 { "2" } else { "1.1" }
}
