//! The teller: requests for one row that arrive while the last commit is in flight go together in the next one.
//!
//! There is no timer. The first request for an idle row is committed at once, alone; whoever comes meanwhile waits in
//! arrival order and is served by the next commit, all of them together. So a row is never slower than its disk, and
//! the busier it is, the more each commit carries. Each busy row has a task of its own, which ends when nobody waits,
//! so one hot row does not stand in another's way. It runs where the database is spoken to: the next commit must not wait
//! until a thread has time that has a crowd to answer. A client that leaves takes nobody along: the commit is not its own.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::join;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};
use vestibule_telemetry::{failed, together};

use crate::domain::hold::HoldId;
use crate::domain::inventory::InventoryId;
use crate::domain::placement::ShardNumber;
use crate::line::{Full, Line, Room};
use crate::metrics::Metrics;
use crate::store::{Guard, OrderRequest, OrderTaken, StoreError, TakeAnswer, TakeRequest, Taken, Till};
use crate::strategy::{Strategies, Strategy};
use crate::telemetry;

/// How often a commit is tried whose outcome is not known; each try is safe, the ids are the same.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// How many may wait under one hold's id.
const SAME_HOLD: usize = 8;

/// Bounds what the teller takes on.
#[derive(Clone, Copy, Debug)]
pub struct TellerLimits {
    /// Requests in one commit, at most.
    pub batch: usize,
    /// Requests that may wait for one row.
    pub waiting: usize,
    /// Rows that may be busy at once.
    pub rows: usize,
    /// Commits under way at once in one database for those who stand in no row's line; each has a connection to itself.
    pub alone: usize,
}

/// Requests that stand in no row's line and may be under way or wait at once: orders of several rows, and strategies
/// that commit one by one.
const ALONE: usize = 10_000;

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

impl From<Full> for TellerError {
    fn from(_: Full) -> Self {
        Self::Busy
    }
}

/// Is told what each commit left on sale of a row, in the order of the commits, before anybody is answered.
pub type Told = Box<dyn Fn(InventoryId, u32) + Send + Sync>;

type Answer = Result<Served, TellerError>;
type Answered = (oneshot::Sender<Answer>, Answer);

struct Customer {
    request: TakeRequest,
    answer: oneshot::Sender<Answer>,
    /// Of the request that waits.
    span: Span,
}

/// Serves requests for seats.
pub struct Teller {
    desk: Arc<Desk>,
    strategies: Strategies,
}

/// What the tasks of the busy rows share.
struct Desk {
    till: Arc<dyn Till>,
    metrics: Metrics,
    limits: TellerLimits,
    tasks: TaskTracker,
    /// Who waits, for each busy row. A row is in the map exactly while its task runs.
    waiting: Mutex<HashMap<InventoryId, Line<HoldId, Customer>>>,
    /// Bounds those who stand in no line.
    alone: Arc<Semaphore>,
    /// Bounds the commits of these in each database, so that they leave connections to the lines. They go in arrival order.
    doors: Mutex<HashMap<Option<ShardNumber>, Arc<Semaphore>>>,
    /// Who is told of commits, once there is somebody.
    told: OnceLock<Told>,
}

impl Teller {
    /// Opens a teller on a till.
    #[must_use]
    pub fn new(till: Arc<dyn Till>, metrics: Metrics, strategies: impl Into<Strategies>, limits: TellerLimits) -> Self {
        let alone = Arc::new(Semaphore::new(ALONE));
        let (waiting, doors, told) = (Mutex::default(), Mutex::default(), OnceLock::new());
        let desk = Desk { till, metrics, limits, tasks: TaskTracker::new(), waiting, alone, doors, told };
        Self { desk: Arc::new(desk), strategies: strategies.into() }
    }

    /// Says who is told of commits from now on; who was named first stays.
    pub fn tell(&self, told: Told) {
        let _there_is_somebody_already = self.desk.told.set(told);
    }

    /// Returns the way a row is sold in.
    #[must_use]
    pub fn strategy(&self, row: InventoryId) -> Strategy {
        self.strategies.of(row)
    }

