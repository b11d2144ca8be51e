//! Paying: written down before the provider hears of it, decided after it has spoken, and never left undecided.
//!
//! Whatever way we learn that money was taken (the answer, a webhook, the reconciler) ends in [`Service::captured`],
//! which writes that down and leaves a task in the outbox; [`Service::settle`] then makes it a booking or a refund.

use std::sync::Arc;

use super::{Denied, Service, request_hash};
use crate::domain::hold::{Hold, HoldId, HoldState};
use crate::domain::money::Paise;
use crate::domain::order::{self, Stop};
use crate::domain::payment::{ChargeId, Payment, PaymentId, PaymentState, PaymentStatus};
use crate::fail_point::{self, PROVIDER_ANSWERED};
use crate::provider::webhook::{ProviderNews, verify};
use crate::provider::{Charge, Charged};
use crate::store::{Decide, Outcome, Subject};

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

impl Service {
    /// Pays for a hold.
    ///
    /// Returns when the provider has answered or its time is over; a payment that is still pending then is seen through
    /// by webhook or reconciler.
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
        let hold = self.find_hold(order.hold).await?;
        let payment = self.new_payment(&hold, &order);
        let (id, amount) = (payment.id, payment.amount);
        let now = self.now();
        let decide: Decide = Arc::new(move |loaded| order::open_payment(loaded, payment.clone(), now));
        match self.parts.store.transact(Subject::Opening(hold.id, id), decide).await? {
            Ok(_) => {}
            Err(Stop::Already) => return self.pay_again(id).await,
            Err(stop) => return Err(stop.into()),
        }
        self.charge(id, amount, &order.method).await?;
        self.find_payment(id, false).await
    }

    /// Returns a payment that was begun before. The process that wrote it down may have ended before it asked the
    /// provider, so one that is still open when every answer is overdue is asked for again; that is the same charge.
    async fn pay_again(&self, id: PaymentId) -> Result<PaymentAnswer, Denied> {
        let known = self.find_payment(id, true).await?;
        let (payment, now) = (&known.payment, self.now());
        let patience_ms = i64::try_from(self.parts.terms.provider_timeout.as_millis()).unwrap_or(i64::MAX);
        let overdue = payment.state == PaymentState::Pending && now.since_ms(payment.created_at) > patience_ms;
        let waits = |hold: &Hold| hold.state == HoldState::Held && hold.attempt == Some(id) && hold.expires_at > now;
        if !overdue || !known.hold.as_ref().is_some_and(waits) {
            return Ok(known);
        }
        self.charge(id, payment.amount, &payment.method).await?;
        self.find_payment(id, true).await
    }

    /// Asks the provider for the money, and writes down what it says; no usable answer leaves the payment pending.
    async fn charge(&self, id: PaymentId, amount: Paise, method: &str) -> Result<(), Denied> {
        let asked = self.parts.provider.charge(id, amount, method);
        let answered = tokio::time::timeout(self.parts.terms.provider_timeout, asked).await;
        fail_point::reached(PROVIDER_ANSWERED);
        match answered {
            Ok(Ok(Charged::Captured(charge))) => return self.captured(id, &charge, amount.get()).await,
            Ok(Ok(Charged::Declined(reason))) => return self.failed(id, &reason).await,
            Ok(Err(fault)) => tracing::warn!(payment = %id, %fault, "a payment is pending"),
            Err(_) => tracing::warn!(payment = %id, "a payment is pending: no answer in time"),
        }
        Ok(())
    }

    fn new_payment(&self, hold: &Hold, order: &PaymentOrder) -> Payment {
        let now = self.now();
        Payment {
            id: self.ids.payment(hold.id, &order.key),
            hold: Some(hold.id),
            amount: hold.amount(),
            method: order.method.clone(),
            request_hash: request_hash(&[&hold.id.to_string(), &order.method]),
            created_at: now,
            changed_at: now,
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

    /// Takes note that the provider has the money, and decides what it bought. Safe to repeat and to reorder.
    ///
    /// # Errors
    /// [`Denied::State`] for a payment that is unknown or of another amount, [`Denied::Fault`].
    pub async fn captured(&self, id: PaymentId, charge: &ChargeId, amount: i64) -> Result<(), Denied> {
        let (now, charge) = (self.now(), charge.clone());
        let decide: Decide = Arc::new(move |loaded| order::capture(loaded, &charge, amount, now));
        match self.parts.store.transact(Subject::Payment(id), decide).await? {
            Ok(_) | Err(Stop::Already) => {}
            Err(stop) => return Err(stop.into()),
        }
        if let Err(denied) = self.settle(id).await {
            tracing::warn!(payment = %id, %denied, "settling is left to the outbox");
            self.settle_nudge.ring();
        }
        Ok(())
    }

    /// Takes note that the provider refused.
    ///
    /// # Errors
    /// [`Denied::State`] for a payment that is unknown, [`Denied::Fault`].
    pub async fn failed(&self, id: PaymentId, reason: &str) -> Result<(), Denied> {
        let (now, reason) = (self.now(), reason.to_owned());
        let decide: Decide = Arc::new(move |loaded| order::fail(loaded, &reason, now));
        match self.parts.store.transact(Subject::Payment(id), decide).await? {
            Ok(_) | Err(Stop::Already) => Ok(()),
            Err(stop) => Err(stop.into()),
        }
    }

    /// Makes captured money a booking, or sends it back when there is nothing left to book. Safe to repeat.
    ///
    /// # Errors
    /// [`Denied::Fault`].
    pub async fn settle(&self, id: PaymentId) -> Result<(), Denied> {
        let now = self.now();
        let subject = Subject::Payment(id);
        let on_sale = self.on_sale(now);
        let decide: Decide = Arc::new(move |loaded| order::settle(loaded, &on_sale, now));
        let settled = self.parts.store.transact(subject, decide).await?;
        let settled = match settled {
            Err(Stop::SoldOut) => {
                self.parts.store.transact(subject, Arc::new(move |loaded| order::refund(loaded, now))).await?
            }
            settled => settled,
        };
        match settled {
            Ok(outcome) => self.after_settling(outcome).await,
            Err(Stop::Already) => {}
            Err(stop) => return Err(stop.into()),
        }
        Ok(())
    }

    async fn after_settling(&self, outcome: Outcome) {
        for (inventory, available) in outcome.available {
            self.changed(inventory, available, false);
        }
        if outcome.payment.is_some_and(|payment| payment.state.status() == PaymentStatus::Refunding) {
            self.refund_nudge.ring();
        }
    }

    /// Has the provider give money back, then writes that down. Safe to repeat.
    ///
    /// # Errors
    /// [`Denied::Fault`] from the database; the provider's fault as text.
    pub async fn refund(&self, id: PaymentId) -> Result<(), RefundFault> {
        let payment = self.store().payment(id).await.map_err(Denied::from)?;
        let Some(PaymentState::Refunding { charge }) = payment.map(|payment| payment.state) else {
            return Ok(());
        };
        let asked = self.parts.provider.refund(&charge);
        tokio::time::timeout(self.parts.terms.provider_timeout, asked).await??;
        fail_point::reached(PROVIDER_ANSWERED);
        let now = self.now();
        let decide: Decide = Arc::new(move |loaded| order::refunded(loaded, now));
        if self.parts.store.transact(Subject::Payment(id), decide).await.map_err(Denied::from)?.is_ok() {
            self.parts.metrics.refunds.inc();
        }
        Ok(())
    }

    /// Believes signed news from the provider. Repeated or reordered news changes nothing.
    ///
    /// # Errors
    /// [`Denied::News`] when it is not signed by the provider; [`Denied::State`] when it speaks of a payment nobody
    /// knows or of another amount.
    pub async fn webhook(self: &Arc<Self>, signature: &str, body: &[u8]) -> Result<(), Denied> {
        let news = verify(&self.parts.webhook_secret, self.parts.clock.wall(), signature, body)?;
        let service = Arc::clone(self);
        self.detach(async move {
            match news {
                ProviderNews::Captured { payment, charge, amount_paise } => {
                    service.captured(payment, &charge, amount_paise).await
                }
                ProviderNews::Failed { payment, reason } => service.failed(payment, &reason).await,
            }
        })
        .await
    }

    /// Takes charge of money at the provider that nobody here knows, so that it goes back; `false` when it is known.
    ///
    /// # Errors
    /// [`Denied::Fault`].
    pub async fn adopt(&self, charge: &Charge) -> Result<bool, Denied> {
        let now = self.now();
        let orphan = Payment {
            id: self.ids.orphan(charge),
            hold: None,
            amount: charge.amount,
            method: "orphan".to_owned(),
            request_hash: request_hash(&[&charge.id.0]),
            created_at: now,
            changed_at: now,
            state: PaymentState::Refunding { charge: charge.id.clone() },
        };
        let subject = Subject::Payment(orphan.id);
        let adopted =
            self.parts.store.transact(subject, Arc::new(move |loaded| order::adopt(loaded, orphan.clone()))).await?;
        self.refund_nudge.ring();
        Ok(adopted.is_ok())
    }
}

/// Says why money could not be given back yet.
#[derive(Debug, thiserror::Error)]
pub enum RefundFault {
    /// The database failed.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The provider failed.
    #[error(transparent)]
    Provider(#[from] crate::provider::ProviderFault),
    /// The provider did not answer in time.
    #[error("the provider did not answer in time")]
    Slow(#[from] tokio::time::error::Elapsed),
}
