//! Many at once, on one hold, one key or one row. The races between buyers are in `strategies`.

use std::sync::Arc;
use std::time::Duration;

use booking_core::domain::hold::{Hold, HoldId};
use booking_core::domain::inventory::{InventoryId, Offer};
use booking_core::domain::money::Paise;
use booking_core::domain::order;
use booking_core::domain::payment::{Payment, PaymentId, PaymentState, PaymentStatus};
use booking_core::domain::refund::Refunds;
use booking_core::domain::seat::{Numbering, Wish};
use booking_core::metrics::Metrics;
use booking_core::reaper;
use booking_core::service::paying::Then;
use booking_core::service::{Denied, Item, Want};
use booking_core::store::{Decide, Guard, StoreError, Subject, TakeAnswer, TakeRequest};
use booking_core::strategy::Strategy;
use booking_core::teller::Teller;
use tokio::task::JoinSet;

use crate::database::{Database, on_both};
use crate::world::{self, HOLD_MS, NOON, World, hold, pay, provider, row};

on_both! {
    async fn one_key_asked_many_times_at_once_is_one_hold(db: Database) {
        let world = World::new(&db, 10).await;
        let mut asking = JoinSet::new();
        for _ in 0..40 {
            let service = Arc::clone(&world.service);
            asking.spawn(async move { hold(&service, "the same", 3).await });
        }
        // Only so many may wait under one key; the others are told to come back.
        let mut answers = Vec::new();
        for outcome in asking.join_all().await {
            match outcome {
                Ok(answer) => answers.push(answer),
                Err(Denied::Busy) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
        assert!(answers.iter().all(|answer| answer.hold.id == answers[0].hold.id));
        assert_eq!(world.store.stock(&[row()]).await.unwrap()[0].stock.available, 7);
    }
}

on_both! {
    async fn a_hold_ends_once_whatever_comes_at_once(db: Database) {
        let world = World::new(&db, 40).await;
        let mut holds = Vec::new();
        for number in 0..20 {
            holds.push(world.hold(&format!("h{number}"), 2).await.unwrap());
        }
        world.clock.advance_ms(HOLD_MS - 1);
        let mut rush = JoinSet::new();
        for (number, held) in holds.iter().cloned().enumerate() {
            let service = Arc::clone(&world.service);
            let key = format!("p{number}");
            let paid = held.clone();
            rush.spawn(async move { drop(pay(&service, &paid, &key, "sim_ok").await) });
            let service = Arc::clone(&world.service);
            rush.spawn(async move { drop(service.cancel(held.hold.id).await) });
        }
        for _ in 0..3 {
            let service = Arc::clone(&world.service);
            let clock = Arc::clone(&world.clock);
            rush.spawn(async move {
                clock.advance_ms(1);
                drop(reaper::pass(&service).await);
            });
        }
        rush.join_all().await;
        world.settle_down().await;
        world.assert_books().await;
        let books = world.store.books().await.unwrap();
        let stock = books.rows[0].stock;
        assert_eq!((stock.held, stock.available + stock.sold), (0, 40), "{stock:?}");
    }
}

on_both! {
    async fn two_reapers_give_back_once(db: Database) {
        let world = World::new(&db, 50).await;
        for number in 0..50 {
            world.hold(&format!("h{number}"), 1).await.unwrap();
        }
        world.clock.advance_ms(HOLD_MS);
        let (one, two) = tokio::join!(reaper::pass(&world.service), reaper::pass(&world.service));
        assert_eq!(one.unwrap().failed + two.unwrap().failed, 0);
        world.assert_books().await;
        assert_eq!(world.store.stock(&[row()]).await.unwrap()[0].stock.available, 50);
        assert_eq!(reaper::pass(&world.service).await.unwrap().done, 0);
    }
}

on_both! {
    async fn a_bad_row_does_not_keep_the_reaper_from_the_others(db: Database) {
        let world = World::new(&db, 10).await;
        let bad = world.hold("bad", 1).await.unwrap();
        for number in 0..5 {
            world.hold(&format!("good{number}"), 1).await.unwrap();
        }
        // Its seats are not there to give back any more: the CHECK refuses the move.
        let id = hex::encode(bad.hold.id.as_bytes());
        let literal = if db.url.starts_with("sqlite:") { format!("x'{id}'") } else { format!("'\\x{id}'") };
        db.raw(&format!("UPDATE holds SET quantity = 999 WHERE id = {literal}")).await.unwrap();
        world.clock.advance_ms(HOLD_MS);
        let pass = reaper::pass(&world.service).await.unwrap();
        assert_eq!((pass.done, pass.failed), (5, 1));
        assert_eq!(world.store.stock(&[row()]).await.unwrap()[0].stock.available, 9);
        assert_eq!(world.service.metrics().worker_faults.with_label_values(&["reaper"]).get(), 1);
    }
}

on_both! {
    async fn a_buyer_who_leaves_does_not_undo_the_commit(db: Database) {
        let world = World::new(&db, 11).await;
        // The row is there, so that whoever asks is at the teller at once.
        world.hold("stays", 1).await.unwrap();
        for number in 0..10 {
            let (service, key) = (Arc::clone(&world.service), format!("gone{number}"));
            let mut asking = Box::pin(async move { hold(&service, &key, 1).await });
            // Asks, and is gone before the answer.
            let _pending = futures_util::poll!(&mut asking);
            drop(asking);
        }
        world.service.close().await;
        assert_eq!(world.store.stock(&[row()]).await.unwrap()[0].stock.available, 0);
        world.assert_books().await;
    }
}

on_both! {
    async fn a_full_line_is_told_to_come_back(db: Database) {
        let (clock, store) = (Arc::new(booking_core::clock::ManualClock::at(NOON)), db.open().await);
        let (provider, _inbox) = provider(&clock);
        let metrics = Metrics::new();
        let limits = booking_core::teller::TellerLimits { batch: 1, waiting: 1, rows: 1, alone: 8 };
        let teller = Teller::new(Arc::clone(&store) as _, metrics.clone(), Strategy::Teller, limits);
        let service = world::service_with(Arc::clone(&store), teller, metrics, &provider, &clock, 1000).await;
        hold(&service, "first", 1).await.unwrap();
        let mut asking = JoinSet::new();
        for number in 0..200 {
            let service = Arc::clone(&service);
            asking.spawn(async move { hold(&service, &format!("k{number}"), 1).await });
        }
        let outcomes = asking.join_all().await;
        let busy = outcomes.iter().filter(|outcome| matches!(outcome, Err(Denied::Busy))).count();
        let granted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert!(busy > 0, "nobody was turned away");
        assert_eq!(busy + granted, 200);
        assert_eq!(store.stock(&[row()]).await.unwrap()[0].stock.held as usize, granted + 1);
    }
}

on_both! {
    async fn expiring_early_is_refused(db: Database) {
        let world = World::new(&db, 1).await;
        let held = world.hold("k", 1).await.unwrap();
        let early = world.clock.clone();
        early.advance_ms(HOLD_MS - 1);
        assert!(!world.service.expire(held.hold.id).await.unwrap());
        early.advance_ms(1);
        assert!(world.service.expire(held.hold.id).await.unwrap());
        let again = Arc::new(move |l: &order::Loaded| order::expire(l, NOON.plus_ms(HOLD_MS * 2)));
        let outcome = world.store.transact(Subject::Hold(held.hold.id), again).await.unwrap();
        assert_eq!(outcome.unwrap_err(), order::Stop::Already);
    }
}

/// A key may be asked again while somebody else is at its hold and about to want the row: waiting for that one while
/// keeping the row would be a deadlock.
#[tokio::test]
async fn a_repeated_key_does_not_wait_for_whoever_changes_its_hold_on_postgres() {
    let db = Database::postgres().await;
    let world = World::new(&db, 5).await;
    let held = world.hold("k", 1).await.unwrap();
    let (mut client, connection) = tokio_postgres::connect(&db.url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let other = client.transaction().await.unwrap();
    let change = "UPDATE holds SET changed_at = changed_at + 1 WHERE id = $1";
    assert_eq!(other.execute(change, &[&held.hold.id.as_bytes().as_slice()]).await.unwrap(), 1);
    let asked = tokio::time::timeout(Duration::from_secs(5), world.hold("k", 1)).await;
    assert!(asked.expect("it does not wait").unwrap().replayed);
    let change = "UPDATE inventory SET price = price WHERE name = $1";
    assert_eq!(other.execute(change, &[&row().to_string()]).await.unwrap(), 1);
    other.commit().await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_rush_for_a_row_that_is_sold_out_reads_its_holds_once_on_postgres() {
    let db = Database::postgres().await;
    let world = World::new(&db, 1).await;
    world.hold("k", 1).await.unwrap();
    let (mut client, connection) = tokio_postgres::connect(&db.url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let lock = client.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE holds IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut reading = Box::pin(world.service.sold_out_word(row()));
    assert!(futures_util::poll!(&mut reading).is_pending());
    let others = tokio::time::timeout(Duration::from_secs(5), world.service.sold_out_word(row())).await;
    assert_eq!(others, Ok(None), "they do not wait for the database");
    lock.rollback().await.unwrap();
    let word = reading.await.expect("the last seat is held");
    assert_eq!((word.ttl_seconds, word.version), (30, 1));
    assert_eq!(world.service.sold_out_word(row()).await, Some(word));
    drop(client);
    connection.await.unwrap().unwrap();
}

on_both! {
    async fn rows_that_share_keys_do_not_stand_in_each_others_way(db: Database) {
        let store = db.open().await;
        let rows: Vec<InventoryId> = ["12951:2026-11-23:3A", "12951:2026-11-23:2A"].map(|id| id.parse().unwrap()).into();
        store.ensure(&rows.iter().map(|&inventory| Offer { inventory, capacity: 100_000, price: Paise::new(1), numbering: Numbering::Pool }).collect::<Vec<_>>()).await.unwrap();
        for round in 0..30_u8 {
            let batch = |row: InventoryId| (0..64_u8).map(move |number| request(row, [round, number])).collect::<Vec<_>>();
            let one = batch(rows[0]);
            let mut two = batch(rows[1]);
            two.reverse();
            let (one, two) = tokio::join!(
                store.take(Guard::Condition, rows[0], &one),
                store.take(Guard::Condition, rows[1], &two)
            );
            one.unwrap();
            two.unwrap();
        }
        assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
        assert_eq!(store.open_holds().await.unwrap(), 30 * 64);
    }
}

fn request(row: InventoryId, [round, number]: [u8; 2]) -> TakeRequest {
    let mut id = [0; 16];
    (id[0], id[15]) = (number, round);
    TakeRequest {
        hold: HoldId::from_bytes(id),
        request_hash: [u8::from(row == world::row()); 32],
        quantity: 1,
        wish: Wish::Any,
        amount: Paise::new(1),
        created_at: NOON,
        expires_at: NOON.plus_ms(HOLD_MS),
    }
}

on_both! {
    async fn a_payment_that_races_with_a_part_given_back_is_over_what_is_left(db: Database) {
        let world = World::new(&db, 200).await;
        for round in 0..20 {
            let held = world.hold(&format!("h{round}"), 2).await.unwrap();
            let one = Item { inventory: row(), want: Want::Any(1) };
            let paying = world::pay(&world.service, &held, "p", "sim_ok");
            let (paid, shrunk) = tokio::join!(paying, world.service.shrink(held.hold.id, one));
            let hold = world.service.find_hold(held.hold.id).await.unwrap();
            assert_eq!(hold.quantity(), if shrunk.is_ok() { 1 } else { 2 });
            assert_eq!(paid.unwrap().payment.amount, hold.amount());
        }
        world.settle_down().await;
        world.assert_books().await;
    }
}

on_both! {
    async fn a_payment_written_down_from_an_old_reading_is_over_what_the_hold_costs_now(db: Database) {
        let world = World::new(&db, 5).await;
        let held = world.hold("h", 3).await.unwrap();
        let one = Item { inventory: row(), want: Want::Any(1) };
        let left = world.service.shrink(held.hold.id, one).await.unwrap();
        let payment = payment_of(&held.hold);
        let (subject, old) = (Subject::Opening(held.hold.id, payment.id), payment.amount);
        let decide: Decide = Arc::new(move |loaded| order::open_payment(loaded, payment.clone(), NOON));
        let opened = world.store.transact(subject, decide).await.unwrap().unwrap().payment.unwrap();
        assert_eq!(opened.amount, left.hold.amount());
        assert!(opened.amount < old);
        assert_eq!(world.store.payment(opened.id).await.unwrap().unwrap().amount, opened.amount);
    }
}

fn payment_of(hold: &Hold) -> Payment {
    Payment {
        id: PaymentId::from_bytes([1; 16]),
        hold: Some(hold.id),
        amount: hold.amount(),
        method: "sim_ok".to_owned(),
        request_hash: [1; 32],
        created_at: NOON,
        changed_at: NOON,
        refunds: Refunds::default(),
        state: PaymentState::Pending,
    }
}

on_both! {
    async fn money_that_comes_late_for_a_hold_that_shrank_meanwhile_goes_back(db: Database) {
        let world = World::new(&db, 5).await;
        let held = world.hold("h", 2).await.unwrap();
        let declined = world.pay(&held, "p", "sim_declined").await.unwrap().payment;
        let one = Item { inventory: row(), want: Want::Any(1) };
        world.service.shrink(held.hold.id, one).await.unwrap();
        let charge = world.provider.stray_reservation(declined.id, declined.amount);
        let amount = declined.amount.get();
        world.service.authorized(declined.id, &charge, amount, Then::LeaveToOutbox).await.unwrap();
        world.settle_down().await;
        assert!(world.provider.kept().is_empty(), "it is not what the hold costs now");
        world.assert_books().await;
    }
}

#[tokio::test]
async fn a_job_that_panics_costs_nobody_the_database() {
    let db = Database::sqlite();
    let world = World::new(&db, 5).await;
    let held = world.hold("h", 1).await.unwrap();
    let decide: Decide = Arc::new(|_| panic!("on purpose: a decision with a bug"));
    let failed = world.store.transact(Subject::Hold(held.hold.id), decide).await;
    assert!(matches!(failed, Err(StoreError::Corrupt(_))), "{failed:?}");
    assert_eq!(world.store.hold(held.hold.id).await.unwrap(), Some(held.hold.clone()));
    let paid = world.pay(&held, "p", "sim_ok").await.unwrap();
    assert_eq!(paid.payment.state.status(), PaymentStatus::Kept, "and it writes on");
}

on_both! {
    async fn one_key_for_two_rows_at_once_is_one_hold_and_one_refusal(db: Database) {
        let store = db.open().await;
        let rows: Vec<InventoryId> = ["12951:2026-11-23:3A", "12951:2026-11-23:2A"].map(|id| id.parse().unwrap()).into();
        let offer = |&inventory| Offer { inventory, capacity: 100, price: Paise::new(1), numbering: Numbering::Pool };
        store.ensure(&rows.iter().map(offer).collect::<Vec<_>>()).await.unwrap();
        for (round, guard) in (0..20_u8).flat_map(|round| [(2 * round, Guard::Version), (2 * round + 1, Guard::Condition)]) {
            let [one, two] = [rows[0], rows[1]].map(|row| (row, [request(row, [round, 1])]));
            let (one, two) = tokio::join!(store.take(guard, one.0, &one.1), store.take(guard, two.0, &two.1));
            let answers = [one, two].map(|taken| taken.unwrap().answers.remove(0));
            let granted = answers.iter().filter(|answer| matches!(answer, TakeAnswer::Granted(_))).count();
            assert_eq!(granted, 1, "{guard:?}: {answers:?}");
            assert!(answers.contains(&TakeAnswer::KeyReused), "{guard:?}: {answers:?}");
        }
        assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
    }
}
