//! SQLite in the lab: each race has a file of its own, each person a connection and a thread of their own, so that one
//! really waits for the other's lock.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::ValueRef;
use tokio::sync::{mpsc, oneshot};

use super::connection::{MOST_ROWS, Reply};

/// How long a statement waits for another's lock before SQLite says that the database is locked.
const LOCK_PATIENCE: Duration = Duration::from_secs(20);

const TABLES: &str = include_str!("sqlite.sql");

/// A statement, and where its outcome goes.
type Job = (String, oneshot::Sender<Result<Reply, String>>);

/// Is one connection, owned by a thread that ends with it.
pub(super) struct SqliteConnection {
    jobs: mpsc::Sender<Job>,
}

impl SqliteConnection {
    /// Opens a file, and makes the tables where it is new.
    ///
    /// # Errors
    /// What SQLite said.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let connection = prepared(path).map_err(|error| error.to_string())?;
        let (jobs, mailbox) = mpsc::channel(1);
        std::thread::Builder::new()
            .name("lab-sqlite".to_owned())
            .spawn(move || work(&connection, mailbox))
            .map_err(|error| error.to_string())?;
        Ok(Self { jobs })
    }

    pub(super) async fn ask(&self, sql: &str) -> Result<Reply, String> {
        let gone = || "the connection is gone".to_owned();
        let (answer, answered) = oneshot::channel();
        self.jobs.send((sql.to_owned(), answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

fn prepared(path: &Path) -> rusqlite::Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open(path)?;
    connection.busy_timeout(LOCK_PATIENCE)?;
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    connection.execute_batch(TABLES)?;
    Ok(connection)
}

fn work(connection: &rusqlite::Connection, mut mailbox: mpsc::Receiver<Job>) {
    while let Some((sql, answer)) = mailbox.blocking_recv() {
        let _who_asked_may_have_left = answer.send(run(connection, &sql).map_err(|error| error.to_string()));
    }
}

fn run(connection: &rusqlite::Connection, sql: &str) -> rusqlite::Result<Reply> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns = statement.column_count();
    if columns == 0 {
        return Ok(Reply { rows: Vec::new(), changed: statement.execute([])? as u64 });
    }
    let mut found = statement.query([])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let number = |column| match row.get_ref(column) {
            Ok(ValueRef::Integer(number)) => number,
            _ => 0,
        };
        rows.push((0..columns).map(number).collect());
        if rows.len() == MOST_ROWS {
            break;
        }
    }
    Ok(Reply { rows, changed: 0 })
}
