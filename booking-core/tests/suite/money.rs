//! Money is kept exactly where there is a booking, whatever is repeated, lost, late or cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use booking_core::domain::booking::{Booking, Reference};
use booking_core::domain::hold::{Hold, HoldId, HoldStatus};
use booking_core::domain::inventory::{InventoryId, Offer};
use booking_core::domain::ledger::Statement;
use booking_core::domain::moment::Moment;
use booking_core::domain::money::Paise;
use booking_core::domain::order::{self, Stop, Task, TaskKind};
use booking_core::domain::payment::{ChargeId, Payment, PaymentId, PaymentStatus};
use booking_core::domain::placement::ShardNumber;
use booking_core::domain::seat::SeatNumber;
use booking_core::metrics::Metrics;
use booking_core::provider::signature::sign;
use booking_core::provider::simulated::account::Telling;
use booking_core::provider::simulated::faults::{FaultKind, Verb};
use booking_core::service::holding::{HoldAnswer, HoldOrder};
use booking_core::service::paying::PaymentAnswer;
use booking_core::service::{Denied, Service};
use booking_core::store::books::Books;
use booking_core::store::{
    Decide, DueTask, Guard, Made, OrderRequest, OrderTaken, Outcome, StockRow, Store, StoreError, Subject, TakeRequest,
    Taken, Till, TurnedRow,
};
use booking_core::strategy::Strategy;
use booking_core::teller::Teller;
use booking_core::{outbox, reconciler};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::database::{Database, on_both};
use crate::world::{
    self, HASTE, HOLD_MS, NOON, PATIENCE, SECRET, TestBank, World, hold, pay, pay_unanswered, provider,
};

fn stopped<T: std::fmt::Debug>(outcome: Result<T, Denied>) -> Stop {
    match outcome.unwrap_err() {
        Denied::State(stop) => stop,
        other => panic!("{other}"),
    }
}

fn status(answer: &PaymentAnswer) -> PaymentStatus {
    answer.payment.state.status()
}

impl World {
    async fn news(&self, news: &Telling) -> Result<(), Denied> {
        let body = serde_json::to_vec(news).unwrap();
        let now = self.service.now();
        self.service.webhook(&sign(SECRET.as_bytes(), now, &body), &body).await
    }
}

fn charge_of(answer: &PaymentAnswer) -> ChargeId {
    ChargeId(format!("ch_{}", answer.payment.id))
}

fn authorized(answer: &PaymentAnswer) -> Telling {
    let payment = &answer.payment;
    let charge = charge_of(answer);
    Telling::Authorized { payment: payment.id, charge, amount_paise: payment.amount.get() }
}

on_both! {
    async fn a_payment_becomes_a_booking(db: Database) {
        let world = World::new(&db, 10).await;
        let held = world.hold("h", 2).await.unwrap();
        let paid = world.pay(&held, "p", "sim_ok").await.unwrap();
        assert_eq!(status(&paid), PaymentStatus::Kept);
        assert_eq!(world.hold_status_of(&held).await, HoldStatus::Confirmed);
        let booking = world.service.booking(Reference::of(held.hold.id)).await.unwrap();
        assert_eq!((booking.lines, booking.amount), (held.hold.lines.clone(), held.hold.amount()));
        world.assert_books().await;
    }
}

on_both! {
    async fn one_key_one_answer(db: Database) {
        let world = World::new(&db, 10).await;
        let held = world.hold("h", 2).await.unwrap();
        let again = world.hold("h", 2).await.unwrap();
        assert!(again.replayed && !held.replayed);
        assert_eq!(again.hold, held.hold);
        assert_eq!(stopped(world.hold("h", 1).await), Stop::KeyReused);
        let paid = world.pay(&held, "p", "sim_ok").await.unwrap();
        let paid_again = world.pay(&held, "p", "sim_ok").await.unwrap();
        assert!(paid_again.replayed && paid_again.payment == paid.payment);
        assert_eq!(stopped(world.pay(&held, "p", "sim_slow").await), Stop::KeyReused);
        assert_eq!(stopped(world.pay(&held, "q", "sim_ok").await), Stop::AlreadyPaid);
        assert_eq!(world.provider.kept().len(), 1);
        world.assert_books().await;
    }
}

