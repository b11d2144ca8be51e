//! PostgreSQL in the lab: a schema of its own, and a search path that leads nowhere else.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::connection::{MOST_ROWS, Reply};

/// Waits are bounded by the server too: for a lock, for a statement, and for a click within a transaction.
const OPTIONS: &str = "-c search_path=vestibule_lab -c lock_timeout=20000 -c statement_timeout=25000 \
                       -c idle_in_transaction_session_timeout=150000";

const TABLES: &str = include_str!("postgres.sql");

const PATIENCE: Duration = Duration::from_secs(5);

/// Is one connection, and the task that carries it, which ends with it.
pub(super) struct PostgresConnection {
    client: Client,
    carrier: JoinHandle<()>,
}

impl PostgresConnection {
    /// Connects to the lab's schema.
    ///
    /// # Errors
    /// What is wrong with the address, or what PostgreSQL said.
    pub(super) async fn open(url: &str) -> Result<Self, String> {
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| error.to_string())?;
        config.connect_timeout(PATIENCE).application_name("vestibule-lab").options(OPTIONS);
        let (client, connection) = config.connect(NoTls).await.map_err(|error| words(&error))?;
        let carrier = tokio::spawn(async move {
            let _told_to_whoever_asks = connection.await;
        });
        Ok(Self { client, carrier })
    }

    /// Makes the schema and its tables, where they are not there yet.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub(super) async fn prepare(&self) -> Result<(), String> {
        self.client.batch_execute(TABLES).await.map_err(|error| words(&error))
    }

    pub(super) async fn ask(&self, sql: &str) -> Result<Reply, String> {
        let messages = self.client.simple_query(sql).await.map_err(|error| words(&error))?;
        let mut reply = Reply::default();
        for message in messages {
            match message {
                SimpleQueryMessage::Row(row) if reply.rows.len() < MOST_ROWS => {
                    let number = |column| row.get(column).and_then(|text: &str| text.parse().ok()).unwrap_or_default();
                    reply.rows.push((0..row.len()).map(number).collect());
                }
                SimpleQueryMessage::CommandComplete(changed) => reply.changed = changed,
                _ => {}
            }
        }
        Ok(reply)
    }
}

impl Drop for PostgresConnection {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

/// Says what PostgreSQL said, without what the driver puts around it.
fn words(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |said| said.message().to_owned())
}
