//! The simulated bank as what it is to us: another process, with faults, over HTTP.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use booking_core::clock::{Clock, ManualClock};
use booking_core::domain::hold::HoldStatus;
use booking_core::domain::moment::Moment;
use booking_core::domain::money::Paise;
use booking_core::domain::payment::{ChargeId, PaymentId, PaymentState, PaymentStatus};
use booking_core::provider::simulated::SimulatedProvider;
use booking_core::provider::simulated::account::Status;
use booking_core::provider::simulated::bank::{Bank, PAGE, Tempo};
use booking_core::provider::simulated::faults::{FaultKind, Rule, Script, Verb};
use booking_core::provider::{ChargeOrder, Charged, GivenBack, Provider, RefundOrder, Taken};
use booking_core::{outbox, reconciler};
use hyper::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use crate::api::site;
use crate::database::{Database, on_both};
use crate::world::{NOON, PATIENCE, SECRET, World, pay, provider};

fn order(number: u8, method: &str) -> ChargeOrder {
    let payment = PaymentId::from_bytes([number; 16]);
    ChargeOrder { payment, amount: Paise::new(700), method: method.to_owned(), return_url: None, attempt: 0 }
}

#[tokio::test]
async fn the_same_order_is_one_charge_and_everything_twice_is_once() {
    let clock = Arc::new(ManualClock::at(NOON));
    let (bank, _inbox) = provider(&clock);
    let adapter = SimulatedProvider::new(&bank.url(), None, SECRET.into(), PATIENCE).unwrap();
    let order = order(1, "sim_ok");
    let first = adapter.authorize(&order).await.unwrap();
    assert_eq!(first, adapter.authorize(&order).await.unwrap());
    let Charged::Authorized(charge) = first else { panic!("{first:?}") };
    assert_eq!(bank.kept(), [], "set aside is not taken");
    let refund = async |payment, number, paise| {
        let order = RefundOrder { charge: charge.clone(), payment, number, amount: Paise::new(paise) };
        adapter.refund(&order).await
    };
    for _ in 0..2 {
        assert_eq!(adapter.capture(&charge).await, Ok(Taken::Captured));
        assert_eq!(refund(order.payment, 1, 300).await, Ok(GivenBack::Done));
    }
    assert_eq!(bank.kept()[0].kept(), Paise::new(400));
    assert!(refund(order.payment, 2, 401).await.is_err(), "more than is left");
    bank.bank().bounce(&charge, 1).unwrap();
    assert_eq!(refund(order.payment, 1, 300).await, Ok(GivenBack::Failed), "asked again, it says how it stands");
    assert_eq!(refund(order.payment, 2, 700).await, Ok(GivenBack::Done));
    let found = adapter.find(order.payment, NOON).await.unwrap().expect("it is listed");
    assert_eq!((found.id, found.refunded), (charge.clone(), Paise::new(700)));
    assert_eq!(adapter.find(PaymentId::from_bytes([9; 16]), NOON).await, Ok(None));
    assert!(adapter.capture(&ChargeId("ch_nobody".to_owned())).await.is_err());
}

#[tokio::test]
async fn a_long_list_is_read_to_its_end_each_charge_once() {
    let clock = Arc::new(ManualClock::at(NOON));
    let (bank, _inbox) = provider(&clock);
    let adapter = SimulatedProvider::new(&bank.url(), None, SECRET.into(), PATIENCE).unwrap();
    let many = 2 * PAGE + 1;
    for number in 0..many {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        bank.stray_charge(PaymentId::from_bytes(id), Paise::new(1));
        clock.advance_ms((number % 2) as i64);
    }
    let (mut seen, mut from, mut pages) = (HashSet::new(), None, 0);
    loop {
        let page = adapter.list(NOON, from.as_deref()).await.unwrap();
        assert!(page.charges.into_iter().all(|charge| seen.insert(charge.id)));
        (from, pages) = (page.next, pages + 1);
        if from.is_none() {
            break;
        }
    }
    assert_eq!((seen.len(), pages), (many, 3));
    assert_eq!(adapter.list(clock.now().plus_ms(1), None).await.unwrap().charges, []);
}

