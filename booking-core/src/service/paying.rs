//! Paying: written down before the provider hears of it, seats secured before money is taken, and never left undecided.
//!
//! Whatever way we learn what the provider did (its answer, a webhook, the reconciler) ends in the same few methods; each
//! writes it down together with the task that must follow, so the outbox goes on where a process ended.

use std::sync::Arc;

use tokio::time::error::Elapsed;

use super::{Denied, Service, request_hash};
use crate::domain::hold::{Hold, HoldId};
use crate::domain::money::Paise;
use crate::domain::order::{self, Stop, Task, TaskKind};
use crate::domain::payment::{Challenge, ChargeId, Payment, PaymentId, PaymentState, PaymentStatus};
use crate::domain::refund::Refunds;
use crate::fail_point::{self, PROVIDER_ANSWERED};
use crate::provider::{ChargeOrder, Charged, News, ProviderFault, Taken};
use crate::store::{Decide, Outcome, StoreError, Subject};

/// Is how a buyer wants to pay.
#[derive(Clone, Debug)]
pub struct PaymentOrder {
    /// For which hold.
    pub hold: HoldId,
    /// By which method.
    pub method: String,
    /// The buyer's idempotency key.
    pub key: String,
}

/// Is a payment as it is now.
#[derive(Clone, Debug)]
pub struct PaymentAnswer {
    /// The payment.
    pub payment: Payment,
    /// What it pays for.
    pub hold: Option<Hold>,
    /// Whether an earlier request under the same key had begun it.
    pub replayed: bool,
}

/// Says who has the money taken after it is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Whoever asks: the outbox stays away until the provider's time to answer is over.
    CaptureHere,
    /// The outbox, at once.
    LeaveToOutbox,
}

