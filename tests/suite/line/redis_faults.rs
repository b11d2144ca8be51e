//! The Redis store when Redis is wrong, slow, empty, read-only, or holds something else.

use std::time::Duration;

use redis::Commands as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use vestibule::line::chain::Link;
use vestibule::line::redis::{RedisLine, TIMEOUT};
use vestibule::line::{LineStore as _, News, Numbers, Roll, RoomName, Steering, StoreFault, Tick};

use super::{fresh_room, limits, tick};
use crate::redis_server::RedisServer;

async fn connect(server: &RedisServer) -> RedisLine {
    RedisLine::connect(&server.url(), TIMEOUT).await.expect("the server runs")
}

fn line_key(room: &RoomName) -> String {
    format!("vestibule:{{{room}}}:line")
}

#[tokio::test]
async fn a_wrong_address_says_what_to_write() {
    for url in ["", "tatkal", "http://127.0.0.1:6379", "redis://:geheim@127.0.0.1:99999"] {
        let fault = RedisLine::connect(url, TIMEOUT).await.expect_err(url);
        assert!(fault.to_string().contains("redis://host:port"), "{fault}");
        assert!(!fault.to_string().contains("geheim"), "{fault}");
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_said_with_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let fault = RedisLine::connect(&format!("redis://:geheim@127.0.0.1:{port}"), TIMEOUT).await.expect_err("nobody");
    assert!(matches!(&fault, StoreFault::Unreachable(text) if text.contains(&format!("127.0.0.1:{port}"))), "{fault}");
    assert!(!format!("{fault:?}").contains("geheim"));
}

#[tokio::test]
async fn a_missing_or_wrong_password_is_said_and_never_printed() {
    let server = RedisServer::start(&["--requirepass", "richtig"]);
    let port = server.url().rsplit(':').next().expect("a port").to_owned();
    for url in [server.url(), format!("redis://:geheim@127.0.0.1:{port}")] {
        let fault = RedisLine::connect(&url, TIMEOUT).await.expect_err("no entry");
        assert!(matches!(&fault, StoreFault::Refused(text) if text.contains("password")), "{fault}");
        assert!(!fault.to_string().contains("geheim"), "{fault}");
    }
    let right = RedisLine::connect(&format!("redis://:richtig@127.0.0.1:{port}"), TIMEOUT).await.expect("entry");
    assert!(!format!("{right:?}").contains("richtig"));
}

#[tokio::test]
async fn a_server_too_old_is_refused_with_its_version() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("redis://{}", listener.local_addr().expect("bound"));
    let old = async {
        let (mut peer, _) = listener.accept().await.expect("a client");
        let mut said = [0; 4096];
        loop {
            let read = peer.read(&mut said).await.expect("a command");
            let text = String::from_utf8_lossy(&said[..read]).to_string();
            let hellos = text.matches("SETINFO").count();
            let mut answer = "+OK\r\n".repeat(hellos);
            if text.contains("server") {
                answer.push_str("$21\r\nredis_version:5.0.14\n\r\n");
            }
            if read == 0 || peer.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    let refused = tokio::select! {
        connected = RedisLine::connect(&url, TIMEOUT) => connected.expect_err("too old"),
        () = old => panic!("the client went away"),
    };
    assert!(
        matches!(&refused, StoreFault::Refused(text) if text.contains("5.0.14") && text.contains("6.2")),
        "{refused}"
    );
}

#[tokio::test]
async fn forgotten_scripts_are_taught_again() {
    let server = RedisServer::start(&[]);
    let (store, room) = (connect(&server).await, fresh_room());
    store.join(&room, 2).await.expect("a join");
    let flush = || redis::cmd("SCRIPT").arg("FLUSH").exec(&mut server.connection()).expect("a flush");
    flush();
    assert_eq!(store.join(&room, 1).await.expect("a join").first, 3);
    flush();
    let page = store.tick(&room, &Tick { left: Numbers::run(1, 1), ..tick(1) }).await.expect("a tick");
    assert_eq!(page.present, 2);
}

#[tokio::test]
async fn a_server_that_comes_back_empty_is_restored() {
    let mut server = RedisServer::start(&[]);
    let (store, room) = (connect(&server).await, fresh_room());
    store.steer(&room, &Steering::Configure(limits(1.0, 1))).await.expect("a room");
    let lost = store.join(&room, 20).await.expect("a join");
    let mirror = store.restore(&room, &Roll::default()).await.expect("a roll");
    server.replace();
    let page = store.tick(&room, &Tick { known: mirror.known(), ..tick(1) }).await.expect("a tick is sent again");
    // In the second of its beginning the new line cannot tell itself from the old by the epoch alone.
    assert!(matches!(page.news, News::Behind | News::Roll(_)));
    let healed = store.restore(&room, &mirror).await.expect("a restore");
    if page.news == News::Behind {
        assert_eq!((&healed.waiting, &healed.called), (&mirror.waiting, &mirror.called));
        let next = store.join(&room, 1).await.expect("a join");
        assert!(next.first > lost.first + lost.count + 60_000, "no number has two holders");
    }
}

#[tokio::test]
async fn a_read_only_server_refuses_and_is_used_again_when_it_is_not() {
    let server = RedisServer::start(&[]);
    let (store, room) = (connect(&server).await, fresh_room());
    store.join(&room, 1).await.expect("a join");
    let follow = |args: [&str; 2]| redis::cmd("REPLICAOF").arg(&args[..]).exec(&mut server.connection()).expect("done");
    follow(["127.0.0.1", "1"]);
    let fault = store.join(&room, 1).await.expect_err("read-only");
    assert!(matches!(&fault, StoreFault::Refused(_)), "{fault}");
    follow(["NO", "ONE"]);
    assert_eq!(store.join(&room, 1).await.expect("a join").first, 2, "nothing was given meanwhile");
}

#[tokio::test]
async fn a_join_without_an_answer_is_not_sent_twice() {
    let server = RedisServer::start(&[]);
    let room = fresh_room();
    let store = RedisLine::connect(&server.url(), Duration::from_millis(150)).await.expect("the server runs");
    store.join(&room, 1).await.expect("a join");
    let mut other = server.connection();
    redis::cmd("CLIENT").arg("PAUSE").arg(600).exec(&mut other).expect("a pause");
    let fault = store.join(&room, 10).await.expect_err("no answer in time");
    assert!(matches!(fault, StoreFault::Unreachable(_)), "{fault}");
    redis::cmd("CLIENT").arg("UNPAUSE").exec(&mut other).expect("an end of the pause");
    let next = store.join(&room, 1).await.expect("a join").first;
    assert!(next <= 12, "given twice: {next}");
}

#[tokio::test]
async fn what_another_program_wrote_is_left_alone() {
    let server = RedisServer::start(&[]);
    let (store, mut other) = (connect(&server).await, server.connection());
    let (strange, newer) = (fresh_room(), fresh_room());
    let _: () = other.set(line_key(&strange), "mine").expect("a key");
    let _: () = other.hset(line_key(&newer), "layout", "999").expect("a key");
    for room in [&strange, &newer] {
        let fault = store.join(room, 1).await.expect_err("not ours");
        assert!(matches!(fault, StoreFault::Corrupt(_)), "{fault}");
        assert!(store.tick(room, &tick(1)).await.is_err());
    }
    let kept: String = other.get(line_key(&strange)).expect("a key");
    assert_eq!(kept, "mine");
}

/// The log keeps 10,000 entries; the link of the last one is known all the same, by the checkpoints
/// that ticking gateways leave.
#[tokio::test]
async fn the_chain_holds_beyond_the_log() {
    let (store, room) = (connect(RedisServer::shared()).await, fresh_room());
    store.steer(&room, &Steering::Configure(limits(1.0, 1))).await.expect("a room");
    let News::Roll(mut mirror) = store.tick(&room, &tick(1)).await.expect("a tick").news else { panic!("a roll") };
    for round in 0..115u64 {
        let changes = (0..100).map(|i| Steering::Message(Some(format!("{round} {i}"))));
        let steered = changes.map(|steering| async { store.steer(&room, &{ steering }).await });
        futures_util::future::try_join_all(steered).await.expect("messages");
        let page = store.tick(&room, &Tick { known: mirror.known(), ..tick(1) }).await.expect("a tick");
        let News::Entries(entries) = page.news else { panic!("it follows closely") };
        entries.iter().for_each(|entry| mirror.apply(entry));
    }
    assert!(mirror.seq > 11_000 && mirror.link != Link::default());
    let stranger = connect(RedisServer::shared()).await;
    let roll = stranger.restore(&room, &Roll::default()).await.expect("a roll");
    assert_eq!((roll.seq, roll.link), (mirror.seq, mirror.link));
}
