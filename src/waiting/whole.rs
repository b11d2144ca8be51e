//! A waiting page as it is sent.

use std::sync::Arc;

use bytes::Bytes;

use super::mould::Filled;

/// A waiting page, and what it may load and do.
#[derive(Debug)]
pub enum WaitingPage {
    /// Made of what all visitors have in common, most of which is not copied.
    Filled(Filled),
    /// Made for one visitor.
    Rendered {
        /// As it is sent.
        body: Vec<u8>,
        /// Its content security policy.
        policy: Arc<str>,
    },
}

impl WaitingPage {
    /// Returns its content security policy.
    #[must_use]
    pub fn policy(&self) -> &str {
        match self {
            Self::Filled(filled) => filled.policy(),
            Self::Rendered { policy, .. } => policy,
        }
    }

    /// Returns its bytes, piece by piece.
    #[must_use]
    pub fn parts(&self) -> [&[u8]; 3] {
        match self {
            Self::Filled(filled) => filled.parts(),
            Self::Rendered { body, .. } => [body, &[], &[]],
        }
    }

    /// Returns all of them in one.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Filled(filled) => filled.parts().concat().into(),
            Self::Rendered { body, .. } => body.into(),
        }
    }
}
