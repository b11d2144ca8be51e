//! Numbered seats, tickets and orders of several rows, through the service and over HTTP; locks in a real Redis.

use std::sync::Arc;
use std::time::Duration;

use booking_core::clock::{Clock, ManualClock};
use booking_core::config::{Config, SaleRow};
use booking_core::domain::booking::Reference;
use booking_core::domain::hold::HoldId;
use booking_core::domain::inventory::InventoryId;
use booking_core::domain::order::Stop;
use booking_core::domain::seat::SeatNumber;
use booking_core::metrics::Metrics;
use booking_core::reaper;
use booking_core::seat_lock::{Locked, SeatLock};
use booking_core::service::holding::{HoldAnswer, HoldOrder};
use booking_core::service::{Denied, Item, Service, Want};
use booking_core::store::Store;
use booking_core::strategy::{Strategies, Strategy};
use booking_core::teller::Teller;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::api::Answer;
use crate::database::{Database, on_both};
use crate::redis_server::RedisServer;
use crate::world::{self, HOLD_MS, LIMITS, NOON, Site, provider, row, site_config};

/// The machine may be busy: a test waits longer for Redis than a buyer would.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Sells the one row, `seats` of them.
async fn seller(
    db: &Database,
    seats: u32,
    strategies: impl Into<Strategies>,
    redis: Option<&RedisServer>,
) -> (Arc<Service>, Arc<dyn Store>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(NOON));
    let (provider, _inbox) = provider(&clock);
    let (store, metrics) = (db.open().await, Metrics::new());
    let teller = Teller::new(Arc::clone(&store) as _, metrics.clone(), strategies, LIMITS);
    let mut parts = world::parts(Arc::clone(&store), teller, metrics, &provider, &clock, seats);
    parts.seat_lock = redis.map(|redis| SeatLock::new(&redis.url(), PATIENCE).unwrap());
    (Service::new(parts), store, clock)
}

async fn choose(service: &Arc<Service>, key: &str, seats: &[u32]) -> Result<HoldAnswer, Denied> {
    let seats = seats.iter().copied().map(SeatNumber::new).collect();
    let items = vec![Item { inventory: row(), want: Want::Seats(seats) }];
    service.hold(HoldOrder { items, key: key.to_owned() }).await
}

fn numbers(answer: &HoldAnswer) -> Vec<u32> {
    answer.hold.first().seats.iter().map(|seat| seat.get()).collect()
}

fn taken(outcome: Result<HoldAnswer, Denied>) -> (Vec<u32>, Vec<u32>) {
    match outcome.unwrap_err() {
        Denied::SeatTaken(seats) => {
            let numbers = |seats: &[SeatNumber]| seats.iter().map(|seat| seat.get()).collect();
            (numbers(&seats.taken), numbers(&seats.free_nearby))
        }
        other => panic!("{other}"),
    }
}

on_both! {
    async fn seats_are_chosen_or_given_together_and_come_back(db: Database) {
        let (service, store, clock) = seller(&db, 16, Strategy::SeatKey, None).await;
        let chosen = choose(&service, "chosen", &[3, 1]).await.unwrap();
        assert_eq!(numbers(&chosen), [1, 3]);
        assert!(choose(&service, "chosen", &[1, 3]).await.unwrap().replayed, "the same order in other words");
        assert_eq!(taken(choose(&service, "late", &[3, 4]).await), (vec![3], vec![2, 4, 5, 6, 7, 8]));
        let together = service.hold(HoldOrder::new(row(), 4, "together")).await.unwrap();
        assert_eq!(numbers(&together), [4, 5, 6, 7], "side by side in the bay that is broken already");
        service.cancel(chosen.hold.id).await.unwrap();
        assert_eq!(numbers(&choose(&service, "again", &[3]).await.unwrap()), [3]);
        assert!(matches!(choose(&service, "none", &[17]).await, Err(Denied::Order(_))), "there is no such seat");
        clock.advance_ms(1_000);
        let map = service.seat_map(row()).await.unwrap().unwrap();
        assert_eq!((map.capacity, map.free.numbers().len()), (16, 11), "no older than a second");
        assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
    }
}

