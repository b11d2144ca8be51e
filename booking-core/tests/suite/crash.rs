//! What a crash leaves behind: a real process that dies at every step, a database that is killed, a connection that is
//! cut while a commit is on its way, a disk that is full.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use booking_core::clock::{Clock, Course, ManualClock, SystemClock};
use booking_core::domain::hold::{Hold, HoldStatus};
use booking_core::domain::moment::Moment;
use booking_core::domain::money::Paise;
use booking_core::domain::payment::PaymentStatus;
use booking_core::fail_point::{COMMITTED, COMMITTING, PROVIDER_ANSWERED};
use booking_core::metrics::Metrics;
use booking_core::provider::signature::sign;
use booking_core::provider::simulated::SIGNATURE_HEADER;
use booking_core::provider::simulated::account::Telling;
use booking_core::service::holding::HoldAnswer;
use booking_core::service::{Denied, Parts, Service};
use booking_core::strategy::Strategy;
use booking_core::teller::Teller;
use booking_core::{follower, outbox, reaper, reconciler};
use hyper::Method;
use serde_json::{Value, json};

use crate::cut::Cut;
use crate::database::{Cluster, Database, on_both};
use crate::process::{Process, configuration};
use crate::world::{self, NOON, SECRET, TestBank, World, row, row_in_a_month};

const SEATS: u32 = 5;

