//! Parts of a booking that are given back, and money that does not stay where it was sent: the ledger adds up at every
//! step, whatever races.

use std::sync::Arc;

use booking_core::domain::booking::Reference;
use booking_core::domain::hold::HoldStatus;
use booking_core::domain::inventory::InventoryId;
use booking_core::domain::ledger::Account;
use booking_core::domain::money::Paise;
use booking_core::domain::order::Stop;
use booking_core::domain::payment::{ChargeId, Payment, PaymentStatus};
use booking_core::domain::refund::RefundState;
use booking_core::domain::seat::SeatNumber;
use booking_core::provider::signature::sign;
use booking_core::provider::simulated::faults::{FaultKind, Rule, Script, Verb};
use booking_core::service::cancelling::BookingAnswer;
use booking_core::service::holding::HoldOrder;
use booking_core::service::{Denied, Item, Want};
use booking_core::strategy::{Strategies, Strategy};
use booking_core::{auditor, outbox, reconciler};
use hyper::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use crate::api::site;
use crate::database::{Database, on_both};
use crate::world::{self, SECRET, World, row};

fn stopped<T: std::fmt::Debug>(outcome: Result<T, Denied>) -> Stop {
    match outcome.unwrap_err() {
        Denied::State(stop) => stop,
        other => panic!("{other}"),
    }
}

/// Another row, of the same train on the next day.
fn other_row() -> InventoryId {
    "12951:2026-11-24:3A".parse().unwrap()
}

fn keep(inventory: InventoryId, quantity: u32) -> Item {
    Item { inventory, want: Want::Any(quantity) }
}

/// A booking of three seats of one row and two of another.
struct Booked {
    world: World,
    reference: Reference,
    paid: Payment,
}

impl Booked {
    async fn new(db: &Database) -> Self {
        let world = World::new(db, 5).await;
        let order = HoldOrder { items: vec![keep(row(), 3), keep(other_row(), 2)], key: "h".to_owned() };
        let held = world.service.hold(order).await.unwrap();
        let paid = world.pay(&held, "p", "sim_ok").await.unwrap().payment;
        assert_eq!(paid.state.status(), PaymentStatus::Kept);
        Self { reference: Reference::of(held.hold.id), paid, world }
    }

    async fn keep(&self, inventory: InventoryId, quantity: u32) -> Result<BookingAnswer, Denied> {
        self.world.service.give_back_part(self.reference, keep(inventory, quantity)).await
    }

    /// Has the outbox work, and checks the ledger right after.
    async fn work(&self) {
        outbox::pass(&self.world.service).await.unwrap();
        self.audit().await;
    }

    async fn audit(&self) {
        let report = auditor::audit(&*self.world.store).await.unwrap();
        assert_eq!((report.words, report.balances.sum()), (Vec::new(), 0));
        assert_eq!(self.world.store.books().await.unwrap().faults(), Vec::<String>::new());
    }

    async fn payment(&self) -> Payment {
        self.world.service.find_payment(self.paid.id, false).await.unwrap().payment
    }

    async fn states(&self) -> Vec<RefundState> {
        self.payment().await.refunds.all().iter().map(|refund| refund.state).collect()
    }

    fn charge(&self) -> ChargeId {
        self.paid.state.charge().unwrap().clone()
    }

    /// Delivers what the bank has to tell.
    async fn hear(&mut self) {
        while let Ok(delivery) = self.world.inbox.try_recv() {
            let signature = sign(SECRET.as_bytes(), self.world.service.now(), &delivery.body);
            self.world.service.webhook(&signature, &delivery.body).await.unwrap();
        }
    }
}

