//! Taking seats: what is asked of a database, and what it answers.

use async_trait::async_trait;
use tokio::runtime::Handle;

use super::StoreError;
use crate::domain::hold::{Hold, HoldId, HoldState, Line, RequestHash};
use crate::domain::inventory::InventoryId;
use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::placement::ShardNumber;
use crate::domain::seat::{Numbering, SeatNumber, Wish};

/// Asks for seats of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeRequest {
    /// The hold that is to come into being; the same key always gives the same id.
    pub hold: HoldId,
    /// What was asked for.
    pub request_hash: RequestHash,
    /// How many seats.
    pub quantity: u32,
    /// Which of them, where they have numbers. As many as `quantity`, ascending, none twice.
    pub wish: Wish,
    /// What they cost together.
    pub amount: Paise,
    /// Now.
    pub created_at: Moment,
    /// Until when they are promised.
    pub expires_at: Moment,
}

impl TakeRequest {
    /// Returns the hold that this request becomes when it is granted these seats; none in a pool.
    #[must_use]
    pub fn granted(&self, inventory: InventoryId, seats: Vec<SeatNumber>) -> Hold {
        let line = Line { inventory, quantity: self.quantity, amount: self.amount, seats };
        Hold {
            id: self.hold,
            lines: vec![line],
            request_hash: self.request_hash,
            created_at: self.created_at,
            expires_at: self.expires_at,
            extensions: 0,
            attempt: None,
            state: HoldState::Held,
        }
    }
}

/// Asks for seats of several rows, all or nothing: one request for each row, under one hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRequest {
    /// What is asked of each row, in ascending order of the rows, none twice. All name the same hold.
    pub lines: Vec<(InventoryId, TakeRequest)>,
}

impl OrderRequest {
    /// Returns the request whose hold, hash and times are the whole order's.
    #[must_use]
    pub fn head(&self) -> &TakeRequest {
        &self.lines[0].1
    }
}

/// Answers a request.
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
    /// These of the chosen seats have an owner. Nothing happened.
    SeatTaken(Vec<SeatNumber>),
    /// Others were quicker each time it was tried. Nothing happened; it may be asked again.
    Contended,
}

/// Answers a batch.
#[derive(Clone, Debug)]
pub struct Taken {
    /// One answer for each request, in their order.
    pub answers: Vec<TakeAnswer>,
    /// Seats on sale after the commit.
    pub available: u32,
}

/// Answers an order of several rows.
#[derive(Clone, Debug)]
pub struct OrderTaken {
    /// The answer to all of it.
    pub answer: TakeAnswer,
    /// Seats on sale after the commit, of each row; of a refusal, the one row that refused.
    pub available: Vec<(InventoryId, u32)>,
}

/// Names what keeps two buyers from one seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// `UPDATE … WHERE available >= n`: the row's own count is the referee.
    Condition,
    /// `SELECT … FOR UPDATE`: whoever has the row locked decides. SQLite has one writer at a time, which is the same.
    RowLock,
    /// `UPDATE … WHERE version = v`: whoever writes first is right, the others read again, so often and no more.
    Version,
    /// `UNIQUE (row, number)`: a number can be written down once. For rows with numbers, and the only guard for them.
    UniqueKey,
}

impl Guard {
    /// Tells whether rows of this numbering can be sold under this guard.
    #[must_use]
    pub const fn suits(self, numbering: Numbering) -> bool {
        matches!(self, Self::UniqueKey) != matches!(numbering, Numbering::Pool)
    }
}

/// Takes seats for buyers. It is the hot half of a store, and all that a teller knows of one.
///
/// What was begun is completed or rolled back whether or not the caller still waits.
#[async_trait]
pub trait Till: Send + Sync + 'static {
    /// Names the shard that keeps a row, for its ids; a database by itself has none.
    fn place(&self, _row: InventoryId) -> Option<ShardNumber> {
        None
    }

    /// Names the runtime in which the connections of a shard's database live, or of the only one: whoever waits for its
    /// commits is woken the soonest there. `None` when they live wherever they are used.
    fn home(&self, _place: Option<ShardNumber>) -> Option<Handle> {
        None
    }

    /// Takes seats of one row for many buyers in one commit, in the order of the requests, each all or nothing.
    ///
    /// No two requests of a batch may name the same hold.
    ///
    /// # Errors
    /// [`StoreError::UnknownInventory`] when the row was never created, [`StoreError::OtherNumbering`] when the guard does
    /// not suit it, and whatever else keeps a database from answering.
    async fn take(&self, guard: Guard, row: InventoryId, requests: &[TakeRequest]) -> Result<Taken, StoreError>;

    /// Takes seats of several rows for one buyer in one commit, all or nothing. Each row is kept by its own guard.
    ///
    /// # Errors
    /// As [`Till::take`].
    async fn take_order(&self, order: &OrderRequest) -> Result<OrderTaken, StoreError>;
}
