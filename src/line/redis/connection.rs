//! One connection to Redis, shared by all verbs and made anew when it breaks.
//!
//! A verb whose answer was lost may have been done. So only what may be repeated is sent twice,
//! and what Redis refused before doing anything.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value, cmd};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::scripts;
use crate::line::StoreFault;

/// For how long after a failed attempt to connect others fail with it, instead of each trying.
const PATIENCE: Duration = Duration::from_millis(100);

/// Whether a verb may be sent again when it is not known whether it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    Never,
    Once,
}

/// Reaches one Redis server.
pub struct Connection {
    client: Client,
    config: AsyncConnectionConfig,
    slot: Mutex<Slot>,
}

/// The connection in use, or why there is none.
#[derive(Default)]
struct Slot {
    open: Option<MultiplexedConnection>,
    /// Counts the connections, so that a late error does not close the next one.
    generation: u64,
    failed: Option<(Instant, RedisError)>,
}

impl Connection {
    /// Connects, and checks that the server can do what the scripts need.
    pub async fn open(url: &str, timeout: Duration) -> Result<Self, StoreFault> {
        let client = Client::open(url).map_err(|error| StoreFault::Refused(bad_url(&error)))?;
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(timeout)).set_response_timeout(Some(timeout));
        let connection = Self { client, config, slot: Mutex::default() };
        connection.check().await.map_err(|error| connection.explain(&error))?;
        Ok(connection)
    }

    /// Runs commands in one round trip.
    pub async fn run(&self, commands: &Pipeline, repeat: Repeat) -> Result<Vec<Value>, StoreFault> {
        let answer = match self.attempt(commands).await {
            Err(error) if was_refused(&error) || (repeat == Repeat::Once && is_broken(&error)) => {
                self.attempt(commands).await
            }
            answer => answer,
        };
        answer.map_err(|error| fault(&error))
    }

    async fn attempt(&self, commands: &Pipeline) -> Result<Vec<Value>, RedisError> {
        let (mut open, generation) = self.take().await?;
        let answer = commands.query_async(&mut open).await;
        if let Err(error) = &answer {
            if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) {
                scripts::load().exec_async(&mut open).await?;
            } else if is_broken(error) || was_refused(error) {
                self.drop_open(generation).await;
            }
        }
        answer
    }

    /// Takes the open connection, or opens one; the scripts are loaded on each new one.
    async fn take(&self) -> Result<(MultiplexedConnection, u64), RedisError> {
        let mut slot = self.slot.lock().await;
        if let Some(open) = &slot.open {
            return Ok((open.clone(), slot.generation));
        }
        if let Some((at, error)) = &slot.failed
            && at.elapsed() < PATIENCE
        {
            return Err(error.clone());
        }
        match self.make().await {
            Ok(open) => {
                *slot = Slot { open: Some(open.clone()), generation: slot.generation + 1, failed: None };
                Ok((open, slot.generation))
            }
            Err(error) => {
                slot.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn make(&self) -> Result<MultiplexedConnection, RedisError> {
        let mut open = self.client.get_multiplexed_async_connection_with_config(&self.config).await?;
        scripts::load().exec_async(&mut open).await?;
        Ok(open)
    }

    async fn drop_open(&self, generation: u64) {
        let mut slot = self.slot.lock().await;
        if slot.generation == generation {
            slot.open = None;
        }
    }

    async fn check(&self) -> Result<(), RedisError> {
        let mut open = self.client.get_multiplexed_async_connection_with_config(&self.config).await?;
        let info: String = cmd("INFO").arg("server").query_async(&mut open).await?;
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("unknown").trim();
        if version_of(version) < (6, 2) {
            return Err((ErrorKind::Client, TOO_OLD, version.to_owned()).into());
        }
        self.take().await.map(drop)
    }

    /// Says why there is no connection at the start, and what to do. Names the address, never the
    /// password.
    fn explain(&self, error: &RedisError) -> StoreFault {
        let at = self.client.get_connection_info().addr();
        let said = plain(error);
        match error.kind() {
            _ if is_about_password(error) => StoreFault::Refused(format!(
                "Redis at {at} refuses the user or password ({said}); give the right one in the URL: \
                 redis://user:password@host:port, or redis://:password@host:port without a user"
            )),
            ErrorKind::Client if said.contains(TOO_OLD) => {
                StoreFault::Refused(format!("Redis at {at}: {said}; version 6.2 or newer is needed"))
            }
            ErrorKind::Server(ServerErrorKind::NoPerm) => StoreFault::Refused(format!(
                "Redis at {at} lets this user not do all it must ({said}); \
                 it needs ~vestibule:* and @read @write @scripting @bitmap +info"
            )),
            _ if is_broken(error) => StoreFault::Unreachable(format!(
                "no answer from Redis at {at} ({said}); is it running there, and can this machine reach it?"
            )),
            _ => fault(error),
        }
    }
}

const TOO_OLD: &str = "this server is too old";

fn bad_url(error: &RedisError) -> String {
    let why = error.detail().map_or_else(|| plain(error), |_| "it cannot be read".to_owned());
    format!(
        "this is no address of a Redis server ({why}); write redis://host:port, redis://:password@host:port/database \
         or redis+unix:///path/of/socket"
    )
}

fn plain(error: &RedisError) -> String {
    error.to_string()
}

fn version_of(text: &str) -> (u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

fn is_about_password(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}

/// Tells whether the server said no before it did anything: then even a join may be sent again.
fn was_refused(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, NoScript, ReadOnly, TryAgain};
    let refusals = [BusyLoading, ClusterDown, MasterDown, NoScript, ReadOnly, TryAgain];
    matches!(error.kind(), ErrorKind::Server(kind) if refusals.contains(&kind))
}

/// Tells whether nobody knows what became of the command.
fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_timeout() || error.is_connection_dropped() || error.is_unrecoverable_error()
}

fn fault(error: &RedisError) -> StoreFault {
    let said = plain(error);
    if is_broken(error) {
        StoreFault::Unreachable(said)
    } else if said.contains("LAYOUT") || said.contains("WRONGTYPE") || error.kind() == ErrorKind::Parse {
        StoreFault::Corrupt(said)
    } else {
        StoreFault::Refused(said)
    }
}

impl std::fmt::Debug for Connection {
    /// Leaves the password out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({})", self.client.get_connection_info().addr())
    }
}
