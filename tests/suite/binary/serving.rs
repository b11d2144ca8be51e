//! The program while it serves: drain, reload, demo.

use serde_json::Value;
use tokio::net::TcpStream;

use crate::gateway::stand::{Operator, Setup, eventually, exchange, json};
use crate::gateway::upstream::Upstream;
use crate::gateway::visitor::Visitor;
use crate::program::{Process, text, write};
use crate::proxy::wire::{Wire, within};

#[tokio::test]
async fn a_request_under_way_ends_well_when_it_is_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let setup = Setup::room("").data(&folder.path().join("data"));
    let process = Process::serve(&setup, upstream.address, folder.path());
    let (mut visitor, address) = (process.visitor(), process.gateway());
    visitor.get("/").await;
    let mut slow = visitor.clone();
    let slow = tokio::spawn(async move { slow.get("/slow").await });
    eventually("the slow request", async || (upstream.count("/slow") == 1).then_some(())).await;
    process.signal("TERM");
    let refused = async || tokio::net::TcpStream::connect(address).await.is_err().then_some(());
    eventually("a closed door", refused).await;
    assert!(!slow.is_finished());
    upstream.release();
    assert_eq!(slow.await.unwrap().text(), "the site at /slow");
    let (status, logs) = process.end().await;
    assert_eq!(status.code(), Some(0), "{logs}");
    assert!(!logs.contains("dropped") && logs.contains("stopping"), "nothing was cut off: {logs}");
    for secret in [visitor.ticket(), visitor.pass()] {
        assert!(!logs.contains(&secret), "{logs}");
    }
}

#[tokio::test]
async fn a_stop_is_announced_before_the_doors_close() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let setup = Setup::room("").top("notice = \"20s\"").data(&folder.path().join("data"));
    let process = Process::serve(&setup, upstream.address, folder.path());
    let (operator, mut visitor) = (process.operator(), process.visitor());
    assert_eq!(visitor.get("/").await.header("connection"), None, "the connection is kept");
    assert_eq!(operator.ask("GET", "/readyz", "").await.status(), 200);
    process.signal("TERM");
    let refused = async || (operator.ask("GET", "/readyz", "").await.status() == 503).then_some(());
    eventually("the notice", refused).await;
    let late = visitor.get("/").await;
    assert_eq!((late.text().as_str(), late.header("connection")), ("the site at /", Some("close")));
    let mut live = visitor.live().await;
    live.until(|status| status["state"].is_string()).await;
}

#[tokio::test]
async fn what_does_not_end_is_cut_when_the_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let setup = Setup::room("").data(&folder.path().join("data"));
    let process = Process::serve(&setup, upstream.address, folder.path());
    let mut visitor = process.visitor();
    visitor.get("/").await;
    let mut socket = visitor.socket("/socket").await.unwrap();
    socket.say("hello").await;
    assert_eq!(socket.text().await.as_deref(), Some("hello"));
    process.signal("INT");
    let (status, logs) = process.end().await;
    assert_eq!(status.code(), Some(0), "{logs}");
    assert!(logs.contains("connections that were still open are dropped"), "{logs}");
    assert_eq!(socket.text().await, None);
}

#[tokio::test]
async fn a_hang_up_takes_new_limits_and_leaves_a_bad_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let data = folder.path().join("data");
    let process =
        Process::serve(&Setup::room("admissions_per_second = 0").data(&data), upstream.address, folder.path());
    let operator = process.operator();
    let mut visitor = process.visitor();
    visitor.get("/").await;
    write(folder.path(), "vestibule.toml", "nonsense");
    process.signal("HUP");
    process.until_logged("the changed configuration was not taken").await;
    assert_eq!(visitor.status().await["state"], "waiting", "the old one goes on");
    let newer = Setup::room("admissions_per_second = 7\ntotal_active_users = 3").data(&data);
    write(folder.path(), "vestibule.toml", &newer.text(upstream.address));
    process.signal("HUP");
    let room = operator.until("the new rate", |room| room["admissions_per_second"] == 7.0).await;
    assert_eq!(room["total_active_users"], 3);
    visitor.until_state("called").await;
    process.signal("TERM");
    let (status, logs) = process.end().await;
    assert!(status.success() && !logs.contains('\x1b'), "colours are for terminals: {logs}");
}

