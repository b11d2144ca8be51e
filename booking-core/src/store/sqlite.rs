//! SQLite: one file, one thread that owns the connection, durable commits (WAL, synchronous FULL).
//!
//! SQLite has one writer at a time, so one thread with a bounded mailbox loses nothing, and there is no lock to wait
//! for and no "database is locked".

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};
use time::Date;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::books::Books;
use super::judge::{OPTIMISTIC_TRIES, pause};
use super::{
    Decide, DueTask, Guard, Made, OrderRequest, OrderTaken, Question, StockRow, Store, StoreError, Subject, TakeAnswer,
    TakeRequest, Taken, Till, Transacted, TurnedRow,
};
use crate::domain::booking::{Booking, Reference};
use crate::domain::hold::{Hold, HoldId};
use crate::domain::inventory::{InventoryId, Offer};
use crate::domain::ledger::Statement;
use crate::domain::moment::Moment;
use crate::domain::order::{Task, TaskKind};
use crate::domain::payment::{Payment, PaymentId};
use crate::domain::placement::ShardNumber;
use crate::domain::seat::SeatNumber;
use crate::fail_point::{self, COMMITTED, COMMITTING};
use crate::home::Home;
use wariness::Wariness;

mod counting;
mod ids;
mod ledger;
mod read;
mod rows;
mod take;
mod wariness;
mod write;

/// In the order in which they were given out: a database remembers how many it has had, so a new one stands last.
const MIGRATIONS: [&str; 10] = [
    include_str!("sqlite/0001_first.sql"),
    include_str!("sqlite/0002_indexes.sql"),
    include_str!("sqlite/0005_seats.sql"),
    include_str!("sqlite/0006_turns.sql"),
    include_str!("sqlite/0007_money.sql"),
    include_str!("sqlite/0008_refunds.sql"),
    include_str!("sqlite/0009_one_index.sql"),
    include_str!("sqlite/0010_asked_again.sql"),
    include_str!("sqlite/0011_holds_in_order.sql"),
    include_str!("sqlite/0012_recent_ids.sql"),
];

/// How many calls may wait for the thread; a caller beyond that waits for a slot.
const MAILBOX: usize = 4096;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Keeps everything in one SQLite database.
#[derive(Debug)]
pub struct SqliteStore {
    /// Where jobs go; `None` only while the store is being dropped, so that the thread sees the end.
    jobs: Option<mpsc::Sender<Job>>,
    /// The thread. It is waited for when the store is dropped, so that the file is closed by then.
    home: Home,
    wariness: Arc<Wariness>,
}

impl SqliteStore {
    /// Opens or creates a database file and brings its tables up to date.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the file cannot be opened, [`StoreError::Corrupt`] when it is not ours or comes
    /// from a newer version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::start(Connection::open(path).map_err(|error| fault(&error))?)
    }

    /// Opens a database that is gone when the store is dropped.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::start(Connection::open_in_memory().map_err(|error| fault(&error))?)
    }

    fn start(mut connection: Connection) -> Result<Self, StoreError> {
        prepare(&mut connection)?;
        let (jobs, mailbox) = mpsc::channel(MAILBOX);
        let home = Home::build("booking-sqlite", work(connection, mailbox))
            .map_err(|error| StoreError::Unavailable(format!("no thread for SQLite: {error}")))?;
        Ok(Self { jobs: Some(jobs), home, wariness: Arc::default() })
    }

    /// Has the thread do a job. One that panics fails by itself: what it had not committed is rolled back as it
    /// unwinds, and the thread goes on with the next.
    async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let done = catch_unwind(AssertUnwindSafe(|| job(connection)));
            let panicked = |_| Err(StoreError::Corrupt("a job panicked, which is a bug; see the log".to_owned()));
            let _caller_may_have_left = answer.send(done.unwrap_or_else(panicked));
        });
        let gone = || StoreError::Unavailable("the SQLite thread has ended".to_owned());
        self.jobs.as_ref().ok_or_else(gone)?.send(job).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl SqliteStore {
    /// Reads in one turn of the thread and writes in another, if nobody has written in between; so often and no more.
    async fn take_if_unchanged(&self, row: InventoryId, requests: &[TakeRequest]) -> Result<Taken, StoreError> {
        let mut available = 0;
        for attempt in 1..=OPTIMISTIC_TRIES {
            let wanted = requests.to_vec();
            let (shelf, answers) = self.call(move |db| take::look(db, row, &wanted)).await?;
            available = shelf.available;
            let decided = answers.clone();
            if let Some(available) = self.call(move |db| take::write_if_unchanged(db, &shelf, &decided)).await? {
                return Ok(Taken { answers, available });
            }
            pause(requests, attempt).await;
        }
        Ok(Taken { answers: vec![TakeAnswer::Contended; requests.len()], available })
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.jobs = None;
        self.home.wait();
    }
}

