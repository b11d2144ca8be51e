//! Two gateways on real servers that lose what they knew, are replaced, fall silent or move. After each fault no
//! number has two holders, no place is lost, nobody is called twice, and the order is kept.
//!
//! `cargo test -p vestibule --test suite healing -- --nocapture` prints the time that each took to heal.

use vestibule::line::{Roll, Standing};

use super::crew::{Crew, MOMENT, standing};
use super::fresh_room;
use crate::gateway::stand::eventually;
use crate::redis_cluster::RedisCluster;
use crate::redis_sentinels::Sentinels;
use crate::redis_server::RedisServer;

/// Slow enough that most wait until the end.
const RATE: f64 = 4.0;

async fn crew(url: &str) -> (Crew, vestibule::line::RoomName) {
    let room = fresh_room();
    let mut crew = Crew::start(url, &room, 2, RATE).await;
    crew.join(0, 10).await;
    crew.join(1, 10).await;
    crew.in_step().await;
    (crew, room)
}

#[tokio::test]
async fn a_restart_with_nothing_on_disk() {
    let mut server = RedisServer::start(&[]);
    let (mut crew, _) = crew(&server.url()).await;
    server.replace();
    crew.heal("restart with nothing on disk").await;
}

/// The only gateway has just started and knows nothing yet of the room that it has made.
#[tokio::test]
async fn a_room_whose_settings_nobody_remembers_is_made_again() {
    let server = RedisServer::start(&[]);
    let mut crew = Crew::start(&server.url(), &fresh_room(), 1, RATE).await;
    crew.silence(0).await;
    server.tell(&["FLUSHALL"]);
    crew.gateways[0].room.mirror.replace(Roll::default());
    crew.wake(0);
    crew.heal("a room that nobody remembers").await;
}

/// The joins after the last save are lost; the gateway that knew of them is silent until the other has joined.
#[tokio::test]
async fn a_restart_with_a_snapshot_of_a_while_ago() {
    let mut server = RedisServer::start(&[]);
    let (mut crew, _) = crew(&server.url()).await;
    server.tell(&["SAVE"]);
    crew.silence(1).await;
    let lost = crew.join(0, 10).await;
    crew.silence(0).await;
    server.halt();
    server.resume();
    // No tick has found out yet that the connection is broken.
    let next = eventually("a join", async || crew.try_joining(1).await.ok()).await;
    assert!(next > lost[9] + 100_000, "{next} after {lost:?}");
    crew.wake(0);
    crew.wake(1);
    crew.heal("restart with an old snapshot").await;
}

#[tokio::test]
async fn a_restart_with_a_torn_append_only_file() {
    let mut server = RedisServer::start(&["--appendonly", "yes"]);
    let (mut crew, _) = crew(&server.url()).await;
    let file = server.file("appendonlydir/appendonly.aof.1.incr.aof");
    let length = std::fs::metadata(&file).expect("a file").len();
    let lost = crew.join(0, 10).await;
    server.halt();
    let torn = std::fs::OpenOptions::new().write(true).open(&file).expect("a file");
    torn.set_len(length + 7).expect("cut");
    server.resume();
    crew.heal("restart with a torn append-only file").await;
    let next = crew.join(1, 1).await[0];
    assert!(next > lost[9] + 100_000, "{next} after {lost:?}");
}

