//! The reconciler compares the provider's list with our books: what we missed is caught up on, money nobody knows goes
//! back, what the provider gave up is given up, and a payment it never heard of fails.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::payment::{Payment, PaymentId, PaymentState};
use crate::domain::placement::ShardNumber;
use crate::provider::{CLOCKS_APART_MS, Charge, ChargePage, ChargeState, ProviderFault};
use crate::service::paying::{CallFault, Then};
use crate::service::{Denied, Service};
use crate::store::StoreError;
use crate::worker::{self, Pass};

const PERIOD: Duration = Duration::from_secs(5);
/// How far back the provider's list is read by a whole comparison, at least.
const LOOK_BACK_MS: i64 = 24 * 3_600_000;
/// How often the whole is compared; in between, only what is younger than the last comparison and a little more.
const WHOLE_EVERY_MS: i64 = 600_000;
/// How much of what was compared last time is compared again: as long as a charge may need to come to rest.
const OVERLAP_MS: i64 = 600_000;
/// Charges younger than this may still be on their way into our books.
const SETTLING_MS: i64 = 3_000;
const AT_ONCE: u32 = 500;
/// Parts of the provider's list that are read at most; a list that is longer proves nothing.
const MOST_PAGES: usize = 5_000;

const NOT_TAKEN: &str = "the payment provider did not take the payment";

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

/// Remembers how far the comparing has come.
///
/// A day's list may have a hundred thousand charges, and hardly any of them has changed since the last look. So most
/// passes read the end of the list, and the whole is compared now and then.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reconciler {
    /// When the last comparison began that came to its end.
    last: Option<Moment>,
    /// When the last whole one did.
    whole: Option<Moment>,
}

impl Reconciler {
    /// Compares once: the whole, or what is new.
    ///
    /// # Errors
    /// [`ReconcileFault`] when one of the lists cannot be read to its end; the next pass then reads as far back.
    pub async fn pass(&mut self, service: &Service) -> Result<Pass, ReconcileFault> {
        let now = service.now();
        let from = self.from(now);
        let (pass, differing) = compare_since(service, from, now).await?;
        self.last = Some(now);
        if from <= whole(now) {
            self.whole = Some(now);
            service.metrics().discrepancies.set(differing);
        }
        Ok(pass)
    }

    /// Returns since when charges are compared at a moment. A clock that went back has everything compared.
    fn from(self, now: Moment) -> Moment {
        match (self.last, self.whole) {
            (Some(last), Some(before)) if (0..WHOLE_EVERY_MS).contains(&now.since_ms(before)) => {
                last.plus_ms(-OVERLAP_MS)
            }
            _ => whole(now),
        }
    }
}

/// Returns since when a whole comparison reads.
const fn whole(now: Moment) -> Moment {
    now.plus_ms(-LOOK_BACK_MS)
}

/// Compares the whole, once.
///
/// # Errors
/// As [`Reconciler::pass`].
pub async fn pass(service: &Service) -> Result<Pass, ReconcileFault> {
    Reconciler::default().pass(service).await
}

/// Compares the charges since a moment; says how many contradict the books in a way that only a person can put right.
async fn compare_since(service: &Service, usual: Moment, now: Moment) -> Result<(Pass, i64), ReconcileFault> {
    let pending = pending(service, now).await?;
    let mut unheard_of: HashSet<PaymentId> = pending.iter().map(|(id, _)| *id).collect();
    let (mut pass, mut differing) = (Pass::default(), 0);
    let (since, mut from) = (list_from(&pending, usual), None);
    for _ in 0..MOST_PAGES {
        let page = read(service, since, from.as_deref()).await?;
        for charge in &page.charges {
            unheard_of.remove(&charge.payment);
            if now.since_ms(charge.created_at) >= SETTLING_MS {
                let dealt_with = compare(service, charge, now).await;
                differing += i64::from(matches!(dealt_with, Ok(Dealt::Differs)));
                note(service, &mut pass, dealt_with);
            }
        }
        from = page.next;
        if from.is_none() {
            fail_all(service, &mut pass, unheard_of).await;
            return Ok((pass, differing));
        }
    }
    Err(ProviderFault("its list has no end".to_owned()).into())
}

