//! Who changed what, and when: the newest changes in memory, all of them in a file.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// How many changes are kept in memory.
const CAP: usize = 1_000;

/// The trail of one gateway.
#[derive(Debug, Default)]
pub struct AuditTrail(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    newest: VecDeque<Change>,
    file: Option<File>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Who, as far as it is known.
    pub who: String,
    /// What was done.
    pub action: String,
    /// The room.
    pub room: String,
    /// With what.
    pub detail: String,
}

impl AuditTrail {
    /// Opens a trail; with a folder, it goes on with the file there.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(folder: Option<&Path>) -> std::io::Result<Self> {
        let open = |folder: &Path| OpenOptions::new().create(true).append(true).open(folder.join("audit.jsonl"));
        Ok(Self(Mutex::new(Inner { newest: VecDeque::new(), file: folder.map(open).transpose()? })))
    }

    /// Notes a change.
    pub fn note(&self, change: Change) {
        tracing::info!(room = change.room, who = change.who, action = change.action, detail = change.detail, "changed");
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = serde_json::to_string(&change).unwrap_or_default();
        if let Some(fault) = inner.file.as_mut().and_then(|file| writeln!(file, "{line}").err()) {
            tracing::error!(%fault, "the audit trail cannot be written");
        }
        inner.newest.push_front(change);
        inner.newest.truncate(CAP);
    }

    /// Lists the newest changes, newest first.
    #[must_use]
    pub fn newest(&self) -> Vec<Change> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).newest.iter().cloned().collect()
    }
}
