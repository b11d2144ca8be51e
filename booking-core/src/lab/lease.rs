//! Leases on seats in Redis, as `seat-lock` has them, under names of the lab's own.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, Script, cmd};
use serde::Serialize;

/// How long Redis may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a lease lasts: short enough to watch it end.
pub(super) const LEASE_MS: u32 = 20_000;

/// The address of a Redis is malformed.
pub type BadRedis = RedisError;

/// What Redis holds about one seat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lease {
    /// The key.
    pub key: String,
    /// Who has it.
    pub person: u32,
    /// How much longer, in milliseconds.
    pub left_ms: i64,
}

/// Speaks to one Redis.
#[derive(Clone)]
pub(super) struct Leases {
    connection: ConnectionManager,
    let_go: Script,
}

/// Names the leases of one race, so that races do not meet.
#[derive(Clone)]
pub(super) struct Names(pub String);

impl Names {
    /// Returns the key of a seat.
    pub(super) fn key(&self, seat: i64) -> String {
        format!("vestibule-lab:{}:seat:{seat}", self.0)
    }

    /// Writes the order that takes a seat.
    pub(super) fn taking(&self, seat: i64, person: u32) -> String {
        format!("SET {} {person} NX PX {LEASE_MS}", self.key(seat))
    }

    /// Writes the order that gives a seat back if one still has it.
    pub(super) fn letting_go(&self, seat: i64, person: u32) -> String {
        format!("EVAL unlock.lua 1 {} {person}", self.key(seat))
    }
}

impl Leases {
    /// Takes an address; nothing is asked yet.
    ///
    /// # Errors
    /// When it is malformed.
    pub(super) fn new(url: &str) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        let connection = ConnectionManager::new_lazy_with_config(Client::open(url)?, config)?;
        Ok(Self { connection, let_go: Script::new(include_str!("../seat_lock/unlock.lua")) })
    }

    /// Takes the lease if nobody has it.
    pub(super) async fn take(&self, key: &str, person: u32) -> Result<bool, String> {
        let mut order = cmd("SET");
        order.arg(key).arg(person).arg("NX").arg("PX").arg(LEASE_MS);
        let answer: Option<String> =
            order.query_async(&mut self.connection.clone()).await.map_err(|error| error.to_string())?;
        Ok(answer.is_some())
    }

    /// Gives it back if one still has it; returns how many were.
    pub(super) async fn let_go(&self, key: &str, person: u32) -> Result<u64, String> {
        let mut connection = self.connection.clone();
        let mut order = self.let_go.prepare_invoke();
        order.key(key).arg(person.to_string());
        order.invoke_async(&mut connection).await.map_err(|error: RedisError| error.to_string())
    }

    /// Reads who has a seat.
    pub(super) async fn look(&self, key: String) -> Result<Option<Lease>, String> {
        let mut both = redis::pipe();
        both.cmd("GET").arg(&key).cmd("PTTL").arg(&key);
        let (person, left_ms): (Option<u32>, i64) =
            both.query_async(&mut self.connection.clone()).await.map_err(|error| error.to_string())?;
        Ok(person.map(|person| Lease { key, person, left_ms }))
    }

    /// Takes a lease away from whoever has it, as if its time had run out.
    pub(super) async fn end(&self, key: &str) -> Result<(), String> {
        let mut order = cmd("DEL");
        order.arg(key);
        order.query_async(&mut self.connection.clone()).await.map_err(|error| error.to_string())
    }
}
