//! Plain requests over connections of our own: one that is all there is written in one piece, and whoever asked reads the
//! answer.
//!
//! hyper drives each connection with a task, which is woken twice for every request and handed all of it through channels.
//! That is worth it where a body streams up, protocols switch or many requests share a connection; most of what is forwarded
//! does none of it, and takes a third fewer instructions without. Heads and the lines of chunks are read by hyper's own reader
//! (`httparse`, strict); how long a body is follows from RFC 9112, section 6.3, and where an answer leaves that open, it is none.

mod framing;
mod head;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::{Response, StatusCode};
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::io::poll_read_buf;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

pub use framing::Framing;
pub use head::take as take_head;

use super::text::Text;
use crate::patience::Limit;

/// Room is made for so much, and for more and more of a long answer.
const READ_BYTES: usize = 8 << 10;

/// The most that room is made for.
const READ_CAP_BYTES: usize = 64 << 10;

/// Why what an upstream says cannot be understood.
#[derive(Debug, Error)]
pub enum WireFault {
    /// It closed the connection, or that broke.
    #[error(transparent)]
    Broken(#[from] io::Error),
    /// Its head is not one of HTTP/1.
    #[error("the head of the answer cannot be read: {0}")]
    Head(#[from] httparse::Error),
    /// There is too much of it: a head or the line before a chunk.
    #[error("the answer has too long a head or line")]
    TooLong,
    /// A status, a name or a value that cannot be.
    #[error("the answer has a status or a header that cannot be")]
    BadHead,
    /// How long the body is can be understood in more than one way, or in none.
    #[error("the answer does not say clearly where it ends")]
    Unclear,
}

/// A connection to an upstream that carries one plain request after the other.
pub(super) struct Wire {
    line: Line,
    /// Whether it carries another request when this one is answered.
    stays: bool,
    /// Whether it has carried a request before.
    is_reused: bool,
    /// How long an answer is waited for.
    patience: Limit,
    _slot: OwnedSemaphorePermit,
}

/// What the upstream says, and what has been heard of it.
struct Line {
    stream: TcpStream,
    heard: BytesMut,
    /// How much is read at once.
    read_bytes: usize,
    /// When no more is to be waited for.
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// Why there is no answer.
pub(super) enum Unanswered {
    /// The upstream took too long.
    TooLate,
    /// It closed the connection, or that broke, without a word.
    Silent(WireFault),
    /// It said something that is no answer.
    Bad(WireFault),
}

impl Wire {
    /// Makes one of a connection, of which there may be as many as there are slots, until `stop`.
    pub(super) fn new(stream: TcpStream, slot: OwnedSemaphorePermit, stop: CancellationToken) -> Self {
        let stop = Box::pin(stop.cancelled_owned());
        let line = Line { stream, heard: BytesMut::new(), read_bytes: READ_BYTES, stop };
        Self { line, stays: true, is_reused: false, patience: Limit::over(), _slot: slot }
    }

    /// Says whether the peer may have closed it before it heard the next request.
    pub(super) const fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Says whether it may carry another request, now that the last answer is over.
    pub(super) fn may_stay(&self) -> bool {
        self.stays && self.line.heard.is_empty()
    }

    /// Lets go of the memory that a long answer took.
    pub(super) fn rest(&mut self) {
        if self.line.heard.capacity() > READ_BYTES {
            self.line.heard = BytesMut::new();
        }
    }

    /// Says whether the peer is there still, and has said nothing that nobody asked for. That costs a look at what the
    /// runtime has heard of the stream, and rarely more.
    pub(super) fn is_ready(&self) -> bool {
        self.line.stream.try_read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request and waits for the head of the answer, for at most `limit`.
    pub(super) async fn exchange(&mut self, request: &Text, limit: Duration) -> Result<Response<Framing>, Unanswered> {
        let Self { line, stays, is_reused, patience, .. } = self;
        patience.put_off(limit);
        *is_reused = true;
        // Until it is known to be over.
        *stays = false;
        let speaking = async {
            // Whoever does not take all of it may have answered nevertheless.
            let sent = line.stream.write_all(request.as_bytes()).await;
            let mut is_silent = true;
            loop {
                let bytes = poll_fn(|cx| line.poll_more(cx)).await;
                if let Err(fault) = bytes {
                    return Err(if is_silent { Unanswered::Silent(fault) } else { Unanswered::Bad(fault) });
                }
                is_silent = false;
                while let Some((answer, may_stay)) =
                    head::take(&mut line.heard, request.method()).map_err(Unanswered::Bad)?
                {
                    if !answer.status().is_informational() || answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                        *stays = may_stay && sent.is_ok();
                        return Ok(answer);
                    }
                }
            }
        };
        let mut speaking = pin!(speaking);
        let outcome = poll_fn(|cx| match speaking.as_mut().poll(cx) {
            Poll::Pending => patience.poll_over(cx).map(|()| Err(Unanswered::TooLate)),
            answered => answered,
        });
        outcome.await
    }

    /// Returns the whole body of an answer where it has come with the head.
    pub(super) fn at_hand(&mut self, framing: &mut Framing) -> Option<Bytes> {
        framing.whole(&mut self.line.heard)
    }

    /// Reads the next piece of the body; `None` where it is over.
    pub(super) fn poll_frame(
        &mut self,
        framing: &mut Framing,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, WireFault>>> {
        loop {
            match framing.take(&mut self.line.heard) {
                Err(fault) => {
                    self.stays = false;
                    return Poll::Ready(Some(Err(fault)));
                }
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if framing.is_over() => return Poll::Ready(None),
                Ok(None) => {}
            }
            match ready!(self.line.poll_more(cx)) {
                Err(WireFault::Broken(error)) if error.kind() == io::ErrorKind::UnexpectedEof && framing.may_end() => {
                    framing.end();
                }
                Err(fault) => {
                    self.stays = false;
                    return Poll::Ready(Some(Err(fault)));
                }
                Ok(()) => {}
            }
        }
    }
}

impl Line {
    /// Reads what there is. That the peer has gone is a fault.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WireFault>> {
        let Self { stream, heard, read_bytes, stop } = self;
        if heard.capacity() - heard.len() < *read_bytes / 4 {
            heard.reserve(*read_bytes);
        }
        let room = heard.capacity() - heard.len();
        let Poll::Ready(bytes) = poll_read_buf(Pin::new(stream), cx, heard) else {
            let stopped = stop.as_mut().poll(cx);
            return stopped.map(|()| Err(io::Error::from(io::ErrorKind::ConnectionAborted).into()));
        };
        let bytes = bytes?;
        let next = if bytes == room { 2 * *read_bytes } else { READ_BYTES };
        *read_bytes = next.min(READ_CAP_BYTES);
        Poll::Ready(if bytes == 0 { Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()) } else { Ok(()) })
    }
}