    /// Takes seats of a row.
    ///
    /// The request is served even if the caller no longer waits.
    ///
    /// # Errors
    /// [`TellerError`]; a refusal such as "sold out" is an answer, not an error.
    pub async fn take(&self, row: InventoryId, request: TakeRequest) -> Result<Served, TellerError> {
        let (answer, answered) = oneshot::channel();
        let customer = Customer { request, answer, span: Span::current() };
        let strategy = self.strategy(row);
        if strategy.groups() {
            self.stand_in_line(strategy.guard(), row, customer)?;
        } else {
            self.come_alone(strategy.guard(), row, customer)?;
        }
        answered.await.map_err(|_| TellerError::Closed)?
    }

    fn come_alone(&self, guard: Guard, row: InventoryId, customer: Customer) -> Result<(), TellerError> {
        let place = Arc::clone(&self.desk.alone).try_acquire_owned().map_err(|_| TellerError::Busy)?;
        let desk = Arc::clone(&self.desk);
        self.desk.spawn(row, async move {
            let _door = desk.pass_door(row).await;
            hand_out(desk.serve(guard, row, vec![customer]).await);
            drop(place);
        });
        Ok(())
    }

    fn stand_in_line(&self, guard: Guard, row: InventoryId, customer: Customer) -> Result<(), TellerError> {
        let mut waiting = self.desk.waiting();
        let busy_rows = waiting.len();
        match waiting.entry(row) {
            Entry::Occupied(mut line) => {
                let (name, for_all) = (customer.request.hold, self.desk.limits.waiting);
                line.get_mut().join(name, customer, Room { for_all, for_one_name: SAME_HOLD })?;
            }
            Entry::Vacant(_) if busy_rows >= self.desk.limits.rows => return Err(TellerError::Busy),
            Entry::Vacant(line) => {
                line.insert(Line::of(customer.request.hold, customer));
                let desk = Arc::clone(&self.desk);
                self.desk.spawn(row, async move { desk.work(guard, row).await });
            }
        }
        Ok(())
    }

    /// Takes seats of several rows, all or nothing.
    ///
    /// An order cannot share the commit of one row's line, so it has a commit of its own. In the database it waits for
    /// the line's commit that is under way, and no longer.
    ///
    /// # Errors
    /// As [`Teller::take`].
    pub async fn take_order(&self, order: OrderRequest) -> Result<OrderTaken, TellerError> {
        let place = Arc::clone(&self.desk.alone).try_acquire_owned().map_err(|_| TellerError::Busy)?;
        let (desk, first) = (Arc::clone(&self.desk), order.lines[0].0);
        let task = self.desk.spawn(first, async move {
            let _door = desk.pass_door(first).await;
            let taken = desk.commit_order(&order).await;
            drop(place);
            taken
        });
        let taken = task.await.map_err(|_| TellerError::Closed)?;
        taken.map_err(|error| TellerError::Store(Arc::new(error)))
    }

    /// Waits until every request taken on has been answered. Call it when nobody asks any more.
    pub async fn close(&self) {
        self.desk.tasks.close();
        self.desk.tasks.wait().await;
    }
}

