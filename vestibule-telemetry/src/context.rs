//! The trace that a request belongs to, as W3C Trace Context carries it from process to process.

use http::{HeaderMap, HeaderValue};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{TraceContextExt as _, TraceId};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// How many others the work for several is linked with.
const LINKS_CAP: usize = 16;

/// Makes a span part of the trace that a request's headers name, if they do. Only for headers that are believed: whoever
/// names a trace also says whether it is kept.
pub fn continue_from(span: &Span, headers: &HeaderMap) {
    let is_named_once = headers.get_all("traceparent").iter().count() == 1;
    if is_named_once && !span.is_disabled() {
        let context = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        // It fails only where nothing makes spans into traces.
        let _ = span.set_parent(context);
    }
}

/// Names a span in the headers of a request that is made for it. Returns whether there is a trace to name.
pub fn pass_on(span: &Span, headers: &mut HeaderMap) -> bool {
    let context =
        (!span.is_disabled()).then(|| span.context()).filter(|context| context.span().span_context().is_valid());
    let Some(context) = context else { return false };
    headers.remove("tracestate");
    TraceContextPropagator::new().inject_context(&context, &mut HeaderInjector(headers));
    if headers.get("tracestate").is_some_and(HeaderValue::is_empty) {
        headers.remove("tracestate");
    }
    true
}

/// Returns the id of a span's trace.
#[must_use]
pub fn id_of(span: &Span) -> Option<u128> {
    let context = (!span.is_disabled()).then(|| span.context())?;
    let trace = context.span().span_context().trace_id();
    (trace != TraceId::INVALID).then(|| u128::from_be_bytes(trace.to_bytes()))
}

/// Makes the span of work that is done for several together: it is the first one's, and linked with some of the others.
pub fn together<'a>(waiting: impl IntoIterator<Item = &'a Span>, make: impl FnOnce(&Span) -> Span) -> Span {
    let mut waiting = waiting.into_iter().filter(|span| !span.is_disabled());
    let Some(first) = waiting.next() else { return Span::none() };
    let work = make(first);
    for other in waiting.take(LINKS_CAP) {
        work.add_link(other.context().span().span_context().clone());
    }
    work
}
