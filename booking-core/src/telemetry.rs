//! What is told of a request while it is served: its id, and the spans of its trace.
//!
//! The attributes are those of OpenTelemetry's semantic conventions for HTTP and databases (1.37, 2025). Paths are told as
//! routes: whoever knows a hold's id may pay it.

use http::Request;
use hyper::http;
use tracing::field::Empty;
use tracing::{Span, info_span};
use vestibule_telemetry::{TARGET, continue_from, id_of, method_word};

/// How long an id may be that somebody else gave to a request.
const ID_CAP_BYTES: usize = 64;

/// Begins the span of a request to a route. It goes on with the trace that the request names.
pub(crate) fn request<B>(request: &Request<B>, route: &str) -> Span {
    let method = method_word(request.method());
    let span = info_span!(
        target: TARGET,
        "request",
        otel.kind = "server",
        otel.name = format!("{method} {route}"),
        otel.status_code = Empty,
        otel.status_description = Empty,
        request_id = Empty,
        http.request.method = method,
        http.response.status_code = Empty,
        http.route = route,
        url.scheme = "http",
        "error.type" = Empty,
    );
    if !span.is_disabled() {
        continue_from(&span, request.headers());
        name(&span, request.headers().get("x-request-id"));
    }
    span
}

/// Gives a request the id that it came with, or that of its trace.
fn name(span: &Span, given: Option<&http::HeaderValue>) {
    let is_id =
        |id: &&str| id.len() <= ID_CAP_BYTES && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match (given.and_then(|id| id.to_str().ok()).filter(is_id), id_of(span)) {
        (Some(id), _) => span.record("request_id", id),
        (None, Some(id)) => span.record("request_id", format!("{id:032x}")),
        (None, None) => span,
    };
}

/// Begins the span of a commit that serves several who wait.
pub(crate) fn commit(first: &Span, what: &'static str, count: usize) -> Span {
    info_span!(
        target: TARGET,
        parent: first,
        "commit",
        otel.name = what,
        otel.status_code = Empty,
        otel.status_description = Empty,
        db.operation.batch.size = count,
        "error.type" = Empty,
    )
}

/// Begins the span of a call to somebody else's API.
pub(crate) fn call(method: &http::Method, host: &str) -> Span {
    let method = method_word(method);
    info_span!(
        target: TARGET,
        "call",
        otel.kind = "client",
        otel.name = method,
        otel.status_code = Empty,
        otel.status_description = Empty,
        http.request.method = method,
        http.response.status_code = Empty,
        server.address = host,
        "error.type" = Empty,
    )
}
