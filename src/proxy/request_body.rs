//! The visitor's body on its way up: bounded and counted, with the trailers that may cross.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::{BoxError, ProxyFault, VisitorBody, trailers};

/// The least that must arrive from a visitor in one waiting period of the header timeout, in bytes.
const MIN_PROGRESS_BYTES: u64 = 1024;

/// What the body is doing; told by the side that reads it, asked by the side that waits for the answer.
#[derive(Debug, Default)]
pub(super) struct Upload {
    passed_bytes: AtomicU64,
    state: AtomicU8,
}

/// The upstream has not taken what there is.
const HELD_UP: u8 = 0;
/// The visitor has sent nothing more.
const WAITING: u8 = 1;
/// All of it is up.
const DONE: u8 = 2;
/// It grew over the limit.
const TOO_LARGE: u8 = 3;
/// The visitor broke off.
const BROKEN: u8 = 4;

impl Upload {
    /// Says whether all of the body was taken, so that its connection may serve another request.
    pub(super) fn is_done(&self) -> bool {
        self.state() == DONE
    }

    /// Says whose fault a failed exchange is, when it is the body's.
    pub(super) fn fault(&self) -> Option<ProxyFault> {
        match self.state() {
            TOO_LARGE => Some(ProxyFault::BodyTooLarge),
            BROKEN => Some(ProxyFault::ClientGone),
            _ => None,
        }
    }

    /// Judges one waiting period without an answer: `Ok` when the body moved on in it, so that the upstream
    /// cannot have answered yet.
    pub(super) fn judge_wait(&self, progress: &mut Progress) -> Result<(), ProxyFault> {
        let now = Progress { passed_bytes: self.passed_bytes.load(Ordering::Relaxed), done: self.is_done() };
        let before = std::mem::replace(progress, now);
        let moved = progress.passed_bytes - before.passed_bytes >= MIN_PROGRESS_BYTES;
        match self.state() {
            _ if moved || progress.done != before.done => Ok(()),
            WAITING => Err(ProxyFault::ClientStalled),
            _ => Err(ProxyFault::HeaderTimeout),
        }
    }

    fn state(&self) -> u8 {
        self.state.load(Ordering::Relaxed)
    }

    fn becomes(&self, state: u8) {
        self.state.store(state, Ordering::Relaxed);
    }
}

/// How far an upload was at the end of the last waiting period.
#[derive(Debug, Default)]
pub(super) struct Progress {
    passed_bytes: u64,
    done: bool,
}

/// Streams a request's body upstream.
#[derive(Debug)]
pub(super) struct RequestBody(Option<Streamed>);

#[derive(Debug)]
struct Streamed {
    incoming: VisitorBody,
    left_bytes: u64,
    upload: Arc<Upload>,
}

impl RequestBody {
    /// Returns the body of a request that has none.
    pub(super) const fn empty() -> Self {
        Self(None)
    }

    /// Wraps `incoming`, of which at most `limit_bytes` may pass.
    ///
    /// # Errors
    ///
    /// [`ProxyFault::BodyTooLarge`] when its declared length is over the limit already.
    pub(super) fn new(incoming: VisitorBody, limit_bytes: u64) -> Result<(Self, Option<Arc<Upload>>), ProxyFault> {
        if incoming.is_end_stream() {
            return Ok((Self::empty(), None));
        }
        if incoming.size_hint().lower() > limit_bytes {
            return Err(ProxyFault::BodyTooLarge);
        }
        let upload = Arc::new(Upload::default());
        let streamed = Streamed { incoming, left_bytes: limit_bytes, upload: Arc::clone(&upload) };
        Ok((Self(Some(streamed)), Some(upload)))
    }
}

impl Streamed {
    fn pass(&mut self, data: Bytes) -> Result<Frame<Bytes>, BoxError> {
        let bytes = data.len() as u64;
        let Some(left_bytes) = self.left_bytes.checked_sub(bytes) else {
            self.upload.becomes(TOO_LARGE);
            return Err(ProxyFault::BodyTooLarge.into());
        };
        self.left_bytes = left_bytes;
        self.upload.passed_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.upload.becomes(if self.incoming.is_end_stream() { DONE } else { HELD_UP });
        Ok(Frame::data(data))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(streamed) = &mut self.get_mut().0 else {
            return Poll::Ready(None);
        };
        streamed.upload.becomes(WAITING);
        let frame = ready!(Pin::new(&mut streamed.incoming).poll_frame(cx)).transpose();
        Poll::Ready(match frame.map(|frame| frame.map(Frame::into_data)) {
            Ok(Some(Ok(data))) => Some(streamed.pass(data)),
            Ok(Some(Err(last))) => {
                streamed.upload.becomes(DONE);
                trailers::cleaned_frame(last).map(Ok)
            }
            Ok(None) => {
                streamed.upload.becomes(DONE);
                None
            }
            Err(fault) => {
                streamed.upload.becomes(BROKEN);
                Some(Err(fault.into()))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|streamed| streamed.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let streamed = self.0.as_ref();
        streamed.map_or_else(|| SizeHint::with_exact(0), |streamed| streamed.incoming.size_hint())
    }
}
