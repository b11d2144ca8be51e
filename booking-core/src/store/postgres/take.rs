//! Taking seats.
//!
//! The quick way is one statement and so one round trip: the decrement of the sum behind its condition, and the holds
//! of everybody. When too few seats are left for all, or a key was seen before, nothing of it happens, and the careful
//! way locks the row and sorts the requests out one by one.

use deadpool_postgres::{GenericClient, Object};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::{fault, read};
use crate::domain::hold::Hold;
use crate::domain::inventory::InventoryId;
use crate::fail_point::{self, COMMITTED, COMMITTING};
use crate::store::rows::count;
use crate::store::{StoreError, TakeAnswer, TakeRequest, Taken, allot, total};

const QUICK: &str = "
    WITH taken AS (
        UPDATE inventory SET available = available - $2::int, held = held + $2::int
        WHERE name = $1 AND available >= $2::int AND NOT EXISTS (SELECT 1 FROM holds WHERE id = ANY($3::bytea[]))
        RETURNING id, available
    ), held AS (
        INSERT INTO holds (id, inventory_id, quantity, amount, request_hash, status, created_at, expires_at, changed_at)
        SELECT h.id, taken.id, h.quantity, h.amount, h.request_hash, 'held', h.created_at, h.expires_at, h.created_at
        FROM taken, unnest($3::bytea[], $4::int[], $5::bigint[], $6::bytea[], $7::bigint[], $8::bigint[])
            AS h (id, quantity, amount, request_hash, created_at, expires_at)
        ORDER BY h.id
    )
    SELECT available FROM taken";

const LOCK: &str = "SELECT id, available FROM inventory WHERE name = $1 FOR NO KEY UPDATE";

const DECREMENT: &str = "UPDATE inventory SET available = available - $2::int, held = held + $2::int
                         WHERE id = $1 AND available >= $2::int";

const INSERT: &str = "
    INSERT INTO holds (id, inventory_id, quantity, amount, request_hash, status, created_at, expires_at, changed_at)
    SELECT h.id, $1, h.quantity, h.amount, h.request_hash, 'held', h.created_at, h.expires_at, h.created_at
    FROM unnest($2::bytea[], $3::int[], $4::bigint[], $5::bytea[], $6::bigint[], $7::bigint[])
        AS h (id, quantity, amount, request_hash, created_at, expires_at)
    ORDER BY h.id";

/// The requests as arrays, one for each column.
struct Columns<'a> {
    ids: Vec<&'a [u8]>,
    quantities: Vec<i32>,
    amounts: Vec<i64>,
    hashes: Vec<&'a [u8]>,
    created: Vec<i64>,
    expires: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(requests: impl Iterator<Item = &'a TakeRequest> + Clone) -> Self {
        Self {
            ids: requests.clone().map(|r| r.hold.as_bytes().as_slice()).collect(),
            quantities: requests.clone().map(|r| r.quantity as i32).collect(),
            amounts: requests.clone().map(|r| r.amount.get()).collect(),
            hashes: requests.clone().map(|r| r.request_hash.as_slice()).collect(),
            created: requests.clone().map(|r| r.created_at.as_ms()).collect(),
            expires: requests.map(|r| r.expires_at.as_ms()).collect(),
        }
    }

    fn params(&self) -> [&(dyn ToSql + Sync); 6] {
        [&self.ids, &self.quantities, &self.amounts, &self.hashes, &self.created, &self.expires]
    }
}

pub(super) async fn conditional(
    connection: &mut Object,
    row: InventoryId,
    requests: &[TakeRequest],
) -> Result<Taken, StoreError> {
    match quick(connection, row, requests).await? {
        Some(taken) => Ok(taken),
        None => careful(connection, row, requests).await,
    }
}

