//! What visitors give up themselves, and what operators do through the admin API.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json as value;
use vestibule::audit;

use super::stand::{Setup, eventually, json};

const SHUT: &str = "admissions_per_second = 0";

#[tokio::test]
async fn leaving_gives_the_place_up() {
    let stand = Setup::room(SHUT).start().await;
    let mut line = stand.waiting(2).await;
    let from_elsewhere = line[0].clone().with("Origin", "http://evil.example").post("/.vestibule/leave", "").await;
    assert_eq!(from_elsewhere.status(), 403);
    assert_eq!(line[0].position().await, Some(1));
    let goodbye = line[0].post("/.vestibule/leave?room=sale", "").await;
    assert!(goodbye.status() == 200 && goodbye.text().contains("left the line"));
    assert_eq!(line[0].ticket(), "");
    line[1].until("the first place", |status| status["position"] == 1).await;
    line[0].get("/").await;
    assert_eq!((line[0].number().await, line[0].position().await), (3, Some(2)), "at the end");
    assert_eq!(stand.operator.room().await["left"], 1);
    stand.stop().await;
}

#[tokio::test]
async fn a_paused_room_keeps_its_line_and_a_closed_one_takes_nobody() {
    let stand = Setup::room("").start().await;
    stand.operator.act("pause", "").await;
    stand.operator.until("the pause", |room| room["phase"] == "paused").await;
    let mut waiting = stand.waiting(1).await.remove(0);
    assert_eq!(waiting.until_state("paused").await["position"], 1);
    stand.operator.act("close", "").await;
    stand.operator.until("the close", |room| room["phase"] == "closed").await;
    let late = stand.visitor().program().get("/").await;
    assert_eq!((late.status(), &json(&late)["type"]), (503, &value!("/problems/closed")));
    assert_eq!(waiting.position().await, Some(1), "places are kept");
    let page = waiting.get("/").await.text();
    assert!(page.contains("class=\"place\" data-show=\"waiting paused sold_out kept\">"), "and shown: {page}");
    stand.operator.act("resume", "").await;
    waiting.until_state("called").await;
    assert_eq!(waiting.get("/").await.text(), "the site at /");
    stand.stop().await;
}

