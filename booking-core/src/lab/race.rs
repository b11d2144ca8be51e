//! Two people and one seat: each goes on when clicked, on a connection of their own, and everybody can see what the
//! stores hold in between.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Refusal;
use super::asking::Asking;
use super::board::{Board, Line, Standing};
use super::connection::Connection;
use super::ground::{Ground, Plot};
use super::lease::{Lease, Leases, Names};
use super::person::{Click, Pace, Person, standing};
use super::way::{Buyer, Way};
use crate::clock::Clock;

/// How long a click is waited for before the page is told that the person waits for the store.
const SETTLE: Duration = Duration::from_millis(250);

/// The seat that both want.
const SEAT: i64 = 1;

/// Shows a race as it is now. All of it is read from the stores and the log when it is asked for.
#[derive(Clone, Debug, Serialize)]
pub struct RaceView {
    /// By which it is asked for.
    pub id: String,
    /// Which way both go.
    pub way: Way,
    /// Where the two stand.
    pub people: [Standing; 2],
    /// How often each began again.
    pub retries: [u32; 2],
    /// Every statement, in the order in which they were sent.
    pub log: Vec<Line>,
    /// What the tables hold: what is committed.
    pub table: Table,
    /// What Redis holds; `None` where the way has no use for it.
    pub redis: Option<InRedis>,
    /// Whether both have come to an end.
    pub over: bool,
}

/// What Redis holds about the seat, or what was wrong when it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InRedis {
    /// The lease, if somebody has it.
    pub lease: Option<Lease>,
    /// What Redis or the way to it said.
    pub trouble: Option<String>,
}

impl From<Result<Option<Lease>, String>> for InRedis {
    fn from(asked: Result<Option<Lease>, String>) -> Self {
        match asked {
            Ok(lease) => Self { lease, trouble: None },
            Err(words) => Self { lease: None, trouble: Some(words) },
        }
    }
}

/// What the tables hold for one row, as anybody else sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Seats in all.
    pub capacity: i64,
    /// Seats left, as the row says.
    pub available: i64,
    /// The version of the row.
    pub version: i64,
    /// Holds: the person, and the seat or 0.
    pub holds: Vec<(i64, i64)>,
    /// Seats: the number, and its owner.
    pub seats: Vec<(i64, i64)>,
}

impl Table {
    /// Counts the holds for which there is no seat.
    #[must_use]
    pub fn oversold(&self) -> i64 {
        (i64::try_from(self.holds.len()).unwrap_or(i64::MAX) - self.capacity).max(0)
    }
}

/// Is a race that is going on.
pub(super) struct Race {
    id: String,
    way: Way,
    plot: Plot,
    board: Arc<Mutex<Board>>,
    clicks: [mpsc::Sender<Click>; 2],
    /// A third connection, which sees what is committed.
    witness: AsyncMutex<Connection>,
    leases: Option<(Leases, Names)>,
    closed: CancellationToken,
    tasks: TaskTracker,
}