on_both! {
    async fn the_doctor_sees_ten_patients_and_a_gap_is_filled(db: Database) {
        let (service, store, _) = seller(&db, 10, Strategy::Tickets, None).await;
        let mut tickets = Vec::new();
        for patient in 1..=10 {
            let answer = service.hold(HoldOrder::new(row(), 1, format!("patient-{patient}"))).await.unwrap();
            assert_eq!(numbers(&answer), [patient], "numbers are given in order");
            tickets.push(answer.hold.id);
        }
        assert!(matches!(service.hold(HoldOrder::new(row(), 1, "eleventh")).await, Err(Denied::SoldOut(_))));
        for leaver in [6, 3] {
            service.cancel(tickets[leaver - 1]).await.unwrap();
        }
        for (patient, number) in [("late", 3), ("later", 6)] {
            let answer = service.hold(HoldOrder::new(row(), 1, patient)).await.unwrap();
            assert_eq!(numbers(&answer), [number], "the lowest gap first");
        }
        assert!(matches!(choose(&service, "chosen", &[3]).await, Err(Denied::Order(_))), "tickets are not chosen");
        assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
    }
}

on_both! {
    async fn a_cancelled_booking_gives_its_very_seats_back(db: Database) {
        let clock = Arc::new(ManualClock::at(NOON));
        let (provider, _inbox) = provider(&clock);
        let store = db.open().await;
        let service = world::service(Arc::clone(&store), &provider, &clock, 8, Strategy::SeatKey).await;
        let mine = choose(&service, "mine", &[3, 4]).await.unwrap();
        let longer = service.extend(mine.hold.id, 1).await.unwrap();
        assert_eq!(numbers(&longer), [3, 4], "more time, and the same seats");
        world::pay(&service, &mine, "p", "sim_ok").await.unwrap();
        assert!(choose(&service, "early", &[4]).await.is_err(), "they are sold");
        let cancelled = service.cancel_booking(Reference::of(mine.hold.id)).await.unwrap();
        assert_eq!((cancelled.given_back[0].inventory, cancelled.given_back[0].available), (row(), 8));
        let other = choose(&service, "other", &[4]).await.unwrap();
        world::pay(&service, &other, "p", "sim_ok").await.unwrap();
        world::settle_down(&service, &clock).await;
        world::assert_books(&*store, &provider).await;
        assert_eq!(store.books().await.unwrap().refunded, 1);
    }
}

on_both! {
    async fn a_late_payment_takes_its_seats_again_or_goes_back(db: Database) {
        let clock = Arc::new(ManualClock::at(NOON));
        let (provider, _inbox) = provider(&clock);
        let store = db.open().await;
        let service = world::service(Arc::clone(&store), &provider, &clock, 8, Strategy::SeatKey).await;
        let free = choose(&service, "free", &[1, 2]).await.unwrap();
        let gone = choose(&service, "gone", &[3, 4]).await.unwrap();
        for (held, key) in [(&free, "p1"), (&gone, "p2")] {
            world::pay_unanswered(&service, &provider, held, key, "sim_silent").await.unwrap();
        }
        provider.idle().await;
        clock.advance_ms(HOLD_MS);
        reaper::pass(&service).await.unwrap();
        choose(&service, "other", &[4]).await.unwrap();
        world::settle_down(&service, &clock).await;
        let status = async |held: &HoldAnswer| service.find_hold(held.hold.id).await.unwrap().state.status().word();
        assert_eq!(status(&free).await, "confirmed");
        assert_eq!(status(&gone).await, "expired", "one of its two seats is somebody else's");
        world::assert_books(&*store, &provider).await;
        assert_eq!(service.metrics().voids.get(), 1, "it was never taken, so there is nothing to give back");
    }
}

