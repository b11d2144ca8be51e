//! PostgreSQL, through a pool of connections with prepared statements.

use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{
    Connect, Manager, ManagerConfig, Object, Pool, PoolError, QueueMode, RecyclingMethod, Runtime, Transaction,
};
use futures_util::future::BoxFuture;
use time::Date;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{Client, Config, NoTls};

use super::books::Books;
use super::{
    Decide, DueTask, Guard, Made, OrderRequest, OrderTaken, Question, StockRow, Store, StoreError, Subject,
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

mod counting;
mod ledger;
mod read;
mod take;
mod together;
mod write;

/// In the order in which they were given out: a database remembers how many it has had, so a new one stands last.
const MIGRATIONS: [&str; 8] = [
    include_str!("postgres/0001_first.sql"),
    include_str!("postgres/0002_indexes.sql"),
    include_str!("postgres/0005_seats.sql"),
    include_str!("postgres/0006_turns.sql"),
    include_str!("postgres/0007_money.sql"),
    include_str!("postgres/0008_refunds.sql"),
    include_str!("postgres/0009_one_index.sql"),
    include_str!("postgres/0010_asked_again.sql"),
];

/// Any number will do, as long as every copy of this program takes the same.
const MIGRATION_LOCK: i64 = 0x7665_7374_6962;

/// How long a call waits for a free connection, and for a new one to open.
const PATIENCE: Duration = Duration::from_secs(5);

/// A machine that is gone says nothing: what it has not acknowledged for so long did not arrive. One that is there does so at
/// once, however slow its statement is.
const UNANSWERED: Duration = Duration::from_secs(20);
/// After so much silence a connection is asked whether it is still there, and then so often.
const QUIET: Duration = Duration::from_secs(10);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);

/// What holds for every session. Statements are planned once, perhaps when a table is still empty: reading all of it is
/// then the cheapest plan, and is kept when there are a million rows. Every question asked while somebody waits has an index.
/// A plan that must read a whole table all the same then counts as so dear that PostgreSQL would compile it first, for
/// longer than it runs; so nothing is compiled.
const SESSION: &str = "-c statement_timeout=15000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=30000 \
                       -c enable_seqscan=off -c jit=off";

/// Keeps everything in one PostgreSQL database.
#[derive(Debug)]
pub struct PostgresStore {
    pool: Pool,
    /// Where the connections live.
    home: Home,
    /// Ends the thread when the store is dropped.
    _end: oneshot::Sender<()>,
}

impl PostgresStore {
    /// Connects and brings the tables up to date; several processes may do so at once.
    ///
    /// `url` is a `postgres://` address; TLS to the database is not offered yet.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the address is malformed or nobody answers there, [`StoreError::Corrupt`] when
    /// the tables come from a newer version.
    pub async fn connect(url: &str, connections: usize) -> Result<Self, StoreError> {
        let mut config: Config =
            url.parse().map_err(|error| StoreError::Unavailable(format!("its address is malformed: {error}")))?;
        // Options of the address, such as a search path, stand before ours.
        let options = format!("{} {SESSION}", config.get_options().unwrap_or_default());
        config.connect_timeout(PATIENCE).application_name("booking-core").options(options);
        config.tcp_user_timeout(UNANSWERED).keepalives_idle(QUIET).keepalives_interval(KEEPALIVE_EVERY);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let (end, ended) = oneshot::channel();
        let life = async {
            let _store_was_dropped = ended.await;
        };
        let home = Home::build("booking-postgres", life)
            .map_err(|error| StoreError::Unavailable(format!("no thread for PostgreSQL: {error}")))?;
        let pool = Pool::builder(Manager::from_connect(config, AtHome(home.handle()), recycling))
            .max_size(connections)
            // The connection that was used last is the one whose process still has everything at hand.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .recycle_timeout(Some(PATIENCE))
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let store = Self { pool, home, _end: end };
        store.migrate().await?;
        Ok(store)
    }