impl Race {
    /// Lays out one seat, and puts two people before it.
    pub(super) async fn begin(
        ground: &Ground,
        leases: Option<Leases>,
        way: Way,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Refusal> {
        let plot = ground.plot(1).await?;
        let id = uuid::Uuid::new_v4().simple().to_string();
        let leases = leases.filter(|_| way == Way::SeatLock);
        let names = Names(id[..8].to_owned());
        let mut pair = Vec::new();
        for number in 0..2 {
            let connection = plot.connect().await?;
            let asking = Asking {
                connection,
                leases: leases.clone(),
                names: names.clone(),
                engine: ground.engine(),
                row: plot.row,
            };
            pair.push((number, Buyer::new(way, SEAT, 1), asking));
        }
        let standing = |number: usize| standing(&pair[number].1, &pair[number].2, number);
        let board = Arc::new(Mutex::new(Board::new(clock.stopwatch(), [standing(0), standing(1)])));
        let (closed, tasks) = (CancellationToken::new(), TaskTracker::new());
        let mut senders = Vec::new();
        for (number, buyer, asking) in pair {
            let (sender, clicks) = mpsc::channel(1);
            let person = Person { number, buyer, asking, board: Arc::clone(&board), clock: Arc::clone(clock) };
            tasks.spawn(person.live(clicks, closed.clone()));
            senders.push(sender);
        }
        tasks.close();
        let clicks = [senders.swap_remove(0), senders.swap_remove(0)];
        let witness = AsyncMutex::new(plot.connect().await?);
        let leases = leases.map(|leases| (leases, names));
        Ok(Self { id, way, plot, board, clicks, witness, leases, closed, tasks })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether both have come to an end.
    pub(super) fn over(&self) -> bool {
        self.board().over()
    }

    /// Lets one person, from 0, go on, and waits a moment for the answer. A person who waits for the other's lock is
    /// still waiting then.
    pub(super) async fn click(&self, person: usize, pace: Pace) -> Result<(), Refusal> {
        let done = self.send(person, pace)?;
        let _still_waiting = tokio::time::timeout(SETTLE, done).await;
        Ok(())
    }

    /// Lets both go on at once, to the end.
    pub(super) async fn run(&self) -> Result<(), Refusal> {
        let sent: Vec<_> = [0, 1].map(|person| self.send(person, Pace::Whole)).into_iter().collect();
        if sent.iter().all(Result::is_err) {
            return Err(Refusal::Over);
        }
        for done in sent.into_iter().flatten() {
            let _still_waiting = tokio::time::timeout(SETTLE, done).await;
        }
        Ok(())
    }

    fn send(&self, person: usize, pace: Pace) -> Result<oneshot::Receiver<()>, Refusal> {
        match &self.board().people[person] {
            Standing::Ready { .. } => {}
            Standing::Asking { .. } => return Err(Refusal::Waiting),
            Standing::Over { .. } => return Err(Refusal::Over),
        }
        let (done, answer) = oneshot::channel();
        self.clicks[person].try_send(Click { pace, done }).map_err(|_| Refusal::Waiting)?;
        Ok(answer)
    }

    /// Ends the lease on the seat, as time would.
    pub(super) async fn end_lease(&self) -> Result<(), Refusal> {
        let Some((leases, names)) = &self.leases else { return Err(Refusal::NoLease) };
        leases.end(&names.key(SEAT)).await.map_err(Refusal::Redis)
    }

    /// Reads everything as it is now.
    pub(super) async fn view(&self) -> Result<RaceView, Refusal> {
        let table = read(&mut *self.witness.lock().await, self.plot.row).await?;
        let redis = match &self.leases {
            Some((leases, names)) => Some(leases.look(names.key(SEAT)).await.into()),
            None => None,
        };
        let board = self.board();
        Ok(RaceView {
            id: self.id.clone(),
            way: self.way,
            people: board.people.clone(),
            retries: board.retries,
            log: board.log.clone(),
            table,
            redis,
            over: board.over(),
        })
    }

    /// Ends the race, whatever it was at, and removes what it has left.
    pub(super) async fn close(&self) {
        self.closed.cancel();
        self.tasks.wait().await;
        if let Some((leases, names)) = &self.leases {
            let _ends_by_itself_otherwise = leases.end(&names.key(SEAT)).await;
        }
        self.plot.clear().await;
    }
}

/// Reads what the tables hold for a row.
pub(super) async fn read(witness: &mut Connection, row: i64) -> Result<Table, Refusal> {
    let trouble = |error| Refusal::from(super::ground::Trouble(error));
    let sql = format!("SELECT capacity, available, version FROM inventory WHERE id = {row}");
    let stock = witness.ask(&sql).await.map_err(trouble)?.rows.into_iter().next().unwrap_or_default();
    let column = |at: usize| stock.get(at).copied().unwrap_or_default();
    let holds = format!("SELECT person, seat FROM holds WHERE row_id = {row} ORDER BY person");
    let seats = format!("SELECT number, person FROM seats WHERE row_id = {row} ORDER BY number");
    Ok(Table {
        capacity: column(0),
        available: column(1),
        version: column(2),
        holds: pairs(witness.ask(&holds).await.map_err(trouble)?.rows),
        seats: pairs(witness.ask(&seats).await.map_err(trouble)?.rows),
    })
}

fn pairs(rows: Vec<Vec<i64>>) -> Vec<(i64, i64)> {
    rows.into_iter().filter_map(|row| Some((*row.first()?, *row.get(1)?))).collect()
}
