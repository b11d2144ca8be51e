//! A Redis Cluster: the node that has a room, and a connection to each node.
//!
//! All keys of a room have one hash tag, so a room is on one node. Which one is learnt from any node, and learnt
//! anew when a node says that a slot has moved, or does not answer. What a node refuses it has not done, so it is
//! sent again, until the time is up; a client that follows redirections by itself might repeat a join.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Value, cmd};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::address::{Entry, Host};
use super::connection::{Connection, Server};
use super::fault::{Failure, Repeat};

/// The time between two attempts while a slot moves, or a replica takes over.
const PAUSE: Duration = Duration::from_millis(20);

/// How long one node may take to say which node has what.
const PATIENCE: Duration = Duration::from_millis(500);

/// Reaches the nodes of a cluster.
pub struct Cluster {
    entry: Entry,
    timeout: Duration,
    seeds: Vec<Host>,
    map: Mutex<Map>,
}

/// What is known of the cluster.
#[derive(Default)]
struct Map {
    shares: Vec<Share>,
    /// A connection for each node that was ever asked, opened when it is first used. They are as many as the cluster
    /// has had nodes.
    nodes: HashMap<Host, Arc<Connection>>,
    /// Counts how often the shares were learnt, so that those who fail together learn them once.
    generation: u64,
}

/// A range of slots and the nodes that have it, the master first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Share {
    first: u16,
    last: u16,
    nodes: Vec<Host>,
}

impl Cluster {
    /// Makes a cluster of which some nodes are known; it is looked at by the first verb.
    pub fn of(seeds: Vec<Host>, entry: Entry, timeout: Duration) -> Self {
        Self { entry, timeout, seeds, map: Mutex::default() }
    }

    /// Connects to the node of a slot, as a check that all is right.
    pub async fn open(&self, tag: &str) -> RedisResult<()> {
        let (node, _) = self.node_of(slot_of(tag)).await?;
        node.open().await
    }

    /// Runs verbs on the node that has the hash tag `tag`; sends them again where that does no harm.
    pub async fn run(&self, tag: &str, verbs: &Pipeline, repeat: Repeat) -> Result<Vec<Value>, Failure> {
        let until = Instant::now() + self.timeout;
        loop {
            let failure = match self.attempt(slot_of(tag), verbs).await {
                Ok(answers) => return Ok(answers),
                Err(failure) => failure,
            };
            if !failure.may_repeat(repeat) || Instant::now() >= until {
                return Err(failure);
            }
            if !failure.is_moved() {
                sleep(PAUSE).await;
            }
        }
    }

    /// Asks the node that has the hash tag `tag` what is no verb of the line.
    pub async fn ask_owner(&self, tag: &str, question: &Cmd) -> RedisResult<Value> {
        self.node_of(slot_of(tag)).await?.0.ask(question).await
    }

    async fn attempt(&self, slot: u16, verbs: &Pipeline) -> Result<Vec<Value>, Failure> {
        let (node, generation) = self.node_of(slot).await.map_err(Failure::unsent)?;
        let answers = node.attempt(verbs).await;
        if answers.as_ref().is_err_and(|failure| !failure.is_about_scripts()) {
            self.forget(generation).await;
        }
        answers
    }

    /// Returns the connection to the master that has a slot, and which map said so.
    async fn node_of(&self, slot: u16) -> RedisResult<(Arc<Connection>, u64)> {
        let mut map = self.map.lock().await;
        if map.shares.is_empty() {
            self.learn(&mut map).await?;
        }
        let share = map.shares.iter().find(|share| (share.first..=share.last).contains(&slot));
        let Some(host) = share.and_then(|share| share.nodes.first()).cloned() else {
            map.shares.clear();
            return Err((ErrorKind::Client, "no node of the cluster has this slot", slot.to_string()).into());
        };
        Ok((self.node(&mut map, &host), map.generation))
    }

