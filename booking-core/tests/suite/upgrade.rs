//! A database that an older version wrote: what is in it stays, and what came since is added.

use booking_core::auditor;
use booking_core::domain::booking::Reference;
use booking_core::domain::hold::HoldId;
use booking_core::domain::ledger::Account;
use booking_core::domain::payment::{PaymentId, PaymentStatus};

use crate::database::{Database, on_both};

/// The schema as it was before there was a ledger.
const POSTGRES: [&str; 4] = [
    include_str!("../../src/store/postgres/0001_first.sql"),
    include_str!("../../src/store/postgres/0002_indexes.sql"),
    include_str!("../../src/store/postgres/0005_seats.sql"),
    include_str!("../../src/store/postgres/0006_turns.sql"),
];
const SQLITE: [&str; 4] = [
    include_str!("../../src/store/sqlite/0001_first.sql"),
    include_str!("../../src/store/sqlite/0002_indexes.sql"),
    include_str!("../../src/store/sqlite/0005_seats.sql"),
    include_str!("../../src/store/sqlite/0006_turns.sql"),
];

async fn write_older(db: &Database) {
    let (scripts, version) = if db.url.starts_with("sqlite:") {
        (SQLITE, "PRAGMA user_version = 4;")
    } else {
        let version = "CREATE TABLE schema_version (version INTEGER NOT NULL);
                       INSERT INTO schema_version VALUES (1), (2), (3), (4);";
        (POSTGRES, version)
    };
    db.raw(&scripts.concat()).await.unwrap();
    db.raw(version).await.unwrap();
}

fn hold() -> HoldId {
    HoldId::from_bytes([1; 16])
}

/// One seat of four is sold, and another payment for it is on its way back.
fn a_sale(db: &Database) -> String {
    let bytes = |bytes: &[u8]| {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if db.url.starts_with("sqlite:") { format!("X'{digits}'") } else { format!("'\\x{digits}'::bytea") }
    };
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
        write_older(&db).await;
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
