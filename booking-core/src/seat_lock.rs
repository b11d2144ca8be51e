//! A lock in Redis on chosen seats, so that a rush for one seat does not become a rush for the database.
//!
//! It is a courtesy, never the authority. A lease may end early, Redis may lose it or be away: who owns a seat is what
//! the UNIQUE key of the database says. So every fault of Redis counts as "go and ask the database".

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, Script};

use crate::domain::hold::HoldId;
use crate::domain::inventory::InventoryId;
use crate::domain::seat::SeatNumber;

/// Says what became of an attempt to lock seats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locked {
    /// All of them are this buyer's until the lease ends.
    Ours,
    /// Others have locked these; nothing was locked.
    Others(Vec<SeatNumber>),
    /// Redis did not answer: the database decides alone.
    Unknown,
}

/// Locks seats in one Redis.
pub struct SeatLock {
    connection: ConnectionManager,
    lock: Script,
    unlock: Script,
    patience: Duration,
    /// Whether Redis did not answer last time; only a change of it is logged.
    away: AtomicBool,
}

impl fmt::Debug for SeatLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeatLock")
    }
}

impl SeatLock {
    /// Checks an address without reaching for it.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn check(url: &str) -> Result<(), RedisError> {
        Client::open(url).map(drop)
    }

    /// Makes ready to reach a Redis, now or whenever it is there. Nobody waits longer for it than `patience`.
    ///
    /// # Errors
    /// When the address is malformed.
    pub fn new(url: &str, patience: Duration) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(patience))
            .set_number_of_retries(1);
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(Client::open(url)?, config)?,
            lock: Script::new(include_str!("seat_lock/lock.lua")),
            unlock: Script::new(include_str!("seat_lock/unlock.lua")),
            patience,
            away: AtomicBool::new(false),
        })
    }

    /// Locks seats of one row for a hold that is to be made, all or none. What the hold has locked before is its own.
    pub async fn lock(&self, row: InventoryId, seats: &[SeatNumber], owner: HoldId, lease_ms: i64) -> Locked {
        let mut script = self.lock.prepare_invoke();
        for &seat in seats {
            script.key(key(row, seat));
        }
        script.arg(owner.to_string()).arg(lease_ms);
        let mut connection = self.connection.clone();
        let asked = script.invoke_async::<Vec<usize>>(&mut connection);
        match self.patiently(asked).await {
            Some(others) if others.is_empty() => Locked::Ours,
            Some(others) => Locked::Others(others.iter().filter_map(|place| seats.get(place - 1)).copied().collect()),
            None => Locked::Unknown,
        }
    }

    /// Unlocks what a hold has locked and still owns. What cannot be unlocked ends with its lease; so while Redis is away
    /// nobody waits for it here, and the reaper is not held up.
    pub async fn unlock(&self, row: InventoryId, seats: &[SeatNumber], owner: HoldId) {
        if self.away.load(Ordering::Relaxed) {
            return;
        }
        let mut script = self.unlock.prepare_invoke();
        for &seat in seats {
            script.key(key(row, seat));
        }
        script.arg(owner.to_string());
        let mut connection = self.connection.clone();
        let _left_to_its_lease = self.patiently(script.invoke_async::<usize>(&mut connection)).await;
    }

    async fn patiently<T>(&self, asked: impl Future<Output = Result<T, RedisError>>) -> Option<T> {
        let answer = match tokio::time::timeout(self.patience, asked).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("it does not answer in time".to_owned()),
        };
        let was_away = self.away.swap(answer.is_err(), Ordering::Relaxed);
        match &answer {
            Err(error) if !was_away => tracing::warn!(error, "Redis does not lock seats; the database decides alone"),
            Ok(_) if was_away => tracing::info!("Redis locks seats again"),
            _ => {}
        }
        answer.ok()
    }
}

/// The key of a seat. Those of one row share a hash tag, so that a cluster keeps them on one node.
fn key(row: InventoryId, seat: SeatNumber) -> String {
    format!("vestibule:seat:{{{row}}}:{seat}")
}
