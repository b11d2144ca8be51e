//! Taking seats, each guard in its own words.
//!
//! Everybody who changes counts and seats does so row by row in ascending order, the seats of a row before its counts,
//! and the holds last. So nobody waits for somebody who waits for him.

use deadpool_postgres::{GenericClient, Object, Transaction};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::{commit, fault, read};
use crate::domain::hold::Hold;
use crate::domain::inventory::InventoryId;
use crate::domain::seat::SeatNumber;
use crate::store::judge::{Shelf, grants, seats};
use crate::store::rows::{ShelfRow, count, numbers, seat};
use crate::store::{Guard, StoreError, TakeAnswer, TakeRequest, Taken};

mod condition;

mod version;

mod unique_key;

pub(super) mod order;

const SHELF: &str = "SELECT id, capacity::bigint, available::bigint, numbering, version FROM inventory WHERE name = $1";

const SHELF_LOCKED: &str = "SELECT id, capacity::bigint, available::bigint, numbering, version FROM inventory
                            WHERE name = $1 FOR NO KEY UPDATE";

const DECREMENT: &str = "UPDATE inventory SET available = available - $2::int, held = held + $2::int,
                             version = version + 1
                         WHERE id = $1 AND available >= $2::int RETURNING available";

const OWNED: &str = "SELECT number::bigint FROM seats WHERE inventory_id = $1";

const OWN: &str = "INSERT INTO seats (inventory_id, number, hold_id)
                   SELECT $1, s.number, s.hold FROM unnest($2::int[], $3::bytea[]) AS s (number, hold)
                   ORDER BY s.number ON CONFLICT DO NOTHING";

const HOLDS: &str = "
    INSERT INTO holds (id, inventory_id, quantity, amount, request_hash, status, created_at, expires_at, changed_at,
                       numbers)
    SELECT h.id, $1, h.quantity, h.amount, h.request_hash, 'held', h.created_at, h.expires_at, h.created_at, h.numbers
    FROM unnest($2::bytea[], $3::int[], $4::bigint[], $5::bytea[], $6::bigint[], $7::bigint[], $8::text[])
        AS h (id, quantity, amount, request_hash, created_at, expires_at, numbers)
    ORDER BY h.id";

/// Takes seats of one row.
pub(super) async fn take(
    connection: &mut Object,
    guard: Guard,
    row: InventoryId,
    requests: &[TakeRequest],
) -> Result<Taken, StoreError> {
    match guard {
        Guard::Condition => condition::take(connection, row, requests).await,
        Guard::RowLock => condition::take_locked(connection, Guard::RowLock, row, requests).await,
        Guard::Version => version::take(connection, row, requests).await,
        Guard::UniqueKey => unique_key::take(connection, row, requests).await,
    }
}

/// Reads a row that is to be sold under a guard; with `SHELF_LOCKED`, keeps it until the transaction ends.
async fn shelf(db: &impl GenericClient, sql: &str, guard: Guard, row: InventoryId) -> Result<Shelf, StoreError> {
    let shelf = any_shelf(db, sql, row).await?;
    if guard.suits(shelf.numbering) { Ok(shelf) } else { Err(StoreError::OtherNumbering(row, shelf.numbering)) }
}

async fn any_shelf(db: &impl GenericClient, sql: &str, row: InventoryId) -> Result<Shelf, StoreError> {
    let found = read::query(db, sql, &[&row.to_string()]).await?;
    let found = found.first().ok_or(StoreError::UnknownInventory(row))?;
    let columns = ShelfRow {
        id: found.get(0),
        capacity: found.get(1),
        available: found.get(2),
        numbering: found.get(3),
        version: found.get(4),
    };
    columns.into_shelf(row)
}

async fn known(db: &impl GenericClient, requests: &[TakeRequest]) -> Result<Vec<Hold>, StoreError> {
    let ids: Vec<&[u8]> = requests.iter().map(|request| request.hold.as_bytes().as_slice()).collect();
    read::holds(db, &ids).await
}

