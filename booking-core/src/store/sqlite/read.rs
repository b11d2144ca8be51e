//! Reading.

use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use time::Date;

use super::fault;
use super::ids::of_id;
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
const HOLD: &str = concat!(
    "SELECT h.id, i.name, h.quantity, h.amount, h.request_hash, h.status, h.created_at, h.expires_at,
            h.changed_at, h.attempt, h.parts, h.numbers, h.extensions
     FROM holds h JOIN inventory i ON i.id = h.inventory_id WHERE h.part_of IS NULL AND h.number = ",
    of_id!()
);
const MADE: &str = concat!(
    "SELECT created_at, status IN ('expired', 'cancelled') FROM holds WHERE part_of IS NULL AND number = ",
    of_id!()
);
const PARTS: &str = "SELECT i.name, h.quantity, h.amount, h.numbers
                     FROM holds h JOIN inventory i ON i.id = h.inventory_id WHERE h.part_of = ?1";
const PAYMENT: &str =
    "SELECT id, hold_id, amount, method, request_hash, status, charge, reason, created_at, changed_at,
                              challenge, refund
                       FROM payments WHERE id = ?1";
const REFUNDS: &str =
    "SELECT number, amount, charge, status, changed_at FROM refunds WHERE payment_id = ?1 ORDER BY number";
const BOOKING: &str = "SELECT hold_id, payment_id, amount, created_at, cancelled_at FROM bookings WHERE reference = ?1";
const STOCK: &str =
    "SELECT name, capacity, available, held, sold, price, numbering, version FROM inventory WHERE name = ?1";
const OWNED: &str = "SELECT number FROM seats
                     WHERE inventory_id = (SELECT id FROM inventory WHERE name = ?1) ORDER BY number";
const LAPSED: &str = "SELECT id FROM holds WHERE status = 'held' AND part_of IS NULL AND expires_at <= ?1
                      ORDER BY expires_at LIMIT ?2";
const FIRST_EXPIRY: &str = "SELECT h.expires_at FROM inventory i CROSS JOIN holds h
                            WHERE i.name = ?1 AND i.held > 0
                                AND h.inventory_id = i.id AND h.status = 'held' AND h.expires_at <= ?2
                            ORDER BY h.expires_at LIMIT 1";
const OPEN_HOLDS: &str =
    "SELECT count(*) FROM (SELECT 1 FROM holds WHERE status = 'held' AND part_of IS NULL LIMIT ?1) AS open";
const ROWS_FROM: &str = "SELECT name FROM inventory WHERE substr(name, 7, 10) >= ?1";
const TURNED: &str = "SELECT i.name, t.version FROM turns t JOIN inventory i ON i.id = t.inventory_id
                      WHERE t.turned_at >= unixepoch() - ?1 ORDER BY t.turned_at DESC LIMIT ?2";
const PENDING: &str = "SELECT id, created_at FROM payments
                       WHERE status IN ('pending', 'challenged') AND created_at <= ?1 ORDER BY created_at LIMIT ?2";
const DUE: &str = "SELECT kind, payment_id, created_at, attempts, asked FROM outbox
                   WHERE kind = ?1 AND due_at <= ?2 ORDER BY due_at LIMIT ?3";

pub(super) fn one<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    let found = db.prepare_cached(sql).and_then(|mut sql| sql.query_row(params, map).optional());
    found.map_err(|error| fault(&error))
}

pub(super) fn many<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let found = db.prepare_cached(sql).and_then(|mut sql| sql.query_map(params, map)?.collect());
    found.map_err(|error| fault(&error))
}

pub(super) fn hold(db: &Connection, id: HoldId) -> Result<Option<Hold>, StoreError> {
    let Some(row) = one(db, HOLD, [id.as_bytes()], hold_row)? else { return Ok(None) };
    let parts = if row.parts > 0 { many(db, PARTS, [id.as_bytes()], part_row)? } else { Vec::new() };
    row.into_hold(parts).map(Some)
}

