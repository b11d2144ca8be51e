//! The concurrency lab: the broken ways do sell a seat twice when the statements come in the order that hurts, and the
//! others do not in any order; on both databases, with a real Redis.

use std::sync::Arc;

use booking_core::clock::SystemClock;
use booking_core::config::Database as Address;
use booking_core::lab::way::{Ending, Way};
use booking_core::lab::{Lab, MOST_RACES, Outcome, PEOPLE, Pace, RaceView, Refusal, SEATS, Standing};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::database::{Database, on_both};
use crate::redis_server::RedisServer;
use crate::world::{Site, site_config};

const SAFE: [Way; 6] = [Way::Conditional, Way::Pessimistic, Way::Optimistic, Way::SeatKey, Way::SeatLock, Way::Tickets];

/// Orders in which two people are clicked, again and again until both are at the end.
const ORDERS: [&[usize]; 7] = [
    &[1, 2],
    &[2, 1, 1],
    &[1, 1, 2, 2],
    &[1, 1, 1, 2, 2, 2],
    &[1, 2, 2, 2, 2, 2, 2, 2],
    &[1, 1, 2, 2, 2, 2, 2, 2, 1],
    &[1, 1, 1, 1, 1, 1, 1, 1],
];

fn lab(db: &Database) -> Lab {
    let address = Address::parse(&db.url).unwrap();
    Lab::new(&address, Some(&RedisServer::shared().url()), Arc::new(SystemClock::new())).unwrap()
}

fn endings(view: &RaceView) -> Vec<Option<Ending>> {
    let ending = |standing: &Standing| match standing {
        Standing::Over { ending } => Some(*ending),
        _ => None,
    };
    view.people.iter().map(ending).collect()
}

fn is_ready(view: &RaceView, person: usize) -> bool {
    matches!(view.people[person - 1], Standing::Ready { .. })
}

/// Clicks in an order until both are at the end. Whoever waits for the other is passed over.
async fn play(lab: &Lab, id: &str, order: &[usize]) -> RaceView {
    for &person in order.iter().cycle() {
        let mut view = lab.view(id).await.unwrap();
        while !view.over && !is_ready(&view, 1) && !is_ready(&view, 2) {
            view = lab.view(id).await.unwrap();
        }
        if view.over {
            return view;
        }
        let person = if is_ready(&view, person) { person } else { 3 - person };
        if is_ready(&view, person) {
            lab.click(id, person, Pace::Step).await.unwrap();
        }
    }
    unreachable!("a cycle does not end")
}

on_both! {
    async fn read_then_write_sells_one_seat_twice_when_both_read_first(db: Database) {
        let lab = lab(&db);
        let race = lab.begin(Way::ReadThenWrite).await.unwrap();
        assert_eq!((race.table.available, race.table.holds.len()), (1, 0));
        let view = play(&lab, &race.id, &[1, 2]).await;
        assert_eq!(endings(&view), [Some(Ending::Sold); 2]);
        assert_eq!((view.table.available, view.table.oversold()), (0, 1));
        assert_eq!(view.table.holds, [(1, 0), (2, 0)]);
        let said: Vec<&str> = view.log.iter().filter_map(|line| line.said.as_deref()).collect();
        assert_eq!(said, ["available = 1", "available = 1", "1 row", "1 row", "1 row", "1 row"]);
        // The same statements, one person after the other: nobody would notice anything.
        let race = lab.begin(Way::ReadThenWrite).await.unwrap();
        let view = play(&lab, &race.id, &[1; 8]).await;
        assert_eq!(endings(&view), [Some(Ending::Sold), Some(Ending::Refused)]);
        assert_eq!(view.table.oversold(), 0);
        lab.stop().await;
    }
}

/// PostgreSQL lets the second overwrite what the first has written; SQLite sees that what was read is old.
#[tokio::test]
async fn a_transaction_around_it_does_not_help_on_postgres_and_is_refused_by_sqlite() {
    for (db, oversold, second) in
        [(Database::postgres().await, 1, Ending::Sold), (Database::sqlite(), 0, Ending::Failed)]
    {
        let lab = lab(&db);
        let race = lab.begin(Way::ReadThenWriteInTransaction).await.unwrap();
        let view = play(&lab, &race.id, &[1, 2]).await;
        assert_eq!(endings(&view), [Some(Ending::Sold), Some(second)], "{:?}", view.log);
        assert_eq!(view.table.oversold(), oversold);
        lab.stop().await;
    }
}

