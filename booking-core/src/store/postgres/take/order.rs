//! Orders of several rows, in one transaction of their own.
//!
//! Rows are taken in ascending order, so two orders that name the same rows in opposite order cannot wait for each other.
//! Each row is kept by the guard of its kind: a pool by the condition on its count, numbers by their UNIQUE key.

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::{SHELF, any_shelf, commit, decrement, fault, known, own, owned};
use crate::domain::hold::{Hold, HoldId, Line};
use crate::domain::inventory::InventoryId;
use crate::domain::seat::Numbering;
use crate::store::judge::{KEY_TRIES, Shelf, pause, replay};
use crate::store::rows::numbers;
use crate::store::{OrderRequest, OrderTaken, StoreError, TakeAnswer, TakeRequest};

const LINE: &str = "
    INSERT INTO holds (id, inventory_id, quantity, amount, request_hash, status, created_at, expires_at, changed_at,
                       part_of, parts, numbers)
    VALUES ($1, $2, $3, $4, $5, 'held', $6, $7, $6, $8, $9, $10)";

/// What became of one line.
enum LineTaken {
    /// It is taken, and so many are left.
    Taken(Box<(Shelf, Line, u32)>),
    /// The row refuses it.
    Refused(TakeAnswer, u32),
    /// Somebody else was quicker.
    Lost,
}

pub(in super::super) async fn take(connection: &mut Object, order: &OrderRequest) -> Result<OrderTaken, StoreError> {
    for attempt in 1..=KEY_TRIES {
        if let Some(taken) = try_take(connection, order).await? {
            return Ok(taken);
        }
        pause(std::slice::from_ref(order.head()), attempt).await;
    }
    Ok(OrderTaken { answer: TakeAnswer::Contended, available: Vec::new() })
}

/// Serves the order, or does nothing and returns `None` because somebody else was quicker.
async fn try_take(connection: &mut Object, order: &OrderRequest) -> Result<Option<OrderTaken>, StoreError> {
    let tx = connection.transaction().await.map_err(|error| fault(&error))?;
    let head = order.head();
    let known = known(&tx, std::slice::from_ref(head)).await?;
    if let Some(answer) = replay(head, &known) {
        return Ok(Some(OrderTaken { answer, available: Vec::new() }));
    }
    let (mut shelves, mut available) = (Vec::new(), Vec::new());
    let mut hold = Hold { lines: Vec::new(), ..head.granted(order.lines[0].0, Vec::new()) };
    for (row, request) in &order.lines {
        match take_line(&tx, *row, request).await? {
            LineTaken::Taken(taken) => {
                let (shelf, line, left) = *taken;
                shelves.push(shelf);
                hold.lines.push(line);
                available.push((*row, left));
            }
            LineTaken::Refused(answer, left) => {
                return Ok(Some(OrderTaken { answer, available: vec![(*row, left)] }));
            }
            LineTaken::Lost => return Ok(None),
        }
    }
    if !write_lines(&tx, &hold, &shelves).await? {
        return Ok(None);
    }
    commit(tx).await?;
    Ok(Some(OrderTaken { answer: TakeAnswer::Granted(hold), available }))
}

async fn take_line(tx: &Transaction<'_>, row: InventoryId, request: &TakeRequest) -> Result<LineTaken, StoreError> {
    let shelf = any_shelf(tx, SHELF, row).await?;
    let taken = if shelf.numbering == Numbering::Pool { Vec::new() } else { owned(tx, &shelf).await? };
    let hold = match shelf.judge(&taken, std::slice::from_ref(request), &[]).pop() {
        Some(TakeAnswer::Granted(hold)) => hold,
        refusal => return Ok(LineTaken::Refused(refusal.unwrap_or(TakeAnswer::SoldOut), shelf.available)),
    };
    if !own(tx, &shelf, &[&hold]).await? {
        return Ok(LineTaken::Lost);
    }
    Ok(match decrement(tx, &shelf, request.quantity as i32).await? {
        Some(left) => LineTaken::Taken(Box::new((shelf, hold.first().clone(), left))),
        None => LineTaken::Lost,
    })
}

/// Writes a hold, a row for each line; `false` when it exists.
async fn write_lines(tx: &Transaction<'_>, hold: &Hold, shelves: &[Shelf]) -> Result<bool, StoreError> {
    for (index, (line, shelf)) in hold.lines.iter().zip(shelves).enumerate() {
        if !write_line(tx, hold, index, line, shelf).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn write_line(
    tx: &Transaction<'_>,
    hold: &Hold,
    index: usize,
    line: &Line,
    shelf: &Shelf,
) -> Result<bool, StoreError> {
    let (id, parts): (HoldId, _) = (hold.id.of_line(index), hold.lines.len() - 1);
    let first = index == 0;
    let params: [&(dyn ToSql + Sync); 10] = [
        &id.as_bytes().as_slice(),
        &shelf.id,
        &(line.quantity as i32),
        &line.amount.get(),
        &hold.request_hash.as_slice(),
        &hold.created_at.as_ms(),
        &hold.expires_at.as_ms(),
        &(!first).then(|| hold.id.as_bytes().as_slice()),
        &(if first { parts as i16 } else { 0 }),
        &numbers(&line.seats),
    ];
    let statement = tx.prepare_cached(LINE).await.map_err(|error| fault(&error))?;
    match tx.execute(&statement, &params).await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(false),
        Err(error) => Err(fault(&error)),
    }
}
