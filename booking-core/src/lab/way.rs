//! The ways to sell a seat, statement by statement: pure. What one does next follows from what the store has answered.
//!
//! The ways are those of [`crate::strategy`], taken apart so that two people can be watched between any two statements,
//! and the broken ones, which sell a seat twice and live nowhere else.

use serde::{Deserialize, Serialize};

use super::step::Step;

/// How often one tries before giving up, where trying again is part of the way.
const TRIES: u32 = 12;

/// Names a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Broken: reads, and then writes what it computed.
    ReadThenWrite,
    /// The same in one transaction: as broken where the database does not look back at what was read.
    ReadThenWriteInTransaction,
    /// One statement that takes a seat if there is one.
    Conditional,
    /// The row is locked before it is read.
    Pessimistic,
    /// The row is written if its version is what was read.
    Optimistic,
    /// A UNIQUE key on the seat.
    SeatKey,
    /// A lease in Redis on the seat, and the UNIQUE key behind it.
    SeatLock,
    /// A UNIQUE key on the lowest free number.
    Tickets,
}

impl Way {
    /// Every way, the broken ones first.
    pub const ALL: [Self; 8] = [
        Self::ReadThenWrite,
        Self::ReadThenWriteInTransaction,
        Self::Conditional,
        Self::Pessimistic,
        Self::Optimistic,
        Self::SeatKey,
        Self::SeatLock,
        Self::Tickets,
    ];

    /// Tells whether nothing keeps it from selling a seat twice.
    #[must_use]
    pub const fn broken(self) -> bool {
        matches!(self, Self::ReadThenWrite | Self::ReadThenWriteInTransaction)
    }

    const fn first(self, wants: i64) -> Step {
        match self {
            Self::ReadThenWrite => Step::Read,
            Self::ReadThenWriteInTransaction | Self::Conditional => Step::Begin,
            Self::Pessimistic => Step::BeginLocked,
            Self::Optimistic => Step::ReadVersion,
            Self::SeatKey => Step::ReadSeat(wants),
            Self::SeatLock => Step::Lease(wants),
            Self::Tickets => Step::LowestFree,
        }
    }
}

/// How it ended for one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// With a seat.
    Sold,
    /// There was none.
    Refused,
    /// Somebody had the lease on the seat in Redis; the database was not asked.
    TurnedAway,
    /// Others were quicker as often as one tries.
    GaveUp,
    /// The database reported an error.
    Failed,
    /// Nobody clicked for too long; an open transaction was rolled back.
    Left,
}

/// What a store has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The first row that was found, and what its columns hold.
    Row(Vec<i64>),
    /// So many rows were changed.
    Changed(u64),
    /// Whether the lease is this person's.
    Leased(bool),
    /// An error.
    Failed,
}

/// What one does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Asks a store.
    Do(Step),
    /// Nothing more.
    Over(Ending),
}

use Next::{Do, Over};

/// Is one person on one way.
#[derive(Clone, Debug)]
pub struct Buyer {
    way: Way,
    next: Next,
    /// The seat that is wanted, or the number that was found free.
    seat: i64,
    /// Seats of the row.
    capacity: i64,
    /// What was read of the row: what is available, and its version.
    seen: (i64, i64),
    /// How it ends when the rollback is done; `None` tries again.
    afterwards: Option<Ending>,
    inside: bool,
    leased: bool,
    retries: u32,
}

impl Buyer {
    /// Sends somebody on the way to a seat.
    #[must_use]
    pub const fn new(way: Way, seat: i64, capacity: i64) -> Self {
        Self {
            way,
            next: Do(way.first(seat)),
            seat,
            capacity,
            seen: (0, 0),
            afterwards: None,
            inside: false,
            leased: false,
            retries: 0,
        }
    }

    /// Returns what one does next.
    #[must_use]
    pub const fn next(&self) -> Next {
        self.next
    }

    /// Returns how often one had to begin again.
    #[must_use]
    pub const fn retries(&self) -> u32 {
        self.retries
    }

    /// Tells whether one has a transaction open.
    #[must_use]
    pub const fn inside(&self) -> bool {
        self.inside
    }

