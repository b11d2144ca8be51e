//! The contract every database fulfils, and the only door to SQL.
//!
//! There are two ways to write. [`Store::take`] is the hot one: it takes seats for many buyers of one row in one
//! commit. [`Store::transact`] is for everything else: it locks a hold and a payment, asks a pure function of
//! [`crate::domain::order`] what follows, and writes that in the same transaction. One conformance suite and one race
//! suite run against every implementation.

use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use crate::domain::booking::{Booking, Reference};
use crate::domain::hold::{Hold, HoldId, RequestHash};
use crate::domain::inventory::{InventoryId, Offer, Stock};
use crate::domain::ledger::Statement;
use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::order::{Loaded, Stop, Task, TaskKind, Verdict};
use crate::domain::payment::{Payment, PaymentId};

pub mod books;
mod rows;

pub mod sqlite;

pub mod postgres;

use books::Books;

/// Says what went wrong in a database, and whether trying again may help.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database cannot be reached or does not answer in time. A retry may help.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// Two transactions stood in each other's way, or the connection ended while one was being committed. A retry under
    /// the same ids is safe and helps.
    #[error("the transaction was not completed: {0}")]
    Conflict(String),
    /// The row was never created.
    #[error("there is no inventory row {0}")]
    UnknownInventory(InventoryId),
    /// The database holds what this program never wrote, or refuses what it never should. A retry does not help.
    #[error("the database holds something unexpected: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Tells whether the same call may succeed if it is made again.
    #[must_use]
    pub const fn may_retry(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Conflict(_))
    }
}

/// Asks for seats of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeRequest {
    /// The hold that is to come into being; the same key always gives the same id.
    pub hold: HoldId,
    /// What was asked for.
    pub request_hash: RequestHash,
    /// How many seats.
    pub quantity: u32,
    /// What they cost together.
    pub amount: Paise,
    /// Now.
    pub created_at: Moment,
    /// Until when they are promised.
    pub expires_at: Moment,
}

impl TakeRequest {
    /// Returns the hold that this request becomes when it is granted.
    #[must_use]
    pub fn granted(&self, inventory: InventoryId) -> Hold {
        Hold {
            id: self.hold,
            inventory,
            quantity: self.quantity,
            amount: self.amount,
            request_hash: self.request_hash,
            created_at: self.created_at,
            expires_at: self.expires_at,
            extensions: 0,
            attempt: None,
            state: crate::domain::hold::HoldState::Held,
        }
    }
}

/// Answers one [`TakeRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakeAnswer {
    /// The seats are held.
    Granted(Hold),
    /// The same request was granted before; this is that hold as it is now.
    Replayed(Hold),
    /// The key was used before, for another request. Nothing happened.
    KeyReused,
    /// Too few seats are left. Nothing happened.
    SoldOut,
}

/// Answers a batch.
#[derive(Clone, Debug)]
pub struct Taken {
    /// One answer for each request, in their order.
    pub answers: Vec<TakeAnswer>,
    /// Seats on sale after the commit.
    pub available: u32,
}

/// Names a way to keep two buyers from one seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// `UPDATE … WHERE available >= n`: the database is the referee.
    ConditionalUpdate,
    /// Reads, then writes what it computed. **This oversells**; it is here so that the race suite can show that it would
    /// notice. Nothing but tests and the concurrency lab may name it.
    ReadThenWrite,
}

/// Says which rows a decision is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    /// A hold alone.
    Hold(HoldId),
    /// A payment, and the hold it pays for.
    Payment(PaymentId),
    /// A hold, and a payment that may not exist yet.
    Opening(HoldId, PaymentId),
}

impl Subject {
    pub(crate) const fn hold(self) -> Option<HoldId> {
        match self {
            Self::Hold(hold) | Self::Opening(hold, _) => Some(hold),
            Self::Payment(_) => None,
        }
    }

    pub(crate) const fn payment(self) -> Option<PaymentId> {
        match self {
            Self::Payment(payment) | Self::Opening(_, payment) => Some(payment),
            Self::Hold(_) => None,
        }
    }
}

/// Is a pure decision that a store runs on locked rows, again if the transaction must be repeated.
pub type Decide = Arc<dyn Fn(&Loaded) -> Verdict + Send + Sync>;

/// Is what a transaction left behind.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The hold, if the step touched it.
    pub hold: Option<Hold>,
    /// The payment, if the step touched it.
    pub payment: Option<Payment>,
    /// Seats on sale after the commit, if the step moved any.
    pub available: Option<(InventoryId, u32)>,
}

