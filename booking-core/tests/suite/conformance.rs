//! What every store must do, run on each of them.

use std::sync::Arc;

use booking_core::domain::hold::{Hold, HoldId, HoldState};
use booking_core::domain::inventory::{InventoryId, Offer, Stock};
use booking_core::domain::money::Paise;
use booking_core::domain::order::{self, Stop, Task, TaskKind};
use booking_core::domain::payment::{ChargeId, Payment, PaymentId, PaymentState};
use booking_core::domain::placement::ShardNumber;
use booking_core::domain::refund::Refunds;
use booking_core::domain::seat::{Numbering, Wish};
use booking_core::store::{Guard, Outcome, Store, StoreError, Subject, TakeAnswer, TakeRequest};

use crate::database::on_both;
use crate::world::{NOON, row};

fn offer(capacity: u32) -> Offer {
    Offer { inventory: row(), capacity, price: Paise::new(100), numbering: Numbering::Pool }
}

fn request(number: u8, quantity: u32) -> TakeRequest {
    TakeRequest {
        hold: HoldId::from_bytes([number; 16]),
        request_hash: [number; 32],
        quantity,
        wish: Wish::Any,
        amount: Paise::new(100 * quantity),
        created_at: NOON,
        expires_at: NOON.plus_ms(i64::from(number) * 1000),
    }
}

async fn take(store: &dyn Store, requests: &[TakeRequest]) -> (Vec<&'static str>, u32) {
    let taken = store.take(Guard::Condition, row(), requests).await.unwrap();
    let word = |answer: &TakeAnswer| match answer {
        TakeAnswer::Granted(_) => "granted",
        TakeAnswer::Replayed(_) => "replayed",
        TakeAnswer::KeyReused => "reused",
        TakeAnswer::SoldOut => "sold out",
        TakeAnswer::SeatTaken(_) => "seat taken",
        TakeAnswer::Contended => "contended",
    };
    (taken.answers.iter().map(word).collect(), taken.available)
}

async fn stock(store: &dyn Store) -> Stock {
    store.stock(&[row()]).await.unwrap()[0].stock
}

fn payment(number: u8, hold: &Hold) -> Payment {
    Payment {
        id: PaymentId::from_bytes([number; 16]),
        hold: Some(hold.id),
        amount: hold.amount(),
        method: "sim_ok".to_owned(),
        request_hash: [number; 32],
        created_at: NOON,
        changed_at: NOON,
        refunds: Refunds::default(),
        state: PaymentState::Pending,
    }
}

async fn open_payment(store: &dyn Store, payment: &Payment) -> Result<Outcome, Stop> {
    let subject = Subject::Opening(payment.hold.unwrap(), payment.id);
    let payment = payment.clone();
    store.transact(subject, Arc::new(move |l| order::open_payment(l, payment.clone(), NOON))).await.unwrap()
}

async fn capture(store: &dyn Store, payment: &Payment) -> Result<Outcome, Stop> {
    let (charge, amount) = (ChargeId(format!("ch_{}", payment.id)), payment.amount.get());
    let decide = Arc::new(move |l: &_| order::captured(l, &charge, amount, NOON));
    store.transact(Subject::Payment(payment.id), decide).await.unwrap()
}

async fn settle(store: &dyn Store, payment: &Payment) -> Result<Outcome, Stop> {
    store.transact(Subject::Payment(payment.id), Arc::new(|l: &_| order::settle(l, |_| true, NOON))).await.unwrap()
}

async fn held(store: &dyn Store, number: u8, quantity: u32) -> Hold {
    assert_eq!(take(store, &[request(number, quantity)]).await.0, ["granted"]);
    store.hold(HoldId::from_bytes([number; 16])).await.unwrap().unwrap()
}

on_both! {
    async fn a_row_is_created_once(db: Database) {
        let store = db.open().await;
        store.ensure(&[offer(7)]).await.unwrap();
        store.ensure(&[offer(9)]).await.unwrap();
        assert_eq!(stock(&*store).await, Stock::fresh(7));
        let other: InventoryId = "12952:2026-11-23:3A".parse().unwrap();
        assert!(store.stock(&[other]).await.unwrap().is_empty());
    }
}

