//! The follower sees what any process turned: from something on sale to nothing, or back.
//!
//! Each database keeps that with the very commit that turned a row. So gateways are told of what other copies of this
//! program did, and of what a copy did that was killed before it could tell; and what is shown to those who browse is
//! read again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::inventory::InventoryId;
use crate::service::Service;
use crate::store::{Store, StoreError};
use crate::worker;

/// Half of the tenth of a second within which gateways are to know.
const PERIOD: Duration = Duration::from_millis(50);
/// How far back the first pass looks: twice as long as a "sold out" is believed.
const FIRST_WITHIN_S: u32 = 60;
/// How far back a pass looks; what was turned in a transaction that took longer is not told again.
const WITHIN_S: u32 = 20;
/// Rows in one pass, at most; the newest.
const AT_ONCE: u32 = 1_024;

/// Remembers which turns of one database were seen.
#[derive(Debug, Default)]
pub struct Seen(Option<HashMap<InventoryId, u64>>);

/// Sees what has turned since the last pass; returns how many rows that were.
///
/// # Errors
/// [`StoreError`] when the list cannot be read.
pub async fn pass(service: &Service, database: &dyn Store, seen: &mut Seen) -> Result<usize, StoreError> {
    let within_s = if seen.0.is_some() { WITHIN_S } else { FIRST_WITHIN_S };
    let turned = database.turned(within_s, AT_ONCE).await?;
    let known = seen.0.take().unwrap_or_default();
    let news = turned.iter().filter(|row| known.get(&row.inventory).is_none_or(|&version| version < row.version));
    let mut count = 0;
    for row in news {
        service.turned(row.inventory);
        count += 1;
    }
    seen.0 = Some(turned.into_iter().map(|row| (row.inventory, row.version)).collect());
    Ok(count)
}

/// Follows until stopped; each database by itself, so that one that hangs delays no other.
pub async fn run(service: Arc<Service>, stop: CancellationToken) {
    let follow = |database| follow(&service, database, &stop);
    futures_util::future::join_all(service.databases().into_iter().map(follow)).await;
}

async fn follow(service: &Service, database: &dyn Store, stop: &CancellationToken) {
    let (never, state) = (Notify::new(), tokio::sync::Mutex::new((Seen::default(), false)));
    worker::run(PERIOD, &never, stop, || async {
        let (seen, failing) = &mut *state.lock().await;
        let outcome = pass(service, database, seen).await;
        if let Some(error) = outcome.as_ref().err().filter(|_| !*failing) {
            tracing::warn!(%error, "what has turned cannot be read; it is tried on");
        }
        *failing = outcome.is_err();
    })
    .await;
}
