//! Time: somebody sets a gateway's clock, and a line that is longer than a ticket is good for.

use serde_json::Value;
use vestibule::audit;
use vestibule::line::chain::Logged;
use vestibule::room::{TICKET_KEPT_MS, TICKET_LIFETIME_MS};

use super::stand::{Setup, Stand, json};
use super::visitor::{Visitor, set_cookies};
use crate::redis_server::RedisServer;

const HOUR_MS: u64 = 3_600_000;

/// Nobody is called, and places are kept however far the test turns the clock.
const PATIENT: &str = "admissions_per_second = 0\ngrace = \"10d\"";

#[tokio::test]
async fn whoever_polls_stays_here_when_somebody_sets_the_gateways_clock() {
    let redis = RedisServer::start(&[]);
    let store = format!("[store]\nurl = \"{}\"\n", redis.url());
    let tables = format!("{store}[room.sale]\nupstream = \"http://UPSTREAM\"\nadmissions_per_second = 0\n");
    let stand = Setup::rooms(&tables).manual().start().await;
    let mut line = stand.waiting(3).await;
    for visitor in &mut line {
        visitor.until_state("waiting").await;
    }
    stand.operator.until("all are here", |room| room["present"] == 3).await;
    let shown_us = stand.clock.now_us();
    for shown_us in [shown_us + HOUR_MS * 1_000, shown_us, shown_us - HOUR_MS * 1_000, shown_us] {
        stand.clock.set_us(shown_us);
        stand.operator.ticks().await;
        assert_eq!(stand.operator.room().await["present"], 3, "nobody has gone");
        for (i, visitor) in line.iter_mut().enumerate() {
            assert_eq!((visitor.number().await, visitor.position().await), (i as u64 + 1, Some(i as u64 + 1)));
        }
    }
    stand.clock.advance_ms(60_000);
    stand.operator.until("nobody has asked for a minute", |room| room["present"] == 0).await;
    stand.stop().await;
}

/// Lets hours go by, and has everybody ask once.
async fn wait_for_hours(stand: &Stand, hours: u64, line: &mut [Visitor]) {
    for _ in 0..hours / 4 {
        stand.clock.advance_ms(4 * HOUR_MS);
        stand.operator.ticks().await;
        for (i, visitor) in line.iter_mut().enumerate() {
            assert_eq!(visitor.position().await, Some(i as u64 + 1), "everybody has the place that they had");
        }
    }
}

#[tokio::test]
async fn three_days_in_line_keep_the_place_and_end_inside() {
    let stand = Setup::room(PATIENT).manual().start().await;
    let mut line = stand.waiting(3).await;
    let first = line[0].ticket();
    wait_for_hours(&stand, 12, &mut line).await;
    let renewed = line[0].ticket();
    assert_ne!(renewed, first, "renewed before half of its life was over");
    let old = Visitor { jar: [("vestibule-ticket-sale".to_owned(), first.clone())].into(), ..line[0].clone() };
    assert_eq!(old.clone().number().await, 1, "the old one is good as well, and the same place");
    assert_eq!(stand.operator.room().await["waiting"], 3);
    wait_for_hours(&stand, 60, &mut line).await;
    assert_eq!(old.clone().status().await["state"], "none", "its day is over");

    stand.operator.until("they are here", |room| room["present"] == 3).await;
    stand.operator.act("admit", r#"{"count":1}"#).await;
    line[0].until_state("called").await;
    assert_eq!(line[0].get("/").await.text(), "the site at /");
    let receipt = json(&line[0].get("/.vestibule/receipt").await);
    assert_eq!((&receipt["number"], receipt["entry"]["called"].as_str()), (&Value::from(1), Some("1")));
    let log = stand.operator.text("/api/rooms/sale/log").await;
    assert_eq!(audit::verify(log.lines()).1, []);
    let logged = log.lines().skip(1).map(|line| serde_json::from_str::<Logged>(line).unwrap());
    let receipt: Logged = serde_json::from_value(receipt["entry"].clone()).unwrap();
    assert_eq!(logged.filter(|logged| *logged == receipt).count(), 1, "the log has the receipt's entry");
    stand.stop().await;
}

#[tokio::test]
async fn a_live_connection_is_ended_so_that_the_next_brings_a_new_ticket() {
    let stand = Setup::room(PATIENT).manual().start().await;
    let mut visitor = stand.waiting(1).await.remove(0);
    let first = visitor.ticket();
    let mut live = visitor.live().await;
    live.status().await;
    stand.clock.advance_ms(TICKET_KEPT_MS);
    while live.text().await.is_some() {}
    stand.operator.ticks().await;
    assert_eq!(stand.operator.room().await["present"], 1, "whoever is asked to connect again is still here");
    let mut live = visitor.live_with_cookies().await;
    assert_eq!(live.status().await["position"], 1);
    assert_ne!(visitor.ticket(), first);
    stand.clock.advance_ms(TICKET_LIFETIME_MS / 4 - HOUR_MS);
    live.status().await;
    stand.clock.advance_ms(TICKET_LIFETIME_MS / 2);
    assert_eq!(visitor.position().await, Some(1), "by now the first would be too old");
    stand.stop().await;
}

#[tokio::test]
async fn an_app_without_cookies_gets_its_new_ticket_in_a_header() {
    let stand = Setup::room(PATIENT).manual().start().await;
    stand.waiting(1).await;
    let joined = json(&stand.visitor().program().post("/.vestibule/join", "").await);
    let ticket = joined["ticket"].as_str().unwrap().to_owned();
    let mut app = stand.visitor().program().with("Vestibule-Ticket", &ticket);
    let early = app.get("/.vestibule/status").await;
    assert_eq!(early.header("vestibule-ticket"), None, "it is new");
    stand.clock.advance_ms(TICKET_KEPT_MS);
    let late = app.get("/.vestibule/status").await;
    let renewed = late.header("vestibule-ticket").expect("another one").to_owned();
    assert!(set_cookies(&late).is_empty() && late.header("cache-control") == Some("no-store"));
    let again = json(&app.post("/.vestibule/join", "").await);
    assert_ne!(again["ticket"], ticket.as_str(), "a join hands it out as well");
    let mut app = stand.visitor().program().with("Vestibule-Ticket", &renewed);
    assert_eq!((app.number().await, app.position().await), (2, Some(2)));
    stand.stop().await;
}

#[tokio::test]
async fn nothing_is_renewed_by_a_clock_that_is_wrong() {
    let redis = RedisServer::start(&[]);
    let store = format!("[store]\nurl = \"{}\"\n", redis.url());
    let tables = format!("{store}[room.sale]\nupstream = \"http://UPSTREAM\"\n{PATIENT}\n");
    let setup = Setup::rooms(&tables).manual();
    let real_us = vestibule::clock::Clock::system().now_us();
    setup.clock.set_us(real_us);
    let stand = setup.start().await;
    let mut visitor = stand.waiting(1).await.remove(0);
    let first = visitor.ticket();
    stand.clock.set_us(real_us + 13 * HOUR_MS * 1_000);
    assert_eq!(visitor.position().await, Some(1));
    assert_eq!(visitor.ticket(), first, "else it would be of the future when the clock is right again");
    stand.clock.set_us(real_us);
    assert_eq!(visitor.position().await, Some(1));
    stand.stop().await;
}
