//! What spans say of how something went, in the words of OpenTelemetry's semantic conventions.

use std::fmt;

use http::{Method, StatusCode};
use tracing::Span;

/// Notes the status of an answer; one of 5xx is a failure if `is_failure` says so.
pub fn answered(span: &Span, status: StatusCode, is_failure: bool) {
    span.record("http.response.status_code", status.as_u16());
    if is_failure && status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", status.as_str());
    }
}

/// Notes that what a span is about has failed: its trace is kept.
pub fn failed(span: &Span, fault: &dyn fmt::Display) {
    if !span.is_disabled() {
        span.record("otel.status_code", "ERROR");
        span.record("otel.status_description", fault.to_string());
        span.record("error.type", "_OTHER");
    }
}

/// Names a method; all that are not usual are named alike.
#[must_use]
pub fn method_word(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}
