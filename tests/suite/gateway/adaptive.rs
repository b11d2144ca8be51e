//! A rate that follows the upstream's health, seen from outside: console, status, log and metrics.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use booking_core::app::App;
use booking_core::clock::SystemClock;
use booking_core::config::Config as BookingConfig;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vestibule::audit;

use super::stand::{Setup, Stand, eventually, json};
use super::upstream::Upstream;
use super::visitor::Visitor;
use crate::redis_server::RedisServer;

const ADAPTIVE: &str = "admissions_per_second = 50\n[room.sale.adaptive]\nfloor = 5\n";

/// Asks so often that the law hears enough; each second of the clock, the room thinks.
async fn ask(stand: &Stand, visitor: &mut Visitor, path: &str, seconds: u32) {
    for _ in 0..seconds {
        for _ in 0..25 {
            visitor.get(path).await;
        }
        stand.clock.advance_ms(1_000);
        stand.operator.ticks().await;
    }
}

#[tokio::test]
async fn a_room_slows_down_when_its_upstream_breaks_and_climbs_when_it_is_well() {
    let stand = Setup::room("admissions_per_second = 50").manual().start().await;
    let mut inside = stand.visitor();
    assert_eq!(inside.get("/").await.text(), "the site at /", "nobody waits");
    stand.operator.limit(r#"{"adaptive_floor":5}"#).await;
    ask(&stand, &mut inside, "/seats", 3).await;
    let well = stand.operator.room().await;
    assert_eq!((&well["admissions_per_second_now"], &well["adaptive_floor"]), (&50.0.into(), &5.0.into()));
    assert_eq!(well["adaptive"]["reason"], "at_ceiling");
    assert!(well["upstream"]["latency_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{well}");

    ask(&stand, &mut inside, "/broken", 8).await;
    let ill = stand.operator.until("the floor", |room| room["admissions_per_second_now"] == 5.0).await;
    assert_eq!(ill["adaptive"]["reason"], "errors");
    let words = ill["adaptive"]["words"].as_str().unwrap();
    assert!(
        words.starts_with("Slowed to 5/s: ") && words.ends_with("of the answers are errors, 5 % are borne"),
        "{words}"
    );
    assert_eq!(ill["admissions_per_second"], 50.0, "the ceiling is as it was set");
    for (name, expected) in [("vestibule_adaptive_rate", 5.0), ("vestibule_admission_rate_limit", 5.0)] {
        let holds = async || (stand.operator.metric(name).await == expected).then_some(());
        eventually(&format!("{name} at {expected}"), holds).await;
    }

    stand.operator.act("pause", "").await;
    let mut line = stand.waiting(2).await;
    line[1].until("the rate in force", |status| status["admissions_per_second"] == 5.0).await;
    stand.operator.act("resume", "").await;
    line[1].until_state("called").await;
    let log = stand.operator.text("/api/rooms/sale/log").await;
    assert!(log.contains("\"pace_us\":200000"), "{log}");
    assert_eq!(audit::verify(log.lines()).1, []);

    stand.operator.limit(r#"{"adaptive_floor":null}"#).await;
    let fixed = stand.operator.until("a fixed rate", |room| room["admissions_per_second_now"] == 50.0).await;
    assert_eq!((&fixed["adaptive_floor"], &fixed["burst"]), (&serde_json::Value::Null, &10.into()));
    stand.stop().await;
}

#[tokio::test]
async fn a_new_line_begins_at_its_floor_and_is_filled_as_the_upstream_bears_it() {
    let stand = Setup::room(ADAPTIVE).manual().start().await;
    stand.clock.advance_ms(1_000);
    stand.operator.until("the floor", |room| room["admissions_per_second_now"] == 5.0).await;
    let mut inside = stand.visitor();
    inside.get("/").await;
    stand.operator.limit(r#"{"total_active_users":1}"#).await;
    let _line = stand.waiting(1).await;
    ask(&stand, &mut inside, "/seats", 3).await;
    let full = stand.operator.room().await;
    assert_eq!(full["adaptive"]["reason"], "unused", "it is not the rate that keeps them: {full}");
    stand.stop().await;
}

#[tokio::test]
async fn nonsense_about_the_floor_is_refused() {
    let stand = Setup::room(ADAPTIVE).start().await;
    for (body, says) in [
        (r#"{"adaptive_floor":0}"#, "from 0.001"),
        (r#"{"adaptive_floor":51}"#, "adaptive_floor is above admissions_per_second; lower it"),
        (r#"{"admissions_per_second":4}"#, "adaptive_floor is above"),
        (r#"{"admissions_per_second":null}"#, "needs a ceiling"),
    ] {
        let answer = stand.operator.ask("PATCH", "/api/rooms/sale", body).await;
        assert_eq!(answer.status(), 422, "{body}");
        let detail = json(&answer)["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says), "{body}: {detail}");
    }
    assert_eq!(stand.operator.limit(r#"{"admissions_per_second":0}"#).await["admissions_per_second_now"], 0.0);
    stand.stop().await;
}

/// A site with a knee: it works on one request at a time, for ten milliseconds.
async fn one_by_one() -> Upstream {
    let turn = Arc::new(Mutex::new(()));
    let work = move || async move {
        let _turn = turn.lock().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        "done"
    };
    Upstream::serving(Router::new().fallback(work)).await
}

/// So many visitors ask at once, each again and again.
async fn crowd(visitor: &Visitor, visitors: usize, requests: usize) {
    let asking = (0..visitors).map(|_| async {
        for _ in 0..requests {
            visitor.clone().get("/seats").await;
        }
    });
    futures_util::future::join_all(asking).await;
}

#[tokio::test]
async fn a_site_that_is_asked_for_more_than_it_bears_is_sent_fewer() {
    let stand = Setup::room("admissions_per_second = 50\n[room.sale.adaptive]\ntolerance = 3.0\n");
    let stand = stand.manual().start_before(one_by_one().await).await;
    let mut inside = stand.visitor();
    assert_eq!(inside.get("/").await.text(), "done");
    stand.operator.limit(r#"{"adaptive_floor":5}"#).await;
    let second = async |visitors: usize| {
        crowd(&inside, visitors, 120 / visitors).await;
        stand.clock.advance_ms(1_000);
        stand.operator.ticks().await;
        stand.operator.room().await
    };
    for _ in 0..3 {
        second(1).await;
    }
    let baseline = stand.operator.room().await["adaptive"]["baseline_ms"].as_f64().unwrap();
    let mut room = second(40).await;
    for _ in 0..5 {
        room = second(40).await;
    }
    assert_eq!(room["adaptive"]["reason"], "slow", "forty at once wait forty times as long: {room}");
    assert!(room["upstream"]["latency_ms"].as_f64().unwrap() > 3.0 * baseline, "{room}");
    let slowed =
        stand.operator.until("a slower rate", |room| room["admissions_per_second_now"].as_f64() < Some(25.0)).await;
    assert!(slowed["adaptive"]["words"].as_str().unwrap().starts_with("Slowed to "), "{slowed}");

    for _ in 0..5 {
        room = second(1).await;
    }
    assert_ne!(room["adaptive"]["reason"], "slow", "it is well again: {room}");
    let log = stand.operator.text("/api/rooms/sale/log").await;
    assert_eq!(audit::verify(log.lines()).1, []);
    stand.stop().await;
}

/// The booking API of this project, with nothing on sale: its catalogue answers.
async fn booking(listener: TcpListener) -> (CancellationToken, JoinHandle<std::io::Result<()>>) {
    let config = BookingConfig { database: "sqlite::memory:".to_owned(), ..BookingConfig::default() };
    let app = App::start(config, Arc::new(SystemClock::new())).await.expect("a booking API");
    let end = CancellationToken::new();
    let ended = end.clone();
    (end, tokio::spawn(app.serve(listener, async move { ended.cancelled().await })))
}

#[tokio::test]
async fn before_the_real_booking_api_the_rate_falls_when_it_stops_and_climbs_when_it_is_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, serving) = booking(listener).await;
    let stand = Setup::room("admissions_per_second = 50").manual().start_before(Upstream::elsewhere(address)).await;
    let mut inside = stand.visitor();
    let trains = "/api/stations?q=delhi";
    assert_eq!(inside.get(trains).await.status(), 200);
    stand.operator.limit(r#"{"adaptive_floor":5}"#).await;
    ask(&stand, &mut inside, trains, 4).await;
    let well = stand.operator.room().await;
    assert_eq!((&well["admissions_per_second_now"], &well["upstream"]["error_ratio"]), (&50.0.into(), &0.0.into()));

    end.cancel();
    serving.await.unwrap().unwrap();
    ask(&stand, &mut inside, trains, 8).await;
    stand.operator.until("the floor", |room| room["admissions_per_second_now"] == 5.0).await;

    let listener = TcpListener::bind(address).await.unwrap();
    let (end, serving) = booking(listener).await;
    ask(&stand, &mut inside, trains, 6).await;
    let back = stand.operator.room().await;
    assert_eq!(
        (&back["upstream"]["error_ratio"], &back["adaptive"]["reason"]),
        (&0.0.into(), &"unused".into()),
        "{back}"
    );
    stand.operator.act("pause", "").await;
    let _line = stand.waiting(25).await;
    stand.operator.act("resume", "").await;
    ask(&stand, &mut inside, trains, 2).await;
    let wanted = stand.operator.room().await;
    assert_eq!(wanted["adaptive"]["reason"], "climbing", "{wanted}");
    assert!(wanted["adaptive"]["wish"].as_f64() > Some(5.0), "{wanted}");
    end.cancel();
    serving.await.unwrap().unwrap();
    stand.stop().await;
}

fn pair(redis: &RedisServer, keys: &Path) -> Setup {
    let store = format!("\n[store]\nurl = \"{}\"\n", redis.url());
    let room = "[room.sale]\nupstream = \"http://UPSTREAM\"\nadmissions_per_second = 50";
    Setup::rooms(&format!("{store}{room}\n")).top(&format!("keys = \"{}\"", keys.join("keys.toml").display()))
}

#[tokio::test]
async fn the_gateway_that_sees_an_ill_upstream_holds_the_whole_line_until_its_lease_is_over() {
    let (redis, keys) = (RedisServer::start(&[]), tempfile::tempdir().unwrap());
    let ill = pair(&redis, keys.path()).start().await;
    let well = pair(&redis, keys.path()).start().await;
    let mut inside = ill.visitor();
    assert_eq!(inside.get("/").await.text(), "the site at /");
    well.operator.limit(r#"{"adaptive_floor":5}"#).await;
    eventually("the floor, at the other gateway", async || {
        for _ in 0..25 {
            inside.get("/broken").await;
        }
        let room = well.operator.room().await;
        (room["admissions_per_second_now"] == 5.0 && room["adaptive"]["wish"] == 50.0).then_some(())
    })
    .await;
    ill.stop().await;
    well.operator.until("its own wish", |room| room["admissions_per_second_now"] == 50.0).await;
    let log = well.operator.text("/api/rooms/sale/log").await;
    assert_eq!(audit::verify(log.lines()).1, []);
    well.stop().await;
}
