//! Which links past the line were used, on disk: few, a line of text for each, kept until they run out.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::journal::{open_append, replace};
use super::{StoreFault, cannot};
use crate::disk::append_whole;
use crate::line::RoomName;
use crate::line::spent::{Mark, Spent};

/// One room's file; it is made when the first link is used.
#[derive(Clone, Debug)]
pub struct LinksFile {
    path: PathBuf,
    /// One use is written at a time, so that what cannot be written whole is cut off without the next.
    turn: Arc<Mutex<()>>,
}

impl LinksFile {
    /// Opens a room's file, and reads what it holds that has not run out by `now_s`, in seconds since the Unix epoch; the
    /// rest goes. A torn last line is left out.
    pub fn open(folder: &Path, name: &RoomName, now_s: u64) -> Result<(Self, Spent), StoreFault> {
        let path = folder.join(format!("{name}.links"));
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
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
        Ok((Self { path, turn: Arc::default() }, spent))
    }

    /// Writes down the record of a use, so that it survives a loss of power.
    pub fn append(&self, record: &str) -> Result<(), StoreFault> {
        let mut file = open_append(&self.path)?;
        let written = self.write(&mut file, record).and_then(|()| file.sync_data());
        written.map_err(|e| cannot("write", &self.path, &e))
    }

    fn write(&self, file: &mut File, record: &str) -> io::Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        append_whole(file, file.metadata()?.len(), record.as_bytes())
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
            fs::read_to_string(&file.path).unwrap().lines().count(),
            2,
            "that of yesterday is kept a minute longer"
        );
    }

    /// Set for a process whose files may be no longer than a block.
    const IN_A_BLOCK: &str = "VESTIBULE_TEST_IN_A_BLOCK";

    #[test]
    fn while_the_disk_is_full_no_use_is_half_written() {
        if std::env::var_os(IN_A_BLOCK).is_some() {
            return fill_a_block();
        }
        // The limit is the whole process's, and its signal is ignored only by who was started so.
        let script = "trap '' XFSZ; ulimit -S -f 1; exec \"$0\" --exact \"$1\"";
        let name = "line::embedded::links::tests::while_the_disk_is_full_no_use_is_half_written";
        let mut again = std::process::Command::new("sh");
        again.args(["-c", script]).arg(std::env::current_exe().unwrap()).arg(name).env(IN_A_BLOCK, "yes");
        let output = again.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    fn fill_a_block() {
        let (folder, name) = (tempfile::tempdir().unwrap(), RoomName::new("sale").unwrap());
        let mark = |i: u8| Mark::of(Kind::BypassLink, &[0, 0, 0, 0, 0, 2, i, i, 0, 0], 1_795_000_000_000);
        let (file, _) = LinksFile::open(folder.path(), &name, 0).unwrap();
        let append = |i: u8| file.append(&mark(i).record().unwrap());
        let written = (0..u8::MAX).take_while(|i| append(*i).is_ok()).count() as u8;
        let length = |i: u8| mark(i).record().unwrap().len() as u64;
        let whole: u64 = (0..written).map(length).sum();
        assert!(
            !whole.is_multiple_of(512) && whole + length(written) > 512,
            "the next does not fit, and begins before the end"
        );
        assert_eq!(fs::metadata(&file.path).unwrap().len(), whole);

        let (_, hard) = rlimit::Resource::FSIZE.get().unwrap();
        rlimit::Resource::FSIZE.set(hard, hard).unwrap();
        append(written).unwrap();
        let (_, mut spent) = LinksFile::open(folder.path(), &name, 0).unwrap();
        assert_eq!((0..=written).find(|i| spent.spend(&mark(*i), 0)), None, "all are used");
    }
}
