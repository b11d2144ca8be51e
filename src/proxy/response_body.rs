//! The one body type of every answer the gateway gives.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::pool::{Coming, Lease};
use super::{BoxError, ProxyFault, trailers};

/// An answer's body: nothing, bytes at hand, the upstream's stream, or any other stream.
///
/// The upstream's is passed on frame by frame as the visitor reads, and gathered only where all of it came with its head; its connection goes back
/// to the pool with its last byte, and is closed when the body is dropped before.
#[derive(Debug)]
pub struct ResponseBody(Kind);

#[derive(Debug)]
enum Kind {
    Full(Bytes),
    /// In a box, for an answer goes through many hands.
    Upstream(Box<Upstream>),
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
}

impl ResponseBody {
    /// Returns a body of no bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Kind::Full(Bytes::new()))
    }

    /// Returns a body of bytes at hand.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Full(bytes.into()))
    }

    /// Returns a body of any other stream.
    pub fn boxed<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Kind::Boxed(body.map_err(Into::into).boxed_unsync()))
    }

    /// Returns the whole of it where that is at hand.
    #[must_use]
    pub const fn at_hand(&self) -> Option<&Bytes> {
        if let Kind::Full(bytes) = &self.0 { Some(bytes) } else { None }
    }

    pub(super) fn upstream(
        mut coming: Coming,
        mut lease: Lease,
        silence_limit: Duration,
        deadline: Option<Instant>,
    ) -> Self {
        if let Some(whole) = lease.at_hand(&mut coming) {
            lease.give_back();
            return Self::full(whole);
        }
        let mut upstream = Upstream { coming, lease: Some(lease), silence_limit, deadline, silence: None, heard: true };
        upstream.give_back_at_end();
        Self(Kind::Upstream(Box::new(upstream)))
    }
}

impl Default for ResponseBody {
    fn default() -> Self {
        Self::empty()
    }
}

#[derive(Debug)]
struct Upstream {
    coming: Coming,
    /// The connection that it comes over; none once it is over.
    lease: Option<Lease>,
    silence_limit: Duration,
    /// When it has to be over, silent or not.
    deadline: Option<Instant>,
    /// Made at the first wait, for most bodies are there at once.
    silence: Option<Pin<Box<Sleep>>>,
    /// Whether something came since the timer was set.
    heard: bool,
}

impl Upstream {
    fn give_back_at_end(&mut self) {
        if self.coming.is_over() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Poll::Ready(Some(Err(ProxyFault::BodyTimeout.into())));
        }
        let Some(lease) = &mut self.lease else { return Poll::Ready(None) };
        let Poll::Ready(frame) = lease.poll_frame(&mut self.coming, cx) else {
            return self.poll_silence(cx).map(|fault| Some(Err(fault.into())));
        };
        self.heard = true;
        Poll::Ready(match frame.transpose() {
            Ok(Some(frame)) if frame.is_data() => {
                self.give_back_at_end();
                Some(Ok(frame))
            }
            Ok(last) => {
                self.give_back();
                last.and_then(trailers::cleaned_frame).map(Ok)
            }
            Err(fault) => Some(Err(fault)),
        })
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<ProxyFault> {
        let limit = self.silence_limit;
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(limit)));
        if std::mem::take(&mut self.heard) {
            let until = Instant::now() + limit;
            silence.as_mut().reset(self.deadline.map_or(until, |deadline| deadline.min(until)));
        }
        ready!(silence.as_mut().poll(cx));
        Poll::Ready(ProxyFault::BodyTimeout)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().0 {
            Kind::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Upstream(upstream) => upstream.poll_frame(cx),
            Kind::Boxed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::Upstream(upstream) => upstream.coming.is_over(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Upstream(upstream) => upstream.coming.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}
