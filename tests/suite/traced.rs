//! Traces over OTLP to a collector, and that no secret is in anything that is told: logs, traces, metrics, audit.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Value, json};
use vestibule_telemetry::collector::{Collector, SeenSpan};

use crate::gateway::stand::{Operator, Setup, eventually, json as json_of};
use crate::gateway::upstream::Upstream;
use crate::gateway::visitor::Visitor;
use crate::program::{Process, text, write};
use crate::redis_server::RedisServer;

/// What nobody may ever read where it does not belong.
const PASSWORD: &str = "canary-redis-password-51c0";
const QUERY: &str = "canary-query-9e1b";
const COOKIE: &str = "canary-cookie-77aa";
const BEARER: &str = "canary-bearer-03fd";
const CARD: &str = "4111111111111111";
/// What is sold.
const ITEM: &str = "12951:2027-01-11:3A";
const KEY: &str = "canary-idempotency-key-8d2e";

/// A demo whose line is in Redis behind a password, that logs all it can and sends every trace.
struct Scene {
    collector: Collector,
    redis: RedisServer,
    demo: Process,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn open() -> Self {
        let collector = Collector::start().await.unwrap();
        let redis = RedisServer::start(&["--requirepass", PASSWORD]);
        let url = format!("redis://:{PASSWORD}@127.0.0.1:{}/", redis.port());
        let (folder, any) = (tempfile::tempdir().unwrap(), "127.0.0.1:0");
        let endpoint = collector.endpoint();
        let environment = [
            ("VESTIBULE_TRACES_ENDPOINT", endpoint.as_str()),
            ("VESTIBULE_TRACES_SAMPLE_RATIO", "1"),
            ("VESTIBULE_LOG", "debug"),
        ];
        let words = ["--log", "json", "demo", "--listen", any, "--admin", any, "--booking", any];
        let more = ["--rate", "1000", "--redis", &url, "--data", text(folder.path()), "--item", ITEM, "--seats", "9"];
        let demo = Process::start_in(&environment, &[&words[..], &more].concat(), 5);
        Self { collector, redis, demo, folder }
    }

    fn visitor(&self) -> Visitor {
        let visitor = Visitor::new(self.demo.gateway()).program();
        visitor.with("Authorization", &format!("Bearer {BEARER}")).with("Idempotency-Key", KEY)
    }

    /// Waits for a span.
    async fn until(&self, what: &str, is_it: impl Fn(&SeenSpan) -> bool) -> SeenSpan {
        eventually(what, async || self.collector.spans().into_iter().find(&is_it)).await
    }
}

/// Holds a seat and pays for it; returns the id of the request that held it.
async fn buy(visitor: &mut Visitor) -> String {
    visitor.jar.insert("site".to_owned(), COOKIE.to_owned());
    assert_eq!(visitor.get(&format!("/?q={QUERY}&card={CARD}")).await.status(), 200);
    let held = visitor.post("/api/holds", &json!({"inventory": ITEM, "quantity": 1}).to_string()).await;
    assert_eq!(held.status(), 201, "{}", held.text());
    let hold = json_of(&held)["id"].as_str().unwrap().to_owned();
    let paid = visitor.post(&format!("/api/holds/{hold}/payments"), &json!({"method": "sim_ok"}).to_string()).await;
    assert!([201, 202].contains(&paid.status()), "{}", paid.text());
    let odd = visitor.post(&format!("/api/holds/{hold}/payments"), &json!({"method": CARD}).to_string()).await;
    assert!(odd.status() >= 400, "{}", odd.text());
    held.header("x-request-id").unwrap().to_owned()
}

#[tokio::test]
async fn a_trace_goes_from_the_door_to_the_last_commit_and_tells_no_secret() {
    let scene = Scene::open().await;
    let mut visitor = scene.visitor();
    let id = buy(&mut visitor).await;

    let commit = scene.until("the commit", |span| span.trace == id && span.name == "take seats").await;
    let served = scene.until("the booking core", |span| span.id == commit.parent).await;
    assert_eq!((served.kind, served.attributes["http.route"].as_str()), (2, "/api/holds"));
    assert_eq!(served.attributes["http.response.status_code"], "201");
    assert_eq!(served.attributes["request_id"], id, "the same id everywhere");
    let attempt = scene.until("the proxy", |span| span.id == served.parent).await;
    assert_eq!((attempt.kind, attempt.attributes["server.address"].as_str()), (3, "127.0.0.1"));
    let gate = scene.until("the gateway", |span| span.id == attempt.parent).await;
    assert_eq!((gate.kind, gate.parent.as_str(), gate.attributes["request_id"].as_str()), (2, "", id.as_str()));
    assert_eq!(gate.attributes["vestibule.decision"], "admit");
    // Who joined is told as well, down to the message to Redis.
    let join = scene.until("the join", |span| span.name == "line join").await;
    scene.until("Redis", |span| span.trace == join.trace && span.name == "redis").await;
    scene
        .until("the payment", |span| {
            span.attributes.get("http.route").is_some_and(|route| route.ends_with("/payments"))
        })
        .await;

    check_silence(scene, &visitor).await;
}

