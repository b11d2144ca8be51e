//! Why a request is not granted, in one place for all that a caller may ask.

use std::sync::Arc;

use thiserror::Error;

use super::{BadOrder, SeatsTaken};
use crate::availability::SoldOutWord;
use crate::catalogue::NotOnSale;
use crate::clerk::ClerkError;
use crate::domain::inventory::InventoryId;
use crate::domain::order::Stop;
use crate::provider::BadNews;
use crate::store::StoreError;
use crate::teller::TellerError;

/// Says why a request is not granted. What a visitor reads is chosen where HTTP is known.
#[derive(Debug, Error)]
pub enum Denied {
    /// It is not on sale.
    #[error(transparent)]
    NotOnSale(#[from] NotOnSale),
    /// Too few seats are left.
    #[error("sold out")]
    SoldOut(SoldOut),
    /// Not a number of seats one order may have.
    #[error("an order has 1 to {most} seats")]
    Quantity {
        /// Seats in one order, at most.
        most: u32,
    },
    /// The order does not make sense as it stands.
    #[error(transparent)]
    Order(#[from] BadOrder),
    /// Some of the chosen seats have an owner.
    #[error("chosen seats are taken")]
    SeatTaken(SeatsTaken),
    /// The provider does not know the payment method.
    #[error("unknown payment method")]
    Method,
    /// The state of a hold or payment does not allow it.
    #[error("not in this state: {0:?}")]
    State(Stop),
    /// There is no such booking.
    #[error("no such booking")]
    NoSuchBooking,
    /// News that is not the provider's.
    #[error(transparent)]
    News(#[from] BadNews),
    /// Too much is going on; nothing happened.
    #[error("too many requests wait")]
    Busy,
    /// The database failed, or the process is ending. Whether it happened is not known; the same key asked again tells.
    #[error("the database failed: {0}")]
    Fault(Arc<StoreError>),
    /// The process is ending.
    #[error("the process is ending")]
    Closing,
}

/// Is what a buyer is told who came too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoldOut {
    /// The row.
    pub inventory: InventoryId,
    /// Seats that are left, fewer than were wanted.
    pub available: u32,
    /// What a gateway may be told, when none are left.
    pub word: Option<SoldOutWord>,
}

impl From<Stop> for Denied {
    fn from(stop: Stop) -> Self {
        Self::State(stop)
    }
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        Self::Fault(Arc::new(error))
    }
}

impl From<TellerError> for Denied {
    fn from(error: TellerError) -> Self {
        match error {
            TellerError::Busy => Self::Busy,
            TellerError::Store(error) => Self::Fault(error),
            TellerError::Closed => Self::Closing,
        }
    }
}

impl From<ClerkError> for Denied {
    fn from(error: ClerkError) -> Self {
        match error {
            ClerkError::Busy => Self::Busy,
            ClerkError::Store(error) => error.into(),
            ClerkError::Closed => Self::Closing,
        }
    }
}