/// Grants everybody, or does nothing and returns `None`.
async fn quick(connection: &Object, row: InventoryId, requests: &[TakeRequest]) -> Result<Option<Taken>, StoreError> {
    let columns = Columns::of(requests.iter());
    let (name, sum) = (row.to_string(), total(requests) as i32);
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&name, &sum];
    params.extend(columns.params());
    let statement = connection.prepare_cached(QUICK).await.map_err(|error| fault(&error))?;
    fail_point::reached(COMMITTING);
    match connection.query_opt(&statement, &params).await {
        Ok(Some(left)) => {
            fail_point::reached(COMMITTED);
            let answers = requests.iter().map(|request| TakeAnswer::Granted(request.granted(row))).collect();
            Ok(Some(Taken { answers, available: count(left.get::<_, i32>(0).into())? }))
        }
        Ok(None) => Ok(None),
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(None),
        Err(error) => Err(fault(&error)),
    }
}

async fn careful(connection: &mut Object, row: InventoryId, requests: &[TakeRequest]) -> Result<Taken, StoreError> {
    let tx = connection.transaction().await.map_err(|error| fault(&error))?;
    let (id, available) = locate(&tx, LOCK, row).await?;
    let ids: Vec<&[u8]> = requests.iter().map(|request| request.hold.as_bytes().as_slice()).collect();
    let known = read::holds(&tx, &ids).await?;
    let answers = answer(row, available, requests, &known);
    let granted = |(_, answer): &(&TakeRequest, &TakeAnswer)| matches!(answer, TakeAnswer::Granted(_));
    let grants: Vec<TakeRequest> =
        requests.iter().zip(&answers).filter(granted).map(|(request, _)| request.clone()).collect();
    let sum = total(&grants) as i32;
    if sum > 0 {
        let changed = read::execute(&tx, DECREMENT, &[&id, &sum]).await?;
        if changed != 1 {
            return Err(StoreError::Conflict("the stock changed under a lock".to_owned()));
        }
        insert(&tx, id, &grants).await?;
    }
    fail_point::reached(COMMITTING);
    tx.commit().await.map_err(|error| fault(&error))?;
    fail_point::reached(COMMITTED);
    Ok(Taken { answers, available: available - sum.unsigned_abs() })
}

async fn locate(db: &impl GenericClient, sql: &str, row: InventoryId) -> Result<(i64, u32), StoreError> {
    let found = read::query(db, sql, &[&row.to_string()]).await?;
    let found = found.first().ok_or(StoreError::UnknownInventory(row))?;
    Ok((found.get(0), count(found.get::<_, i32>(1).into())?))
}

fn answer(row: InventoryId, available: u32, requests: &[TakeRequest], known: &[Hold]) -> Vec<TakeAnswer> {
    let known = |request: &TakeRequest| known.iter().find(|hold| hold.id == request.hold);
    let fresh = requests.iter().filter(|request| known(request).is_none()).map(|request| request.quantity);
    let mut granted = allot(available, fresh).into_iter();
    let answer = |request: &TakeRequest| match known(request) {
        Some(hold) if hold.request_hash == request.request_hash => TakeAnswer::Replayed(hold.clone()),
        Some(_) => TakeAnswer::KeyReused,
        None if granted.next() == Some(true) => TakeAnswer::Granted(request.granted(row)),
        None => TakeAnswer::SoldOut,
    };
    requests.iter().map(answer).collect()
}

async fn insert(db: &impl GenericClient, id: i64, grants: &[TakeRequest]) -> Result<(), StoreError> {
    let columns = Columns::of(grants.iter());
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&id];
    params.extend(columns.params());
    read::execute(db, INSERT, &params).await.map(drop)
}

/// The broken way: reads, then writes what it computed, whatever happened in between.
pub(super) async fn read_then_write(
    connection: &Object,
    row: InventoryId,
    requests: &[TakeRequest],
) -> Result<Taken, StoreError> {
    let plain = "SELECT id, available FROM inventory WHERE name = $1";
    let (id, available) = locate(connection, plain, row).await?;
    let wanted = count(total(requests))?;
    if wanted > available {
        let answers = requests.iter().map(|_| TakeAnswer::SoldOut).collect();
        return Ok(Taken { answers, available });
    }
    let left = available - wanted;
    let write = "UPDATE inventory SET available = $2, held = capacity - sold - $2 WHERE id = $1";
    read::execute(connection, write, &[&id, &(left as i32)]).await?;
    insert(connection, id, requests).await?;
    let answers = requests.iter().map(|request| TakeAnswer::Granted(request.granted(row))).collect();
    Ok(Taken { answers, available: left })
}