on_both! {
    async fn a_part_of_a_hold_goes_back(db: Database) {
        let clock = Arc::new(ManualClock::at(NOON));
        let (provider, _inbox) = provider(&clock);
        let store = db.open().await;
        let service = world::service(Arc::clone(&store), &provider, &clock, 16, Strategy::SeatKey).await;
        let held = choose(&service, "k", &[3, 4, 5]).await.unwrap();
        let keep = |seats: &[u32]| Item { inventory: row(), want: Want::Seats(self::seats(seats)) };
        let less = service.shrink(held.hold.id, keep(&[5, 3])).await.unwrap();
        assert_eq!((numbers(&less), less.stock), (vec![3, 5], vec![(row(), 14)]));
        assert_eq!(less.hold.amount().get() * 3, held.hold.amount().get() * 2);
        assert!(service.shrink(held.hold.id, keep(&[3, 5])).await.unwrap().replayed);
        assert_eq!(service.find_hold(held.hold.id).await.unwrap(), less.hold);
        for denied in [keep(&[4]), keep(&[]), any(row(), 3), any(tomorrow(), 1)] {
            let outcome = service.shrink(held.hold.id, denied).await;
            assert!(matches!(outcome, Err(Denied::State(Stop::NotHeld))), "{outcome:?}");
        }
        // Of an order of several rows, the second.
        let both = service.hold(HoldOrder { items: vec![any(row(), 1), any(tomorrow(), 3)], key: "b".to_owned() }).await.unwrap();
        let less_of_both = service.shrink(both.hold.id, any(tomorrow(), 2)).await.unwrap();
        assert_eq!(service.find_hold(both.hold.id).await.unwrap(), less_of_both.hold);
        let answer = HoldAnswer { hold: less_of_both.hold, replayed: false, stock: Vec::new() };
        let paid = world::pay(&service, &answer, "p", "sim_ok").await.unwrap();
        assert_eq!(paid.payment.amount, answer.hold.amount());
        let late = service.shrink(both.hold.id, any(tomorrow(), 1)).await;
        assert!(matches!(late, Err(Denied::State(Stop::AlreadyPaid))), "{late:?}");
        numbers(&choose(&service, "next", &[4]).await.unwrap());
        world::assert_books(&*store, &provider).await;
    }
}

// Orders of several rows.

fn tomorrow() -> InventoryId {
    "12951:2026-11-24:3A".parse().unwrap()
}

fn any(inventory: InventoryId, quantity: u32) -> Item {
    Item { inventory, want: Want::Any(quantity) }
}

on_both! {
    async fn two_lines_of_one_row_are_judged_on_their_sum(db: Database) {
        let (service, store, _) = seller(&db, 4, Strategy::Teller, None).await;
        let order = |key: &str, items: Vec<Item>| HoldOrder { items, key: key.to_owned() };
        let refused = service.hold(order("too many", vec![any(row(), 3), any(row(), 2)])).await;
        assert!(matches!(refused, Err(Denied::SoldOut(_))), "five of four: {refused:?}");
        assert!(matches!(service.hold(order("limit", vec![any(row(), 4), any(row(), 3)])).await, Err(Denied::Quantity { .. })));
        let held = service.hold(order("fits", vec![any(row(), 1), any(row(), 3)])).await.unwrap();
        assert_eq!((held.hold.lines.len(), held.hold.quantity()), (1, 4));
        assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
    }
}

on_both! {
    async fn an_order_of_several_rows_is_paid_at_once_and_ends_at_once(db: Database) {
        let clock = Arc::new(ManualClock::at(NOON));
        let (provider, _inbox) = provider(&clock);
        let store = db.open().await;
        let service = world::service(Arc::clone(&store), &provider, &clock, 5, Strategy::SeatKey).await;
        let order = |key: &str| HoldOrder { items: vec![any(tomorrow(), 1), any(row(), 2)], key: key.to_owned() };
        let held = service.hold(order("paid")).await.unwrap();
        assert_eq!(held.hold.lines.iter().map(|line| line.quantity).collect::<Vec<_>>(), [2, 1]);
        let paid = world::pay(&service, &held, "p", "sim_ok").await.unwrap();
        assert_eq!(paid.payment.amount, held.hold.amount());
        let state = service.find_hold(held.hold.id).await.unwrap();
        let booking = service.booking(booking_core::domain::booking::Reference::of(state.id)).await.unwrap();
        assert_eq!(booking.lines, held.hold.lines);
        let lapsing = service.hold(order("lapses")).await.unwrap();
        let cancelled = service.hold(HoldOrder { items: vec![any(tomorrow(), 1), any(row(), 1)], key: "c".to_owned() }).await.unwrap();
        service.cancel(cancelled.hold.id).await.unwrap();
        clock.advance_ms(HOLD_MS);
        assert_eq!(reaper::pass(&service).await.unwrap().done, 1, "a hold of two rows is one hold");
        assert_eq!(service.find_hold(lapsing.hold.id).await.unwrap().state.status().word(), "expired");
        world::assert_books(&*store, &provider).await;
        let rows = store.stock(&[row(), tomorrow()]).await.unwrap();
        assert_eq!(rows.iter().map(|row| (row.stock.held, row.stock.sold)).max(), Some((0, 2)));
    }
}

