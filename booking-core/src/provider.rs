//! The payment provider, as a port. It is somebody else's computer: it may refuse, hang, repeat itself, or do what it
//! was asked after we stopped waiting. It is never called inside a transaction.

use async_trait::async_trait;
use thiserror::Error;

use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::payment::{ChargeId, PaymentId};

pub mod webhook;

pub mod simulated;

/// Says what the provider did about a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charged {
    /// It took the money.
    Captured(ChargeId),
    /// It refused, for a reason the buyer may read.
    Declined(String),
}

/// The provider gave no usable answer. What it did is not known.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the payment provider gave no usable answer: {0}")]
pub struct ProviderFault(pub String);

/// Is money the provider says it took for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Its name there.
    pub id: ChargeId,
    /// The payment it was taken for, as we named it when we asked.
    pub payment: PaymentId,
    /// How much.
    pub amount: Paise,
    /// When it was taken.
    pub created_at: Moment,
    /// Whether it went back.
    pub refunded: bool,
}

/// Takes money and gives it back.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Tells whether a payment method is one the provider knows, without asking it.
    fn accepts(&self, method: &str) -> bool;

    /// Takes money. Asking again for the same payment returns the same charge.
    async fn charge(&self, payment: PaymentId, amount: Paise, method: &str) -> Result<Charged, ProviderFault>;

    /// Gives money back. Asking again changes nothing.
    async fn refund(&self, charge: &ChargeId) -> Result<(), ProviderFault>;

    /// Lists the charges made since a moment.
    async fn list(&self, since: Moment) -> Result<Vec<Charge>, ProviderFault>;
}
