//! Several gateways as real processes, one line on a real Redis, a crowd before them, and gateways that are killed,
//! restarted and stopped in the middle of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::gateway::stand::{Operator, TOKEN};
use crate::gateway::upstream::Upstream;
use crate::program::{Process, text, told, write};
use crate::redis_server::RedisServer;

const VISITORS: u64 = 1_000;
const PER_SECOND: u64 = 60;

/// The gateways of one line. Each keeps its address when it is started again.
struct Fleet {
    redis: RedisServer,
    upstream: Upstream,
    folder: tempfile::TempDir,
    gateways: Vec<Option<Process>>,
    addresses: Vec<SocketAddr>,
}

impl Fleet {
    async fn start(count: usize) -> Self {
        let (redis, upstream, folder) =
            (RedisServer::start(&[]), Upstream::start().await, tempfile::tempdir().unwrap());
        let mut fleet = Self { redis, upstream, folder, gateways: Vec::new(), addresses: Vec::new() };
        for i in 0..count {
            let process = fleet.serve(i, "127.0.0.1:0".parse().unwrap());
            fleet.addresses.push(process.gateway());
            fleet.gateways.push(Some(process));
        }
        fleet
    }

    fn serve(&self, i: usize, listen: SocketAddr) -> Process {
        let path = self.folder.path().display();
        let config = format!(
            "listen = \"{listen}\"\nadmin_listen = \"127.0.0.1:0\"\nworkers = 1\ndrain = \"2s\"\n\
             admin_token = \"{TOKEN}\"\nkeys = \"{path}/keys.toml\"\ndata = \"{path}/data-{i}\"\n\
             [store]\nurl = \"{}\"\n[room.sale]\nupstream = \"http://{}\"\nadmissions_per_second = {PER_SECOND}\n",
            self.redis.url(),
            self.upstream.address
        );
        let file = write(self.folder.path(), &format!("gateway-{i}.toml"), &config);
        Process::start(&["serve", "--config", text(&file)], 2)
    }

    fn again(&mut self, i: usize) {
        self.gateways[i] = Some(self.serve(i, self.addresses[i]));
    }

    fn kill(&mut self, i: usize) {
        self.gateways[i].take().unwrap().kill();
    }

    /// Tells a gateway to stop, and waits until it has drained.
    async fn stop(&mut self, i: usize) {
        let process = self.gateways[i].take().unwrap();
        process.signal("TERM");
        let (status, logs) = process.end().await;
        assert!(status.success(), "{logs}");
    }

    /// The operator's desk of the last gateway.
    fn operator(&self) -> Operator {
        self.gateways.last().unwrap().as_ref().unwrap().operator()
    }

    /// Waits until this part of the crowd was called.
    async fn until_called(&self, part: f64) {
        let most = (VISITORS as f64 * part) as u64;
        let operator = self.operator();
        let called = async || operator.room().await["called"].as_u64().filter(|called| *called >= most);
        patiently("a part of the crowd is called", called).await;
    }

    /// Sends a crowd; its report is written to the file.
    fn crowd(&self, json: &Path) -> Process {
        let urls: Vec<String> = self.addresses.iter().map(|address| format!("http://{address}/")).collect();
        let visitors = VISITORS.to_string();
        let further = urls[1..].join(",");
        let words = ["crowd", &urls[0], "--gateways", &further, "--visitors", &visitors, "--over", "12", "--seed", "7"];
        let more = ["--hold", "0", "--drop", "0.1", "--for", "150", "--json", text(json)];
        Process::start(&[&words[..], &more].concat(), 0)
    }

    /// The log of the last gateway, as the program audits it.
    async fn audit(&self) -> (Option<i32>, String) {
        let log = self.operator().text("/api/rooms/sale/log").await;
        let file: PathBuf = write(self.folder.path(), "log.jsonl", &log);
        told(&["audit", text(&file)])
    }
}

/// Looks again and again, longer than is usual: a whole crowd takes its time, on a busy machine above all.
async fn patiently<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(170), looking).await.unwrap_or_else(|_| panic!("never seen: {what}"))
}

/// Kills one, restarts all in turn, stops another, while the crowd is in line.
async fn everyone_is_served_once(count: usize) {
    let mut fleet = Fleet::start(count).await;
    let json = fleet.folder.path().join("crowd.json");
    let crowd = fleet.crowd(&json);
    fleet.until_called(0.15).await;
    fleet.kill(0);
    fleet.until_called(0.25).await;
    fleet.again(0);
    for i in 0..count {
        fleet.stop(i).await;
        fleet.again(i);
    }
    fleet.until_called(0.7).await;
    fleet.stop(0).await;
    patiently("the report", async || json.exists().then_some(())).await;
    let (status, logs) = crowd.end().await;
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    for check in ["overtakings", "position_regressions", "lost_places", "rate_overshoot", "gave_up", "unfinished"] {
        assert_eq!(report[check], 0, "{check}: {report}\n{logs}");
    }
    assert_eq!(status.code(), Some(0), "{report}\n{logs}");
    assert_eq!((&report["joined"], &report["admitted"]), (&VISITORS.into(), &VISITORS.into()), "{report}");
    assert!(report["returns"].as_u64() > Some(VISITORS / 10), "the crowd noticed: {report}");
    assert_served_once(&fleet, &report);
    let (code, said) = fleet.audit().await;
    assert_eq!(code, Some(0), "{said}");
}

/// Everybody reached the site with a ticket of their own, and so did the scout who went ahead.
fn assert_served_once(fleet: &Fleet, report: &Value) {
    let seen = fleet.upstream.seen();
    let mut visitors: Vec<&str> = seen.iter().filter_map(|seen| seen.header("vestibule-visitor")).collect();
    visitors.sort_unstable();
    visitors.dedup();
    assert_eq!(visitors.len() as u64, VISITORS + 1, "{report}");
}

#[tokio::test]
async fn two_gateways_serve_everyone_once_whatever_befalls_one() {
    everyone_is_served_once(2).await;
}

#[tokio::test]
async fn four_gateways_serve_everyone_once_whatever_befalls_three() {
    everyone_is_served_once(4).await;
}