pub(super) fn made(db: &Connection, ids: &[HoldId]) -> Result<Vec<(HoldId, Made)>, StoreError> {
    let columns = |row: &Row<'_>| Ok(Made { at: Moment::from_ms(row.get(0)?), is_over: row.get(1)? });
    let one = |id: &HoldId| Ok(one(db, MADE, [id.as_bytes()], columns)?.map(|made| (*id, made)));
    ids.iter().filter_map(|id| one(id).transpose()).collect()
}

fn part_row(row: &Row<'_>) -> rusqlite::Result<LineRow> {
    Ok(LineRow { inventory: row.get(0)?, quantity: row.get(1)?, amount: row.get(2)?, numbers: row.get(3)? })
}

fn hold_row(row: &Row<'_>) -> rusqlite::Result<HoldRow> {
    Ok(HoldRow {
        id: row.get(0)?,
        line: LineRow { inventory: row.get(1)?, quantity: row.get(2)?, amount: row.get(3)?, numbers: row.get(11)? },
        parts: row.get(10)?,
        request_hash: row.get(4)?,
        status: row.get(5)?,
        created_at: row.get(6)?,
        expires_at: row.get(7)?,
        changed_at: row.get(8)?,
        attempt: row.get(9)?,
        extensions: row.get(12)?,
    })
}

pub(super) fn payment(db: &Connection, id: PaymentId) -> Result<Option<Payment>, StoreError> {
    one(db, PAYMENT, [id.as_bytes()], payment_row)?.map(|row| whole(db, row)).transpose()
}

/// Puts a payment together with its refunds, if it has any.
pub(super) fn whole(db: &Connection, row: PaymentRow) -> Result<Payment, StoreError> {
    let refunds = if row.refund.is_some() { many(db, REFUNDS, [&row.id], refund_row)? } else { Vec::new() };
    row.into_payment(refunds)
}

fn refund_row(row: &Row<'_>) -> rusqlite::Result<RefundRow> {
    Ok(RefundRow {
        number: row.get(0)?,
        amount: row.get(1)?,
        charge: row.get(2)?,
        status: row.get(3)?,
        changed_at: row.get(4)?,
    })
}

pub(super) fn payment_row(row: &Row<'_>) -> rusqlite::Result<PaymentRow> {
    Ok(PaymentRow {
        id: row.get(0)?,
        hold: row.get(1)?,
        amount: row.get(2)?,
        method: row.get(3)?,
        request_hash: row.get(4)?,
        status: row.get(5)?,
        charge: row.get(6)?,
        reason: row.get(7)?,
        created_at: row.get(8)?,
        changed_at: row.get(9)?,
        challenge: row.get(10)?,
        refund: row.get(11)?,
    })
}

pub(super) fn booking(db: &Connection, reference: Reference) -> Result<Option<Booking>, StoreError> {
    let map = |row: &Row<'_>| {
        Ok(BookingRow {
            hold: row.get(0)?,
            payment: row.get(1)?,
            amount: row.get(2)?,
            created_at: row.get(3)?,
            cancelled_at: row.get(4)?,
        })
    };
    let Some(row) = one(db, BOOKING, [reference.to_string()], map)? else { return Ok(None) };
    let hold = hold(db, hold_id(&row.hold)?)?;
    row.into_booking(hold.map(|hold| hold.lines).unwrap_or_default()).map(Some)
}

pub(super) fn stock(db: &Connection, ids: &[InventoryId]) -> Result<Vec<StockRow>, StoreError> {
    let read = |id: &InventoryId| one(db, STOCK, [id.to_string()], inventory_row).transpose();
    ids.iter().filter_map(read).map(|row| row.and_then(InventoryRow::into_stock)).collect()
}

pub(super) fn inventory_row(row: &Row<'_>) -> rusqlite::Result<InventoryRow> {
    Ok(InventoryRow {
        name: row.get(0)?,
        capacity: row.get(1)?,
        available: row.get(2)?,
        held: row.get(3)?,
        sold: row.get(4)?,
        price: row.get(5)?,
        numbering: row.get(6)?,
        version: row.get(7)?,
    })
}