/// Looks for every secret in everything that is told.
async fn check_silence(scene: Scene, visitor: &Visitor) {
    let operator = scene.demo.operator();
    let token = scene.demo.said("token").to_owned();
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let told = operator.ask_with(&bearer, "POST", "/api/rooms/tatkal/pause", "").await;
    assert_eq!(told.status(), 200, "{}", told.text());
    let refused = operator.ask_with(&format!("Authorization: Bearer {BEARER}\r\n"), "GET", "/api/rooms", "").await;
    assert_eq!(refused.status(), 401);
    let log = operator.ask_with(&bearer, "GET", "/api/rooms/tatkal/log", "").await.text();
    let metrics = operator.text("/metrics").await;
    let booking = Operator { address: scene.demo.address("booking") }.text("/metrics").await;

    let Scene { collector, mut redis, demo, folder } = scene;
    redis.halt();
    demo.until_logged("the line rests").await;
    demo.signal("TERM");
    let (status, told) = demo.end().await;
    assert!(status.success(), "{told}");
    // What the demo prints for whoever started it is no log.
    let logs: String = told.lines().filter(|line| line.starts_with('{')).flat_map(|line| [line, "\n"]).collect();
    assert!(logs.lines().count() > 5, "{told}");
    let audit = std::fs::read_to_string(folder.path().join("audit.jsonl")).unwrap();
    assert!(audit.contains("pause"), "{audit}");
    let traces = String::from_utf8_lossy(&collector.bytes()).into_owned();
    assert!(traces.contains("vestibule.decision"));
    let sources = [("logs", logs), ("traces", traces), ("metrics", metrics + &booking), ("audit", audit), ("log", log)];

    let mut secrets = secrets_of_keys(&std::fs::read_to_string(folder.path().join("keys.toml")).unwrap());
    secrets.extend([PASSWORD, QUERY, COOKIE, BEARER, CARD, KEY].map(str::to_owned));
    secrets.extend(visitor.jar.values().cloned());
    secrets.insert(token);
    assert!(secrets.len() > 10, "{secrets:?}");
    for (name, source) in &sources {
        let found = secrets.iter().find(|secret| source.contains(secret.as_str()));
        let line = found.and_then(|secret| source.lines().find(|line| line.contains(secret.as_str())));
        assert_eq!(found, None, "in the {name}: {line:?}");
    }
}

/// Everything long in the file of the keys but their names and what is public.
fn secrets_of_keys(file: &str) -> BTreeSet<String> {
    let secret = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim().trim_matches('"').to_owned();
        (!matches!(name.trim(), "kid" | "id" | "public" | "name") && value.len() >= 24).then_some(value)
    };
    file.lines().filter_map(secret).collect()
}

/// A gateway with traces of what is slow or failed only.
fn tail_only(collector: &Collector, upstream: SocketAddr, folder: &std::path::Path) -> Process {
    let table = format!("[traces]\nendpoint = \"{}\"\nsample_ratio = 0.0\nslow = \"1h\"\n", collector.endpoint());
    let config = Setup::room("").data(&folder.join("data")).text(upstream) + &table;
    let file = write(folder, "vestibule.toml", &config);
    Process::start(&["--log", "json", "serve", "--config", text(&file)], 2)
}

#[tokio::test]
async fn what_fails_is_kept_and_its_id_is_in_the_answer_and_the_log() {
    let (collector, folder) = (Collector::start().await.unwrap(), tempfile::tempdir().unwrap());
    let upstream = Upstream::start().await;
    let process = tail_only(&collector, upstream.address, folder.path());
    let mut visitor = process.visitor().program();
    assert_eq!(visitor.get("/fine").await.status(), 200);
    let seen = upstream.seen();
    assert!(seen[0].header("traceparent").unwrap().ends_with("-00"), "nobody has to keep it: {seen:?}");
    let address = upstream.address;
    drop(upstream);
    let failed = visitor.get("/gone").await;
    assert!(failed.status() >= 502, "{}", failed.text());
    let id = failed.header("x-request-id").unwrap().to_owned();

    process.signal("TERM");
    let (_, logs) = process.end().await;
    let spans = collector.spans();
    assert!(spans.iter().all(|span| span.trace == id), "only what failed: {spans:?}");
    assert!(spans.iter().any(|span| span.kind == 3 && span.is_failed), "{spans:?}");
    let line = logs.lines().find(|line| line.contains("was not answered by the upstream")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["fields"]["request"], &line["span"]["request_id"]), (&json!(id), &json!(id)));
    let upstream = json!(format!("http://{address}"));
    assert_eq!((&line["fields"]["room"], &line["fields"]["upstream"]), (&json!("sale"), &upstream));
}

#[tokio::test]
async fn a_trace_of_a_trusted_proxy_goes_on_and_that_of_a_visitor_does_not() {
    let (collector, folder) = (Collector::start().await.unwrap(), tempfile::tempdir().unwrap());
    let upstream = Upstream::start().await;
    let ours = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let table = format!("[traces]\nendpoint = \"{}\"\nsample_ratio = 0.0\n", collector.endpoint());
    for (name, trusted, goes_on) in [("a", "trusted_proxies = [\"127.0.0.1\"]", true), ("b", "", false)] {
        let home = folder.path().join(name);
        std::fs::create_dir(&home).unwrap();
        let config = Setup::room("").top(trusted).data(&home.join("data")).text(upstream.address) + &table;
        let file = write(&home, "vestibule.toml", &config);
        let process = Process::start(&["serve", "--config", text(&file)], 2);
        let mut visitor = process.visitor().with("traceparent", ours).with("x-request-id", "forged");
        assert_eq!(visitor.get("/").await.status(), 200);
        let seen = upstream.seen().pop().unwrap();
        let parent = seen.header("traceparent").unwrap();
        assert_eq!(parent[..35] == ours[..35], goes_on, "{parent}");
        assert_eq!(parent.ends_with("-01"), goes_on, "a visitor does not say what is kept");
        assert_eq!(seen.header("x-request-id"), Some(&parent[3..35]));
    }
}
