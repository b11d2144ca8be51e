//! A database that an older version wrote: what is in it stays, and what came since is added.

use booking_core::auditor;
use booking_core::domain::booking::Reference;
use booking_core::domain::hold::HoldId;
use booking_core::domain::ledger::Account;
use booking_core::domain::payment::{PaymentId, PaymentStatus};
use booking_core::domain::refund::{Refund, RefundState};
use booking_core::store::Store;

use crate::database::{Database, on_both};

/// The scripts of an older version, of which the last one brought what a test is about.
const POSTGRES: [&str; 5] = [
    include_str!("../../src/store/postgres/0001_first.sql"),
    include_str!("../../src/store/postgres/0002_indexes.sql"),
    include_str!("../../src/store/postgres/0005_seats.sql"),
    include_str!("../../src/store/postgres/0006_turns.sql"),
    include_str!("../../src/store/postgres/0007_money.sql"),
];
const SQLITE: [&str; 5] = [
    include_str!("../../src/store/sqlite/0001_first.sql"),
    include_str!("../../src/store/sqlite/0002_indexes.sql"),
    include_str!("../../src/store/sqlite/0005_seats.sql"),
    include_str!("../../src/store/sqlite/0006_turns.sql"),
    include_str!("../../src/store/sqlite/0007_money.sql"),
];
const BEFORE_THE_LEDGER: usize = 4;
const BEFORE_NUMBERED_REFUNDS: usize = 5;