on_both! {
    async fn every_other_way_sells_it_once_in_whatever_order(db: Database) {
        let lab = lab(&db);
        for way in SAFE {
            for order in ORDERS {
                let race = lab.begin(way).await.unwrap();
                let view = play(&lab, &race.id, order).await;
                let sold = endings(&view).iter().filter(|ending| **ending == Some(Ending::Sold)).count();
                assert_eq!((sold, view.table.holds.len(), view.table.available), (1, 1, 0), "{way:?} {order:?}: {:#?}", view.log);
                assert!(!endings(&view).contains(&Some(Ending::Failed)), "{way:?} {order:?}: {:#?}", view.log);
                lab.close(&race.id).await;
            }
        }
        lab.stop().await;
    }
}

on_both! {
    async fn at_full_speed_it_is_sold_once_too(db: Database) {
        let lab = lab(&db);
        for way in SAFE {
            let race = lab.begin(way).await.unwrap();
            let mut view = lab.run(&race.id).await.unwrap();
            while !view.over {
                view = lab.view(&race.id).await.unwrap();
            }
            assert_eq!((view.table.holds.len(), view.table.available), (1, 0), "{way:?}: {:#?}", view.log);
            assert_eq!(lab.run(&race.id).await.unwrap_err(), Refusal::Over);
            lab.close(&race.id).await;
        }
        lab.stop().await;
    }
}

on_both! {
    async fn whoever_wants_a_row_that_another_has_locked_waits(db: Database) {
        let lab = lab(&db);
        let race = lab.begin(Way::Pessimistic).await.unwrap();
        for _ in 0..2 {
            lab.click(&race.id, 1, Pace::Step).await.unwrap();
        }
        let mut view = lab.click(&race.id, 2, Pace::Step).await.unwrap();
        if is_ready(&view, 2) {
            view = lab.click(&race.id, 2, Pace::Step).await.unwrap();
        }
        assert!(matches!(view.people[1], Standing::Asking { .. }), "{view:?}");
        assert_eq!(view.log.last().unwrap().said, None);
        assert_eq!(lab.click(&race.id, 2, Pace::Step).await.unwrap_err(), Refusal::Waiting);
        // Whoever closes the lab's page in the middle leaves nothing locked and nothing behind.
        lab.close(&race.id).await;
        assert_eq!(lab.view(&race.id).await.unwrap_err(), Refusal::NoSuchRace);
        lab.stop().await;
    }
}

on_both! {
    async fn a_lease_that_ends_early_leaves_the_decision_to_the_key(db: Database) {
        let lab = lab(&db);
        let race = lab.begin(Way::SeatLock).await.unwrap();
        let view = lab.click(&race.id, 1, Pace::Step).await.unwrap();
        let lease = view.redis.unwrap().lease.unwrap();
        assert_eq!((lease.person, lease.left_ms > 0), (1, true), "{lease:?}");
        let view = lab.end_lease(&race.id).await.unwrap();
        assert_eq!(view.redis.unwrap().lease, None);
        let view = lab.click(&race.id, 2, Pace::Step).await.unwrap();
        assert_eq!(view.redis.unwrap().lease.unwrap().person, 2, "it is the other's now");
        let view = play(&lab, &race.id, &[1]).await;
        assert_eq!(endings(&view), [Some(Ending::Sold), Some(Ending::Refused)], "the key decides");
        // With the lease in place, the other does not get as far as the database.
        let race = lab.begin(Way::SeatLock).await.unwrap();
        let view = play(&lab, &race.id, &[1, 2]).await;
        assert_eq!(endings(&view), [Some(Ending::Sold), Some(Ending::TurnedAway)]);
        assert!(view.log.iter().filter(|line| line.person == 2).all(|line| line.step == "lease"), "{:?}", view.log);
        lab.stop().await;
    }
}

on_both! {
    async fn a_thousand_people_get_ten_seats(db: Database) {
        let lab = lab(&db);
        for way in SAFE {
            let outcome = lab.rush(way).await.unwrap();
            let Outcome { sold, oversold, left, refused, turned_away, gave_up, failed, .. } = outcome;
            assert_eq!((sold, oversold, left, failed), (u64::from(SEATS), 0, 0, 0), "{way:?} {outcome:?}");
            assert_eq!(SEATS + refused + turned_away + gave_up, PEOPLE, "{way:?} {outcome:?}");
        }
        let teller = lab.rush_the_teller().await.unwrap();
        assert_eq!((teller.sold, teller.oversold, teller.left, teller.failed), (u64::from(SEATS), 0, 0, 0), "{teller:?}");
        assert_eq!(teller.refused, PEOPLE - SEATS);
        assert!(teller.commits < u64::from(PEOPLE), "many share a commit: {teller:?}");
        // How far the broken way goes is chance; that the tables are counted rightly is not.
        let broken = lab.rush(Way::ReadThenWrite).await.unwrap();
        assert_eq!(broken.sold + u64::from(broken.refused + broken.failed), u64::from(PEOPLE), "{broken:?}");
        assert_eq!(broken.oversold, broken.sold.saturating_sub(u64::from(SEATS)), "{broken:?}");
        let late = lab.rush(Way::ReadThenWriteInTransaction).await.unwrap();
        for outcome in [&broken, &late] {
            assert_eq!(outcome.error.is_some(), outcome.failed > 0, "{outcome:?}");
        }
        lab.stop().await;
    }
}

