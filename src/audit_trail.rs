//! Who changed what, and when: the newest changes in memory, all of them in a file.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

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

/// How often a file that is locked is asked for, and how long is waited in between.
const LOCK_TRIES: usize = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(2);

impl AuditTrail {
    /// Opens a trail; with a folder, it goes on with the file there.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(folder: Option<&Path>) -> io::Result<Self> {
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
        if let Some(fault) = inner.file.as_mut().and_then(|file| append_line(file, &line).err()) {
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

/// Writes a line whole, on a line of its own: another process may append to the same file, a gateway or the command line. The
/// file is locked for the moment of it, for one who looks at its end while another writes takes a part of a line for torn;
/// where there are no locks, or somebody else keeps it, an empty line comes of that and nothing worse.
fn append_line(file: &mut File, line: &str) -> io::Result<()> {
    // Not for long: the line goes on ticking on this thread.
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => sleep(LOCK_PAUSE),
            _ => break,
        }
    }
    let written = is_torn(file).and_then(|is_torn| {
        let start = if is_torn { "\n" } else { "" };
        file.write_all(format!("{start}{line}\n").as_bytes())
    });
    let _ = file.unlock();
    written
}

/// Tells whether the last line goes without an end: it would take the next one with it.
fn is_torn(file: &File) -> io::Result<bool> {
    let mut last = [b'\n'];
    if let Some(at) = file.metadata()?.len().checked_sub(1) {
        file.read_at(&mut last, at)?;
    }
    Ok(last != [b'\n'])
}

/// Reads the newest changes of a trail that was kept, newest first. A line that was torn is left out, also one that was torn
/// within a letter.
fn read_newest(file: &File) -> VecDeque<Change> {
    let mut newest = VecDeque::new();
    for line in BufReader::new(file).split(b'\n').map_while(Result::ok) {
        newest.extend(serde_json::from_slice::<Change>(&line));
        if newest.len() > CAP {
            newest.pop_front();
        }
    }
    newest.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(at: u64) -> Change {
        let who = "ä".repeat(usize::try_from(at).unwrap());
        Change { at, who, action: "pause".into(), room: "sale".into(), detail: "{}".into() }
    }

    fn open(folder: &Path) -> AuditTrail {
        AuditTrail::open(Some(folder)).unwrap()
    }

    #[test]
    fn a_trail_goes_on_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path());
        (1..=3).for_each(|at| first.note(change(at)));
        let second = open(folder.path());
        second.note(change(4));
        assert_eq!(second.newest(), [4, 3, 2, 1].map(change));
    }

    #[test]
    fn of_a_torn_line_nothing_else_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let trail = open(folder.path());
        let whole = serde_json::to_vec(&change(9)).unwrap();
        let in_a_letter = whole.iter().position(|byte| !byte.is_ascii()).unwrap() + 1;
        for (i, cut) in [1, in_a_letter, whole.len() - 1].into_iter().enumerate() {
            trail.note(change(i as u64));
            OpenOptions::new().append(true).open(&path).unwrap().write_all(&whole[..cut]).unwrap();
        }
        trail.note(change(3));
        assert_eq!(open(folder.path()).newest(), [3, 2, 1, 0].map(change));
        assert_eq!(std::fs::read(&path).unwrap().split(|byte| *byte == b'\n').count(), 7 + 1);
    }

    #[test]
    fn several_who_write_at_once_do_not_cut_in() {
        let folder = tempfile::tempdir().unwrap();
        let write = || {
            let trail = open(folder.path());
            (1..=1_000).for_each(|at| trail.note(change(at)));
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(write))));
        let text = std::fs::read_to_string(folder.path().join("audit.jsonl")).unwrap();
        let read: Vec<Change> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read.len(), 4_000);
    }
}