#[tokio::test]
async fn a_failover_to_a_replica_that_missed_the_last_joins() {
    let mut servers = Sentinels::start();
    let (mut crew, _) = crew(&servers.url()).await;
    let mut lost = Vec::new();
    crew.silence(1).await;
    servers
        .fail_over_without(async || {
            lost = crew.join(0, 10).await;
            crew.silence(0).await;
        })
        .await;
    let replica = &servers.replica;
    eventually("a new master", async || replica.says("role:master").then_some(())).await;
    let next = eventually("a join", async || crew.try_joining(1).await.ok()).await;
    assert!(next > lost[9] + 100_000, "the one that did not know came first: {next} after {lost:?}");
    crew.wake(0);
    crew.wake(1);
    crew.heal("failover by Sentinel (after the promotion)").await;
    let called = crew.called();
    eventually("a further call", async || {
        crew.ask();
        crew.check().await;
        (crew.called().len() > called.len()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_failover_by_sentinel_as_gateways_live_through_it() {
    let mut servers = Sentinels::start();
    let (mut crew, _) = crew(&servers.url()).await;
    servers.fail_over_without(async || drop(crew.join(0, 5).await)).await;
    crew.heal("failover by Sentinel").await;
}

/// The same process and the same connections, but what it holds was replaced: only the name of its history tells.
#[tokio::test]
async fn a_master_that_was_made_a_replica_and_a_master_again() {
    let at_once = ["--repl-diskless-sync-delay", "0"];
    let server = RedisServer::start(&at_once);
    let follow = ["--replicaof", "127.0.0.1", &server.port().to_string()];
    let copy = RedisServer::start(&[&at_once[..], &follow].concat());
    eventually("the copy", async || copy.says("master_link_status:up").then_some(())).await;
    let (mut crew, room) = crew(&server.url()).await;
    crew.silence(0).await;
    crew.silence(1).await;
    let line = format!("vestibule:{{{room}}}:line");
    let seq = |server: &RedisServer| server.tell(&["HGET", &line, "seq"]);
    eventually("the copy has all", async || (seq(&copy) == seq(&server)).then_some(())).await;
    copy.tell(&["REPLICAOF", "NO", "ONE"]);
    let lost = crew.join(0, 10).await;
    server.tell(&["REPLICAOF", "127.0.0.1", &copy.port().to_string()]);
    eventually("the replica", async || server.says("master_link_status:up").then_some(())).await;
    server.tell(&["REPLICAOF", "NO", "ONE"]);
    let next = crew.join(1, 1).await[0];
    assert!(next > lost[9] + 100_000, "{next} after {lost:?}");
    crew.wake(0);
    crew.wake(1);
    crew.heal("a master demoted and promoted").await;
}

#[tokio::test]
async fn forgotten_scripts() {
    let server = RedisServer::start(&[]);
    let (mut crew, _) = crew(&server.url()).await;
    server.tell(&["SCRIPT", "FLUSH"]);
    crew.heal("SCRIPT FLUSH").await;
}

#[tokio::test]
async fn a_store_that_hangs() {
    let server = RedisServer::start(&[]);
    let (mut crew, _) = crew(&server.url()).await;
    let pid = server.pid();
    server.signal(pid, "-STOP");
    assert!(crew.try_joining(0).await.is_err(), "nobody answers");
    server.signal(pid, "-CONT");
    crew.heal("a store that hung").await;
}

/// Nothing is left but the tickets, and the keys that signed them.
#[tokio::test]
async fn every_gateway_and_the_store_gone_at_once() {
    let mut server = RedisServer::start(&[]);
    let (mut crew, room) = crew(&server.url()).await;
    let before = crew.called();
    let epoch = crew.gateways[0].room.mirror.known().epoch;
    let now_s = || crew.gateways[0].room.shared.clock.now_ms() / 1_000;
    eventually("the next second", async || (now_s() > u64::from(epoch)).then_some(())).await;
    server.replace();
    crew.replace(&server.url(), &room, 0.0).await;
    crew.dismiss(&before);
    let early = crew.gateways[1].room.join(None).await.expect("somebody who comes before the first returns");
    crew.come_back("everything gone, visitors return").await;
    crew.heal("the same, and a newcomer").await;
    assert_eq!(standing(&crew.gateways[0].room, &early), Standing::Foreign, "who came in between joins anew");
    let late = crew.join(1, 1).await[0];
    assert!(late > 100_000, "newcomers stand behind all who return, also those who are yet to come");
}

#[tokio::test]
async fn a_cluster_whose_slot_moves_and_whose_master_dies() {
    let cluster = RedisCluster::shared();
    let room = cluster.room(true, fresh_room);
    let mut crew = Crew::start(&cluster.url(), &room, 2, RATE).await;
    crew.join(0, 10).await;
    crew.join(1, 10).await;
    crew.in_step().await;

    let slot = cluster.slot(&room);
    let (from, to) = (cluster.master_of(slot), cluster.master_of(0));
    cluster.begin_move(slot, &from, &to);
    let before = crew.gateways[0].room.mirror.known();
    assert!(cluster.move_keys(slot, &from, &to, 3) > 3, "the room is torn");
    let half = tokio::time::timeout(MOMENT, crew.gateways[1].room.join(None)).await;
    assert!(half.is_err(), "nothing runs on half a room: {half:?}");
    assert_eq!(crew.gateways[0].room.mirror.known(), before);
    while cluster.move_keys(slot, &from, &to, usize::MAX) > 0 {}
    cluster.end_move(slot, &from, &to);
    crew.heal("a slot of the cluster moved").await;

    let room = cluster.room(true, fresh_room);
    let mut crew = Crew::start(&cluster.url(), &room, 2, RATE).await;
    crew.join(0, 10).await;
    crew.join(1, 10).await;
    crew.in_step().await;
    let master = cluster.master_of(cluster.slot(&room));
    let node = &cluster.nodes[master.node];
    node.signal(node.pid(), "-KILL");
    crew.heal("a master of the cluster died").await;
}
