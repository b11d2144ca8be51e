//! Taking seats.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::{fault, read};
use crate::domain::hold::Hold;
use crate::domain::inventory::InventoryId;
use crate::fail_point::{self, COMMITTED, COMMITTING};
use crate::store::rows::count;
use crate::store::{StoreError, TakeAnswer, TakeRequest, Taken, allot, total};

const DECREMENT: &str = "UPDATE inventory SET available = available - ?2, held = held + ?2
                         WHERE id = ?1 AND available >= ?2";
const INSERT: &str =
    "INSERT INTO holds (id, inventory_id, quantity, amount, request_hash, status, created_at, expires_at, changed_at)
                      VALUES (?1, ?2, ?3, ?4, ?5, 'held', ?6, ?7, ?6)";

/// One decrement of the sum, behind the condition, and the holds, in one commit.
pub(super) fn conditional(
    db: &mut Connection,
    row: InventoryId,
    requests: &[TakeRequest],
) -> Result<Taken, StoreError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|error| fault(&error))?;
    let (id, available) = locate(&tx, row)?;
    let known = requests.iter().map(|request| read::hold(&tx, request.hold)).collect::<Result<Vec<_>, _>>()?;
    let fresh = requests.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(request, _)| request.quantity);
    let granted = allot(available, fresh);
    let answers = answer(row, requests, known, &granted);
    let grants: Vec<&TakeRequest> = grants(requests, &answers).collect();
    let sum = grants.iter().map(|request| i64::from(request.quantity)).sum::<i64>();
    if sum > 0 {
        let changed = tx.prepare_cached(DECREMENT).and_then(|mut sql| sql.execute(params![id, sum]));
        if changed.map_err(|error| fault(&error))? != 1 {
            return Err(StoreError::Conflict("the stock changed under a lock".to_owned()));
        }
        insert(&tx, id, &grants)?;
    }
    fail_point::reached(COMMITTING);
    tx.commit().map_err(|error| fault(&error))?;
    fail_point::reached(COMMITTED);
    Ok(Taken { answers, available: available - count(sum)? })
}

fn locate(db: &Connection, row: InventoryId) -> Result<(i64, u32), StoreError> {
    let found = db
        .prepare_cached("SELECT id, available FROM inventory WHERE name = ?1")
        .and_then(|mut sql| sql.query_row([row.to_string()], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?))));
    match found {
        Ok((id, available)) => Ok((id, count(available)?)),
        Err(rusqlite::Error::QueryReturnedNoRows) => Err(StoreError::UnknownInventory(row)),
        Err(error) => Err(fault(&error)),
    }
}

/// Puts the answers in the order of the requests; `granted` speaks of those without a known hold.
fn answer(row: InventoryId, requests: &[TakeRequest], known: Vec<Option<Hold>>, granted: &[bool]) -> Vec<TakeAnswer> {
    let mut granted = granted.iter();
    let answer = |(request, known): (&TakeRequest, Option<Hold>)| match known {
        Some(hold) if hold.request_hash == request.request_hash => TakeAnswer::Replayed(hold),
        Some(_) => TakeAnswer::KeyReused,
        None if granted.next() == Some(&true) => TakeAnswer::Granted(request.granted(row)),
        None => TakeAnswer::SoldOut,
    };
    requests.iter().zip(known).map(answer).collect()
}

fn grants<'a>(requests: &'a [TakeRequest], answers: &'a [TakeAnswer]) -> impl Iterator<Item = &'a TakeRequest> {
    let granted = |(_, answer): &(&TakeRequest, &TakeAnswer)| matches!(answer, TakeAnswer::Granted(_));
    requests.iter().zip(answers).filter(granted).map(|(request, _)| request)
}

fn insert(tx: &Transaction<'_>, id: i64, grants: &[&TakeRequest]) -> Result<(), StoreError> {
    let mut sql = tx.prepare_cached(INSERT).map_err(|error| fault(&error))?;
    for request in grants {
        sql.execute(params![
            request.hold.as_bytes(),
            id,
            request.quantity,
            request.amount.get(),
            request.request_hash,
            request.created_at.as_ms(),
            request.expires_at.as_ms(),
        ])
        .map_err(|error| fault(&error))?;
    }
    Ok(())
}

/// The first half of the broken way: reads.
pub(super) fn peek(db: &mut Connection, row: InventoryId) -> Result<u32, StoreError> {
    locate(db, row).map(|(_, available)| available)
}

/// The second half of the broken way: writes what it computed from what it read, whatever happened since.
pub(super) fn overwrite(
    db: &mut Connection,
    row: InventoryId,
    available: u32,
    requests: &[TakeRequest],
) -> Result<Taken, StoreError> {
    let wanted = count(total(requests))?;
    if wanted > available {
        let answers = requests.iter().map(|_| TakeAnswer::SoldOut).collect();
        return Ok(Taken { answers, available });
    }
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|error| fault(&error))?;
    let (id, _) = locate(&tx, row)?;
    let left = available - wanted;
    tx.execute("UPDATE inventory SET available = ?2, held = capacity - sold - ?2 WHERE id = ?1", params![id, left])
        .map_err(|error| fault(&error))?;
    insert(&tx, id, &requests.iter().collect::<Vec<_>>())?;
    tx.commit().map_err(|error| fault(&error))?;
    let answers = requests.iter().map(|request| TakeAnswer::Granted(request.granted(row))).collect();
    Ok(Taken { answers, available: left })
}
