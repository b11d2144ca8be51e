//! Reading.

use deadpool_postgres::GenericClient;
use futures_util::future::try_join;
use time::Date;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::fault;
use crate::domain::booking::{Booking, Reference};
use crate::domain::hold::{Hold, HoldId};
use crate::domain::inventory::InventoryId;
use crate::domain::moment::Moment;
use crate::domain::order::{Task, TaskKind};
use crate::domain::payment::{Payment, PaymentId};
use crate::domain::seat::SeatNumber;
use crate::store::books::FAILING;
use crate::store::rows::{
    BookingRow, HoldRow, InventoryRow, LineRow, PaymentRow, RefundRow, count, hold_id, inventory_id, payment_id, seat,
    turned_row,
};
use crate::store::{DueTask, Made, OPEN_HOLDS_COUNTED, StockRow, StoreError, TurnedRow};

// A further line of a hold has an id too, which whoever has the hold can reckon. It is no hold: only what is under the hold's
// own id is one. So it is in every statement that finds a hold by its id.
const HOLDS: &str = "SELECT h.id, i.name, h.quantity::bigint, h.amount, h.request_hash, h.status, h.created_at,
                            h.expires_at, h.changed_at, h.attempt, h.parts::bigint, h.numbers, h.extensions::bigint
                     FROM holds h JOIN inventory i ON i.id = h.inventory_id
                     WHERE h.id = ANY($1) AND h.part_of IS NULL";
const HOLD_LOCKED: &str = "SELECT h.id, i.name, h.quantity::bigint, h.amount, h.request_hash, h.status, h.created_at,
                                  h.expires_at, h.changed_at, h.attempt, h.parts::bigint, h.numbers,
                                  h.extensions::bigint
                           FROM holds h JOIN inventory i ON i.id = h.inventory_id
                           WHERE h.id = ANY($1) AND h.part_of IS NULL
                           FOR NO KEY UPDATE OF h";
const HOLDS_LOCKED: &str =
    "SELECT h.id, i.name, h.quantity::bigint, h.amount, h.request_hash, h.status, h.created_at, h.expires_at,
            h.changed_at, h.attempt, h.parts::bigint, h.numbers, h.extensions::bigint
     FROM holds h JOIN inventory i ON i.id = h.inventory_id
     WHERE h.id IN (SELECT unnest($1::bytea[]) UNION SELECT hold_id FROM payments WHERE id = ANY($2::bytea[]))
         AND h.part_of IS NULL
     FOR NO KEY UPDATE OF h SKIP LOCKED";
const MADE: &str = "SELECT id, created_at, status IN ('expired', 'cancelled') FROM holds
                    WHERE id = ANY($1) AND part_of IS NULL";
const PARTS: &str = "SELECT i.name, h.quantity::bigint, h.amount, h.numbers, h.part_of
                     FROM holds h JOIN inventory i ON i.id = h.inventory_id WHERE h.part_of = ANY($1)";
const PAYMENT: &str =
    "SELECT id, hold_id, amount, method, request_hash, status, charge, reason, created_at, changed_at,
                              challenge, refund
                       FROM payments WHERE id = $1";
const PAYMENT_LOCKED: &str = "SELECT id, hold_id, amount, method, request_hash, status, charge, reason, created_at,
                                     changed_at, challenge, refund
                              FROM payments WHERE id = $1 FOR NO KEY UPDATE";
const PAYMENTS_LOCKED: &str =
    "SELECT id, hold_id, amount, method, request_hash, status, charge, reason, created_at, changed_at, challenge, refund
     FROM payments WHERE id = ANY($1) FOR NO KEY UPDATE SKIP LOCKED";
const REFUNDS: &str = "SELECT payment_id, number::bigint, amount, charge, status, changed_at
                       FROM refunds WHERE payment_id = ANY($1) ORDER BY number";
const BOOKING: &str = "SELECT hold_id, payment_id, amount, created_at, cancelled_at FROM bookings WHERE reference = $1";
const STOCK: &str = "SELECT name, capacity::bigint, available::bigint, held::bigint, sold::bigint, price, numbering, version FROM inventory WHERE name = ANY($1)";
const OWNED: &str = "SELECT number::bigint FROM seats
                     WHERE inventory_id = (SELECT id FROM inventory WHERE name = $1) ORDER BY number";
const LAPSED: &str = "SELECT id FROM holds WHERE status = 'held' AND part_of IS NULL AND expires_at <= $1
                      ORDER BY expires_at LIMIT $2";
const FIRST_EXPIRY: &str = "SELECT expires_at FROM holds
                            WHERE status = 'held' AND expires_at <= $2
                                AND inventory_id = (SELECT id FROM inventory WHERE name = $1 AND held > 0)
                            ORDER BY expires_at LIMIT 1";