async fn read(service: &Service, since: Moment, from: Option<&str>) -> Result<ChargePage, ReconcileFault> {
    let asked = service.parts.provider.list(since, from);
    Ok(tokio::time::timeout(service.terms().provider_timeout, asked).await??)
}

async fn fail_all(service: &Service, pass: &mut Pass, unheard_of: HashSet<PaymentId>) {
    for id in unheard_of {
        let failed = service.failed(id, None, NOT_TAKEN).await;
        note(service, pass, failed.map(|()| Dealt::Done).map_err(CallFault::from));
    }
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
fn list_from(pending: &[(PaymentId, Moment)], usual: Moment) -> Moment {
    let oldest = pending.iter().map(|(_, created_at)| created_at.plus_ms(-CLOCKS_APART_MS)).min();
    oldest.map_or(usual, |oldest| oldest.min(usual))
}

/// Says what a charge calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// Nothing: it is as our books have it, or on its way there.
    Nothing,
    /// Money was set aside that we missed.
    Authorized,
    /// Money was taken that we missed.
    Captured,
    /// The provider gave up what we still count on.
    Withdrawn,
    /// The buyer never confirmed, and has had the time.
    Abandon,
    /// It is nobody's.
    Adopt,
    /// The provider has given back less than we have written down as done.
    Refunds,
    /// Provider and books contradict each other in a way that only a person can put right.
    Differs,
}

/// Judges a charge by the payment it names; pure.
fn judge(payment: Option<&Payment>, charge: &Charge, old: bool) -> Call {
    let ours = |payment: &&Payment| {
        payment.amount == charge.amount && payment.state.charge().is_none_or(|known| *known == charge.id)
    };
    let Some(payment) = payment.filter(ours) else { return Call::Adopt };
    use PaymentState as P;
    match (charge.state, &payment.state) {
        (ChargeState::Authorized, P::Pending | P::Challenged { .. } | P::Failed { .. }) => Call::Authorized,
        (
            ChargeState::Captured,
            P::Pending
            | P::Challenged { .. }
            | P::Failed { .. }
            | P::Authorized { .. }
            | P::Capturing { .. }
            | P::Voiding { .. }
            | P::Voided { .. },
        ) => Call::Captured,
        (
            ChargeState::Voided | ChargeState::Failed,
            P::Pending | P::Challenged { .. } | P::Authorized { .. } | P::Capturing { .. } | P::Voiding { .. },
        ) => Call::Withdrawn,
        (ChargeState::Open, P::Pending | P::Challenged { .. }) if old => Call::Abandon,
        (ChargeState::Captured, P::Kept { .. } | P::Refunding { .. } | P::Refunded { .. }) => {
            judge_refunds(payment, charge.refunded)
        }
        (ChargeState::Voided | ChargeState::Failed, P::Kept { .. } | P::Captured { .. }) => Call::Differs,
        _ => Call::Nothing,
    }
}

/// Judges what the provider has given back by what is written down.
fn judge_refunds(payment: &Payment, refunded: Paise) -> Call {
    let refunds = &payment.refunds;
    match refunded {
        refunded if refunded < refunds.done() => Call::Refunds,
        refunded if refunded > refunds.due().unwrap_or_default() => Call::Differs,
        _ => Call::Nothing,
    }
}

/// Says how a charge was dealt with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dealt {
    /// There was nothing to do.
    Nothing,
    /// It is in order now.
    Done,
    /// Somebody must look at it.
    Differs,
}

impl From<bool> for Dealt {
    fn from(done: bool) -> Self {
        if done { Self::Done } else { Self::Nothing }
    }
}

/// Deals with one charge.
async fn compare(service: &Service, charge: &Charge, now: Moment) -> Result<Dealt, CallFault> {
    let payment = service.store().payment(charge.payment).await.map_err(Denied::from)?;
    let at_home = payment.is_some() || is_configured(service, charge.payment);
    let old = now.since_ms(charge.created_at) >= service.terms().pending_ms;
    let (id, amount) = (charge.payment, charge.amount.get());
    match judge(payment.as_ref(), charge, old) {
        // A database that was taken out of the configuration may know it, and what it bought.
        Call::Adopt if !at_home && charge.left() > Paise::default() => return Ok(differs(charge)),
        Call::Nothing => return Ok(Dealt::Nothing),
        Call::Authorized => drop(service.authorized(id, &charge.id, amount, Then::LeaveToOutbox).await?),
        Call::Captured => drop(service.captured(id, &charge.id, amount).await?),
        Call::Withdrawn => service.withdrawn(id, &charge.id).await?,
        Call::Abandon => return Ok(service.abandon(id, &charge.id).await.map(Dealt::from)?),
        Call::Adopt => return see_off(service, charge, now).await,
        Call::Refunds => return check_refunds(service, payment.as_ref(), charge, now).await,
        Call::Differs => return Ok(differs(charge)),
    }
    Ok(Dealt::Done)
}

