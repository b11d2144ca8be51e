//! What gateways are told, against a gateway of our own that writes everything down.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use booking_core::clock::SystemClock;
use booking_core::config::{Config, SaleRow, ShardRules};
use booking_core::domain::inventory::InventoryId;
use booking_core::notifier::GatewayAddress;
use booking_core::service::holding::HoldOrder;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::database::Database;
use crate::world::{Site, row, site_config};

#[derive(Clone)]
struct Gateway {
    heard: mpsc::Sender<(String, Value)>,
    /// It refuses every call.
    down: Arc<AtomicBool>,
    /// It hears every call, and answers as if it had not.
    mumbles: Arc<AtomicBool>,
    calls: Arc<AtomicU32>,
    /// What it says of its room.
    account: Arc<Mutex<Value>>,
}

async fn tell(State(gateway): State<Gateway>) -> Json<Value> {
    Json(gateway.account.lock().unwrap().clone())
}

async fn hear(
    State(gateway): State<Gateway>,
    Path((room, verb)): Path<(String, String)>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    assert_eq!(headers["authorization"], "Bearer the token");
    assert_eq!(headers["vestibule-operator"], "booking-core");
    assert_eq!(room, "tatkal");
    gateway.calls.fetch_add(1, Ordering::SeqCst);
    if gateway.down.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    gateway.heard.send((verb, serde_json::from_str(&body).unwrap())).await.unwrap();
    if gateway.mumbles.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    StatusCode::NO_CONTENT
}

