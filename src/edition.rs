//! When a file has changed.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What tells two versions of a file apart: device and inode, length and time of change; `None` for no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edition(Option<(u64, u64, u64, i64, i64)>);

impl Edition {
    /// Looks at a file.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let of = |file: Metadata| (file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec());
        Self(std::fs::metadata(path).ok().map(of))
    }
}
