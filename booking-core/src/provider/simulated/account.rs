//! What the simulated bank keeps of each charge, and what may become of it: plain values and plain decisions.

use serde::{Deserialize, Serialize};

use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::payment::{ChargeId, PaymentId};
use crate::domain::refund::RefundNumber;

/// Refunds of one charge, at most.
const MOST_REFUNDS: usize = 32;

/// Says how far a charge has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The buyer is asked to confirm.
    Open,
    /// The money is set aside.
    Authorized,
    /// The money is taken.
    Captured,
    /// The money was let go.
    Voided,
    /// Nothing came of it.
    Failed,
}

/// Is one charge, as it is kept, listed and answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The bank's name for it.
    pub id: ChargeId,
    /// The merchant's name for it, and its idempotency key.
    pub payment: PaymentId,
    /// How much.
    pub amount_paise: Paise,
    /// How much was given back.
    pub refunded_paise: Paise,
    /// When it was made.
    pub created_at: Moment,
    /// How far it has come.
    pub status: Status,
    /// Why it failed, in words for the buyer.
    pub reason: Option<String>,
    /// The page on which the buyer is to confirm.
    pub challenge: Option<String>,
    /// Where the buyer goes from there.
    pub return_url: Option<String>,
    /// The refunds that were asked for.
    #[serde(default)]
    pub refunds: Vec<GivenBack>,
    /// How often each piece of news of it is told.
    pub copies: u8,
    /// Whether confirming it takes the money at once.
    pub instant: bool,
}

/// Is one refund, as it is kept and answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenBack {
    /// The payment it is for: that of the charge, or the one under which a charge nobody knew is seen off.
    pub payment: PaymentId,
    /// The merchant's number for it, which with the payment is its idempotency key.
    pub number: RefundNumber,
    /// How much.
    pub amount_paise: Paise,
    /// Whether the buyer's bank would not have it, at once or later.
    pub failed: bool,
}

/// Is what the bank tells on its own, as it stands in the body of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Telling {
    /// It set the money aside.
    #[serde(rename = "payment.authorized")]
    Authorized {
        /// For which payment.
        payment: PaymentId,
        /// Its charge.
        charge: ChargeId,
        /// How much.
        amount_paise: i64,
    },
    /// It took the money.
    #[serde(rename = "payment.captured")]
    Captured {
        /// For which payment.
        payment: PaymentId,
        /// Its charge.
        charge: ChargeId,
        /// How much.
        amount_paise: i64,
    },
    /// It refused.
    #[serde(rename = "payment.failed")]
    Failed {
        /// Which payment.
        payment: PaymentId,
        /// Its charge.
        charge: ChargeId,
        /// Why, in words for the buyer.
        reason: String,
    },
    /// It let go what was set aside.
    #[serde(rename = "payment.voided")]
    Voided {
        /// For which payment.
        payment: PaymentId,
        /// Its charge.
        charge: ChargeId,
    },
    /// The buyer's bank sent a refund back.
    #[serde(rename = "refund.failed")]
    RefundFailed {
        /// Of which payment.
        payment: PaymentId,
        /// Its charge.
        charge: ChargeId,
        /// Which of its refunds.
        number: RefundNumber,
    },
}

/// Says why the bank does not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such charge.
    Unknown,
    /// More would be given back than was taken, or nothing was taken.
    TooMuch,
    /// The charge was refunded as often as it may be.
    TooOften,
}

impl Account {
    /// Returns the news of the state it is in; none while it waits for the buyer.
    #[must_use]
    pub fn telling(&self) -> Option<Telling> {
        let (payment, charge, amount_paise) = (self.payment, self.id.clone(), self.amount_paise.get());
        match self.status {
            Status::Open => None,
            Status::Authorized => Some(Telling::Authorized { payment, charge, amount_paise }),
            Status::Captured => Some(Telling::Captured { payment, charge, amount_paise }),
            Status::Voided => Some(Telling::Voided { payment, charge }),
            Status::Failed => {
                Some(Telling::Failed { payment, charge, reason: self.reason.clone().unwrap_or_default() })
            }
        }
    }

    /// Takes what is set aside; a charge in any other state stays as it is.
    pub fn capture(&mut self) {
        if self.status == Status::Authorized {
            self.status = Status::Captured;
        }
    }

    /// Lets go what is set aside or waits for the buyer; a charge in any other state stays as it is.
    pub fn void(&mut self) {
        if matches!(self.status, Status::Authorized | Status::Open) {
            self.status = Status::Voided;
        }
    }