#[tokio::test]
async fn a_bank_that_is_killed_remembers_what_it_has_said() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOON));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.jsonl");
    let open = || Bank::open(Arc::clone(&clock), Tempo::default(), Some(&path)).unwrap().0;
    let payment = PaymentId::from_bytes([3; 16]);
    let charge = {
        let bank = open();
        let charge = bank.stray(payment, Paise::new(700), Status::Authorized).unwrap();
        bank.change(&charge.id, |account| {
            account.capture();
            Ok(())
        })
        .unwrap()
    };
    // It was killed in the middle of a line.
    let mut text = std::fs::read(&path).unwrap();
    text.extend_from_slice(b"{\"id\":\"ch_half");
    std::fs::write(&path, text).unwrap();
    let again = open();
    assert_eq!(again.find(&charge.id), Some(charge));
    assert_eq!(again.list(Moment::from_ms(0), None).0.len(), 1);
}

on_both! {
    async fn a_buyer_confirms_at_the_bank_and_has_a_booking(db: Database) {
        let site = site(&db, 2).await;
        let held = site.hold("k", 1).await.json();
        let waits = site.pay(&held, "p", "sim_challenge").await;
        assert_eq!((waits.status, &waits.json()["status"]), (StatusCode::ACCEPTED, &json!("challenged")));
        let page = waits.json()["challenge"]["redirect"].as_str().unwrap().to_owned();
        let bank = page.find("/challenge/").map(|at| (page[..at].to_owned(), page[at..].to_owned())).unwrap();
        let shown = site.send_to(&bank.0, Method::GET, &bank.1, &[], "").await;
        assert!(shown.text.contains("Do you want to pay"), "{}", shown.text);
        let confirmed = site.send_to(&bank.0, Method::POST, &format!("{}?answer=yes", bank.1), &[], "").await;
        assert_eq!(confirmed.status, StatusCode::OK, "{}", confirmed.text);
        // The bank says so by webhook, and the outbox takes the money.
        let path = format!("/api/holds/{}", held["id"].as_str().unwrap());
        let booked = async { while site.get(&path).await.json()["status"] != "confirmed" { tokio::task::yield_now().await } };
        tokio::time::timeout(Duration::from_secs(20), booked).await.expect("it is booked");
        assert_eq!(site.bank.kept().len(), 1);
        site.close().await;
    }
}

on_both! {
    async fn a_buyer_who_never_comes_back_from_the_bank_costs_nobody_a_seat(db: Database) {
        let world = World::new(&db, 1).await;
        let held = world.hold("h", 1).await.unwrap();
        let waits = world.pay(&held, "p", "sim_challenge").await.unwrap();
        assert!(matches!(waits.payment.state, PaymentState::Challenged { .. }));
        world.clock.advance_ms(200_000);
        reconciler::pass(&world.service).await.unwrap();
        let still = world.service.find_payment(waits.payment.id, false).await.unwrap();
        assert_eq!(still.payment.state.status(), PaymentStatus::Challenged, "the hold is not over");
        world.settle_down().await;
        let given_up = world.service.find_payment(waits.payment.id, false).await.unwrap();
        assert_eq!(given_up.payment.state.status(), PaymentStatus::Voided);
        let charge = world.provider.bank().find(given_up.payment.state.charge().unwrap()).unwrap();
        assert_eq!(charge.status, Status::Voided, "and cannot confirm it afterwards");
        assert!(world.hold("other", 1).await.is_ok());
        world.assert_books().await;
    }
}

on_both! {
    async fn a_payment_that_waits_at_the_bank_without_our_knowing_is_given_up_too(db: Database) {
        let world = World::new(&db, 1).await;
        let held = world.hold("h", 1).await.unwrap();
        world.provider.force(Some(FaultKind::Late));
        let unheard = world.pay(&held, "p", "sim_challenge").await.unwrap();
        world.provider.idle().await;
        world.provider.mend();
        assert_eq!(unheard.payment.state, PaymentState::Pending);
        world.settle_down().await;
        let given_up = world.service.find_payment(unheard.payment.id, false).await.unwrap();
        assert_eq!(given_up.payment.state.status(), PaymentStatus::Voided);
        let charge = world.provider.bank().find(given_up.payment.state.charge().unwrap()).unwrap();
        assert_eq!(charge.status, Status::Voided, "and nobody can confirm it afterwards");
        world.assert_books().await;
    }
}