    /// Takes in what the store has answered to the step that was next.
    pub fn hear(&mut self, heard: &Heard) {
        let Do(step) = self.next else { return };
        match step {
            Step::Begin | Step::BeginLocked => self.inside = *heard != Heard::Failed,
            Step::Commit | Step::Rollback => self.inside = false,
            Step::Lease(_) => self.leased = *heard == Heard::Leased(true),
            _ => {}
        }
        self.next = match heard {
            Heard::Failed => self.after_an_error(step),
            Heard::Row(row) => self.after_reading(step, row),
            Heard::Changed(rows) => self.after_writing(step, *rows),
            Heard::Leased(true) => Do(Step::Begin),
            Heard::Leased(false) => Over(Ending::TurnedAway),
        };
    }

    fn after_reading(&mut self, step: Step, row: &[i64]) -> Next {
        let first = row.first().copied().unwrap_or_default();
        self.seen = (first, row.get(1).copied().unwrap_or_default());
        let there_is_one = match step {
            Step::ReadSeat(_) => first == 0,
            Step::LowestFree => first <= self.capacity,
            _ => first > 0,
        };
        if !there_is_one {
            return self.end(Ending::Refused);
        }
        match step {
            Step::LowestFree => {
                self.seat = first;
                Do(Step::Begin)
            }
            Step::Read | Step::ReadLocked => Do(Step::Overwrite(first - 1)),
            _ => Do(Step::Begin),
        }
    }

    fn after_writing(&mut self, step: Step, rows: u64) -> Next {
        match step {
            Step::Begin | Step::BeginLocked => Do(self.first_inside()),
            Step::TakeIf if rows == 0 => self.end(Ending::Refused),
            Step::TakeIfVersion { .. } if rows == 0 => self.try_again(),
            Step::TakeSeat(_) if rows == 0 && self.way == Way::Tickets => self.try_again(),
            Step::TakeSeat(_) if rows == 0 => self.end(Ending::Refused),
            Step::TakeSeat(_) => Do(Step::CountDown),
            Step::Hold(_) if !self.inside => Over(Ending::Sold),
            Step::Hold(_) => Do(Step::Commit),
            Step::Commit => Over(Ending::Sold),
            Step::Rollback => self.after_rollback(),
            Step::LetGo(_) => Over(self.afterwards.unwrap_or(Ending::Refused)),
            _ => Do(Step::Hold(self.numbered().then_some(self.seat))),
        }
    }

    /// What comes after BEGIN.
    const fn first_inside(&self) -> Step {
        match self.way {
            Way::ReadThenWrite | Way::ReadThenWriteInTransaction => Step::Read,
            Way::Conditional => Step::TakeIf,
            Way::Pessimistic => Step::ReadLocked,
            Way::Optimistic => Step::TakeIfVersion { left: self.seen.0 - 1, version: self.seen.1 },
            Way::SeatKey | Way::SeatLock | Way::Tickets => Step::TakeSeat(self.seat),
        }
    }

    const fn numbered(&self) -> bool {
        matches!(self.way, Way::SeatKey | Way::SeatLock | Way::Tickets)
    }

    /// Redis is a courtesy: where it fails, the database decides alone.
    fn after_an_error(&mut self, step: Step) -> Next {
        match step {
            Step::Lease(_) => Do(Step::Begin),
            Step::Rollback | Step::LetGo(_) => Over(Ending::Failed),
            _ => self.end(Ending::Failed),
        }
    }

    const fn end(&mut self, ending: Ending) -> Next {
        self.afterwards = Some(ending);
        if self.inside { Do(Step::Rollback) } else { self.after_rollback() }
    }

    const fn try_again(&mut self) -> Next {
        self.afterwards = None;
        Do(Step::Rollback)
    }

    const fn after_rollback(&mut self) -> Next {
        match self.afterwards {
            Some(_) if self.leased => {
                self.leased = false;
                Do(Step::LetGo(self.seat))
            }
            Some(ending) => Over(ending),
            None if self.retries + 1 >= TRIES => Over(Ending::GaveUp),
            None => {
                self.retries += 1;
                Do(self.way.first(self.seat))
            }
        }
    }
}
