//! Opening the database, or several of them.

use std::sync::Arc;

use time::Date;

use super::StartError;
use crate::config::{Config, ConfigError, Database};
use crate::domain::placement::ShardNumber;
use crate::store::postgres::PostgresStore;
use crate::store::shards::Shards;
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};

/// Opens what the configuration names.
///
/// # Errors
/// [`StartError::Database`], [`StartError::AnotherShard`], or [`StartError::Config`] when an address is malformed.
pub async fn open(config: &Config) -> Result<Arc<dyn Store>, StartError> {
    let senseless = |problems| StartError::Config(ConfigError::Senseless(problems));
    let placement = config.placement().map_err(senseless)?;
    let mut opened = Vec::new();
    for (number, database) in config.databases().map_err(|problem| senseless(vec![problem]))? {
        opened.push((number, open_one(config, number, &database).await?));
    }
    let Some(placement) = placement else { return Ok(opened.swap_remove(0).1) };
    let numbered = opened.into_iter().filter_map(|(number, store)| Some((number?, store)));
    Ok(Arc::new(Shards::new(placement, numbered.collect())))
}

async fn open_one(
    config: &Config,
    wanted: Option<ShardNumber>,
    database: &Database,
) -> Result<Arc<dyn Store>, StartError> {
    let failed = |error| StartError::Database { address: database.to_string(), error };
    let store: Arc<dyn Store> = match database {
        Database::SqliteMemory => SqliteStore::in_memory().map(|store| Arc::new(store) as _),
        Database::SqliteFile(path) => SqliteStore::open(path).map(|store| Arc::new(store) as _),
        Database::Postgres(url) => {
            PostgresStore::connect(url, config.postgres_connections).await.map(|store| Arc::new(store) as _)
        }
    }
    .map_err(failed)?;
    let found = store.number(None).await.map_err(failed)?;
    if found == wanted || found.is_none() {
        return Ok(store);
    }
    let words = |number: Option<ShardNumber>| number.map_or("the only one".to_owned(), |n| format!("shard {n}"));
    Err(StartError::AnotherShard { address: database.to_string(), found: words(found), wanted: words(wanted) })
}

/// Is what ids are derived with.
type Secret = [u8; 32];

/// Checks that what is on sale lies where it would be looked for and that all ids are derived with one secret, and tells
/// each database which shard it is. Returns the secret: `candidate` for new databases.
///
/// # Errors
/// [`StartError::Misplaced`], [`StartError::TwoSecrets`], [`StartError::Store`]; no database has been told its number then.
pub(super) async fn take_places(store: &dyn Store, today: Date, candidate: Secret) -> Result<Secret, StartError> {
    for (number, database) in store.databases() {
        let rows = database.rows_from(today).await.map_err(StartError::Store)?;
        if let Some(inventory) = rows.into_iter().find(|row| store.place(*row) != Some(*number)) {
            return Err(StartError::Misplaced { inventory });
        }
    }
    let secret = match store.databases() {
        [] => store.secret(Some(candidate)).await.map_err(StartError::Store)?,
        several => one_secret(several, candidate).await?,
    };
    for (number, database) in store.databases() {
        database.number(Some(*number)).await.map_err(StartError::Store)?;
    }
    secret.ok_or_else(|| StartError::Store(StoreError::Corrupt("it keeps no secret".to_owned())))
}

/// Gives every database the secret that any of them has, so that whichever is taken out leaves it behind.
///
/// Where none has one it is settled in the first, which takes one of all that are offered at once, and only then copied.
/// Whoever ends halfway leaves some without one, and they take it at the next start.
async fn one_secret(
    databases: &[(ShardNumber, Arc<dyn Store>)],
    candidate: Secret,
) -> Result<Option<Secret>, StartError> {
    let mut known = None;
    for (number, database) in databases {
        known = agreed(known, *number, database.secret(None).await.map_err(StartError::Store)?)?;
    }
    for (number, database) in databases {
        let offered = known.map_or(candidate, |(_, secret)| secret);
        known = agreed(known, *number, database.secret(Some(offered)).await.map_err(StartError::Store)?)?;
    }
    Ok(known.map(|(_, secret)| secret))
}

/// Takes note of what one more database has.
fn agreed(
    known: Option<(ShardNumber, Secret)>,
    number: ShardNumber,
    found: Option<Secret>,
) -> Result<Option<(ShardNumber, Secret)>, StartError> {
    match (known, found) {
        (Some((first, secret)), Some(found)) if found != secret => Err(StartError::TwoSecrets(first, number)),
        (None, Some(found)) => Ok(Some((number, found))),
        (known, _) => Ok(known),
    }
}
