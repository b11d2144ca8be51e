//! A hold: seats promised to one buyer until a moment.

use serde::{Deserialize, Serialize};

pub use super::id::{HoldId, RequestHash};
use super::id::{PaymentId, Reference};
use super::inventory::{InventoryId, StockChange, StockMove};
use super::moment::Moment;
use super::money::Paise;
use super::seat::SeatNumber;

/// Is what a hold has of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The row the seats come from.
    pub inventory: InventoryId,
    /// How many seats.
    pub quantity: u32,
    /// What they cost together; fixed when the hold was made.
    pub amount: Paise,
    /// Which seats, in ascending order; empty in a pool. A hold that has ended still says which it had.
    pub seats: Vec<SeatNumber>,
}

impl Line {
    /// Returns what so many of its seats cost, which all cost the same.
    ///
    /// # Panics
    /// When it has not so many.
    #[must_use]
    pub fn price_of(&self, seats: u32) -> Paise {
        let each = self.amount.get() / i64::from(self.quantity.max(1));
        let price = Paise::from_i64(each).and_then(|each| each.times(seats));
        assert!(seats <= self.quantity && price.is_some(), "a part costs no more than the whole");
        price.unwrap_or_default()
    }

    /// Returns one seat of it, whichever; none where it has none.
    #[must_use]
    pub fn one(&self) -> Self {
        let quantity = self.quantity.min(1);
        Self { quantity, amount: self.price_of(quantity), seats: Vec::new(), ..*self }
    }
}

/// Holds seats for one buyer.
///
/// # Invariants
/// There is at least one line; they stand in ascending order of their rows, and no row stands twice. Whatever happens to
/// a hold happens to all of its lines in one commit. Only a part of a booking that was given back has a line of no seats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its name.
    pub id: HoldId,
    /// What it has, row by row.
    pub lines: Vec<Line>,
    /// What the request asked for.
    pub request_hash: RequestHash,
    /// When it was made.
    pub created_at: Moment,
    /// Until when the seats are promised.
    pub expires_at: Moment,
    /// How often that was put off.
    pub extensions: u32,
    /// The payment under way or done, at most one at a time; a declined one is cleared so that another may be tried.
    pub attempt: Option<PaymentId>,
    /// How far it has come.
    pub state: HoldState,
}

impl Hold {
    /// Returns the first line, which is the only one of most holds.
    #[must_use]
    pub fn first(&self) -> &Line {
        &self.lines[0]
    }

    /// Returns how many seats it has in all.
    #[must_use]
    pub fn quantity(&self) -> u32 {
        self.lines.iter().map(|line| line.quantity).sum()
    }

    /// Returns what all of it costs. An order whose sum is beyond what money can be counted in is never granted.
    #[must_use]
    pub fn amount(&self) -> Paise {
        let sum = self.lines.iter().try_fold(Paise::default(), |sum, line| sum.plus(line.amount));
        assert!(sum.is_some(), "a hold costs what an order may cost");
        sum.unwrap_or_default()
    }

    /// Returns the same move for every line that has seats, row by row in ascending order.
    #[must_use]
    pub fn moves(&self, step: impl Fn(u32) -> StockMove) -> Vec<StockChange> {
        let change = |line: &Line| StockChange {
            inventory: line.inventory,
            change: step(line.quantity),
            seats: line.seats.clone(),
        };
        self.lines.iter().filter(|line| line.quantity > 0).map(change).collect()
    }
}

/// Says how far a hold has come.
///
/// `Held → Paid → Confirmed` is the good way; `Held → Expired` and every way to `Cancelled` give the seats back in the
/// same transaction. The one way out of `Expired` is to have the seats taken a second time, because the money came late
/// and seats were left. Nothing moves backwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldState {
    /// The seats are promised until `expires_at`.
    Held,
    /// The money is set aside or taken; the seats can no longer lapse.
    Paid {
        /// By which payment.
        payment: PaymentId,
        /// When.
        at: Moment,
    },
    /// The seats are sold.
    Confirmed {
        /// By which payment.
        payment: PaymentId,
        /// The booking that came of it.
        booking: Reference,
        /// When.
        at: Moment,
    },
    /// Time ran out; the seats went back.
    Expired {
        /// When they went back.
        at: Moment,
    },
    /// The buyer gave the seats back, before they were booked or after; or the bank withdrew what it had promised.
    Cancelled {
        /// When.
        at: Moment,
    },
}

impl HoldState {
    /// Returns the word for it in the API and in the databases.
    #[must_use]
    pub const fn status(&self) -> HoldStatus {
        match self {
            Self::Held => HoldStatus::Held,
            Self::Paid { .. } => HoldStatus::Paid,
            Self::Confirmed { .. } => HoldStatus::Confirmed,
            Self::Expired { .. } => HoldStatus::Expired,
            Self::Cancelled { .. } => HoldStatus::Cancelled,
        }
    }

    /// Tells whether the hold's seats count as held in the stock.
    #[must_use]
    pub const fn keeps_seats(&self) -> bool {
        matches!(self, Self::Held | Self::Paid { .. })
    }
}

/// Names a [`HoldState`] without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldStatus {
    /// See [`HoldState::Held`].
    Held,
    /// See [`HoldState::Paid`].
    Paid,
    /// See [`HoldState::Confirmed`].
    Confirmed,
    /// See [`HoldState::Expired`].
    Expired,
    /// See [`HoldState::Cancelled`].
    Cancelled,
}

impl HoldStatus {
    /// Returns the word the databases store.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Paid => "paid",
            Self::Confirmed => "confirmed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the word the databases store.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Held, Self::Paid, Self::Confirmed, Self::Expired, Self::Cancelled]
            .into_iter()
            .find(|status| status.word() == word)
    }
}
