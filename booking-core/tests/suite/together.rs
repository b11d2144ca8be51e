//! Decisions that share a commit: each comes to what it would have come to by itself.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use booking_core::clerk::Clerk;
use booking_core::domain::hold::{HoldId, HoldStatus};
use booking_core::domain::order::{self, Step, Stop};
use booking_core::domain::payment::{ChargeId, Payment, PaymentId, PaymentState, PaymentStatus};
use booking_core::domain::refund::Refunds;
use booking_core::metrics::Metrics;
use booking_core::reaper;
use booking_core::service::holding::HoldAnswer;
use booking_core::store::{Decide, Left, Question, Store, StoreError, Subject};
use futures_util::future::join_all;
use tokio::task::JoinSet;

use crate::database::{Database, on_both};
use crate::world::{self, HOLD_MS, NOON, World, row};

async fn holds(world: &World, number: usize) -> Vec<HoldAnswer> {
    let holds = (0..number).map(async |number| world.hold(&format!("h{number}"), 1).await.unwrap());
    join_all(holds).await
}

fn payment(number: u8, held: &HoldAnswer) -> Payment {
    Payment {
        id: PaymentId::from_bytes([number; 16]),
        hold: Some(held.hold.id),
        amount: held.hold.amount(),
        method: "sim_ok".to_owned(),
        request_hash: [number; 32],
        created_at: NOON,
        changed_at: NOON,
        refunds: Refunds::default(),
        state: PaymentState::Pending,
    }
}

fn opening(number: u8, held: &HoldAnswer) -> Question {
    let payment = payment(number, held);
    let subject = Subject::Opening(held.hold.id, payment.id);
    Question { subject, decide: Arc::new(move |loaded| order::open_payment(loaded, payment.clone(), NOON)) }
}

fn cancelling(held: &HoldAnswer) -> Question {
    Question { subject: Subject::Hold(held.hold.id), decide: Arc::new(|loaded| order::cancel(loaded, NOON)) }
}

/// Has the provider set the money aside under a charge's name, which no two payments may share.
fn authorizing(number: u8, held: &HoldAnswer, charge: &str) -> Question {
    let (payment, charge) = (payment(number, held), ChargeId(charge.to_owned()));
    let amount = payment.amount.get();
    let decide: Decide = Arc::new(move |loaded| order::authorized(loaded, &charge, amount, (NOON, NOON)));
    Question { subject: Subject::Payment(payment.id), decide }
}

async fn ask(store: &dyn Store, question: Question) -> Result<Option<PaymentStatus>, Stop> {
    let outcome = store.transact(question.subject, question.decide).await.unwrap()?;
    Ok(outcome.payment.map(|payment| payment.state.status()))
}

on_both! {
    async fn each_comes_to_what_it_would_come_to_alone(db: Database) {
        let world = World::new(&db, 6).await;
        let held = holds(&world, 6).await;
        ask(&*world.store, opening(5, &held[5])).await.unwrap();
        let nobody = Subject::Hold(HoldId::from_bytes([99; 16]));
        let questions = [
            cancelling(&held[0]),
            opening(1, &held[1]),
            cancelling(&held[2]),
            Question { subject: Subject::Hold(held[3].hold.id), decide: Arc::new(|loaded| order::expire(loaded, NOON)) },
            opening(5, &held[5]),
            Question { subject: nobody, decide: Arc::new(|loaded| order::cancel(loaded, NOON)) },
        ];
        let answers = world.store.transact_together(&questions).await;
        let word = |answer: &Option<_>| match answer {
            Some(Ok(Ok(outcome))) => format!("{:?}", booking_core::store::Outcome::stock(outcome)),
            Some(Ok(Err(stop))) => format!("{stop:?}"),
            Some(Err(error)) => StoreError::to_string(error),
            None => "apart".to_owned(),
        };
        let two_left = format!("{:?}", [(row(), 2)]);
        let words: Vec<String> = answers.iter().map(word).collect();
        assert_eq!(words[..5], [&two_left, "[]", &two_left, "NotDue", "Already"]);
        assert!(["apart", "NoSuchHold"].contains(&words[5].as_str()), "{}", words[5]);
        let left = answers[0].clone().unwrap().unwrap().unwrap().left;
        assert_eq!(left, [Left { inventory: row(), available: 2, was_zero: true }]);
        world.assert_books().await;
    }
}

on_both! {
    async fn one_that_takes_seats_is_asked_by_itself(db: Database) {
        let world = World::new(&db, 2).await;
        let held = holds(&world, 2).await;
        ask(&*world.store, opening(1, &held[0])).await.unwrap();
        world.clock.advance_ms(HOLD_MS);
        reaper::pass(&world.service).await.unwrap();
        ask(&*world.store, authorizing(1, &held[0], "ch_1")).await.unwrap();
        let late = Question {
            subject: Subject::Payment(payment(1, &held[0]).id),
            decide: Arc::new(|loaded| order::settle(loaded, |_| true, NOON)),
        };
        let answers = world.store.transact_together(std::slice::from_ref(&late)).await;
        assert!(answers[0].is_none(), "{:?}", answers[0]);
        assert_eq!(world.store.stock(&[row()]).await.unwrap()[0].stock.available, 2, "and nothing was written");
        let clerk = Clerk::new(Arc::clone(&world.store), Metrics::new());
        let secured = clerk.transact(late.subject, late.decide).await.unwrap().unwrap();
        assert_eq!(secured.left, [Left { inventory: row(), available: 1, was_zero: false }]);
    }
}