async fn work(mut connection: Connection, mut mailbox: mpsc::Receiver<Job>) {
    while let Some(job) = mailbox.recv().await {
        // Whoever waits for what was just written is answered before this thread writes again.
        tokio::task::yield_now().await;
        job(&mut connection);
    }
}

/// What holds for the connection. The commits of a busy row change a hundred pages each: with the usual thousand pages of WAL,
/// every tenth would stop to copy them into the file. The WAL may have as many as the cache (64 MiB of 4 KiB each), and a page
/// that changes again meanwhile is copied once.
const PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF;
                       PRAGMA busy_timeout = 5000; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;
                       PRAGMA wal_autocheckpoint = 16384;";

fn prepare(connection: &mut Connection) -> Result<(), StoreError> {
    connection.execute_batch(PRAGMAS).map_err(|error| fault(&error))?;
    connection.set_prepared_statement_cache_capacity(64);
    // Without it a statement is planned again for each value that is bound to it, which costs more than running it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(|error| fault(&error))?;
    migrate(connection).map_err(|error| fault(&error))?;
    // A migration may have to put a new table in the place of one that others refer to.
    connection.execute_batch("PRAGMA foreign_keys = ON;").map_err(|error| fault(&error))?;
    let version: usize = version(connection).map_err(|error| fault(&error))?;
    if version > MIGRATIONS.len() {
        let detail = format!("it was written by a newer version (schema {version}); use that version");
        return Err(StoreError::Corrupt(detail));
    }
    Ok(())
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).map(|version| version as usize)
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for (index, script) in MIGRATIONS.iter().enumerate().skip(version(&tx)?) {
        tx.execute_batch(script)?;
        tx.pragma_update(None, "user_version", index as i64 + 1)?;
    }
    tx.commit()
}

/// Commits what decides who has a seat or who has paid.
fn commit(tx: rusqlite::Transaction<'_>) -> Result<(), StoreError> {
    fail_point::reached(COMMITTING);
    tx.commit().map_err(|error| fault(&error))?;
    fail_point::reached(COMMITTED);
    Ok(())
}

/// Says in our words what SQLite says in its own.
fn fault(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) if error.to_string().contains("bookings.reference") => {
            StoreError::SharedReference
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Conflict(error.to_string()),
        Some(ErrorCode::CannotOpen | ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::ReadOnly) => {
            StoreError::Unavailable(error.to_string())
        }
        _ => StoreError::Corrupt(error.to_string()),
    }
}

#[async_trait]
impl Till for SqliteStore {
    fn home(&self, _place: Option<ShardNumber>) -> Option<Handle> {
        Some(self.home.handle())
    }

    async fn take(&self, guard: Guard, row: InventoryId, requests: &[TakeRequest]) -> Result<Taken, StoreError> {
        if guard == Guard::Version {
            return self.take_if_unchanged(row, requests).await;
        }
        let (requests, wariness) = (requests.to_vec(), Arc::clone(&self.wariness));
        self.call(move |db| take::take(db, guard, row, &requests, &wariness)).await
    }

