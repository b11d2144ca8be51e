//! Finding out what became of a payment of which the provider said nothing.
//!
//! A provider's plain answer is written down and stands, whoever asks again. No answer, or one that says nothing (a fault of
//! its own, garbage, silence), is never written down as one: the payment stays pending until it is known whether there is a
//! charge. When the buyer asks again, the provider's list is read first; where it has the charge, that is what the payment
//! came to. Where it has not, the charge is asked for again, under another key: for a provider may repeat under the old one
//! what it answered first. Should the first charge come to light after all, the reconciler lets it go. A buyer who does not
//! ask again is answered by the reconciler.

use super::paying::{PaymentAnswer, Then};
use super::{Denied, Service};
use crate::domain::hold::{Hold, HoldState};
use crate::domain::payment::{Payment, PaymentId, PaymentState};
use crate::provider::{CLOCKS_APART_MS, Charge, ChargeState};

/// What a buyer reads whose payment the provider tells to have failed, and not why.
const FAILED: &str = "the bank refused this payment";

impl Service {
    /// Returns a payment that was begun before. The process that wrote it down may have ended before it asked the
    /// provider, or have had no usable answer; one that is still open when every answer is overdue is looked into again.
    pub(super) async fn pay_again(&self, id: PaymentId) -> Result<PaymentAnswer, Denied> {
        let known = self.find_payment(id, true).await?;
        let (payment, now) = (&known.payment, self.now());
        let overdue = payment.state == PaymentState::Pending && now.since_ms(payment.created_at) > self.patience_ms();
        let waits = |hold: &Hold| hold.state == HoldState::Held && hold.attempt == Some(id) && hold.expires_at > now;
        if !overdue || !known.hold.as_ref().is_some_and(waits) {
            return Ok(known);
        }
        self.look_into(payment).await?;
        self.find_payment(id, true).await
    }

    async fn look_into(&self, payment: &Payment) -> Result<(), Denied> {
        let since = payment.created_at.plus_ms(-CLOCKS_APART_MS);
        let asked = self.parts.provider.find(payment.id, since);
        match tokio::time::timeout(self.parts.terms.provider_timeout, asked).await {
            Ok(Ok(Some(charge))) => self.believe(payment, &charge).await,
            Ok(Ok(None)) => self.charge(payment, self.attempt(payment)).await.map(drop),
            Ok(Err(fault)) => {
                tracing::warn!(payment = %payment.id, %fault, "a payment stays pending");
                Ok(())
            }
            Err(_) => {
                tracing::warn!(payment = %payment.id, "a payment stays pending: no list in time");
                Ok(())
            }
        }
    }

    /// Says the how-manieth asking this is, from 1, as it is told to the provider: those who ask within the time of one
    /// answer ask for the same.
    fn attempt(&self, payment: &Payment) -> u32 {
        let times = self.now().since_ms(payment.created_at) / self.patience_ms().max(1);
        u32::try_from(times.max(1)).unwrap_or(u32::MAX)
    }

    /// Takes over what the provider's list says of a payment.
    async fn believe(&self, payment: &Payment, charge: &Charge) -> Result<(), Denied> {
        let (id, amount) = (payment.id, charge.amount.get());
        match charge.state {
            ChargeState::Authorized => {
                let secured = self.authorized(id, &charge.id, amount, Then::CaptureHere).await?;
                self.capture_now(id, secured.as_ref()).await;
                Ok(())
            }
            ChargeState::Captured => self.captured(id, &charge.id, amount).await.map(drop),
            ChargeState::Voided | ChargeState::Failed => self.failed(id, Some(&charge.id), FAILED).await,
            ChargeState::Open => self.look_at(payment, charge).await,
        }
    }

    /// Reads what the buyer must do for a charge, under whichever key it was made.
    async fn look_at(&self, payment: &Payment, charge: &Charge) -> Result<(), Denied> {
        let asked = self.parts.provider.look(&charge.id);
        let answered = tokio::time::timeout(self.parts.terms.provider_timeout, asked).await;
        self.note_answer(payment, answered).await.map(drop)
    }
}
