//! The embedded store: the pure line in this process, its log and its roll in a folder.
//!
//! Every entry is written to the room's journal before the verb is answered, so a process that is
//! killed loses nothing but the newest joins, and these the new epoch's margin covers: the next
//! process begins above every number that can have been given, and whoever returns with a
//! forgotten number gets the place back. [`Embedded::keep`] syncs to disk and starts a new journal
//! when one has grown large; a machine that loses power loses what was not synced.

mod board;
mod journal;
mod links;
mod persons;

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use self::board::BoardFile;
use self::journal::Journal;
use self::links::LinksFile;
use self::persons::PersonsFile;
use super::board::{Board, Heard, Reading, Word};
use super::draw::Reveal;
use super::roll::Drawn;
use super::spent::Spent;
use super::state::LineState;
use super::{
    Arrival, Claimed, Epoch, Joined, Known, LineStore, Mark, News, Number, Page, PersonId, Roll, RoomName, Steering,
    StoreFault, Tick, apart,
};
use crate::clock::Clock;

/// Keeps the lines in this process; with a folder, over restarts too.
#[derive(Debug)]
pub struct Embedded {
    clock: Clock,
    folder: Option<Folder>,
    rooms: Mutex<HashMap<RoomName, Arc<Mutex<Room>>>>,
}

/// The folder, locked for as long as this process uses it.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    _lock: File,
}

#[derive(Debug)]
struct Room {
    state: LineState,
    spent: Spent,
    board: Board,
    files: Option<Files>,
}

/// What a room has on disk.
#[derive(Debug)]
struct Files {
    journal: Journal,
    persons: PersonsFile,
    links: LinksFile,
    board: BoardFile,
}

impl Embedded {
    /// Opens the store; without a folder it keeps nothing when the process ends.
    ///
    /// # Errors
    /// [`StoreFault::Refused`] when the folder cannot be made or another process uses it.
    pub fn open(folder: Option<&Path>, clock: Clock) -> Result<Self, StoreFault> {
        let folder = folder.map(Folder::lock).transpose()?;
        Ok(Self { clock, folder, rooms: Mutex::default() })
    }

    /// Syncs the journals to disk and starts new ones where they have grown large. To be called
    /// about once a second, from a thread that may block.
    ///
    /// # Errors
    /// The first fault met; the other rooms are still kept.
    pub fn keep(&self) -> Result<(), StoreFault> {
        let rooms: Vec<_> = lock(&self.rooms).values().cloned().collect();
        rooms.iter().map(|room| lock(room).keep()).fold(Ok(()), Result::and)
    }

    /// Saves every roll, so that the next process starts without reading journals.
    ///
    /// # Errors
    /// The first fault met; the other rooms are still saved.
    pub fn close(&self) -> Result<(), StoreFault> {
        let rooms: Vec<_> = lock(&self.rooms).values().cloned().collect();
        rooms.iter().map(|room| lock(room).save()).fold(Ok(()), Result::and)
    }

    fn room(&self, name: &RoomName) -> Result<Arc<Mutex<Room>>, StoreFault> {
        let mut rooms = lock(&self.rooms);
        if let Some(room) = rooms.get(name) {
            return Ok(Arc::clone(room));
        }
        let room = Room::open(self.folder.as_ref().map(|folder| folder.path.as_path()), name, self.clock.now_us())?;
        let room = Arc::new(Mutex::new(room));
        rooms.insert(name.clone(), Arc::clone(&room));
        Ok(room)
    }

    /// Does a verb and writes it down. What an earlier verb could not write comes first: while the disk is
    /// full nothing changes, so nobody is called unheard.
    fn verb<A>(&self, name: &RoomName, verb: impl FnOnce(&mut LineState, u64) -> A) -> Result<A, StoreFault> {
        let room = self.room(name)?;
        let mut room = lock(&room);
        room.write()?;
        let answer = verb(&mut room.state, self.clock.now_us());
        room.write()?;
        Ok(answer)
    }

