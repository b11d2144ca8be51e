//! Who has which number, on disk: records of a fixed length, written behind each other.
//!
//! A record is 24 bytes, big-endian: the person (16), the number (8). The last record of a person counts. The
//! file is written anew, with only those whose place may still stand, at the start and when it has doubled.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::journal::{open_append, replace};
use super::{StoreFault, cannot};
use crate::disk::append_whole;
use crate::line::{Number, PersonId, RoomName};

const RECORD_BYTES: usize = 24;

/// A file is not written anew before it is this long.
const LARGE_BYTES: u64 = 1 << 20;

/// One room's file; it is made when the first person comes.
#[derive(Debug)]
pub struct PersonsFile {
    path: PathBuf,
    file: Option<File>,
    length_bytes: u64,
    /// How long it was when it was last written anew.
    whole_bytes: u64,
    dirty: bool,
}

impl PersonsFile {
    /// Opens a room's file and reads what it holds. A torn last record is left out.
    pub fn open(folder: &Path, name: &RoomName) -> Result<(Self, BTreeMap<PersonId, Number>), StoreFault> {
        let path = folder.join(format!("{name}.persons"));
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(cannot("read", &path, &e)),
        };
        let kept = text.chunks_exact(RECORD_BYTES).filter_map(read_record).collect();
        Ok((Self { path, file: None, length_bytes: 0, whole_bytes: 0, dirty: false }, kept))
    }

    /// Writes records behind the others.
    pub fn append(&mut self, records: &[(PersonId, Number)]) -> Result<(), StoreFault> {
        if records.is_empty() {
            return Ok(());
        }
        let file = match self.file.take() {
            Some(file) => self.file.insert(file),
            None => self.file.insert(open_append(&self.path)?),
        };
        let text = write_records(records.iter().copied());
        append_whole(file, self.length_bytes, &text).map_err(|e| cannot("write", &self.path, &e))?;
        self.length_bytes += text.len() as u64;
        self.dirty = true;
        Ok(())
    }

    /// Tells whether it is time to write the file anew.
    pub fn is_large(&self) -> bool {
        self.length_bytes > LARGE_BYTES.max(2 * self.whole_bytes)
    }

    /// Writes the file whole, or removes it where there is nobody.
    pub fn save(&mut self, persons: impl Iterator<Item = (PersonId, Number)>) -> Result<(), StoreFault> {
        let text = write_records(persons);
        self.file = None;
        if text.is_empty() {
            return self.remove();
        }
        replace(&self.path, &text)?;
        (self.length_bytes, self.whole_bytes, self.dirty) = (text.len() as u64, text.len() as u64, false);
        Ok(())
    }

    /// Sees to it that what was written survives a loss of power.
    pub fn sync(&mut self) -> Result<(), StoreFault> {
        if let Some(file) = self.file.as_ref().filter(|_| self.dirty) {
            file.sync_data().map_err(|e| cannot("sync", &self.path, &e))?;
            self.dirty = false;
        }
        Ok(())
    }

    fn remove(&mut self) -> Result<(), StoreFault> {
        (self.length_bytes, self.whole_bytes, self.dirty) = (0, 0, false);
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(cannot("remove", &self.path, &e)),
            _ => Ok(()),
        }
    }
}

fn write_records(persons: impl Iterator<Item = (PersonId, Number)>) -> Vec<u8> {
    let record = |(person, number): (PersonId, Number)| [&person.0.to_be_bytes()[..], &number.to_be_bytes()].concat();
    persons.flat_map(record).collect()
}

fn read_record(record: &[u8]) -> Option<(PersonId, Number)> {
    let (person, number) = record.split_first_chunk()?;
    Some((PersonId(u128::from_be_bytes(*person)), Number::from_be_bytes(number.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> (PersonsFile, BTreeMap<PersonId, Number>) {
        PersonsFile::open(folder, &RoomName::new("sale").unwrap()).unwrap()
    }

    #[test]
    fn the_last_record_of_a_person_counts_and_a_torn_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, kept) = open(folder.path());
        assert!(kept.is_empty());
        file.append(&[(PersonId(1), 10), (PersonId(u128::MAX), 11)]).unwrap();
        file.append(&[(PersonId(1), 12)]).unwrap();
        let path = folder.path().join("sale.persons");
        let mut text = fs::read(&path).unwrap();
        text.extend([1; RECORD_BYTES - 1]);
        fs::write(&path, text).unwrap();
        assert_eq!(open(folder.path()).1, BTreeMap::from([(PersonId(1), 12), (PersonId(u128::MAX), 11)]));
    }

    #[test]
    fn a_file_that_has_doubled_is_written_anew_and_an_empty_one_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, _) = open(folder.path());
        let records: Vec<_> = (0..50_000).map(|i| (PersonId(i % 10), i as Number)).collect();
        file.append(&records).unwrap();
        assert!(file.is_large());
        let (_, kept) = open(folder.path());
        file.save(kept.clone().into_iter()).unwrap();
        assert!(!file.is_large());
        file.append(&[(PersonId(3), 7)]).unwrap();
        file.sync().unwrap();
        let (_, again) = open(folder.path());
        assert_eq!((again.len(), again[&PersonId(3)], again[&PersonId(9)]), (10, 7, 49_999));
        file.save(std::iter::empty()).unwrap();
        assert!(!folder.path().join("sale.persons").exists());
    }

    #[test]
    fn while_the_disk_is_full_nothing_is_half_written() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, _) = open(folder.path());
        file.append(&[(PersonId(1), 10)]).unwrap();
        let good = file.file.replace(File::options().append(true).open("/dev/full").unwrap());
        assert!(matches!(file.append(&[(PersonId(2), 11)]), Err(StoreFault::Refused(_))));
        file.file = good;
        file.append(&[(PersonId(2), 11)]).unwrap();
        assert_eq!(open(folder.path()).1, BTreeMap::from([(PersonId(1), 10), (PersonId(2), 11)]));
    }
}