async fn write_older(db: &Database, version: usize) {
    let (scripts, mark) = if db.url.starts_with("sqlite:") {
        (SQLITE, format!("PRAGMA user_version = {version};"))
    } else {
        let mark = "CREATE TABLE schema_version (version INTEGER NOT NULL);
                    INSERT INTO schema_version SELECT * FROM generate_series(1, ";
        (POSTGRES, format!("{mark}{version});"))
    };
    db.raw(&scripts[..version].concat()).await.unwrap();
    db.raw(&mark).await.unwrap();
}

/// Writes bytes the way the database reads them.
fn literal(db: &Database, bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    if db.url.starts_with("sqlite:") { format!("X'{digits}'") } else { format!("'\\x{digits}'::bytea") }
}

fn hold() -> HoldId {
    HoldId::from_bytes([1; 16])
}

/// One seat of four is sold, and another payment for it is on its way back.
fn a_sale(db: &Database) -> String {
    let bytes = |bytes: &[u8]| literal(db, bytes);
    let (held, kept, late, hash) = (bytes(hold().as_bytes()), bytes(&[2; 16]), bytes(&[3; 16]), bytes(&[4; 32]));
    let reference = Reference::of(hold());
    format!(
        "INSERT INTO inventory (name, capacity, available, sold, price) VALUES ('12951:2026-11-23:3A', 4, 3, 1, 100);
         INSERT INTO holds (id, inventory_id, quantity, amount, request_hash, status, attempt, created_at, expires_at,
                            changed_at)
             SELECT {held}, id, 1, 100, {hash}, 'confirmed', {kept}, 0, 1, 0 FROM inventory;
         INSERT INTO payments (id, hold_id, amount, method, request_hash, status, charge, created_at, changed_at)
             VALUES ({kept}, {held}, 100, 'sim_ok', {hash}, 'kept', 'ch_1', 0, 0),
                    ({late}, {held}, 100, 'sim_ok', {hash}, 'refunding', 'ch_2', 0, 0);
         INSERT INTO outbox (kind, payment_id, created_at, due_at) VALUES ('refund', {late}, 0, 0);
         INSERT INTO bookings (reference, hold_id, payment_id, inventory_id, quantity, amount, created_at)
             SELECT '{reference}', {held}, {kept}, id, 1, 100, 0 FROM inventory;"
    )
}

on_both! {
    async fn a_database_from_before_the_ledger_is_brought_up_to_date_with_what_is_in_it(db: Database) {
        write_older(&db, BEFORE_THE_LEDGER).await;
        db.raw(&a_sale(&db)).await.unwrap();
        let store = db.open().await;
        for (id, status) in [([2; 16], PaymentStatus::Kept), ([3; 16], PaymentStatus::Refunding)] {
            let payment = store.payment(PaymentId::from_bytes(id)).await.unwrap().unwrap();
            assert_eq!((payment.state.status(), payment.hold), (status, Some(hold())));
        }
        let late = store.payment(PaymentId::from_bytes([3; 16])).await.unwrap().unwrap();
        let going_back: Vec<_> = late.refunds.under_way().map(|refund| (refund.number, refund.amount.get())).collect();
        assert_eq!(going_back, [(1, 100)], "what was on its way back still is");
        assert_eq!(store.booking(Reference::of(hold())).await.unwrap().unwrap().hold, hold());
        let report = auditor::audit(&*store).await.unwrap();
        assert_eq!(report.words, Vec::<String>::new());
        let balances = [Account::Provider, Account::RefundsOwed].map(|account| report.balances.of(account).abs());
        assert_eq!(balances, [200, 100], "the ledger begins with what was done before");
        assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
        drop(store);
        db.open().await.ping().await.expect("it is up to date now");
    }
}

/// A booking was cancelled and 60 of its 100 went back; another payment for it is on its way back whole.
fn a_cancelled_sale(db: &Database) -> String {
    let bytes = |bytes: &[u8]| literal(db, bytes);
    let (held, gone, late, hash) = (bytes(hold().as_bytes()), bytes(&[2; 16]), bytes(&[3; 16]), bytes(&[4; 32]));
    let reference = Reference::of(hold());
    format!(
        "INSERT INTO inventory (name, capacity, available, sold, price) VALUES ('12951:2026-11-23:3A', 4, 4, 0, 100);
         INSERT INTO holds (id, inventory_id, quantity, amount, request_hash, status, attempt, created_at, expires_at,
                            changed_at)
             SELECT {held}, id, 1, 100, {hash}, 'cancelled', {gone}, 0, 1, 0 FROM inventory;
         INSERT INTO payments (id, hold_id, amount, method, request_hash, status, charge, refund, created_at, changed_at)
             VALUES ({gone}, {held}, 100, 'sim_ok', {hash}, 'refunded', 'ch_1', 60, 0, 0),
                    ({late}, {held}, 100, 'sim_ok', {hash}, 'refunding', 'ch_2', 100, 0, 0);
         INSERT INTO outbox (kind, payment_id, created_at, due_at) VALUES ('refund', {late}, 0, 0);
         INSERT INTO bookings (reference, hold_id, payment_id, inventory_id, quantity, amount, created_at, cancelled_at)
             SELECT '{reference}', {held}, {gone}, id, 1, 100, 0, 0 FROM inventory;
         INSERT INTO ledger (payment_id, cause, debit, credit, amount, at)
             VALUES ({gone}, 'captured', 'provider', 'deposits', 100, 0), ({gone}, 'sold', 'deposits', 'sales', 100, 0),
                    ({gone}, 'returned', 'sales', 'refunds_owed', 60, 0),
                    ({gone}, 'charged', 'sales', 'cancellation_charges', 40, 0),
                    ({gone}, 'refunded', 'refunds_owed', 'provider', 60, 0),
                    ({late}, 'captured', 'provider', 'deposits', 100, 0),
                    ({late}, 'owed', 'deposits', 'refunds_owed', 100, 0);"
    )
}

async fn refunds(store: &dyn Store, payment: u8) -> Vec<(u16, i64, i64, RefundState)> {
    let payment = store.payment(PaymentId::from_bytes([payment; 16])).await.unwrap().unwrap();
    let parts = |refund: &Refund| (refund.number, refund.amount.get(), refund.charge.get(), refund.state);
    payment.refunds.all().iter().map(parts).collect()
}

on_both! {
    async fn refunds_from_before_they_had_numbers_are_the_first_of_their_payments(db: Database) {
        write_older(&db, BEFORE_NUMBERED_REFUNDS).await;
        db.raw(&a_cancelled_sale(&db)).await.unwrap();
        let store = db.open().await;
        assert_eq!(refunds(&*store, 2).await, [(1, 60, 40, RefundState::Done)]);
        assert_eq!(refunds(&*store, 3).await, [(1, 100, 0, RefundState::UnderWay)]);
        let report = auditor::audit(&*store).await.unwrap();
        assert_eq!(report.words, Vec::<String>::new());
        let balances = [Account::Provider, Account::RefundsOwed].map(|account| report.balances.of(account).abs());
        assert_eq!(balances, [140, 100]);
        assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
    }
}

on_both! {
    async fn a_refund_that_an_older_copy_wrote_after_the_upgrade_is_not_forgotten(db: Database) {
        write_older(&db, BEFORE_NUMBERED_REFUNDS).await;
        db.raw(&a_cancelled_sale(&db)).await.unwrap();
        let store = db.open().await;
        db.raw("DELETE FROM refunds;").await.unwrap();
        assert_eq!(refunds(&*store, 2).await, [(1, 60, 40, RefundState::Done)]);
        assert_eq!(refunds(&*store, 3).await, [(1, 100, 0, RefundState::UnderWay)]);
    }
}