    /// Does something to a room's board, which is written to disk when the store is kept.
    fn on_board<A>(&self, name: &RoomName, verb: impl FnOnce(&mut Board, u64) -> A) -> Result<A, StoreFault> {
        let room = self.room(name)?;
        let mut room = lock(&room);
        Ok(verb(&mut room.board, self.clock.now_us()))
    }

    /// Makes the draw that is due. What takes long is done beside the line, which goes on.
    async fn draw(&self, name: &RoomName, reveal: &Reveal) -> Result<(), StoreFault> {
        let due = self.verb(name, |line, _| Some((line.due_draw(reveal)?, line.roll().clone())))?;
        let Some((draw, roll)) = due else { return Ok(()) };
        let drawn = apart(move || Drawn::of(draw, &roll)).await;
        // Many may have gone meanwhile; after this, only those of a moment.
        let roll = self.verb(name, |line, _| line.roll().clone())?;
        let drawn = apart(move || drawn.following(&roll)).await;
        self.verb(name, |line, now_us| line.put_draw(drawn, now_us))
    }
}

#[async_trait]
impl LineStore for Embedded {
    async fn join(&self, room: &RoomName, count: u64) -> Result<Joined, StoreFault> {
        self.verb(
            room,
            |line, now_us| {
                if line.is_made() { Ok(line.join(count, now_us)) } else { Err(StoreFault::NotMade) }
            },
        )?
    }

    async fn claim(&self, room: &RoomName, arrivals: &[Arrival], known: Known) -> Result<Option<Claimed>, StoreFault> {
        self.verb(room, |line, now_us| {
            if line.is_made() { Ok(line.claim(arrivals, known, now_us)) } else { Err(StoreFault::NotMade) }
        })?
    }

    async fn find(&self, room: &RoomName, person: PersonId) -> Result<Option<(Epoch, Number)>, StoreFault> {
        self.verb(room, |line, _| line.find(person))
    }

    async fn use_once(&self, room: &RoomName, mark: &Mark) -> Result<bool, StoreFault> {
        let (room, now_s) = (self.room(room)?, self.clock.now_us() / 1_000_000);
        let (is_first, links) = lock(&room).spend(mark, now_s);
        if let Some((links, record)) = links.filter(|_| is_first).zip(mark.record()) {
            apart(move || links.append(&record)).await?;
        }
        Ok(is_first)
    }

    async fn share(&self, room: &RoomName, told: &[(String, Word)], known: Reading) -> Result<Heard, StoreFault> {
        self.on_board(room, |board, now_us| board.share(told, known, now_us))
    }

    async fn tick(&self, room: &RoomName, tick: &Tick) -> Result<Page, StoreFault> {
        self.verb(room, |line, now_us| {
            line.sweep_persons(now_us);
            line.tick(tick, now_us)
        })
    }

    async fn steer(&self, room: &RoomName, steering: &Steering) -> Result<(), StoreFault> {
        if let Steering::Draw(reveal) = steering {
            return self.draw(room, reveal).await;
        }
        self.verb(room, |line, now_us| match steering {
            Steering::Revise { from, to } => line.revise(from, to, now_us).then_some(()).ok_or(StoreFault::Changed),
            _ => {
                line.steer(steering, now_us);
                Ok(())
            }
        })?
    }

    async fn restore(&self, room: &RoomName, offered: &Roll) -> Result<Roll, StoreFault> {
        self.verb(room, |line, now_us| line.restore(offered, now_us).clone())
    }
}

impl Folder {
    fn lock(path: &Path) -> Result<Self, StoreFault> {
        fs::create_dir_all(path).map_err(|e| cannot("make the folder", path, &e))?;
        let file = path.join("lock");
        let lock = File::create(&file).map_err(|e| cannot("write", &file, &e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreFault::Refused(format!(
                "{} is in use by another process; stop it, or choose another folder",
                path.display()
            ))),
            Err(TryLockError::Error(e)) => Err(cannot("lock", &file, &e)),
        }
    }
}

