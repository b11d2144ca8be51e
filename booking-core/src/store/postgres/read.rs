//! Reading.

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::fault;
use crate::domain::booking::{Booking, Reference};
use crate::domain::hold::{Hold, HoldId};
use crate::domain::inventory::InventoryId;
use crate::domain::moment::Moment;
use crate::domain::order::{Task, TaskKind};
use crate::domain::payment::{Payment, PaymentId};
use crate::store::rows::{BookingRow, HoldRow, InventoryRow, PaymentRow, count, hold_id, payment_id};
use crate::store::{DueTask, StockRow, StoreError};

const HOLDS: &str = "SELECT h.id, i.name, h.quantity::bigint, h.amount, h.request_hash, h.status, h.created_at,
                            h.expires_at, h.changed_at, h.attempt, h.extensions::bigint
                     FROM holds h JOIN inventory i ON i.id = h.inventory_id WHERE h.id = ANY($1)";
const HOLD_LOCKED: &str = "SELECT h.id, i.name, h.quantity::bigint, h.amount, h.request_hash, h.status, h.created_at,
                                  h.expires_at, h.changed_at, h.attempt, h.extensions::bigint
                           FROM holds h JOIN inventory i ON i.id = h.inventory_id WHERE h.id = ANY($1)
                           FOR NO KEY UPDATE OF h";
const PAYMENT: &str =
    "SELECT id, hold_id, amount, method, request_hash, status, charge, reason, created_at, changed_at,
                              challenge, refund
                       FROM payments WHERE id = $1";
const PAYMENT_LOCKED: &str = "SELECT id, hold_id, amount, method, request_hash, status, charge, reason, created_at,
                                     changed_at, challenge, refund
                              FROM payments WHERE id = $1 FOR NO KEY UPDATE";
const BOOKING: &str =
    "SELECT b.hold_id, b.payment_id, i.name, b.quantity::bigint, b.amount, b.created_at, b.cancelled_at
                       FROM bookings b JOIN inventory i ON i.id = b.inventory_id WHERE b.reference = $1";
const STOCK: &str = "SELECT name, capacity::bigint, available::bigint, held::bigint, sold::bigint, price
                     FROM inventory WHERE name = ANY($1)";
const LAPSED: &str = "SELECT id FROM holds WHERE status = 'held' AND expires_at <= $1 ORDER BY expires_at LIMIT $2";
const FIRST_EXPIRY: &str = "SELECT expires_at FROM holds
                            WHERE status = 'held' AND inventory_id = (SELECT id FROM inventory WHERE name = $1)
                            ORDER BY expires_at LIMIT 1";
const PENDING: &str = "SELECT id, created_at FROM payments
                       WHERE status IN ('pending', 'challenged') AND created_at <= $1 ORDER BY created_at LIMIT $2";
const DUE: &str = "SELECT kind, payment_id, created_at, attempts::bigint FROM outbox
                   WHERE kind = $1 AND due_at <= $2 ORDER BY due_at LIMIT $3";

