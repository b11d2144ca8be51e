//! Taking seats. SQLite has one writer at a time, so whoever has begun a transaction to write has everything locked.
//!
//! The conditions and keys stand in the statements all the same: they are what decides when somebody has read outside a
//! transaction, as the optimistic way does.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::ids::note;
use super::rows::{Rows, Values, blocks};
use super::wariness::Wariness;
use super::{commit, fault, read};
use crate::domain::hold::{Hold, HoldId};
use crate::domain::inventory::InventoryId;
use crate::domain::seat::{Numbering, SeatNumber};
use crate::store::judge::{Shelf, grants, replay, seats};
use crate::store::rows::{ShelfRow, count, numbers, seat};
use crate::store::{Guard, OrderRequest, OrderTaken, StoreError, TakeAnswer, TakeRequest, Taken};

const SHELF: &str = "SELECT id, capacity, available, numbering, version FROM inventory WHERE name = ?1";
const DECREMENT: &str = "UPDATE inventory SET available = available - ?2, held = held + ?2, version = version + 1
                         WHERE id = ?1 AND available >= ?2 RETURNING available";
const DECREMENT_IF_UNCHANGED: &str =
    "UPDATE inventory SET available = available - ?2, held = held + ?2, version = version + 1
     WHERE id = ?1 AND version = ?3 RETURNING available";
const KNOWN: &str = "SELECT 1 FROM hold_ids WHERE id = ?1";
const OWNED: &str = "SELECT number FROM seats WHERE inventory_id = ?1";
const OWN: &str = "INSERT INTO seats (inventory_id, number, hold_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
/// What is written of a line of a hold.
const HOLD: Rows = Rows {
    into: "INSERT INTO holds (id, inventory_id, quantity, amount, request_hash, status, created_at, expires_at, changed_at,
                              part_of, parts, numbers)",
    columns: 12,
    then: "",
};

/// Takes seats of one row in one commit. Where there are enough for all, a key that was used before is noticed when it is
/// written down again; otherwise, or while some come again, keys are looked up first.
pub(super) fn take(
    db: &mut Connection,
    guard: Guard,
    row: InventoryId,
    requests: &[TakeRequest],
    wariness: &Wariness,
) -> Result<Taken, StoreError> {
    let quick = if wariness.looks() { None } else { grant_all(db, guard, row, requests)? };
    if let Some(taken) = quick {
        return Ok(taken);
    }
    let taken = take_one_by_one(db, guard, row, requests)?;
    wariness.note(&taken);
    Ok(taken)
}

/// Grants everybody seats of a pool, or does nothing and returns `None`.
fn grant_all(
    db: &mut Connection,
    guard: Guard,
    row: InventoryId,
    requests: &[TakeRequest],
) -> Result<Option<Taken>, StoreError> {
    let tx = begin(db)?;
    let shelf = suitable(shelf(&tx, row)?, guard)?;
    if shelf.numbering != Numbering::Pool {
        return Ok(None);
    }
    let answers = shelf.judge(&[], requests, &[]);
    let granted = grants(&answers);
    if granted.len() < requests.len() || !write_holds(&tx, &granted, &shelf)? {
        return Ok(None);
    }
    let available = decrement(&tx, &shelf, seats(&granted))?;
    commit(tx)?;
    Ok(Some(Taken { answers, available }))
}

/// Looks whose key was used before, and sorts the others out in arrival order.
fn take_one_by_one(
    db: &mut Connection,
    guard: Guard,
    row: InventoryId,
    requests: &[TakeRequest],
) -> Result<Taken, StoreError> {
    let tx = begin(db)?;
    let shelf = suitable(shelf(&tx, row)?, guard)?;
    let answers = judge(&tx, &shelf, requests)?;
    let granted = grants(&answers);
    let mut available = shelf.available;
    if !granted.is_empty() {
        own(&tx, &shelf, &granted)?;
        available = decrement(&tx, &shelf, seats(&granted))?;
        if !write_holds(&tx, &granted, &shelf)? {
            return Err(changed_under_a_lock());
        }
    }
    commit(tx)?;
    Ok(Taken { answers, available })
}

