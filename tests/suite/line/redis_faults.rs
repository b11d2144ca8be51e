//! The Redis store when Redis is wrong, slow, empty, read-only, or holds something else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::Commands as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use vestibule::clock::Clock;
use vestibule::line::chain::Link;
use vestibule::line::redis::{RedisLine, TIMEOUT};
use vestibule::line::{Joined, LineStore as _, News, Numbers, Roll, RoomName, Steering, StoreFault, Tick};

use super::{START_MS, fresh_room, limits, tick};
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
            let infos = text.matches("INFO\r\n").count();
            let answer = "+OK\r\n".repeat(hellos) + &"$21\r\nredis_version:5.0.14\n\r\n".repeat(infos);
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
    store.steer(&room, &Steering::Configure(limits(0.0, 1))).await.expect("a room");
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
    let clock = Clock::manual(START_MS);
    let store = RedisLine::connect_with_clock(&server.url(), TIMEOUT, clock.clone()).await.expect("the server runs");
    let room = fresh_room();
    store.steer(&room, &Steering::Configure(limits(1.0, 1))).await.expect("a room");
    let lost = store.join(&room, 20).await.expect("a join");
    let mirror = store.restore(&room, &Roll::default()).await.expect("a roll");
    server.replace();
    clock.advance_ms(60_000);
    let page = store.tick(&room, &Tick { known: mirror.known(), ..tick(1) }).await.expect("a tick is sent again");
    assert!(matches!(page.news, News::Roll(_)), "a line began anew");
    let healed = store.restore(&room, &mirror).await.expect("a restore");
    assert_eq!((&healed.waiting, &healed.called), (&mirror.waiting, &mirror.called));
    let next = store.join(&room, 1).await.expect("a join");
    assert!(next.first > lost.first + lost.count + 60_000, "no number has two holders");
    assert_eq!(next.admitted, 0, "those who were there before come first");
}

#[tokio::test]
async fn a_read_only_server_refuses_and_is_used_again_when_it_is_not() {
    let server = RedisServer::start(&[]);
    let (store, room) = (connect(&server).await, fresh_room());
    store.steer(&room, &Steering::Configure(limits(0.0, 1))).await.expect("a room");
    store.join(&room, 1).await.expect("a join");
    let follow = |args: [&str; 2]| redis::cmd("REPLICAOF").arg(&args[..]).exec(&mut server.connection()).expect("done");
    follow(["127.0.0.1", "1"]);
    let fault = store.join(&room, 1).await.expect_err("read-only");
    assert!(matches!(&fault, StoreFault::Refused(_)), "{fault}");
    follow(["NO", "ONE"]);
    let next = store.join(&room, 1).await.expect("a join");
    assert!(next.first > 100_000, "a master again may have lost what it had: {next:?}");
}

/// Stands between a store and its server, and loses the answers to as many scripts as `to_lose`.
struct Thief {
    url: String,
    to_lose: Arc<AtomicU32>,
    work: JoinHandle<()>,
}

impl Thief {
    async fn before(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("redis://{}", listener.local_addr().expect("bound"));
        let (to_lose, address) = (Arc::new(AtomicU32::new(0)), server.url().replace("redis://", ""));
        let lost = Arc::clone(&to_lose);
        let work = tokio::spawn(async move {
            let mut relays = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&address).await.expect("the server runs");
                relays.spawn(relay(client, server, Arc::clone(&lost)));
            }
        });
        Self { url, to_lose, work }
    }

    fn lose_next(&self) {
        self.to_lose.store(1, Ordering::SeqCst);
    }
}

