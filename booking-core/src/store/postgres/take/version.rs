//! Optimistic: read without a lock, write if the row's version is still the same, else read again.

use deadpool_postgres::Object;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::{Columns, SHELF, fault, known, shelf};
use crate::domain::inventory::InventoryId;
use crate::fail_point::{self, COMMITTED, COMMITTING};
use crate::store::judge::{OPTIMISTIC_TRIES, Shelf, grants, pause, seats};
use crate::store::rows::count;
use crate::store::{Guard, StoreError, TakeAnswer, TakeRequest, Taken};

const WRITE: &str = "
    WITH taken AS (
        UPDATE inventory SET available = available - $2::int, held = held + $2::int, version = version + 1
        WHERE id = $1 AND version = $3 RETURNING id, available
    ), held AS (
        INSERT INTO holds (id, inventory_id, quantity, amount, request_hash, status, created_at, expires_at, changed_at)
        SELECT h.id, taken.id, h.quantity, h.amount, h.request_hash, 'held', h.created_at, h.expires_at, h.created_at
        FROM taken, unnest($4::bytea[], $5::int[], $6::bigint[], $7::bytea[], $8::bigint[], $9::bigint[])
            AS h (id, quantity, amount, request_hash, created_at, expires_at)
        ORDER BY h.id
    )
    SELECT available FROM taken";

pub(super) async fn take(connection: &Object, row: InventoryId, requests: &[TakeRequest]) -> Result<Taken, StoreError> {
    for attempt in 1..=OPTIMISTIC_TRIES {
        let shelf = shelf(connection, SHELF, Guard::Version, row).await?;
        let known = known(connection, requests).await?;
        let answers = shelf.judge(&[], requests, &known);
        if let Some(available) = write(connection, &shelf, &answers).await? {
            return Ok(Taken { answers, available });
        }
        pause(requests, attempt).await;
    }
    let shelf = shelf(connection, SHELF, Guard::Version, row).await?;
    Ok(Taken { answers: vec![TakeAnswer::Contended; requests.len()], available: shelf.available })
}

/// Writes if nobody has written since; `None` when somebody has, or when a hold exists by now.
async fn write(connection: &Object, shelf: &Shelf, answers: &[TakeAnswer]) -> Result<Option<u32>, StoreError> {
    let granted = grants(answers);
    if granted.is_empty() {
        return Ok(Some(shelf.available));
    }
    let (columns, sum) = (Columns::of(&granted), seats(&granted));
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&shelf.id, &sum, &shelf.version];
    params.extend(columns.params().into_iter().take(6));
    let statement = connection.prepare_cached(WRITE).await.map_err(|error| fault(&error))?;
    fail_point::reached(COMMITTING);
    let written = connection.query_opt(&statement, &params).await;
    fail_point::reached(COMMITTED);
    match written {
        Ok(left) => left.map(|left| count(left.get::<_, i32>(0).into())).transpose(),
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(None),
        Err(error) => Err(fault(&error)),
    }
}