on_both! {
    async fn orders_in_opposite_order_and_with_one_key_all_end(db: Database) {
        let (service, store, _) = seller(&db, 500, Strategy::Teller, None).await;
        let mut asking = JoinSet::new();
        for buyer in 0..60 {
            let mut items = vec![any(row(), 1), any(tomorrow(), 1)];
            if buyer % 2 == 0 {
                items.reverse();
            }
            // Two ask under each key.
            let order = HoldOrder { items, key: format!("buyer-{}", buyer / 2) };
            let service = Arc::clone(&service);
            asking.spawn(async move { service.hold(order).await.unwrap() });
        }
        let answers = asking.join_all().await;
        assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 30);
        assert_eq!(store.open_holds().await.unwrap(), 30);
        assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
    }
}

// Locks in Redis.

fn holder(number: u8) -> HoldId {
    HoldId::from_bytes([number; 16])
}

fn seats(seats: &[u32]) -> Vec<SeatNumber> {
    seats.iter().copied().map(SeatNumber::new).collect()
}

/// Scenario 15, at the lock: whoever's lease has ended has nothing to release.
#[tokio::test]
async fn a_stale_owner_cannot_release_a_seat_lock() {
    let server = RedisServer::start(&[]);
    let lock = SeatLock::new(&server.url(), PATIENCE).unwrap();
    let (mine, theirs) = (seats(&[1, 2]), seats(&[2, 3]));
    assert_eq!(lock.lock(row(), &mine, holder(1), 60_000).await, Locked::Ours);
    assert_eq!(lock.lock(row(), &mine, holder(1), 60_000).await, Locked::Ours, "a retry finds its own");
    assert_eq!(lock.lock(row(), &theirs, holder(2), 60_000).await, Locked::Others(seats(&[2])));
    assert_eq!(
        lock.lock(row(), &seats(&[3]), holder(3), 60_000).await,
        Locked::Ours,
        "nothing was locked by the loser"
    );
    // The lease ends, which here is done by hand.
    let mut redis = server.connection();
    let key = |seat: u32| format!("vestibule:seat:{{{}}}:{seat}", row());
    let () = redis::cmd("DEL").arg(key(2)).query(&mut redis).unwrap();
    assert_eq!(lock.lock(row(), &seats(&[2]), holder(2), 60_000).await, Locked::Ours);
    lock.unlock(row(), &mine, holder(1)).await;
    let owners: Vec<Option<String>> = redis::cmd("MGET").arg(&[key(1), key(2)]).query(&mut redis).unwrap();
    assert_eq!(owners, [None, Some(holder(2).to_string())]);
    let left_ms: i64 = redis::cmd("PTTL").arg(key(2)).query(&mut redis).unwrap();
    assert!((1..=60_000).contains(&left_ms), "a lock has a lease: {left_ms}");
}

on_both! {
    async fn a_lease_that_ends_early_is_decided_by_the_key(db: Database) {
        let server = RedisServer::start(&[]);
        let (service, store, _) = seller(&db, 16, Strategy::SeatLock, Some(&server)).await;
        let locks = |result: &str| service.metrics().seat_locks.with_label_values(&[result]).get();
        let first = choose(&service, "first", &[5]).await.unwrap();
        assert_eq!(taken(choose(&service, "second", &[5]).await).0, [5]);
        assert_eq!((locks("ours"), locks("others")), (1, 1), "the second was turned away by the lock");
        let mut redis = server.connection();
        let () = redis::cmd("FLUSHALL").query(&mut redis).unwrap();
        assert_eq!(taken(choose(&service, "third", &[5]).await).0, [5]);
        assert_eq!(locks("ours"), 2, "the third had the lock, and the key decided");
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut redis).unwrap();
        assert!(keys.is_empty(), "whoever gets no seat leaves no lock: {keys:?}");
        service.cancel(first.hold.id).await.unwrap();
        let fourth = choose(&service, "fourth", &[5]).await.unwrap();
        service.cancel(fourth.hold.id).await.unwrap();
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut redis).unwrap();
        assert!(keys.is_empty(), "a hold that ends lets go of its locks: {keys:?}");
        assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
    }
}

