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
use tokio::sync::{Semaphore, oneshot};
use tokio_util::task::TaskTracker;

use crate::domain::hold::HoldId;
use crate::domain::inventory::InventoryId;
use crate::metrics::Metrics;
use crate::store::{Guard, OrderRequest, OrderTaken, StoreError, TakeAnswer, TakeRequest, Taken, Till};
use crate::strategy::{Strategies, Strategy};

/// How often a commit is tried whose outcome is not known; each try is safe, the ids are the same.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// How many may wait under one hold's id; a commit serves one of them, so more would only fill the line.
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
}

/// Requests that stand in no row's line and may be under way at once: orders of several rows, and strategies that
/// commit one by one.
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

struct Customer {
    request: TakeRequest,
    answer: oneshot::Sender<Result<Served, TellerError>>,
}

/// Who waits for one row, in arrival order.
#[derive(Default)]
struct Line {
    customers: VecDeque<Customer>,
    /// How many of them ask under each hold's id.
    same: HashMap<HoldId, usize>,
}

impl Line {
    fn of(customer: Customer) -> Self {
        Self { same: HashMap::from([(customer.request.hold, 1)]), customers: VecDeque::from([customer]) }
    }

    fn join(&mut self, customer: Customer, limit: usize) -> Result<(), TellerError> {
        let same = self.same.get(&customer.request.hold).copied().unwrap_or(0);
        if self.customers.len() >= limit || same >= SAME_HOLD {
            return Err(TellerError::Busy);
        }
        self.same.insert(customer.request.hold, same + 1);
        self.customers.push_back(customer);
        Ok(())
    }

    /// Takes the next ones out for one commit. No hold goes twice: whoever asks under an id that is called already is
    /// passed over, and keeps the place in front for the next commit.
    fn call(&mut self, limit: usize) -> Vec<Customer> {
        let (mut batch, mut passed_over, mut called) = (Vec::new(), Vec::new(), HashSet::new());
        while batch.len() < limit {
            let Some(customer) = self.customers.pop_front() else { break };
            let customers = if called.insert(customer.request.hold) { &mut batch } else { &mut passed_over };
            customers.push(customer);
        }
        passed_over.into_iter().rev().for_each(|customer| self.customers.push_front(customer));
        called.iter().for_each(|hold| self.leave(hold));
        batch
    }

    fn leave(&mut self, hold: &HoldId) {
        if let Some(same) = self.same.get_mut(hold) {
            *same -= 1;
            if *same == 0 {
                self.same.remove(hold);
            }
        }
    }
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
    waiting: Mutex<HashMap<InventoryId, Line>>,
    /// Bounds those who stand in no line.
    alone: Arc<Semaphore>,
}

impl Teller {
    /// Opens a teller on a till.
    #[must_use]
    pub fn new(till: Arc<dyn Till>, metrics: Metrics, strategies: impl Into<Strategies>, limits: TellerLimits) -> Self {
        let alone = Arc::new(Semaphore::new(ALONE));
        let desk = Desk { till, metrics, limits, tasks: TaskTracker::new(), waiting: Mutex::default(), alone };
        Self { desk: Arc::new(desk), strategies: strategies.into() }
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
        let customer = Customer { request, answer };
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
        self.desk.tasks.spawn(async move {
            desk.serve(guard, row, vec![customer]).await;
            drop(place);
        });
        Ok(())
    }

    fn stand_in_line(&self, guard: Guard, row: InventoryId, customer: Customer) -> Result<(), TellerError> {
        let mut waiting = self.desk.waiting();
        let busy_rows = waiting.len();
        match waiting.entry(row) {
            Entry::Occupied(mut line) => line.get_mut().join(customer, self.desk.limits.waiting)?,
            Entry::Vacant(_) if busy_rows >= self.desk.limits.rows => return Err(TellerError::Busy),
            Entry::Vacant(line) => {
                line.insert(Line::of(customer));
                let desk = Arc::clone(&self.desk);
                self.desk.tasks.spawn(async move { desk.work(guard, row).await });
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
        let desk = Arc::clone(&self.desk);
        let task = self.desk.tasks.spawn(async move {
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
    fn waiting(&self) -> MutexGuard<'_, HashMap<InventoryId, Line>> {
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
        let batch = waiting.get_mut(&row)?.call(self.limits.batch);
        if batch.is_empty() {
            waiting.remove(&row);
            return None;
        }
        Some(batch)
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
        Ok(taken)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::moment::Moment;
    use crate::domain::money::Paise;
    use crate::domain::seat::Wish;

    fn customer(hold: u8, quantity: u32) -> Customer {
        let (answer, _caller_has_left) = oneshot::channel();
        let request = TakeRequest {
            hold: HoldId::from_bytes([hold; 16]),
            request_hash: [0; 32],
            quantity,
            wish: Wish::Any,
            amount: Paise::new(1),
            created_at: Moment::from_ms(0),
            expires_at: Moment::from_ms(1),
        };
        Customer { request, answer }
    }

    fn quantities(batch: &[Customer]) -> Vec<u32> {
        batch.iter().map(|customer| customer.request.quantity).collect()
    }

    #[test]
    fn a_repeated_key_is_passed_over_and_keeps_its_place() {
        let mut line = Line::of(customer(1, 10));
        for (hold, quantity) in [(1, 11), (1, 12), (2, 20), (3, 30), (4, 40)] {
            line.join(customer(hold, quantity), 100).unwrap();
        }
        assert_eq!(quantities(&line.call(3)), [10, 20, 30]);
        assert_eq!(quantities(&line.call(3)), [11, 40]);
        assert_eq!(quantities(&line.call(3)), [12]);
        assert!(line.call(3).is_empty() && line.same.is_empty());
    }

    #[test]
    fn one_key_cannot_fill_the_line() {
        let mut line = Line::of(customer(1, 1));
        for _ in 1..SAME_HOLD {
            line.join(customer(1, 1), 100).unwrap();
        }
        assert!(matches!(line.join(customer(1, 1), 100), Err(TellerError::Busy)));
        line.join(customer(2, 1), 100).unwrap();
        assert_eq!(line.call(100).len(), 2);
        line.join(customer(1, 1), 100).expect("one of them was called");
        assert!(matches!(line.join(customer(3, 1), line.customers.len()), Err(TellerError::Busy)));
    }
}