on_both! {
    async fn an_unknown_row_is_said_to_be_unknown(db: Database) {
        let store = db.open().await;
        let outcome = store.take(Guard::Condition, row(), &[request(1, 1)]).await;
        assert!(matches!(outcome, Err(StoreError::UnknownInventory(unknown)) if unknown == row()));
    }
}

on_both! {
    async fn a_batch_is_answered_one_by_one_in_order(db: Database) {
        let store = db.open().await;
        store.ensure(&[offer(5)]).await.unwrap();
        assert_eq!(take(&*store, &[request(1, 1), request(2, 2)]).await, (vec!["granted", "granted"], 2));
        let reused = TakeRequest { request_hash: [99; 32], ..request(2, 2) };
        let batch = [request(1, 1), request(3, 3), request(4, 1), reused, request(5, 1), request(6, 1)];
        let expected = vec!["replayed", "sold out", "granted", "reused", "granted", "sold out"];
        assert_eq!(take(&*store, &batch).await, (expected, 0));
        assert_eq!(stock(&*store).await, Stock { capacity: 5, available: 0, held: 5, sold: 0 });
        assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
    }
}

on_both! {
    async fn the_same_key_on_another_row_takes_nothing(db: Database) {
        let store = db.open().await;
        let other: InventoryId = "12951:2026-11-24:3A".parse().unwrap();
        store.ensure(&[offer(5), Offer { inventory: other, ..offer(5) }]).await.unwrap();
        take(&*store, &[request(1, 1)]).await;
        let elsewhere = TakeRequest { request_hash: [2; 32], ..request(1, 1) };
        let taken = store.take(Guard::Condition, other, &[elsewhere]).await.unwrap();
        assert_eq!(taken.answers, [TakeAnswer::KeyReused]);
        assert_eq!(store.stock(&[other]).await.unwrap()[0].stock, Stock::fresh(5));
    }
}

on_both! {
    async fn the_check_stands_behind_the_condition(db: Database) {
        let store = db.open().await;
        store.ensure(&[offer(1)]).await.unwrap();
        take(&*store, &[request(1, 1)]).await;
        for wrong in ["available = available - 1, held = held + 1", "held = held - 1", "sold = sold + 1"] {
            let outcome = db.raw(&format!("UPDATE inventory SET {wrong}")).await;
            assert!(outcome.is_err_and(|error| error.to_lowercase().contains("check")), "{wrong}");
        }
    }
}

on_both! {
    async fn a_refused_step_writes_nothing(db: Database) {
        let store = db.open().await;
        store.ensure(&[offer(1)]).await.unwrap();
        let hold = held(&*store, 1, 1).await;
        let early = Arc::new(|l: &_| order::expire(l, NOON));
        assert_eq!(store.transact(Subject::Hold(hold.id), early).await.unwrap().unwrap_err(), Stop::NotDue);
        assert_eq!(store.hold(hold.id).await.unwrap().unwrap(), hold);
        let missing = HoldId::from_bytes([9; 16]);
        let late = Arc::new(|l: &_| order::expire(l, NOON));
        assert_eq!(store.transact(Subject::Hold(missing), late).await.unwrap().unwrap_err(), Stop::NoSuchHold);
    }
}

on_both! {
    async fn a_step_without_seats_rolls_back_whole(db: Database) {
        let store = db.open().await;
        store.ensure(&[offer(1)]).await.unwrap();
        let hold = held(&*store, 1, 1).await;
        let paying = payment(1, &hold);
        open_payment(&*store, &paying).await.unwrap();
        let later = NOON.plus_ms(10_000);
        store.transact(Subject::Hold(hold.id), Arc::new(move |l: &_| order::expire(l, later))).await.unwrap().unwrap();
        held(&*store, 2, 1).await;
        capture(&*store, &paying).await.unwrap();
        assert_eq!(settle(&*store, &paying).await.unwrap_err(), Stop::SoldOut);
        let after = store.payment(paying.id).await.unwrap().unwrap();
        assert!(matches!(after.state, PaymentState::Captured { .. }), "{after:?}");
        assert!(matches!(store.hold(hold.id).await.unwrap().unwrap().state, HoldState::Expired { .. }));
        let books = store.books().await.unwrap();
        assert_eq!((books.bookings, books.unsettled, books.unsettled_without_task), (0, 1, 0));
    }
}

