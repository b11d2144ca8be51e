//! Files: written whole, or longer by a whole record; held while they are changed; and when one has changed.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// How long a file that another process holds is waited for, look by look.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

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
    from_beside(path, text, |beside| fs::rename(beside, path))
}

/// Does the same where there is no file yet; of several who do so at once, one succeeds.
///
/// # Errors
/// What the system says: [`io::ErrorKind::AlreadyExists`] where there is one.
pub fn create_private(path: &Path, text: &str) -> io::Result<()> {
    from_beside(path, text, |beside| fs::hard_link(beside, path))
}

/// Writes the text beside a file, under a name that nobody else uses, and has it put in its place.
fn from_beside(path: &Path, text: &str, put: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    // The number of the process would not do: in containers that share a folder they all have the same.
    beside.push(format!(".{:016x}.new", rand::random::<u64>()));
    let beside = PathBuf::from(beside);
    let done = write_synced(&beside, text).and_then(|()| put(&beside));
    // It is still there unless it was moved.
    let _ = fs::remove_file(&beside);
    done
}

fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Appends to a file of this length that nobody else writes: all of it or, where that fails, nothing.
///
/// # Errors
/// What the system says. Where it says of what was written that it cannot be cut off, a part of it may be there.
pub fn append_whole(file: &mut File, length_bytes: u64, text: &[u8]) -> io::Result<()> {
    // Once it is cut off, the next write says it all again.
    file.write_all(text).or_else(|fault| file.set_len(length_bytes).and(Err(fault)))
}

/// A file that nobody else holds: whoever reads a file, changes it and writes it anew holds it all the while, or loses what
/// another wrote meanwhile. It is let go of when this is dropped, and by the system when the process dies.
#[derive(Debug)]
#[must_use]
pub struct Held {
    _lock: File,
}

impl Held {
    /// Takes a file; waits for half a minute where another process has it. Where the file system knows no locks, it is taken
    /// without one.
    ///
    /// # Errors
    /// What the system says, where the file cannot be opened or locked; [`io::ErrorKind::TimedOut`].
    pub fn take(path: &Path) -> io::Result<Self> {
        for _ in 0..PATIENCE.as_millis() / LOOK_AGAIN.as_millis() {
            // Some network file systems lock only what is open for writing, and a file may be read-only.
            let file = OpenOptions::new().read(true).write(true).open(path).or_else(|_| File::open(path))?;
            match file.try_lock() {
                Ok(()) if is_at(&file, path)? => return Ok(Self { _lock: file }),
                // Another has put a new file in its place since it was opened.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => sleep(LOOK_AGAIN),
                Err(TryLockError::Error(e)) if has_no_locks(&e) => return Ok(Self { _lock: file }),
                Err(TryLockError::Error(e)) => return Err(e),
            }
        }
        let text = format!("another process has held it for {} seconds", PATIENCE.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    }
}

/// Tells a file system without locks: some networks' are.
fn has_no_locks(fault: &io::Error) -> bool {
    fault.kind() == io::ErrorKind::Unsupported || fault.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error())
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let [held, there] = [file.metadata()?, fs::metadata(path)?];
    Ok((held.dev(), held.ino()) == (there.dev(), there.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn who_adds_to_a_file_while_holding_it_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("count");
        create_private(&path, "").unwrap();
        std::thread::scope(|scope| {
            let add = || {
                for _ in 0..10 {
                    let _held = Held::take(&path).unwrap();
                    write_private(&path, &(fs::read_to_string(&path).unwrap() + "I")).unwrap();
                }
            };
            (0..8).for_each(|_| drop(scope.spawn(add)));
        });
        assert_eq!(fs::read_to_string(&path).unwrap().len(), 80);
        assert_eq!(names(folder.path()), ["count"]);
    }

    #[test]
    fn a_file_that_was_replaced_is_not_the_one_to_hold() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        create_private(&path, "one").unwrap();
        let opened = File::open(&path).unwrap();
        assert!(is_at(&opened, &path).unwrap());
        write_private(&path, "two").unwrap();
        assert!(!is_at(&opened, &path).unwrap());
    }

    #[test]
    fn a_file_is_created_once_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let texts: Vec<String> = (0..8).map(|i| i.to_string().repeat(10_000)).collect();
        let create = |text| create_private(&path, text).is_ok();
        let made = std::thread::scope(|scope| {
            let all: Vec<_> = texts.iter().map(|text| scope.spawn(move || create(text))).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).filter(|is_made| *is_made).count()
        });
        assert!(made == 1 && texts.contains(&fs::read_to_string(&path).unwrap()));
        assert_eq!(create_private(&path, "").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(names(folder.path()), ["keys"]);
    }

    #[test]
    fn what_cannot_be_put_in_its_place_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        write_private(&path, "text").unwrap_err();
        assert_eq!(names(folder.path()), ["taken"]);
        assert_eq!(Held::take(&folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
