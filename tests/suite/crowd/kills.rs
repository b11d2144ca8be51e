//! A crowd on two and on four gateways of one line, as processes, while they are killed and the store loses all.
//!
//! `cargo test -p vestibule --test suite crowd::kills -- --nocapture` prints the time that each fault took to heal.

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;
use vestibule::cli::crowd;
use vestibule::cli::crowd::report::Report;
use vestibule::clock::Clock;

use super::args;
use crate::gateway::stand::{Setup, eventually};
use crate::gateway::upstream::Upstream;
use crate::program::Process;
use crate::redis_server::{RedisServer, free_port};

/// The line never waits for long, and not everyone is in before the last fault.
const ROOM: &str = "admissions_per_second = 10\nburst = 1\nsession_duration = \"60s\"";

/// Some gateways on one Redis, each a process that can be killed and started again at its address.
struct Fleet {
    redis: RedisServer,
    gateways: Vec<Member>,
    upstream: Upstream,
    keys: TempDir,
}

struct Member {
    folder: TempDir,
    port: u16,
    /// `None` while it is dead.
    process: Option<Process>,
}

impl Fleet {
    async fn start(count: usize) -> Self {
        let member = |_| Member { folder: TempDir::new().unwrap(), port: free_port(), process: None };
        let mut fleet = Self {
            redis: RedisServer::start(&[]),
            gateways: (0..count).map(member).collect(),
            upstream: Upstream::start().await,
            keys: TempDir::new().unwrap(),
        };
        (0..count).for_each(|i| fleet.revive(i));
        fleet
    }

    fn configuration(&self, i: usize) -> PathBuf {
        let rooms =
            format!("\n[store]\nurl = \"{}\"\n[room.sale]\nupstream = \"http://UPSTREAM\"\n{ROOM}\n", self.redis.url());
        let keys = format!("keys = \"{}\"", self.keys.path().join("keys.toml").display());
        let Member { folder, port, .. } = &self.gateways[i];
        let setup = Setup::rooms(&rooms).top(&keys).data(&folder.path().join("data")).listen(*port);
        crate::program::write(folder.path(), "vestibule.toml", &setup.text(self.upstream.address))
    }

    /// Starts a gateway, at the same address in all its lives.
    fn revive(&mut self, i: usize) {
        let file = self.configuration(i);
        let process = Process::start(&["serve", "--config", crate::program::text(&file)], 2);
        self.gateways[i].process = Some(process);
    }

    /// Kills a gateway as `kill -9` does.
    fn kill(&mut self, i: usize) {
        self.gateways[i].process.take().expect("it lives").kill();
    }

    fn url(&self, i: usize) -> String {
        format!("http://127.0.0.1:{}/", self.gateways[i].port)
    }

    /// The room as the console of a gateway shows it.
    async fn room(&self, i: usize) -> Value {
        self.gateways[i].process.as_ref().expect("it lives").operator().room().await
    }

    async fn count(&self, i: usize, what: &str) -> u64 {
        self.room(i).await[what].as_u64().unwrap_or(0)
    }

    /// Waits until so many more have been called, as a gateway sees it; says how long the first of them took.
    async fn calls(&self, i: usize, fault: &str, more: u64) {
        let (begun, before) = (Instant::now(), self.count(i, "called").await);
        let goes_on = async |count| {
            eventually(fault, async || (self.count(i, "called").await >= before + count).then_some(())).await;
        };
        goes_on(1).await;
        println!("{} gateways, {fault}: the next is called after {:?}", self.gateways.len(), begun.elapsed());
        goes_on(more).await;
    }

    /// Waits until so many are in line.
    async fn fills(&self, waiting: u64) {
        eventually("a line", async || (self.count(0, "waiting").await >= waiting).then_some(())).await;
    }
}

/// Sends a crowd to all of these gateways.
async fn send(urls: Vec<String>, visitors: u64) -> Report {
    let (visitors, others) = (visitors.to_string(), urls[1..].join(","));
    let words = [&urls[0], "--visitors", &visitors, "--over", "3", "--seed", "7", "--hold", "0", "--drop", "0.1"];
    let more = ["--gateways", &others, "--for", "60"];
    crowd::run(args(&[&words[..], &more].concat()), Clock::system()).await.unwrap()
}

/// What the crowd saw holds what is promised, and everyone got in.
fn check(report: &Report, visitors: u64) {
    assert_eq!(report.broken(), [], "{report}");
    assert_eq!((report.admitted, report.unfinished), (visitors, 0), "{report}");
}

async fn faults(fleet: &mut Fleet) {
    let last = fleet.gateways.len() - 1;
    fleet.fills(40).await;
    for killed in 1..=last {
        fleet.kill(killed);
    }
    fleet.calls(0, "all but one killed", 10).await;
    for killed in 1..=last {
        fleet.revive(killed);
    }
    fleet.calls(last, "started again", 10).await;
    fleet.redis.replace();
    fleet.calls(last, "Redis started anew with nothing", 10).await;
    fleet.kill(0);
    fleet.redis.replace();
    fleet.revive(0);
    fleet.calls(0, "Redis started anew while a gateway was killed", 10).await;
}

async fn a_crowd_outlives_faults(count: usize, visitors: u64) {
    let mut fleet = Fleet::start(count).await;
    let urls = (0..count).map(|i| fleet.url(i)).collect();
    let (report, ()) = tokio::join!(send(urls, visitors), faults(&mut fleet));
    check(&report, visitors);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways() {
    a_crowd_outlives_faults(2, 120).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_gateways() {
    a_crowd_outlives_faults(4, 160).await;
}
