//! Time that is added and bookings that are given back: once each, whatever races, and the seat is on sale again at once.

use std::sync::Arc;

use booking_core::domain::booking::{CancellationRule, Reference};
use booking_core::domain::hold::HoldStatus;
use booking_core::domain::ledger::Account;
use booking_core::domain::money::Paise;
use booking_core::domain::order::{Extensions, Stop};
use booking_core::domain::payment::PaymentStatus;
use booking_core::metrics::Metrics;
use booking_core::service::{Denied, Service};
use booking_core::strategy::Strategy;
use booking_core::teller::Teller;
use booking_core::{auditor, outbox, reaper};
use hyper::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use crate::api::site;
use crate::database::on_both;
use crate::world::{self, HOLD_MS, LIMITS, NOON, World, row};

fn stopped<T: std::fmt::Debug>(outcome: Result<T, Denied>) -> Stop {
    match outcome.unwrap_err() {
        Denied::State(stop) => stop,
        other => panic!("{other}"),
    }
}

/// A service on the same world under other terms.
fn under(world: &World, rules: &[(u32, u8)], extensions: Extensions) -> Arc<Service> {
    let metrics = Metrics::new();
    let teller = Teller::new(Arc::clone(&world.store) as _, metrics.clone(), Strategy::Teller, LIMITS);
    let mut parts = world::parts(Arc::clone(&world.store), teller, metrics, &world.provider, &world.clock, 3);
    parts.terms.cancellation =
        rules.iter().map(|&(hours_before, percent)| CancellationRule { hours_before, percent }).collect();
    parts.terms.extensions = extensions;
    Service::new(parts)
}

const TWICE: Extensions = Extensions { most: 2, each_ms: 60_000 };

on_both! {
    async fn a_hold_is_extended_as_often_as_it_may_be_and_the_reaper_keeps_to_it(db: Database) {
        let world = World::new(&db, 1).await;
        let service = under(&world, &[], TWICE);
        let held = world.hold("h", 1).await.unwrap();
        let until = async |number| service.extend(held.hold.id, number).await.map(|answer| answer.hold.expires_at);
        let first = NOON.plus_ms(HOLD_MS + 60_000);
        assert_eq!(stopped(until(2).await), Stop::NotTheNextExtension);
        assert_eq!(until(1).await.unwrap(), first);
        assert_eq!(until(1).await.unwrap(), first, "the same one again changes nothing");
        world.clock.advance_ms(HOLD_MS);
        assert_eq!(reaper::pass(&service).await.unwrap().done, 0, "it has been given more time");
        assert_eq!(world.hold_status_of(&held).await, HoldStatus::Held);
        assert_eq!(until(2).await.unwrap(), first.plus_ms(60_000));
        assert_eq!(stopped(until(3).await), Stop::NoExtensionLeft);
        world.clock.advance_ms(120_000);
        assert_eq!(reaper::pass(&service).await.unwrap().done, 1);
        assert_eq!(stopped(until(3).await), Stop::HoldExpired);
        assert_eq!(world.store.stock(&[row()]).await.unwrap()[0].stock.available, 1);
    }
}

on_both! {
    async fn one_extension_asked_for_many_times_at_once_is_given_once(db: Database) {
        let world = World::new(&db, 1).await;
        let service = under(&world, &[], TWICE);
        let held = world.hold("h", 1).await.unwrap();
        let mut asking = JoinSet::new();
        for _ in 0..10 {
            let (service, id) = (Arc::clone(&service), held.hold.id);
            asking.spawn(async move { service.extend(id, 1).await.unwrap() });
        }
        let answers = asking.join_all().await;
        assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
        assert!(answers.iter().all(|answer| answer.hold.extensions == 1));
        let hold = world.service.find_hold(held.hold.id).await.unwrap();
        assert_eq!(hold.expires_at, NOON.plus_ms(HOLD_MS + 60_000));
    }
}

on_both! {
    async fn a_cancelled_booking_is_paid_back_once_and_its_seat_is_sold_to_another(db: Database) {
        let world = World::new(&db, 1).await;
        let held = world.hold("h", 1).await.unwrap();
        world.pay(&held, "p", "sim_ok").await.unwrap();
        let reference = Reference::of(held.hold.id);
        let mut cancelling = JoinSet::new();
        for _ in 0..10 {
            let service = Arc::clone(&world.service);
            cancelling.spawn(async move { service.cancel_booking(reference).await.unwrap() });
        }
        let answers = cancelling.join_all().await;
        assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
        assert_eq!(world.hold_status_of(&held).await, HoldStatus::Cancelled);
        let other = world.hold("other", 1).await.expect("the seat is on sale again at once");
        let sold = world.pay(&other, "p", "sim_ok").await.unwrap();
        assert_eq!(sold.payment.state.status(), PaymentStatus::Kept);
        let (one, two) = tokio::join!(outbox::pass(&world.service), outbox::pass(&world.service));
        assert!(one.is_ok() && two.is_ok());
        let seen = world.service.find_booking(reference).await.unwrap();
        assert_eq!(seen.payment.unwrap().state.status(), PaymentStatus::Refunded);
        assert_eq!((seen.refund, seen.booking.cancelled_at.is_some()), (None, true));
        world.assert_books().await;
        assert_eq!(world.service.metrics().refunds.get(), 1);
    }
}

