//! One connection to one Redis server, shared by all verbs and made anew when it breaks.
//!
//! A verb whose answer was lost may have been done. So only what may be repeated is sent twice,
//! and what Redis refused before doing anything.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisResult, Value, pipe,
};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::address::{Entry, Host};
use super::fault::{Failure, Repeat, TOO_OLD, first_of};
use super::{scripts, sentinel};
use crate::telemetry;

/// For how long after a failed attempt to connect others fail with it, instead of each trying.
const PATIENCE: Duration = Duration::from_millis(100);

/// Which server a connection is to reach.
pub enum Server {
    /// This one.
    At(ConnectionInfo),
    /// This node of a cluster.
    Node(Host),
    /// The one that the Sentinels name.
    Master { sentinels: Vec<ConnectionInfo>, name: String },
}

/// Reaches one Redis server.
pub struct Connection {
    server: Server,
    entry: Entry,
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
    /// Makes a connection that is opened by the first verb.
    pub fn to(server: Server, entry: Entry, timeout: Duration) -> Self {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(timeout)).set_response_timeout(Some(timeout));
        Self { server, entry, config, slot: Mutex::default() }
    }

    /// Connects, unless that was done, and sees to it that the server can do what the scripts need.
    pub async fn open(&self) -> RedisResult<()> {
        self.take().await.map(drop)
    }

    /// Runs verbs in one round trip; sends them again where that does no harm.
    pub async fn run(&self, verbs: &Pipeline, repeat: Repeat) -> Result<Vec<Value>, Failure> {
        match self.attempt(verbs).await {
            Err(failure) if failure.may_repeat(repeat) => self.attempt(verbs).await,
            answers => answers,
        }
    }

    /// Runs verbs once.
    pub async fn attempt(&self, verbs: &Pipeline) -> Result<Vec<Value>, Failure> {
        let (mut open, generation) = self.take().await.map_err(Failure::unsent)?;
        let span = telemetry::redis();
        let failure = match verbs.query_async(&mut open).instrument(span.clone()).await {
            Ok(answers) => return Ok(answers),
            Err(error) => Failure::sent(error),
        };
        if failure.is_about_scripts() {
            scripts::load().exec_async(&mut open).await.map_err(Failure::unsent)?;
        } else if failure.ends_connection() {
            telemetry::failed(&span, &failure.error.category());
            self.drop_open(generation).await;
        }
        Err(failure)
    }

    /// Asks the server what is no verb of the line.
    pub async fn ask(&self, question: &Cmd) -> RedisResult<Value> {
        let (mut open, generation) = self.take().await?;
        let answer = question.query_async(&mut open).await;
        if answer.is_err() {
            self.drop_open(generation).await;
        }
        answer
    }

    /// Takes the open connection, or opens one, to a server that has the scripts then.
    async fn take(&self) -> RedisResult<(MultiplexedConnection, u64)> {
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

    async fn make(&self) -> RedisResult<MultiplexedConnection> {
        let mut open = self.find().await?.get_multiplexed_async_connection_with_config(&self.config).await?;
        let mut hello = pipe();
        hello.cmd("INFO").arg("server").cmd("INFO").arg("replication");
        let info: (String, String) = hello.query_async(&mut open).await.map_err(first_of)?;
        let info = info.0 + &info.1;
        let version = said(&info, "redis_version");
        if version_of(version) < (6, 2) {
            return Err((ErrorKind::Client, TOO_OLD, version.to_owned()).into());
        }
        if matches!(self.server, Server::Master { .. }) && said(&info, "role") != "master" {
            return Err((ErrorKind::Client, "the server that the Sentinels name is no master (yet)").into());
        }
        // Where many gateways come back to a server that is short of time, it is not to read all of them again.
        let known: Vec<bool> = scripts::known().query_async(&mut open).await?;
        if known.contains(&false) {
            scripts::load().exec_async(&mut open).await?;
        }
        Ok(open)
    }

    async fn find(&self) -> RedisResult<Client> {
        match &self.server {
            Server::At(server) => self.entry.client_of(server.clone()),
            Server::Node(host) => self.entry.client(host),
            Server::Master { sentinels, name } => {
                self.entry.client(&sentinel::find_master(sentinels, name, &self.entry).await?)
            }
        }
    }

    async fn drop_open(&self, generation: u64) {
        let mut slot = self.slot.lock().await;
        if slot.generation == generation {
            slot.open = None;
        }
    }
}

/// Returns what `INFO` says of a field, or nothing.
fn said<'a>(info: &'a str, field: &str) -> &'a str {
    let values = info.lines().filter_map(|line| line.split_once(':')).filter(|(name, _)| *name == field);
    values.map(|(_, value)| value.trim()).next().unwrap_or_default()
}

fn version_of(text: &str) -> (u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}
