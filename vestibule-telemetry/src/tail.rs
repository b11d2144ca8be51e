//! Which traces are kept: it is decided when the last span of a trace has ended here.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceId, TraceState,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample, Span, SpanData, SpanProcessor};
use prometheus::IntCounterVec;
use tokio::sync::mpsc;

use crate::Share;

/// How many parts what is kept back is split into, so that threads seldom meet.
const SHARDS: usize = 16;

/// How many traces may be under way in each of them.
const SHARD_CAP: usize = 2_048;

/// The most spans that are kept of one trace.
const SPANS_CAP: usize = 128;

/// Marks the traces that are kept whatever becomes of them: those of the share, and those that their first process marks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling(pub(crate) Share);

/// Keeps back the spans of each trace until none is open.
#[derive(Debug)]
pub(crate) struct Tail {
    shards: [Mutex<HashMap<TraceId, Trace>>; SHARDS],
    slow: Duration,
    kept: mpsc::Sender<Vec<SpanData>>,
    fates: IntCounterVec,
}

/// One trace, as far as it has come in this process.
#[derive(Debug, Default)]
struct Trace {
    open: usize,
    is_worth_keeping: bool,
    ended: Vec<SpanData>,
}

impl ShouldSample for Sampling {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let parent = parent.map(|context| context.span().span_context().clone()).filter(SpanContext::is_valid);
        let (_, random) = halves(trace);
        let is_kept = parent.as_ref().map_or_else(|| self.0.takes(random), SpanContext::is_sampled);
        SamplingResult {
            decision: if is_kept { SamplingDecision::RecordAndSample } else { SamplingDecision::RecordOnly },
            attributes: Vec::new(),
            trace_state: parent.map_or(TraceState::NONE, |parent| parent.trace_state().clone()),
        }
    }
}

impl Tail {
    pub(crate) fn new(slow: Duration, kept: mpsc::Sender<Vec<SpanData>>, fates: IntCounterVec) -> Self {
        Self { shards: Default::default(), slow, kept, fates }
    }

    fn shard(&self, trace: TraceId) -> MutexGuard<'_, HashMap<TraceId, Trace>> {
        let (_, random) = halves(trace);
        // A panic cannot leave a trace half noted.
        self.shards[random as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, spans: usize) {
        self.fates.with_label_values(&["dropped"]).inc_by(spans as u64);
    }

    /// Notes the end of a span; returns its trace when it was the last and all of them are worth keeping.
    fn end(&self, span: SpanData) -> Option<Vec<SpanData>> {
        let mut shard = self.shard(span.span_context.trace_id());
        let Entry::Occupied(mut entry) = shard.entry(span.span_context.trace_id()) else {
            self.lose(1);
            return None;
        };
        let trace = entry.get_mut();
        trace.open -= 1;
        trace.is_worth_keeping |= is_worth_keeping(&span, self.slow);
        if trace.ended.len() < SPANS_CAP {
            trace.ended.push(span);
        } else {
            self.lose(1);
        }
        if trace.open > 0 {
            return None;
        }
        let trace = entry.remove();
        trace.is_worth_keeping.then_some(trace.ended)
    }
}

impl SpanProcessor for Tail {
    fn on_start(&self, span: &mut Span, _: &Context) {
        let id = span.span_context().trace_id();
        let mut shard = self.shard(id);
        if shard.len() < SHARD_CAP || shard.contains_key(&id) {
            shard.entry(id).or_default().open += 1;
        }
    }