    /// Asks the nodes in turn which has what.
    async fn learn(&self, map: &mut Map) -> RedisResult<()> {
        let mut fault = RedisError::from((ErrorKind::InvalidClientConfig, "no node is named"));
        let known: Vec<Host> = map.nodes.keys().filter(|host| !self.seeds.contains(host)).cloned().collect();
        for host in self.seeds.iter().chain(&known) {
            match self.ask(map, host).await {
                Ok(shares) => {
                    for node in shares.iter().flat_map(|share| &share.nodes) {
                        self.node(map, node);
                    }
                    (map.shares, map.generation) = (shares, map.generation + 1);
                    return Ok(());
                }
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }

    async fn ask(&self, map: &mut Map, host: &Host) -> RedisResult<Vec<Share>> {
        let node = self.node(map, host);
        let slots = cmd("CLUSTER").arg("SLOTS").to_owned();
        let answer = timeout(PATIENCE, node.ask(&slots)).await;
        let silent = || RedisError::from((ErrorKind::Io, "a node of the cluster does not answer", host.0.clone()));
        read_shares(&answer.map_err(|_| silent())??, host)
            .ok_or_else(|| (ErrorKind::Client, "the nodes of the cluster do not say who has which slot (yet)").into())
    }

    fn node(&self, map: &mut Map, host: &Host) -> Arc<Connection> {
        let made = || Arc::new(Connection::to(Server::Node(host.clone()), self.entry.clone(), self.timeout));
        Arc::clone(map.nodes.entry(host.clone()).or_insert_with(made))
    }

    /// Forgets who has what, unless it was learnt anew meanwhile.
    async fn forget(&self, generation: u64) {
        let mut map = self.map.lock().await;
        if map.generation == generation {
            map.shares.clear();
        }
    }
}

/// Reads the answer of `CLUSTER SLOTS`; a node without an address is the one that was asked.
fn read_shares(answer: &Value, asked: &Host) -> Option<Vec<Share>> {
    let Value::Array(shares) = answer else { return None };
    let shares: Vec<Share> = shares.iter().map(|share| read_share(share, asked)).collect::<Option<_>>()?;
    (!shares.is_empty()).then_some(shares)
}

fn read_share(share: &Value, asked: &Host) -> Option<Share> {
    let Value::Array(parts) = share else { return None };
    let [Value::Int(first), Value::Int(last), nodes @ ..] = parts.as_slice() else { return None };
    let nodes = nodes.iter().map(|node| read_node(node, asked)).collect::<Option<_>>()?;
    Some(Share { first: u16::try_from(*first).ok()?, last: u16::try_from(*last).ok()?, nodes })
}

fn read_node(node: &Value, asked: &Host) -> Option<Host> {
    let Value::Array(parts) = node else { return None };
    let [host, Value::Int(port), ..] = parts.as_slice() else { return None };
    let host = match host {
        Value::BulkString(host) if !host.is_empty() && host != b"?" => String::from_utf8(host.clone()).ok()?,
        _ => asked.0.clone(),
    };
    Some((host, u16::try_from(*port).ok()?))
}

/// Returns the slot of keys with this hash tag: CRC-16/XMODEM modulo 16,384, as the cluster specification says.
fn slot_of(tag: &str) -> u16 {
    let step = |crc: u16, byte: u8| {
        (0..8)
            .fold(crc ^ (u16::from(byte) << 8), |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 })
    };
    tag.bytes().fold(0, step) % 16_384
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot_of("123456789"), 0x31C3);
        assert_eq!(slot_of("foo"), 12_182);
        assert_eq!(slot_of("sale"), 1_974);
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_node_without_an_address_is_the_one_that_was_asked() {
        let asked = ("asked".to_owned(), 7000);
        let node = |host, port| Value::Array(vec![host, Value::Int(port), text("id")]);
        let share = |nodes: Vec<Value>| Value::Array([vec![Value::Int(0), Value::Int(99)], nodes].concat());
        let answer =
            Value::Array(vec![share(vec![node(text(""), 7000), node(text("b"), 7001), node(Value::Nil, 7002)])]);
        let nodes = [("asked", 7000), ("b", 7001), ("asked", 7002)].map(|(host, port)| (host.to_owned(), port));
        let expected = Share { first: 0, last: 99, nodes: nodes.to_vec() };
        assert_eq!(read_shares(&answer, &asked), Some(vec![expected]));
        for strange in [Value::Nil, Value::Array(vec![]), Value::Array(vec![Value::Int(1)])] {
            assert_eq!(read_shares(&strange, &asked), None);
        }
    }
}
