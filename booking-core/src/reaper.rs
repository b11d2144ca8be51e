//! The reaper gives back the seats of holds whose time is over.
//!
//! Each pass reads what is due and asks the clerk to let each hold lapse, which checks again under the hold's lock; so two
//! reapers, or one that is run twice, give every seat back once. Many at once share commits, so a sale whose first crowd did
//! not pay comes back as fast as the database writes. A hold that cannot be processed is counted and passed over.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::domain::hold::HoldId;
use crate::service::Service;
use crate::store::{Store, StoreError};
use crate::worker::{self, Pass};

/// How long a lapsed hold waits at most before somebody looks; what it then takes is up to how many lapsed with it.
pub const PERIOD: Duration = Duration::from_millis(250);

/// Holds that are asked about together; the clerk has room for many times as many.
const AT_ONCE: u32 = 1_000;

/// A pass ends here: it is the database that is ill, not a row.
const MOST_FAILED: u32 = 5_000;

/// Reaps everything that is due, in one database after the other.
///
/// # Errors
/// [`StoreError`] when the list of what is due cannot be read.
pub async fn pass(service: &Service) -> Result<Pass, StoreError> {
    let mut pass = Pass::default();
    for database in service.databases() {
        pass = pass.and(reap_all(service, database).await?);
    }
    Ok(pass)
}

async fn reap_all(service: &Service, database: &dyn Store) -> Result<Pass, StoreError> {
    let mut pass = Pass::default();
    let mut tried: HashSet<HoldId> = HashSet::new();
    loop {
        // What failed is still due and stands in front; the window is widened by it, so it hides nobody.
        let due = database.lapsed(service.now(), AT_ONCE + pass.failed).await?;
        let fresh: Vec<HoldId> = due.into_iter().filter(|hold| tried.insert(*hold)).collect();
        if fresh.is_empty() || pass.failed > MOST_FAILED {
            return Ok(pass);
        }
        join_all(fresh.into_iter().map(|hold| reap(service, hold))).await.into_iter().for_each(|done| pass.count(done));
    }
}

async fn reap(service: &Service, hold: HoldId) -> bool {
    let expired = service.expire(hold).await;
    if let Err(denied) = &expired {
        service.metrics().worker_faults.with_label_values(&["reaper"]).inc();
        tracing::error!(%hold, %denied, "a hold could not be reaped");
    }
    expired.is_ok()
}

/// Reaps until stopped; each database by itself, so that one that hangs delays no other.
pub async fn run(service: Arc<Service>, stop: CancellationToken) {
    let reapers = service.databases().into_iter().zip(service.reaper_nudge.listeners());
    let service = &*service;
    let reapers = reapers.map(|(database, nudge)| {
        worker::run(PERIOD, nudge, &stop, move || async move {
            if let Err(error) = reap_all(service, database).await {
                tracing::error!(%error, "the reaper could not read what is due");
            }
        })
    });
    join_all(reapers).await;
}
