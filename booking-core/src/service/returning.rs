//! The ways money takes back: what is set aside is let go, what is taken is given back, what nobody knows is adopted.

use std::sync::Arc;

use super::paying::CallFault;
use super::{Denied, Service};
use crate::domain::money::Paise;
use crate::domain::order::{self, Orphan, Stop, Task, TaskKind};
use crate::domain::payment::{ChargeId, Payment, PaymentId, PaymentState};
use crate::domain::refund::{Refund, RefundNumber, RefundState};
use crate::fail_point::{self, PROVIDER_ANSWERED};
use crate::provider::{Charge, ChargeState, GivenBack, LetGo, RefundOrder};
use crate::store::Subject;

/// What a buyer reads whose payment the provider withdrew.
const WITHDRAWN: &str = "the payment was not completed";

impl Service {
    /// Takes note that what was set aside is gone though nobody here asked for that. Safe to repeat and to reorder.
    ///
    /// # Errors
    /// [`Denied::State`] for a payment that is unknown, [`Denied::Fault`].
    pub async fn lost(&self, id: PaymentId, charge: &ChargeId) -> Result<(), Denied> {
        let (now, charge) = (self.now(), charge.clone());
        if let Some(outcome) = self.step(id, Arc::new(move |loaded| order::lost(loaded, &charge, now))).await? {
            self.parts.metrics.voids.inc();
            self.after(&outcome);
            if let Some(hold) = &outcome.hold {
                self.unlock_hold(hold).await;
            }
        }
        Ok(())
    }

    /// Takes note that the provider gave a payment up, whether or not money was set aside for it.
    ///
    /// # Errors
    /// As [`Service::lost`].
    pub async fn withdrawn(&self, id: PaymentId, charge: &ChargeId) -> Result<(), Denied> {
        self.failed(id, Some(charge), WITHDRAWN).await?;
        self.lost(id, charge).await
    }

    /// Gives up a payment whose buyer never confirmed it, once its hold is over; `false` while it may still come.
    ///
    /// # Errors
    /// [`Denied::Fault`].
    pub async fn abandon(&self, id: PaymentId, charge: &ChargeId) -> Result<bool, Denied> {
        let known = self.find_payment(id, false).await?;
        let (now, charge) = (self.now(), charge.clone());
        if known.hold.as_ref().is_some_and(|hold| hold.expires_at > now) {
            return Ok(false);
        }
        let given_up = self.step(id, Arc::new(move |loaded| order::abandon(loaded, &charge, now))).await?;
        let done = given_up.is_some();
        given_up.iter().for_each(|outcome| self.after(outcome));
        Ok(done)
    }

    /// Has the provider let go what is set aside, then writes that down. Safe to repeat.
    ///
    /// # Errors
    /// [`CallFault`].
    pub async fn void(&self, id: PaymentId) -> Result<(), CallFault> {
        let Some(payment) = self.store().payment(id).await.map_err(Denied::from)? else { return Ok(()) };
        let PaymentState::Voiding { charge } = payment.state else { return Ok(()) };
        let asked = self.parts.provider.void(&charge);
        let let_go = tokio::time::timeout(self.parts.terms.provider_timeout, asked).await??;
        fail_point::reached(PROVIDER_ANSWERED);
        match let_go {
            LetGo::Captured => drop(self.captured(id, &charge, payment.amount.get()).await?),
            LetGo::Voided => {
                let now = self.now();
                let voided = self.step(id, Arc::new(move |loaded| order::voided(loaded, now))).await?;
                self.parts.metrics.voids.inc_by(voided.is_some().into());
            }
        }
        Ok(())
    }

    /// Has the provider give money back, refund by refund, and writes down what becomes of each. Safe to repeat.
    ///
    /// # Errors
    /// [`CallFault`] when one of them is not done; the others are.
    pub async fn refund(&self, id: PaymentId) -> Result<(), CallFault> {
        let Some(payment) = self.store().payment(id).await.map_err(Denied::from)? else { return Ok(()) };
        let mut outcome = Ok(());
        for refund in payment.refunds.under_way() {
            outcome = outcome.and(self.give_back(&payment, refund).await);
        }
        outcome
    }

    async fn give_back(&self, payment: &Payment, refund: &Refund) -> Result<(), CallFault> {
        match self.standing(payment, refund).await? {
            GivenBack::Done => Ok(self.given_back(payment.id, refund.number).await?),
            GivenBack::UnderWay => Err(CallFault::UnderWay),
            GivenBack::Failed => {
                self.bounced(payment.id, refund.number).await?;
                Err(CallFault::Bounced)
            }
        }
    }

