//! The contract every database fulfils, and the only door to SQL.
//!
//! There are two ways to write. A [`Till`] is the hot one: it takes seats for many buyers of one row in one
//! commit. [`Store::transact`] is for everything else: it locks a hold and a payment, asks a pure function of
//! [`crate::domain::order`] what follows, and writes that in the same transaction. One conformance suite and one race
//! suite run against every implementation.

use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;
use time::Date;

use crate::domain::booking::{Booking, Reference};
use crate::domain::hold::{Hold, HoldId};
use crate::domain::inventory::{InventoryId, Offer, Stock};
use crate::domain::ledger::Statement;
use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::order::{Loaded, Stop, Task, TaskKind, Verdict};
use crate::domain::payment::{Payment, PaymentId};
use crate::domain::placement::ShardNumber;
use crate::domain::seat::{Numbering, SeatNumber};

pub mod till;

pub mod books;

mod rows;

mod judge;

pub mod sqlite;

pub mod postgres;

pub mod shards;

use books::Books;
pub use till::{Guard, OrderRequest, OrderTaken, TakeAnswer, TakeRequest, Taken, Till};

/// How many open holds are counted at the most: counting reads each of them, every few seconds.
pub const OPEN_HOLDS_COUNTED: u32 = 100_000;

/// Says what went wrong in a database, and whether trying again may help.
#[derive(Clone, Debug, Error)]
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
    /// The row was created with another numbering than the configured strategy sells; it keeps its own.
    #[error("{0} was created as {1:?}: configure a strategy for such rows, or sell another row")]
    OtherNumbering(InventoryId, Numbering),
    /// The reference names another booking: none can be written under it, and where two databases have one each, neither
    /// is read by it. A retry does not help.
    #[error("the reference is another booking's")]
    SharedReference,
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

/// Says which rows a decision is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

    /// Returns the shard its id names.
    pub(crate) fn named(self) -> Option<ShardNumber> {
        let of_payment = || self.payment().map(ShardNumber::of_payment);
        self.hold().map(ShardNumber::of_hold).or_else(of_payment)
    }
}

/// Is a pure decision that a store runs on locked rows, again if the transaction must be repeated.
pub type Decide = Arc<dyn Fn(&Loaded) -> Verdict + Send + Sync>;

/// Is a decision that may share a commit with others.
#[derive(Clone)]
pub struct Question {
    /// What it is about.
    pub subject: Subject,
    /// What is to be decided.
    pub decide: Decide,
}

/// Is what becomes of a [`Question`]. The inner error is the decision's own refusal, or [`Stop::SoldOut`].
pub type Transacted = Result<Result<Outcome, Stop>, StoreError>;

/// Is what a transaction left behind.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The hold, if the step touched it.
    pub hold: Option<Hold>,
    /// The payment, if the step touched it.
    pub payment: Option<Payment>,
    /// What is on sale after the commit, of each row in which the step moved any seats.
    pub left: Vec<Left>,
}

/// Says what a commit left on sale of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Which row.
    pub inventory: InventoryId,
    /// Seats on sale after the commit.
    pub available: u32,
    /// Whether there were none before it.
    pub was_zero: bool,
}

impl Left {
    /// Says what a commit left that changed what is on sale by so much.
    #[must_use]
    pub fn after(inventory: InventoryId, available: u32, change: i32) -> Self {
        Self { inventory, available, was_zero: i64::from(available) == i64::from(change) }
    }
}

impl Outcome {
    /// Lists the seats on sale after the commit, of each row in which the step moved any.
    #[must_use]
    pub fn stock(&self) -> Vec<(InventoryId, u32)> {
        self.left.iter().map(|left| (left.inventory, left.available)).collect()
    }
}

/// Is what tells two holds of one key apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// When the hold was made.
    pub at: Moment,
    /// Whether it ran out, or was given back.
    pub is_over: bool,
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
    /// How often it was asked for.
    pub asked: u32,
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
    /// Whether its seats have numbers.
    pub numbering: Numbering,
    /// Rises with every commit that changes a count: of two words about a row, the one with the higher version is the newer.
    pub version: u64,
}

/// Says that a row came to have nothing on sale, or something again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnedRow {
    /// Which row.
    pub inventory: InventoryId,
    /// The row's version from then on.
    pub version: u64,
}

/// Keeps inventory, holds, payments, bookings and the outbox.
///
/// Every method is durable when it returns, and safe to repeat. None is cancelled halfway: what was begun is completed
/// or rolled back whether or not the caller still waits.
#[async_trait]
pub trait Store: Till {
    /// Lists the databases behind this store, which background work visits one by one; none for a database by itself.
    fn databases(&self) -> &[(ShardNumber, Arc<dyn Store>)] {
        &[]
    }

    /// Creates rows that do not exist; leaves the others alone.
    async fn ensure(&self, offers: &[Offer]) -> Result<(), StoreError>;