    async fn connection(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => fault(&error),
            other => StoreError::Unavailable(other.to_string()),
        })
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = self.connection().await?;
        let version = run_migrations(&mut connection).await.map_err(|error| fault(&error))?;
        if version > MIGRATIONS.len() {
            let detail = format!("it was written by a newer version (schema {version}); use that version");
            return Err(StoreError::Corrupt(detail));
        }
        Ok(())
    }

    /// Closes all connections; later calls fail.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// Opens connections where they are to live, whoever asks for one.
struct AtHome(Handle);

impl Connect for AtHome {
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        let (home, config) = (self.0.clone(), config.clone());
        let opening = self.0.spawn(async move {
            let (client, connection) = config.connect(NoTls).await?;
            let serving = home.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::warn!(%error, "a connection to PostgreSQL ended");
                }
            });
            Ok((client, serving))
        });
        Box::pin(async move {
            match opening.await {
                Ok(opened) => opened,
                Err(_) => std::future::pending().await,
            }
        })
    }
}

async fn run_migrations(connection: &mut Object) -> Result<usize, tokio_postgres::Error> {
    let tx = connection.transaction().await?;
    // A large table may take longer than any request is worth, and so may another process that is at it.
    tx.batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0").await?;
    tx.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    tx.batch_execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)").await?;
    let row = tx.query_one("SELECT coalesce(max(version), 0) FROM schema_version", &[]).await?;
    let version = usize::try_from(row.get::<_, i32>(0)).unwrap_or_default();
    for (index, script) in MIGRATIONS.iter().enumerate().skip(version) {
        tx.batch_execute(script).await?;
        tx.execute("INSERT INTO schema_version VALUES ($1)", &[&(index as i32 + 1)]).await?;
    }
    tx.commit().await?;
    Ok(version)
}

/// Commits what decides who has a seat or who has paid.
async fn commit(tx: Transaction<'_>) -> Result<(), StoreError> {
    fail_point::reached(COMMITTING);
    tx.commit().await.map_err(|error| fault(&error))?;
    fail_point::reached(COMMITTED);
    Ok(())
}

/// Says in our words what PostgreSQL says in its own. A connection that ends is a conflict: whether its transaction was
/// committed is not known, and repeating it under the same ids finds out.
fn fault(error: &tokio_postgres::Error) -> StoreError {
    let detail = || match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(db), _) => db.message().to_owned(),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    };
    let passing = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::UNIQUE_VIOLATION,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
    ];
    let constraint = error.as_db_error().and_then(DbError::constraint);
    match error.code() {
        Some(&SqlState::UNIQUE_VIOLATION) if constraint == Some("bookings_pkey") => StoreError::SharedReference,
        Some(code) if passing.contains(code) => StoreError::Conflict(detail()),
        Some(code)
            if code.code().starts_with("08") || code.code().starts_with("57") || code.code().starts_with("53") =>
        {
            StoreError::Unavailable(detail())
        }
        Some(code) if code.code().starts_with("28") || *code == SqlState::UNDEFINED_DATABASE => {
            StoreError::Unavailable(detail())
        }
        Some(_) => StoreError::Corrupt(detail()),
        None if error.is_closed() => StoreError::Conflict(detail()),
        None => StoreError::Unavailable(detail()),
    }
}

#[async_trait]
impl Till for PostgresStore {
    fn home(&self, _place: Option<ShardNumber>) -> Option<Handle> {
        Some(self.home.handle())
    }

    async fn take(&self, guard: Guard, row: InventoryId, requests: &[TakeRequest]) -> Result<Taken, StoreError> {
        take::take(&mut self.connection().await?, guard, row, requests).await
    }