    fn on_end(&self, span: SpanData) {
        let Some(spans) = self.end(span) else { return };
        if let Err(full) = self.kept.try_send(spans) {
            self.lose(full.into_inner().len());
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// A trace is kept for the sake of a span that is marked, that failed, or that was slow as the first in this process.
fn is_worth_keeping(span: &SpanData, slow: Duration) -> bool {
    let is_first_here = span.parent_span_id == SpanId::INVALID || span.parent_span_is_remote;
    let took = span.end_time.duration_since(span.start_time).unwrap_or_default();
    span.span_context.is_sampled() || matches!(span.status, Status::Error { .. }) || (is_first_here && took > slow)
}

fn halves(trace: TraceId) -> (u64, u64) {
    let id = u128::from_be_bytes(trace.to_bytes());
    ((id >> 64) as u64, id as u64)
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{TraceFlags, Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
    use prometheus::Opts;

    use super::*;

    struct Bench {
        tracer: SdkTracer,
        kept: mpsc::Receiver<Vec<SpanData>>,
        fates: IntCounterVec,
    }

    impl Bench {
        fn new(share: f64, slow: Duration, waiting_cap: usize) -> Self {
            let (sender, kept) = mpsc::channel(waiting_cap);
            let fates = IntCounterVec::new(Opts::new("spans", "spans"), &["fate"]).unwrap();
            let provider = SdkTracerProvider::builder()
                .with_sampler(Sampling(Share::of(share).unwrap()))
                .with_span_processor(Tail::new(slow, sender, fates.clone()))
                .build();
            Self { tracer: provider.tracer("test"), kept, fates }
        }

        /// Plays a request of two spans; returns the names of what is kept of it.
        fn play(&mut self, parent: &Context, status: Status) -> Vec<String> {
            let first = self.tracer.start_with_context("first", parent);
            let within = parent.with_span(first);
            let mut second = self.tracer.start_with_context("second", &within);
            second.set_status(status);
            drop(second);
            assert!(self.kept.try_recv().is_err(), "nothing is sent before the last span has ended");
            drop(within);
            self.kept.try_recv().unwrap_or_default().iter().map(|span| span.name.to_string()).collect()
        }

        fn lost(&self) -> u64 {
            self.fates.with_label_values(&["dropped"]).get()
        }
    }

    const ANY_TIME: Duration = Duration::MAX;

    #[test]
    fn the_slow_the_failed_and_a_share_are_kept_whole() {
        let (root, fine) = (Context::new(), Status::Unset);
        let failed = Status::error("no answer");
        assert_eq!(Bench::new(0.0, ANY_TIME, 4).play(&root, fine.clone()), [""; 0]);
        assert_eq!(Bench::new(0.0, ANY_TIME, 4).play(&root, failed), ["second", "first"]);
        assert_eq!(Bench::new(0.0, Duration::ZERO, 4).play(&root, fine.clone()), ["second", "first"]);
        assert_eq!(Bench::new(1.0, ANY_TIME, 4).play(&root, fine), ["second", "first"]);
    }

    #[test]
    fn what_the_process_before_has_marked_is_kept() {
        let remote = |flags| {
            let context = SpanContext::new(7_u128.into(), 9_u64.into(), flags, true, TraceState::NONE);
            Context::new().with_remote_span_context(context)
        };
        assert_eq!(Bench::new(0.0, ANY_TIME, 4).play(&remote(TraceFlags::SAMPLED), Status::Unset), ["second", "first"]);
        assert_eq!(Bench::new(1.0, ANY_TIME, 4).play(&remote(TraceFlags::NOT_SAMPLED), Status::Unset), [""; 0]);
        // It has a parent elsewhere, and is yet the first here.
        assert_eq!(Bench::new(1.0, Duration::ZERO, 4).play(&remote(TraceFlags::NOT_SAMPLED), Status::Unset).len(), 2);
    }

    #[test]
    fn everything_is_bounded_and_what_is_lost_is_counted() {
        let mut bench = Bench::new(1.0, ANY_TIME, 1);
        let traces: Vec<_> = (0..SHARDS * SHARD_CAP + 99).map(|_| bench.tracer.start("open")).collect();
        drop(traces);
        assert!(bench.lost() >= 99, "{}", bench.lost());
        assert_eq!(bench.kept.try_recv().unwrap().len(), 1);

        let before = bench.lost();
        let within = Context::new().with_span(bench.tracer.start("first"));
        (0..SPANS_CAP + 6).for_each(|_| drop(bench.tracer.start_with_context("second", &within)));
        drop(within);
        assert_eq!(bench.kept.try_recv().unwrap().len(), SPANS_CAP);
        assert_eq!(bench.lost() - before, 7);
    }
}