    /// Reads rows; those that do not exist are missing from the answer.
    async fn stock(&self, ids: &[InventoryId]) -> Result<Vec<StockRow>, StoreError>;

    /// Lists the rows of trains that leave on a day or after it.
    async fn rows_from(&self, day: Date) -> Result<Vec<InventoryId>, StoreError>;

    /// Lists rows that turned from something on sale to nothing or back within so many seconds, by the database's clock;
    /// the newest first, each with its last turn.
    async fn turned(&self, within_s: u32, limit: u32) -> Result<Vec<TurnedRow>, StoreError>;

    /// Locks the subject's rows, asks `decide`, writes the step, commits.
    ///
    /// The inner error is the decision's own refusal, or [`Stop::SoldOut`] when the step wanted seats that are not there;
    /// nothing is written then. A booking whose reference another has is a [`StoreError::SharedReference`].
    async fn transact(&self, subject: Subject, decide: Decide) -> Transacted;

    /// Does as [`Store::transact`] for several questions, together in one commit, whatever their order.
    ///
    /// `None` means that this one must be asked by itself: it takes seats, its rows are locked by somebody else or are
    /// another's of these too, or it spoilt the commit for all. Nothing was written for it.
    async fn transact_together(&self, questions: &[Question]) -> Vec<Option<Transacted>> {
        questions.iter().map(|_| None).collect()
    }

    /// Says how many commits about different holds and payments the database of a question gets on with at once.
    fn writers(&self, _subject: Subject) -> u8 {
        1
    }

    /// Names the database of several that a question goes to; with only one there is no choice.
    fn place_of(&self, _subject: Subject) -> Option<ShardNumber> {
        None
    }

    /// Reads a hold.
    async fn hold(&self, id: HoldId) -> Result<Option<Hold>, StoreError>;

    /// Says of holds that were made when that was, and whether they came to nothing.
    async fn made(&self, holds: &[HoldId]) -> Result<Vec<(HoldId, Made)>, StoreError>;

    /// Reads a payment.
    async fn payment(&self, id: PaymentId) -> Result<Option<Payment>, StoreError>;

    /// Reads a booking; [`StoreError::SharedReference`] when there are two.
    async fn booking(&self, reference: Reference) -> Result<Option<Booking>, StoreError>;

    /// Lists the numbers of a row that have an owner, in ascending order.
    async fn owned_seats(&self, row: InventoryId) -> Result<Vec<SeatNumber>, StoreError>;

    /// Lists holds in `Held` whose time is over, the oldest first.
    async fn lapsed(&self, now: Moment, limit: u32) -> Result<Vec<HoldId>, StoreError>;

    /// Returns when the first open hold of a row may lapse, if that is no later than `until`.
    async fn first_expiry(&self, row: InventoryId, until: Moment) -> Result<Option<Moment>, StoreError>;

    /// Counts the holds in `Held`, up to [`OPEN_HOLDS_COUNTED`].
    async fn open_holds(&self) -> Result<u64, StoreError>;

    /// Counts payments of which a refund failed and the one that stands in for it is not done yet.
    async fn failing_refunds(&self) -> Result<u64, StoreError>;

    /// Lists payments that wait for the provider or the buyer since before a moment, the oldest first, and when each was
    /// begun.
    async fn pending(&self, before: Moment, limit: u32) -> Result<Vec<(PaymentId, Moment)>, StoreError>;

    /// Lists tasks of a kind that are due, the longest due first.
    async fn due(&self, kind: TaskKind, now: Moment, limit: u32) -> Result<Vec<DueTask>, StoreError>;

    /// Puts a task off that could not be done, with the reason. One that was asked for again since it was read stays due:
    /// there is something new to be done.
    async fn postpone(&self, task: DueTask, until: Moment, reason: &str) -> Result<(), StoreError>;

    /// Has a task done now that was put off.
    async fn hasten(&self, task: Task, now: Moment) -> Result<(), StoreError>;

    /// Returns the secret this database's ids are derived with, writing `candidate` if there is none yet; `None` when there
    /// is neither.
    async fn secret(&self, candidate: Option<[u8; 32]>) -> Result<Option<[u8; 32]>, StoreError>;

    /// Returns which shard this database is, writing `candidate` if it has not been told yet; `None` when it never was.
    async fn number(&self, candidate: Option<ShardNumber>) -> Result<Option<ShardNumber>, StoreError>;

    /// Counts everything twice, for checking (B1), (B3) and (B5).
    async fn books(&self) -> Result<Books, StoreError>;

    /// Reads payments in the order of their ids, beginning after one, with all that the ledger says of each; each
    /// payment and its transfers as of one moment.
    async fn statements(&self, after: Option<PaymentId>, limit: u32) -> Result<Vec<Statement>, StoreError>;

    /// Tells whether the database answers.
    async fn ping(&self) -> Result<(), StoreError>;
}
