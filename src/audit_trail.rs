//! Who changed what, and when: the newest changes in memory, all of them in a file.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        let open =
            |folder: &Path| OpenOptions::new().create(true).append(true).read(true).open(folder.join("audit.jsonl"));
        let file = folder.map(open).transpose()?;
        let newest = file.as_ref().map(read_newest).unwrap_or_default();
        Ok(Self(Mutex::new(Inner { newest, file })))
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

/// Reads the newest changes of a trail that was kept, newest first. A line that was torn is left out.
fn read_newest(file: &File) -> VecDeque<Change> {
    let mut newest = VecDeque::new();
    for line in BufReader::new(file).lines().map_while(Result::ok) {
        newest.extend(serde_json::from_str::<Change>(&line));
        if newest.len() > CAP {
            newest.pop_front();
        }
    }
    newest.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_goes_on_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let change =
            |at| Change { at, who: "a".into(), action: "pause".into(), room: "sale".into(), detail: "{}".into() };
        let first = AuditTrail::open(Some(folder.path())).unwrap();
        (1..=3).for_each(|at| first.note(change(at)));
        let second = AuditTrail::open(Some(folder.path())).unwrap();
        second.note(change(4));
        assert_eq!(second.newest(), [4, 3, 2, 1].map(change));
    }
}