on_both! {
    async fn without_redis_the_key_decides_alone(db: Database) {
        let mut server = RedisServer::start(&[]);
        let (service, store, _) = seller(&db, 16, Strategy::SeatLock, Some(&server)).await;
        choose(&service, "before", &[1]).await.unwrap();
        server.halt();
        let mut asking = JoinSet::new();
        for buyer in 0..20 {
            let service = Arc::clone(&service);
            asking.spawn(async move { choose(&service, &format!("buyer-{buyer}"), &[2]).await.is_ok() });
        }
        let granted = asking.join_all().await.into_iter().filter(|granted| *granted).count();
        assert_eq!(granted, 1);
        assert_eq!(taken(choose(&service, "late", &[1]).await).0, [1]);
        assert!(service.metrics().seat_locks.with_label_values(&["unknown"]).get() > 0);
        assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
    }
}

// Over HTTP.

async fn site(db: &Database, strategies: &str) -> Site {
    let rules: Config = toml::from_str(strategies).unwrap();
    let mut config = Config { strategies: rules.strategies, ..site_config(db, 70) };
    config.sale.push(SaleRow { inventory: tomorrow(), capacity: 5 });
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOON));
    Site::open(config, clock).await
}

async fn post(site: &Site, key: &str, body: Value) -> Answer {
    site.send(Method::POST, "/api/holds", &[("idempotency-key", key)], body.to_string()).await
}

const NUMBERED: &str =
    "strategies = [{ rows = '*:2026-11-23:*', use = 'seat-key' }, { rows = '*:*:*', use = 'tickets' }]";

on_both! {
    async fn seats_have_their_labels_over_http(db: Database) {
        let site = site(&db, NUMBERED).await;
        let held = post(&site, "k1", json!({"inventory": row(), "seats": ["B2-6", "B1-14"]})).await;
        assert_eq!(held.status, StatusCode::CREATED, "{}", held.text);
        assert_eq!(held.json()["items"][0]["seats"], json!(["B1-14", "B2-6"]));
        assert_eq!((&held.json()["quantity"], &held.json()["inventory"]), (&json!(2), &json!(row())));
        let gone = post(&site, "k2", json!({"inventory": row(), "seats": ["B1-14", "B1-15"]})).await;
        assert_eq!(gone.problem(), (409, "seat_taken".to_owned()));
        assert_eq!(gone.json()["taken"], json!(["B1-14"]));
        assert_eq!(gone.json()["free_nearby"], json!(["B1-13", "B1-15", "B1-12", "B1-16", "B1-11", "B1-10"]));
        assert_eq!(gone.header("vestibule-stock"), Some("12951:2026-11-23:3A=68"));
        let shown = site.get(&format!("/api/inventory/{}", row())).await.json();
        assert_eq!(shown["numbering"], "seats");
        assert_eq!(shown["seats"]["bay"].as_array().unwrap().len(), 8);
        let coaches = shown["seats"]["coaches"].as_array().unwrap();
        assert_eq!((&coaches[1]["coach"], &coaches[1]["free"]), (&json!("B2"), &json!("111110")));
        assert_eq!(coaches[0]["free"].as_str().unwrap().find('0'), Some(13));
        site.close().await;
    }
}

on_both! {
    async fn a_line_of_an_order_is_no_hold_of_its_own(db: Database) {
        let site = site(&db, NUMBERED).await;
        let items = json!({"items": [{"inventory": tomorrow(), "quantity": 2}, {"inventory": row(), "seats": ["B1-1"]}]});
        let held = post(&site, "k", items).await.json();
        let id: HoldId = held["id"].as_str().unwrap().parse().unwrap();
        let path = format!("/api/holds/{}", id.of_line(1));
        for (method, below, body) in [
            (Method::GET, "", json!(null)),
            (Method::DELETE, "", json!(null)),
            (Method::PATCH, "", json!({"inventory": tomorrow(), "quantity": 1})),
            (Method::POST, "/extension", json!({"number": 1})),
            (Method::POST, "/payments", json!({"method": "sim_ok"})),
        ] {
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let answer = site.send(method.clone(), &format!("{path}{below}"), &[("idempotency-key", "other")], body).await;
            assert_eq!(answer.problem(), (404, "not_found".to_owned()), "{method} {below}");
        }
        assert_eq!(site.pay(&held, "p", "sim_ok").await.status, StatusCode::CREATED);
        site.close().await;
        assert_eq!(db.open().await.books().await.unwrap().faults(), Vec::<String>::new());
    }
}