pub(super) fn owned_seats(db: &Connection, row: InventoryId) -> Result<Vec<SeatNumber>, StoreError> {
    let numbers: Vec<i64> = many(db, OWNED, [row.to_string()], |row| row.get(0))?;
    numbers.into_iter().map(seat).collect()
}

pub(super) fn rows_from(db: &Connection, day: Date) -> Result<Vec<InventoryId>, StoreError> {
    let names: Vec<String> = many(db, ROWS_FROM, [day.to_string()], |row| row.get(0))?;
    names.iter().map(|name| inventory_id(name)).collect()
}

pub(super) fn turned(db: &Connection, within_s: u32, limit: u32) -> Result<Vec<TurnedRow>, StoreError> {
    let map = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
    let rows = many(db, TURNED, params![within_s, limit], map)?;
    rows.iter().map(|(name, version)| turned_row(name, *version)).collect()
}

pub(super) fn lapsed(db: &Connection, now: Moment, limit: u32) -> Result<Vec<HoldId>, StoreError> {
    let ids: Vec<Vec<u8>> = many(db, LAPSED, params![now.as_ms(), limit], |row| row.get(0))?;
    ids.iter().map(|id| hold_id(id)).collect()
}

pub(super) fn first_expiry(db: &Connection, row: InventoryId, until: Moment) -> Result<Option<Moment>, StoreError> {
    let first = one(db, FIRST_EXPIRY, params![row.to_string(), until.as_ms()], |row| row.get(0))?;
    Ok(first.map(Moment::from_ms))
}

pub(super) fn open_holds(db: &Connection) -> Result<u64, StoreError> {
    let count = one(db, OPEN_HOLDS, params![OPEN_HOLDS_COUNTED], |row| row.get::<_, i64>(0))?;
    Ok(count.unwrap_or(0).unsigned_abs())
}

pub(super) fn failing_refunds(db: &Connection) -> Result<u64, StoreError> {
    let count = one(db, FAILING, [], |row| row.get::<_, i64>(0))?;
    Ok(count.unwrap_or(0).unsigned_abs())
}

pub(super) fn pending(db: &Connection, before: Moment, limit: u32) -> Result<Vec<(PaymentId, Moment)>, StoreError> {
    let map = |row: &Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?));
    let rows = many(db, PENDING, params![before.as_ms(), limit], map)?;
    rows.iter().map(|(id, created_at)| Ok((payment_id(id)?, Moment::from_ms(*created_at)))).collect()
}

pub(super) fn due(db: &Connection, kind: TaskKind, now: Moment, limit: u32) -> Result<Vec<DueTask>, StoreError> {
    type Columns = (String, Vec<u8>, i64, i64, i64);
    let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
    let found: Vec<Columns> = many(db, DUE, params![kind.word(), now.as_ms(), limit], columns)?;
    let due = |(kind, payment, created_at, attempts, asked): Columns| {
        let kind = TaskKind::from_word(&kind).ok_or_else(|| StoreError::Corrupt("task kind".to_owned()))?;
        let task = Task { kind, payment: payment_id(&payment)? };
        Ok(DueTask { task, created_at: Moment::from_ms(created_at), attempts: count(attempts)?, asked: count(asked)? })
    };
    found.into_iter().map(due).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_expiry_is_looked_for_no_further_than_it_matters() {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::migrate(&mut db).unwrap();
        let explain = format!("EXPLAIN QUERY PLAN {FIRST_EXPIRY}");
        let plan = many(&db, &explain, params!["12951:2026-11-23:3A", 0], |row| row.get::<_, String>(3)).unwrap();
        assert!(plan.iter().any(|step| step.contains("holds_open (expires_at<?)")), "{plan:?}");
        assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{plan:?}");
    }
}