on_both! {
    async fn a_hold_becomes_a_booking_once(db: Database) {
        let store = db.open().await;
        store.ensure(&[offer(3)]).await.unwrap();
        let hold = held(&*store, 1, 2).await;
        let paying = payment(1, &hold);
        open_payment(&*store, &paying).await.unwrap();
        assert_eq!(open_payment(&*store, &paying).await.unwrap_err(), Stop::Already);
        assert_eq!(open_payment(&*store, &payment(2, &hold)).await.unwrap_err(), Stop::PaymentInProgress);
        capture(&*store, &paying).await.unwrap();
        assert_eq!(capture(&*store, &paying).await.unwrap_err(), Stop::Already);
        let task = store.due(TaskKind::Settle, NOON, 10).await.unwrap()[0].task;
        assert_eq!(task, Task { kind: TaskKind::Settle, payment: paying.id });
        settle(&*store, &paying).await.unwrap();
        assert_eq!(settle(&*store, &paying).await.unwrap_err(), Stop::Already);
        assert!(store.due(TaskKind::Settle, NOON.plus_ms(1_000_000), 10).await.unwrap().is_empty());
        let HoldState::Confirmed { booking, .. } = store.hold(hold.id).await.unwrap().unwrap().state else {
            panic!("not confirmed");
        };
        let booking = store.booking(booking).await.unwrap().unwrap();
        assert_eq!((booking.lines, booking.payment), (hold.lines, paying.id));
        assert_eq!(stock(&*store).await, Stock { capacity: 3, available: 1, held: 0, sold: 2 });
        assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
    }
}

on_both! {
    async fn what_is_due_is_listed_oldest_first(db: Database) {
        let store = db.open().await;
        store.ensure(&[offer(9)]).await.unwrap();
        let first = async |until| store.first_expiry(row(), until).await.unwrap();
        assert_eq!(first(NOON.plus_ms(9_000)).await, None);
        take(&*store, &[request(3, 1), request(1, 1), request(2, 1)]).await;
        let at = |seconds: i64| NOON.plus_ms(seconds * 1000);
        assert_eq!(store.lapsed(at(0), 10).await.unwrap(), []);
        let id = |number| HoldId::from_bytes([number; 16]);
        assert_eq!(store.lapsed(at(2), 10).await.unwrap(), [id(1), id(2)]);
        assert_eq!(store.lapsed(at(9), 1).await.unwrap(), [id(1)]);
        assert_eq!(first(at(1)).await, Some(at(1)));
        assert_eq!(first(at(1).plus_ms(-1)).await, None, "later than is asked for");
        assert_eq!(store.open_holds().await.unwrap(), 3);
    }
}

on_both! {
    async fn the_first_expiry_of_a_row_is_its_own(db: Database) {
        let store = db.open().await;
        let other: InventoryId = "12952:2026-11-23:3A".parse().unwrap();
        let empty: InventoryId = "12953:2026-11-23:3A".parse().unwrap();
        for inventory in [row(), other, empty] {
            store.ensure(&[Offer { inventory, ..offer(9) }]).await.unwrap();
        }
        store.take(Guard::Condition, other, &[request(1, 1), request(2, 1)]).await.unwrap();
        take(&*store, &[request(7, 1), request(5, 1), request(6, 1)]).await;
        let firsts = [(row(), Some(5)), (other, Some(1)), (empty, None)];
        for (inventory, number) in firsts {
            let expiry = number.map(|number| request(number, 1).expires_at);
            assert_eq!(store.first_expiry(inventory, NOON.plus_ms(9_000)).await.unwrap(), expiry, "{inventory}");
        }
    }
}

