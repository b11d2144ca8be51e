//! Pools: the row's own count is the referee, or whoever has the row locked.
//!
//! The quick way is one statement and so one round trip: the decrement of the sum behind its condition, and the holds
//! of everybody. When too few seats are left for all, or a key was seen before, nothing of it happens, and the careful
//! way locks the row and sorts the requests out one by one.

use deadpool_postgres::Object;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::{Columns, SHELF_LOCKED, commit, fault, known, settle, shelf};
use crate::domain::hold::Hold;
use crate::domain::inventory::InventoryId;
use crate::fail_point::{self, COMMITTED, COMMITTING};
use crate::store::judge::seats;
use crate::store::rows::count;
use crate::store::{Guard, StoreError, TakeAnswer, TakeRequest, Taken};

const QUICK: &str = "
    WITH taken AS (
        UPDATE inventory SET available = available - $2::int, held = held + $2::int, version = version + 1
        WHERE name = $1 AND available >= $2::int AND numbering = 'pool'
            AND NOT EXISTS (SELECT 1 FROM holds WHERE id = ANY($3::bytea[]))
        RETURNING id, available
    ), held AS (
        INSERT INTO holds (id, inventory_id, quantity, amount, request_hash, status, created_at, expires_at, changed_at)
        SELECT h.id, taken.id, h.quantity, h.amount, h.request_hash, 'held', h.created_at, h.expires_at, h.created_at
        FROM taken, (SELECT unnest($3::bytea[]) AS id, unnest($4::int[]) AS quantity, unnest($5::bigint[]) AS amount,
                            unnest($6::bytea[]) AS request_hash, unnest($7::bigint[]) AS created_at,
                            unnest($8::bigint[]) AS expires_at) AS h
    )
    SELECT available FROM taken";

pub(super) async fn take(
    connection: &mut Object,
    row: InventoryId,
    requests: &[TakeRequest],
) -> Result<Taken, StoreError> {
    match quick(connection, row, requests).await? {
        Some(taken) => Ok(taken),
        None => take_locked(connection, Guard::Condition, row, requests).await,
    }
}

/// Grants everybody, or does nothing and returns `None`.
async fn quick(connection: &Object, row: InventoryId, requests: &[TakeRequest]) -> Result<Option<Taken>, StoreError> {
    let holds: Vec<Hold> = requests.iter().map(|request| request.granted(row, Vec::new())).collect();
    let mut granted: Vec<&Hold> = holds.iter().collect();
    // In the order of the key, so that two who write the same keys cannot wait for each other.
    granted.sort_unstable_by_key(|hold| hold.id);
    let columns = Columns::of(&granted);
    let (name, sum) = (row.to_string(), seats(&granted));
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&name, &sum];
    params.extend(columns.params().into_iter().take(6));
    let statement = connection.prepare_cached(QUICK).await.map_err(|error| fault(&error))?;
    fail_point::reached(COMMITTING);
    match connection.query_opt(&statement, &params).await {
        Ok(Some(left)) => {
            fail_point::reached(COMMITTED);
            let available = count(left.get::<_, i32>(0).into())?;
            Ok(Some(Taken { answers: holds.into_iter().map(TakeAnswer::Granted).collect(), available }))
        }
        Ok(None) => Ok(None),
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(None),
        Err(error) => Err(fault(&error)),
    }
}

/// Locks the row, reads, decides, writes. The condition stands in the write all the same.
pub(super) async fn take_locked(
    connection: &mut Object,
    guard: Guard,
    row: InventoryId,
    requests: &[TakeRequest],
) -> Result<Taken, StoreError> {
    let tx = connection.transaction().await.map_err(|error| fault(&error))?;
    let shelf = shelf(&tx, SHELF_LOCKED, guard, row).await?;
    let known = known(&tx, requests).await?;
    let answers = shelf.judge(&[], requests, &known);
    let Some(available) = settle(&tx, &shelf, &answers).await? else {
        return Err(StoreError::Conflict("a key was used at the same moment".to_owned()));
    };
    commit(tx).await?;
    Ok(Taken { answers, available })
}
