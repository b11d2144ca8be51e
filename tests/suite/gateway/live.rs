//! The live connection: what it says and when, who may open it, and what it tells the line.

use std::time::Duration;

use super::stand::Setup;

const SHUT: &str = "admissions_per_second = 0";
const PATH: &str = "/.vestibule/live?room=sale";

#[tokio::test]
async fn frames_come_at_once_and_on_every_change() {
    let stand = Setup::room(SHUT).start().await;
    let line = stand.waiting(2).await;
    let mut live = line[1].live().await;
    let first = live.status().await;
    assert_eq!((&first["state"], &first["position"], &first["ahead"]), (&"waiting".into(), &2.into(), &1.into()));
    stand.operator.act("admit", r#"{"count":1}"#).await;
    let (frames, moved) = live.until(|status| status["position"] == 1).await;
    assert!(frames <= 2 && moved["as_of"].as_u64() >= first["as_of"].as_u64(), "{frames}: {moved}");
    stand.operator.act("message", r#"{"text":"Two more trains"}"#).await;
    live.until(|status| status["message"] == "Two more trains").await;
    stand.operator.act("admit", r#"{"count":1}"#).await;
    let (_, called) = live.until(|status| status["state"] == "called").await;
    assert!(called["session_ends_at"].as_u64() > called["called_at"].as_u64());
    let frames = stand.operator.metric("vestibule_live_frames_total").await;
    assert!((4.0..=7.0).contains(&frames), "changes are told, and nothing else: {frames}");
    stand.stop().await;
}

#[tokio::test]
async fn only_the_rooms_own_page_and_only_with_a_ticket() {
    let stand = Setup::room(SHUT).start().await;
    let visitor = stand.waiting(1).await.remove(0);
    assert_eq!(visitor.clone().with("Origin", "http://evil.example").refused_socket(PATH).await, 403);
    assert_eq!(visitor.clone().with("Origin", "null").refused_socket(PATH).await, 403);
    assert_eq!(stand.visitor().refused_socket(PATH).await, 401);
    assert_eq!(visitor.refused_socket("/.vestibule/live?room=other").await, 400);
    let own = format!("http://{}", visitor.host);
    assert_eq!(visitor.clone().with("Origin", &own).refused_socket(PATH).await, 101);
    assert_eq!(visitor.clone().get(PATH).await.status(), 400, "no handshake");
    stand.stop().await;
}

#[tokio::test]
async fn a_visitor_who_says_much_is_cut() {
    let stand = Setup::room(SHUT).start().await;
    let visitor = stand.waiting(1).await.remove(0);
    let (mut brief, mut wordy) = (visitor.live().await, visitor.live().await);
    brief.say("hello").await;
    wordy.say(&"x".repeat(2_000)).await;
    wordy.status().await;
    assert_eq!(wordy.text().await, None);
    stand.operator.until("one left", |room| room["live_connections"] == 1).await;
    stand.operator.act("admit", r#"{"count":1}"#).await;
    brief.until(|status| status["state"] == "called").await;
    stand.stop().await;
}

/// Their computer sleeps, or the network has forgotten the connection: nothing ends it but the pings.
#[tokio::test]
async fn a_visitor_who_answers_no_ping_is_gone_and_one_who_does_stays() {
    let stand = Setup::room(SHUT).start().await;
    let line = stand.waiting(2).await;
    let _deaf = line[0].live().await;
    let mut well = line[1].live().await;
    stand.operator.until("both", |room| room["live_connections"] == 2).await;
    let listening = tokio::spawn(async move { while well.text().await.is_some() {} });
    tokio::time::sleep(Duration::from_secs(42)).await;
    let room = stand.operator.until("one left", |room| room["live_connections"] == 1).await;
    assert_eq!(room["waiting"], 2, "away, and the place is kept");
    assert!(!listening.is_finished(), "whoever answers stays");
    stand.stop().await;
    listening.await.unwrap();
}

#[tokio::test]
async fn several_tabs_are_one_place() {
    let stand = Setup::room("admissions_per_second = 0\ngrace = \"1h\"").manual().start().await;
    let visitor = stand.waiting(1).await.remove(0);
    let mut tabs = Vec::new();
    for _ in 0..3 {
        tabs.push(visitor.live().await);
    }
    stand.operator.until("three tabs", |room| room["live_connections"] == 3 && room["present"] == 1).await;
    let room = stand.operator.room().await;
    assert_eq!((&room["issued"], &room["waiting"]), (&1.into(), &1.into()));
    stand.clock.advance_ms(30_000);
    tabs.truncate(1);
    stand.operator.until("one tab", |room| room["live_connections"] == 1).await;
    stand.operator.ticks().await;
    assert_eq!(stand.operator.room().await["present"], 1, "still here");
    tabs.clear();
    stand.operator.until("nobody here", |room| room["live_connections"] == 0 && room["present"] == 0).await;
    assert_eq!(stand.operator.room().await["waiting"], 1, "away, and the place is kept");
    stand.stop().await;
}

#[tokio::test]
async fn whoever_is_away_is_passed_over_and_called_first_on_return() {
    let stand = Setup::room("admissions_per_second = 0\ngrace = \"1h\"").manual().start().await;
    let mut line = stand.waiting(3).await;
    let _second = line[1].live().await;
    let _third = line[2].live().await;
    let first = line[0].live().await;
    stand.operator.until("all here", |room| room["present"] == 3 && room["live_connections"] == 3).await;
    drop(first);
    stand.operator.until("one left", |room| room["live_connections"] == 2).await;
    stand.clock.advance_ms(6_000);
    stand.operator.until("two here", |room| room["present"] == 2).await;
    stand.operator.act("admit", r#"{"count":1}"#).await;
    assert_eq!(line[1].until_state("called").await["number"], 2, "passed over");

    let mut back = line[0].live().await;
    assert_eq!(back.status().await["position"], 1, "the place is kept");
    stand.operator.until("back", |room| room["present"] == 2).await;
    stand.operator.act("admit", r#"{"count":1}"#).await;
    back.until(|status| status["state"] == "called").await;
    assert_eq!(line[2].position().await, Some(1));
    stand.stop().await;
}

#[tokio::test]
async fn polling_keeps_the_place_and_silence_loses_it() {
    let stand = Setup::room("admissions_per_second = 0\ngrace = \"20s\"").manual().start().await;
    let mut line = stand.waiting(2).await;
    for _ in 0..8 {
        assert_eq!(line[1].status().await["state"], "waiting");
        stand.clock.advance_ms(8_000);
        stand.operator.ticks().await;
    }
    assert_eq!(line[0].until_state("lapsed").await["position"], serde_json::Value::Null);
    assert_eq!(line[1].position().await, Some(1));
    let room = stand.operator.room().await;
    assert_eq!((&room["lapsed"], &room["waiting"]), (&1.into(), &1.into()));
    stand.stop().await;
}

#[tokio::test]
async fn whoever_is_called_and_never_comes_frees_the_slot() {
    let stand = Setup::room("total_active_users = 1\nsession_duration = \"30s\"").manual().start().await;
    stand.operator.act("pause", "").await;
    stand.operator.until("the pause", |room| room["phase"] == "paused").await;
    let mut line = stand.waiting(2).await;
    let mut second = line[1].live().await;
    stand.operator.act("resume", "").await;
    line[0].until_state("called").await;
    second.until(|status| status["position"] == 1).await;
    stand.clock.advance_ms(31_000);
    second.until(|status| status["state"] == "called").await;
    assert_eq!(line[0].status().await["state"], "lapsed");
    stand.stop().await;
}

#[tokio::test]
async fn a_stop_says_goodbye_to_live_connections() {
    let stand = Setup::room(SHUT).start().await;
    let mut live = stand.waiting(1).await[0].live().await;
    live.status().await;
    stand.stop().await;
    assert_eq!(live.text().await, None);
}