/// The first half of the optimistic way: reads, and decides.
pub(super) fn look(
    db: &Connection,
    row: InventoryId,
    requests: &[TakeRequest],
) -> Result<(Shelf, Vec<TakeAnswer>), StoreError> {
    let shelf = suitable(shelf(db, row)?, Guard::Version)?;
    let answers = judge(db, &shelf, requests)?;
    Ok((shelf, answers))
}

/// The second half: writes what was decided if the row's version is still the same; returns how many are left, or `None`
/// when somebody has written since.
pub(super) fn write_if_unchanged(
    db: &mut Connection,
    shelf: &Shelf,
    answers: &[TakeAnswer],
) -> Result<Option<u32>, StoreError> {
    let granted = grants(answers);
    if granted.is_empty() {
        return Ok(Some(shelf.available));
    }
    let tx = begin(db)?;
    let left = tx
        .prepare_cached(DECREMENT_IF_UNCHANGED)
        .and_then(|mut sql| {
            sql.query_row(params![shelf.id, seats(&granted), shelf.version], |row| row.get(0)).optional()
        })
        .map_err(|error| fault(&error))?;
    let Some(left) = left else { return Ok(None) };
    // A key may have been used for another row since it was looked for; that row's version says nothing of it.
    if !write_holds(&tx, &granted, shelf)? {
        return Ok(None);
    }
    commit(tx)?;
    count(left).map(Some)
}

/// Reads those of the holds that exist already: nearly always none, so looking is one lookup in the key for each.
fn known(db: &Connection, ids: impl Iterator<Item = HoldId>) -> Result<Vec<Hold>, StoreError> {
    let mut sql = db.prepare_cached(KNOWN).map_err(|error| fault(&error))?;
    let mut known = Vec::new();
    for id in ids {
        if sql.exists([id.as_bytes()]).map_err(|error| fault(&error))? {
            known.extend(read::hold(db, id)?);
        }
    }
    Ok(known)
}

/// Takes seats of several rows in one commit, all or nothing.
pub(super) fn take_order(db: &mut Connection, order: &OrderRequest) -> Result<OrderTaken, StoreError> {
    let tx = begin(db)?;
    let head = order.head();
    let known: Vec<Hold> = read::hold(&tx, head.hold)?.into_iter().collect();
    if let Some(answer) = replay(head, &known) {
        return Ok(OrderTaken { answer, available: Vec::new() });
    }
    let (mut shelves, mut available) = (Vec::new(), Vec::new());
    let mut hold = Hold { lines: Vec::new(), ..head.granted(order.lines[0].0, Vec::new()) };
    for (row, request) in &order.lines {
        let shelf = shelf(&tx, *row)?;
        let line = match judge(&tx, &shelf, std::slice::from_ref(request))?.pop() {
            Some(TakeAnswer::Granted(line)) => line,
            refusal => {
                let answer = refusal.unwrap_or(TakeAnswer::SoldOut);
                return Ok(OrderTaken { answer, available: vec![(*row, shelf.available)] });
            }
        };
        own(&tx, &shelf, &[&line])?;
        available.push((*row, decrement(&tx, &shelf, request.quantity as i32)?));
        hold.lines.extend(line.lines);
        shelves.push(shelf);
    }
    if !write_lines(&tx, &hold, &shelves)? {
        return Err(changed_under_a_lock());
    }
    commit(tx)?;
    Ok(OrderTaken { answer: TakeAnswer::Granted(hold), available })
}

fn begin(db: &mut Connection) -> Result<Transaction<'_>, StoreError> {
    db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|error| fault(&error))
}

fn shelf(db: &Connection, row: InventoryId) -> Result<Shelf, StoreError> {
    let columns = |found: &rusqlite::Row<'_>| {
        Ok(ShelfRow {
            id: found.get(0)?,
            capacity: found.get(1)?,
            available: found.get(2)?,
            numbering: found.get(3)?,
            version: found.get(4)?,
        })
    };
    let found = read::one(db, SHELF, [row.to_string()], columns)?;
    found.ok_or(StoreError::UnknownInventory(row))?.into_shelf(row)
}

