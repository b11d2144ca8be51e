//! What the simulated bank keeps of each charge, and what may become of it: plain values and plain decisions.

use serde::{Deserialize, Serialize};

use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::payment::{ChargeId, PaymentId};

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
    /// The idempotency keys of the refunds that were made.
    pub refund_keys: Vec<String>,
    /// How often each piece of news of it is told.
    pub copies: u8,
    /// Whether confirming it takes the money at once.
    pub instant: bool,
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

    /// Gives money back, once for each key.
    ///
    /// # Errors
    /// [`Refusal::TooMuch`], [`Refusal::TooOften`].
    pub fn refund(&mut self, key: &str, amount: Paise) -> Result<(), Refusal> {
        if self.refund_keys.iter().any(|known| known == key) {
            return Ok(());
        }
        let left = self.amount_paise.less(self.refunded_paise);
        if self.status != Status::Captured || amount > left || amount == Paise::default() {
            return Err(Refusal::TooMuch);
        }
        if self.refund_keys.len() >= MOST_REFUNDS {
            return Err(Refusal::TooOften);
        }
        self.refunded_paise = self.amount_paise.less(left.less(amount));
        self.refund_keys.push(key.to_owned());
        Ok(())
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
            refund_keys: Vec::new(),
            copies: 1,
            instant: false,
        }
    }

    #[test]
    fn gives_back_each_key_once_and_never_more_than_was_taken() {
        let mut account = account(Status::Captured);
        assert_eq!(account.refund("a", Paise::new(60)), Ok(()));
        assert_eq!(account.refund("a", Paise::new(60)), Ok(()), "the same key again");
        assert_eq!(account.refund("b", Paise::new(41)), Err(Refusal::TooMuch));
        assert_eq!(account.refund("b", Paise::new(40)), Ok(()));
        assert_eq!((account.refunded_paise, account.kept()), (Paise::new(100), Paise::default()));
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