impl Room {
    fn open(folder: Option<&Path>, name: &RoomName, now_us: u64) -> Result<Self, StoreFault> {
        let Some(folder) = folder else {
            let (spent, board) = (Spent::default(), Board::default());
            return Ok(Self { state: LineState::new(now_us), spent, board, files: None });
        };
        let (journal, saved) = Journal::open(folder, name)?;
        let (persons, kept) = PersonsFile::open(folder, name)?;
        let (links, spent) = LinksFile::open(folder, name, now_us / 1_000_000)?;
        let (on_disk, board) = BoardFile::open(folder, name)?;
        let state = match saved {
            Some(roll) => LineState::revive(roll, kept, now_us),
            None => LineState::new(now_us),
        };
        let files = Some(Files { journal, persons, links, board: on_disk });
        let mut room = Self { state, spent, board, files };
        room.save()?;
        Ok(room)
    }

    /// Uses a mark; returns whether it was unused, and where that is to be written down, beside the line, which does not
    /// wait for the disk.
    fn spend(&mut self, mark: &Mark, now_s: u64) -> (bool, Option<LinksFile>) {
        (self.spent.spend(mark, now_s), self.files.as_ref().map(|files| files.links.clone()))
    }

    /// Writes the entries and the persons that the files do not have yet.
    fn write(&mut self) -> Result<(), StoreFault> {
        if let Some(Files { journal, persons, .. }) = &mut self.files {
            match self.state.follow(journal.known()) {
                News::Entries(entries) => journal.append(&entries)?,
                News::Roll(_) | News::Behind => journal.save(self.state.roll())?,
            }
            persons.append(self.state.unwritten())?;
        }
        self.state.written();
        Ok(())
    }

    fn keep(&mut self) -> Result<(), StoreFault> {
        self.write()?;
        let Some(Files { journal, persons, board, .. }) = &mut self.files else { return Ok(()) };
        if persons.is_large() {
            persons.save(self.state.persons())?
        } else {
            persons.sync()?
        }
        if journal.is_large() {
            journal.save(self.state.roll())?
        } else {
            journal.sync()?
        }
        board.save(&self.board)
    }

    fn save(&mut self) -> Result<(), StoreFault> {
        let Some(Files { journal, persons, board, .. }) = &mut self.files else { return Ok(()) };
        board.save(&self.board)?;
        persons.save(self.state.persons())?;
        journal.save(self.state.roll())
    }
}

/// Reads the roll that a folder keeps of a room, `None` where there is none.
///
/// # Errors
/// As [`Embedded::open`], and [`StoreFault::Corrupt`].
pub fn read_saved(folder: &Path, name: &RoomName) -> Result<Option<Roll>, StoreFault> {
    Journal::open(folder, name).map(|(_, saved)| saved)
}

