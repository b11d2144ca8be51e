//! A payment: one attempt to buy what a hold keeps.

use serde::{Deserialize, Serialize};

pub use super::id::PaymentId;
use super::id::{HoldId, Reference, RequestHash};
use super::moment::Moment;
use super::money::Paise;
use super::refund::Refunds;

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
    /// What of it goes back or went back.
    pub refunds: Refunds,
    /// How far it has come.
    pub state: PaymentState,
}

/// Is what the buyer must do before the provider goes on, as the provider gave it: the address of a page at the bank, or
/// what the provider's own script in the page asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge(pub String);

impl Challenge {
    /// Returns the page the buyer is to be sent to, if it is one.
    #[must_use]
    pub fn page(&self) -> Option<&str> {
        let page = self.0.starts_with("https://") || self.0.starts_with("http://");
        page.then_some(&self.0)
    }
}

/// Says how far a payment has come.
///
/// `Pending → Capturing → Kept` is the good way: the money is set aside, the seats are secured, and only then is the
/// money taken. Where the seats are gone, what was set aside is let go (`Voiding → Voided`) and nobody was charged. Money
/// that was taken without a seat, because a provider takes it at once or took it unasked, goes back
/// (`Refunding → Refunded`), and so does the money of a booking that is cancelled.
///
/// # Invariants
/// (B3) money is kept only in `Kept`, which names the booking; `Authorized`, `Capturing`, `Captured`, `Voiding` and
/// `Refunding` are never resting states, the outbox holds a task for each, and for every refund that is under way. A part
/// of the money may go back while the rest is `Kept`. The one way back is from `Refunded` to `Refunding`: a buyer's bank
/// may send the money back days later, and then another refund begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentState {
    /// The provider has been or is about to be asked.
    Pending,
    /// The provider waits for the buyer.
    Challenged {
        /// The provider's charge.
        charge: ChargeId,
        /// What the buyer must do.
        challenge: Challenge,
    },
    /// The provider refused, or never heard of it.
    Failed {
        /// Why, in words for the buyer.
        reason: String,
    },
    /// The provider has set the money aside; whether there are seats for it is not decided yet.
    Authorized {
        /// The provider's charge.
        charge: ChargeId,
    },
    /// The seats are secured, and the money is to be taken.
    Capturing {
        /// The provider's charge.
        charge: ChargeId,
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
    /// What was set aside must be let go.
    Voiding {
        /// The provider's charge.
        charge: ChargeId,
    },
    /// What was set aside is the buyer's again; nothing was taken.
    Voided {
        /// The provider's charge.
        charge: ChargeId,
    },
    /// The money must go back; [`Payment::refunds`] says how much.
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
            Self::Challenged { .. } => PaymentStatus::Challenged,
            Self::Failed { .. } => PaymentStatus::Failed,
            Self::Authorized { .. } => PaymentStatus::Authorized,
            Self::Capturing { .. } => PaymentStatus::Capturing,
            Self::Captured { .. } => PaymentStatus::Captured,
            Self::Kept { .. } => PaymentStatus::Kept,
            Self::Voiding { .. } => PaymentStatus::Voiding,
            Self::Voided { .. } => PaymentStatus::Voided,
            Self::Refunding { .. } => PaymentStatus::Refunding,
            Self::Refunded { .. } => PaymentStatus::Refunded,
        }
    }

    /// Returns the provider's charge, once there is one.
    #[must_use]
    pub const fn charge(&self) -> Option<&ChargeId> {
        match self {
            Self::Pending | Self::Failed { .. } => None,
            Self::Challenged { charge, .. }
            | Self::Authorized { charge }
            | Self::Capturing { charge }
            | Self::Captured { charge }
            | Self::Kept { charge, .. }
            | Self::Voiding { charge }
            | Self::Voided { charge }
            | Self::Refunding { charge }
            | Self::Refunded { charge } => Some(charge),
        }
    }

    /// Tells whether the provider's charge for this is known to be another one.
    #[must_use]
    pub fn knows_another(&self, charge: &ChargeId) -> bool {
        self.charge().is_some_and(|known| known != charge)
    }
}

/// Names a [`PaymentState`] without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// See [`PaymentState::Pending`].
    Pending,
    /// See [`PaymentState::Challenged`].
    Challenged,
    /// See [`PaymentState::Failed`].
    Failed,
    /// See [`PaymentState::Authorized`].
    Authorized,
    /// See [`PaymentState::Capturing`].
    Capturing,
    /// See [`PaymentState::Captured`].
    Captured,
    /// See [`PaymentState::Kept`].
    Kept,
    /// See [`PaymentState::Voiding`].
    Voiding,
    /// See [`PaymentState::Voided`].
    Voided,
    /// See [`PaymentState::Refunding`].
    Refunding,
    /// See [`PaymentState::Refunded`].
    Refunded,
}

impl PaymentStatus {
    const ALL: [Self; 11] = [
        Self::Pending,
        Self::Challenged,
        Self::Failed,
        Self::Authorized,
        Self::Capturing,
        Self::Captured,
        Self::Kept,
        Self::Voiding,
        Self::Voided,
        Self::Refunding,
        Self::Refunded,
    ];

    /// Returns the word the databases store.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Challenged => "challenged",
            Self::Failed => "failed",
            Self::Authorized => "authorized",
            Self::Capturing => "capturing",
            Self::Captured => "captured",
            Self::Kept => "kept",
            Self::Voiding => "voiding",
            Self::Voided => "voided",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
        }
    }

    /// Reads the word the databases store.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }
}