on_both! {
    async fn one_that_spoils_the_commit_spoils_it_for_itself_alone(db: Database) {
        let world = World::new(&db, 3).await;
        let held = holds(&world, 3).await;
        for (number, held) in (0..).zip(&held) {
            ask(&*world.store, opening(number, held)).await.unwrap();
        }
        ask(&*world.store, authorizing(0, &held[0], "ch_0")).await.unwrap();
        let clerk = Clerk::new(Arc::clone(&world.store), Metrics::new());
        let bad = authorizing(1, &held[1], "ch_0");
        let good = authorizing(2, &held[2], "ch_2");
        let together = world.store.transact_together(&[bad.clone(), good.clone()]).await;
        assert!(together.iter().all(Option::is_none), "nothing of it was written: {together:?}");
        let (bad, good) = tokio::join!(clerk.transact(bad.subject, bad.decide), clerk.transact(good.subject, good.decide));
        assert!(bad.is_err(), "a charge belongs to one payment");
        assert_eq!(good.unwrap().unwrap().payment.unwrap().state.status(), PaymentStatus::Capturing);
    }
}

on_both! {
    async fn two_payments_for_one_hold_in_one_commit_are_one_payment(db: Database) {
        let world = World::new(&db, 1).await;
        let held = holds(&world, 1).await;
        let clerk = Clerk::new(Arc::clone(&world.store), Metrics::new());
        let open = |number| {
            let question = opening(number, &held[0]);
            clerk.transact(question.subject, question.decide)
        };
        let outcomes = join_all((1..=8).map(open)).await;
        let opened = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Ok(_)))).count();
        let refused = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Err(Stop::PaymentInProgress)))).count();
        assert_eq!((opened, refused), (1, 7), "{outcomes:?}");
    }
}

on_both! {
    async fn a_crowd_pays_in_few_commits(db: Database) {
        let world = World::new(&db, 60).await;
        let held = holds(&world, 60).await;
        let mut paying = JoinSet::new();
        for (number, held) in held.into_iter().enumerate() {
            let service = Arc::clone(&world.service);
            paying.spawn(async move { world::pay(&service, &held, &format!("p{number}"), "sim_ok").await });
        }
        for paid in paying.join_all().await {
            let paid = paid.unwrap();
            assert_eq!(paid.payment.state.status(), PaymentStatus::Kept);
            assert_eq!(paid.hold.unwrap().state.status(), HoldStatus::Confirmed);
        }
        let sizes = &world.service.metrics().decision_batch_size;
        assert_eq!(sizes.get_sample_sum(), 180.0, "three decisions each");
        assert!(sizes.get_sample_count() < 120, "{} commits", sizes.get_sample_count());
        world.assert_books().await;
    }
}

on_both! {
    async fn fifteen_thousand_holds_lapse_in_few_commits(db: Database) {
        const HOLDS: u32 = 15_000;
        let world = World::new(&db, HOLDS).await;
        for first in (0..HOLDS).step_by(5_000) {
            let held = (first..first + 5_000).map(async |number| world.hold(&format!("h{number}"), 1).await);
            assert!(join_all(held).await.iter().all(Result::is_ok));
        }
        let version = world.store.stock(&[row()]).await.unwrap()[0].version;
        world.clock.advance_ms(HOLD_MS);
        assert_eq!(reaper::pass(&world.service).await.unwrap(), booking_core::worker::Pass { done: HOLDS, failed: 0 });
        let after = world.store.stock(&[row()]).await.unwrap()[0];
        assert_eq!(after.stock.available, HOLDS);
        let sizes = &world.service.metrics().decision_batch_size;
        assert!(sizes.get_sample_count() < 300, "{} commits", sizes.get_sample_count());
        if !db.url.starts_with("sqlite:") {
            assert_eq!(after.version - version, sizes.get_sample_count(), "the row's counts change once with each");
        }
        world.assert_books().await;
    }
}

/// Whoever has a hold locked keeps only those waiting who ask about it.
#[tokio::test]
async fn a_locked_hold_keeps_nobody_else_waiting_on_postgres() {
    let db = Database::postgres().await;
    let world = World::new(&db, 10).await;
    let held = holds(&world, 10).await;
    let (mut client, connection) = tokio_postgres::connect(&db.url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let other = client.transaction().await.unwrap();
    let lock = "SELECT FROM holds WHERE id = $1 FOR UPDATE";
    other.execute(lock, &[&held[0].hold.id.as_bytes().as_slice()]).await.unwrap();
    let cancel = |held: &HoldAnswer| {
        let (service, id) = (Arc::clone(&world.service), held.hold.id);
        tokio::spawn(async move { service.cancel(id).await })
    };
    let locked = cancel(&held[0]);
    let others: Vec<_> = held[1..].iter().map(cancel).collect();
    let done = tokio::time::timeout(Duration::from_secs(5), join_all(others)).await.expect("they do not wait");
    let done: HashSet<HoldId> = done.into_iter().map(|done| done.unwrap().unwrap().hold.id).collect();
    assert_eq!(done.len(), 9);
    assert!(!locked.is_finished());
    other.rollback().await.unwrap();
    assert_eq!(locked.await.unwrap().unwrap().hold.state.status(), HoldStatus::Cancelled);
    world.assert_books().await;
    drop(client);
    connection.await.unwrap().unwrap();
}

#[test]
fn what_can_share_a_commit_takes_no_seats() {
    assert!(Step::default().is_shareable());
    assert!(!Step { shrunk: Some(0), ..Step::default() }.is_shareable());
}