on_both! {
    async fn a_key_keeps_its_answer_when_the_rules_have_moved_on(db: Database) {
        let world = World::new(&db, 1).await;
        let hold = async |inventory: &str, quantity, key: &str| {
            let order = HoldOrder::new(inventory.parse().unwrap(), quantity, key);
            world.service.hold(order).await
        };
        let tomorrow = "12951:2026-11-22:3A";
        let held = hold(tomorrow, 2, "h").await.unwrap();
        world.clock.advance_ms(48 * 3_600_000);
        let again = hold(tomorrow, 2, "h").await.unwrap();
        assert!(again.replayed && again.hold.id == held.hold.id);
        assert_eq!(stopped(hold(tomorrow, 1, "h").await), Stop::KeyReused);
        assert!(matches!(hold(tomorrow, 2, "new").await, Err(Denied::NotOnSale(_))));
        assert!(matches!(hold(tomorrow, 0, "new").await, Err(Denied::NotOnSale(_))));
    }
}

on_both! {
    async fn a_key_paid_many_times_at_once_is_charged_once(db: Database) {
        let world = World::new(&db, 10).await;
        let held = world.hold("h", 1).await.unwrap();
        let mut paying = JoinSet::new();
        for number in 0..20 {
            let (service, held) = (Arc::clone(&world.service), held.clone());
            // Half of them under one key, half under keys of their own.
            let key = if number % 2 == 0 { "p".to_owned() } else { format!("p{number}") };
            paying.spawn(async move { pay(&service, &held, &key, "sim_ok").await.is_ok() });
        }
        let paid = paying.join_all().await;
        assert!(paid.contains(&true));
        world.settle_down().await;
        world.assert_books().await;
        assert_eq!(world.provider.kept().len(), 1);
    }
}

on_both! {
    async fn a_declined_payment_may_be_tried_again(db: Database) {
        let world = World::new(&db, 1).await;
        let held = world.hold("h", 1).await.unwrap();
        let declined = world.pay(&held, "p1", "sim_declined").await.unwrap();
        assert_eq!(status(&declined), PaymentStatus::Failed);
        let replay = world.pay(&held, "p1", "sim_declined").await.unwrap();
        assert_eq!((status(&replay), replay.replayed), (PaymentStatus::Failed, true));
        assert_eq!(status(&world.pay(&held, "p2", "sim_ok").await.unwrap()), PaymentStatus::Kept);
        world.assert_books().await;
    }
}

on_both! {
    async fn a_webhook_ten_times_at_once_confirms_once(db: Database) {
        let mut world = World::new(&db, 5).await;
        let held = world.hold("h", 1).await.unwrap();
        let paid = world.pay(&held, "p", "sim_repeat").await.unwrap();
        assert_eq!(status(&paid), PaymentStatus::Kept);
        let mut deliveries = JoinSet::new();
        // Ten of the money set aside, ten of the money taken, all at once and in any order.
        for _ in 0..20 {
            let body = world.inbox.recv().await.unwrap().body;
            let (service, signature) = (Arc::clone(&world.service), sign(SECRET.as_bytes(), NOON, &body));
            deliveries.spawn(async move { service.webhook(&signature, &body).await });
        }
        assert!(deliveries.join_all().await.iter().all(Result::is_ok));
        world.assert_books().await;
        assert_eq!(world.provider.kept().len(), 1);
    }
}

on_both! {
    async fn a_failure_after_the_capture_moves_nothing_back(db: Database) {
        let world = World::new(&db, 5).await;
        let held = world.hold("h", 1).await.unwrap();
        let paid = world.pay(&held, "p", "sim_ok").await.unwrap();
        let (payment, charge) = (paid.payment.id, charge_of(&paid));
        let failed = Telling::Failed { payment, charge, reason: "late".to_owned() };
        world.news(&failed).await.unwrap();
        assert_eq!(world.hold_status_of(&held).await, HoldStatus::Confirmed);
        world.assert_books().await;
    }
}

