//! A Redis Cluster of three masters and three replicas.

use std::process::Command;
use std::sync::LazyLock;

use vestibule::line::RoomName;

use crate::redis_sentinels::eventually;
use crate::redis_server::{RedisServer, free_port};

const NODES: usize = 6;

/// Six servers that are one cluster. The third master's slots are for tests that disturb them.
pub struct RedisCluster {
    pub nodes: Vec<RedisServer>,
}

/// A master of the cluster: which of the nodes, and its name in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    pub node: usize,
    pub id: String,
}

impl RedisCluster {
    /// Returns the cluster that the tests of this binary share.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<RedisCluster> = LazyLock::new(RedisCluster::start);
        &SHARED
    }

    fn start() -> Self {
        let nodes: Vec<RedisServer> = (0..NODES).map(|_| start_node()).collect();
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]).args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())));
        let made = create.args(["--cluster-replicas", "1", "--cluster-yes"]).output().expect("redis-cli runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let cluster = Self { nodes };
        eventually("the cluster is whole", || {
            cluster.nodes.iter().all(|node| {
                let info: String = redis::cmd("CLUSTER").arg("INFO").query(&mut node.connection()).expect("an answer");
                let is_whole = info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:6");
                is_whole && (node.says("role:master") || node.says("master_link_status:up"))
            })
        });
        cluster
    }

    /// The address to give to a store: two of the nodes are enough.
    pub fn url(&self) -> String {
        format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}", self.nodes[0].port(), self.nodes[1].port())
    }

    /// Names rooms until one is on the third master, or on another.
    pub fn room(&self, on_third: bool, fresh: impl Fn() -> RoomName) -> RoomName {
        std::iter::repeat_with(fresh).find(|room| (self.slot(room) > 10_922) == on_third).expect("it goes on")
    }

    /// The slot of a room, as the cluster says.
    pub fn slot(&self, room: &RoomName) -> u16 {
        let key = format!("vestibule:{{{room}}}:line");
        redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).query(&mut self.nodes[0].connection()).expect("a slot")
    }

    /// The master that has a slot, as the first node says.
    pub fn master_of(&self, slot: u16) -> Master {
        let known: String = redis::cmd("CLUSTER").arg("NODES").query(&mut self.nodes[0].connection()).expect("nodes");
        let lines = known.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let owner = lines.into_iter().find(|words| words[8..].iter().any(|range| holds(range, slot)));
        let owner = owner.expect("somebody has every slot");
        let port = owner[1].split(['@', ':']).nth(1).expect("a port");
        let node = self.nodes.iter().position(|node| node.port().to_string() == port).expect("one of the nodes");
        Master { node, id: owner[0].to_owned() }
    }

    /// Begins to move a slot between masters.
    pub fn begin_move(&self, slot: u16, from: &Master, to: &Master) {
        let slot = slot.to_string();
        self.nodes[to.node].tell(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from.id]);
        self.nodes[from.node].tell(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to.id]);
    }

    /// Moves at most `count` keys of a slot; returns how many there were to move.
    pub fn move_keys(&self, slot: u16, from: &Master, to: &Master, count: usize) -> usize {
        let mut source = self.nodes[from.node].connection();
        let keys: Vec<String> =
            redis::cmd("CLUSTER").arg("GETKEYSINSLOT").arg(slot).arg(1_000).query(&mut source).expect("keys");
        let port = self.nodes[to.node].port().to_string();
        for key in keys.iter().take(count) {
            self.nodes[from.node].tell(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
        }
        keys.len()
    }

    /// Ends the move of a slot.
    pub fn end_move(&self, slot: u16, from: &Master, to: &Master) {
        for node in [to.node, from.node] {
            self.nodes[node].tell(&["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &to.id]);
        }
    }
}

/// Tells whether a range of slots, as `5-9` or `7`, holds a slot.
fn holds(range: &str, slot: u16) -> bool {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let bounds = first.parse::<u16>().ok().zip(last.parse::<u16>().ok());
    bounds.is_some_and(|(first, last)| (first..=last).contains(&slot))
}

/// The bus of a node is on its port plus 10,000.
fn start_node() -> RedisServer {
    let bus_is_free =
        |port: u16| port.checked_add(10_000).is_some_and(|bus| std::net::TcpListener::bind(("127.0.0.1", bus)).is_ok());
    let options =
        ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no"];
    let mut attempts = (0..1_000).map(|_| free_port()).filter(|port| bus_is_free(*port));
    attempts.find_map(|port| RedisServer::try_start(port, &options)).expect("a node starts on a free port")
}