/// Tells whether the database a payment's id names is among ours. With only one there is no other it could be in.
fn is_configured(service: &Service, payment: PaymentId) -> bool {
    let (databases, named) = (service.store().databases(), ShardNumber::of_payment(payment));
    databases.is_empty() || databases.iter().any(|(number, _)| *number == named)
}

fn differs(charge: &Charge) -> Dealt {
    let (id, payment) = (&charge.id.0, charge.payment);
    tracing::error!(charge = id, %payment, "the provider and the books differ; see to it by hand");
    Dealt::Differs
}

async fn adopt(service: &Service, charge: &Charge) -> Result<bool, Denied> {
    let adopted = service.adopt(charge).await?;
    if adopted {
        service.metrics().orphans.inc();
        tracing::warn!(charge = charge.id.0, "money nobody knew of goes back");
    }
    Ok(adopted)
}

/// Sees to a charge that is nobody's. One that was adopted before may have come back since.
async fn see_off(service: &Service, charge: &Charge, now: Moment) -> Result<Dealt, CallFault> {
    if adopt(service, charge).await? {
        return Ok(Dealt::Done);
    }
    match service.orphan(charge).await? {
        Some(payment) if charge.refunded < payment.refunds.done() => {
            check_refunds(service, Some(&payment), charge, now).await
        }
        _ => Ok(Dealt::Nothing),
    }
}

/// Has the provider asked about refunds it does not seem to have made. If it says that it has, the list was older than the
/// payment, or somebody must look at it.
async fn check_refunds(
    service: &Service,
    payment: Option<&Payment>,
    charge: &Charge,
    now: Moment,
) -> Result<Dealt, CallFault> {
    let Some(payment) = payment else { return Ok(Dealt::Nothing) };
    if service.check_refunds(payment).await? {
        return Ok(Dealt::Done);
    }
    let fresh = now.since_ms(payment.changed_at) < SETTLING_MS;
    Ok(if fresh { Dealt::Nothing } else { differs(charge) })
}

fn note(service: &Service, pass: &mut Pass, outcome: Result<Dealt, CallFault>) {
    match outcome {
        Ok(Dealt::Nothing | Dealt::Differs) => {}
        Ok(Dealt::Done) => pass.count(true),
        Err(fault) => {
            service.metrics().worker_faults.with_label_values(&["reconciler"]).inc();
            tracing::error!(%fault, "a charge could not be reconciled");
            pass.count(false);
        }
    }
}

/// Compares until stopped.
pub async fn run(service: Arc<Service>, stop: CancellationToken) {
    let (never, reconciler) = (Notify::new(), tokio::sync::Mutex::new(Reconciler::default()));
    worker::run(PERIOD, &never, &stop, || async {
        if let Err(error) = reconciler.lock().await.pass(&service).await {
            tracing::warn!(%error, "the books could not be compared with the provider's");
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_whole_now_and_then_and_the_end_in_between() {
        let at = Moment::from_ms;
        let now = 100 * LOOK_BACK_MS;
        for (last, before, expected) in [
            (None, None, now - LOOK_BACK_MS),
            (Some(now - 5_000), Some(now - 60_000), now - 5_000 - OVERLAP_MS),
            (Some(now - 5_000), Some(now - WHOLE_EVERY_MS), now - LOOK_BACK_MS),
            (Some(now - 90_000), Some(now - 90_000), now - 90_000 - OVERLAP_MS),
            (Some(now + 1), Some(now + 1), now - LOOK_BACK_MS),
        ] {
            let reconciler = Reconciler { last: last.map(at), whole: before.map(at) };
            assert_eq!(reconciler.from(at(now)), at(expected), "{last:?} {before:?}");
        }
    }
}
