//! Which links past the line were used, on disk: few, a line of text for each, kept until they run out.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::journal::open_append;
use super::{StoreFault, cannot};
use crate::line::RoomName;
use crate::line::spent::{Mark, Spent};

/// One room's file; it is made when the first link is used.
#[derive(Debug)]
pub struct LinksFile(PathBuf);

impl LinksFile {
    /// Opens a room's file, and reads what it holds. A torn last line is left out.
    pub fn open(folder: &Path, name: &RoomName) -> Result<(Self, Spent), StoreFault> {
        let path = folder.join(format!("{name}.links"));
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(cannot("read", &path, &e)),
        };
        let mut spent = Spent::default();
        text.lines().filter_map(Mark::of_record).for_each(|mark| {
            spent.spend(&mark, 0);
        });
        Ok((Self(path), spent))
    }

    /// Writes down a use, so that it survives a loss of power.
    pub fn append(&self, mark: &Mark) -> Result<(), StoreFault> {
        let Some(record) = mark.record() else { return Ok(()) };
        let mut file = open_append(&self.0)?;
        let written = file.write_all(record.as_bytes()).and_then(|()| file.sync_data());
        written.map_err(|e| cannot("write", &self.0, &e))
    }
}
