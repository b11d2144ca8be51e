//! The reconciler compares the provider's list with ours: money taken that we missed is captured, money nobody knows
//! goes back, and a payment the provider never heard of fails.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::moment::Moment;
use crate::domain::payment::{Payment, PaymentId, PaymentState};
use crate::provider::{Charge, ProviderFault};
use crate::service::{Denied, Service};
use crate::store::StoreError;
use crate::worker::{self, Pass};

const PERIOD: Duration = Duration::from_secs(5);
/// How far back the provider's list is read at least.
const LOOK_BACK_MS: i64 = 24 * 3_600_000;
/// By how much the provider's clock may be behind ours.
const CLOCKS_APART_MS: i64 = 300_000;
/// Charges younger than this may still be on their way into our books.
const SETTLING_MS: i64 = 3_000;
const AT_ONCE: u32 = 500;

/// Says why a pass could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileFault {
    /// The provider did not give its list.
    #[error(transparent)]
    Provider(#[from] ProviderFault),
    /// The provider did not give its list in time.
    #[error("the provider did not answer in time")]
    Slow(#[from] tokio::time::error::Elapsed),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Compares once.
///
/// # Errors
/// [`ReconcileFault`] when one of the lists cannot be read.
pub async fn pass(service: &Service) -> Result<Pass, ReconcileFault> {
    let now = service.now();
    let pending = pending(service, now).await?;
    let asked = service.parts.provider.list(list_from(&pending, now));
    let charges = tokio::time::timeout(service.terms().provider_timeout, asked).await??;
    let mut pass = Pass::default();
    for charge in charges.iter().filter(|charge| now.since_ms(charge.created_at) >= SETTLING_MS) {
        note(service, &mut pass, compare(service, charge).await);
    }
    let known: HashSet<PaymentId> = charges.iter().map(|charge| charge.payment).collect();
    for (id, _) in pending {
        if !known.contains(&id) {
            let failed = service.failed(id, "the payment provider did not take the payment").await;
            note(service, &mut pass, failed.map(|()| true));
        }
    }
    Ok(pass)
}

/// Lists what is pending in every database that answers: one that does not is compared in a later pass.
async fn pending(service: &Service, now: Moment) -> Result<Vec<(PaymentId, Moment)>, StoreError> {
    let before = now.plus_ms(-service.terms().pending_ms);
    let (mut pending, mut faults, databases) = (Vec::new(), Vec::new(), service.databases());
    for found in join_all(databases.iter().map(|database| database.pending(before, AT_ONCE))).await {
        found.map_or_else(|error| faults.push(error), |found| pending.extend(found));
    }
    match faults.pop() {
        Some(error) if faults.len() + 1 == databases.len() => Err(error),
        Some(error) => {
            tracing::warn!(%error, "what is pending in one of the databases could not be read");
            Ok(pending)
        }
        None => Ok(pending),
    }
}

/// Returns how far back the provider's list must reach: it is taken as proof that a pending payment was never charged,
/// so it begins before the oldest of them, however long nobody has looked.
fn list_from(pending: &[(PaymentId, Moment)], now: Moment) -> Moment {
    let usual = now.plus_ms(-LOOK_BACK_MS);
    let oldest = pending.iter().map(|(_, created_at)| created_at.plus_ms(-CLOCKS_APART_MS)).min();
    oldest.map_or(usual, |oldest| oldest.min(usual))
}

/// Deals with one charge; `false` when it was in order.
async fn compare(service: &Service, charge: &Charge) -> Result<bool, Denied> {
    if charge.refunded {
        return Ok(false);
    }
    match service.store().payment(charge.payment).await? {
        Some(payment) if missed(&payment, charge) => {
            service.captured(charge.payment, &charge.id, charge.amount.get()).await.map(|()| true)
        }
        Some(payment) if payment.state.charge() == Some(&charge.id) => Ok(false),
        _ => {
            let adopted = service.adopt(charge).await?;
            if adopted {
                service.metrics().orphans.inc();
                tracing::warn!(charge = charge.id.0, "money nobody knew of goes back");
            }
            Ok(adopted)
        }
    }
}

fn missed(payment: &Payment, charge: &Charge) -> bool {
    let open = matches!(payment.state, PaymentState::Pending | PaymentState::Failed { .. });
    open && payment.amount == charge.amount
}

fn note(service: &Service, pass: &mut Pass, outcome: Result<bool, Denied>) {
    match outcome {
        Ok(false) => {}
        Ok(true) => pass.count(true),
        Err(denied) => {
            service.metrics().worker_faults.with_label_values(&["reconciler"]).inc();
            tracing::error!(%denied, "a charge could not be reconciled");
            pass.count(false);
        }
    }
}

/// Compares until stopped.
pub async fn run(service: Arc<Service>, stop: CancellationToken) {
    let never = Notify::new();
    worker::run(PERIOD, &never, &stop, || async {
        if let Err(error) = pass(&service).await {
            tracing::warn!(%error, "the books could not be compared with the provider's");
        }
    })
    .await;
}