on_both! {
    async fn a_key_that_comes_again_among_others_is_known_the_first_time_and_later(db: Database) {
        let store = db.open().await;
        store.ensure(&[offer(9)]).await.unwrap();
        assert_eq!(take(&*store, &[request(1, 1)]).await, (vec!["granted"], 8));
        for (round, left) in [(2, 7), (3, 6), (4, 5)] {
            let batch = [request(round, 1), request(1, 1)];
            assert_eq!(take(&*store, &batch).await, (vec!["granted", "replayed"], left), "there is room for both");
        }
        assert_eq!(stock(&*store).await, Stock { capacity: 9, available: 5, held: 4, sold: 0 });
    }
}

on_both! {
    async fn a_task_is_put_off_with_its_reason(db: Database) {
        let store = db.open().await;
        store.ensure(&[offer(9)]).await.unwrap();
        let hold = held(&*store, 1, 1).await;
        let paying = payment(1, &hold);
        open_payment(&*store, &paying).await.unwrap();
        assert_eq!(store.pending(NOON, 10).await.unwrap(), [(paying.id, paying.created_at)]);
        assert_eq!(store.pending(NOON.plus_ms(-1), 10).await.unwrap(), []);
        capture(&*store, &paying).await.unwrap();
        assert_eq!(store.pending(NOON, 10).await.unwrap(), []);
        let task = store.due(TaskKind::Settle, NOON, 10).await.unwrap()[0];
        let later = NOON.plus_ms(500);
        store.postpone(task, later, "the provider is down").await.unwrap();
        assert!(store.due(TaskKind::Settle, NOON, 10).await.unwrap().is_empty());
        assert_eq!(store.due(TaskKind::Settle, later, 10).await.unwrap()[0].attempts, 1);
        store.hasten(task.task, NOON).await.unwrap();
        let again = store.due(TaskKind::Settle, NOON, 10).await.unwrap()[0];
        store.postpone(task, later, "the provider was down").await.unwrap();
        let due = store.due(TaskKind::Settle, NOON, 10).await.unwrap();
        assert_eq!((due[0].asked, due[0].attempts), (again.asked, 1), "whoever read it before knows nothing of this");
        store.postpone(again, later, "the provider is down").await.unwrap();
        assert!(store.due(TaskKind::Settle, NOON, 10).await.unwrap().is_empty());
    }
}

on_both! {
    async fn everything_is_there_after_opening_again(db: Database) {
        let secret = {
            let store = db.open().await;
            store.ensure(&[offer(4)]).await.unwrap();
            take(&*store, &[request(1, 3)]).await;
            assert_eq!(store.secret(None).await.unwrap(), None, "asking gives it none");
            store.secret(Some([1; 32])).await.unwrap()
        };
        let store = db.open().await;
        assert_eq!(secret, Some([1; 32]));
        for candidate in [Some([2; 32]), None] {
            assert_eq!(store.secret(candidate).await.unwrap(), secret);
        }
        assert_eq!(stock(&*store).await, Stock { capacity: 4, available: 1, held: 3, sold: 0 });
        assert_eq!(take(&*store, &[request(1, 3)]).await.0, ["replayed"]);
        store.ping().await.unwrap();
    }
}

on_both! {
    async fn a_database_keeps_the_number_it_was_told_first(db: Database) {
        let store = db.open().await;
        let [three, four] = [3, 4].map(|number| Some(ShardNumber::try_from(number).unwrap()));
        for (candidate, expected) in [(None, None), (three, three), (three, three), (four, three), (None, three)] {
            assert_eq!(store.number(candidate).await.unwrap(), expected);
        }
    }
}

on_both! {
    async fn a_newer_database_is_left_alone(db: Database) {
        let opened: Arc<dyn Store> = db.open().await;
        drop(opened);
        let newer = if db.url.starts_with("sqlite:") {
            "PRAGMA user_version = 99"
        } else {
            "INSERT INTO schema_version VALUES (99)"
        };
        db.raw(newer).await.unwrap();
        let error = booking_core::app::open(&db.config()).await.err().unwrap().to_string();
        assert!(error.contains("newer version"), "{error}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named_without_its_password() {
    let config = booking_core::config::Config {
        database: "postgres://me:hunter2@127.0.0.1:1/nowhere".to_owned(),
        ..Default::default()
    };
    let error = booking_core::app::open(&config).await.err().unwrap().to_string();
    assert!(error.contains("127.0.0.1:1") && error.contains("Check `database`"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}