on_both! {
    async fn news_of_a_stray_charge_takes_nothing_from_the_payment_it_names(db: Database) {
        let world = World::new(&db, 5).await;
        let held = world.hold("h", 1).await.unwrap();
        // The money is set aside and the seat secured, but it cannot be taken yet.
        world.provider.spoil(Verb::Capture, FaultKind::Fail);
        let capturing = world.pay(&held, "p", "sim_ok").await.unwrap();
        assert_eq!(status(&capturing), PaymentStatus::Capturing);
        let (payment, charge) = (capturing.payment.id, ChargeId("ch_stray".to_owned()));
        world.news(&Telling::Voided { payment, charge: charge.clone() }).await.unwrap();
        let reason = "another charge".to_owned();
        world.news(&Telling::Failed { payment, charge, reason }).await.unwrap();
        let seen = world.service.find_payment(payment, false).await.unwrap();
        assert_eq!((status(&seen), world.hold_status_of(&held).await), (PaymentStatus::Capturing, HoldStatus::Paid));
        world.provider.mend();
        world.settle_down().await;
        assert_eq!(world.hold_status_of(&held).await, HoldStatus::Confirmed);
        world.assert_books().await;
    }
}

on_both! {
    async fn a_stray_charge_that_fails_does_not_end_a_challenge(db: Database) {
        let world = World::new(&db, 5).await;
        let held = world.hold("h", 1).await.unwrap();
        let waits = world.pay(&held, "p", "sim_challenge").await.unwrap();
        assert_eq!(status(&waits), PaymentStatus::Challenged);
        let (payment, charge) = (waits.payment.id, ChargeId("ch_stray".to_owned()));
        world.news(&Telling::Failed { payment, charge, reason: "another charge".to_owned() }).await.unwrap();
        let seen = world.service.find_payment(payment, false).await.unwrap();
        assert_eq!(status(&seen), PaymentStatus::Challenged);
        let (charge, reason) = (charge_of(&waits), "not confirmed".to_owned());
        world.news(&Telling::Failed { payment, charge, reason }).await.unwrap();
        let seen = world.service.find_payment(payment, false).await.unwrap();
        assert_eq!(status(&seen), PaymentStatus::Failed);
    }
}

on_both! {
    async fn news_of_another_amount_or_payment_is_refused(db: Database) {
        let world = World::new(&db, 5).await;
        let held = world.hold("h", 1).await.unwrap();
        world.provider.force(Some(FaultKind::Hang));
        let pending = world.pay(&held, "p", "sim_ok").await.unwrap();
        assert_eq!(status(&pending), PaymentStatus::Pending);
        let Telling::Authorized { payment, charge, amount_paise } = authorized(&pending) else { unreachable!() };
        let less = Telling::Authorized { payment, charge: charge.clone(), amount_paise: amount_paise - 1 };
        assert_eq!(stopped(world.news(&less).await), Stop::WrongAmount);
        let more = Telling::Captured { payment, charge: charge.clone(), amount_paise: amount_paise + 1 };
        assert_eq!(stopped(world.news(&more).await), Stop::WrongAmount);
        let unknown = Telling::Captured { payment: PaymentId::from_bytes([9; 16]), charge, amount_paise };
        assert_eq!(stopped(world.news(&unknown).await), Stop::NoSuchPayment);
        assert_eq!(world.hold_status_of(&held).await, HoldStatus::Held);
    }
}

on_both! {
    async fn money_after_the_hold_ran_out_buys_what_is_left(db: Database) {
        let world = World::new(&db, 1).await;
        let held = world.hold("h", 1).await.unwrap();
        let pending = world.pay(&held, "p", "sim_late").await.unwrap();
        assert_eq!(status(&pending), PaymentStatus::Pending);
        world.clock.advance_ms(HOLD_MS);
        assert!(world.service.expire(held.hold.id).await.unwrap());
        assert_eq!(stopped(world.pay(&held, "q", "sim_ok").await), Stop::HoldExpired);
        late_answer(&world).await;
        world.news(&authorized(&pending)).await.unwrap();
        assert_eq!(world.hold_status_of(&held).await, HoldStatus::Paid, "the seat is taken before the money is");
        outbox::pass(&world.service).await.unwrap();
        assert_eq!(world.hold_status_of(&held).await, HoldStatus::Confirmed);
        world.assert_books().await;
    }
}