#[tokio::test]
async fn a_variable_that_sets_nothing_is_logged_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let setup = Setup::room("").data(&folder.path().join("data"));
    let file = write(folder.path(), "vestibule.toml", &setup.text(upstream.address));
    let process = Process::start_in(&[("VESTIBULE_LISTN", "127.0.0.1:1")], &["serve", "--config", text(&file)], 2);
    process.until_logged("VESTIBULE_LISTN is ignored").await;
}

#[tokio::test]
async fn the_demo_is_everything_in_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    let any = "127.0.0.1:0";
    let words =
        ["demo", "--listen", any, "--admin", any, "--booking", any, "--data", &data, "--rate", "100", "--log", "json"];
    let process = Process::start(&words, 5);
    let printed: Vec<&str> = process.lines.iter().map(|(word, _)| word.as_str()).collect();
    assert_eq!(printed, ["gateway", "console", "booking", "lab", "token"]);
    let token = process.said("token");
    let console: Operator = process.operator();
    let shown = format!("Authorization: Bearer {token}\r\n");
    let rooms = json(&console.ask_with(&shown, "GET", "/api/rooms", "").await);
    assert_eq!((&rooms["rooms"][0]["name"], &rooms["gateway"]["store"]), (&"tatkal".into(), &"embedded".into()));
    let booking = process.address("booking");
    assert_eq!(exchange(booking, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.status(), 200);

    let mut visitor: Visitor = process.visitor().program();
    visitor.get("/").await;
    let found = json(&visitor.get("/api/stations?q=delhi").await);
    assert!(!matches!(found, Value::Null) && found.to_string().to_lowercase().contains("delhi"), "{found}");
    process.signal("TERM");
    let (status, logs) = process.end().await;
    assert_eq!(status.code(), Some(0), "{logs}");
    let parsed = logs.lines().filter(|line| line.starts_with('{')).map(serde_json::from_str::<Value>);
    assert!(parsed.map(Result::unwrap).any(|line| line["fields"]["message"].as_str().unwrap().contains("stopping")));
}

#[tokio::test]
async fn a_demo_that_was_left_closed_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    let any = "127.0.0.1:0";
    let words = ["demo", "--listen", any, "--admin", any, "--booking", any, "--data", &data];
    for (action, left) in [("close", "closed"), ("pause", "paused")] {
        let first = Process::start(&words, 5);
        let shown = format!("Authorization: Bearer {}\r\n", first.said("token"));
        let answer = first.operator().ask_with(&shown, "POST", &format!("/api/rooms/tatkal/{action}"), "").await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        first.signal("TERM");
        first.end().await;
        let again = Process::start(&words, 5);
        again.until_logged(&format!("Room tatkal is {left}, as you left it: open it on the console; --data")).await;
    }
}

/// Scenario 33. The files that a gateway may open are nearly all visitors' connections, but it is somebody else who has
/// taken some of them here: the upstream's connections, and the gateway's own.
#[tokio::test]
async fn when_no_file_descriptor_is_left_those_who_are_in_are_served_and_it_is_said_once() {
    const FILES: usize = 96;
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let setup = Setup::room("").data(&folder.path().join("data"));
    let file = write(folder.path(), "vestibule.toml", &setup.text(upstream.address));
    let process = Process::start_with_files(FILES, &["serve", "--config", text(&file)], 2);
    let mut inside = Wire::new(TcpStream::connect(process.gateway()).await.unwrap());
    let request = process.visitor().head("GET", "/inside") + "\r\n";
    let mut is_served = async || {
        inside.send(&request).await.unwrap();
        within(inside.message(false)).await.unwrap().status() == 200
    };
    assert!(is_served().await);
    let mut crowd = Vec::new();
    for _ in 0..FILES {
        crowd.push(TcpStream::connect(process.gateway()).await.unwrap());
    }
    process.until_logged("the limit of open files may be too low").await;
    assert!(is_served().await, "a connection that is there goes on");
    drop(crowd);
    let late = process.visitor().head("GET", "/late") + "\r\n";
    let newcomer = async || {
        let mut wire = Wire::new(TcpStream::connect(process.gateway()).await.ok()?);
        wire.send(&late).await.ok()?;
        wire.message(false).await.ok().filter(|answer| answer.status() == 200)
    };
    eventually("a place for a newcomer", newcomer).await;
    process.signal("TERM");
    let (status, logs) = process.end().await;
    assert_eq!(status.code(), Some(0), "{logs}");
    assert!(logs.matches("the limit of open files may be too low").count() < 5, "it is no flood: {logs}");
}
