//! One person's connection to the database: it takes a statement as text and says what came of it.

use super::postgres::PostgresConnection;
use super::sqlite::SqliteConnection;

/// What came of a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    /// The rows that were read; NULL is 0.
    pub rows: Vec<Vec<i64>>,
    /// How many rows were changed.
    pub changed: u64,
}

/// The most rows that one statement brings.
pub(super) const MOST_ROWS: usize = 200;

/// Is a connection of its own, with a transaction of its own. Dropping it rolls back what it has open.
pub(super) enum Connection {
    /// To a SQLite file.
    Sqlite(SqliteConnection),
    /// To PostgreSQL.
    Postgres(PostgresConnection),
}

impl Connection {
    /// Has the database do one statement and waits as long as the database makes it wait.
    ///
    /// # Errors
    /// What the database said, in its own words.
    pub(super) async fn ask(&mut self, sql: &str) -> Result<Reply, String> {
        match self {
            Self::Sqlite(connection) => connection.ask(sql).await,
            Self::Postgres(connection) => connection.ask(sql).await,
        }
    }
}