fn suitable(shelf: Shelf, guard: Guard) -> Result<Shelf, StoreError> {
    if guard.suits(shelf.numbering) { Ok(shelf) } else { Err(StoreError::OtherNumbering(shelf.row, shelf.numbering)) }
}

fn judge(db: &Connection, shelf: &Shelf, requests: &[TakeRequest]) -> Result<Vec<TakeAnswer>, StoreError> {
    let known = known(db, requests.iter().map(|request| request.hold))?;
    let owned = if shelf.numbering == Numbering::Pool { Vec::new() } else { owned(db, shelf)? };
    Ok(shelf.judge(&owned, requests, &known))
}

fn owned(db: &Connection, shelf: &Shelf) -> Result<Vec<SeatNumber>, StoreError> {
    let numbers: Vec<i64> = read::many(db, OWNED, [shelf.id], |row| row.get(0))?;
    numbers.into_iter().map(seat).collect()
}

/// Writes down who owns which number.
fn own(tx: &Transaction<'_>, shelf: &Shelf, granted: &[&Hold]) -> Result<(), StoreError> {
    let mut sql = tx.prepare_cached(OWN).map_err(|error| fault(&error))?;
    for hold in granted {
        for seat in &hold.first().seats {
            let written = sql.execute(params![shelf.id, seat.get(), hold.id.as_bytes()]);
            if written.map_err(|error| fault(&error))? != 1 {
                return Err(changed_under_a_lock());
            }
        }
    }
    Ok(())
}

fn decrement(tx: &Transaction<'_>, shelf: &Shelf, sum: i32) -> Result<u32, StoreError> {
    let left = read::one(tx, DECREMENT, params![shelf.id, sum], |row| row.get(0))?;
    count(left.ok_or_else(changed_under_a_lock)?)
}

fn changed_under_a_lock() -> StoreError {
    StoreError::Conflict("the stock changed under a lock".to_owned())
}

/// Writes holds of one row; `false` when one of them exists, and then nothing may be committed.
fn write_holds(tx: &Transaction<'_>, granted: &[&Hold], shelf: &Shelf) -> Result<bool, StoreError> {
    let rows: Vec<_> = granted.iter().map(|hold| HoldRow { id: hold.id, hold, index: 0, shelf }).collect();
    write_rows(tx, &rows)
}

/// Writes a hold, a row for each line; `false` as [`write_holds`].
fn write_lines(tx: &Transaction<'_>, hold: &Hold, shelves: &[Shelf]) -> Result<bool, StoreError> {
    let row = |(index, shelf)| HoldRow { id: hold.id.of_line(index), hold, index, shelf };
    write_rows(tx, &shelves.iter().enumerate().map(row).collect::<Vec<_>>())
}

/// A line of a hold: the first stands under the hold's own id, the others as parts of it.
struct HoldRow<'a> {
    id: HoldId,
    hold: &'a Hold,
    index: usize,
    shelf: &'a Shelf,
}

fn write_rows(tx: &Transaction<'_>, rows: &[HoldRow<'_>]) -> Result<bool, StoreError> {
    for rows in blocks(rows) {
        HOLD.write(tx, rows, bind_hold)?;
        let ids: Vec<HoldId> = rows.iter().map(|row| row.id).collect();
        if !note(tx, &ids, tx.last_insert_rowid())? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn bind_hold(row: &HoldRow<'_>, values: &mut Values<'_, '_>) -> rusqlite::Result<()> {
    let HoldRow { id, hold, index, shelf } = row;
    let (line, first) = (&hold.lines[*index], *index == 0);
    values.bind(id.as_bytes())?;
    values.bind(shelf.id)?;
    values.bind(line.quantity)?;
    values.bind(line.amount.get())?;
    values.bind(hold.request_hash)?;
    values.bind("held")?;
    values.bind(hold.created_at.as_ms())?;
    values.bind(hold.expires_at.as_ms())?;
    values.bind(hold.created_at.as_ms())?;
    values.bind((!first).then(|| hold.id.as_bytes()))?;
    values.bind(if first { hold.lines.len() as i64 - 1 } else { 0 })?;
    values.bind(numbers(&line.seats))
}