    async fn take_order(&self, order: &OrderRequest) -> Result<OrderTaken, StoreError> {
        take::order::take(&mut self.connection().await?, order).await
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn ensure(&self, offers: &[Offer]) -> Result<(), StoreError> {
        write::ensure(&self.connection().await?, offers).await
    }

    async fn stock(&self, ids: &[InventoryId]) -> Result<Vec<StockRow>, StoreError> {
        read::stock(&self.connection().await?, ids).await
    }

    async fn rows_from(&self, day: Date) -> Result<Vec<InventoryId>, StoreError> {
        read::rows_from(&self.connection().await?, day).await
    }

    async fn turned(&self, within_s: u32, limit: u32) -> Result<Vec<TurnedRow>, StoreError> {
        read::turned(&self.connection().await?, within_s, limit).await
    }

    async fn transact(&self, subject: Subject, decide: Decide) -> Transacted {
        write::transact(&mut self.connection().await?, subject, &decide).await
    }

    /// One is written while the other is decided about. They get in each other's way only at the counts of a row, which
    /// each changes last.
    fn writers(&self, _subject: Subject) -> u8 {
        2
    }

    async fn transact_together(&self, questions: &[Question]) -> Vec<Option<Transacted>> {
        match self.connection().await {
            Ok(mut connection) => together::transact(&mut connection, questions).await,
            Err(error) => vec![Some(Err(error)); questions.len()],
        }
    }

    async fn hold(&self, id: HoldId) -> Result<Option<Hold>, StoreError> {
        read::hold(&self.connection().await?, id).await
    }

    async fn made(&self, holds: &[HoldId]) -> Result<Vec<(HoldId, Made)>, StoreError> {
        read::made(&self.connection().await?, holds).await
    }

    async fn payment(&self, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        read::payment(&self.connection().await?, id).await
    }

    async fn booking(&self, reference: Reference) -> Result<Option<Booking>, StoreError> {
        read::booking(&self.connection().await?, reference).await
    }

    async fn owned_seats(&self, row: InventoryId) -> Result<Vec<SeatNumber>, StoreError> {
        read::owned_seats(&self.connection().await?, row).await
    }

    async fn lapsed(&self, now: Moment, limit: u32) -> Result<Vec<HoldId>, StoreError> {
        read::lapsed(&self.connection().await?, now, limit).await
    }

    async fn first_expiry(&self, row: InventoryId, until: Moment) -> Result<Option<Moment>, StoreError> {
        read::first_expiry(&self.connection().await?, row, until).await
    }

    async fn open_holds(&self) -> Result<u64, StoreError> {
        read::open_holds(&self.connection().await?).await
    }

    async fn failing_refunds(&self) -> Result<u64, StoreError> {
        read::failing_refunds(&self.connection().await?).await
    }

    async fn pending(&self, before: Moment, limit: u32) -> Result<Vec<(PaymentId, Moment)>, StoreError> {
        read::pending(&self.connection().await?, before, limit).await
    }

    async fn due(&self, kind: TaskKind, now: Moment, limit: u32) -> Result<Vec<DueTask>, StoreError> {
        read::due(&self.connection().await?, kind, now, limit).await
    }

    async fn postpone(&self, task: DueTask, until: Moment, reason: &str) -> Result<(), StoreError> {
        write::postpone(&self.connection().await?, task, until, reason).await
    }

    async fn hasten(&self, task: Task, now: Moment) -> Result<(), StoreError> {
        write::hasten(&self.connection().await?, task, now).await
    }

    async fn secret(&self, candidate: Option<[u8; 32]>) -> Result<Option<[u8; 32]>, StoreError> {
        write::secret(&self.connection().await?, candidate).await
    }

    async fn number(&self, candidate: Option<ShardNumber>) -> Result<Option<ShardNumber>, StoreError> {
        write::number(&self.connection().await?, candidate).await
    }

    async fn books(&self) -> Result<Books, StoreError> {
        counting::books(&mut self.connection().await?).await
    }

    async fn statements(&self, after: Option<PaymentId>, limit: u32) -> Result<Vec<Statement>, StoreError> {
        ledger::statements(&mut self.connection().await?, after, limit).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let connection = self.connection().await?;
        connection.simple_query("SELECT 1").await.map(drop).map_err(|error| fault(&error))
    }
}