/// Goes through a whole purchase; `None` as soon as the process has died over it.
async fn buy(process: &Process, _bank: &TestBank) -> Option<()> {
    let (status, hold) = process.hold("h", 2).await?;
    assert_eq!(status, 201, "{hold}");
    let hold = hold["id"].as_str().unwrap().to_owned();
    let (_, mut payment) = process.pay(&hold, "p", "sim_ok").await?;
    while payment["status"] != "kept" {
        let again = process.pay(&hold, "p", "sim_ok").await?.1;
        // A payment that was given up for lost may be tried under another key, as a buyer would.
        payment = if again["status"] == "failed" || again["status"].as_u64() == Some(402) {
            process.pay(&hold, "p2", "sim_ok").await?.1
        } else {
            again
        };
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Some(())
}

/// Has money taken for a hold that is cancelled meanwhile, and waits until it has gone back.
async fn be_refunded(process: &Process, bank: &TestBank) -> Option<()> {
    let (_, hold) = process.hold("h", 2).await?;
    let hold = hold["id"].as_str().unwrap().to_owned();
    let (_, mut payment) = process.pay(&hold, "p", "sim_hang").await?;
    // Money that is on its way back already is a problem, which names no payment.
    let Some(id) = payment["id"].as_str().map(str::to_owned) else { return Some(()) };
    process.ask(Method::DELETE, &format!("/api/holds/{hold}"), &[], Value::Null).await?;
    let amount_paise =
        process.ask(Method::GET, &format!("/api/holds/{hold}"), &[], Value::Null).await?.1["amount_paise"]
            .as_i64()
            .unwrap();
    let payment_id = id.parse().unwrap();
    let charge = bank.stray_charge(payment_id, Paise::from_i64(amount_paise).unwrap());
    let news = Telling::Captured { payment: payment_id, charge, amount_paise };
    let body = serde_json::to_vec(&news).unwrap();
    let now = SystemClock::new().wall();
    let signature = sign(SECRET.as_bytes(), now, &body);
    let headers = [(SIGNATURE_HEADER, signature.as_str())];
    let (status, told) = process.send(Method::POST, "/api/payments/webhook", &headers, body.into()).await?;
    assert!((200..300).contains(&status), "{status} {told}");
    while payment["status"] != "refunded" {
        payment = process.ask(Method::GET, &format!("/api/payments/{id}"), &[], Value::Null).await?.1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Some(())
}

/// Goes through a purchase of two seats, gives one of them back, and waits until its money has gone back.
async fn give_one_back(process: &Process, bank: &TestBank) -> Option<()> {
    buy(process, bank).await?;
    let (_, hold) = process.hold("h", 2).await?;
    let path = format!("/api/bookings/{}", hold["booking"].as_str().unwrap());
    let kept = json!({"inventory": row_in_a_month(), "quantity": 1});
    let (status, mut booking) = process.ask(Method::PATCH, &path, &[], kept).await?;
    assert_eq!(status, 200, "{booking}");
    while booking["refund"]["status"] != "refunded" {
        booking = process.ask(Method::GET, &path, &[], Value::Null).await?.1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(booking["refunds"].as_array().unwrap().len(), 1, "once: {booking}");
    Some(())
}

/// Lets the process die at the N-th time it comes to a point, for every N there is; then starts another one, to whom the
/// same person says the same again. Returns how often it died.
async fn die_at_every(
    point: &str,
    story: impl AsyncFn(&Process, &TestBank) -> Option<()>,
    fresh: impl AsyncFn() -> Database,
    sold: u32,
) -> u32 {
    for nth in 1..100 {
        let (db, (bank, _inbox)) = (fresh().await, world::bank(Arc::new(SystemClock::new())));
        let configuration = configuration(&db, SEATS, Some(&bank));
        let mut first = Process::start(&configuration, "", Some(&format!("{point}:{nth}")));
        let survived =
            tokio::time::timeout(Duration::from_secs(60), story(&first, &bank)).await.expect("it does or dies");
        let died = first.is_dead() || survived.is_none();
        let mut living = first;
        if died {
            living = Process::start(&configuration, "", None);
            let told = tokio::time::timeout(Duration::from_secs(60), story(&living, &bank)).await;
            told.unwrap_or_else(|_| panic!("{point}:{nth}: it does not come to its end")).expect("nothing dies");
        }
        let store = db.open().await;
        until(async || store.books().await.unwrap().unsettled == 0 && bank.bank().set_aside().is_empty()).await;
        drop(living);
        world::assert_books(&*store, &bank).await;
        let books = store.books().await.unwrap();
        assert_eq!(books.faults(), Vec::<String>::new(), "{point}:{nth}");
        assert_eq!((books.unsettled, books.pending), (0, 0), "{point}:{nth}");
        let stock = store.stock(&[row_in_a_month()]).await.unwrap()[0].stock;
        assert_eq!((stock.available, stock.held, stock.sold), (SEATS - sold, 0, sold), "{point}:{nth}");
        if !died {
            return nth - 1;
        }
    }
    panic!("{point} is come to without end");
}

async fn a_purchase_survives(fresh: impl AsyncFn() -> Database) {
    // Taken, payment written down, captured, settled.
    assert!(die_at_every(COMMITTING, buy, &fresh, 2).await >= 4);
    assert!(die_at_every(COMMITTED, buy, &fresh, 2).await >= 4);
    assert!(die_at_every(PROVIDER_ANSWERED, buy, &fresh, 2).await >= 1);
}

async fn a_refund_survives(fresh: impl AsyncFn() -> Database) {
    // Taken, payment written down, cancelled, captured, decided, given back.
    assert!(die_at_every(COMMITTED, be_refunded, &fresh, 0).await >= 6);
    assert!(die_at_every(PROVIDER_ANSWERED, be_refunded, &fresh, 0).await >= 2);
}

async fn a_part_given_back_survives(fresh: impl AsyncFn() -> Database) {
    // The steps of a purchase, then: given back, and the money is with the buyer.
    assert!(die_at_every(COMMITTED, give_one_back, &fresh, 1).await >= 6);
    assert!(die_at_every(PROVIDER_ANSWERED, give_one_back, &fresh, 1).await >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_at_any_step_of_giving_a_part_back_on_sqlite() {
    a_part_given_back_survives(async || Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_at_any_step_of_giving_a_part_back_on_postgres() {
    a_part_given_back_survives(async || Database::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_at_any_step_of_a_purchase_on_sqlite() {
    a_purchase_survives(async || Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_at_any_step_of_a_purchase_on_postgres() {
    a_purchase_survives(async || Database::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_at_any_step_of_a_refund_on_sqlite() {
    a_refund_survives(async || Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_at_any_step_of_a_refund_on_postgres() {
    a_refund_survives(async || Database::postgres().await).await;
}

/// Asks for a seat until there is an answer, always under the same key.
async fn insist(world: &World, key: &str) -> Hold {
    loop {
        match world.hold(key, 1).await {
            Ok(answer) => return answer.hold,
            Err(Denied::Fault(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(denied) => panic!("{key}: {denied}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_is_killed_in_a_rush_comes_back_with_every_answer_it_gave() {
    let mut cluster = Cluster::start();
    let world = Arc::new(World::new(&Database::at(cluster.url("postgres")), 2_000).await);
    let mut buyers = tokio::task::JoinSet::new();
    for buyer in 0..20 {
        let world = Arc::clone(&world);
        buyers.spawn(async move {
            for turn in 0..20 {
                insist(&world, &format!("b{buyer}-{turn}")).await;
            }
        });
    }
    for sold in [50, 150, 250] {
        until(async || world.store.open_holds().await.is_ok_and(|open| open >= sold)).await;
        cluster.crash();
    }
    buyers.join_all().await;
    // Connections that died with the last crash may still be in the pool: each is found out by one read, in turn.
    for _ in 0..booking_core::config::Config::default().postgres_connections {
        until(async || world.store.stock(&[row()]).await.is_ok()).await;
    }
    let stock = world.store.stock(&[row()]).await.unwrap()[0].stock;
    assert_eq!((stock.held, stock.available), (400, 1_600));
    world.assert_books().await;
}

async fn until(came_true: impl AsyncFn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !came_true().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.expect("it comes true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_while_it_commits_takes_one_seat_and_gives_the_first_answer() {
    let db = Database::postgres().await;
    let cut = Cut::open(&db.url).await;
    let world = World::new(&Database::at(cut.url()), SEATS).await;
    let held = world.hold("warm", 1).await.unwrap();
    // The teller's one statement is its own commit; it asks again under the same ids.
    cut.next(b"UPDATE inventory", b"B");
    let first = world.hold("k", 1).await.unwrap();
    assert!(!first.replayed, "the buyer is told of the seat that was taken");
    assert_eq!(cut.cuts(), 1);
    let again = world.hold("k", 1).await.unwrap();
    assert_eq!((again.replayed, again.hold.id), (true, first.hold.id));
    assert_eq!(world.store.stock(&[row()]).await.unwrap()[0].stock.held, 2);
    // A payment is four transactions; each of their commits in turn is not heard of.
    cut.next(b"COMMIT", b"Q");
    let lost = world.pay(&held, "p", "sim_ok").await;
    assert_eq!(cut.cuts(), 2);
    assert!(matches!(lost, Err(Denied::Fault(_))), "{lost:?}");
    world.settle_down_after(&held).await;
    world.assert_books().await;
}

impl World {
    /// Asks under the same key until the payment is decided, and lets the background work come to rest.
    async fn settle_down_after(&self, held: &HoldAnswer) {
        self.clock.advance_ms(i64::try_from(world::PATIENCE.as_millis()).unwrap() + 1);
        let paid = self.pay(held, "p", "sim_ok").await.unwrap();
        assert!(paid.replayed);
        self.settle_down().await;
        let payment = self.store.payment(paid.payment.id).await.unwrap().unwrap();
        assert_eq!(payment.state.status(), PaymentStatus::Kept);
        let hold = self.store.hold(held.hold.id).await.unwrap().unwrap();
        assert_eq!(hold.state.status(), HoldStatus::Confirmed);
    }
}

on_both! {
    async fn two_copies_of_every_worker_do_everything_once(db: Database) {
        let world = World::new(&db, 200).await;
        let twin_store = db.open().await;
        let twin = world::service(Arc::clone(&twin_store), &world.provider, &world.clock, 200, Strategy::Teller).await;
        for number in 0..40 {
            let held = world.hold(&format!("h{number}"), 2).await.unwrap();
            match number % 4 {
                0 => drop(world.pay(&held, "p", "sim_ok").await),
                1 => drop(world.pay(&held, "p", "sim_error").await),
                2 => {
                    drop(world.pay(&held, "p", "sim_error").await);
                    world.service.cancel(held.hold.id).await.unwrap();
                }
                _ => {}
            }
        }
        for _ in 0..8 {
            world.clock.advance_ms(60_000);
            tokio::join!(work(&world.service), work(&twin));
        }
        let stock = world.store.stock(&[row()]).await.unwrap()[0].stock;
        assert_eq!((stock.available, stock.held, stock.sold), (160, 0, 40));
        let voids = world.service.metrics().voids.get() + twin.metrics().voids.get();
        assert_eq!((voids, world.store.books().await.unwrap().refunded), (10, 0));
        world.assert_books().await;
    }
}

/// Makes one pass of every worker, all at once; what the other copy is at may stop it, and then it comes again.
async fn work(service: &Service) {
    let (reaped, seen_to, compared) =
        tokio::join!(reaper::pass(service), outbox::pass(service), reconciler::pass(service));
    reaped.unwrap();
    seen_to.unwrap();
    compared.unwrap();
}

/// A machine whose wall clock is put forward and back while its stopwatch goes on.
struct Machine {
    wall_ms: AtomicI64,
    passed_ms: AtomicI64,
    course: Mutex<Course>,
}

impl Machine {
    fn new() -> Arc<Self> {
        let (wall_ms, passed_ms) = (AtomicI64::new(NOON.as_ms()), AtomicI64::new(0));
        Arc::new(Self { wall_ms, passed_ms, course: Mutex::new(Course::begin(NOON)) })
    }

    /// Lets time go by, second by second.
    fn pass_s(&self, seconds: i64) {
        for _ in 0..seconds {
            self.wall_ms.fetch_add(1_000, Ordering::SeqCst);
            self.passed_ms.fetch_add(1_000, Ordering::SeqCst);
            self.now();
        }
    }

    fn step_wall_s(&self, seconds: i64) {
        self.wall_ms.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }
}

impl Clock for Machine {
    fn now(&self) -> Moment {
        self.course.lock().unwrap().at(self.wall(), self.stopwatch())
    }

    fn wall(&self) -> Moment {
        Moment::from_ms(self.wall_ms.load(Ordering::SeqCst))
    }

    fn stopwatch(&self) -> Duration {
        Duration::from_millis(self.passed_ms.load(Ordering::SeqCst).unsigned_abs())
    }
}

on_both! {
    async fn a_clock_that_jumps_ends_no_hold_early_and_none_twice(db: Database) {
        let (machine, manual) = (Machine::new(), Arc::new(ManualClock::at(NOON)));
        let (store, metrics, (provider, _inbox)) = (db.open().await, Metrics::new(), world::provider(&manual));
        let teller = Teller::new(Arc::clone(&store) as _, metrics.clone(), Strategy::Teller, world::LIMITS);
        let parts = world::parts(Arc::clone(&store), teller, metrics, &provider, &manual, SEATS);
        let service = Service::new(Parts { clock: Arc::clone(&machine) as _, ..parts });
        world::hold(&service, "first", 2).await.unwrap();
        machine.pass_s(10);
        machine.step_wall_s(600);
        machine.pass_s(280);
        assert_eq!(reaper::pass(&service).await.unwrap().done, 0, "it has ten seconds left");
        world::hold(&service, "second", 1).await.unwrap();
        machine.step_wall_s(-1_200);
        machine.pass_s(11);
        assert_eq!(reaper::pass(&service).await.unwrap().done, 1, "its time is over, whatever the wall shows");
        machine.step_wall_s(1_200);
        machine.pass_s(290);
        assert_eq!(reaper::pass(&service).await.unwrap().done, 1);
        assert_eq!(reaper::pass(&service).await.unwrap().done, 0);
        let stock = store.stock(&[row()]).await.unwrap()[0].stock;
        assert_eq!((stock.available, stock.held), (SEATS, 0));
        world::assert_books(&*store, &provider).await;
    }
}

on_both! {
    async fn what_another_process_sold_out_is_shown_before_its_second_is_over(db: Database) {
        let world = World::new(&db, SEATS).await;
        let twin = world::service(db.open().await, &world.provider, &world.clock, SEATS, Strategy::Teller).await;
        let shown = async || world.service.listing(row()).await.unwrap().seen;
        let mut seen = follower::Seen::default();
        follower::pass(&world.service, &*world.store, &mut seen).await.unwrap();
        world.hold("k", 1).await.unwrap();
        assert_eq!(shown().await.available, SEATS - 1);
        world::hold(&twin, "l", SEATS - 1).await.unwrap();
        assert_eq!(shown().await.available, SEATS - 1, "this process has not heard of it");
        assert_eq!(follower::pass(&world.service, &*world.store, &mut seen).await.unwrap(), 1);
        assert_eq!(shown().await.available, 0);
        assert_eq!(follower::pass(&world.service, &*world.store, &mut seen).await.unwrap(), 0, "each turn is seen once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_may_not_grow_is_said_and_what_was_held_stays_held() {
    let db = Database::sqlite();
    let config = configuration(&db, 100_000, None);
    let mut granted = 0;
    {
        let full = Process::start(&config, "trap '' XFSZ; ulimit -f 4096;", None);
        let refused = loop {
            let (status, body) = full.hold(&format!("k{granted}"), 1).await.expect("it lives on");
            match status {
                201 => granted += 1,
                _ => break (status, body),
            }
            assert!(granted < 50_000, "it never gets full");
        };
        assert_eq!((refused.0, &refused.1["type"]), (503, &"/problems/unavailable".into()), "{}", refused.1);
        assert!(granted > 10, "{granted}");
        let read =
            full.ask(Method::GET, &format!("/api/inventory/{}", row_in_a_month()), &[], Value::Null).await.unwrap();
        assert_eq!(read.0, 200, "it can still be read");
    }
    let with_room = Process::start(&config, "", None);
    let (status, _) = with_room.hold(&format!("k{granted}"), 1).await.unwrap();
    assert_eq!(status, 201, "the same key is granted when there is room again");
    let books = db.open().await.books().await.unwrap();
    assert_eq!((books.faults(), books.open_holds), (Vec::new(), granted + 1));
}
