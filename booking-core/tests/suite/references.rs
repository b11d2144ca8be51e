//! Holds whose ids end alike come to bookings of one reference: the first has it, and the money of the others goes back.

use std::sync::Arc;

use axum::response::IntoResponse;
use booking_core::api::problem::Problem;
use booking_core::app;
use booking_core::clock::ManualClock;
use booking_core::domain::booking::Reference;
use booking_core::domain::hold::{HoldId, HoldStatus};
use booking_core::domain::inventory::{InventoryId, Offer};
use booking_core::domain::money::Paise;
use booking_core::domain::order;
use booking_core::domain::payment::{Payment, PaymentStatus};
use booking_core::domain::seat::{Numbering, Wish};
use booking_core::reaper;
use booking_core::service::paying::{PaymentOrder, Then};
use booking_core::service::{Denied, Item, Service, Want};
use booking_core::store::{Decide, Guard, Question, Store, StoreError, Subject, TakeAnswer, TakeRequest};
use booking_core::strategy::Strategy;
use futures_util::future::join_all;

use crate::database::on_both;
use crate::shards::{config, row_on, shard};
use crate::world::{self, HOLD_MS, NOON, World};

const SEATS: u32 = 9;

/// A row whose seats have numbers, so that each must find its owner.
fn row() -> InventoryId {
    "12951:2026-11-24:3A".parse().unwrap()
}

/// Names holds: all with the same `end` come to the same reference.
fn id(start: u8, end: u8) -> HoldId {
    HoldId::from_bytes(std::array::from_fn(|index| if index < 8 { start } else { end }))
}

async fn hold(store: &dyn Store, row: InventoryId, id: HoldId) -> HoldId {
    let (price, numbering) = (Paise::new(700), Numbering::Tickets);
    store.ensure(&[Offer { inventory: row, capacity: SEATS, price, numbering }]).await.unwrap();
    let expires_at = NOON.plus_ms(HOLD_MS);
    let (request_hash, wish) = ([id.as_bytes()[0]; 32], Wish::Any);
    let request =
        TakeRequest { hold: id, request_hash, quantity: 1, wish, amount: price, created_at: NOON, expires_at };
    let taken = store.take(Guard::UniqueKey, row, &[request]).await.unwrap();
    assert!(matches!(taken.answers[..], [TakeAnswer::Granted(_)]), "{taken:?}");
    id
}

async fn pay(service: &Arc<Service>, hold: HoldId, method: &str) -> Payment {
    let order = PaymentOrder { hold, method: method.to_owned(), key: "p".to_owned() };
    service.pay(order).await.unwrap().payment
}

/// Has the seats of a hold secured for money that is set aside, and then nothing more happens.
async fn secured(world: &World, hold: HoldId) -> Payment {
    let pending = world.open_only(hold).await;
    let charge = world.provider.stray_reservation(pending.id, pending.amount);
    let secured = world.service.authorized(pending.id, &charge, pending.amount.get(), Then::CaptureHere).await;
    secured.unwrap().unwrap().payment.unwrap()
}

/// Writes down that the money was taken that a payment waits for.
fn capturing_of(payment: &Payment) -> Question {
    let (charge, amount) = (payment.state.charge().unwrap().clone(), payment.amount.get());
    let decide: Decide = Arc::new(move |loaded| order::captured(loaded, &charge, amount, NOON));
    Question { subject: Subject::Payment(payment.id), decide }
}

async fn hold_status(world: &World, hold: HoldId) -> HoldStatus {
    world.service.find_hold(hold).await.unwrap().state.status()
}

async fn payment_status(world: &World, payment: &Payment) -> PaymentStatus {
    world.service.find_payment(payment.id, false).await.unwrap().payment.state.status()
}

/// One booking has the reference; seats and money of everybody else have gone back.
async fn assert_only(world: &World, first: HoldId) {
    world.settle_down().await;
    world.assert_books().await;
    let stock = world.store.stock(&[row()]).await.unwrap()[0].stock;
    assert_eq!((stock.available, stock.held, stock.sold), (SEATS - 1, 0, 1));
    assert_eq!(world.store.owned_seats(row()).await.unwrap().len(), 1);
    assert_eq!(world.store.booking(Reference::of(first)).await.unwrap().unwrap().hold, first);
}

on_both! {
    async fn the_second_booking_of_one_reference_is_paid_back(db: Database) {
        let world = World::new(&db, 1).await;
        let [first, second] = [hold(&*world.store, row(), id(1, 9)).await, hold(&*world.store, row(), id(2, 9)).await];
        assert_eq!(Reference::of(first), Reference::of(second));
        assert_eq!(pay(&world.service, first, "sim_ok").await.state.status(), PaymentStatus::Kept);
        let paid = pay(&world.service, second, "sim_ok").await;
        assert_eq!(paid.state.status(), PaymentStatus::Refunding);
        assert_eq!(hold_status(&world, second).await, HoldStatus::Cancelled);
        assert_eq!(pay(&world.service, second, "sim_ok").await.id, paid.id, "the same key is the same payment");
        assert_only(&world, first).await;
        assert_eq!(payment_status(&world, &paid).await, PaymentStatus::Refunded);
    }
}

