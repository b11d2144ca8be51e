//! Several databases: everything of a row on one of them, none waits for another, and one more moves nothing.

use std::sync::Arc;
use std::time::Duration;

use booking_core::app::{self, App, StartError};
use booking_core::catalogue::Catalogue;
use booking_core::clock::{Clock, ManualClock};
use booking_core::config::{Config, SaleRow, ShardRules};
use booking_core::domain::booking::Reference;
use booking_core::domain::hold::{Hold, HoldId, HoldStatus};
use booking_core::domain::inventory::InventoryId;
use booking_core::domain::money::Paise;
use booking_core::domain::order::Stop;
use booking_core::domain::payment::PaymentStatus;
use booking_core::domain::placement::ShardNumber;
use booking_core::service::holding::HoldOrder;
use booking_core::service::paying::PaymentOrder;
use booking_core::service::{BadOrder, Denied, Item, Service, Want};
use booking_core::store::Store;
use booking_core::strategy::Strategy;
use booking_core::{outbox, reconciler};

use crate::database::{Database, on_both};
use crate::world::{self, HOLD_MS, NOON, SECRET};

const DAY: &str = "2026-11-23";
const LATER: &str = "2026-11-30";

pub fn shard(number: u8, database: &Database, from: Option<&str>) -> ShardRules {
    let number = number.try_into().unwrap();
    ShardRules { number, database: database.url.clone(), from: from.map(str::to_owned), until: None }
}

pub fn config(shards: Vec<ShardRules>) -> Config {
    let mut config = Config { shards, ..Config::default() };
    config.payments.webhook_secret = Some(SECRET.to_owned());
    config
}

/// Finds a row of a day that a configuration places on a shard.
pub fn row_on(config: &Config, number: u8, day: &str) -> InventoryId {
    let (placement, catalogue) = (config.placement().unwrap().unwrap(), Catalogue::embedded().unwrap());
    let rows = catalogue.trains().iter().map(|train| format!("{}:{day}:{}", train.number, train.classes[0].code()));
    let mut rows = rows.map(|name| name.parse::<InventoryId>().unwrap()).filter(|row| catalogue.offer(*row).is_ok());
    rows.find(|row| u8::from(placement.of(*row)) == number).expect("every shard has trains")
}

async fn start(config: &Config, clock: &Arc<ManualClock>) -> App {
    App::start(config.clone(), Arc::clone(clock) as Arc<dyn Clock>).await.unwrap()
}

async fn refusal(config: &Config) -> StartError {
    let clock = Arc::new(ManualClock::at(NOON));
    App::start(config.clone(), clock as Arc<dyn Clock>).await.err().expect("it does not start")
}

async fn hold(service: &Arc<Service>, inventory: InventoryId, key: &str) -> Hold {
    service.hold(HoldOrder::new(inventory, 1, key)).await.unwrap().hold
}

async fn pay(service: &Arc<Service>, hold: &Hold) -> PaymentStatus {
    let order = PaymentOrder { hold: hold.id, method: "sim_ok".to_owned(), key: "p".to_owned() };
    service.pay(order).await.unwrap().payment.state.status()
}

async fn until(came_true: impl AsyncFn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !came_true().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.expect("it comes true");
}

on_both! {
    async fn everything_of_a_row_is_in_one_database(db: Database) {
        let databases = [&db, &db.another().await];
        let config = config(vec![shard(0, databases[0], None), shard(1, databases[1], None)]);
        let clock = Arc::new(ManualClock::at(NOON));
        let app = start(&config, &clock).await;
        let service = app.service();
        for number in [0, 1] {
            let row = row_on(&config, number, DAY);
            let [key, other] = [format!("k{number}"), format!("l{number}")];
            let (bought, lapsing) = (hold(service, row, &key).await, hold(service, row, &other).await);
            assert_eq!(u8::from(ShardNumber::of_hold(bought.id)), number, "the id tells where it is");
            assert_eq!(hold(service, row, &key).await.id, bought.id, "the same key is the same hold");
            assert_eq!(pay(service, &bought).await, PaymentStatus::Kept);
            let booking = Reference::of(bought.id);
            assert_eq!(service.booking(booking).await.unwrap().lines[0].inventory, row);
            clock.advance_ms(HOLD_MS);
            service.nudge_reaper();
            until(async || service.find_hold(lapsing.id).await.unwrap().state.status() == HoldStatus::Expired).await;
            let books = async |database: &Database| app::open(&database.config_of_shard(&config)).await.unwrap().books().await.unwrap();
            let here = books(databases[usize::from(number)]).await;
            assert_eq!((here.bookings, here.open_holds, here.faults()), (1, 0, Vec::new()));
        }
        assert_eq!(service.store().books().await.unwrap().bookings, 2);
        app.stop().await;
    }
}