/// Says why the provider's part could not be done yet.
#[derive(Debug, thiserror::Error)]
pub enum CallFault {
    /// The database failed.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The provider failed.
    #[error(transparent)]
    Provider(#[from] ProviderFault),
    /// The provider did not answer in time.
    #[error("the provider did not answer in time")]
    Slow(#[from] Elapsed),
    /// The provider has begun, and is to be asked again.
    #[error("the provider has begun to give the money back")]
    UnderWay,
    /// The provider could not give the money back; another refund is to be asked for.
    #[error("the refund failed and is made again")]
    Bounced,
}

impl Service {
    /// Pays for a hold.
    ///
    /// Returns when the provider has answered or its time is over; a payment that is still on its way then is seen
    /// through by webhook, outbox or reconciler.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn pay(self: &Arc<Self>, order: PaymentOrder) -> Result<PaymentAnswer, Denied> {
        let service = Arc::clone(self);
        let outcome = self.detach(async move { service.pay_to_the_end(order).await }).await;
        let result = match &outcome {
            Ok(answer) if answer.replayed => "replayed",
            Ok(answer) => answer.payment.state.status().word(),
            Err(_) => "refused",
        };
        self.parts.metrics.payments.with_label_values(&[result]).inc();
        outcome
    }

    async fn pay_to_the_end(&self, order: PaymentOrder) -> Result<PaymentAnswer, Denied> {
        if !self.parts.provider.accepts(&order.method) {
            return Err(Denied::Method);
        }
        let payment = self.new_payment(&order);
        let (id, now) = (payment.id, self.now());
        let decide: Decide = Arc::new(move |loaded| order::open_payment(loaded, payment.clone(), now));
        let opened = match self.clerk.transact(Subject::Opening(order.hold, id), decide).await? {
            Ok(outcome) => outcome.payment.ok_or(Stop::NoSuchPayment)?,
            Err(Stop::Already) => return self.pay_again(id).await,
            Err(stop) => return Err(stop.into()),
        };
        match self.charge(&opened, 0).await? {
            Some(Outcome { payment: Some(payment), hold, .. }) => Ok(PaymentAnswer { payment, hold, replayed: false }),
            _ => self.find_payment(id, false).await,
        }
    }

    pub(super) fn patience_ms(&self) -> i64 {
        i64::try_from(self.parts.terms.provider_timeout.as_millis()).unwrap_or(i64::MAX)
    }

    /// Asks the provider for the money, and writes down what it says; no usable answer leaves the payment pending. Returns
    /// what was written last, if nobody else can have written anything since.
    pub(super) async fn charge(&self, payment: &Payment, attempt: u32) -> Result<Option<Outcome>, Denied> {
        let (id, amount) = (payment.id, payment.amount);
        let (method, return_url) = (payment.method.clone(), self.way_back(payment));
        let order = ChargeOrder { payment: id, amount, method, return_url, attempt };
        let asked = self.parts.provider.authorize(&order);
        let answered = tokio::time::timeout(self.parts.terms.provider_timeout, asked).await;
        fail_point::reached(PROVIDER_ANSWERED);
        self.note_answer(payment, answered).await
    }

    /// Writes down what the provider answered about a payment's charge. Returns as [`Service::charge`].
    pub(super) async fn note_answer(
        &self,
        payment: &Payment,
        answered: Result<Result<Charged, ProviderFault>, Elapsed>,
    ) -> Result<Option<Outcome>, Denied> {
        let (id, amount) = (payment.id, payment.amount);
        match answered {
            Ok(Ok(Charged::Authorized(charge))) => {
                let secured = self.authorized(id, &charge, amount.get(), Then::CaptureHere).await?;
                return Ok(self.capture_now(id, secured.as_ref()).await);
            }
            Ok(Ok(Charged::Captured(charge))) => drop(self.captured(id, &charge, amount.get()).await?),
            Ok(Ok(Charged::Challenged(charge, challenge))) => self.challenged(id, charge, challenge).await?,
            Ok(Ok(Charged::Declined(reason))) => self.failed(id, None, &reason).await?,
            Ok(Err(fault)) => tracing::warn!(payment = %id, %fault, "a payment is pending"),
            Err(_) => tracing::warn!(payment = %id, "a payment is pending: no answer in time"),
        }
        Ok(None)
    }

    fn way_back(&self, payment: &Payment) -> Option<String> {
        let (url, hold) = (self.parts.terms.return_url.as_ref()?, payment.hold?);
        Some(url.replace("{hold}", &hold.to_string()))
    }

    /// Has the money taken for a buyer who waits; what does not work now is left to the outbox, at once. `secured` is what
    /// was written when it was set aside, if that was by us.
    pub(super) async fn capture_now(&self, id: PaymentId, secured: Option<&Outcome>) -> Option<Outcome> {
        let taken = match secured.and_then(|outcome| outcome.payment.as_ref()) {
            Some(payment) => self.capture_of(payment).await,
            None => self.capture(id).await,
        };
        let fault = match taken {
            Ok(outcome) => return outcome,
            Err(fault) => fault,
        };
        tracing::warn!(payment = %id, %fault, "taking the money is left to the outbox");
        let task = Task { kind: TaskKind::Capture, payment: id };
        if let Err(error) = self.store().hasten(task, self.now()).await {
            tracing::warn!(payment = %id, %error, "the outbox will take it when it is due");
        }
        self.capture_nudge.ring();
        None
    }

    /// Returns a payment as it is to be begun; what it costs is read where the hold is locked.
    fn new_payment(&self, order: &PaymentOrder) -> Payment {
        let now = self.now();
        Payment {
            id: self.ids.payment(order.hold, &order.key),
            hold: Some(order.hold),
            amount: Paise::default(),
            method: order.method.clone(),
            request_hash: request_hash(&[&order.hold.to_string(), &order.method]),
            created_at: now,
            changed_at: now,
            refunds: Refunds::default(),
            state: PaymentState::Pending,
        }
    }

    /// Reads a payment and what it pays for.
    ///
    /// # Errors
    /// [`Stop::NoSuchPayment`], [`Denied::Fault`].
    pub async fn find_payment(&self, id: PaymentId, replayed: bool) -> Result<PaymentAnswer, Denied> {
        let payment = self.store().payment(id).await?.ok_or(Stop::NoSuchPayment)?;
        let hold = match payment.hold {
            Some(hold) => self.store().hold(hold).await?,
            None => None,
        };
        Ok(PaymentAnswer { payment, hold, replayed })
    }

    async fn challenged(&self, id: PaymentId, charge: ChargeId, challenge: Challenge) -> Result<(), Denied> {
        let now = self.now();
        self.step(id, Arc::new(move |loaded| order::challenged(loaded, &charge, &challenge, now))).await.map(drop)
    }

    /// Takes note that the provider has set the money aside, and secures the seats. Safe to repeat and to reorder. Returns
    /// what was written, unless that was done before or more has been done since.
    ///
    /// # Errors
    /// [`Denied::State`] for a payment that is unknown or of another amount, [`Denied::Fault`].
    pub async fn authorized(
        &self,
        id: PaymentId,
        charge: &ChargeId,
        amount: i64,
        then: Then,
    ) -> Result<Option<Outcome>, Denied> {
        let (now, charge) = (self.now(), charge.clone());
        let due_at = if then == Then::CaptureHere { now.plus_ms(self.patience_ms()) } else { now };
        let decide: Decide = Arc::new(move |loaded| order::authorized(loaded, &charge, amount, (now, due_at)));
        let written = self.step(id, decide).await?;
        match written.as_ref().and_then(status) {
            Some(PaymentStatus::Authorized) => {
                self.settle_now(id).await;
                return Ok(None);
            }
            Some(_) if then == Then::LeaveToOutbox => self.capture_nudge.ring(),
            _ => {}
        }
        Ok(written)
    }

    /// Has the provider take what is set aside, then writes that down. Safe to repeat. Returns what was written, as
    /// [`Service::authorized`].
    ///
    /// # Errors
    /// [`CallFault`].
    pub async fn capture(&self, id: PaymentId) -> Result<Option<Outcome>, CallFault> {
        match self.store().payment(id).await.map_err(Denied::from)? {
            Some(payment) => self.capture_of(&payment).await,
            None => Ok(None),
        }
    }

    async fn capture_of(&self, payment: &Payment) -> Result<Option<Outcome>, CallFault> {
        let PaymentState::Capturing { charge } = &payment.state else { return Ok(None) };
        let asked = self.parts.provider.capture(charge);
        let taken = tokio::time::timeout(self.parts.terms.provider_timeout, asked).await??;
        fail_point::reached(PROVIDER_ANSWERED);
        match taken {
            Taken::Captured => Ok(self.captured(payment.id, charge, payment.amount.get()).await?),
            Taken::Lost => self.lost(payment.id, charge).await.map(|()| None).map_err(CallFault::from),
        }
    }

    /// Takes note that the provider has the money, and decides what it bought. Safe to repeat and to reorder. Returns what
    /// was written, as [`Service::authorized`].
    ///
    /// # Errors
    /// [`Denied::State`] for a payment that is unknown or of another amount, [`Denied::Fault`].
    pub async fn captured(&self, id: PaymentId, charge: &ChargeId, amount: i64) -> Result<Option<Outcome>, Denied> {
        let (now, charge) = (self.now(), charge.clone());
        let decide: Decide = Arc::new(move |loaded| order::captured(loaded, &charge, amount, now));
        let written = self.book(id, decide).await?;
        if written.as_ref().and_then(status) == Some(PaymentStatus::Captured) {
            self.settle_now(id).await;
            return Ok(None);
        }
        written.iter().for_each(|outcome| self.after(outcome));
        Ok(written)
    }

    async fn settle_now(&self, id: PaymentId) {
        if let Err(denied) = self.settle(id).await {
            tracing::warn!(payment = %id, %denied, "settling is left to the outbox");
            self.settle_nudge.ring();
        }
    }

    /// Takes note that the provider refused; `charge` is what it refused, if it says so.
    ///
    /// # Errors
    /// [`Denied::State`] for a payment that is unknown, [`Denied::Fault`].
    pub async fn failed(&self, id: PaymentId, charge: Option<&ChargeId>, reason: &str) -> Result<(), Denied> {
        let (now, charge, reason) = (self.now(), charge.cloned(), reason.to_owned());
        self.step(id, Arc::new(move |loaded| order::fail(loaded, charge.as_ref(), &reason, now))).await.map(drop)
    }

    /// Finds seats for money that has none, or sends it back when there are none left. Safe to repeat.
    ///
    /// # Errors
    /// [`Denied::Fault`].
    pub async fn settle(&self, id: PaymentId) -> Result<(), Denied> {
        let now = self.now();
        let on_sale = self.on_sale(now);
        let settled = match self.book(id, Arc::new(move |loaded| order::settle(loaded, &on_sale, now))).await {
            Err(Denied::State(Stop::SoldOut)) => {
                self.step(id, Arc::new(move |loaded| order::give_up(loaded, now))).await
            }
            settled => settled,
        };
        if let Some(outcome) = settled? {
            self.after(&outcome);
        }
        Ok(())
    }

    /// Takes a payment a step further that may make it a booking. Where another has the reference that it would have, the
    /// seats go back, and the money to the buyer: nothing else would ever become of them.
    async fn book(&self, id: PaymentId, decide: Decide) -> Result<Option<Outcome>, Denied> {
        match self.step(id, decide).await {
            Err(Denied::Fault(fault)) if matches!(*fault, StoreError::SharedReference) => {
                tracing::error!(payment = %id, %fault, "there is no booking for a payment, and it goes back");
                let now = self.now();
                let refused = self.step(id, Arc::new(move |loaded| order::refuse(loaded, now))).await?;
                if let Some(hold) = refused.as_ref().and_then(|outcome| outcome.hold.as_ref()) {
                    self.unlock_hold(hold).await;
                }
                Ok(refused)
            }
            written => written,
        }
    }

    /// Takes a payment one step further; `None` when it was taken there before.
    pub(super) async fn step(&self, id: PaymentId, decide: Decide) -> Result<Option<Outcome>, Denied> {
        match self.clerk.transact(Subject::Payment(id), decide).await? {
            Ok(outcome) => Ok(Some(outcome)),
            Err(Stop::Already) => Ok(None),
            Err(stop) => Err(stop.into()),
        }
    }

    /// Tells whoever must know what a step left behind.
    pub(super) fn after(&self, outcome: &Outcome) {
        outcome.left.iter().for_each(|left| self.changed(*left));
        match status(outcome) {
            Some(PaymentStatus::Capturing) => self.capture_nudge.ring(),
            Some(PaymentStatus::Voiding | PaymentStatus::Refunding) => self.return_nudge.ring(),
            _ => {}
        }
    }

    /// Believes signed news from the provider. Repeated or reordered news changes nothing.
    ///
    /// # Errors
    /// [`Denied::News`] when it is not signed by the provider; [`Denied::State`] when it speaks of a payment nobody
    /// knows or of another amount.
    pub async fn webhook(self: &Arc<Self>, signature: &str, body: &[u8]) -> Result<(), Denied> {
        let news = self.parts.provider.read_news(self.parts.clock.wall(), signature, body)?;
        let service = Arc::clone(self);
        self.detach(async move {
            match news {
                News::Authorized { payment, charge, amount } => {
                    service.authorized(payment, &charge, amount, Then::LeaveToOutbox).await.map(drop)
                }
                News::Captured { payment, charge, amount } => {
                    service.captured(payment, &charge, amount).await.map(drop)
                }
                News::Failed { payment, charge, reason } => service.failed(payment, Some(&charge), &reason).await,
                News::Voided { payment, charge } => service.withdrawn(payment, &charge).await,
                News::RefundMoved { payment, number, failed } => service.refund_moved(payment, number, failed).await,
                News::Other => Ok(()),
            }
        })
        .await
    }
}

fn status(outcome: &Outcome) -> Option<PaymentStatus> {
    outcome.payment.as_ref().map(|payment| payment.state.status())
}
