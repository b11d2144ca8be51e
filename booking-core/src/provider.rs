//! Who takes the money: another company, over a network, with faults of its own.
//!
//! Nobody calls a provider inside a database transaction. Every call may be repeated: the payment's id is the
//! idempotency key, and a call that comes too late is answered with what has become of the charge meanwhile.

use async_trait::async_trait;
use thiserror::Error;

use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::payment::{Challenge, ChargeId, PaymentId};
use crate::domain::refund::RefundNumber;

pub mod signature;

pub mod wire;

pub mod simulated;

pub mod stripe;

/// By how much a provider's clock may be behind ours.
pub const CLOCKS_APART_MS: i64 = 300_000;

/// Parts of the list in which one payment is looked for, at most.
const MOST_PAGES: usize = 50;

/// Asks a provider to set money aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeOrder {
    /// For which payment; the idempotency key.
    pub payment: PaymentId,
    /// How much.
    pub amount: Paise,
    /// By which method.
    pub method: String,
    /// Where the buyer comes back to from a page at the bank.
    pub return_url: Option<String>,
    /// Rises when it is asked for again after an answer that said nothing: a provider that repeats its first answer
    /// under a key, a fault of its own included, is then asked under another.
    pub attempt: u32,
}

/// Asks a provider to give money back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundOrder {
    /// Of which charge.
    pub charge: ChargeId,
    /// The payment it was for; with the number, the idempotency key.
    pub payment: PaymentId,
    /// Which refund of that payment.
    pub number: RefundNumber,
    /// How much.
    pub amount: Paise,
}

/// Is what became of a [`ChargeOrder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charged {
    /// The money is set aside.
    Authorized(ChargeId),
    /// The money is taken already: this way to pay knows no other.
    Captured(ChargeId),
    /// The buyer must do something first.
    Challenged(ChargeId, Challenge),
    /// Nothing came of it, for a reason the buyer may read.
    Declined(String),
}

/// Is what became of money that was to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is taken.
    Captured,
    /// It is not set aside any more, and never will be taken.
    Lost,
}

/// Is what became of money that was to be let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetGo {
    /// It is the buyer's again.
    Voided,
    /// It is too late: it was taken.
    Captured,
}

/// Is what became of money that was to go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenBack {
    /// The buyer has it.
    Done,
    /// It is on its way, and may yet fail.
    UnderWay,
    /// It will not have it: the provider gave up, or the buyer's bank sent it back. Another refund may be asked for.
    Failed,
}

/// Says how far a charge has come at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChargeState {
    /// It waits for the buyer, or for the bank.
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

/// Is a charge as the provider lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The provider's name for it.
    pub id: ChargeId,
    /// The payment it was asked for.
    pub payment: PaymentId,
    /// How much.
    pub amount: Paise,
    /// How much of it was given back.
    pub refunded: Paise,
    /// When it was made, by the provider's clock.
    pub created_at: Moment,
    /// How far it has come.
    pub state: ChargeState,
}

impl Charge {
    /// Returns what the provider still has of the buyer's money, set aside or taken.
    #[must_use]
    pub const fn left(&self) -> Paise {
        match self.state {
            ChargeState::Authorized | ChargeState::Captured => self.amount.less(self.refunded),
            ChargeState::Open | ChargeState::Voided | ChargeState::Failed => Paise::new(0),
        }
    }
}

/// Is a part of the provider's list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChargePage {
    /// Some charges.
    pub charges: Vec<Charge>,
    /// Where the list goes on; `None` at its end.
    pub next: Option<String>,
}

/// Is what a provider tells on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It set the money aside.
    Authorized {
        /// For which payment.
        payment: PaymentId,
        /// Its charge.
        charge: ChargeId,
        /// How much, in paise.
        amount: i64,
    },
    /// It took the money.
    Captured {
        /// For which payment.
        payment: PaymentId,
        /// Its charge.
        charge: ChargeId,
        /// How much, in paise.
        amount: i64,
    },
    /// It refused.
    Failed {
        /// Which payment.
        payment: PaymentId,
        /// Its charge.
        charge: ChargeId,
        /// Why, in words for the buyer.
        reason: String,
    },
    /// What was set aside is gone.
    Voided {
        /// For which payment.
        payment: PaymentId,
        /// Its charge.
        charge: ChargeId,
    },
    /// A refund went on or failed; how it stands is for the provider to say when it is asked.
    RefundMoved {
        /// Of which payment.
        payment: PaymentId,
        /// Which of its refunds.
        number: RefundNumber,
        /// Whether it failed.
        failed: bool,
    },
    /// It is about nothing we keep.
    Other,
}

/// Says why news is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadNews {
    /// The signature is missing, malformed, of another body or under another secret.
    #[error("the signature does not match; sign `SECONDS.BODY` with HMAC-SHA256 under the shared secret")]
    Signature,
    /// The signature is right but old, or from the future.
    #[error("the signature is more than five minutes off; check the clocks")]
    Stale,
    /// The body is not what the provider may tell.
    #[error("the body is not an event this API knows: {0}")]
    Body(String),
}

/// Says that a provider gave no usable answer. Whether it did what was asked is not known.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the payment provider failed: {0}")]
pub struct ProviderFault(pub String);

/// Takes money.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Tells whether it knows a payment method.
    fn accepts(&self, method: &str) -> bool;

    /// Has money set aside. The same order again returns the same charge.
    async fn authorize(&self, order: &ChargeOrder) -> Result<Charged, ProviderFault>;

    /// Says how a charge stands, and what the buyer must do if it waits for that.
    async fn look(&self, charge: &ChargeId) -> Result<Charged, ProviderFault>;

    /// Takes what is set aside, all of it. Taking it twice is taking it once.
    async fn capture(&self, charge: &ChargeId) -> Result<Taken, ProviderFault>;

    /// Lets go what is set aside. Letting go twice is letting go once.
    async fn void(&self, charge: &ChargeId) -> Result<LetGo, ProviderFault>;

    /// Gives so much back of what was taken, once for each number of a payment; the same order again says how it stands.
    async fn refund(&self, order: &RefundOrder) -> Result<GivenBack, ProviderFault>;

    /// Lists a part of the charges made since a moment; `from` is [`ChargePage::next`] of the part before.
    async fn list(&self, since: Moment, from: Option<&str>) -> Result<ChargePage, ProviderFault>;

    /// Looks for the charge of a payment among those made since a moment.
    ///
    /// # Errors
    /// [`ProviderFault`] when the list cannot be read to its end: then nothing tells that there is none.
    async fn find(&self, payment: PaymentId, since: Moment) -> Result<Option<Charge>, ProviderFault> {
        let mut from = None;
        for _ in 0..MOST_PAGES {
            let page = self.list(since, from.as_deref()).await?;
            let found = page.charges.into_iter().find(|charge| charge.payment == payment);
            if found.is_some() || page.next.is_none() {
                return Ok(found);
            }
            from = page.next;
        }
        Err(ProviderFault("its list is too long to find one payment in".to_owned()))
    }

    /// Returns the header that carries the signature of its webhooks, in lower case.
    fn signature_header(&self) -> &'static str;

    /// Believes a webhook, or says why not.
    ///
    /// # Errors
    /// [`BadNews`].
    fn read_news(&self, now: Moment, signature: &str, body: &[u8]) -> Result<News, BadNews>;
}