on_both! {
    async fn money_after_the_seat_went_to_another_goes_back(db: Database) {
        let world = World::new(&db, 1).await;
        let held = world.hold("h", 1).await.unwrap();
        let pending = world.pay(&held, "p", "sim_late").await.unwrap();
        world.clock.advance_ms(HOLD_MS);
        assert!(world.service.expire(held.hold.id).await.unwrap());
        let other = world.hold("other", 1).await.unwrap();
        assert_eq!(status(&world.pay(&other, "o", "sim_ok").await.unwrap()), PaymentStatus::Kept);
        late_answer(&world).await;
        world.news(&authorized(&pending)).await.unwrap();
        assert_eq!(world.hold_status_of(&held).await, HoldStatus::Expired);
        assert_eq!(world.hold_status_of(&other).await, HoldStatus::Confirmed);
        outbox::pass(&world.service).await.unwrap();
        let let_go = world.service.find_payment(pending.payment.id, false).await.unwrap();
        assert_eq!(status(&let_go), PaymentStatus::Voided, "nobody was charged, so there is nothing to give back");
        world.assert_books().await;
        assert_eq!(world.store.books().await.unwrap().refunded, 0);
    }
}

on_both! {
    async fn money_after_the_train_has_left_goes_back(db: Database) {
        let world = World::new(&db, 1).await;
        let tomorrow = "12951:2026-11-22:3A".parse().unwrap();
        let order = HoldOrder::new(tomorrow, 1, "h");
        let held = world.service.hold(order).await.unwrap();
        let pending = world.pay(&held, "p", "sim_late").await.unwrap();
        late_answer(&world).await;
        world.clock.advance_ms(48 * 3_600_000);
        assert!(world.service.expire(held.hold.id).await.unwrap());
        world.news(&authorized(&pending)).await.unwrap();
        assert_eq!(world.hold_status_of(&held).await, HoldStatus::Expired, "no seat of a train that has left");
        world.settle_down().await;
        assert!(world.provider.kept().is_empty());
        world.assert_books().await;
    }
}

/// Waits until the bank has done behind our back what it did not answer.
async fn late_answer(world: &World) {
    world.provider.idle().await;
}

on_both! {
    async fn money_for_a_cancelled_hold_goes_back(db: Database) {
        let world = World::new(&db, 1).await;
        let held = world.hold("h", 1).await.unwrap();
        let pending = world.pay(&held, "p", "sim_late").await.unwrap();
        assert_eq!(stopped(world.pay(&held, "q", "sim_ok").await), Stop::PaymentInProgress);
        world.service.cancel(held.hold.id).await.unwrap();
        late_answer(&world).await;
        world.news(&authorized(&pending)).await.unwrap();
        world.settle_down().await;
        assert_eq!(world.hold_status_of(&held).await, HoldStatus::Cancelled);
        assert!(world.provider.kept().is_empty());
        world.assert_books().await;
    }
}

on_both! {
    async fn the_reconciler_finds_what_nobody_told(db: Database) {
        for method in ["sim_silent", "sim_error"] {
            let world = World::new(&db, 10).await;
            let held = world.hold(method, 1).await.unwrap();
            let pending = world.pay(&held, "p", method).await.unwrap();
            assert_eq!(status(&pending), PaymentStatus::Pending, "{method}");
            late_answer(&world).await;
            world.clock.advance_ms(5_000);
            assert_eq!(reconciler::pass(&world.service).await.unwrap().done, 1, "{method}");
            outbox::pass(&world.service).await.unwrap();
            assert_eq!(world.hold_status_of(&held).await, HoldStatus::Confirmed, "{method}");
        }
    }
}

on_both! {
    async fn a_provider_that_hangs_costs_nobody_a_seat(db: Database) {
        let world = World::new(&db, 1).await;
        let held = world.hold("h", 1).await.unwrap();
        let hasty = hasty(&world);
        let pending = pay(&hasty, &held, "p", "sim_hang").await.unwrap();
        assert_eq!(status(&pending), PaymentStatus::Pending);
        world.clock.advance_ms(120_000);
        reconciler::pass(&world.service).await.unwrap();
        let failed = world.service.find_payment(pending.payment.id, false).await.unwrap();
        assert_eq!(status(&failed), PaymentStatus::Failed);
        assert_eq!(status(&world.pay(&held, "q", "sim_ok").await.unwrap()), PaymentStatus::Kept);
        world.assert_books().await;
    }
}