impl Desk {
    fn waiting(&self) -> MutexGuard<'_, HashMap<InventoryId, Line<HoldId, Customer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a task beside the connections of a row's database.
    fn spawn<T: Send + 'static>(
        &self,
        row: InventoryId,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        match self.till.home(self.till.place(row)) {
            Some(home) => self.tasks.spawn_on(task, &home),
            None => self.tasks.spawn(task),
        }
    }

    fn tell(&self, row: InventoryId, available: u32) {
        if let Some(told) = self.told.get() {
            told(row, available);
        }
    }

    /// Waits for a turn among those who commit alone in a row's database.
    async fn pass_door(&self, row: InventoryId) -> Option<OwnedSemaphorePermit> {
        let place = self.till.place(row);
        let door = {
            let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(doors.entry(place).or_insert_with(|| Arc::new(Semaphore::new(self.limits.alone))))
        };
        door.acquire_owned().await.ok()
    }

    /// Serves one group after the other. A group is on its way to the database before those of the last one are answered:
    /// the database must not rest while a crowd is woken.
    async fn work(&self, guard: Guard, row: InventoryId) {
        let _swept_if_it_panics = Sweep { desk: self, row };
        let mut served = Vec::new();
        while let Some(batch) = self.next_batch(row) {
            let answering = async {
                tokio::task::yield_now().await;
                hand_out(served);
            };
            ((), served) = join(answering, self.serve(guard, row, batch)).await;
        }
        hand_out(served);
    }

    /// Calls the next ones, in order. When nobody waits the row leaves the map, under the same lock under which
    /// newcomers look, so none can be left behind.
    fn next_batch(&self, row: InventoryId) -> Option<Vec<Customer>> {
        let mut waiting = self.waiting();
        let batch = waiting.get_mut(&row)?.call(self.limits.batch);
        if batch.is_empty() {
            waiting.remove(&row);
            return None;
        }
        Some(batch)
    }

    /// Commits what a group asks for, and returns the answers, which are to be handed out.
    async fn serve(&self, guard: Guard, row: InventoryId, batch: Vec<Customer>) -> Vec<Answered> {
        self.metrics.batch_size.observe(batch.len() as f64);
        let waiting = batch.iter().map(|customer| &customer.span);
        let span = together(waiting, |first| telemetry::commit(first, "take seats", batch.len()));
        let (requests, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|customer| (customer.request, customer.answer)).unzip();
        match self.commit(guard, row, &requests).instrument(span.clone()).await {
            Ok(taken) => {
                assert_eq!(taken.answers.len(), answers.len(), "an answer for each request");
                self.tell(row, taken.available);
                let served = |answer| Ok(Served { answer, available: taken.available });
                answers.into_iter().zip(taken.answers.into_iter().map(served)).collect()
            }
            Err(error) => {
                failed(&span, &error);
                let error = TellerError::Store(Arc::new(error));
                answers.into_iter().map(|customer| (customer, Err(error.clone()))).collect()
            }
        }
    }

    async fn commit(&self, guard: Guard, row: InventoryId, requests: &[TakeRequest]) -> Result<Taken, StoreError> {
        let (attempt, mut taken) = insist(|| self.till.take(guard, row, requests)).await?;
        if attempt > 1 {
            let answers = taken.answers.iter_mut().zip(requests);
            answers.for_each(|(answer, request)| recognise(answer, request));
        }
        Ok(taken)
    }

    async fn commit_order(&self, order: &OrderRequest) -> Result<OrderTaken, StoreError> {
        let (attempt, mut taken) = insist(|| self.till.take_order(order)).await?;
        if attempt > 1 {
            recognise(&mut taken.answer, order.head());
        }
        taken.available.iter().for_each(|&(row, available)| self.tell(row, available));
        Ok(taken)
    }
}

/// Answers those who still wait for it.
fn hand_out(answered: Vec<Answered>) {
    for (customer, answer) in answered {
        let _may_have_left = customer.send(answer);
    }
}

/// Commits, again when the outcome is not known: the ids are the same, so nothing can be taken twice. Says which try it
/// was that returned.
async fn insist<T, F>(mut commit: impl FnMut() -> F) -> Result<(u32, T), StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pause = FIRST_PAUSE;
    for attempt in 1..=TRIES {
        match commit().await {
            Err(error) if error.may_retry() && attempt < TRIES => {
                tracing::warn!(%error, attempt, "a commit is tried again");
                tokio::time::sleep(pause).await;
                pause *= 4;
            }
            outcome => return outcome.map(|taken| (attempt, taken)),
        }
    }
    unreachable!("the last try returns");
}

/// Recognises what an earlier try of this same request had committed after all.
fn recognise(answer: &mut TakeAnswer, request: &TakeRequest) {
    match answer {
        TakeAnswer::Replayed(hold) if hold.created_at == request.created_at => {
            *answer = TakeAnswer::Granted(hold.clone());
        }
        _ => {}
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