on_both! {
    async fn what_comes_back_follows_the_rules(db: Database) {
        let world = World::new(&db, 3).await;
        // The train runs the day after tomorrow: 36 hours before that day begins in India.
        let service = under(&world, &[(24, 50), (100, 100)], TWICE);
        let held = world.hold("h", 1).await.unwrap();
        let paid = world.pay(&held, "p", "sim_ok").await.unwrap();
        let reference = Reference::of(held.hold.id);
        let half = paid.payment.amount.percent(50);
        assert_eq!(service.find_booking(reference).await.unwrap().refund, Some(half));
        service.cancel_booking(reference).await.unwrap();
        world.settle_down().await;
        world.assert_books().await;
        let report = auditor::audit(&*world.store).await.unwrap();
        let kept = paid.payment.amount.less(half);
        assert_eq!(report.balances.of(Account::CancellationCharges), -kept.get());
        assert_eq!(world.provider.kept()[0].kept(), kept);

        let late = world.hold("late", 1).await.unwrap();
        world.pay(&late, "p", "sim_ok").await.unwrap();
        world.clock.advance_ms(13 * 3_600_000);
        let reference = Reference::of(late.hold.id);
        assert_eq!(stopped(service.cancel_booking(reference).await), Stop::TooLateToCancel);
        assert_eq!(service.find_booking(reference).await.unwrap().refund, None);
        assert_eq!(world.hold_status_of(&late).await, HoldStatus::Confirmed);
    }
}

on_both! {
    async fn over_http_time_is_added_and_money_comes_back(db: Database) {
        let site = site(&db, 2).await;
        let held = site.hold("k", 2).await.json();
        assert_eq!((&held["extensions"], &held["extensions_left"]), (&json!(0), &json!(1)));
        let path = format!("/api/holds/{}/extension", held["id"].as_str().unwrap());
        let extend = async |number: u32| site.send(Method::POST, &path, &[], json!({"number": number}).to_string()).await;
        let more = extend(1).await;
        assert_eq!(more.status, StatusCode::OK, "{}", more.text);
        let gained = more.json()["expires_at"].as_i64().unwrap() - held["expires_at"].as_i64().unwrap();
        assert_eq!((gained, &more.json()["extensions_left"]), (120_000, &json!(0)));
        assert_eq!(extend(1).await.header("idempotency-hit"), Some("true"));
        assert_eq!(extend(2).await.problem(), (409, "no_extension_left".to_owned()));
        assert_eq!(extend(0).await.problem(), (422, "invalid_field".to_owned()));

        let paid = site.pay(&held, "p", "sim_ok").await.json();
        let path = format!("/api/bookings/{}", paid["booking"].as_str().unwrap());
        let booking = site.get(&path).await.json();
        assert_eq!((&booking["status"], &booking["refund"]), (&json!("confirmed"), &json!(null)));
        assert_eq!(booking["refund_if_cancelled_paise"], booking["amount_paise"]);
        let cancelled = site.send(Method::POST, &format!("{path}/cancellation"), &[], "").await;
        assert_eq!(cancelled.status, StatusCode::OK, "{}", cancelled.text);
        let on_sale = cancelled.header("vestibule-on-sale").unwrap();
        assert!(on_sale.starts_with("12951:2026-11-23:3A; version="), "{on_sale}");
        assert_eq!(cancelled.header("vestibule-stock"), Some("12951:2026-11-23:3A=2"));
        assert_eq!(cancelled.json()["status"], "cancelled");
        assert_eq!(cancelled.json()["refund"]["amount_paise"], booking["amount_paise"]);
        let again = site.send(Method::POST, &format!("{path}/cancellation"), &[], "").await;
        assert_eq!((again.status, again.header("idempotency-hit")), (StatusCode::OK, Some("true")));
        assert_eq!(site.get("/api/inventory/12951:2026-11-23:3A").await.json()["available"], 2, "on sale at once");
        let nobody = site.send(Method::POST, "/api/bookings/0123456789/cancellation", &[], "").await;
        assert_eq!(nobody.problem(), (404, "not_found".to_owned()));
        site.close().await;
    }
}

on_both! {
    async fn the_ledger_is_only_ever_added_to_and_a_wrong_one_is_found(db: Database) {
        let world = World::new(&db, 2).await;
        let held = world.hold("h", 1).await.unwrap();
        let paid = world.pay(&held, "p", "sim_ok").await.unwrap();
        world.assert_books().await;
        for attempt in ["UPDATE ledger SET amount = amount + 1", "DELETE FROM ledger"] {
            let refused = db.raw(attempt).await.unwrap_err();
            assert!(refused.contains("only ever added to"), "{refused}");
        }
        let report = auditor::audit(&*world.store).await.unwrap();
        assert_eq!(report.balances.of(Account::Sales), -paid.payment.amount.get());
        // Somebody changes a payment behind the program's back.
        db.raw("UPDATE payments SET amount = amount - 100").await.unwrap();
        let report = auditor::audit(&*world.store).await.unwrap();
        assert_eq!((report.faults, report.words.len()), (1, 1));
        assert!(report.words[0].contains(&paid.payment.id.to_string()), "{:?}", report.words);
        assert!(paid.payment.amount > Paise::new(100));
    }
}