/// The state behind these locks is whole between two verbs even if a thread has panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> StoreFault {
    StoreFault::Refused(format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Limits;
    use crate::line::{GatewayId, Numbers, Renewal, Standing};
    use crate::schedule::Schedule;

    const LIMITS: Limits = Limits {
        interval_us: 100_000,
        burst: 2,
        total_active_users: None,
        session_duration_s: 60,
        grace_ms: 5_000,
        floor_interval_us: None,
        schedule: Schedule::ALWAYS,
    };

    fn open(folder: &Path) -> Embedded {
        Embedded::open(Some(folder), Clock::manual(1_795_000_000_000)).unwrap()
    }

    #[tokio::test]
    async fn a_killed_process_loses_no_place_and_gives_no_number_twice() {
        let folder = tempfile::tempdir().unwrap();
        let name = RoomName::new("sale").unwrap();
        let first = open(folder.path());
        first.steer(&name, &Steering::Configure(LIMITS)).await.unwrap();
        let joined = first.join(&name, 10).await.unwrap();
        let forgotten = first.join(&name, 5).await.unwrap();
        drop(first); // no close: as killed

        let second = open(folder.path());
        let next = second.join(&name, 1).await.unwrap();
        assert!(next.first > forgotten.first + 4 && next.epoch > joined.epoch);
        let roll = second.restore(&name, &Roll::default()).await.unwrap();
        let now_s = 1_795_000_000;
        assert!(matches!(roll.standing(joined.epoch, 2, now_s), Standing::Called { .. }), "called stays called");
        assert_eq!(roll.standing(joined.epoch, 10, now_s), Standing::Waiting { ahead: 7 });
        assert_eq!(roll.standing(joined.epoch, 15, now_s), Standing::Unseen);
        assert_eq!(roll.settings.unwrap().limits, LIMITS);
    }

    #[tokio::test]
    async fn a_renewed_session_outlives_its_process_however_that_ends() {
        let name = RoomName::new("sale").unwrap();
        for is_killed in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let first = open(folder.path());
            first.steer(&name, &Steering::Configure(LIMITS)).await.unwrap();
            let joined = first.join(&name, 2).await.unwrap();
            first.clock.advance_us(40_000_000);
            let renewed = vec![Renewal { number: 1, ends_s: joined.ends_s, called_us: joined.at_us }];
            first.tick(&name, &Tick { renewed, ..Tick::silent(GatewayId(1)) }).await.unwrap();
            if !is_killed {
                first.close().unwrap();
            }
            drop(first);
            let roll = open(folder.path()).restore(&name, &Roll::default()).await.unwrap();
            let standing = |number| roll.standing(joined.epoch, number, joined.ends_s);
            let goes_on = Standing::Called { ends_s: joined.ends_s + 40, at_us: joined.at_us };
            assert_eq!([standing(1), standing(2)], [goes_on, Standing::Over]);
        }
    }

    #[tokio::test]
    async fn a_torn_last_line_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let name = RoomName::new("sale").unwrap();
        let first = open(folder.path());
        first.steer(&name, &Steering::Configure(LIMITS)).await.unwrap();
        first.join(&name, 3).await.unwrap();
        drop(first);
        let journal = folder.path().join("sale.jsonl");
        let text = fs::read_to_string(&journal).unwrap();
        fs::write(&journal, &text[..text.len() - 9]).unwrap();
        let saved = read_saved(folder.path(), &name).unwrap().unwrap();
        assert_eq!(saved.called, Default::default(), "the torn entry told of the call");
        assert!(saved.settings.is_some());
    }

    #[tokio::test]
    async fn a_saved_roll_reads_back_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let name = RoomName::new("sale").unwrap();
        let store = open(folder.path());
        store.steer(&name, &Steering::Configure(LIMITS)).await.unwrap();
        store.join(&name, 100).await.unwrap();
        store.close().unwrap();
        let roll = store.restore(&name, &Roll::default()).await.unwrap();
        assert_eq!(read_saved(folder.path(), &name).unwrap().unwrap(), roll);
        assert_eq!(roll.called.iter_from(0).collect::<Numbers>(), Numbers::run(1, 2));
    }

    /// Puts `file` in the place of the room's journal, as long as the disk is full.
    fn swap_journal(store: &Embedded, name: &RoomName, file: File) -> File {
        let room = store.room(name).unwrap();
        lock(&room).files.as_mut().unwrap().journal.swap_file(file)
    }

    #[tokio::test]
    async fn while_the_disk_is_full_nobody_is_called_unheard() {
        let folder = tempfile::tempdir().unwrap();
        let name = RoomName::new("sale").unwrap();
        let store = open(folder.path());
        store.steer(&name, &Steering::Configure(LIMITS)).await.unwrap();
        let full = File::options().append(true).open("/dev/full").unwrap();
        let journal = swap_journal(&store, &name, full);
        for _ in 0..3 {
            assert!(matches!(store.join(&name, 1).await, Err(StoreFault::Refused(_))));
        }
        let room = store.room(&name).unwrap();
        let roll = lock(&room).state.roll().clone();
        assert_eq!((roll.issued, roll.tally.called), (1, 1), "the first could not know, the others changed nothing");

        swap_journal(&store, &name, journal);
        assert_eq!(store.join(&name, 1).await.unwrap().first, 2);
        let saved = read_saved(folder.path(), &name).unwrap().unwrap();
        assert_eq!((saved.seq, saved.link, saved.tally.called), (roll.seq + 1, lock(&room).state.roll().link, 2));
    }

    #[test]
    fn a_folder_serves_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let _first = open(folder.path());
        let second = Embedded::open(Some(folder.path()), Clock::system());
        assert!(matches!(second, Err(StoreFault::Refused(text)) if text.contains("another process")));
    }
}
