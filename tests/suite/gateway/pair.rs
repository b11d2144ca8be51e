//! Two gateways on one real Redis: one line, whoever serves it, whatever happens to either.

use std::path::Path;

use serde_json::Value;
use vestibule::audit;
use vestibule::clock::Clock;
use vestibule::line::chain::Logged;

use super::stand::{Setup, Stand, eventually, json};
use super::upstream::Upstream;
use super::visitor::Visitor;
use crate::program::Process;
use crate::redis_server::RedisServer;

const SHUT: &str = "admissions_per_second = 0";

fn setup(redis: &RedisServer, keys: &Path) -> Setup {
    let store = format!("\n[store]\nurl = \"{}\"\n", redis.url());
    let tables = format!("{store}\n[room.sale]\nupstream = \"http://UPSTREAM\"\n{SHUT}\n");
    Setup::rooms(&tables).top(&format!("keys = \"{}\"", keys.join("keys.toml").display()))
}

struct Pair {
    redis: RedisServer,
    a: Stand,
    b: Stand,
    keys: tempfile::TempDir,
}

impl Pair {
    async fn start() -> Self {
        let redis = RedisServer::start(&[]);
        let keys = tempfile::tempdir().unwrap();
        let a = setup(&redis, keys.path()).start().await;
        let b = setup(&redis, keys.path()).start().await;
        Self { redis, a, b, keys }
    }

    /// Visitors who come to the two gateways in turn.
    async fn waiting(&self, count: usize) -> Vec<Visitor> {
        let mut line = Vec::new();
        for i in 0..count {
            let gateway = if i % 2 == 0 { &self.a } else { &self.b };
            line.extend(gateway.waiting(1).await);
        }
        line
    }

    async fn stop(self) {
        self.a.stop().await;
        self.b.stop().await;
    }
}

fn at(visitor: &Visitor, stand: &Stand) -> Visitor {
    Visitor { gateway: stand.gateway.address, ..visitor.clone() }
}

