//! A room that runs for months: what Redis keeps of it does not grow for ever after an epoch has begun.

use std::time::Duration;

use redis::{Connection, cmd};
use vestibule::clock::Clock;
use vestibule::line::redis::RedisLine;
use vestibule::line::{LineStore, Numbers, Roll, RoomName, Steering, Tick, UNSEEN_S};

use super::{START_MS, fresh_room, limits, tick};
use crate::redis_server::RedisServer;

const DAY_MS: u64 = 86_400_000;
/// How many come in one day.
const VISITORS: u64 = 600_000;

/// What the bitmap of a key costs, in bytes.
fn bytes(server: &mut Connection, room: &RoomName, key: &str) -> u64 {
    let key = format!("vestibule:{{{room}}}:{key}");
    let usage: Option<u64> = cmd("MEMORY").arg(&["USAGE", &key]).query(server).expect("an answer");
    usage.unwrap_or(0)
}

/// A day in which all who come give up before the evening.
async fn day(store: &RedisLine, clock: &Clock, room: &RoomName) {
    for _ in 0..VISITORS / 60_000 {
        let joined = store.join(room, 60_000).await.expect("a join");
        let roll = store.restore(room, &Roll::default()).await.expect("a roll");
        let left = Numbers::run(1, joined.first + joined.count - 1);
        store.tick(room, &Tick { left, known: roll.known(), ..tick(1) }).await.expect("a tick");
    }
    clock.advance_ms(DAY_MS);
    store.tick(room, &tick(1)).await.expect("a tick");
}

#[tokio::test]
async fn what_is_kept_of_who_waits_does_not_grow_with_those_who_came() {
    let clock = Clock::manual(START_MS);
    let timeout = Duration::from_secs(10);
    let store = RedisLine::connect_with_clock(&RedisServer::shared().url(), timeout, clock.clone()).await;
    let (store, room) = (store.expect("the server runs"), fresh_room());
    let mut server = RedisServer::shared().connection();
    store.steer(&room, &Steering::Configure(limits(0.0, 1))).await.expect("a room");
    let mut lost = store.restore(&room, &Roll::default()).await.expect("a roll");
    lost.seq += 1;
    store.restore(&room, &lost).await.expect("an epoch begins");
    day(&store, &clock, &room).await;
    let [early, unseen] = ["waiting", "unseen"].map(|key| bytes(&mut server, &room, key));
    assert!(early > VISITORS / 8 && unseen > 0, "{early} and {unseen}: somebody might still come back");
    clock.advance_ms((UNSEEN_S + 1) * 1_000 - DAY_MS);
    let mut kept = Vec::new();
    for _ in 0..3 {
        day(&store, &clock, &room).await;
        kept.push(["waiting", "unseen", "over"].map(|key| bytes(&mut server, &room, key)));
    }
    println!("waiting {early} and unseen {unseen} bytes on the first day, then waiting, unseen and over {kept:?}");
    assert!(kept.iter().all(|[waiting, unseen, _]| *waiting < 16_384 && *unseen == 0), "{kept:?}");
}
