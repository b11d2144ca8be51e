//! What a visitor sends with a request.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// A request's body: bytes at hand, or a stream that is still arriving.
#[derive(Debug)]
pub enum VisitorBody {
    /// All of it; empty where there is none.
    AtHand(Bytes),
    /// As it comes.
    Arriving(Incoming),
}

impl From<Incoming> for VisitorBody {
    fn from(incoming: Incoming) -> Self {
        Self::Arriving(incoming)
    }
}

impl VisitorBody {
    /// Returns all of it where it is there, empty where there is none.
    pub(super) fn at_hand(&self) -> Option<&[u8]> {
        match self {
            Self::AtHand(bytes) => Some(bytes),
            Self::Arriving(incoming) => incoming.is_end_stream().then_some(&[]),
        }
    }
}

impl Body for VisitorBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::AtHand(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::AtHand(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Arriving(incoming) => Pin::new(incoming).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::AtHand(bytes) => bytes.is_empty(),
            Self::Arriving(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::AtHand(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Arriving(incoming) => incoming.size_hint(),
        }
    }
}