on_both! {
    async fn parts_go_back_one_by_one_and_the_rest_at_the_end(db: Database) {
        let booked = Booked::new(&db).await;
        let (world, each) = (&booked.world, booked.paid.amount.get() / 5);
        let answer = booked.keep(row(), 2).await.unwrap();
        assert_eq!(answer.booking.lines.iter().map(|line| line.quantity).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(answer.given_back[0].available, 3, "on sale again at once");
        booked.audit().await;
        assert!(booked.keep(row(), 2).await.unwrap().replayed, "saying so twice changes nothing");
        assert_eq!(stopped(booked.keep(row(), 3).await), Stop::NotInBooking);
        booked.keep(other_row(), 0).await.unwrap();
        booked.audit().await;
        assert_eq!(stopped(booked.keep(row(), 0).await), Stop::NotInBooking, "to give all back is to cancel");
        assert_eq!(booked.states().await, [RefundState::UnderWay; 2], "two refunds of one payment");
        booked.work().await;
        assert_eq!(booked.states().await, [RefundState::Done; 2]);
        assert_eq!(booked.payment().await.state.status(), PaymentStatus::Kept, "the rest is still the seller's");
        assert_eq!(world.provider.kept()[0].kept().get(), 2 * each);
        world.assert_books().await;
        let seen = world.service.find_booking(booked.reference).await.unwrap();
        assert_eq!((seen.booking.amount.get(), seen.refund.map(Paise::get)), (2 * each, Some(2 * each)));

        world.service.cancel_booking(booked.reference).await.unwrap();
        booked.audit().await;
        assert_eq!(stopped(booked.keep(row(), 1).await), Stop::BookingCancelled);
        booked.work().await;
        assert_eq!(booked.states().await, [RefundState::Done; 3]);
        assert_eq!(booked.payment().await.state.status(), PaymentStatus::Refunded);
        assert_eq!(world.provider.kept(), []);
        world.assert_books().await;
        let stock = world.store.stock(&[row(), other_row()]).await.unwrap();
        assert!(stock.iter().all(|row| row.stock.sold == 0));
    }
}

on_both! {
    async fn what_is_to_go_back_anew_does_not_wait_for_what_failed_before(db: Database) {
        let booked = Booked::new(&db).await;
        let (world, bank) = (&booked.world, booked.world.provider.bank());
        world.provider.spoil(Verb::Refund, FaultKind::Hang);
        booked.keep(row(), 2).await.unwrap();
        let service = Arc::clone(&world.service);
        let asking = tokio::spawn(async move { outbox::pass(&service).await.unwrap() });
        while bank.hanging() == 0 {
            tokio::task::yield_now().await;
        }
        booked.keep(other_row(), 1).await.unwrap();
        bank.let_go();
        assert_eq!(asking.await.unwrap().done, 0, "the first one is put off");
        world.provider.mend();
        booked.work().await;
        assert_eq!(booked.states().await, [RefundState::Done; 2], "the second one was asked for meanwhile, and is due");
    }
}

on_both! {
    async fn parts_and_the_whole_given_back_at_once_come_to_no_more_than_was_paid(db: Database) {
        for round in 0..4_u32 {
            let booked = Booked::new(&db.another().await).await;
            let mut undoing = JoinSet::new();
            for number in 0..12_u32 {
                let (service, reference) = (Arc::clone(&booked.world.service), booked.reference);
                undoing.spawn(async move {
                    match (number + round) % 4 {
                        0 => service.give_back_part(reference, keep(row(), 2)).await.is_ok(),
                        1 => service.give_back_part(reference, keep(row(), 1)).await.is_ok(),
                        2 => service.give_back_part(reference, keep(other_row(), 0)).await.is_ok(),
                        _ => service.cancel_booking(reference).await.is_ok(),
                    }
                });
                // The bank is asked while it goes on.
                if number % 3 == 0 {
                    let service = Arc::clone(&booked.world.service);
                    undoing.spawn(async move { outbox::pass(&service).await.is_ok() });
                }
            }
            assert!(undoing.join_all().await.contains(&true));
            booked.audit().await;
            booked.world.settle_down().await;
            assert_eq!(booked.payment().await.state.status(), PaymentStatus::Refunded);
            assert_eq!(booked.payment().await.refunds.done(), booked.paid.amount, "all of it, once");
            assert_eq!(booked.world.provider.kept(), []);
            booked.world.assert_books().await;
        }
    }
}

on_both! {
    async fn a_refund_the_buyers_bank_does_not_take_is_made_again_and_seen(db: Database) {
        let booked = Booked::new(&db).await;
        let (world, metrics) = (&booked.world, booked.world.service.metrics());
        let rule = |fault, times| Rule { verb: Verb::Refund, fault, probability: 1.0, times: Some(times), ms: None };
        world.provider.bank().play(Script { seed: 0, rules: vec![rule(FaultKind::Decline, 2)] });
        booked.keep(row(), 1).await.unwrap();
        booked.work().await;
        assert_eq!(booked.states().await, [RefundState::Failed, RefundState::UnderWay]);
        outbox::pass(&world.service).await.unwrap();
        assert_eq!(booked.states().await.len(), 2, "it is put off, and not asked for at once again");
        assert_eq!(metrics.refunds_failing.get(), 1, "somebody sees it");
        world.clock.advance_ms(3_600_000);
        booked.work().await;
        world.clock.advance_ms(3_600_000);
        booked.work().await;
        assert_eq!(booked.states().await, [RefundState::Failed, RefundState::Failed, RefundState::Done]);
        outbox::pass(&world.service).await.unwrap();
        assert_eq!((metrics.refunds_failed.get(), metrics.refunds.get(), metrics.refunds_failing.get()), (2, 1, 0));
        world.assert_books().await;
    }
}

on_both! {
    async fn a_refund_that_comes_back_after_it_was_done_is_made_again(db: Database) {
        let mut booked = Booked::new(&db).await;
        booked.hear().await;
        booked.world.service.cancel_booking(booked.reference).await.unwrap();
        booked.work().await;
        assert_eq!(booked.payment().await.state.status(), PaymentStatus::Refunded);
        booked.world.provider.bank().bounce(&booked.charge(), 1).unwrap();
        booked.hear().await;
        booked.audit().await;
        assert_eq!(booked.states().await, [RefundState::Failed, RefundState::UnderWay]);
        assert_eq!(booked.payment().await.state.status(), PaymentStatus::Refunding);
        let report = auditor::audit(&*booked.world.store).await.unwrap();
        assert_eq!(report.balances.of(Account::RefundsOwed), -booked.paid.amount.get(), "it is owed again");
        booked.work().await;
        assert_eq!(booked.payment().await.state.status(), PaymentStatus::Refunded);
        assert_eq!(booked.world.hold_status(&booked).await, HoldStatus::Cancelled);
        booked.world.assert_books().await;
    }
}

impl World {
    async fn hold_status(&self, booked: &Booked) -> HoldStatus {
        self.service.find_hold(booked.paid.hold.unwrap()).await.unwrap().state.status()
    }
}

on_both! {
    async fn a_refund_that_came_back_while_nobody_listened_is_found_by_comparing(db: Database) {
        let booked = Booked::new(&db).await;
        booked.keep(row(), 1).await.unwrap();
        booked.work().await;
        // The news of it is lost.
        booked.world.provider.bank().bounce(&booked.charge(), 1).unwrap();
        booked.world.clock.advance_ms(10_000);
        assert_eq!(reconciler::pass(&booked.world.service).await.unwrap().done, 1);
        assert_eq!(booked.world.service.metrics().discrepancies.get(), 0, "nothing that only a person can mend");
        booked.audit().await;
        booked.work().await;
        assert_eq!(booked.states().await, [RefundState::Failed, RefundState::Done]);
        booked.world.assert_books().await;
    }
}

on_both! {
    async fn money_of_nobody_that_came_back_is_sent_again_and_touches_no_other_payment(db: Database) {
        let booked = Booked::new(&db).await;
        let stray = booked.world.provider.stray_charge(booked.paid.id, Paise::new(700));
        booked.keep(row(), 1).await.unwrap();
        booked.world.settle_down().await;
        assert_eq!(booked.world.service.metrics().orphans.get(), 1);
        booked.world.provider.bank().bounce(&stray, 1).unwrap();
        booked.world.settle_down().await;
        assert_eq!(booked.states().await, [RefundState::Done], "the booking's own refund stands");
        assert_eq!(booked.world.service.metrics().refunds_failed.get(), 1);
        assert!(booked.world.provider.kept().iter().all(|charge| charge.id != stray));
        booked.world.assert_books().await;
    }
}

on_both! {
    async fn numbered_seats_are_given_back_by_their_numbers(db: Database) {
        let world = World::new(&db, 5).await;
        let strategies = Strategies::from(Strategy::SeatKey);
        let service = world::service(Arc::clone(&world.store), &world.provider, &world.clock, 5, strategies).await;
        let day: InventoryId = "12951:2026-11-25:3A".parse().unwrap();
        let seats = |numbers: &[u32]| Item {
            inventory: day,
            want: Want::Seats(numbers.iter().copied().map(SeatNumber::new).collect()),
        };
        let held = service.hold(HoldOrder { items: vec![seats(&[4, 5, 6])], key: "h".to_owned() }).await.unwrap();
        world::pay(&service, &held, "p", "sim_ok").await.unwrap();
        let reference = Reference::of(held.hold.id);
        assert_eq!(stopped(service.give_back_part(reference, seats(&[4, 7])).await), Stop::NotInBooking);
        let left = service.give_back_part(reference, seats(&[4, 6])).await.unwrap().booking;
        assert_eq!(left.lines[0].seats, [4, 6].map(SeatNumber::new));
        let other = service.hold(HoldOrder { items: vec![seats(&[5])], key: "o".to_owned() }).await;
        assert!(other.is_ok(), "the seat is another's at once: {other:?}");
        outbox::pass(&service).await.unwrap();
        assert_eq!(world.store.books().await.unwrap().faults(), Vec::<String>::new());
    }
}

on_both! {
    async fn over_http_a_part_of_a_booking_goes_back(db: Database) {
        let site = site(&db, 3).await;
        let held = site.hold("k", 3).await.json();
        let paid = site.pay(&held, "p", "sim_ok").await.json();
        let path = format!("/api/bookings/{}", paid["booking"].as_str().unwrap());
        let keep = async |body: serde_json::Value| site.send(Method::PATCH, &path, &[], body.to_string()).await;
        let two = json!({"inventory": "12951:2026-11-23:3A", "quantity": 2});
        let given_back = keep(two.clone()).await;
        assert_eq!(given_back.status, StatusCode::OK, "{}", given_back.text);
        assert!(given_back.header("vestibule-on-sale").unwrap().starts_with("12951:2026-11-23:3A; version="));
        assert_eq!(given_back.header("vestibule-stock"), Some("12951:2026-11-23:3A=1"));
        let booking = given_back.json();
        let each = paid["amount_paise"].as_i64().unwrap() / 3;
        assert_eq!((&booking["status"], &booking["quantity"]), (&json!("confirmed"), &json!(2)));
        assert_eq!((&booking["amount_paise"], &booking["refund"]["amount_paise"]), (&json!(2 * each), &json!(each)));
        assert_eq!((&booking["refunds"][0]["number"], &booking["refunds"][0]["charge_paise"]), (&json!(1), &json!(0)));
        assert_eq!(booking["items"][0]["refund_each_paise"], json!(each));
        assert_eq!(keep(two).await.header("idempotency-hit"), Some("true"));
        let none = json!({"inventory": "12951:2026-11-23:3A", "quantity": 0});
        assert_eq!(keep(none).await.problem(), (422, "not_in_booking".to_owned()));
        let strange = json!({"inventory": "12951:2026-11-24:3A", "quantity": 1});
        assert_eq!(keep(strange).await.problem(), (422, "not_in_booking".to_owned()));
        assert_eq!(keep(json!({"quantity": 1})).await.problem(), (422, "invalid_field".to_owned()));
        site.send(Method::POST, &format!("{path}/cancellation"), &[], "").await;
        let late = json!({"inventory": "12951:2026-11-23:3A", "quantity": 1});
        assert_eq!(keep(late).await.problem(), (409, "booking_cancelled".to_owned()));
        site.close().await;
    }
}