on_both! {
    async fn money_nobody_knows_goes_back(db: Database) {
        let world = World::new(&db, 1).await;
        let held = world.hold("h", 1).await.unwrap();
        let paid = world.pay(&held, "p", "sim_ok").await.unwrap();
        // A second charge for a known payment, and one for a payment that never was.
        let _twice = world.provider.stray_charge(paid.payment.id, held.hold.amount());
        let _never = world.provider.stray_charge(PaymentId::from_bytes([5; 16]), Paise::new(700));
        world.settle_down().await;
        world.assert_books().await;
        assert_eq!(world.service.metrics().orphans.get(), 2);
        assert_eq!(world.service.metrics().refunds.get(), 2);
        assert_eq!(world.hold_status_of(&held).await, HoldStatus::Confirmed);
    }
}

on_both! {
    async fn a_refund_is_tried_until_it_works_and_blocks_nobody(db: Database) {
        let world = World::new(&db, 3).await;
        let _never = world.provider.stray_charge(PaymentId::from_bytes([5; 16]), Paise::new(700));
        world.provider.spoil(Verb::Refund, FaultKind::Fail);
        world.clock.advance_ms(10_000);
        reconciler::pass(&world.service).await.unwrap();
        assert_eq!(outbox::pass(&world.service).await.unwrap().failed, 1);
        let held = world.hold("h", 1).await.unwrap();
        assert_eq!(world.service.metrics().holds_active.get(), 0);
        world.pay(&held, "p", "sim_ok").await.unwrap();
        assert_eq!(outbox::pass(&world.service).await.unwrap(), booking_core::worker::Pass::default());
        world.provider.mend();
        world.settle_down().await;
        world.assert_books().await;
        assert_eq!(world.provider.kept().len(), 1);
    }
}

on_both! {
    async fn a_payment_that_was_written_down_and_never_asked_for_is_asked_for_again(db: Database) {
        let world = World::new(&db, 2).await;
        let held = world.hold("h", 1).await.unwrap();
        // As if the process had ended between writing it down and asking.
        world.provider.force(Some(FaultKind::Hang));
        assert_eq!(status(&world.pay(&held, "p", "sim_ok").await.unwrap()), PaymentStatus::Pending);
        world.provider.force(None);
        let early = world.pay(&held, "p", "sim_ok").await.unwrap();
        assert_eq!(status(&early), PaymentStatus::Pending, "the first answer may still be on its way");
        world.clock.advance_ms(i64::try_from(PATIENCE.as_millis()).unwrap() + 1);
        let again = world.pay(&held, "p", "sim_ok").await.unwrap();
        assert_eq!((status(&again), again.replayed), (PaymentStatus::Kept, true));
        assert_eq!(world.provider.kept().len(), 1);
        world.assert_books().await;
    }
}

on_both! {
    async fn a_payment_for_a_hold_that_ran_out_is_not_asked_for_again(db: Database) {
        let world = World::new(&db, 2).await;
        let held = world.hold("h", 1).await.unwrap();
        world.provider.force(Some(FaultKind::Hang));
        world.pay(&held, "p", "sim_ok").await.unwrap();
        world.provider.force(None);
        world.clock.advance_ms(HOLD_MS);
        assert_eq!(status(&world.pay(&held, "p", "sim_ok").await.unwrap()), PaymentStatus::Pending);
        assert!(world.provider.kept().is_empty());
    }
}

on_both! {
    async fn a_charge_older_than_a_day_is_found_before_its_payment_is_given_up(db: Database) {
        let world = World::new(&db, 2).await;
        let held = world.hold("h", 1).await.unwrap();
        let pending = world.pay(&held, "p", "sim_silent").await.unwrap();
        late_answer(&world).await;
        // Nobody looked for more than a day.
        world.clock.advance_ms(25 * 3_600_000);
        reconciler::pass(&world.service).await.unwrap();
        outbox::pass(&world.service).await.unwrap();
        let found = world.service.find_payment(pending.payment.id, false).await.unwrap();
        assert_eq!(status(&found), PaymentStatus::Kept);
        world.assert_books().await;
    }
}