impl Drop for Thief {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn relay(mut client: TcpStream, mut server: TcpStream, to_lose: Arc<AtomicU32>) {
    let (mut asked, mut said) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                server.write_all(&asked[..length]).await.expect("the server runs");
                let is_script = String::from_utf8_lossy(&asked[..length]).contains("EVALSHA");
                if is_script && to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
                    assert!(server.read(&mut said).await.expect("an answer") > 0, "it is lost here");
                    return;
                }
            }
            read = server.read(&mut said) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&said[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn only_what_may_be_repeated_is_sent_again_after_a_lost_answer() {
    let server = RedisServer::start(&[]);
    let thief = Thief::before(&server).await;
    let (store, room) = (RedisLine::connect(&thief.url, TIMEOUT).await.expect("the server runs"), fresh_room());
    store.steer(&room, &Steering::Configure(limits(0.0, 1))).await.expect("a room");
    store.join(&room, 1).await.expect("a join");
    thief.lose_next();
    let fault = store.join(&room, 10).await.expect_err("the answer is lost");
    assert!(matches!(fault, StoreFault::Unreachable(_)), "{fault}");
    thief.lose_next();
    store.steer(&room, &Steering::Admit(3)).await.expect_err("the answer is lost");
    store.tick(&room, &Tick { all_here: true, ..tick(1) }).await.expect("a tick");
    thief.lose_next();
    let came = Tick { here: Numbers::run(4, 11), ..tick(1) };
    let page = store.tick(&room, &came).await.expect("a tick is sent again");
    assert_eq!((page.vouched, page.present), (true, 8));
    let gone = Tick { gone: Numbers::run(4, 11), ..tick(1) };
    assert_eq!(store.tick(&room, &gone).await.expect("a tick").present, 0, "it was heard once, and so they are gone");
    assert_eq!(store.restore(&room, &Roll::default()).await.expect("a roll").tally.called, 3);
    assert_eq!(store.join(&room, 1).await.expect("a join").first, 12);
}

/// Stands between a store and its server, and lets somebody join right before every script. Returns its address.
async fn rush_before(server: &RedisServer, room: &RoomName) -> (String, JoinHandle<()>) {
    let (room, direct) = (room.clone(), Arc::new(connect(server).await));
    before_scripts(server, move |_| {
        let (room, direct) = (room.clone(), Arc::clone(&direct));
        async move {
            direct.join(&room, 1).await.expect("a join");
        }
    })
    .await
}

/// Stands between a store and its server, and does something right before every script, of which it is told the how
/// manieth it is. Returns its address.
pub async fn before_scripts<F>(
    server: &RedisServer,
    act: impl Fn(u32) -> F + Send + Sync + 'static,
) -> (String, JoinHandle<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("redis://{}", listener.local_addr().expect("bound"));
    let (act, count, address) = (Arc::new(act), Arc::new(AtomicU32::new(0)), server.url().replace("redis://", ""));
    let work = tokio::spawn(async move {
        let mut relays = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&address).await.expect("the server runs");
            let (act, count) = (Arc::clone(&act), Arc::clone(&count));
            relays.spawn(async move {
                relay_after(client, server, move || act(count.fetch_add(1, Ordering::SeqCst) + 1)).await
            });
        }
    });
    (url, work)
}

async fn relay_after<F: Future<Output = ()>>(mut client: TcpStream, mut server: TcpStream, act: impl Fn() -> F) {
    let (mut asked, mut said) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                if String::from_utf8_lossy(&asked[..length]).contains("EVALSHA") {
                    act().await;
                }
                server.write_all(&asked[..length]).await.expect("the server runs");
            }
            read = server.read(&mut said) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&said[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_restore_succeeds_while_joins_keep_coming() {
    let (server, room) = (RedisServer::start(&[]), fresh_room());
    let direct = connect(&server).await;
    direct.steer(&room, &Steering::Configure(limits(0.0, 1))).await.expect("a room");
    let kept = direct.join(&room, 10).await.expect("a join");
    let older = direct.restore(&room, &Roll::default()).await.expect("a roll");
    let (url, rush) = rush_before(&server, &room).await;
    let rushed = RedisLine::connect(&url, TIMEOUT).await.expect("the server runs");

    let mut mirror = older.clone();
    mirror.note(&Joined { first: 11, count: 30, admitted: 0, ..kept });
    let healed = rushed.restore(&room, &mirror).await.expect("an epoch begins all the same");
    assert!(healed.epoch() > kept.epoch && healed.issued > 100_000);
    let next = direct.join(&room, 1).await.expect("a join");
    assert_eq!(next.first, healed.issued + 1, "no number has two holders");

    let mut older = older;
    older.note(&Joined { first: 41, count: 1, admitted: 0, ..kept });
    older.waiting.insert(50);
    let merged = rushed.restore(&room, &older).await.expect("a merge succeeds all the same");
    assert!(merged.waiting.contains(50));
    let (now, last) = (direct.restore(&room, &Roll::default()).await.expect("a roll"), next.first + 2);
    assert_eq!(now.issued, last, "who joined meanwhile is not forgotten");
    assert!((next.first..=last).all(|number| now.waiting.contains(number)));
    rush.abort();
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_in_time() {
    let server = RedisServer::start(&[]);
    let room = fresh_room();
    let store = RedisLine::connect(&server.url(), Duration::from_millis(400)).await.expect("the server runs");
    let mut other = server.connection();
    redis::cmd("CLIENT").arg("PAUSE").arg(2_000).exec(&mut other).expect("a pause");
    let fault = store.tick(&room, &tick(1)).await.expect_err("no answer in time");
    assert!(matches!(fault, StoreFault::Unreachable(_)), "{fault}");
    redis::cmd("PING").exec(&mut other).expect("an answer when the pause is over");
    store.tick(&room, &tick(1)).await.expect("it answers again");
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