/// A task of the outbox that is due.
#[derive(Clone, Copy, Debug)]
pub struct DueTask {
    /// What is to be done.
    pub task: Task,
    /// When it was written.
    pub created_at: Moment,
    /// How often it was tried in vain.
    pub attempts: u32,
}

/// Is a row as a reader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockRow {
    /// Which row.
    pub inventory: InventoryId,
    /// Its counts.
    pub stock: Stock,
    /// The price of one seat.
    pub price: Paise,
}

/// Keeps inventory, holds, payments, bookings and the outbox.
///
/// Every method is durable when it returns, and safe to repeat. None is cancelled halfway: what was begun is completed
/// or rolled back whether or not the caller still waits.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Creates rows that do not exist; leaves the others alone.
    async fn ensure(&self, offers: &[Offer]) -> Result<(), StoreError>;

    /// Reads rows; those that do not exist are missing from the answer.
    async fn stock(&self, ids: &[InventoryId]) -> Result<Vec<StockRow>, StoreError>;

    /// Takes seats of one row for many buyers in one commit, in the order of the requests, each all or nothing.
    ///
    /// No two requests of a batch may name the same hold.
    async fn take(&self, guard: Guard, row: InventoryId, requests: &[TakeRequest]) -> Result<Taken, StoreError>;

    /// Locks the subject's rows, asks `decide`, writes the step, commits.
    ///
    /// The inner error is the decision's own refusal, or [`Stop::SoldOut`] when the step wanted seats that are not there;
    /// nothing is written then.
    async fn transact(&self, subject: Subject, decide: Decide) -> Result<Result<Outcome, Stop>, StoreError>;

    /// Reads a hold.
    async fn hold(&self, id: HoldId) -> Result<Option<Hold>, StoreError>;

    /// Reads a payment.
    async fn payment(&self, id: PaymentId) -> Result<Option<Payment>, StoreError>;

    /// Reads a booking.
    async fn booking(&self, reference: Reference) -> Result<Option<Booking>, StoreError>;

    /// Lists holds in `Held` whose time is over, the oldest first.
    async fn lapsed(&self, now: Moment, limit: u32) -> Result<Vec<HoldId>, StoreError>;

    /// Returns when the first open hold of a row may lapse.
    async fn first_expiry(&self, row: InventoryId) -> Result<Option<Moment>, StoreError>;

    /// Counts the holds in `Held`.
    async fn open_holds(&self) -> Result<u64, StoreError>;

    /// Lists payments that wait for the provider or the buyer since before a moment, the oldest first, and when each was
    /// begun.
    async fn pending(&self, before: Moment, limit: u32) -> Result<Vec<(PaymentId, Moment)>, StoreError>;

    /// Lists tasks of a kind that are due, the longest due first.
    async fn due(&self, kind: TaskKind, now: Moment, limit: u32) -> Result<Vec<DueTask>, StoreError>;

    /// Puts a task off that could not be done, with the reason.
    async fn postpone(&self, task: Task, until: Moment, reason: &str) -> Result<(), StoreError>;

    /// Returns the secret this database's ids are derived with, writing `candidate` if there is none yet.
    async fn secret(&self, candidate: [u8; 32]) -> Result<[u8; 32], StoreError>;

    /// Counts everything twice, for checking (B1), (B3) and (B5).
    async fn books(&self) -> Result<Books, StoreError>;

    /// Reads payments in the order of their ids, beginning after one, with all that the ledger says of each; each
    /// payment and its transfers as of one moment.
    async fn statements(&self, after: Option<PaymentId>, limit: u32) -> Result<Vec<Statement>, StoreError>;

    /// Tells whether the database answers.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// Gives out what is left in arrival order, each request all or nothing; says which are granted.
///
/// A request for more than what is left does not bar a later one that asks for less.
#[must_use]
pub fn allot(available: u32, wanted: impl Iterator<Item = u32>) -> Vec<bool> {
    let mut left = available;
    wanted
        .map(|quantity| {
            let granted = quantity <= left;
            left -= if granted { quantity } else { 0 };
            granted
        })
        .collect()
}

/// Sums what a batch asks for.
fn total(requests: &[TakeRequest]) -> i64 {
    requests.iter().map(|request| i64::from(request.quantity)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allots_in_arrival_order_all_or_nothing() {
        for (available, wanted, expected) in [
            (3, vec![1, 1, 1, 1], vec![true, true, true, false]),
            (3, vec![2, 2, 1], vec![true, false, true]),
            (0, vec![1], vec![false]),
            (5, vec![], vec![]),
        ] {
            assert_eq!(allot(available, wanted.into_iter()), expected);
        }
    }
}