on_both! {
    async fn refunds_that_hang_keep_nobody_from_a_booking(db: Database) {
        let world = World::new(&db, 3).await;
        for number in 0..20 {
            let _never = world.provider.stray_charge(PaymentId::from_bytes([number; 16]), Paise::new(700));
        }
        world.clock.advance_ms(10_000);
        reconciler::pass(&world.service).await.unwrap();
        world.provider.spoil(Verb::Refund, FaultKind::Hang);
        let stop = CancellationToken::new();
        let working = tokio::spawn(outbox::run(patient(&world), stop.clone()));
        until(async || world.provider.bank().hanging() == 16).await;
        let held = world.hold("h", 1).await.unwrap();
        let pending = world.open_only(held.hold.id).await;
        let pending = world.service.find_payment(pending.id, false).await.unwrap();
        capture_without_settling(&world, &pending).await;
        until(async || world.hold_status_of(&held).await == HoldStatus::Confirmed).await;
        assert_eq!(world.provider.bank().hanging(), 16, "side by side, and not all at once");
        stop.cancel();
        world.provider.mend();
        working.await.unwrap();
        world.settle_down().await;
        world.assert_books().await;
    }
}

/// A service on the same world that waits a minute for the provider.
fn patient(world: &World) -> Arc<Service> {
    let metrics = Metrics::new();
    let teller = Teller::new(Arc::clone(&world.store) as _, metrics.clone(), Strategy::Teller, world::LIMITS);
    let mut parts = world::parts(Arc::clone(&world.store), teller, metrics, &world.provider, &world.clock, 3);
    parts.terms.pending_ms = i64::MAX / 2;
    Service::new(parts)
}

/// A service on the same world that hardly waits for the provider.
fn hasty(world: &World) -> Arc<Service> {
    let metrics = Metrics::new();
    let teller = Teller::new(Arc::clone(&world.store) as _, metrics.clone(), Strategy::Teller, world::LIMITS);
    let mut parts = world::parts(Arc::clone(&world.store), teller, metrics, &world.provider, &world.clock, 1);
    parts.terms.provider_timeout = HASTE;
    Service::new(parts)
}

