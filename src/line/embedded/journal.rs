//! One room on disk: a roll as it was at some entry, and a journal of the entries since.
//!
//! `ROOM.roll` is replaced whole (written beside, synced, renamed). `ROOM.jsonl` has a line for each entry,
//! linked as [`Logged`]; the journal before it is kept as `ROOM.1.jsonl`, so that a log of the recent past
//! can be read from the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::{StoreFault, cannot};
use crate::disk::append_whole;
use crate::line::chain::{Link, Logged};
use crate::line::{Entry, Known, Roll, RoomName};

/// A journal larger than this gives way to a new one.
const LARGE_BYTES: u64 = 16 << 20;

#[derive(Debug)]
pub struct Journal {
    roll_path: PathBuf,
    path: PathBuf,
    file: File,
    length_bytes: u64,
    known: Known,
    link: Link,
    dirty: bool,
}

impl Journal {
    /// Opens a room's files and reads what they hold.
    pub fn open(folder: &Path, name: &RoomName) -> Result<(Self, Option<Roll>), StoreFault> {
        let roll_path = folder.join(format!("{name}.roll"));
        let path = folder.join(format!("{name}.jsonl"));
        let file = open_append(&path)?;
        let mut saved = read_roll(&roll_path)?;
        let length_bytes = read_entries(&path, &file, saved.as_mut())?;
        let (known, link) = saved.as_ref().map_or_else(Default::default, |roll| (roll.known(), roll.link));
        Ok((Self { roll_path, path, file, length_bytes, known, link, dirty: false }, saved))
    }

    /// Returns the last entry that is in the files.
    pub fn known(&self) -> Known {
        self.known
    }

    /// Tells whether it is time for a new journal.
    pub fn is_large(&self) -> bool {
        self.length_bytes > LARGE_BYTES
    }

    /// Writes entries behind the others; all or, for whoever reads it later, none.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), StoreFault> {
        let Some(last) = entries.last() else { return Ok(()) };
        let (mut text, mut link) = (Vec::new(), self.link);
        for entry in entries {
            let logged = Logged::new(link, entry.clone());
            link = logged.hash;
            serde_json::to_writer(&mut text, &logged).map_err(|e| StoreFault::Refused(e.to_string()))?;
            text.push(b'\n');
        }
        append_whole(&mut self.file, self.length_bytes, &text).map_err(|e| cannot("write", &self.path, &e))?;
        self.length_bytes += text.len() as u64;
        self.known = Known { epoch: last.epoch, seq: last.seq, issued: last.issued };
        (self.link, self.dirty) = (link, true);
        Ok(())
    }

    /// Writes the roll whole and begins a new journal.
    pub fn save(&mut self, roll: &Roll) -> Result<(), StoreFault> {
        let text = serde_json::to_vec(roll).map_err(|e| StoreFault::Refused(e.to_string()))?;
        replace(&self.roll_path, &text)?;
        if self.length_bytes > 0 {
            let before = self.path.with_extension("1.jsonl");
            fs::rename(&self.path, &before).map_err(|e| cannot("move", &self.path, &e))?;
            self.file = open_append(&self.path)?;
        }
        self.length_bytes = 0;
        (self.known, self.link, self.dirty) = (roll.known(), roll.link, false);
        Ok(())
    }

    /// Puts another file in the place of the journal's, so that a test can make writing fail.
    #[cfg(test)]
    pub fn swap_file(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }

    /// Sees to it that what was written survives a loss of power.
    pub fn sync(&mut self) -> Result<(), StoreFault> {
        if self.dirty {
            self.file.sync_data().map_err(|e| cannot("sync", &self.path, &e))?;
            self.dirty = false;
        }
        Ok(())
    }
}

pub(super) fn open_append(path: &Path) -> Result<File, StoreFault> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).read(true);
    options.open(path).map_err(|e| cannot("open", path, &e))
}

/// Replaces a file whole: what a crash leaves is the old one or the new one.
pub(super) fn replace(path: &Path, text: &[u8]) -> Result<(), StoreFault> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    write_synced(beside.as_ref(), text).map_err(|e| cannot("write", beside.as_ref(), &e))?;
    fs::rename(&beside, path).map_err(|e| cannot("replace", path, &e))
}

fn write_synced(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn read_roll(path: &Path) -> Result<Option<Roll>, StoreFault> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(cannot("read", path, &e)),
    };
    let roll = serde_json::from_slice(&text);
    roll.map(Some).map_err(|e| StoreFault::Corrupt(format!("{}: {e}", path.display())))
}

/// Applies the entries after the roll's; cuts off a torn end. Returns the length that is good.
fn read_entries(path: &Path, file: &File, roll: Option<&mut Roll>) -> Result<u64, StoreFault> {
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(0)).map_err(|e| cannot("read", path, &e))?;
    let (mut line, mut good, mut roll) = (Vec::new(), 0, roll);
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line).map_err(|e| cannot("read", path, &e))?;
        let Some(logged) = read_line(&line) else { break };
        good += length as u64;
        if let Some(roll) = roll.as_deref_mut().filter(|roll| logged.entry.seq > roll.seq) {
            roll.apply(&logged.entry);
        }
    }
    file.set_len(good).map_err(|e| cannot("mend", path, &e))?;
    Ok(good)
}

fn read_line(line: &[u8]) -> Option<Logged> {
    line.strip_suffix(b"\n").and_then(|line| serde_json::from_slice(line).ok())
}