#[tokio::test]
async fn a_draining_room_lets_in_those_in_line_and_nobody_else() {
    let stand = Setup::room(SHUT).start().await;
    let mut line = stand.waiting(3).await;
    stand.operator.act("drain", "").await;
    stand.operator.until("the draining", |room| room["phase"] == "draining").await;
    let metrics = stand.operator.text("/metrics").await;
    assert!(metrics.contains("vestibule_room_phase{phase=\"draining\",room=\"sale\"} 1"));
    assert_eq!(line[2].until_state("waiting").await["position"], 3);
    let late = stand.visitor().program().get("/").await;
    assert_eq!((late.status(), &json(&late)["type"]), (503, &value!("/problems/draining")));
    assert!(stand.visitor().get("/").await.text().contains("The line takes nobody else"));
    let app = stand.visitor().program().post("/.vestibule/join", r#"{"room":"sale"}"#).await;
    assert_eq!(app.status(), 503);
    stand.operator.limit(r#"{"admissions_per_second":null}"#).await;
    for visitor in &mut line {
        visitor.until_state("called").await;
        assert_eq!(visitor.get("/").await.text(), "the site at /");
    }
    assert_eq!(stand.visitor().program().get("/").await.status(), 503, "an empty line takes nobody either");
    assert!(stand.operator.text("/api/audit").await.contains("\"drain\""));
    stand.operator.act("open", "").await;
    stand.operator.until("the opening", |room| room["phase"] == "open").await;
    assert_eq!(stand.visitor().get("/").await.text(), "the site at /");
    stand.stop().await;
}

#[tokio::test]
async fn limits_message_and_reset_reach_everyone() {
    let stand = Setup::room(SHUT).start().await;
    let mut line = stand.waiting(3).await;
    stand.operator.limit(r#"{"admissions_per_second":0.5,"total_active_users":2,"grace_seconds":60}"#).await;
    line[2].until("the rate", |status| status["admissions_per_second"] == 0.5).await;
    line[0].until_state("called").await;
    stand.operator.limit(r#"{"admissions_per_second":null}"#).await;
    line[1].until_state("called").await;
    assert_eq!(line[2].position().await, Some(1), "two sessions at most");
    stand.operator.act("message", r#"{"text":" Please wait "}"#).await;
    line[2].until("the message", |status| status["message"] == "Please wait").await;
    stand.operator.act("reset", "").await;
    line[2].until_state("lapsed").await;
    let room = stand.operator.room().await;
    assert_eq!((&room["waiting"], &room["grace_seconds"], &room["burst"]), (&value!(0), &value!(60), &value!(1)));
    stand.stop().await;
}

#[tokio::test]
async fn nobody_steers_without_the_token() {
    let stand = Setup::room(SHUT).start().await;
    let wrong = "Authorization: Bearer the-operators-own-tokem\r\n";
    for (headers, method, path) in [
        ("", "GET", "/api/rooms"),
        ("", "GET", "/api/audit"),
        (wrong, "POST", "/api/rooms/sale/close"),
        ("Authorization: Basic eA==\r\n", "PATCH", "/api/rooms/sale"),
        ("", "GET", "/api/rooms/sale/log"),
    ] {
        let answer = stand.operator.ask_with(headers, method, path, "{}").await;
        assert_eq!((answer.status(), answer.header("www-authenticate")), (401, Some("Bearer")), "{path}");
        assert!(json(&answer)["detail"].as_str().unwrap().contains("Authorization: Bearer"));
    }
    assert_eq!(stand.operator.room().await["phase"], "open");
    for (path, text) in [("/healthz", "alive\n"), ("/readyz", "ready\n")] {
        assert_eq!(stand.operator.ask_with("", "GET", path, "").await.text(), text);
    }
    let description = json(&stand.operator.ask_with("", "GET", "/api/openapi.json", "").await);
    let paths = ["", "/{room}", "/{room}/log", "/{room}/pause", "/{room}/sold-out", "/{room}/admit"];
    for path in paths.map(|path| format!("/api/rooms{path}")) {
        assert!(description["paths"][&path].is_object(), "{path} is not described");
    }
    let console = stand.operator.ask_with("", "GET", "/", "").await;
    assert!(console.header("content-security-policy").unwrap().starts_with("default-src 'self'"));
    stand.stop().await;
}

#[tokio::test]
async fn nonsense_is_refused_with_a_word_on_what_would_be_right() {
    let stand = Setup::room(SHUT).start().await;
    let sale = "/api/rooms/sale";
    for (method, action, body, status, says) in [
        ("PATCH", "", r#"{"admissions_per_second":"many"}"#, 422, "expected f64"),
        ("PATCH", "", r#"{"admissions_per_second":-1}"#, 422, "from 0 to 1000000"),
        ("PATCH", "", r#"{"admission_rate":1}"#, 422, "unknown field `admission_rate`, expected one of"),
        ("PATCH", "", r#"{"burst":0}"#, 422, "burst is from 1 to"),
        ("PATCH", "", r#"{"session_duration_seconds":0}"#, 422, "session_duration_seconds is from 1 to"),
        ("PATCH", "", r#"{"grace_seconds":1e9}"#, 422, "expected u64"),
        ("PATCH", "", "[", 422, "does not fit"),
        ("POST", "/admit", r#"{"count":0}"#, 422, "count is from 1 to 100000"),
        ("POST", "/admit", "", 422, "missing field `count`"),
        ("POST", "/message", r#"{"txt":"x"}"#, 422, "expected `text`"),
        ("POST", "/sold-out", r#"{"key":""}"#, 422, "1 to 256 bytes"),
        ("POST", "/stock", r#"{"key":"a"}"#, 422, "missing field `available`"),
        ("POST", "/explode", "{}", 404, "The actions are pause,"),
        ("GET", "/log/x", "", 404, "nothing at this address"),
    ] {
        let answer = stand.operator.ask(method, &format!("{sale}{action}"), body).await;
        assert_eq!(answer.status(), status, "{method} {action} {body}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{action} {body}");
        let detail = json(&answer)["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says), "{action} {body}: {detail}");
    }
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(501));
    assert_eq!(stand.operator.ask("POST", &format!("{sale}/message"), &long).await.status(), 422);
    let nowhere = stand.operator.ask("POST", "/api/rooms/none/pause", "").await;
    assert_eq!((nowhere.status(), &json(&nowhere)["type"]), (404, &value!("/problems/no_room")));
    assert_eq!(json(&stand.operator.ask("GET", "/api/audit", "").await)["entries"], value!([]), "nothing was changed");
    stand.stop().await;
}

#[tokio::test]
async fn every_change_is_in_the_trail_with_who_and_when() {
    let folder = tempfile::tempdir().unwrap();
    let stand = Setup::room(SHUT).data(folder.path()).manual().start().await;
    stand.operator.act("pause", "").await;
    stand.clock.advance_ms(5);
    stand.operator.limit(r#"{"burst":7}"#).await;
    let at = stand.clock.now_ms();
    let expected = value!([
        {"at": at, "who": "asha", "action": "limits", "room": "sale", "detail": r#"{"burst":7}"#},
        {"at": at - 5, "who": "asha", "action": "pause", "room": "sale", "detail": ""},
    ]);
    assert_eq!(json(&stand.operator.ask("GET", "/api/audit", "").await)["entries"], expected);
    stand.stop().await;
    let kept = std::fs::read_to_string(folder.path().join("audit.jsonl")).unwrap();
    assert_eq!(kept.lines().count(), 2);
}

#[tokio::test]
async fn the_exported_log_holds_and_an_edited_one_does_not() {
    let stand = Setup::room(SHUT).start().await;
    let mut line = stand.waiting(5).await;
    stand.operator.act("admit", r#"{"count":2}"#).await;
    line[1].until_state("called").await;
    line[2].post("/.vestibule/leave", "").await;
    stand.operator.until("the leave", |room| room["left"] == 1).await;
    let log = stand.operator.text("/api/rooms/sale/log").await;
    let (summary, findings) = audit::verify(log.lines());
    assert_eq!((findings.len(), summary.called), (0, 2), "{findings:?}");
    let edited = log.replacen("\"called\":\"1-2\"", "\"called\":\"1-3\"", 1);
    assert_ne!(edited, log);
    assert_ne!(audit::verify(edited.lines()).1, []);
    stand.stop().await;
}

/// The gateway's metrics of the contract.
const METRICS: [&str; 24] = [
    "adaptive_rate",
    "upstream_latency_seconds",
    "upstream_baseline_seconds",
    "upstream_error_ratio",
    "upstream_in_flight",
    "arrivals_total",
    "admissions_total",
    "left_total",
    "lapsed_total",
    "waiting",
    "present",
    "active_sessions",
    "admission_rate_limit",
    "wait_seconds",
    "eta_error_ratio",
    "live_connections",
    "live_frames_total",
    "sold_out_responses_total",
    "proxy_requests_total",
    "proxy_duration_seconds",
    "refused_total",
    "store_up",
    "store_call_seconds",
    "restores_total",
];

#[tokio::test]
async fn the_metrics_are_those_of_the_contract() {
    let stand = Setup::room(SHUT).start().await;
    let mut visitor = stand.admitted().await;
    let live = stand.waiting(1).await[0].live().await;
    stand.operator.act("sold-out", r#"{"key":"/gone"}"#).await;
    assert_eq!(visitor.get("/gone").await.status(), 410);
    assert_eq!(visitor.get("/.vestibule/nothing").await.status(), 404);
    stand.operator.until("a second live tick", |room| room["live_connections"] == 1).await;
    stand.operator.until("two places", |room| room["waiting"] == 1).await;
    let text = stand.operator.text("/metrics").await;
    let missing = |name: &&str| !text.contains(&format!("# TYPE vestibule_{name} "));
    assert_eq!(METRICS.into_iter().filter(missing).collect::<Vec<_>>(), Vec::<&str>::new());
    drop(live);

    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool is installed, with prometheus");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let checked = promtool.wait_with_output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    for (name, expected) in [
        ("vestibule_arrivals_total", 2.0),
        ("vestibule_admissions_total", 1.0),
        ("vestibule_sold_out_responses_total", 1.0),
        ("vestibule_proxy_requests_total", 1.0),
        ("vestibule_admission_rate_limit", 0.0),
        ("vestibule_wait_seconds_count", 1.0),
        ("vestibule_refused_total", 1.0),
        ("vestibule_store_up", 1.0),
    ] {
        let holds = async || (stand.operator.metric(name).await == expected).then_some(());
        eventually(&format!("{name} at {expected}"), holds).await;
    }
    for secret in [visitor.ticket(), visitor.pass(), "127.0.0.1".to_owned(), "/gone".to_owned()] {
        assert!(!text.contains(&secret), "{secret} is in the metrics");
    }
    stand.stop().await;
}