    /// Takes the buyer's word on the page at the bank.
    pub fn confirm(&mut self, yes: bool) {
        if self.status != Status::Open {
            return;
        }
        self.status = match (yes, self.instant) {
            (true, true) => Status::Captured,
            (true, false) => Status::Authorized,
            (false, _) => Status::Failed,
        };
        if !yes {
            self.reason = Some("the payment was not confirmed at the bank".to_owned());
        }
    }

    /// Gives money back, once for each payment and number; `refused` is a refund that the buyer's bank does not take.
    ///
    /// # Errors
    /// [`Refusal::TooMuch`], [`Refusal::TooOften`].
    pub fn refund(
        &mut self,
        (payment, number): (PaymentId, RefundNumber),
        amount: Paise,
        refused: bool,
    ) -> Result<(), Refusal> {
        if self.refunds.iter().any(|known| (known.payment, known.number) == (payment, number)) {
            return Ok(());
        }
        let left = self.amount_paise.less(self.refunded_paise);
        if self.status != Status::Captured || amount > left || amount == Paise::default() {
            return Err(Refusal::TooMuch);
        }
        if self.refunds.len() >= MOST_REFUNDS {
            return Err(Refusal::TooOften);
        }
        if !refused {
            self.refunded_paise = self.amount_paise.less(left.less(amount));
        }
        self.refunds.push(GivenBack { payment, number, amount_paise: amount, failed: refused });
        Ok(())
    }

    /// Has the buyer's bank send a refund back after it was done, and returns the news of it; `None` when there is none to
    /// send back.
    pub fn bounce(&mut self, number: RefundNumber) -> Option<Telling> {
        let refund = self.refunds.iter_mut().find(|refund| refund.number == number && !refund.failed)?;
        refund.failed = true;
        self.refunded_paise = self.refunded_paise.less(refund.amount_paise);
        Some(Telling::RefundFailed { payment: refund.payment, charge: self.id.clone(), number })
    }

    /// Returns what was taken and not given back.
    #[must_use]
    pub fn kept(&self) -> Paise {
        match self.status {
            Status::Captured => self.amount_paise.less(self.refunded_paise),
            _ => Paise::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(status: Status) -> Account {
        Account {
            id: ChargeId("ch_1".to_owned()),
            payment: PaymentId::from_bytes([1; 16]),
            amount_paise: Paise::new(100),
            refunded_paise: Paise::default(),
            created_at: Moment::from_ms(0),
            status,
            reason: None,
            challenge: None,
            return_url: None,
            refunds: Vec::new(),
            copies: 1,
            instant: false,
        }
    }

    #[test]
    fn gives_back_each_number_once_and_never_more_than_was_taken() {
        let mut account = account(Status::Captured);
        let payment = account.payment;
        let mut refund = |number, paise| account.refund((payment, number), Paise::new(paise), false);
        assert_eq!(refund(1, 60), Ok(()));
        assert_eq!(refund(1, 60), Ok(()), "the same number again");
        assert_eq!(refund(2, 41), Err(Refusal::TooMuch));
        assert_eq!(refund(2, 40), Ok(()));
        assert_eq!((account.refunded_paise, account.kept()), (Paise::new(100), Paise::default()));
    }

    #[test]
    fn what_the_buyers_bank_does_not_take_is_there_to_be_given_back_again() {
        let mut account = account(Status::Captured);
        let payment = PaymentId::from_bytes([2; 16]);
        account.refund((payment, 1), Paise::new(60), true).unwrap();
        assert_eq!(account.kept(), Paise::new(100), "refused at once");
        account.refund((payment, 2), Paise::new(60), false).unwrap();
        let charge = account.id.clone();
        let telling = Telling::RefundFailed { payment, charge, number: 2 };
        assert_eq!(account.bounce(2), Some(telling), "it names the payment the refund was for");
        assert_eq!((account.bounce(2), account.bounce(3)), (None, None));
        assert_eq!(account.kept(), Paise::new(100), "sent back later");
        account.refund((payment, 3), Paise::new(100), false).unwrap();
        assert_eq!(account.kept(), Paise::default());
    }

    #[test]
    fn no_state_moves_backwards() {
        for (before, after) in [
            (Status::Captured, Status::Captured),
            (Status::Voided, Status::Voided),
            (Status::Failed, Status::Failed),
            (Status::Authorized, Status::Voided),
            (Status::Open, Status::Voided),
        ] {
            let mut account = account(before);
            account.void();
            assert_eq!(account.status, after);
            account.capture();
            account.confirm(true);
            assert_eq!(account.status, after);
        }
    }
}
