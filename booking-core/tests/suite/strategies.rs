//! The race suite: N + 500 buyers for N seats, under every strategy, on both databases. The same race is run with the
//! guard off, where it must be seen to oversell: a race that cannot show the fault proves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use booking_core::clock::ManualClock;
use booking_core::domain::hold::{Hold, HoldId};
use booking_core::domain::inventory::{InventoryId, Offer};
use booking_core::domain::money::Paise;
use booking_core::domain::seat::{Numbering, SeatNumber, Wish};
use booking_core::metrics::Metrics;
use booking_core::reaper;
use booking_core::seat_lock::SeatLock;
use booking_core::service::holding::{HoldAnswer, HoldOrder};
use booking_core::service::{Denied, Item, Service, Want};
use booking_core::store::{Guard, OrderRequest, OrderTaken, Store, StoreError, TakeAnswer, TakeRequest, Taken, Till};
use booking_core::strategy::Strategy;
use booking_core::teller::Teller;
use tokio::sync::{Barrier, Mutex};
use tokio::task::JoinSet;

use crate::database::{Database, on_both};
use crate::redis_server::RedisServer;
use crate::seating::PATIENCE;
use crate::world::{self, HOLD_MS, LIMITS, NOON, provider, row};

pub const SEATS: u32 = 100;
const BUYERS: u32 = SEATS + 500;

/// Runs a race under every strategy on both databases. Where a strategy needs a Redis, the race has one of its own.
macro_rules! under_every_strategy {
    ($race:ident: $($name:ident = $strategy:ident),+) => { $(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                $race(Database::sqlite(), Strategy::$strategy).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                $race(Database::postgres().await, Strategy::$strategy).await;
            }
        }
    )+ };
}

under_every_strategy! {
    sells_exactly_what_there_is:
        teller = Teller,
        conditional = Conditional,
        // In SQLite one writer at a time has all of it locked; the configuration says so and refuses it.
        pessimistic = Pessimistic,
        optimistic = Optimistic,
        seat_key = SeatKey,
        seat_lock = SeatLock,
        tickets = Tickets
}

/// Sells `SEATS` seats of one row, as one process of several.
pub fn seller(
    store: &Arc<dyn Store>,
    till: Arc<dyn Till>,
    strategy: Strategy,
    redis: Option<&RedisServer>,
) -> (Arc<Service>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(NOON));
    let (provider, _inbox) = provider(&clock);
    let metrics = Metrics::new();
    let teller = Teller::new(till, metrics.clone(), strategy, LIMITS);
    let mut parts = world::parts(Arc::clone(store), teller, metrics, &provider, &clock, SEATS);
    parts.seat_lock = redis.map(|redis| SeatLock::new(&redis.url(), PATIENCE).unwrap());
    (Service::new(parts), clock)
}

/// What a buyer asks for: any seat, or where seats have numbers every second buyer a certain one.
fn order(strategy: Strategy, buyer: u32) -> HoldOrder {
    let key = format!("buyer-{buyer}");
    if strategy.numbering() == Numbering::Seats && buyer.is_multiple_of(2) {
        let seat = SeatNumber::new(buyer / 2 % SEATS + 1);
        return HoldOrder { items: vec![Item { inventory: row(), want: Want::Seats(vec![seat]) }], key };
    }
    HoldOrder::new(row(), 1, key)
}

/// Asks until the answer is not "busy, try again".
pub async fn insist(service: &Arc<Service>, order: HoldOrder) -> Result<HoldAnswer, Denied> {
    loop {
        match service.hold(order.clone()).await {
            Err(Denied::Busy) => tokio::task::yield_now().await,
            outcome => return outcome,
        }
    }
}

