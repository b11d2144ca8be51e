//! A booking: seats that are sold, and the reference a traveller shows.

use super::hold::Line;
pub use super::id::{BadReference, Reference};
use super::id::{HoldId, PaymentId};
use super::moment::Moment;
use super::money::Paise;

/// Records seats that are sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    /// What the traveller shows.
    pub reference: Reference,
    /// The hold it came from.
    pub hold: HoldId,
    /// The payment that bought it.
    pub payment: PaymentId,
    /// What was bought, row by row: the lines of the hold.
    pub lines: Vec<Line>,
    /// What was paid for all of it.
    pub amount: Paise,
    /// When it was confirmed.
    pub created_at: Moment,
}
