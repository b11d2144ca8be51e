//! What a Redis server says of itself, for whoever asks before a sale.

use std::collections::HashMap;
use std::time::Duration;

use redis::{Value, cmd};
use tokio::time::Instant;

use super::{RedisLine, corrupt};
use crate::line::{RoomName, StoreFault};

/// What a server says of itself. What an older or a managed one does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its version.
    pub version: Option<String>,
    /// Whether every write goes to a file.
    pub appends: Option<bool>,
    /// Whether the last write to that file worked.
    pub append_works: Option<bool>,
    /// What it does when the memory is full.
    pub eviction: Option<String>,
    /// How much memory it uses, in bytes.
    pub used_bytes: Option<u64>,
    /// How much it may use, in bytes; 0 for as much as there is.
    pub most_bytes: Option<u64>,
    /// How many replicas follow it.
    pub replicas: Option<u64>,
}

impl Facts {
    /// Reads the answer of `INFO`: a `key:value` a line.
    fn read(info: &str) -> Self {
        let said: HashMap<&str, &str> = info.lines().filter_map(|line| line.trim().split_once(':')).collect();
        let number = |key: &str| said.get(key)?.parse().ok();
        let text = |key: &str| said.get(key).map(|value| (*value).to_owned());
        Self {
            version: text("redis_version"),
            appends: said.get("aof_enabled").map(|value| *value == "1"),
            append_works: said.get("aof_last_write_status").map(|value| *value == "ok"),
            eviction: text("maxmemory_policy"),
            used_bytes: number("used_memory"),
            most_bytes: number("maxmemory"),
            replicas: number("connected_slaves"),
        }
    }
}

/// What was seen of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// What it says of itself.
    pub facts: Facts,
    /// Its time, in microseconds since the Unix epoch, when half of `round_trip` was over; `None` where it may not be
    /// asked.
    pub now_us: Option<u64>,
    /// How long one question took.
    pub round_trip: Duration,
}

impl RedisLine {
    /// Looks at the server that has a room.
    ///
    /// # Errors
    /// [`StoreFault`] when it does not answer.
    pub async fn look(&self, room: &RoomName) -> Result<Sight, StoreFault> {
        let info = self.servers.ask(room, &cmd("INFO")).await?;
        let info: String = redis::from_redis_value(info).map_err(|_| corrupt("no text to INFO"))?;
        let asked = Instant::now();
        let time = self.servers.ask(room, &cmd("TIME")).await;
        Ok(Sight { facts: Facts::read(&info), now_us: time.ok().and_then(read_time), round_trip: asked.elapsed() })
    }
}

/// Reads the answer of `TIME`: seconds, and microseconds of the second.
fn read_time(answer: Value) -> Option<u64> {
    let (seconds, micros): (u64, u64) = redis::from_redis_value(answer).ok()?;
    Some(seconds * 1_000_000 + micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_and_what_is_not_is_unknown() {
        let info = "# Server\r\nredis_version:7.0.15\r\n\r\n# Memory\r\nused_memory:1048576\r\nmaxmemory:0\r\n\
                    maxmemory_policy:allkeys-lru\r\n# Persistence\r\naof_enabled:1\r\naof_last_write_status:err\r\n";
        let read = Facts::read(info);
        assert_eq!((read.version.as_deref(), read.eviction.as_deref()), (Some("7.0.15"), Some("allkeys-lru")));
        assert_eq!((read.appends, read.append_works, read.replicas), (Some(true), Some(false), None));
        assert_eq!((read.used_bytes, read.most_bytes), (Some(1 << 20), Some(0)));
        assert_eq!(Facts::read("nonsense"), Facts::default());
    }
}
