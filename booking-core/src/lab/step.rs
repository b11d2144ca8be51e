//! The statements of the lab, as they are sent and as they are shown: one text for both. All values are numbers of ours.

use serde::Serialize;

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// One writer at a time.
    Sqlite,
    /// Row locks.
    Postgres,
}

/// One statement of one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Opens a transaction.
    Begin,
    /// Opens a transaction that is going to lock: in SQLite the whole file, now.
    BeginLocked,
    /// Reads how many are available.
    Read,
    /// Reads it, and keeps others from changing it.
    ReadLocked,
    /// Reads it with the version.
    ReadVersion,
    /// Reads how many owners a seat has.
    ReadSeat(i64),
    /// Finds the lowest number that nobody owns.
    LowestFree,
    /// Writes how many are left, as computed from what was read.
    Overwrite(i64),
    /// Takes one if there is one.
    TakeIf,
    /// Writes how many are left if the version is what was read.
    TakeIfVersion {
        /// What is to be written.
        left: i64,
        /// What was read.
        version: i64,
    },
    /// Writes a seat down for oneself, if nobody has.
    TakeSeat(i64),
    /// Counts one seat off; which one is settled.
    CountDown,
    /// Writes the hold, with its seat where seats have numbers.
    Hold(Option<i64>),
    /// Makes it last.
    Commit,
    /// Undoes it.
    Rollback,
    /// Takes the lease on a seat in Redis.
    Lease(i64),
    /// Gives it back.
    LetGo(i64),
}

impl Step {
    /// Returns its name, by which the page explains it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::BeginLocked => "begin-locked",
            Self::Read => "read",
            Self::ReadLocked => "read-locked",
            Self::ReadVersion => "read-version",
            Self::ReadSeat(_) => "read-seat",
            Self::LowestFree => "lowest-free",
            Self::Overwrite(_) => "overwrite",
            Self::TakeIf => "take-if",
            Self::TakeIfVersion { .. } => "take-if-version",
            Self::TakeSeat(_) => "take-seat",
            Self::CountDown => "count-down",
            Self::Hold(_) => "hold",
            Self::Commit => "commit",
            Self::Rollback => "rollback",
            Self::Lease(_) => "lease",
            Self::LetGo(_) => "let-go",
        }
    }

    /// Tells whether it changes a table.
    #[must_use]
    pub const fn writes(self) -> bool {
        matches!(
            self,
            Self::Overwrite(_)
                | Self::TakeIf
                | Self::TakeIfVersion { .. }
                | Self::TakeSeat(_)
                | Self::CountDown
                | Self::Hold(_)
        )
    }

    /// Returns the names of what it reads.
    #[must_use]
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Read | Self::ReadLocked => &["available"],
            Self::ReadVersion => &["available", "version"],
            Self::ReadSeat(_) => &["owners"],
            Self::LowestFree => &["number"],
            _ => &[],
        }
    }

    /// Writes the statement for a database; `None` for what Redis is asked.
    #[must_use]
    pub fn sql(self, engine: Engine, row: i64, person: u32) -> Option<String> {
        Some(match self {
            Self::Begin => "BEGIN".to_owned(),
            Self::BeginLocked if engine == Engine::Sqlite => "BEGIN IMMEDIATE".to_owned(),
            Self::BeginLocked => "BEGIN".to_owned(),
            Self::Read => format!("SELECT available FROM inventory WHERE id = {row}"),
            Self::ReadLocked if engine == Engine::Postgres => {
                format!("SELECT available FROM inventory WHERE id = {row} FOR UPDATE")
            }
            Self::ReadLocked => format!("SELECT available FROM inventory WHERE id = {row}"),
            Self::ReadVersion => format!("SELECT available, version FROM inventory WHERE id = {row}"),
            Self::ReadSeat(seat) => {
                format!("SELECT count(*) AS owners FROM seats WHERE row_id = {row} AND number = {seat}")
            }
            Self::LowestFree => lowest_free(row),
            Self::Overwrite(left) => format!("UPDATE inventory SET available = {left} WHERE id = {row}"),
            Self::TakeIf => {
                format!("UPDATE inventory SET available = available - 1 WHERE id = {row} AND available >= 1")
            }
            Self::TakeIfVersion { left, version } => format!(
                "UPDATE inventory SET available = {left}, version = version + 1 WHERE id = {row} AND version = {version}"
            ),
            Self::TakeSeat(seat) => format!(
                "INSERT INTO seats (row_id, number, person) VALUES ({row}, {seat}, {person}) ON CONFLICT DO NOTHING"
            ),
            Self::CountDown => format!("UPDATE inventory SET available = available - 1 WHERE id = {row}"),
            Self::Hold(None) => format!("INSERT INTO holds (row_id, person) VALUES ({row}, {person})"),
            Self::Hold(Some(seat)) => {
                format!("INSERT INTO holds (row_id, person, seat) VALUES ({row}, {person}, {seat})")
            }
            Self::Commit => "COMMIT".to_owned(),
            Self::Rollback => "ROLLBACK".to_owned(),
            Self::Lease(_) | Self::LetGo(_) => return None,
        })
    }
}

/// One more than a number that is owned, or 1: the lowest of these that is not owned itself.
fn lowest_free(row: i64) -> String {
    format!(
        "SELECT min(number) AS number FROM (SELECT 1 AS number UNION SELECT number + 1 FROM seats WHERE row_id = {row}) \
         AS next WHERE number NOT IN (SELECT number FROM seats WHERE row_id = {row})"
    )
}