impl Database {
    /// The configuration that names just this shard of another.
    fn config_of_shard(&self, of: &Config) -> Config {
        let shards = of.shards.iter().filter(|shard| shard.database == self.url).cloned().collect();
        Config { shards, ..Config::default() }
    }
}

#[tokio::test]
async fn an_order_over_two_databases_is_refused() {
    let databases = [Database::sqlite(), Database::sqlite()];
    let config = config(vec![shard(0, &databases[0], None), shard(1, &databases[1], None)]);
    let app = start(&config, &Arc::new(ManualClock::at(NOON))).await;
    let item = |number| Item { inventory: row_on(&config, number, DAY), want: Want::Any(1) };
    let order = |items| HoldOrder { items, key: "k".to_owned() };
    let apart = app.service().hold(order(vec![item(0), item(1)])).await;
    assert!(matches!(apart, Err(Denied::Order(BadOrder::Apart(..)))), "{apart:?}");
    assert_eq!(app.service().store().open_holds().await.unwrap(), 0);
    let together = app.service().hold(order(vec![item(0), item(0)])).await.unwrap();
    assert_eq!(together.hold.lines[0].quantity, 2);
    app.stop().await;
}

on_both! {
    async fn one_key_for_orders_in_two_databases_is_refused_the_second_time(db: Database) {
        let databases = [&db, &db.another().await];
        let config = config(vec![shard(0, databases[0], None), shard(1, databases[1], None)]);
        let app = start(&config, &Arc::new(ManualClock::at(NOON))).await;
        let service = app.service();
        let [here, there] = [0, 1].map(|number| row_on(&config, number, DAY));
        let order = async |row, key: &str| service.hold(HoldOrder::new(row, 1, key)).await;
        let reused = |outcome: &Result<_, Denied>| matches!(outcome, Err(Denied::State(Stop::KeyReused)));
        for (key, first, second) in [("one", here, there), ("two", there, here)] {
            let held = order(first, key).await.unwrap();
            for _ in 0..2 {
                let again = order(second, key).await;
                assert!(reused(&again), "{again:?}");
            }
            let replayed = order(first, key).await.unwrap();
            assert!(replayed.replayed && replayed.hold == held.hold, "the first one keeps its key");
        }
        assert_eq!(service.store().open_holds().await.unwrap(), 2, "nothing else was taken");
        assert_eq!(service.metrics().keys_unchecked.get(), 0);
        app.stop().await;
    }
}