async fn gateway() -> (Gateway, mpsc::Receiver<(String, Value)>, GatewayAddress) {
    let (heard, hearing) = mpsc::channel(100);
    let gateway = Gateway {
        heard,
        down: Arc::default(),
        mumbles: Arc::default(),
        calls: Arc::default(),
        account: Arc::default(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new()
        .route("/api/rooms/tatkal", get(tell))
        .route("/api/rooms/{room}/{verb}", post(hear))
        .with_state(gateway.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let address = GatewayAddress { admin, room: "tatkal".to_owned(), token: "the token".to_owned() };
    (gateway, hearing, address)
}

/// Waits for the next word that is not about stock.
async fn next_turn(hearing: &mut mpsc::Receiver<(String, Value)>) -> (String, Value) {
    let turn = async {
        loop {
            let (verb, body) = hearing.recv().await.unwrap();
            if verb != "stock" {
                return (verb, body);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), turn).await.expect("the gateway is told")
}

async fn open(seats: u32) -> (Site, Gateway, mpsc::Receiver<(String, Value)>, Database) {
    open_for(seats, Value::Null).await
}

/// Opens a site for a gateway that says so much of its room.
async fn open_for(seats: u32, account: Value) -> (Site, Gateway, mpsc::Receiver<(String, Value)>, Database) {
    let db = Database::sqlite();
    let (gateway, hearing, address) = gateway().await;
    *gateway.account.lock().unwrap() = account;
    let mut config = site_config(&db, seats);
    config.gateways = vec![address];
    (Site::open(config, Arc::new(SystemClock::new())).await, gateway, hearing, db)
}

async fn take(site: &Site, key: &str, quantity: u32) -> booking_core::domain::hold::HoldId {
    let order = HoldOrder::new(row(), quantity, key);
    site.service.hold(order).await.unwrap().hold.id
}

/// Waits until a call has failed.
async fn call_failed(site: &Site) {
    let failures = &site.service.metrics().notice_failures;
    let failed = async {
        while failures.get() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), failed).await.expect("a call fails");
}

#[tokio::test]
async fn a_gateway_is_told_stock_sold_out_and_on_sale() {
    let (site, _gateway, mut hearing, _db) = open(3).await;
    take(&site, "a", 1).await;
    assert_eq!(hearing.recv().await.unwrap().0, "on-sale", "it is not known what the gateway believes");
    assert_eq!(hearing.recv().await.unwrap(), ("stock".to_owned(), json!({"key": row(), "available": 2})));
    let last = take(&site, "b", 2).await;
    assert_eq!(
        next_turn(&mut hearing).await,
        ("sold-out".to_owned(), json!({"key": row(), "ttl_seconds": 30, "version": 2}))
    );
    site.service.cancel(last).await.unwrap();
    assert_eq!(next_turn(&mut hearing).await, ("on-sale".to_owned(), json!({"key": row(), "version": 3})));
    site.close().await;
}

#[tokio::test]
async fn a_room_about_an_item_knows_its_stock_before_anything_is_sold() {
    let (site, _gateway, mut hearing, _db) = open_for(3, json!({"item": row(), "stock": {}})).await;
    assert_eq!(hearing.recv().await.unwrap().0, "on-sale");
    assert_eq!(hearing.recv().await.unwrap(), ("stock".to_owned(), json!({"key": row(), "available": 3})));
    site.close().await;
}

#[tokio::test]
async fn a_gateway_that_was_down_is_told_later_and_sales_do_not_wait() {
    let (site, gateway, mut hearing, _db) = open(2).await;
    gateway.down.store(true, Ordering::SeqCst);
    take(&site, "a", 2).await;
    call_failed(&site).await;
    gateway.down.store(false, Ordering::SeqCst);
    assert_eq!(next_turn(&mut hearing).await.0, "sold-out");
    site.close().await;
}

#[tokio::test]
async fn stock_is_told_at_most_twice_a_second_and_the_last_word_is_the_newest() {
    let (site, _gateway, mut hearing, _db) = open(200).await;
    for number in 0..50 {
        take(&site, &format!("k{number}"), 1).await;
    }
    let mut told = Vec::new();
    let newest = async {
        while told.last() != Some(&json!(150)) {
            let (verb, body) = hearing.recv().await.unwrap();
            if verb == "stock" {
                told.push(body["available"].clone());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), newest).await.expect("the newest stock is told");
    assert!(told.len() <= 5, "{told:?}");
    site.close().await;
}

#[tokio::test]
async fn seats_that_came_back_before_anything_was_told_are_told() {
    let (site, gateway, mut hearing, _db) = open(2).await;
    gateway.down.store(true, Ordering::SeqCst);
    // An answer's header has said "sold out" by now, whatever this task got through.
    let last = take(&site, "a", 2).await;
    call_failed(&site).await;
    site.service.cancel(last).await.unwrap();
    gateway.down.store(false, Ordering::SeqCst);
    assert_eq!(next_turn(&mut hearing).await, ("on-sale".to_owned(), json!({"key": row(), "version": 2})));
    site.close().await;
}

#[tokio::test]
async fn a_row_that_was_sold_out_between_two_words_is_told_to_be_on_sale() {
    let (site, _gateway, mut hearing, _db) = open(2).await;
    take(&site, "a", 1).await;
    assert_eq!(next_turn(&mut hearing).await.0, "on-sale");
    // Both fall into one round of news; only the header of the first answer said "sold out".
    let last = take(&site, "b", 1).await;
    site.service.cancel(last).await.unwrap();
    let mut said = next_turn(&mut hearing).await.0;
    if said == "sold-out" {
        said = next_turn(&mut hearing).await.0;
    }
    assert_eq!(said, "on-sale");
    site.close().await;
}

#[tokio::test]
async fn a_word_that_was_heard_but_not_confirmed_is_taken_back() {
    let (site, gateway, mut hearing, _db) = open(2).await;
    gateway.mumbles.store(true, Ordering::SeqCst);
    let last = take(&site, "a", 2).await;
    assert_eq!(next_turn(&mut hearing).await.0, "sold-out");
    call_failed(&site).await;
    site.service.cancel(last).await.unwrap();
    gateway.mumbles.store(false, Ordering::SeqCst);
    let on_sale = async { while next_turn(&mut hearing).await.0 != "on-sale" {} };
    tokio::time::timeout(Duration::from_secs(10), on_sale).await.expect("it is told that seats came back");
    site.close().await;
}

#[tokio::test]
async fn a_gateway_that_is_down_is_not_called_for_every_sale() {
    let (site, gateway, _hearing, _db) = open(200).await;
    gateway.down.store(true, Ordering::SeqCst);
    take(&site, "first", 1).await;
    call_failed(&site).await;
    for number in 0..100 {
        take(&site, &format!("k{number}"), 1).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let calls = gateway.calls.load(Ordering::SeqCst);
    assert!(calls <= 10, "{calls} calls for 101 sales");
    site.close().await;
}

#[tokio::test]
async fn a_gateway_is_told_what_another_process_turned() {
    let (site, _gateway, mut hearing, db) = open(2).await;
    let other = Site::open(site_config(&db, 2), Arc::new(SystemClock::new())).await;
    let last = take(&other, "a", 2).await;
    assert_eq!(next_turn(&mut hearing).await.0, "sold-out");
    other.service.cancel(last).await.unwrap();
    let (word, body) = next_turn(&mut hearing).await;
    assert_eq!((word.as_str(), &body["version"]), ("on-sale", &json!(2)));
    other.close().await;
    site.close().await;
}

#[tokio::test]
async fn a_gateway_is_told_what_turned_before_this_process_began() {
    let db = Database::sqlite();
    let killed = Site::open(site_config(&db, 2), Arc::new(SystemClock::new())).await;
    take(&killed, "a", 2).await;
    killed.close().await;
    let (_gateway, mut hearing, address) = gateway().await;
    let mut config = site_config(&db, 2);
    config.gateways = vec![address];
    let site = Site::open(config, Arc::new(SystemClock::new())).await;
    assert_eq!(next_turn(&mut hearing).await.0, "sold-out");
    site.close().await;
}

/// Opens a site with a sale on two databases: rows of the first, and many more of the second.
async fn open_on_two(databases: [&Database; 2], address: GatewayAddress) -> (Site, InventoryId, Vec<InventoryId>) {
    let mut config = site_config(databases[0], 1);
    config.database = Config::default().database;
    config.shards = (0..2_u8)
        .map(|number| ShardRules {
            number: number.try_into().unwrap(),
            database: databases[usize::from(number)].url.clone(),
            from: None,
            until: None,
        })
        .collect();
    let placement = config.placement().unwrap().unwrap();
    let rows = (1..=60_i64).map(|day| InventoryId { date: row().date + time::Duration::days(day), ..row() });
    let (here, there): (Vec<_>, Vec<_>) = rows.partition(|row| u8::from(placement.of(*row)) == 0);
    config.sale = here.iter().chain(&there).map(|&inventory| SaleRow { inventory, capacity: 1 }).collect();
    config.gateways = vec![address];
    (Site::open(config, Arc::new(SystemClock::new())).await, here[0], there)
}

#[tokio::test]
async fn a_database_that_fails_keeps_no_gateway_from_news_of_another() {
    let (well, ill) = (Database::sqlite(), Database::sqlite());
    let (gateway, mut hearing, address) = gateway().await;
    gateway.down.store(true, Ordering::SeqCst);
    let (site, here, there) = open_on_two([&well, &ill], address).await;
    let take = async |row: InventoryId| {
        site.service.hold(HoldOrder::new(row, 1, row.to_string())).await.unwrap();
    };
    for row in &there {
        take(*row).await;
    }
    assert!(there.len() > 10, "so many that one of them comes first");
    ill.raw("ALTER TABLE inventory RENAME TO away").await.unwrap();
    take(here).await;
    gateway.down.store(false, Ordering::SeqCst);
    let (verb, body) = next_turn(&mut hearing).await;
    assert_eq!((verb.as_str(), &body["key"]), ("sold-out", &json!(here)));
    site.close().await;
}