    /// Asks the provider for a refund, or how it stands if it was asked before.
    async fn standing(&self, payment: &Payment, refund: &Refund) -> Result<GivenBack, CallFault> {
        let (Some(charge), true) = (payment.state.charge().cloned(), refund.amount > Paise::default()) else {
            return Ok(GivenBack::Done);
        };
        let order = RefundOrder { charge, payment: payment.id, number: refund.number, amount: refund.amount };
        let asked = self.parts.provider.refund(&order);
        let stands = tokio::time::timeout(self.parts.terms.provider_timeout, asked).await??;
        fail_point::reached(PROVIDER_ANSWERED);
        Ok(stands)
    }

    async fn given_back(&self, id: PaymentId, number: RefundNumber) -> Result<(), Denied> {
        let now = self.now();
        let refunded = self.step(id, Arc::new(move |loaded| order::refunded(loaded, number, now))).await?;
        self.parts.metrics.refunds.inc_by(refunded.is_some().into());
        Ok(())
    }

    /// Takes note that a refund failed, before it was done or after, and begins another; `false` when that was known.
    async fn bounced(&self, id: PaymentId, number: RefundNumber) -> Result<bool, Denied> {
        let now = self.now();
        let failed = self.step(id, Arc::new(move |loaded| order::refund_failed(loaded, number, now))).await?;
        if failed.is_some() {
            self.parts.metrics.refunds_failed.inc();
            tracing::error!(payment = %id, number, "a refund failed; it is made again until the buyer has the money");
        }
        Ok(failed.is_some())
    }

    /// Takes note of what the provider said of a refund: one under way is looked at again at once, one that failed after it
    /// was done is made again.
    ///
    /// # Errors
    /// [`Stop::NoSuchPayment`], [`Denied::Fault`].
    pub(super) async fn refund_moved(&self, id: PaymentId, number: RefundNumber, failed: bool) -> Result<(), Denied> {
        let payment = self.store().payment(id).await?.ok_or(Stop::NoSuchPayment)?;
        match payment.refunds.get(number).map(|refund| refund.state) {
            Some(RefundState::UnderWay) => {
                let task = Task { kind: TaskKind::Refund, payment: id };
                self.store().hasten(task, self.now()).await?;
                self.return_nudge.ring();
            }
            Some(RefundState::Done) if failed => {
                self.bounced(id, number).await?;
                self.return_nudge.ring();
            }
            _ => {}
        }
        Ok(())
    }

    /// Asks the provider about refunds that are written down as done though it has given back less; `true` when one of them
    /// turned out to have failed, and is made again.
    ///
    /// # Errors
    /// [`CallFault`].
    pub async fn check_refunds(&self, payment: &Payment) -> Result<bool, CallFault> {
        let mut found = false;
        for refund in payment.refunds.all().iter().filter(|refund| refund.state == RefundState::Done) {
            if self.standing(payment, refund).await? == GivenBack::Failed {
                found |= self.bounced(payment.id, refund.number).await?;
            }
        }
        if found {
            self.return_nudge.ring();
        }
        Ok(found)
    }

    /// Returns the payment under which a charge that is nobody's was adopted.
    ///
    /// # Errors
    /// [`Denied::Fault`].
    pub async fn orphan(&self, charge: &Charge) -> Result<Option<Payment>, Denied> {
        Ok(self.store().payment(self.ids.orphan(charge)).await?)
    }

    /// Takes charge of money at the provider that nobody here knows, so that it goes back; `false` when it is known, or
    /// when there is nothing to send back.
    ///
    /// # Errors
    /// [`Denied::Fault`].
    pub async fn adopt(&self, charge: &Charge) -> Result<bool, Denied> {
        let (amount, taken) = (charge.left(), charge.state == ChargeState::Captured);
        if amount == Paise::default() {
            return Ok(false);
        }
        let orphan = Orphan { payment: self.ids.orphan(charge), charge: charge.id.clone(), amount, taken };
        let (subject, now) = (Subject::Payment(orphan.payment), self.now());
        let decide = Arc::new(move |loaded: &order::Loaded| order::adopt(loaded, orphan.clone(), now));
        match self.parts.store.transact(subject, decide).await? {
            Ok(_) => self.return_nudge.ring(),
            Err(Stop::Already) => return Ok(false),
            Err(stop) => return Err(stop.into()),
        }
        Ok(true)
    }
}
