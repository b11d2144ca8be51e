//! Files: written whole and for their owner only, and when one has changed.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// What tells two versions of a file apart: device and inode, length and time of change; `None` for no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edition(Option<(u64, u64, u64, i64, i64)>);

impl Edition {
    /// Looks at a file.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let of = |file: Metadata| (file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec());
        Self(fs::metadata(path).ok().map(of))
    }
}

/// Writes a file in one step, readable by its owner only: whoever reads it finds the old text or the new one.
///
/// # Errors
/// What the system says; then the old text is still there.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file = options.create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