/// Lets everybody ask at the same moment, each at one of the sellers; returns the holds.
async fn rush(sellers: &[Arc<Service>], strategy: Strategy, buyers: u32) -> Vec<Hold> {
    let start = Arc::new(Barrier::new(buyers as usize));
    let mut asking = JoinSet::new();
    for buyer in 0..buyers {
        let (service, start) = (Arc::clone(&sellers[buyer as usize % sellers.len()]), Arc::clone(&start));
        asking.spawn(async move {
            start.wait().await;
            insist(&service, order(strategy, buyer)).await
        });
    }
    let granted = asking.join_all().await.into_iter().filter_map(|outcome| match outcome {
        Ok(answer) => Some(answer.hold),
        Err(Denied::SoldOut(_) | Denied::SeatTaken(_)) => None,
        Err(other) => panic!("{other}"),
    });
    granted.collect()
}

/// Two processes sell one row to everybody at once; then all of it lapses under two reapers.
async fn sells_exactly_what_there_is(db: Database, strategy: Strategy) {
    let redis = (strategy == Strategy::SeatLock).then(|| RedisServer::start(&[]));
    let store = db.open().await;
    let other: Arc<dyn Store> = db.open().await;
    let (one, clock) = seller(&store, Arc::clone(&store) as _, strategy, redis.as_ref());
    let (two, _) = seller(&other, Arc::clone(&other) as _, strategy, redis.as_ref());
    let mut holds = rush(&[Arc::clone(&one), two], strategy, BUYERS).await;
    // Whoever wanted a certain seat and lost did not take another; the rest goes to whoever comes.
    holds.extend(rush_for_the_rest(&one, strategy).await);
    assert_eq!(holds.len(), SEATS as usize);
    let books = store.books().await.unwrap();
    assert_eq!(books.faults(), Vec::<String>::new());
    assert_eq!(books.rows[0].in_open_holds, u64::from(SEATS));
    assert_numbers(&holds, strategy);
    clock.advance_ms(HOLD_MS);
    let (left, right) = tokio::join!(reaper::pass(&one), reaper::pass(&one));
    assert_eq!(left.unwrap().failed + right.unwrap().failed, 0);
    let books = store.books().await.unwrap();
    assert_eq!((books.faults(), books.rows[0].stock.available), (Vec::new(), SEATS));
    assert_eq!(store.owned_seats(row()).await.unwrap(), []);
}

