//! The simulated bank's memory on disk: one line of JSON for each change of a charge, the last one counts.
//!
//! A line is with the system before the change is answered, so a bank that is killed knows everything it has said. A loss
//! of power may cost it the last moments, which a real bank would not forget.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::account::Account;
use crate::domain::payment::ChargeId;

/// Writes changes down.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// Opens a journal and returns what it says; a last line that was cut off is passed over.
    ///
    /// # Errors
    /// When the file cannot be read or written, or has a line in its middle that is not a charge.
    pub fn open(path: &Path) -> io::Result<(Self, HashMap<ChargeId, Account>)> {
        let known = read(path)?;
        rewrite(path, &known)?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok((Self { file }, known))
    }

    /// Writes down what became of a charge.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write(&mut self, account: &Account) -> io::Result<()> {
        let mut line = serde_json::to_vec(account)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }
}

fn read(path: &Path) -> io::Result<HashMap<ChargeId, Account>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(error),
    };
    let mut known = HashMap::new();
    let mut lines = BufReader::new(file).lines().peekable();
    while let Some(line) = lines.next() {
        match serde_json::from_str::<Account>(&line?) {
            Ok(account) => drop(known.insert(account.id.clone(), account)),
            Err(_) if lines.peek().is_none() => {}
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
    Ok(known)
}

/// Writes only the last word on each charge, beside the old file and then in its place.
fn rewrite(path: &Path, known: &HashMap<ChargeId, Account>) -> io::Result<()> {
    let beside = PathBuf::from(format!("{}.next", path.display()));
    let mut file = BufWriter::new(File::create(&beside)?);
    for account in known.values() {
        serde_json::to_writer(&mut file, account)?;
        file.write_all(b"\n")?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    std::fs::rename(beside, path)
}
