//! The outbox sees every captured payment through to a booking or a refund, across crashes.
//!
//! A task is written in the same transaction as the state that needs it, and is deleted in the same transaction as the
//! state that ends it. One that fails is put off, longer each time, and keeps no other waiting.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::order::{self, Task, TaskKind};
use crate::service::Service;
use crate::store::{DueTask, StoreError, Subject};
use crate::worker::{self, Pass};

const PERIOD: Duration = Duration::from_millis(500);
const AT_ONCE: u32 = 200;
const LONGEST_PAUSE_MS: i64 = 60_000;

/// Does everything that is due.
///
/// # Errors
/// [`StoreError`] when the list of what is due cannot be read.
pub async fn pass(service: &Service) -> Result<Pass, StoreError> {
    let mut pass = Pass::default();
    let open = service.store().open_holds().await?;
    service.metrics().holds_active.set(i64::try_from(open).unwrap_or(i64::MAX));
    let due = service.store().due(service.now(), AT_ONCE).await?;
    let oldest = due.iter().map(|task| service.now().since_ms(task.created_at)).max().unwrap_or(0);
    service.metrics().outbox_lag_seconds.set(oldest.max(0) as f64 / 1000.0);
    for task in due {
        let outcome = work(service, task.task).await;
        if let Err(reason) = &outcome {
            put_off(service, task, reason).await;
        }
        pass.count(outcome.is_ok());
    }
    Ok(pass)
}

async fn work(service: &Service, task: Task) -> Result<(), String> {
    match task.kind {
        TaskKind::Settle => service.settle(task.payment).await.map_err(|denied| denied.to_string())?,
        TaskKind::Refund => service.refund(task.payment).await.map_err(|fault| fault.to_string())?,
    }
    tidy(service, task).await
}

/// Deletes a task that outlived its reason.
async fn tidy(service: &Service, task: Task) -> Result<(), String> {
    let decide = Arc::new(move |loaded: &order::Loaded| order::tidy(loaded, task));
    let tidied = service.store().transact(Subject::Payment(task.payment), decide).await;
    tidied.map(drop).map_err(|error| error.to_string())
}

async fn put_off(service: &Service, task: DueTask, reason: &str) {
    service.metrics().worker_faults.with_label_values(&["outbox"]).inc();
    tracing::warn!(payment = %task.task.payment, kind = task.task.kind.word(), reason, "a task is put off");
    let pause_ms = (500_i64 << task.attempts.min(7)).min(LONGEST_PAUSE_MS);
    let until = service.now().plus_ms(pause_ms);
    if let Err(error) = service.store().postpone(task.task, until, reason).await {
        tracing::error!(%error, "a task could not be put off");
    }
}

/// Works until stopped.
pub async fn run(service: Arc<Service>, stop: CancellationToken) {
    worker::run(PERIOD, &service.outbox_nudge, &stop, || async {
        if let Err(error) = pass(&service).await {
            tracing::error!(%error, "the outbox could not be read");
        }
    })
    .await;
}
