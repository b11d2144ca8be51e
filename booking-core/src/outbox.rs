//! The outbox sees every payment through to a booking or back to the buyer, across crashes.
//!
//! A task is written in the same transaction as the state that needs it, and is deleted in the same transaction as the
//! state that ends it. One that fails is put off, longer each time, unless it was asked for again meanwhile, and keeps no
//! other waiting. Settling is our own work
//! and quick; taking money and sending it back wait for the provider. So each of the three has its own rhythm and its own
//! share of what is due: a provider that hangs keeps nobody from a decision, and one whose refunds hang from a booking.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::order::{self, Task, TaskKind};
use crate::service::Service;
use crate::store::{DueTask, Store, StoreError, Subject};
use crate::worker::{self, Pass};

const PERIOD: Duration = Duration::from_millis(500);
/// Counting reads a hundred thousand open holds; whoever waits for the database would notice.
const COUNT_PERIOD: Duration = Duration::from_secs(15);
const AT_ONCE: u32 = 200;
/// Calls of one kind that wait for the provider at the same time.
const CALLS_ABREAST: usize = 16;
/// A database that does not answer for so long counts as away.
const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE_MS: i64 = 60_000;
/// A refund that the buyer's bank does not take is not worth asking for every minute.
const LONGEST_PAUSE_OF_REFUNDS_MS: i64 = 3_600_000;

/// Does everything that is due: first what is to be settled, then what is to be taken, then what is to go back.
///
/// # Errors
/// [`StoreError`] when the list of what is due cannot be read.
pub async fn pass(service: &Service) -> Result<Pass, StoreError> {
    tokio::join!(observe(service), count(service));
    let mut pass = Pass::default();
    for database in service.databases() {
        pass = pass.and(settle_pass(service, database).await?);
        pass = pass.and(capture_pass(service, database).await?).and(return_pass(service, database).await?);
    }
    Ok(pass)
}

async fn settle_pass(service: &Service, database: &dyn Store) -> Result<Pass, StoreError> {
    let due = database.due(TaskKind::Settle, service.now(), AT_ONCE).await?;
    Ok(see_to_all(service, database, due, AT_ONCE as usize).await)
}

async fn capture_pass(service: &Service, database: &dyn Store) -> Result<Pass, StoreError> {
    let due = database.due(TaskKind::Capture, service.now(), AT_ONCE).await?;
    Ok(see_to_all(service, database, due, CALLS_ABREAST).await)
}

async fn return_pass(service: &Service, database: &dyn Store) -> Result<Pass, StoreError> {
    let now = service.now();
    let mut due = database.due(TaskKind::Void, now, AT_ONCE).await?;
    due.extend(database.due(TaskKind::Refund, now, AT_ONCE).await?);
    Ok(see_to_all(service, database, due, CALLS_ABREAST).await)
}

/// Does tasks, so many of them at the same time.
async fn see_to_all(service: &Service, database: &dyn Store, due: Vec<DueTask>, abreast: usize) -> Pass {
    let mut calls = stream::iter(due).map(|task| see_to(service, database, task)).buffer_unordered(abreast);
    let mut pass = Pass::default();
    while let Some(dealt_with) = calls.next().await {
        pass.count(dealt_with);
    }
    pass
}

/// Looks at every database at once. One that does not answer in time counts as away and is left out, so that the others
/// are still seen.
async fn observe(service: &Service) {
    let lags = ask_all(service, |database| lag_ms(service, database)).await;
    let away = lags.iter().filter(|lag| lag.is_none()).count();
    service.metrics().databases_away.set(i64::try_from(away).unwrap_or(i64::MAX));
    let oldest_ms = lags.into_iter().flatten().max().unwrap_or_default();
    service.metrics().outbox_lag_seconds.set(oldest_ms as f64 / 1000.0);
}

/// Counts the open holds of every database that answers, and the refunds that do not succeed.
async fn count(service: &Service) {
    let holds = ask_all(service, |database| database.open_holds());
    let refunds = ask_all(service, |database| database.failing_refunds());
    let (holds, refunds) = tokio::join!(holds, refunds);
    let sum = |counts: Vec<Option<u64>>| i64::try_from(counts.into_iter().flatten().sum::<u64>()).unwrap_or(i64::MAX);
    service.metrics().holds_active.set(sum(holds));
    service.metrics().refunds_failing.set(sum(refunds));
}

