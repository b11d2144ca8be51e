//! What may be used once is used once, in every store and from every gateway.

use std::time::Duration;

use vestibule::clock::Clock;
use vestibule::line::embedded::Embedded;
use vestibule::line::redis::RedisLine;
use vestibule::line::{Kind, LineStore, Mark};

use super::{START_MS, fresh_room};
use crate::redis_server::RedisServer;

fn mark(kind: Kind, which: u8, until_ms: u64) -> Mark {
    Mark::of(kind, &[0, 1, 2, 3, 4, 5, 6, which, 8, 9], until_ms)
}

/// Two gateways race with each of some marks: one of the two wins it.
async fn each_is_won_once(one: &dyn LineStore, other: &dyn LineStore, until_ms: u64) {
    let (room, elsewhere) = (fresh_room(), fresh_room());
    for kind in [Kind::Proof, Kind::BypassLink, Kind::DeviceLink] {
        for i in 0..20 {
            let mark = mark(kind, i, until_ms);
            let (a, b) = tokio::join!(one.use_once(&room, &mark), other.use_once(&room, &mark));
            assert!(a.unwrap() != b.unwrap(), "{kind:?} {i}");
            assert!(!one.use_once(&room, &mark).await.unwrap());
            assert!(one.use_once(&elsewhere, &mark).await.unwrap(), "each room has its own");
        }
    }
}

#[tokio::test]
async fn in_the_embedded_store() {
    let store = Embedded::open(None, Clock::manual(START_MS)).unwrap();
    each_is_won_once(&store, &store, START_MS + 90_000).await;
}

#[tokio::test]
async fn in_redis_which_forgets_by_itself() {
    let server = RedisServer::shared();
    let connect = async || RedisLine::connect(&server.url(), Duration::from_secs(5)).await.unwrap();
    let (one, other) = (connect().await, connect().await);
    let until_ms = Clock::system().now_ms() + 90_000;
    each_is_won_once(&one, &other, until_ms).await;
}

#[tokio::test]
async fn a_used_link_is_known_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Embedded::open(Some(folder.path()), Clock::manual(START_MS)).unwrap();
    let (room, link) = (fresh_room(), mark(Kind::BypassLink, 7, START_MS + 86_400_000));
    assert!(open().use_once(&room, &link).await.unwrap());
    let again = open();
    assert!(!again.use_once(&room, &link).await.unwrap());
    assert!(again.use_once(&room, &mark(Kind::BypassLink, 8, START_MS + 86_400_000)).await.unwrap());
}