#[tokio::test]
async fn two_gateways_are_one_line() {
    let pair = Pair::start().await;
    let mut line = pair.waiting(8).await;
    for (i, visitor) in line.iter_mut().enumerate() {
        assert_eq!(visitor.number().await, i as u64 + 1, "in the order of coming");
        for stand in [&pair.a, &pair.b] {
            let place = |status: &Value| status["position"] == i + 1 && status["waiting"] == 8;
            at(visitor, stand).until("the same place on both", place).await;
        }
    }
    pair.b.operator.act("admit", r#"{"count":3}"#).await;
    line[0].until_state("called").await;
    let mut moved = at(&line[1], &pair.a);
    moved.until_state("called").await;
    assert_eq!(moved.get("/").await.text(), "the site at /", "called at one, let in at the other");
    at(&line[3], &pair.a).until("the next", |status| status["position"] == 1).await;
    pair.a.operator.act("pause", "").await;
    pair.b.operator.until("the pause", |room| room["phase"] == "paused").await;
    pair.b.operator.act("drain", "").await;
    pair.a.operator.until("the draining", |room| room["phase"] == "draining").await;
    assert_eq!(pair.a.visitor().program().get("/").await.status(), 503, "nobody joins at either");
    pair.stop().await;
}

#[tokio::test]
async fn both_together_keep_the_rate() {
    let pair = Pair::start().await;
    let mut line = pair.waiting(40).await;
    pair.a.operator.limit(r#"{"admissions_per_second":40,"burst":4}"#).await;
    let mut sockets = Vec::new();
    for visitor in &line {
        sockets.push(visitor.live().await);
    }
    for socket in &mut sockets {
        socket.until(|status| status["state"] == "called").await;
    }
    pair.a.operator.until("all of them", |room| room["called"] == 40).await;
    let log = pair.a.operator.text("/api/rooms/sale/log").await;
    assert_eq!(audit::verify(log.lines()).1, []);
    let entries = log.lines().skip(1).map(|line| serde_json::from_str::<Logged>(line).unwrap().entry);
    let calls: Vec<(u64, u64)> = entries.map(|entry| (entry.at_us, entry.called.len())).collect();
    for (i, (from_us, _)) in calls.iter().enumerate() {
        let mut sum = 0;
        for (to_us, count) in &calls[i..] {
            sum += count;
            let most = 40.0 * (to_us - from_us) as f64 / 1e6 + 4.0;
            assert!(sum as f64 <= most + 1e-6, "{sum} within {} us", to_us - from_us);
        }
    }
    let admissions = [&pair.a, &pair.b].map(|stand| stand.operator.metric("vestibule_admissions_total"));
    assert_eq!(futures_util::future::join_all(admissions).await, [40.0, 40.0], "each counts the line's");
    for visitor in &mut line {
        assert_eq!(visitor.get("/").await.text(), "the site at /");
    }
    pair.stop().await;
}

#[tokio::test]
async fn a_killed_gateways_visitors_find_their_places_at_the_other() {
    let redis = RedisServer::start(&[]);
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let upstream = Upstream::start().await;
    let setup = setup(&redis, folders[0].path());
    let serve = |i: usize| {
        let folder = folders[i].path();
        Process::serve(&setup.clone().data(&folder.join("data")), upstream.address, folder)
    };
    let mut a = serve(0);
    let b = serve(1);
    let mut line = Vec::new();
    for i in 0..10 {
        let mut visitor = if i % 2 == 0 { a.visitor() } else { b.visitor() };
        visitor.get("/").await;
        line.push(visitor);
    }
    let held = line[0].live().await;
    a.kill();
    drop(held);
    for (i, visitor) in line.iter_mut().enumerate() {
        visitor.gateway = b.gateway();
        visitor.until("the same place", |status| status["position"] == i + 1).await;
    }
    b.operator().act("admit", r#"{"count":1}"#).await;
    line[0].until_state("called").await;
    assert_eq!(line[0].get("/").await.text(), "the site at /");
    assert_eq!(line[9].position().await, Some(9));
}

#[tokio::test]
async fn what_is_sold_out_at_one_is_so_at_the_other_and_after_a_restart() {
    let Pair { mut redis, a, b, keys } = Pair::start().await;
    a.operator.act("sold-out", r#"{"key":"/train"}"#).await;
    let knows = |room: &Value| room["sold_out"] == serde_json::json!(["/train"]);
    b.operator.until("the other's word", knows).await;
    assert_eq!(b.visitor().program().get("/train").await.status(), 410);
    a.stop().await;
    b.stop().await;
    let after = setup(&redis, keys.path()).start().await;
    assert_eq!(after.visitor().program().get("/train").await.status(), 410, "before anything else was told");

    redis.replace();
    let late = setup(&redis, keys.path()).start().await;
    late.operator.until("what the first remembers", knows).await;
    late.operator.act("on-sale", r#"{"key":"/train"}"#).await;
    after.operator.until("the sale", |room| room["sold_out"] == serde_json::json!([])).await;
    assert_ne!(after.visitor().program().get("/train").await.status(), 410);
    after.stop().await;
    late.stop().await;
}

#[tokio::test]
async fn a_log_of_which_a_gateway_has_seen_no_entry_says_where_it_goes_on() {
    let pair = Pair::start().await;
    pair.waiting(3).await;
    pair.a.operator.act("admit", r#"{"count":1}"#).await;
    pair.a.operator.act("pause", "").await;
    for stand in [&pair.a, &pair.b] {
        stand.operator.until("the pause", |room| room["phase"] == "paused").await;
    }
    let log = pair.a.operator.text("/api/rooms/sale/log").await;
    let late = setup(&pair.redis, pair.keys.path()).start().await;
    let after = late.operator.text("/api/rooms/sale/log").await;
    let (known, findings) = audit::verify(after.lines());
    assert_eq!((known.entries, findings), (0, vec![]), "{after}");
    assert_eq!(known.link, audit::verify(log.lines()).0.link, "it goes on from the last entry of the first gateway");
    let start = &serde_json::from_str::<Value>(&after).unwrap()["start"];
    assert_eq!((&start["issued"], &start["settings"]["phase"]), (&3.into(), &"paused".into()));
    late.stop().await;
    pair.stop().await;
}

#[tokio::test]
async fn a_link_to_another_device_works_once_whichever_gateway_it_comes_to() {
    let pair = Pair::start().await;
    let mut maker = pair.a.waiting(1).await.remove(0);
    let made = json(&maker.clone().program().post("/.vestibule/link?room=sale", "").await);
    let link = made["link"].as_str().expect("a link").split_once(&maker.host).expect("of this host").1.to_owned();
    let [mut first, mut second] =
        [&pair.b, &pair.a].map(|stand| Visitor { host: maker.host.clone(), ..stand.visitor() });
    assert_eq!(first.post(&link, "").await.status(), 303);
    assert_eq!(first.number().await, maker.number().await, "the very place");
    assert_eq!(second.post(&link, "").await.status(), 410, "it was used at the other gateway");
    pair.stop().await;
}

/// Only the key file and the visitors' cookies are left.
#[tokio::test]
async fn who_returns_after_everything_was_lost_has_the_place_back() {
    let Pair { mut redis, a, b, keys } = Pair::start().await;
    let mut line = a.waiting(6).await;
    line[2].post("/.vestibule/leave", "").await;
    line.remove(2);
    let born_s = line[0].status().await["epoch"].as_u64().expect("an epoch");
    a.stop().await;
    b.stop().await;
    eventually("the next second", async || (Clock::system().now_ms() / 1_000 > born_s).then_some(())).await;
    redis.replace();

    let after = setup(&redis, keys.path()).start().await;
    let mut early = after.waiting(1).await.remove(0);
    let early_ticket = early.ticket();
    for visitor in line.iter_mut().rev() {
        visitor.gateway = after.gateway.address;
        let ticket = visitor.ticket();
        assert!(visitor.get("/").await.text().contains("status"), "a waiting page");
        assert_eq!(visitor.ticket(), ticket, "the same place");
    }
    let everyone = async || {
        for visitor in &mut line {
            visitor.status().await;
        }
        (after.operator.room().await["waiting"] == 5).then_some(())
    };
    eventually("everyone is back", everyone).await;
    for (visitor, position) in line.iter_mut().zip([Some(1), Some(2), None, None, None]) {
        // Nobody knows that the third has left, who may yet come back.
        let place = |status: &Value| status["position"].as_u64() == position;
        visitor.until("the place", place).await;
    }
    early.get("/").await;
    assert_ne!(early.ticket(), early_ticket, "who came before the first returned joins anew");
    early.until("the end of the line", |status| status["waiting"] == 6).await;
    after.operator.act("admit", r#"{"count":1}"#).await;
    line[0].until_state("called").await;
    assert_eq!(line[0].get("/").await.text(), "the site at /");
    after.stop().await;
}

#[tokio::test]
async fn a_store_that_comes_back_empty_is_healed_from_the_mirrors() {
    let mut pair = Pair::start().await;
    let mut owner = pair.a.admitted().await;
    let mut line = pair.waiting(6).await;
    for (i, visitor) in line.iter_mut().enumerate() {
        let place = |status: &Value| status["position"] == i + 1 && status["waiting"] == 6;
        at(visitor, &pair.a).until("known to A", place).await;
        at(visitor, &pair.b).until("known to B", place).await;
    }
    let mut live = line[2].live().await;
    live.status().await;

    pair.redis.halt();
    pair.a.operator.until("the fault", |room| room["store_up"] == false).await;
    pair.b.operator.until("the fault", |room| room["store_up"] == false).await;
    live.until(|status| status["store_up"] == false && status["position"] == 3).await;
    for (i, visitor) in line.iter_mut().enumerate() {
        let page = visitor.get("/").await;
        assert!(page.status() == 200 && page.text().contains(&format!("\"position\":{},", i + 1)), "{}", page.text());
    }
    let arrival = pair.b.visitor().program().get("/").await;
    assert_eq!((arrival.status(), &json(&arrival)["type"]), (503, &"/problems/store_down".into()));
    assert_eq!(arrival.header("retry-after"), Some("5"));
    assert!(pair.a.visitor().get("/").await.text().contains("The line rests"), "never an unlimited flood");
    assert_eq!(owner.get("/seats").await.text(), "the site at /seats", "who is in goes on");
    assert_eq!(pair.a.operator.metric("vestibule_store_up").await, 0.0);
    assert_eq!(pair.a.operator.text("/readyz").await, "ready\n");
    let refused = pair.a.operator.ask("POST", "/api/rooms/sale/pause", "").await;
    assert_eq!((refused.status(), &json(&refused)["type"]), (503, &"/problems/store_down".into()));

    pair.redis.replace();
    pair.a.operator.until("the store", |room| room["store_up"] == true).await;
    pair.b.operator.until("the store", |room| room["store_up"] == true).await;
    for (i, visitor) in line.iter_mut().enumerate() {
        for stand in [&pair.a, &pair.b] {
            at(visitor, stand).until("the place", |status| status["position"] == i + 1).await;
        }
    }
    let restores = async || {
        let both = [&pair.a, &pair.b].map(|stand| stand.operator.metric("vestibule_restores_total"));
        Some(futures_util::future::join_all(both).await.iter().sum::<f64>()).filter(|sum| *sum > 0.0)
    };
    eventually("a restore", restores).await;
    let mut late = pair.b.waiting(1).await.remove(0);
    let last = line[5].number().await;
    assert!(late.number().await > last, "no number is given twice");
    let end =
        |status: &Value| status["waiting"] == 7 && status["position"].is_null() && status["eta_seconds"].is_null();
    late.until("the end of the line, where nobody knows who may yet come back", end).await;
    assert_eq!(owner.get("/seats").await.text(), "the site at /seats");
    pair.a.operator.act("admit", r#"{"count":1}"#).await;
    line[0].until_state("called").await;
    live.until(|status| status["position"] == 2 && status["store_up"] == true).await;
    pair.stop().await;
}

#[tokio::test]
async fn two_operators_on_two_gateways_do_not_undo_each_other() {
    let pair = Pair::start().await;
    for round in 1..=10 {
        let (most, seconds) = (100 + round, 200 + round);
        let bodies =
            [format!("{{\"total_active_users\":{most}}}"), format!("{{\"session_duration_seconds\":{seconds}}}")];
        let operators = [&pair.a.operator, &pair.b.operator];
        tokio::join!(operators[0].limit(&bodies[0]), operators[1].limit(&bodies[1]));
        for operator in operators {
            let both = |room: &Value| room["total_active_users"] == most && room["session_duration_seconds"] == seconds;
            operator.until("both changes", both).await;
        }
    }
    pair.stop().await;
}