async fn until(came_true: impl AsyncFn() -> bool) {
    let waiting = async {
        while !came_true().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it comes true");
}

/// Writes down that the money was taken, and then nothing more happens: as if the process had ended there.
async fn capture_without_settling(world: &World, answer: &PaymentAnswer) {
    let (charge, amount) =
        (world.provider.stray_charge(answer.payment.id, answer.payment.amount), answer.payment.amount);
    let now = world.service.now();
    let decide: Decide = Arc::new(move |loaded| order::captured(loaded, &charge, amount.get(), now));
    world.store.transact(Subject::Payment(answer.payment.id), decide).await.unwrap().unwrap();
}

/// A store whose process dies at its n-th write: before it is written or after, but before anybody hears of it. From
/// then on it answers nothing.
struct Dying {
    inner: Arc<dyn Store>,
    writes_left: AtomicU32,
    last_is_written: bool,
}

impl Dying {
    /// Tells whether this write is let through, and whether its answer is.
    fn strike(&self) -> (bool, bool) {
        let left = self.writes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(1) => (self.last_is_written, false),
            Ok(_) => (true, true),
            Err(_) => (false, false),
        }
    }

    fn dead(&self) -> Result<(), StoreError> {
        match self.writes_left.load(Ordering::SeqCst) {
            0 => Err(StoreError::Corrupt("the process is dead".to_owned())),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Till for Dying {
    async fn take(&self, guard: Guard, row: InventoryId, requests: &[TakeRequest]) -> Result<Taken, StoreError> {
        let (written, heard) = self.strike();
        let taken = if written { Some(self.inner.take(guard, row, requests).await?) } else { None };
        taken.filter(|_| heard).ok_or_else(|| StoreError::Corrupt("the process is dead".to_owned()))
    }

    async fn take_order(&self, order: &OrderRequest) -> Result<OrderTaken, StoreError> {
        let (written, heard) = self.strike();
        let taken = if written { Some(self.inner.take_order(order).await?) } else { None };
        taken.filter(|_| heard).ok_or_else(|| StoreError::Corrupt("the process is dead".to_owned()))
    }
}

#[async_trait]
impl Store for Dying {
    async fn ensure(&self, offers: &[Offer]) -> Result<(), StoreError> {
        self.inner.ensure(offers).await
    }
    async fn stock(&self, ids: &[InventoryId]) -> Result<Vec<StockRow>, StoreError> {
        self.inner.stock(ids).await
    }
    async fn rows_from(&self, day: time::Date) -> Result<Vec<InventoryId>, StoreError> {
        self.inner.rows_from(day).await
    }
    async fn number(&self, candidate: Option<ShardNumber>) -> Result<Option<ShardNumber>, StoreError> {
        self.inner.number(candidate).await
    }
    async fn turned(&self, within_s: u32, limit: u32) -> Result<Vec<TurnedRow>, StoreError> {
        self.inner.turned(within_s, limit).await
    }
    async fn transact(&self, subject: Subject, decide: Decide) -> Result<Result<Outcome, Stop>, StoreError> {
        let (written, heard) = self.strike();
        let outcome = if written { Some(self.inner.transact(subject, decide).await?) } else { None };
        outcome.filter(|_| heard).ok_or_else(|| StoreError::Corrupt("the process is dead".to_owned()))
    }
    async fn hold(&self, id: HoldId) -> Result<Option<Hold>, StoreError> {
        self.dead()?;
        self.inner.hold(id).await
    }
    async fn made(&self, holds: &[HoldId]) -> Result<Vec<(HoldId, Made)>, StoreError> {
        self.inner.made(holds).await
    }
    async fn payment(&self, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        self.dead()?;
        self.inner.payment(id).await
    }
    async fn booking(&self, reference: Reference) -> Result<Option<Booking>, StoreError> {
        self.inner.booking(reference).await
    }
    async fn owned_seats(&self, row: InventoryId) -> Result<Vec<SeatNumber>, StoreError> {
        self.dead()?;
        self.inner.owned_seats(row).await
    }
    async fn lapsed(&self, now: Moment, limit: u32) -> Result<Vec<HoldId>, StoreError> {
        self.inner.lapsed(now, limit).await
    }
    async fn first_expiry(&self, row: InventoryId, until: Moment) -> Result<Option<Moment>, StoreError> {
        self.inner.first_expiry(row, until).await
    }
    async fn open_holds(&self) -> Result<u64, StoreError> {
        self.inner.open_holds().await
    }
    async fn failing_refunds(&self) -> Result<u64, StoreError> {
        self.inner.failing_refunds().await
    }
    async fn pending(&self, before: Moment, limit: u32) -> Result<Vec<(PaymentId, Moment)>, StoreError> {
        self.inner.pending(before, limit).await
    }
    async fn due(&self, kind: TaskKind, now: Moment, limit: u32) -> Result<Vec<DueTask>, StoreError> {
        self.dead()?;
        self.inner.due(kind, now, limit).await
    }
    async fn postpone(&self, task: DueTask, until: Moment, reason: &str) -> Result<(), StoreError> {
        self.dead()?;
        self.inner.postpone(task, until, reason).await
    }
    async fn hasten(&self, task: Task, now: Moment) -> Result<(), StoreError> {
        self.dead()?;
        self.inner.hasten(task, now).await
    }
    async fn secret(&self, candidate: Option<[u8; 32]>) -> Result<Option<[u8; 32]>, StoreError> {
        self.inner.secret(candidate).await
    }
    async fn books(&self) -> Result<Books, StoreError> {
        self.inner.books().await
    }
    async fn statements(&self, after: Option<PaymentId>, limit: u32) -> Result<Vec<Statement>, StoreError> {
        self.inner.statements(after, limit).await
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }
}

/// Runs a story in a process that dies at a given write, then lets a new process clean up; returns how many bookings
/// there are in the end.
async fn die_and_recover(db: &Database, writes: u32, last_is_written: bool, story: Story) -> u64 {
    let clock = Arc::new(booking_core::clock::ManualClock::at(NOON));
    let (provider, _inbox) = provider(&clock);
    let store = db.open().await;
    let dying = Arc::new(Dying { inner: Arc::clone(&store), writes_left: AtomicU32::new(writes), last_is_written });
    let doomed = world::service(dying, &provider, &clock, 1, Strategy::Teller).await;
    if let Ok(held) = hold(&doomed, "h", 1).await {
        drop(story.pay(&doomed, &provider, &held).await);
        provider.idle().await;
        if story == Story::SoldToAnother {
            clock.advance_ms(HOLD_MS);
            drop(doomed.expire(held.hold.id).await);
            drop(hold(&doomed, "other", 1).await);
            clock.advance_ms(5_000);
            drop(reconciler::pass(&doomed).await);
            drop(outbox::pass(&doomed).await);
        }
    }
    doomed.close().await;
    drop(doomed);
    let next = world::service(Arc::clone(&store), &provider, &clock, 1, Strategy::Teller).await;
    world::settle_down(&next, &clock).await;
    world::assert_books(&*store, &provider).await;
    let books = store.books().await.unwrap();
    assert_eq!(books.pending, 0, "nothing is left in doubt");
    assert!(books.rows[0].stock.held == 0, "no seat is lost: {books:?}");
    books.bookings
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Story {
    Paid,
    SoldToAnother,
}

impl Story {
    async fn pay(self, service: &Arc<Service>, bank: &TestBank, held: &HoldAnswer) -> Result<PaymentAnswer, Denied> {
        match self {
            Self::Paid => pay(service, held, "p", "sim_ok").await,
            Self::SoldToAnother => pay_unanswered(service, bank, held, "p", "sim_silent").await,
        }
    }
}

async fn at_every_step(story: Story, steps: u32, fresh: impl AsyncFn() -> Database) -> Vec<u64> {
    let mut bookings = Vec::new();
    for writes in 1..=steps {
        for last_is_written in [false, true] {
            bookings.push(die_and_recover(&fresh().await, writes, last_is_written, story).await);
        }
    }
    bookings
}

// Writes of the story: hold, open payment, seats secured for money set aside, booked for money taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn death_at_any_step_of_a_payment_on_sqlite() {
    let bookings = at_every_step(Story::Paid, 5, async || Database::sqlite()).await;
    assert_eq!(bookings, [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn death_at_any_step_of_a_payment_on_postgres() {
    let bookings = at_every_step(Story::Paid, 5, Database::postgres).await;
    assert_eq!(bookings, [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn death_at_any_step_of_a_refund_on_sqlite() {
    at_every_step(Story::SoldToAnother, 9, async || Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn death_at_any_step_of_a_refund_on_postgres() {
    at_every_step(Story::SoldToAnother, 9, Database::postgres).await;
}

on_both! {
    async fn an_answer_that_was_lost_in_the_commit_is_given_to_the_same_key(db: Database) {
        let clock = Arc::new(booking_core::clock::ManualClock::at(NOON));
        let (provider, _inbox) = provider(&clock);
        let store = db.open().await;
        for writes in 1..=4 {
            let (h, p) = (format!("h{writes}"), format!("p{writes}"));
            let writes_left = AtomicU32::new(writes);
            let dying = Arc::new(Dying { inner: Arc::clone(&store), writes_left, last_is_written: true });
            let doomed = world::service(dying, &provider, &clock, 4, Strategy::Teller).await;
            match hold(&doomed, &h, 1).await {
                Ok(held) => assert!(pay(&doomed, &held, &p, "sim_ok").await.is_err(), "nobody heard the answer"),
                Err(_) => assert_eq!(writes, 1),
            }
            let next = world::service(Arc::clone(&store), &provider, &clock, 4, Strategy::Teller).await;
            let held = hold(&next, &h, 1).await.unwrap();
            assert!(held.replayed, "the first answer, and no second decrement");
            clock.advance_ms(i64::try_from(PATIENCE.as_millis()).unwrap() + 1);
            let paid = pay(&next, &held, &p, "sim_ok").await.unwrap();
            assert_eq!(paid.replayed, writes > 1);
            world::settle_down(&next, &clock).await;
            let paid = next.find_payment(paid.payment.id, false).await.unwrap();
            assert_eq!(status(&paid), PaymentStatus::Kept, "after {writes} writes");
        }
        world::assert_books(&*store, &provider).await;
        assert_eq!(provider.kept().len(), 4);
        assert_eq!(store.stock(&[world::row()]).await.unwrap()[0].stock.sold, 4);
    }
}