    async fn take_order(&self, order: &OrderRequest) -> Result<OrderTaken, StoreError> {
        let order = order.clone();
        self.call(move |db| take::take_order(db, &order)).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn ensure(&self, offers: &[Offer]) -> Result<(), StoreError> {
        let offers = offers.to_vec();
        self.call(move |db| write::ensure(db, &offers)).await
    }

    async fn stock(&self, ids: &[InventoryId]) -> Result<Vec<StockRow>, StoreError> {
        let ids = ids.to_vec();
        self.call(move |db| read::stock(db, &ids)).await
    }

    async fn rows_from(&self, day: Date) -> Result<Vec<InventoryId>, StoreError> {
        self.call(move |db| read::rows_from(db, day)).await
    }

    async fn turned(&self, within_s: u32, limit: u32) -> Result<Vec<TurnedRow>, StoreError> {
        self.call(move |db| read::turned(db, within_s, limit)).await
    }

    async fn transact(&self, subject: Subject, decide: Decide) -> Transacted {
        self.call(move |db| write::transact(db, subject, &decide)).await
    }

    async fn transact_together(&self, questions: &[Question]) -> Vec<Option<Transacted>> {
        let (asked, wanted) = (questions.len(), questions.to_vec());
        let answered = self.call(move |db| Ok(write::transact_together(db, &wanted))).await;
        answered.unwrap_or_else(|error| match error {
            StoreError::Unavailable(_) => vec![Some(Err(error)); asked],
            // One of them panicked, and what it had begun was rolled back. It does so alone, too.
            _ => vec![None; asked],
        })
    }

    async fn hold(&self, id: HoldId) -> Result<Option<Hold>, StoreError> {
        self.call(move |db| read::hold(db, id)).await
    }

    async fn made(&self, holds: &[HoldId]) -> Result<Vec<(HoldId, Made)>, StoreError> {
        let holds = holds.to_vec();
        self.call(move |db| read::made(db, &holds)).await
    }

    async fn payment(&self, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        self.call(move |db| read::payment(db, id)).await
    }

    async fn booking(&self, reference: Reference) -> Result<Option<Booking>, StoreError> {
        self.call(move |db| read::booking(db, reference)).await
    }

    async fn owned_seats(&self, row: InventoryId) -> Result<Vec<SeatNumber>, StoreError> {
        self.call(move |db| read::owned_seats(db, row)).await
    }

    async fn lapsed(&self, now: Moment, limit: u32) -> Result<Vec<HoldId>, StoreError> {
        self.call(move |db| read::lapsed(db, now, limit)).await
    }

    async fn first_expiry(&self, row: InventoryId, until: Moment) -> Result<Option<Moment>, StoreError> {
        self.call(move |db| read::first_expiry(db, row, until)).await
    }

    async fn open_holds(&self) -> Result<u64, StoreError> {
        self.call(|db| read::open_holds(db)).await
    }

    async fn failing_refunds(&self) -> Result<u64, StoreError> {
        self.call(|db| read::failing_refunds(db)).await
    }

    async fn pending(&self, before: Moment, limit: u32) -> Result<Vec<(PaymentId, Moment)>, StoreError> {
        self.call(move |db| read::pending(db, before, limit)).await
    }

    async fn due(&self, kind: TaskKind, now: Moment, limit: u32) -> Result<Vec<DueTask>, StoreError> {
        self.call(move |db| read::due(db, kind, now, limit)).await
    }

    async fn postpone(&self, task: DueTask, until: Moment, reason: &str) -> Result<(), StoreError> {
        let reason = reason.to_owned();
        self.call(move |db| write::postpone(db, task, until, &reason)).await
    }

    async fn hasten(&self, task: Task, now: Moment) -> Result<(), StoreError> {
        self.call(move |db| write::hasten(db, task, now)).await
    }

    async fn secret(&self, candidate: Option<[u8; 32]>) -> Result<Option<[u8; 32]>, StoreError> {
        self.call(move |db| write::secret(db, candidate)).await
    }

    async fn number(&self, candidate: Option<ShardNumber>) -> Result<Option<ShardNumber>, StoreError> {
        self.call(move |db| write::number(db, candidate)).await
    }

    async fn books(&self) -> Result<Books, StoreError> {
        self.call(|db| counting::books(db)).await
    }

    async fn statements(&self, after: Option<PaymentId>, limit: u32) -> Result<Vec<Statement>, StoreError> {
        self.call(move |db| ledger::statements(db, after, limit)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.call(|db| db.query_row("SELECT 1", [], |_| Ok(())).map_err(|error| fault(&error))).await
    }
}
