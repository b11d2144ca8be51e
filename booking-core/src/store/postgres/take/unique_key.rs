//! Numbers: what is free is read without a lock, and the UNIQUE key on (row, number) decides who was first.
//!
//! Somebody else can only be quicker by committing, so among those who stand in each other's way one always gets on;
//! the others read again and choose what is free then.

use deadpool_postgres::Object;

use super::{SHELF, commit, fault, known, owned, settle, shelf};
use crate::domain::inventory::InventoryId;
use crate::store::judge::{KEY_TRIES, pause};
use crate::store::{Guard, StoreError, TakeAnswer, TakeRequest, Taken};

pub(super) async fn take(
    connection: &mut Object,
    row: InventoryId,
    requests: &[TakeRequest],
) -> Result<Taken, StoreError> {
    for attempt in 1..=KEY_TRIES {
        if let Some(taken) = try_take(connection, row, requests).await? {
            return Ok(taken);
        }
        pause(requests, attempt).await;
    }
    let shelf = shelf(connection, SHELF, Guard::UniqueKey, row).await?;
    Ok(Taken { answers: vec![TakeAnswer::Contended; requests.len()], available: shelf.available })
}

/// Serves everybody, or does nothing and returns `None` because somebody else was quicker.
async fn try_take(
    connection: &mut Object,
    row: InventoryId,
    requests: &[TakeRequest],
) -> Result<Option<Taken>, StoreError> {
    let tx = connection.transaction().await.map_err(|error| fault(&error))?;
    let shelf = shelf(&tx, SHELF, Guard::UniqueKey, row).await?;
    let known = known(&tx, requests).await?;
    let owned = owned(&tx, &shelf).await?;
    let answers = shelf.judge(&owned, requests, &known);
    let Some(available) = settle(&tx, &shelf, &answers).await? else { return Ok(None) };
    commit(tx).await?;
    Ok(Some(Taken { answers, available }))
}