/// Asks every database the same at once; `None` where there is no answer in time.
async fn ask_all<'a, T, F>(service: &'a Service, ask: impl Fn(&'a dyn Store) -> F) -> Vec<Option<T>>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let asked = service.databases().into_iter().map(|database| tokio::time::timeout(PATIENCE, ask(database)));
    join_all(asked).await.into_iter().map(|answer| answer.ok().and_then(Result::ok)).collect()
}

/// Returns the age of the oldest task that is due, in milliseconds.
async fn lag_ms(service: &Service, database: &dyn Store) -> Result<i64, StoreError> {
    let (now, mut oldest) = (service.now(), 0);
    for kind in TaskKind::ALL {
        let due = database.due(kind, now, AT_ONCE).await?;
        oldest = due.iter().map(|task| now.since_ms(task.created_at)).fold(oldest, i64::max);
    }
    Ok(oldest)
}

/// Does one task, or puts it off.
async fn see_to(service: &Service, database: &dyn Store, task: DueTask) -> bool {
    let outcome = work(service, task.task).await;
    if let Err(reason) = &outcome {
        put_off(service, database, task, reason).await;
    }
    outcome.is_ok()
}

async fn work(service: &Service, task: Task) -> Result<(), String> {
    match task.kind {
        TaskKind::Settle => service.settle(task.payment).await.map_err(|denied| denied.to_string())?,
        TaskKind::Capture => drop(service.capture(task.payment).await.map_err(|fault| fault.to_string())?),
        TaskKind::Void => service.void(task.payment).await.map_err(|fault| fault.to_string())?,
        TaskKind::Refund => service.refund(task.payment).await.map_err(|fault| fault.to_string())?,
    }
    tidy(service, task).await
}

/// Deletes a task that outlived its reason.
async fn tidy(service: &Service, task: Task) -> Result<(), String> {
    let decide = Arc::new(move |loaded: &order::Loaded| order::tidy(loaded, task));
    let tidied = service.clerk.transact(Subject::Payment(task.payment), decide).await;
    tidied.map(drop).map_err(|error| error.to_string())
}

async fn put_off(service: &Service, database: &dyn Store, task: DueTask, reason: &str) {
    service.metrics().worker_faults.with_label_values(&["outbox"]).inc();
    tracing::warn!(payment = %task.task.payment, kind = task.task.kind.word(), reason, "a task is put off");
    let until = service.now().plus_ms(pause_ms(task));
    if let Err(error) = database.postpone(task, until, reason).await {
        tracing::error!(%error, "a task could not be put off");
    }
}

/// Returns for how long a task is put off: twice as long each time, up to a bound.
fn pause_ms(task: DueTask) -> i64 {
    let longest = if task.task.kind == TaskKind::Refund { LONGEST_PAUSE_OF_REFUNDS_MS } else { LONGEST_PAUSE_MS };
    (500_i64 << task.attempts.min(13)).min(longest)
}

/// Works until stopped; each database by itself, so that one that hangs delays no other.
pub async fn run(service: Arc<Service>, stop: CancellationToken) {
    let (service, stop, never) = (&*service, &stop, &Notify::new());
    let settles = service.databases().into_iter().zip(service.settle_nudge.listeners()).map(|(database, nudge)| {
        worker::run(PERIOD, nudge, stop, move || async move { report(settle_pass(service, database).await) })
    });
    let captures = service.databases().into_iter().zip(service.capture_nudge.listeners()).map(|(database, nudge)| {
        worker::run(PERIOD, nudge, stop, move || async move { report(capture_pass(service, database).await) })
    });
    let returns = service.databases().into_iter().zip(service.return_nudge.listeners()).map(|(database, nudge)| {
        worker::run(PERIOD, nudge, stop, move || async move { report(return_pass(service, database).await) })
    });
    let figures = worker::run(PERIOD, never, stop, || observe(service));
    let counts = worker::run(COUNT_PERIOD, never, stop, || count(service));
    tokio::join!(join_all(settles), join_all(captures), join_all(returns), figures, counts);
}

fn report(outcome: Result<Pass, StoreError>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "the outbox could not be read");
    }
}