on_both! {
    async fn money_that_is_taken_at_once_goes_back_too(db: Database) {
        for lapsed in [false, true] {
            let world = World::new(&db.another().await, 1).await;
            let [first, second] = [hold(&*world.store, row(), id(1, 9)).await, hold(&*world.store, row(), id(2, 9)).await];
            pay(&world.service, first, "sim_ok").await;
            let pending = world.open_only(second).await;
            if lapsed {
                world.clock.advance_ms(HOLD_MS);
                reaper::pass(&world.service).await.unwrap();
                assert_eq!(hold_status(&world, second).await, HoldStatus::Expired);
            }
            let charge = world.provider.stray_charge(pending.id, pending.amount);
            world.service.captured(pending.id, &charge, pending.amount.get()).await.unwrap();
            assert_eq!(payment_status(&world, &pending).await, PaymentStatus::Refunding, "lapsed: {lapsed}");
            assert_only(&world, first).await;
        }
    }
}

on_both! {
    async fn one_that_was_stuck_is_paid_back_by_the_outbox(db: Database) {
        let world = World::new(&db, 1).await;
        let [first, second] = [hold(&*world.store, row(), id(1, 9)).await, hold(&*world.store, row(), id(2, 9)).await];
        pay(&world.service, first, "sim_ok").await;
        let capturing = secured(&world, second).await;
        let asked = capturing_of(&capturing);
        let refused = world.store.transact(asked.subject, asked.decide).await;
        assert!(matches!(refused, Err(StoreError::SharedReference)), "{refused:?}");
        assert_eq!(payment_status(&world, &capturing).await, PaymentStatus::Capturing, "nothing was written");
        assert_eq!(hold_status(&world, second).await, HoldStatus::Paid);
        assert_only(&world, first).await;
        assert_eq!(payment_status(&world, &capturing).await, PaymentStatus::Refunded);
    }
}

on_both! {
    async fn in_one_commit_only_the_second_is_refused(db: Database) {
        let world = World::new(&db, 1).await;
        let mut payments = Vec::new();
        for (start, end) in [(1, 9), (2, 9), (3, 8), (4, 7)] {
            let hold = hold(&*world.store, row(), id(start, end)).await;
            payments.push(secured(&world, hold).await);
        }
        let questions: Vec<Question> = payments.iter().map(capturing_of).collect();
        let together = world.store.transact_together(&questions).await;
        assert!(together.iter().all(Option::is_none), "nothing of it was written: {together:?}");
        join_all(payments.iter().map(|payment| world.service.capture(payment.id))).await;
        let mut kept = Vec::new();
        for payment in &payments {
            kept.push(payment_status(&world, payment).await == PaymentStatus::Kept);
        }
        assert!(kept[0] != kept[1] && kept[2] && kept[3], "{kept:?}");
        world.settle_down().await;
        world.assert_books().await;
        assert_eq!(world.store.stock(&[row()]).await.unwrap()[0].stock.sold, 3);
    }
}

on_both! {
    async fn a_reference_of_two_databases_names_neither_booking(db: Database) {
        let databases = [&db, &db.another().await];
        let config = config(vec![shard(0, databases[0], None), shard(1, databases[1], None)]);
        let clock = Arc::new(ManualClock::at(NOON));
        let (bank, _inbox) = world::provider(&clock);
        let service = world::service(app::open(&config).await.unwrap(), &bank, &clock, 5, Strategy::Teller).await;
        let mut holds = Vec::new();
        for (number, database) in service.store().databases() {
            let row = row_on(&config, u8::from(*number), "2026-11-23");
            let hold = hold(&**database, row, number.name(id(1, 9))).await;
            assert_eq!(service.booking(Reference::of(hold)).await.is_ok(), !holds.is_empty(), "one alone is known by it");
            assert_eq!(pay(&service, hold, "sim_ok").await.state.status(), PaymentStatus::Kept);
            holds.push(hold);
        }
        let reference = Reference::of(holds[0]);
        assert_eq!(reference, Reference::of(holds[1]));
        for refused in [
            service.find_booking(reference).await,
            service.cancel_booking(reference).await,
            service.give_back_part(reference, Item { inventory: row(), want: Want::Any(1) }).await,
        ] {
            let denied = refused.unwrap_err();
            assert!(matches!(&denied, Denied::Fault(fault) if matches!(**fault, StoreError::SharedReference)), "{denied}");
            assert_eq!(Problem::from(denied).into_response().status(), 409);
        }
        world::assert_books(service.store(), &bank).await;
        assert_eq!(service.store().books().await.unwrap().bookings, 2);
    }
}
