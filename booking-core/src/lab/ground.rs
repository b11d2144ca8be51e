//! Where the lab's races are run: a database or a schema of its own, so that nothing here can touch what is on sale.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use thiserror::Error;
use tokio::sync::OnceCell;

use super::connection::{Connection, Reply};
use super::postgres::PostgresConnection;
use super::sqlite::SqliteConnection;
use super::step::Engine;
use crate::config::Database;
use crate::store::postgres::PostgresStore;
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};

/// How many connections a rush has, as from the pool of a server.
pub const CONNECTIONS: usize = 16;

/// The lab's database cannot be used; says why in the database's own words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the lab's database says: {0}")]
pub struct Trouble(pub(super) String);

/// Is the ground of all races.
pub(super) enum Ground {
    /// Files in a folder that is removed at the end, beside the database of the sale or in the system's place.
    Sqlite { beside: Option<PathBuf>, folder: OnceCell<TempDir>, files: AtomicU64 },
    /// The schema `vestibule_lab` in the database of the sale.
    Postgres { url: String, prepared: OnceCell<()> },
}

/// Is the ground of one race: a row of stock of its own.
#[derive(Clone, Debug)]
pub(super) struct Plot {
    /// The row's key.
    pub row: i64,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Schema(String),
}

impl Ground {
    pub(super) fn new(database: &Database) -> Self {
        let sqlite = |beside| Self::Sqlite { beside, folder: OnceCell::new(), files: AtomicU64::new(0) };
        match database {
            Database::SqliteMemory => sqlite(None),
            Database::SqliteFile(path) => sqlite(path.parent().map(|parent| match parent.as_os_str().is_empty() {
                true => PathBuf::from("."),
                false => parent.to_owned(),
            })),
            Database::Postgres(url) => Self::Postgres { url: url.clone(), prepared: OnceCell::new() },
        }
    }

    pub(super) const fn engine(&self) -> Engine {
        match self {
            Self::Sqlite { .. } => Engine::Sqlite,
            Self::Postgres { .. } => Engine::Postgres,
        }
    }

    /// Lays out a row with so many seats.
    pub(super) async fn plot(&self, seats: u32) -> Result<Plot, Trouble> {
        let mut plot = Plot { row: 0, place: self.place().await? };
        let sql = format!("INSERT INTO inventory (capacity, available) VALUES ({seats}, {seats}) RETURNING id");
        let made = plot.connect().await?.ask(&sql).await.map_err(Trouble)?;
        plot.row = first(&made);
        Ok(plot)
    }

    async fn place(&self) -> Result<Place, Trouble> {
        match self {
            Self::Sqlite { beside, folder, files } => {
                let made = || async { beside.as_ref().map_or_else(new_folder, new_folder_in) };
                let folder = folder.get_or_try_init(made).await.map_err(|error| Trouble(error.to_string()))?;
                let number = files.fetch_add(1, Ordering::Relaxed) + 1;
                Ok(Place::File(folder.path().join(format!("race-{number}.db"))))
            }
            Self::Postgres { url, prepared } => {
                let prepare = || async { PostgresConnection::open(url).await?.prepare().await };
                prepared.get_or_try_init(prepare).await.map_err(Trouble)?;
                Ok(Place::Schema(url.clone()))
            }
        }
    }
}

/// Is a store of the product on the lab's ground.
pub(super) struct Shop {
    pub(super) store: Arc<dyn Store>,
    place: Place,
    /// The schema it has in PostgreSQL.
    schema: String,
}

impl Ground {
    /// Opens a store of the product that nobody has used yet.
    pub(super) async fn shop(&self) -> Result<Shop, Trouble> {
        let trouble = |error: StoreError| Trouble(error.to_string());
        let schema = format!("vestibule_lab_{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let place = self.place().await?;
        let store: Arc<dyn Store> = match &place {
            Place::File(path) => Arc::new(SqliteStore::open(path).map_err(trouble)?),
            Place::Schema(url) => {
                administer(url, &format!("CREATE SCHEMA {schema}")).await?;
                let join = if url.contains('?') { '&' } else { '?' };
                let inside = format!("{url}{join}options=-c%20search_path%3D{schema}");
                Arc::new(PostgresStore::connect(&inside, CONNECTIONS).await.map_err(trouble)?)
            }
        };
        Ok(Shop { store, place, schema })
    }
}

async fn administer(url: &str, sql: &str) -> Result<(), Trouble> {
    let connection = PostgresConnection::open(url).await.map_err(Trouble)?;
    connection.ask(sql).await.map(drop).map_err(Trouble)
}

impl Shop {
    /// Closes it and removes what it has left.
    pub(super) async fn close(self) {
        drop(self.store);
        match &self.place {
            Place::File(path) => remove(path),
            Place::Schema(url) => {
                if let Err(error) = administer(url, &format!("DROP SCHEMA {} CASCADE", self.schema)).await {
                    tracing::warn!(%error, "a schema of the lab was not cleared away");
                }
            }
        }
    }
}

/// Removes a database file and what stands beside it; what stays is gone with the folder.
fn remove(path: &Path) {
    for end in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(end);
        let _there_may_be_none = std::fs::remove_file(file);
    }
}

fn new_folder() -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix("lab-").tempdir()
}

fn new_folder_in(beside: &PathBuf) -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix("lab-").tempdir_in(beside)
}

impl Plot {
    /// Opens a connection for one person.
    pub(super) async fn connect(&self) -> Result<Connection, Trouble> {
        match &self.place {
            Place::File(path) => SqliteConnection::open(path).map(Connection::Sqlite),
            Place::Schema(url) => PostgresConnection::open(url).await.map(Connection::Postgres),
        }
        .map_err(Trouble)
    }

    /// Removes what the race has left. Its connections are closed by then.
    pub(super) async fn clear(&self) {
        match &self.place {
            Place::File(path) => remove(path),
            Place::Schema(_) => self.delete_rows().await,
        }
    }

    async fn delete_rows(&self) {
        let Ok(mut connection) = self.connect().await else { return };
        for (table, key) in [("holds", "row_id"), ("seats", "row_id"), ("inventory", "id")] {
            let sql = format!("DELETE FROM {table} WHERE {key} = {}", self.row);
            if let Err(error) = connection.ask(&sql).await {
                tracing::warn!(error, "a race of the lab was not cleared away");
            }
        }
    }
}

/// Returns the first number of the first row.
pub(super) fn first(reply: &Reply) -> i64 {
    reply.rows.first().and_then(|row| row.first()).copied().unwrap_or_default()
}
