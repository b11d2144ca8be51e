//! The teller: requests for one row that arrive while the last commit is in flight go together in the next one.
//!
//! There is no timer. The first request for an idle row is committed at once, alone; whoever comes meanwhile waits in
//! arrival order and is served by the next commit, all of them together. So a row is never slower than its disk, and
//! the busier it is, the more each commit carries. Each busy row has a task of its own, which ends when nobody waits,
//! so one hot row does not stand in another's way. A client that leaves takes nobody along: the commit is not its own.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::domain::inventory::InventoryId;
use crate::metrics::Metrics;
use crate::store::{Guard, Store, StoreError, TakeAnswer, TakeRequest, Taken};

/// How often a commit is tried whose outcome is not known; each try is safe, the ids are the same.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Chooses how seats are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Conditional update, many requests in one commit. The default.
    Teller,
    /// Conditional update, one commit for each request.
    Conditional,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 2] = [Self::Teller, Self::Conditional];

    /// Returns its name in configuration and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Teller => "teller",
            Self::Conditional => "conditional",
        }
    }
}

/// Bounds what the teller takes on.
#[derive(Clone, Copy, Debug)]
pub struct TellerLimits {
    /// Requests in one commit, at most.
    pub batch: usize,
    /// Requests that may wait for one row.
    pub waiting: usize,
    /// Rows that may be busy at once.
    pub rows: usize,
}

/// Says why a request was not answered.
#[derive(Clone, Debug, Error)]
pub enum TellerError {
    /// Too many wait already. Nothing happened; come back later.
    #[error("too many requests wait for this row")]
    Busy,
    /// The database failed. Whether the seats are held is not known; the same key asked again tells.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The process is ending, or the commit was lost to a bug.
    #[error("the teller has closed")]
    Closed,
}

/// Answers one request.
#[derive(Clone, Debug)]
pub struct Served {
    /// The answer.
    pub answer: TakeAnswer,
    /// Seats on sale after the commit it was part of.
    pub available: u32,
}

struct Customer {
    request: TakeRequest,
    answer: oneshot::Sender<Result<Served, TellerError>>,
}

/// Serves requests for seats.
pub struct Teller {
    desk: Arc<Desk>,
    strategy: Strategy,
    guard: Guard,
}

/// What the tasks of the busy rows share.
struct Desk {
    store: Arc<dyn Store>,
    metrics: Metrics,
    limits: TellerLimits,
    tasks: TaskTracker,
    /// Who waits, for each busy row. A row is in the map exactly while its task runs.
    waiting: Mutex<HashMap<InventoryId, VecDeque<Customer>>>,
}

impl Teller {
    /// Opens a teller on a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, metrics: Metrics, strategy: Strategy, limits: TellerLimits) -> Self {
        let desk = Desk { store, metrics, limits, tasks: TaskTracker::new(), waiting: Mutex::default() };
        Self { desk: Arc::new(desk), strategy, guard: Guard::ConditionalUpdate }
    }

    /// Takes the guard off, so that a test or the concurrency lab can watch it oversell.
    #[doc(hidden)]
    #[must_use]
    pub fn without_guard(mut self) -> Self {
        self.guard = Guard::ReadThenWrite;
        self
    }

    /// Takes seats of a row.
    ///
    /// The request is served even if the caller no longer waits.
    ///
    /// # Errors
    /// [`TellerError`]; a refusal such as "sold out" is an answer, not an error.
    pub async fn take(&self, row: InventoryId, request: TakeRequest) -> Result<Served, TellerError> {
        let (answer, answered) = oneshot::channel();
        let customer = Customer { request, answer };
        match self.strategy {
            Strategy::Teller => self.stand_in_line(row, customer)?,
            Strategy::Conditional => {
                let (desk, guard) = (Arc::clone(&self.desk), self.guard);
                self.desk.tasks.spawn(async move { desk.serve(guard, row, vec![customer]).await });
            }
        }
        answered.await.map_err(|_| TellerError::Closed)?
    }

    fn stand_in_line(&self, row: InventoryId, customer: Customer) -> Result<(), TellerError> {
        let mut waiting = self.desk.waiting();
        let busy_rows = waiting.len();
        match waiting.entry(row) {
            Entry::Occupied(line) if line.get().len() >= self.desk.limits.waiting => return Err(TellerError::Busy),
            Entry::Occupied(mut line) => line.get_mut().push_back(customer),
            Entry::Vacant(_) if busy_rows >= self.desk.limits.rows => return Err(TellerError::Busy),
            Entry::Vacant(line) => {
                line.insert(VecDeque::from([customer]));
                let (desk, guard) = (Arc::clone(&self.desk), self.guard);
                self.desk.tasks.spawn(async move { desk.work(guard, row).await });
            }
        }
        Ok(())
    }

    /// Waits until every request taken on has been answered. Call it when nobody asks any more.
    pub async fn close(&self) {
        self.desk.tasks.close();
        self.desk.tasks.wait().await;
    }
}

