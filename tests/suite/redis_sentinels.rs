//! A master, its replica, and three Sentinels that watch them.

use std::process::Child;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use crate::redis_server::{RedisServer, free_port, guarded, stop, until_ready};

/// How the Sentinels call the master.
const NAME: &str = "sale";

/// Two servers and who watches them.
pub struct Sentinels {
    pub master: RedisServer,
    pub replica: RedisServer,
    ports: Vec<u16>,
    guards: Vec<Child>,
    _folder: TempDir,
}

impl Sentinels {
    /// Starts all, and waits until the Sentinels know of each other and of the replica.
    pub fn start() -> Self {
        let master = RedisServer::start(&["--repl-diskless-sync-delay", "0"]);
        let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &master.port().to_string()]);
        eventually("the replica follows", || replica.says("master_link_status:up"));
        let folder = TempDir::new().expect("a temporary folder");
        let started = (0..3).map(|i| start_one(&folder, i, master.port()));
        let (ports, guards): (Vec<u16>, Vec<Child>) = started.unzip();
        let sentinels = Self { master, replica, ports, guards, _folder: folder };
        eventually("the Sentinels know of all", || sentinels.ports.iter().all(|port| knows_all(*port)));
        sentinels
    }

    /// The address to give to a store.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("redis+sentinel://{}/{NAME}", hosts.join(","))
    }

    /// Cuts the replica off for good, so that it misses all from now on, and calls `lost` before the master dies.
    pub async fn fail_over_without(&mut self, lost: impl AsyncFnOnce()) {
        let replica = self.replica.pid();
        self.replica.signal(replica, "-STOP");
        self.master.tell(&["CLIENT", "KILL", "TYPE", "replica"]);
        lost().await;
        self.master.signal(self.master.pid(), "-KILL");
        self.replica.signal(replica, "-CONT");
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        self.guards.iter_mut().for_each(stop);
    }
}

fn start_one(folder: &TempDir, i: usize, master: u16) -> (u16, Child) {
    let attempt = || {
        let port = free_port();
        let file = folder.path().join(format!("{i}.conf"));
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor {NAME} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {NAME} 500\nsentinel failover-timeout {NAME} 3000\n",
            folder.path().display()
        );
        std::fs::write(&file, text).expect("a file");
        let mut command = guarded("redis-server");
        command.arg(file).arg("--sentinel");
        until_ready(command, "+monitor master").map(|guard| (port, guard))
    };
    (0..20).find_map(|_| attempt()).expect("a Sentinel starts on a free port")
}

fn knows_all(port: u16) -> bool {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).expect("a url");
    let mut sentinel = client.get_connection().expect("a connection");
    let known: std::collections::HashMap<String, String> =
        redis::cmd("SENTINEL").arg("MASTER").arg(NAME).query(&mut sentinel).expect("an answer");
    known["num-slaves"] == "1" && known["num-other-sentinels"] == "2"
}

/// Looks again and again until it is so; a failure after 20 seconds.
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < until, "never seen: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