#[tokio::test]
async fn so_many_races_and_no_more_and_what_is_over_makes_room() {
    let db = Database::sqlite();
    let lab = lab(&db);
    let mut races = Vec::new();
    for _ in 0..MOST_RACES {
        races.push(lab.begin(Way::Conditional).await.unwrap().id);
    }
    assert_eq!(lab.begin(Way::Conditional).await.unwrap_err(), Refusal::Full);
    play(&lab, &races[3], &[1, 2]).await;
    let next = lab.begin(Way::Conditional).await.unwrap();
    assert_eq!(lab.view(&races[3]).await.unwrap_err(), Refusal::NoSuchRace);
    assert!(lab.view(&next.id).await.is_ok());
    lab.stop().await;
}

#[tokio::test]
async fn without_a_redis_the_way_that_needs_one_says_so() {
    let db = Database::sqlite();
    let lab = Lab::new(&Address::parse(&db.url).unwrap(), None, Arc::new(SystemClock::new())).unwrap();
    assert_eq!(lab.begin(Way::SeatLock).await.unwrap_err(), Refusal::NoRedis);
    assert_eq!(lab.rush(Way::SeatLock).await.unwrap_err(), Refusal::NoRedis);
    assert!(!lab.equipment().redis);
    lab.stop().await;
}

on_both! {
    async fn the_lab_is_there_only_where_it_is_turned_on(db: Database) {
        let clock = Arc::new(SystemClock::new());
        let off = Site::open(site_config(&db, 5), Arc::clone(&clock) as _).await;
        assert_eq!(off.get("/api/lab").await.status, StatusCode::NOT_FOUND);
        off.close().await;
        let mut config = site_config(&db, 5);
        config.lab.enabled = true;
        let site = Site::open(config, clock).await;
        assert!(site.get("/lab/").await.text.contains("<!doctype html>"));
        assert_eq!(site.get("/lab/nothing.js").await.problem().0, 404);
        assert_eq!(site.get("/lab").await.header("location"), Some("/lab/"));
        assert_eq!(site.get("/api/lab").await.json()["redis"], json!(false));
        let post = async |path: &str, body: Value| site.send(Method::POST, path, &[], body.to_string()).await;
        for (body, name) in [(json!({"way": "luck"}), "invalid_field"), (json!({"way": "seat-lock"}), "no_redis")] {
            assert_eq!(post("/api/lab/races", body).await.problem().1, name);
        }
        let race = post("/api/lab/races", json!({"way": "conditional"})).await;
        assert_eq!(race.status, StatusCode::CREATED, "{}", race.text);
        let path = format!("/api/lab/races/{}", race.json()["id"].as_str().unwrap());
        assert_eq!(post(&format!("{path}/steps"), json!({"person": 3})).await.problem().1, "invalid_field");
        let after = post(&format!("{path}/steps"), json!({"person": 1})).await.json();
        assert_eq!((&after["people"][0]["standing"], &after["log"][0]["text"]), (&json!("ready"), &json!("BEGIN")));
        post(&format!("{path}/run"), json!({})).await;
        let mut view = site.get(&path).await.json();
        while view["over"] == false {
            view = site.get(&path).await.json();
        }
        assert_eq!(view["table"]["holds"].as_array().unwrap().len(), 1, "{view}");
        let rush = post("/api/lab/rushes", json!({"way": "conditional"})).await.json();
        assert_eq!((&rush["sold"], &rush["oversold"]), (&json!(SEATS), &json!(0)));
        let gone = site.send(Method::DELETE, &path, &[], "").await;
        assert_eq!((gone.status, site.get(&path).await.problem().1.as_str()), (StatusCode::NO_CONTENT, "no_such_race"));
        let books = site.service.store().books().await.unwrap();
        assert_eq!((books.open_holds, books.faults()), (0, Vec::new()), "nothing of it touches what is on sale");
        site.close().await;
    }
}
