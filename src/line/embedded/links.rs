//! Which links past the line were used, on disk: few, a line of text for each, kept until they run out.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::journal::{open_append, replace};
use super::{StoreFault, cannot};
use crate::line::RoomName;
use crate::line::spent::{Mark, Spent};

/// One room's file; it is made when the first link is used.
#[derive(Clone, Debug)]
pub struct LinksFile(PathBuf);

impl LinksFile {
    /// Opens a room's file, and reads what it holds that has not run out by `now_s`, in seconds since the Unix epoch; the
    /// rest goes. A torn last line is left out.
    pub fn open(folder: &Path, name: &RoomName, now_s: u64) -> Result<(Self, Spent), StoreFault> {
        let path = folder.join(format!("{name}.links"));
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(cannot("read", &path, &e)),
        };
        let mut spent = Spent::default();
        let mut kept = String::new();
        for mark in text.lines().filter_map(Mark::of_record).filter(|mark| mark.forget_s() > now_s) {
            spent.spend(&mark, now_s);
            kept.extend(mark.record());
        }
        if kept != text {
            replace(&path, kept.as_bytes())?;
        }
        Ok((Self(path), spent))
    }

    /// Writes down the record of a use, so that it survives a loss of power.
    pub fn append(&self, record: &str) -> Result<(), StoreFault> {
        let mut file = open_append(&self.0)?;
        let written = file.write_all(record.as_bytes()).and_then(|()| file.sync_data());
        written.map_err(|e| cannot("write", &self.0, &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::spent::Kind;

    #[test]
    fn what_has_run_out_makes_room_for_what_has_not() {
        let (folder, name) = (tempfile::tempdir().unwrap(), RoomName::new("sale").unwrap());
        let of_day = |day: u64| Mark::of(Kind::BypassLink, &[7; 10], day * 86_400_000 + 1);
        for day in 0..70 {
            let (file, mut spent) = LinksFile::open(folder.path(), &name, day * 86_400).unwrap();
            assert!(spent.spend(&of_day(day), day * 86_400), "unused");
            file.append(&of_day(day).record().unwrap()).unwrap();
        }
        let (file, mut spent) = LinksFile::open(folder.path(), &name, 69 * 86_400).unwrap();
        assert!(!spent.spend(&of_day(69), 69 * 86_400), "used, and remembered");
        assert_eq!(
            fs::read_to_string(&file.0).unwrap().lines().count(),
            2,
            "that of yesterday is kept a minute longer"
        );
    }
}