on_both! {
    async fn one_key_used_in_two_databases_at_once_has_one_order_at_most(db: Database) {
        let databases = [&db, &db.another().await];
        let config = config(vec![shard(0, databases[0], None), shard(1, databases[1], None)]);
        let app = start(&config, &Arc::new(ManualClock::at(NOON))).await;
        let rows = [0, 1].map(|number| row_on(&config, number, DAY));
        let mut granted = 0;
        for round in 0..40 {
            let order = |row| {
                let (service, key) = (Arc::clone(app.service()), format!("k{round}"));
                tokio::spawn(async move { service.hold(HoldOrder::new(row, 1, key)).await })
            };
            let [one, two] = rows.map(order);
            let answers = [one.await.unwrap(), two.await.unwrap()];
            let both = answers.iter().filter(|answer| answer.is_ok()).count();
            assert!(both <= 1, "round {round}: {answers:?}");
            granted += both as u64;
        }
        assert_eq!(app.service().store().open_holds().await.unwrap(), granted, "what is refused keeps no seat");
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_keeps_no_other_waiting() {
    let (well, ill) = (Database::postgres().await, Database::postgres().await);
    let config = config(vec![shard(0, &well, None), shard(1, &ill, None)]);
    let clock = Arc::new(ManualClock::at(NOON));
    let app = start(&config, &clock).await;
    let service = app.service();
    let (here, there) = (row_on(&config, 0, DAY), row_on(&config, 1, DAY));
    hold(service, there, "there").await;
    let lapsing = hold(service, here, "lapses").await;
    let (mut client, connection) = tokio_postgres::connect(&ill.url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let lock = client.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE inventory, holds, payments, bookings, outbox, turns IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let waiting = tokio::spawn({
        let service = Arc::clone(service);
        async move { hold(&service, there, "waits").await }
    });
    let at_once = tokio::time::timeout(Duration::from_secs(5), async {
        let bought = hold(service, here, "bought").await;
        assert_eq!(pay(service, &bought).await, PaymentStatus::Kept);
        service.booking(Reference::of(bought.id)).await.unwrap();
        clock.advance_ms(HOLD_MS);
        while service.find_hold(lapsing.id).await.unwrap().state.status() != HoldStatus::Expired {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    at_once.await.expect("holding, paying, reading and reaping go on");
    assert!(!waiting.is_finished());
    lock.rollback().await.unwrap();
    waiting.await.expect("it was only late");
    drop(client);
    connection.await.unwrap().unwrap();
    app.stop().await;
}

on_both! {
    async fn one_database_becomes_several_and_nothing_moves(db: Database) {
        let (other, clock) = (db.another().await, Arc::new(ManualClock::at(NOON)));
        let alone = Config { database: db.url.clone(), ..config(Vec::new()) };
        let old_rows: Vec<InventoryId> = {
            let both = config(vec![shard(0, &db, None), shard(1, &other, None)]);
            [0, 1].map(|number| row_on(&both, number, DAY)).into()
        };
        let app = start(&alone, &clock).await;
        let mut old = Vec::new();
        for (number, row) in old_rows.iter().enumerate() {
            old.push(hold(app.service(), *row, &format!("old{number}")).await);
        }
        app.stop().await;
        let careless = config(vec![shard(0, &db, None), shard(1, &other, None)]);
        assert!(matches!(refusal(&careless).await, StartError::Misplaced { .. }), "it would look for them elsewhere");
        let careful = config(vec![shard(0, &db, None), shard(1, &other, Some(LATER))]);
        let app = start(&careful, &clock).await;
        for hold in &old {
            assert_eq!(pay(app.service(), hold).await, PaymentStatus::Kept, "an id from before tells no shard");
        }
        let new = hold(app.service(), row_on(&careful, 1, LATER), "new").await;
        assert_eq!(u8::from(ShardNumber::of_hold(new.id)), 1);
        assert_eq!(pay(app.service(), &new).await, PaymentStatus::Kept);
        let books = app.service().store().books().await.unwrap();
        assert_eq!((books.bookings, books.faults()), (3, Vec::new()));
        app.stop().await;
        let swapped = config(vec![shard(0, &other, None), shard(1, &db, Some(LATER))]);
        let said = refusal(&swapped).await.to_string();
        assert!(said.contains("is shard 1, and the configuration calls it shard 0"), "{said}");
        let said = refusal(&alone).await.to_string();
        assert!(said.contains("is shard 0, and the configuration calls it the only one"), "{said}");
    }
}

/// What the ids of each database of a configuration are derived with.
async fn secrets(of: &Config) -> Vec<Option<[u8; 32]>> {
    let store = app::open(of).await.unwrap();
    let mut secrets = Vec::new();
    for (_, database) in store.databases() {
        secrets.push(database.secret(None).await.unwrap());
    }
    secrets
}

on_both! {
    async fn the_secret_stays_when_the_first_database_goes_and_when_another_comes(db: Database) {
        let databases = [&db, &db.another().await, &db.another().await];
        let shards = [0, 1, 2].map(|number| shard(number, databases[usize::from(number)], None));
        let clock = Arc::new(ManualClock::at(NOON));
        let mut ids = Vec::new();
        for (kept, known) in [(1..3, 0), (2..3, 1), (0..3, 2)] {
            let config = config(shards[kept].to_vec());
            assert_eq!(secrets(&config).await.iter().flatten().count(), known, "what is new has none");
            start(&config, &clock).await.stop().await;
            ids.extend(secrets(&config).await);
        }
        assert!(ids.len() == 6 && ids[0].is_some() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
}

on_both! {
    async fn one_key_is_one_hold_after_the_first_database_was_taken_out(db: Database) {
        let databases = [&db, &db.another().await];
        let both = config(vec![shard(0, databases[0], None), shard(1, databases[1], None)]);
        let clock = Arc::new(ManualClock::at(NOON));
        let row = row_on(&both, 1, DAY);
        let app = start(&both, &clock).await;
        let before = hold(app.service(), row, "k").await;
        app.stop().await;
        let app = start(&config(both.shards[1..].to_vec()), &clock).await;
        assert_eq!(hold(app.service(), row, "k").await, before);
        app.stop().await;
    }
}

on_both! {
    async fn a_secret_that_only_the_lowest_has_is_given_to_the_others(db: Database) {
        let databases = [&db, &db.another().await];
        let alone = Config { database: db.url.clone(), ..config(Vec::new()) };
        let clock = Arc::new(ManualClock::at(NOON));
        start(&alone, &clock).await.stop().await;
        let config = config(vec![shard(0, databases[0], None), shard(1, databases[1], None)]);
        let [old, None] = secrets(&config).await[..] else { panic!("the new one has none") };
        start(&config, &clock).await.stop().await;
        assert_eq!(secrets(&config).await, [old, old]);
    }
}

on_both! {
    async fn databases_with_different_secrets_are_refused(db: Database) {
        let databases = [&db, &db.another().await, &db.another().await];
        let clock = Arc::new(ManualClock::at(NOON));
        for database in &databases[1..] {
            let alone = Config { database: database.url.clone(), ..config(Vec::new()) };
            start(&alone, &clock).await.stop().await;
        }
        let config = config((0..).zip(databases).map(|(number, database)| shard(number, database, None)).collect());
        let said = refusal(&config).await.to_string();
        assert!(said.contains("shard 1 and shard 2 derive ids with different secrets"), "{said}");
        let before = secrets(&config).await;
        assert_eq!(before[0], None, "nothing was written");
        databases[2].raw("DELETE FROM secrets").await.unwrap();
        start(&config, &clock).await.stop().await;
        assert_eq!(secrets(&config).await, [before[1]; 3]);
    }
}

on_both! {
    async fn copies_that_start_at_once_settle_on_one_secret(db: Database) {
        for _ in 0..5 {
            let databases = [&db.another().await, &db.another().await, &db.another().await];
            let config = config((0..).zip(databases).map(|(number, database)| shard(number, database, None)).collect());
            drop(app::open(&config).await.unwrap());
            let copies = (0..4).map(|_| {
                let config = config.clone();
                tokio::spawn(async move { start(&config, &Arc::new(ManualClock::at(NOON))).await.stop().await })
            });
            for copy in copies.collect::<Vec<_>>() {
                copy.await.expect("every copy starts");
            }
            let settled = secrets(&config).await;
            assert!(settled[0].is_some() && settled.iter().all(|secret| *secret == settled[0]), "{settled:?}");
        }
    }
}

#[test]
fn shards_that_make_no_sense_are_all_named() {
    let same = Database::sqlite();
    let twice = config(vec![shard(0, &same, None), shard(1, &same, None)]);
    assert!(twice.check().unwrap_err().to_string().contains("two numbers have the same database"));
    let never = config(vec![shard(0, &same, Some("2026-02-30"))]);
    assert!(never.check().unwrap_err().to_string().contains("from of number 0: the date must read YYYY-MM-DD"));
    let both = Config { database: "sqlite:x.db".to_owned(), ..config(vec![shard(0, &same, None)]) };
    assert!(both.check().unwrap_err().to_string().contains("either database or shards"));
    assert!(
        toml::from_str::<Config>("[[shards]]\nnumber = 32\ndatabase = 'sqlite:a'")
            .unwrap_err()
            .to_string()
            .contains("from 0 to 31")
    );
}

#[tokio::test]
async fn rows_of_many_databases_are_read_together() {
    let databases = [Database::sqlite(), Database::sqlite(), Database::sqlite()];
    let shards = (0..).zip(&databases).map(|(number, database)| shard(number, database, None)).collect();
    let mut config = config(shards);
    let rows: Vec<InventoryId> = (0..3).map(|number| row_on(&config, number, DAY)).collect();
    config.sale = rows.iter().map(|&inventory| SaleRow { inventory, capacity: 7 }).collect();
    let app = start(&config, &Arc::new(ManualClock::at(NOON))).await;
    let mut stock: Vec<InventoryId> =
        app.service().store().stock(&rows).await.unwrap().iter().map(|row| row.inventory).collect();
    stock.sort_unstable();
    let mut expected = rows.clone();
    expected.sort_unstable();
    assert_eq!(stock, expected);
    for (database, row) in databases.iter().zip(&rows) {
        let store: Arc<dyn Store> = app::open(&database.config_of_shard(&config)).await.unwrap();
        assert_eq!(store.rows_from(NOON.day_in_india()).await.unwrap(), [*row]);
    }
    app.stop().await;
}

on_both! {
    async fn money_of_a_shard_that_was_taken_out_is_left_alone(db: Database) {
        let other = db.another().await;
        let both = config(vec![shard(0, &db, None), shard(1, &other, None)]);
        let clock = Arc::new(ManualClock::at(NOON));
        let (bank, _inbox) = world::provider(&clock);
        let sell = async |config: &Config| {
            world::service(app::open(config).await.unwrap(), &bank, &clock, 5, Strategy::Teller).await
        };
        let service = sell(&both).await;
        let held = world::hold(&service, "h", 1).await.unwrap();
        let paid = world::pay(&service, &held, "p", "sim_ok").await.unwrap().payment;
        assert_eq!(paid.state.status(), PaymentStatus::Kept);
        let gone = ShardNumber::of_payment(paid.id);
        let rest = config(both.shards.into_iter().filter(|shard| shard.number != gone).collect());
        let service = sell(&rest).await;
        let _stray = bank.stray_charge(rest.shards[0].number.name_payment(paid.id), Paise::new(700));
        clock.advance_ms(60_000);
        reconciler::pass(&service).await.unwrap();
        outbox::pass(&service).await.unwrap();
        assert_eq!(service.metrics().discrepancies.get(), 1, "a person must look at it");
        let kept: Vec<_> = bank.kept().iter().map(|charge| charge.payment).collect();
        assert_eq!(kept, [paid.id], "the booking keeps its money");
        assert_eq!(service.metrics().orphans.get(), 1, "what names a shard we have goes back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_takes_only_its_own_along() {
    let (well, ill, beside) = (Database::postgres().await, Database::postgres().await, Database::postgres().await);
    let drop_database = async |database: &Database| {
        let (_, name) = database.url.rsplit_once('/').unwrap();
        beside.raw(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
    };
    let config = config(vec![shard(0, &well, None), shard(1, &ill, None)]);
    let app = start(&config, &Arc::new(ManualClock::at(NOON))).await;
    let (service, away) = (app.service(), &app.service().metrics().databases_away);
    let bought = hold(service, row_on(&config, 0, DAY), "k").await;
    assert_eq!(pay(service, &bought).await, PaymentStatus::Kept);
    let (known, unknown) = (Reference::of(bought.id), Reference::of(HoldId::from_bytes([9; 16])));
    assert_eq!((service.store().booking(unknown).await.unwrap(), away.get()), (None, 0));
    drop_database(&ill).await;
    assert_eq!(service.store().booking(known).await.unwrap().unwrap().hold, bought.id);
    service.store().booking(unknown).await.expect_err("the one that is away may know it");
    service.store().ping().await.expect("one answers");
    until(async || away.get() == 1).await;
    drop_database(&well).await;
    service.store().ping().await.expect_err("none answers");
    until(async || away.get() == 2).await;
    app.stop().await;
}