impl Desk {
    fn waiting(&self) -> MutexGuard<'_, HashMap<InventoryId, VecDeque<Customer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(&self, guard: Guard, row: InventoryId) {
        let _swept_if_it_panics = Sweep { desk: self, row };
        while let Some(batch) = self.next_batch(row) {
            self.serve(guard, row, batch).await;
        }
    }

    /// Calls the next ones, in order. When nobody waits the row leaves the map, under the same lock under which
    /// newcomers look, so none can be left behind.
    fn next_batch(&self, row: InventoryId) -> Option<Vec<Customer>> {
        let mut waiting = self.waiting();
        let line = waiting.get_mut(&row)?;
        let count = leading_distinct(line, self.limits.batch);
        if count == 0 {
            waiting.remove(&row);
            return None;
        }
        Some(line.drain(..count).collect())
    }

    async fn serve(&self, guard: Guard, row: InventoryId, batch: Vec<Customer>) {
        self.metrics.batch_size.observe(batch.len() as f64);
        let (requests, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|customer| (customer.request, customer.answer)).unzip();
        match self.commit(guard, row, &requests).await {
            Ok(taken) => {
                assert_eq!(taken.answers.len(), answers.len(), "an answer for each request");
                for (sender, answer) in answers.into_iter().zip(taken.answers) {
                    let _caller_may_have_left = sender.send(Ok(Served { answer, available: taken.available }));
                }
            }
            Err(error) => {
                let error = TellerError::Store(Arc::new(error));
                for sender in answers {
                    let _caller_may_have_left = sender.send(Err(error.clone()));
                }
            }
        }
    }

    /// Commits, again when the outcome is not known: the ids are the same, so nothing can be taken twice.
    async fn commit(&self, guard: Guard, row: InventoryId, requests: &[TakeRequest]) -> Result<Taken, StoreError> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=TRIES {
            match self.store.take(guard, row, requests).await {
                Ok(taken) if attempt > 1 => return Ok(own(taken, requests)),
                Err(error) if error.may_retry() && attempt < TRIES => {
                    tracing::warn!(%error, attempt, "a commit is tried again");
                    tokio::time::sleep(pause).await;
                    pause *= 4;
                }
                outcome => return outcome,
            }
        }
        unreachable!("the last try returns");
    }
}

/// Lets everybody go who waits for a row whose task ended in a bug, so that the next one starts afresh.
struct Sweep<'a> {
    desk: &'a Desk,
    row: InventoryId,
}

impl Drop for Sweep<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.desk.waiting().remove(&self.row);
        }
    }
}

/// Counts how many from the front may go in one commit: up to the limit, and no hold twice.
fn leading_distinct(line: &VecDeque<Customer>, limit: usize) -> usize {
    let mut seen = HashSet::new();
    line.iter().take(limit).take_while(|customer| seen.insert(customer.request.hold)).count()
}

/// Recognises what an earlier try of this same batch had committed after all.
fn own(mut taken: Taken, requests: &[TakeRequest]) -> Taken {
    for (answer, request) in taken.answers.iter_mut().zip(requests) {
        match answer {
            TakeAnswer::Replayed(hold) if hold.created_at == request.created_at => {
                *answer = TakeAnswer::Granted(hold.clone());
            }
            _ => {}
        }
    }
    taken
}