on_both! {
    async fn money_taken_at_once_buys_the_seat_or_goes_back(db: Database) {
        let world = World::new(&db, 1).await;
        let held = world.hold("h", 1).await.unwrap();
        let late = {
            world.provider.force(Some(FaultKind::Late));
            let late = world.pay(&held, "p", "sim_instant").await.unwrap();
            world.provider.idle().await;
            world.provider.mend();
            late
        };
        world.clock.advance_ms(crate::world::HOLD_MS);
        assert!(world.service.expire(held.hold.id).await.unwrap());
        let other = world.hold("other", 1).await.unwrap();
        let kept = world.pay(&other, "o", "sim_instant").await.unwrap();
        assert_eq!(kept.payment.state.status(), PaymentStatus::Kept);
        world.settle_down().await;
        let back = world.service.find_payment(late.payment.id, false).await.unwrap();
        assert_eq!(back.payment.state.status(), PaymentStatus::Refunded);
        assert_eq!(world.service.find_hold(other.hold.id).await.unwrap().state.status(), HoldStatus::Confirmed);
        world.assert_books().await;
    }
}

on_both! {
    async fn a_reservation_the_bank_withdraws_gives_the_seat_back(db: Database) {
        let world = World::new(&db, 1).await;
        let held = world.hold("h", 1).await.unwrap();
        world.provider.spoil(Verb::Capture, FaultKind::Fail);
        let waits = world.pay(&held, "p", "sim_ok").await.unwrap();
        assert_eq!(waits.payment.state.status(), PaymentStatus::Capturing);
        let charge = waits.payment.state.charge().unwrap().clone();
        world.provider.bank().change(&charge, |account| { account.void(); Ok(()) }).unwrap();
        world.provider.mend();
        world.clock.advance_ms(60_000);
        outbox::pass(&world.service).await.unwrap();
        let lost = world.service.find_payment(waits.payment.id, false).await.unwrap();
        assert_eq!(lost.payment.state.status(), PaymentStatus::Voided);
        assert_eq!(world.store.stock(&[crate::world::row()]).await.unwrap()[0].stock.available, 1);
        world.assert_books().await;
    }
}

on_both! {
    async fn money_set_aside_that_nobody_knows_is_let_go(db: Database) {
        let world = World::new(&db, 1).await;
        world.provider.stray_reservation(PaymentId::from_bytes([5; 16]), Paise::new(700));
        world.settle_down().await;
        world.assert_books().await;
        assert_eq!((world.service.metrics().orphans.get(), world.service.metrics().refunds.get()), (1, 0));
    }
}

/// A bank at its worst: a third of everything goes wrong, in every way it can, and nothing is lost. Buyers ask again
/// under the same keys, two copies of every worker run at once, and the script's seed decides the rest.
async fn at_its_worst(db: &Database, seed: u64) {
    let world = World::new(db, 6).await;
    let kinds = [FaultKind::Fail, FaultKind::Garbage, FaultKind::Slow, FaultKind::Decline];
    let verbs = [Verb::Authorize, Verb::Capture, Verb::Void, Verb::Refund];
    let rule = |(verb, fault)| Rule { verb, fault, probability: 0.1, times: None, ms: Some(1) };
    let rules = verbs.into_iter().flat_map(|verb| kinds.map(|fault| (verb, fault))).map(rule).collect();
    world.provider.bank().play(Script { seed, rules });
    let mut buying = JoinSet::new();
    for buyer in 0..10 {
        let service = Arc::clone(&world.service);
        buying.spawn(async move {
            let Ok(held) = crate::world::hold(&service, &format!("h{buyer}"), 1).await else { return };
            for attempt in [0, 0, 1, 1] {
                drop(
                    pay(&service, &held, &format!("p{attempt}"), if buyer % 3 == 0 { "sim_instant" } else { "sim_ok" })
                        .await,
                );
            }
            if buyer % 4 == 0
                && let Ok(hold) = service.find_hold(held.hold.id).await
            {
                drop(service.cancel_booking(booking_core::domain::booking::Reference::of(hold.id)).await);
            }
        });
    }
    buying.join_all().await;
    for _ in 0..3 {
        world.clock.advance_ms(60_000);
        let (service, again) = (&world.service, &world.service);
        let _list_may_fail = tokio::join!(reconciler::pass(service), reconciler::pass(again));
        let (one, two) = tokio::join!(outbox::pass(service), outbox::pass(again));
        assert!(one.is_ok() && two.is_ok());
    }
    world.provider.mend();
    world.settle_down().await;
    world.assert_books().await;
    assert_eq!(world.store.books().await.unwrap().pending, 0, "seed {seed}");
}

on_both! {
    async fn whatever_the_bank_does_wrong_the_books_are_right(db: Database) {
        at_its_worst(&db, 20_261_121).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_with_other_seeds_too() {
    for seed in 1..=8 {
        at_its_worst(&Database::sqlite(), seed).await;
    }
}