const OPEN_HOLDS: &str = "SELECT count(*)
                          FROM (SELECT 1 FROM holds WHERE status = 'held' AND part_of IS NULL LIMIT $1) AS open";
const ROWS_FROM: &str = "SELECT name FROM inventory WHERE substr(name, 7, 10) >= $1";
const TURNED: &str = "SELECT i.name, t.version FROM turns t JOIN inventory i ON i.id = t.inventory_id
                      WHERE t.turned_at >= clock_timestamp() - make_interval(secs => $1)
                      ORDER BY t.turned_at DESC LIMIT $2";
const PENDING: &str = "SELECT id, created_at FROM payments
                       WHERE status IN ('pending', 'challenged') AND created_at <= $1 ORDER BY created_at LIMIT $2";
const DUE: &str = "SELECT kind, payment_id, created_at, attempts::bigint, asked::bigint FROM outbox
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
        line: LineRow { inventory: row.get(1), quantity: row.get(2), amount: row.get(3), numbers: row.get(11) },
        parts: row.get(10),
        request_hash: row.get(4),
        status: row.get(5),
        created_at: row.get(6),
        expires_at: row.get(7),
        changed_at: row.get(8),
        attempt: row.get(9),
        extensions: row.get(12),
    }
}

fn payment_row(row: &Row) -> PaymentRow {
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

/// Puts payments together; those that have refunds cost one more query for all of them.
pub(super) async fn payments(db: &impl GenericClient, rows: &[Row]) -> Result<Vec<Payment>, StoreError> {
    let rows: Vec<PaymentRow> = rows.iter().map(payment_row).collect();
    let refunded: Vec<&[u8]> = rows.iter().filter(|row| row.refund.is_some()).map(|row| row.id.as_slice()).collect();
    let refunds = if refunded.is_empty() { Vec::new() } else { query(db, REFUNDS, &[&refunded]).await? };
    let of = |id: &[u8]| refunds.iter().filter(|row| row.get::<_, &[u8]>(0) == id).map(refund_row).collect();
    let payment = |row: PaymentRow| {
        let refunds = of(&row.id);
        row.into_payment(refunds)
    };
    rows.into_iter().map(payment).collect()
}

fn refund_row(row: &Row) -> RefundRow {
    RefundRow { number: row.get(1), amount: row.get(2), charge: row.get(3), status: row.get(4), changed_at: row.get(5) }
}

pub(super) async fn holds(db: &impl GenericClient, ids: &[&[u8]]) -> Result<Vec<Hold>, StoreError> {
    whole(db, query(db, HOLDS, &[&ids]).await?).await
}

pub(super) async fn hold(db: &impl GenericClient, id: HoldId) -> Result<Option<Hold>, StoreError> {
    Ok(holds(db, &[id.as_bytes().as_slice()]).await?.pop())
}

pub(super) async fn made(db: &impl GenericClient, ids: &[HoldId]) -> Result<Vec<(HoldId, Made)>, StoreError> {
    let ids: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
    let rows = query(db, MADE, &[&ids]).await?;
    let made = |row: &Row| Made { at: Moment::from_ms(row.get(1)), is_over: row.get(2) };
    rows.iter().map(|row| Ok((hold_id(row.get(0))?, made(row)))).collect()
}

/// Reads a hold and keeps everybody else from changing it, or any line of it, until the transaction ends.
pub(super) async fn lock_hold(db: &impl GenericClient, id: HoldId) -> Result<Option<Hold>, StoreError> {
    let rows = query(db, HOLD_LOCKED, &[&vec![id.as_bytes().as_slice()]]).await?;
    Ok(whole(db, rows).await?.pop())
}

/// Reads holds, those of payments too, and then the payments, and keeps everybody else from changing them until the
/// transaction ends; passes over what somebody else has locked.
pub(super) async fn lock_all(
    db: &impl GenericClient,
    holds: &[&[u8]],
    payments: &[&[u8]],
) -> Result<(Vec<Hold>, Vec<Payment>), StoreError> {
    prepare(db, &[HOLDS_LOCKED, PAYMENTS_LOCKED]).await?;
    let params: [&(dyn ToSql + Sync); 2] = [&holds, &payments];
    let of_holds = query(db, HOLDS_LOCKED, &params);
    let (of_holds, of_payments) = try_join(of_holds, query(db, PAYMENTS_LOCKED, &[&payments])).await?;
    Ok((whole(db, of_holds).await?, self::payments(db, &of_payments).await?))
}

/// Prepares statements on this connection, so that each of them is sent when its future is first polled: then those that
/// are joined arrive in the order in which they stand, and cost one round trip together.
pub(super) async fn prepare(db: &impl GenericClient, statements: &[&str]) -> Result<(), StoreError> {
    for sql in statements {
        db.prepare_cached(sql).await.map_err(|error| fault(&error))?;
    }
    Ok(())
}

/// Puts holds together; those that have lines elsewhere cost one more query for all of them.
async fn whole(db: &impl GenericClient, rows: Vec<Row>) -> Result<Vec<Hold>, StoreError> {
    let rows: Vec<HoldRow> = rows.iter().map(hold_row).collect();
    let parted: Vec<&[u8]> = rows.iter().filter(|row| row.parts > 0).map(|row| row.id.as_slice()).collect();
    let parts = if parted.is_empty() { Vec::new() } else { query(db, PARTS, &[&parted]).await? };
    let of = |id: &[u8]| parts.iter().filter(|part| part.get::<_, &[u8]>(4) == id).map(part_row).collect();
    let hold = |row: HoldRow| {
        let parts = of(&row.id);
        row.into_hold(parts)
    };
    rows.into_iter().map(hold).collect()
}

fn part_row(row: &Row) -> LineRow {
    LineRow { inventory: row.get(0), quantity: row.get(1), amount: row.get(2), numbers: row.get(3) }
}

pub(super) async fn payment(db: &impl GenericClient, id: PaymentId) -> Result<Option<Payment>, StoreError> {
    payment_in(db, id, false).await
}

/// Reads a payment; with `lock`, keeps everybody else from changing it until the transaction ends.
pub(super) async fn payment_in(
    db: &impl GenericClient,
    id: PaymentId,
    lock: bool,
) -> Result<Option<Payment>, StoreError> {
    let sql = if lock { PAYMENT_LOCKED } else { PAYMENT };
    let rows = query(db, sql, &[&id.as_bytes().as_slice()]).await?;
    Ok(payments(db, &rows).await?.pop())
}

pub(super) async fn booking(db: &impl GenericClient, reference: Reference) -> Result<Option<Booking>, StoreError> {
    let rows = query(db, BOOKING, &[&reference.to_string()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let row = BookingRow {
        hold: row.get(0),
        payment: row.get(1),
        amount: row.get(2),
        created_at: row.get(3),
        cancelled_at: row.get(4),
    };
    let hold = hold(db, hold_id(&row.hold)?).await?;
    row.into_booking(hold.map(|hold| hold.lines).unwrap_or_default()).map(Some)
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
        numbering: row.get(6),
        version: row.get(7),
    }
}

pub(super) async fn owned_seats(db: &impl GenericClient, row: InventoryId) -> Result<Vec<SeatNumber>, StoreError> {
    let rows = query(db, OWNED, &[&row.to_string()]).await?;
    rows.iter().map(|row| seat(row.get(0))).collect()
}

pub(super) async fn rows_from(db: &impl GenericClient, day: Date) -> Result<Vec<InventoryId>, StoreError> {
    let rows = query(db, ROWS_FROM, &[&day.to_string()]).await?;
    rows.iter().map(|row| inventory_id(row.get(0))).collect()
}

pub(super) async fn turned(db: &impl GenericClient, within_s: u32, limit: u32) -> Result<Vec<TurnedRow>, StoreError> {
    let rows = query(db, TURNED, &[&f64::from(within_s), &i64::from(limit)]).await?;
    rows.iter().map(|row| turned_row(row.get(0), row.get(1))).collect()
}

pub(super) async fn lapsed(db: &impl GenericClient, now: Moment, limit: u32) -> Result<Vec<HoldId>, StoreError> {
    let rows = query(db, LAPSED, &[&now.as_ms(), &i64::from(limit)]).await?;
    rows.iter().map(|row| hold_id(row.get(0))).collect()
}

pub(super) async fn first_expiry(
    db: &impl GenericClient,
    row: InventoryId,
    until: Moment,
) -> Result<Option<Moment>, StoreError> {
    let rows = query(db, FIRST_EXPIRY, &[&row.to_string(), &until.as_ms()]).await?;
    Ok(rows.first().map(|row| Moment::from_ms(row.get(0))))
}

pub(super) async fn open_holds(db: &impl GenericClient) -> Result<u64, StoreError> {
    let rows = query(db, OPEN_HOLDS, &[&i64::from(OPEN_HOLDS_COUNTED)]).await?;
    Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
}

pub(super) async fn failing_refunds(db: &impl GenericClient) -> Result<u64, StoreError> {
    let rows = query(db, FAILING, &[]).await?;
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
    Ok(DueTask {
        task,
        created_at: Moment::from_ms(row.get(2)),
        attempts: count(row.get(3))?,
        asked: count(row.get(4))?,
    })
}
