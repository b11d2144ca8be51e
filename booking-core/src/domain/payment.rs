//! A payment: one attempt to buy what a hold keeps.

use serde::{Deserialize, Serialize};

pub use super::id::PaymentId;
use super::id::{HoldId, Reference, RequestHash};
use super::moment::Moment;
use super::money::Paise;

/// Names a charge at the provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChargeId(pub String);

/// Records one attempt to pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Its name.
    pub id: PaymentId,
    /// The hold it pays for; `None` for money the reconciler found that belongs to no hold.
    pub hold: Option<HoldId>,
    /// How much.
    pub amount: Paise,
    /// What the buyer chose to pay with.
    pub method: String,
    /// What the request asked for.
    pub request_hash: RequestHash,
    /// When it was begun.
    pub created_at: Moment,
    /// When its state last changed.
    pub changed_at: Moment,
    /// How far it has come.
    pub state: PaymentState,
}

/// Says how far a payment has come.
///
/// # Invariants
/// (B3) money is kept only in `Kept`, which names the booking; `Captured` and `Refunding` are never resting states, the
/// outbox holds a task for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentState {
    /// The provider has been or is about to be asked.
    Pending,
    /// The provider refused, or never heard of it.
    Failed {
        /// Why, in words for the buyer.
        reason: String,
    },
    /// The provider took the money; what it bought is not decided yet.
    Captured {
        /// The provider's charge.
        charge: ChargeId,
    },
    /// The money is ours and the booking is the buyer's.
    Kept {
        /// The provider's charge.
        charge: ChargeId,
        /// What it bought.
        booking: Reference,
    },
    /// The money must go back.
    Refunding {
        /// The provider's charge.
        charge: ChargeId,
    },
    /// The money went back.
    Refunded {
        /// The provider's charge.
        charge: ChargeId,
    },
}

impl PaymentState {
    /// Returns the state without its data.
    #[must_use]
    pub const fn status(&self) -> PaymentStatus {
        match self {
            Self::Pending => PaymentStatus::Pending,
            Self::Failed { .. } => PaymentStatus::Failed,
            Self::Captured { .. } => PaymentStatus::Captured,
            Self::Kept { .. } => PaymentStatus::Kept,
            Self::Refunding { .. } => PaymentStatus::Refunding,
            Self::Refunded { .. } => PaymentStatus::Refunded,
        }
    }

    /// Returns the provider's charge, once there is one.
    #[must_use]
    pub const fn charge(&self) -> Option<&ChargeId> {
        match self {
            Self::Pending | Self::Failed { .. } => None,
            Self::Captured { charge }
            | Self::Kept { charge, .. }
            | Self::Refunding { charge }
            | Self::Refunded { charge } => Some(charge),
        }
    }
}

/// Names a [`PaymentState`] without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// See [`PaymentState::Pending`].
    Pending,
    /// See [`PaymentState::Failed`].
    Failed,
    /// See [`PaymentState::Captured`].
    Captured,
    /// See [`PaymentState::Kept`].
    Kept,
    /// See [`PaymentState::Refunding`].
    Refunding,
    /// See [`PaymentState::Refunded`].
    Refunded,
}

impl PaymentStatus {
    /// Returns the word the databases store.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Captured => "captured",
            Self::Kept => "kept",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
        }
    }

    /// Reads the word the databases store.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Pending, Self::Failed, Self::Captured, Self::Kept, Self::Refunding, Self::Refunded]
            .into_iter()
            .find(|status| status.word() == word)
    }
}