/// The holds as arrays, one for each column.
struct Columns<'a> {
    ids: Vec<&'a [u8]>,
    quantities: Vec<i32>,
    amounts: Vec<i64>,
    hashes: Vec<&'a [u8]>,
    created: Vec<i64>,
    expires: Vec<i64>,
    numbers: Vec<Option<String>>,
}

impl<'a> Columns<'a> {
    fn of(holds: &[&'a Hold]) -> Self {
        Self {
            ids: holds.iter().map(|hold| hold.id.as_bytes().as_slice()).collect(),
            quantities: holds.iter().map(|hold| hold.first().quantity as i32).collect(),
            amounts: holds.iter().map(|hold| hold.first().amount.get()).collect(),
            hashes: holds.iter().map(|hold| hold.request_hash.as_slice()).collect(),
            created: holds.iter().map(|hold| hold.created_at.as_ms()).collect(),
            expires: holds.iter().map(|hold| hold.expires_at.as_ms()).collect(),
            numbers: holds.iter().map(|hold| numbers(&hold.first().seats)).collect(),
        }
    }

    fn params(&self) -> [&(dyn ToSql + Sync); 7] {
        [&self.ids, &self.quantities, &self.amounts, &self.hashes, &self.created, &self.expires, &self.numbers]
    }
}

/// Writes down the answers of one row: the numbers, the counts and the holds, in this order.
///
/// Returns how many seats are left, or `None` when somebody else was quicker at one of the three; the transaction must
/// not be committed then.
async fn settle(tx: &Transaction<'_>, shelf: &Shelf, answers: &[TakeAnswer]) -> Result<Option<u32>, StoreError> {
    let granted = grants(answers);
    if granted.is_empty() {
        return Ok(Some(shelf.available));
    }
    if !own(tx, shelf, &granted).await? {
        return Ok(None);
    }
    let left = decrement(tx, shelf, seats(&granted)).await?;
    let new = write_holds(tx, shelf, &granted).await?;
    Ok(left.filter(|_| new))
}

/// Writes down who owns which number; `false` when one of them has an owner.
async fn own(tx: &Transaction<'_>, shelf: &Shelf, granted: &[&Hold]) -> Result<bool, StoreError> {
    let owned = granted.iter().flat_map(|hold| hold.first().seats.iter().map(|seat| (*seat, hold.id)));
    let (seats, owners): (Vec<SeatNumber>, Vec<_>) = owned.unzip();
    if seats.is_empty() {
        return Ok(true);
    }
    let numbers: Vec<i32> = seats.iter().map(|seat| seat.get() as i32).collect();
    let owners: Vec<&[u8]> = owners.iter().map(|hold| hold.as_bytes().as_slice()).collect();
    let written = read::execute(tx, OWN, &[&shelf.id, &numbers, &owners]).await?;
    Ok(written == seats.len() as u64)
}

async fn decrement(tx: &Transaction<'_>, shelf: &Shelf, sum: i32) -> Result<Option<u32>, StoreError> {
    let left = read::query(tx, DECREMENT, &[&shelf.id, &sum]).await?;
    left.first().map(|left| count(left.get::<_, i32>(0).into())).transpose()
}

/// Writes the holds; `false` when one of them exists.
async fn write_holds(db: &impl GenericClient, shelf: &Shelf, granted: &[&Hold]) -> Result<bool, StoreError> {
    let columns = Columns::of(granted);
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&shelf.id];
    params.extend(columns.params());
    let statement = db.prepare_cached(HOLDS).await.map_err(|error| fault(&error))?;
    match db.execute(&statement, &params).await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(false),
        Err(error) => Err(fault(&error)),
    }
}

async fn owned(db: &impl GenericClient, shelf: &Shelf) -> Result<Vec<SeatNumber>, StoreError> {
    let rows = read::query(db, OWNED, &[&shelf.id]).await?;
    rows.iter().map(|row| seat(row.get(0))).collect()
}