/// Runs a statement that is prepared once on each connection.
pub(super) async fn query(
    db: &impl GenericClient,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, StoreError> {
    let statement = db.prepare_cached(sql).await.map_err(|error| fault(&error))?;
    db.query(&statement, params).await.map_err(|error| fault(&error))
}

/// Runs a statement that returns no rows, prepared once on each connection.
pub(super) async fn execute(
    db: &impl GenericClient,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<u64, StoreError> {
    let statement = db.prepare_cached(sql).await.map_err(|error| fault(&error))?;
    db.execute(&statement, params).await.map_err(|error| fault(&error))
}

fn hold_row(row: &Row) -> HoldRow {
    HoldRow {
        id: row.get(0),
        inventory: row.get(1),
        quantity: row.get(2),
        amount: row.get(3),
        request_hash: row.get(4),
        status: row.get(5),
        created_at: row.get(6),
        expires_at: row.get(7),
        changed_at: row.get(8),
        attempt: row.get(9),
        extensions: row.get(10),
    }
}

pub(super) fn payment_row(row: &Row) -> PaymentRow {
    PaymentRow {
        id: row.get(0),
        hold: row.get(1),
        amount: row.get(2),
        method: row.get(3),
        request_hash: row.get(4),
        status: row.get(5),
        charge: row.get(6),
        reason: row.get(7),
        created_at: row.get(8),
        changed_at: row.get(9),
        challenge: row.get(10),
        refund: row.get(11),
    }
}

fn one_hold(rows: &[Row]) -> Result<Option<Hold>, StoreError> {
    rows.first().map(|row| hold_row(row).into_hold()).transpose()
}

fn one_payment(rows: &[Row]) -> Result<Option<Payment>, StoreError> {
    rows.first().map(|row| payment_row(row).into_payment()).transpose()
}

pub(super) async fn holds(db: &impl GenericClient, ids: &[&[u8]]) -> Result<Vec<Hold>, StoreError> {
    let rows = query(db, HOLDS, &[&ids]).await?;
    rows.iter().map(|row| hold_row(row).into_hold()).collect()
}

pub(super) async fn hold(db: &impl GenericClient, id: HoldId) -> Result<Option<Hold>, StoreError> {
    one_hold(&query(db, HOLDS, &[&vec![id.as_bytes().as_slice()]]).await?)
}

pub(super) async fn lock_hold(db: &impl GenericClient, id: HoldId) -> Result<Option<Hold>, StoreError> {
    one_hold(&query(db, HOLD_LOCKED, &[&vec![id.as_bytes().as_slice()]]).await?)
}

pub(super) async fn payment(db: &impl GenericClient, id: PaymentId) -> Result<Option<Payment>, StoreError> {
    one_payment(&query(db, PAYMENT, &[&id.as_bytes().as_slice()]).await?)
}

/// Reads a payment; with `lock`, keeps everybody else from changing it until the transaction ends.
pub(super) async fn payment_in(
    db: &impl GenericClient,
    id: PaymentId,
    lock: bool,
) -> Result<Option<Payment>, StoreError> {
    let sql = if lock { PAYMENT_LOCKED } else { PAYMENT };
    one_payment(&query(db, sql, &[&id.as_bytes().as_slice()]).await?)
}

pub(super) async fn booking(db: &impl GenericClient, reference: Reference) -> Result<Option<Booking>, StoreError> {
    let rows = query(db, BOOKING, &[&reference.to_string()]).await?;
    let booking = |row: &Row| BookingRow {
        hold: row.get(0),
        payment: row.get(1),
        inventory: row.get(2),
        quantity: row.get(3),
        amount: row.get(4),
        created_at: row.get(5),
        cancelled_at: row.get(6),
    };
    rows.first().map(|row| booking(row).into_booking()).transpose()
}

pub(super) async fn stock(db: &impl GenericClient, ids: &[InventoryId]) -> Result<Vec<StockRow>, StoreError> {
    let names: Vec<String> = ids.iter().map(InventoryId::to_string).collect();
    let rows = query(db, STOCK, &[&names]).await?;
    rows.iter().map(|row| inventory_row(row).into_stock()).collect()
}

pub(super) fn inventory_row(row: &Row) -> InventoryRow {
    InventoryRow {
        name: row.get(0),
        capacity: row.get(1),
        available: row.get(2),
        held: row.get(3),
        sold: row.get(4),
        price: row.get(5),
    }
}

pub(super) async fn lapsed(db: &impl GenericClient, now: Moment, limit: u32) -> Result<Vec<HoldId>, StoreError> {
    let rows = query(db, LAPSED, &[&now.as_ms(), &i64::from(limit)]).await?;
    rows.iter().map(|row| hold_id(row.get(0))).collect()
}

pub(super) async fn first_expiry(db: &impl GenericClient, row: InventoryId) -> Result<Option<Moment>, StoreError> {
    let rows = query(db, FIRST_EXPIRY, &[&row.to_string()]).await?;
    Ok(rows.first().map(|row| Moment::from_ms(row.get(0))))
}

pub(super) async fn open_holds(db: &impl GenericClient) -> Result<u64, StoreError> {
    let rows = query(db, "SELECT count(*) FROM holds WHERE status = 'held'", &[]).await?;
    Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
}

pub(super) async fn pending(
    db: &impl GenericClient,
    before: Moment,
    limit: u32,
) -> Result<Vec<(PaymentId, Moment)>, StoreError> {
    let rows = query(db, PENDING, &[&before.as_ms(), &i64::from(limit)]).await?;
    rows.iter().map(|row| Ok((payment_id(row.get(0))?, Moment::from_ms(row.get(1))))).collect()
}

pub(super) async fn due(
    db: &impl GenericClient,
    kind: TaskKind,
    now: Moment,
    limit: u32,
) -> Result<Vec<DueTask>, StoreError> {
    let rows = query(db, DUE, &[&kind.word(), &now.as_ms(), &i64::from(limit)]).await?;
    rows.iter().map(due_task).collect()
}

fn due_task(row: &Row) -> Result<DueTask, StoreError> {
    let kind = TaskKind::from_word(row.get(0)).ok_or_else(|| StoreError::Corrupt("task kind".to_owned()))?;
    let task = Task { kind, payment: payment_id(row.get(1))? };
    Ok(DueTask { task, created_at: Moment::from_ms(row.get(2)), attempts: count(row.get(3))? })
}