async fn rush_for_the_rest(service: &Arc<Service>, strategy: Strategy) -> Vec<Hold> {
    let mut holds = Vec::new();
    for late in 0.. {
        let order = HoldOrder::new(row(), 1, format!("late-{late}"));
        match insist(service, order).await {
            Ok(answer) => holds.push(answer.hold),
            Err(Denied::SoldOut(_)) => break,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(holds.is_empty() || strategy.numbering() == Numbering::Seats, "seats were left for no reason");
    holds
}

/// Every number has one owner, and all are given where all are sold.
fn assert_numbers(holds: &[Hold], strategy: Strategy) {
    let numbers: Vec<SeatNumber> = holds.iter().flat_map(|hold| hold.first().seats.clone()).collect();
    let distinct: BTreeSet<SeatNumber> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "a number has two owners");
    let expected = if strategy.numbering() == Numbering::Pool { 0 } else { SEATS };
    assert_eq!(distinct, (1..=expected).map(SeatNumber::new).collect());
}

on_both! {
    async fn without_a_guard_the_same_rush_oversells(db: Database) {
        let store = db.open().await;
        let broken = Arc::new(ReadThenWrite { store: Arc::clone(&store), write: RawWrite::open(&db).await });
        let (service, _) = seller(&store, broken, Strategy::Conditional, None);
        let holds = rush(&[service], Strategy::Conditional, BUYERS).await;
        assert!(holds.len() > SEATS as usize, "the race did not happen: {} granted", holds.len());
        let books = store.books().await.unwrap();
        assert!(books.rows[0].oversold() > 0, "{books:?}");
        assert!(!books.faults().is_empty());
    }
}

/// The broken way: reads, and then writes what it computed, whatever happened in between. It lives only here.
pub struct ReadThenWrite {
    pub store: Arc<dyn Store>,
    pub write: RawWrite,
}

#[async_trait]
impl Till for ReadThenWrite {
    async fn take(&self, _: Guard, row: InventoryId, requests: &[TakeRequest]) -> Result<Taken, StoreError> {
        let available = self.store.stock(&[row]).await?[0].stock.available;
        tokio::task::yield_now().await;
        let request = &requests[0];
        if request.quantity > available {
            return Ok(Taken { answers: vec![TakeAnswer::SoldOut], available });
        }
        let left = available - request.quantity;
        self.write.overwrite(row, left, request).await;
        Ok(Taken { answers: vec![TakeAnswer::Granted(request.granted(row, Vec::new()))], available: left })
    }

    async fn take_order(&self, _: &OrderRequest) -> Result<OrderTaken, StoreError> {
        unreachable!("the rush has orders of one row")
    }
}

pub enum RawWrite {
    Sqlite(Mutex<rusqlite::Connection>),
    Postgres(tokio_postgres::Client),
}

impl RawWrite {
    pub async fn open(db: &Database) -> Self {
        if let Some(path) = db.url.strip_prefix("sqlite:") {
            let connection = rusqlite::Connection::open(path).unwrap();
            connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
            return Self::Sqlite(Mutex::new(connection));
        }
        let (client, connection) = tokio_postgres::connect(&db.url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        Self::Postgres(client)
    }

    async fn overwrite(&self, row: InventoryId, left: u32, request: &TakeRequest) {
        let hold = hex::encode(request.hold.as_bytes());
        let (blob, bytes) = match self {
            Self::Sqlite(_) => (format!("x'{hold}'"), "x'00'"),
            Self::Postgres(_) => (format!("'\\x{hold}'"), "'\\x00'"),
        };
        let sql = format!(
            "UPDATE inventory SET available = {left}, held = capacity - sold - {left} WHERE name = '{row}';
             INSERT INTO holds (id, inventory_id, quantity, amount, request_hash, status, created_at, expires_at, changed_at)
             SELECT {blob}, id, {}, 1, {bytes}, 'held', 0, 0, 0 FROM inventory WHERE name = '{row}';",
            request.quantity
        );
        match self {
            Self::Sqlite(connection) => connection.lock().await.execute_batch(&sql).unwrap(),
            Self::Postgres(client) => client.batch_execute(&sql).await.unwrap(),
        }
    }
}

fn three(numbering: Numbering) -> Offer {
    Offer { inventory: row(), capacity: 3, price: Paise::new(1), numbering }
}

/// Asks a store for the same number, or for any, at the same moment, each in a transaction of its own.
async fn rush_for_numbers(store: &Arc<dyn Store>, numbering: Numbering, wish: Wish, buyers: u8) -> Vec<TakeAnswer> {
    store.ensure(&[three(numbering)]).await.unwrap();
    let start = Arc::new(Barrier::new(buyers.into()));
    let mut asking = JoinSet::new();
    for buyer in 1..=buyers {
        let (store, start, wish) = (Arc::clone(store), Arc::clone(&start), wish.clone());
        asking.spawn(async move {
            start.wait().await;
            store.take(Guard::UniqueKey, row(), &[request(buyer, 1, wish)]).await.unwrap().answers.remove(0)
        });
    }
    asking.join_all().await
}

fn granted(answers: &[TakeAnswer]) -> usize {
    answers.iter().filter(|answer| matches!(answer, TakeAnswer::Granted(_))).count()
}

fn request(buyer: u8, quantity: u32, wish: Wish) -> TakeRequest {
    TakeRequest {
        hold: HoldId::from_bytes([buyer; 16]),
        request_hash: [buyer; 32],
        quantity,
        wish,
        amount: Paise::new(1),
        created_at: NOON,
        expires_at: NOON.plus_ms(HOLD_MS),
    }
}

on_both! {
    async fn a_chosen_seat_has_one_owner(db: Database) {
        let store = db.open().await;
        let wish = Wish::These(vec![SeatNumber::new(2)]);
        let answers = rush_for_numbers(&store, Numbering::Seats, wish, 16).await;
        assert_eq!(granted(&answers), 1, "{answers:?}");
        assert!(answers.iter().all(|a| matches!(a, TakeAnswer::Granted(_) | TakeAnswer::SeatTaken(_))), "{answers:?}");
        assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
    }
}

/// In SQLite the transaction that writes has everything locked, so there the key is a second guard; here it is the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_key_one_number_gets_two_owners_on_postgres() {
    for (numbering, wish) in
        [(Numbering::Seats, Wish::These(vec![SeatNumber::new(2)])), (Numbering::Tickets, Wish::Any)]
    {
        let db = Database::postgres().await;
        let store = db.open().await;
        db.raw("ALTER TABLE seats DROP CONSTRAINT seats_pkey").await.unwrap();
        store.ensure(&[three(numbering)]).await.unwrap();
        // Whoever has read that the number is free, and written it down, waits here to change the count.
        let (mut client, connection) = tokio_postgres::connect(&db.url, tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let lock = client.transaction().await.unwrap();
        lock.execute("SELECT 1 FROM inventory FOR UPDATE", &[]).await.unwrap();
        let rush = tokio::spawn(async move {
            rush_for_numbers(&store, numbering, wish, 4).await;
            store
        });
        let waiting = "SELECT count(*) FROM pg_stat_activity, pg_stat_clear_snapshot()
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while lock.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) < 4 {}
        lock.commit().await.unwrap();
        let store = rush.await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
        let faults = store.books().await.unwrap().faults();
        assert!(faults.iter().any(|fault| fault.contains("have a second owner")), "{faults:?}");
    }
}

on_both! {
    async fn whoever_has_no_luck_is_told_to_come_back(db: Database) {
        let store = db.open().await;
        store.ensure(&[Offer { inventory: row(), capacity: 200, price: Paise::new(1), numbering: Numbering::Pool }]).await.unwrap();
        let start = Arc::new(Barrier::new(200));
        let mut asking = JoinSet::new();
        for buyer in 0..200 {
            let (store, start) = (Arc::clone(&store), Arc::clone(&start));
            asking.spawn(async move {
                start.wait().await;
                store.take(Guard::Version, row(), &[request(buyer, 1, Wish::Any)]).await.unwrap().answers.remove(0)
            });
        }
        let answers = asking.join_all().await;
        let contended = answers.iter().filter(|answer| **answer == TakeAnswer::Contended).count();
        assert_eq!(granted(&answers) + contended, 200, "{answers:?}");
        assert_eq!(store.stock(&[row()]).await.unwrap()[0].stock.held as usize, granted(&answers));
        assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
    }
}

on_both! {
    async fn a_row_keeps_its_numbering(db: Database) {
        let store = db.open().await;
        for (numbering, guards) in [
            (Numbering::Pool, vec![Guard::UniqueKey]),
            (Numbering::Seats, vec![Guard::Condition, Guard::RowLock, Guard::Version]),
        ] {
            let inventory = if numbering == Numbering::Pool { rows()[0] } else { rows()[1] };
            store.ensure(&[Offer { inventory, capacity: 5, price: Paise::new(1), numbering }]).await.unwrap();
            for guard in guards {
                let refused = store.take(guard, inventory, &[request(1, 1, Wish::Any)]).await;
                assert!(matches!(refused, Err(StoreError::OtherNumbering(..))), "{guard:?} {refused:?}");
            }
        }
        assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
    }
}

// Orders of several rows.

/// A pool, numbered seats and numbered tickets, in ascending order.
fn rows() -> [InventoryId; 3] {
    ["12951:2026-11-24:3A", "12951:2026-11-25:3A", "12951:2026-11-26:3A"].map(|row| row.parse().unwrap())
}

async fn three_rows(db: &Database, capacity: u32) -> Arc<dyn Store> {
    let store = db.open().await;
    let kinds = [Numbering::Pool, Numbering::Seats, Numbering::Tickets];
    let offers: Vec<Offer> = rows()
        .into_iter()
        .zip(kinds)
        .map(|(inventory, numbering)| Offer { inventory, capacity, price: Paise::new(1), numbering })
        .collect();
    store.ensure(&offers).await.unwrap();
    store
}

fn order_of(buyer: u8, rows: impl Iterator<Item = InventoryId>) -> OrderRequest {
    OrderRequest { lines: rows.map(|row| (row, request(buyer, 1, Wish::Any))).collect() }
}

async fn available(store: &Arc<dyn Store>) -> BTreeMap<InventoryId, u32> {
    let rows = store.stock(&rows()).await.unwrap();
    rows.into_iter().map(|row| (row.inventory, row.stock.available)).collect()
}

on_both! {
    async fn an_order_of_several_rows_is_all_or_nothing(db: Database) {
        let store = three_rows(&db, 2).await;
        let taken = store.take_order(&order_of(1, rows().into_iter())).await.unwrap();
        let TakeAnswer::Granted(hold) = taken.answer else { panic!("{taken:?}") };
        assert_eq!(hold.lines.iter().map(|line| line.seats.len()).collect::<Vec<_>>(), [0, 1, 1]);
        assert_eq!(store.hold(hold.id).await.unwrap().as_ref(), Some(&hold));
        assert_eq!(taken.available, rows().map(|row| (row, 1)));
        let again = store.take_order(&order_of(1, rows().into_iter())).await.unwrap();
        assert_eq!(again.answer, TakeAnswer::Replayed(hold));
        // The last row is sold out: nothing of the others is taken.
        store.take(Guard::UniqueKey, rows()[2], &[request(2, 1, Wish::Any)]).await.unwrap();
        let refused = store.take_order(&order_of(3, rows().into_iter())).await.unwrap();
        assert_eq!((refused.answer, refused.available), (TakeAnswer::SoldOut, vec![(rows()[2], 0)]));
        assert_eq!(available(&store).await.into_values().collect::<Vec<_>>(), [1, 1, 0]);
        assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
    }
}

on_both! {
    async fn orders_for_the_same_rows_do_not_wait_for_each_other_in_a_circle(db: Database) {
        let store = three_rows(&db, 60).await;
        let mut asking = JoinSet::new();
        for buyer in 0..90_u8 {
            let store = Arc::clone(&store);
            // Whatever order a buyer names them in, the service sorts them; singles come in between.
            asking.spawn(async move {
                match buyer % 3 {
                    0 => drop(store.take(Guard::Condition, rows()[0], &[request(buyer, 1, Wish::Any)]).await.unwrap()),
                    1 => drop(store.take(Guard::UniqueKey, rows()[1], &[request(buyer, 1, Wish::Any)]).await.unwrap()),
                    _ => drop(store.take_order(&order_of(buyer, rows().into_iter())).await.unwrap()),
                }
            });
        }
        // A deadlock would be an error here: nobody tries again.
        asking.join_all().await;
        assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
    }
}

/// The control: rows that are not sorted do deadlock, so the test above would have noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsorted_orders_deadlock_on_postgres() {
    let db = Database::postgres().await;
    let store = three_rows(&db, 10_000).await;
    for round in 0..50_u8 {
        let mut asking = JoinSet::new();
        for buyer in 0..4_u8 {
            let store = Arc::clone(&store);
            asking.spawn(async move {
                let order = if buyer % 2 == 0 {
                    order_of(round * 4 + buyer, rows().into_iter())
                } else {
                    order_of(round * 4 + buyer, rows().into_iter().rev())
                };
                store.take_order(&order).await
            });
        }
        let outcomes = asking.join_all().await;
        if outcomes.iter().any(|outcome| matches!(outcome, Err(StoreError::Conflict(_)))) {
            return;
        }
    }
    panic!("two hundred orders in opposite orders never met");
}