on_both! {
    async fn several_items_go_over_http_in_one_order(db: Database) {
        let site = site(&db, NUMBERED).await;
        let items = json!({"items": [{"inventory": tomorrow(), "quantity": 2}, {"inventory": row(), "seats": ["B1-1"]}]});
        let held = post(&site, "k1", items.clone()).await;
        assert_eq!(held.status, StatusCode::CREATED, "{}", held.text);
        assert_eq!(held.json()["items"][0]["seats"], json!(["B1-1"]));
        assert_eq!(held.json()["items"][1]["seats"], json!(["1", "2"]), "tickets in order");
        let stock: Vec<_> = held.headers.get_all("vestibule-stock").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(stock, ["12951:2026-11-23:3A=69", "12951:2026-11-24:3A=3"]);
        assert_eq!(post(&site, "k1", items).await.header("idempotency-hit"), Some("true"));
        let none = json!({"items": [{"inventory": row(), "seats": ["B1-2"]}, {"inventory": tomorrow(), "quantity": 4}]});
        let refused = post(&site, "k2", none).await;
        assert_eq!(refused.problem(), (409, "sold_out".to_owned()));
        let shown = site.get(&format!("/api/inventory/{}", row())).await.json();
        assert_eq!(shown["available"], 69, "nothing of a refused order is kept");
        site.close().await;
    }
}

on_both! {
    async fn an_appointment_has_a_number_in_its_slot(db: Database) {
        let practice = "number = '90001'\nname = 'Dr Rao'\nslots = ['09:00', '10:30']\nplaces = 2\nprice_paise = 50000\ndays = '1111100'";
        let config = Config { practices: vec![toml::from_str(practice).unwrap()], ..site_config(&db, 1) };
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOON));
        let site = Site::open(config, clock).await;
        let slot = "90001:2026-11-23:T2";
        let shown = site.get(&format!("/api/inventory/{slot}")).await.json();
        assert_eq!((&shown["practice"]["slot"], &shown["numbering"]), (&json!("10:30"), &json!("tickets")));
        for (key, number) in [("first", "1"), ("second", "2")] {
            let held = post(&site, key, json!({"inventory": slot, "quantity": 1})).await;
            assert_eq!(held.json()["items"][0]["seats"], json!([number]), "{}", held.text);
        }
        let late = post(&site, "third", json!({"inventory": slot, "quantity": 1})).await;
        assert_eq!(late.problem(), (409, "sold_out".to_owned()));
        for (row, status) in [("90001:2026-11-23:T3", 404), ("90001:2026-11-28:T1", 422)] {
            let refused = post(&site, row, json!({"inventory": row, "quantity": 1})).await;
            assert_eq!(refused.problem(), (status, "not_on_sale".to_owned()), "{row}");
        }
        site.close().await;
    }
}

#[tokio::test]
async fn an_order_that_makes_no_sense_is_told_why() {
    let site = site(&Database::sqlite(), NUMBERED).await;
    let (row, other) = (row(), tomorrow());
    for (body, field) in [
        (json!({"inventory": row, "quantity": 1, "seats": ["B1-1"]}), "seats"),
        (json!({"inventory": row, "seats": []}), "seats"),
        (json!({"inventory": row, "seats": "B1-1"}), "seats"),
        (json!({"inventory": row, "seats": ["C1-1"]}), "seats"),
        (json!({"inventory": row, "seats": ["B1-1", "B1-1"]}), "seats"),
        (json!({"inventory": row, "seats": ["B9-1"]}), "seats"),
        (json!({"inventory": other, "seats": ["B1-1"]}), "seats"),
        (json!({"inventory": row, "quantity": 0}), "quantity"),
        (json!({"inventory": row}), "quantity"),
        (json!({"items": []}), "items"),
        (json!({"items": [1]}), "items"),
        (json!({"items": [{"inventory": row, "quantity": 1, "extra": 1}]}), "items"),
        (json!({"items": [{"inventory": row, "quantity": 1}], "quantity": 1}), "items"),
        (json!({"items": [{"inventory": row, "quantity": 1}, {"inventory": row, "seats": ["B1-1"]}]}), "items"),
        (json!({"items": [{"inventory": row, "quantity": 4}, {"inventory": other, "quantity": 3}]}), "quantity"),
    ] {
        let answer = post(&site, "k", body.clone()).await;
        assert_eq!(answer.problem(), (422, "invalid_field".to_owned()), "{body}: {}", answer.text);
        assert_eq!(answer.json()["field"], field, "{body}: {}", answer.text);
    }
    site.close().await;
}
