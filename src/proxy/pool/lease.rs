//! A connection on loan, and what comes over it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};

use super::{Carrier, Pool};
use crate::proxy::BoxError;
use crate::proxy::fleet::Load;
use crate::proxy::request_body::Upload;
use crate::proxy::wire::Framing;

/// The body of an answer, which its carrier reads.
pub(in crate::proxy) enum Coming {
    Wire(Framing),
    Hyper(Incoming),
}

/// A connection on loan for one exchange; closed when dropped, kept when given back.
pub(in crate::proxy) struct Lease {
    carrier: Carrier,
    pool: Arc<Pool>,
    upload: Option<Arc<Upload>>,
    /// Its address is busy with it for as long.
    _load: Option<Load>,
}

impl Lease {
    pub(super) fn new(carrier: Carrier, pool: &Arc<Pool>, upload: Option<Arc<Upload>>) -> Self {
        Self { carrier, pool: Arc::clone(pool), upload, _load: None }
    }

    pub(in crate::proxy) fn with(self, load: Load) -> Self {
        Self { _load: Some(load), ..self }
    }

    /// Puts the connection back, unless its request is still being sent: then it would make the next one wait.
    pub(in crate::proxy) fn give_back(self) {
        if self.upload.is_none_or(|upload| upload.is_done()) {
            self.pool.keep(self.carrier);
        }
    }

    /// Returns the whole of a body that came with its head.
    pub(in crate::proxy) fn at_hand(&mut self, coming: &mut Coming) -> Option<Bytes> {
        match (&mut self.carrier, coming) {
            (Carrier::Wire(wire), Coming::Wire(framing)) => wire.at_hand(framing),
            _ => None,
        }
    }

    /// Reads the next piece of a body.
    pub(in crate::proxy) fn poll_frame(
        &mut self,
        coming: &mut Coming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match (&mut self.carrier, coming) {
            (Carrier::Wire(wire), Coming::Wire(framing)) => wire.poll_frame(framing, cx).map_err(Into::into),
            (_, Coming::Hyper(incoming)) => Pin::new(incoming).poll_frame(cx).map_err(Into::into),
            (Carrier::Hyper(_), Coming::Wire(_)) => unreachable!("an answer is read by what carried it"),
        }
    }
}

impl Coming {
    /// Says whether all of it has come.
    pub(in crate::proxy) fn is_over(&self) -> bool {
        match self {
            Self::Wire(framing) => framing.is_over(),
            Self::Hyper(incoming) => incoming.is_end_stream(),
        }
    }

    /// Returns how much is still to come, where that is known.
    pub(in crate::proxy) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Wire(framing) => framing.size_hint(),
            Self::Hyper(incoming) => incoming.size_hint(),
        }
    }
}

impl fmt::Debug for Coming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coming").finish_non_exhaustive()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}
