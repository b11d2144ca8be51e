//! Where everything is kept: in one database, or in several by the days they take.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Config;
use crate::domain::inventory::parse_date;
use crate::domain::placement::{Placement, ShardDays, ShardNumber};
use crate::secret;

/// Names one of several databases and the days it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardRules {
    /// Its number, from 0 to 31. It stays with the database for good.
    pub number: ShardNumber,
    /// As [`Config::database`].
    #[serde(deserialize_with = "secret::text")]
    pub database: String,
    /// The first day of departure it takes, `YYYY-MM-DD`; every one before `until` when it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The last day of departure it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl ShardRules {
    fn days(&self) -> Result<ShardDays, String> {
        let day = |key: &str, text: &Option<String>| match text.as_deref().map(parse_date) {
            None => Ok(None),
            Some(Ok(day)) => Ok(Some(day)),
            Some(Err(bad)) => Err(format!("shards: {key} of number {}: {bad}", self.number)),
        };
        Ok(ShardDays { number: self.number, from: day("from", &self.from)?, until: day("until", &self.until)? })
    }
}

/// Is where everything is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// A SQLite file.
    SqliteFile(PathBuf),
    /// SQLite in memory.
    SqliteMemory,
    /// PostgreSQL.
    Postgres(String),
}

impl std::fmt::Display for Database {
    /// Writes the address without its password: that stands between the last `:` before `@` and the `@`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SqliteMemory => f.write_str("sqlite::memory:"),
            Self::SqliteFile(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => match (url.split_once("://"), url.rsplit_once('@')) {
                (Some((scheme, _)), Some((_, host))) => write!(f, "{scheme}://…@{host}"),
                _ => f.write_str(url),
            },
        }
    }
}

impl Database {
    /// Reads an address.
    ///
    /// # Errors
    /// What would be right, in words.
    pub fn parse(address: &str) -> Result<Self, String> {
        match address {
            "sqlite::memory:" => Ok(Self::SqliteMemory),
            url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(Self::Postgres(url.to_owned()))
            }
            other => match other.strip_prefix("sqlite:") {
                Some(file) if !file.is_empty() => Ok(Self::SqliteFile(file.into())),
                _ => Err("database must read sqlite:FILE, sqlite::memory: or postgres://USER@HOST/NAME".to_owned()),
            },
        }
    }
}

impl Config {
    /// Reads where each row is kept; `None` with a single database.
    ///
    /// # Errors
    /// Everything that is wrong, in words.
    pub fn placement(&self) -> Result<Option<Placement>, Vec<String>> {
        if self.shards.is_empty() {
            return Ok(None);
        }
        let days: Vec<ShardDays> =
            self.shards.iter().map(ShardRules::days).collect::<Result<_, _>>().map_err(|wrong| vec![wrong])?;
        let mut addresses: Vec<&str> = self.shards.iter().map(|shard| shard.database.as_str()).collect();
        addresses.sort_unstable();
        if addresses.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(vec!["shards: two numbers have the same database; each has its own".to_owned()]);
        }
        Placement::new(days).map(Some)
    }

    /// Reads the addresses of all databases: one without a number, or several that each have theirs.
    ///
    /// # Errors
    /// What would be right, in words.
    pub fn databases(&self) -> Result<Vec<(Option<ShardNumber>, Database)>, String> {
        if self.shards.is_empty() {
            return Ok(vec![(None, Database::parse(&self.database)?)]);
        }
        if self.database != Self::default().database {
            return Err("give either database or shards, not both".to_owned());
        }
        self.shards.iter().map(|shard| Ok((Some(shard.number), Database::parse(&shard.database)?))).collect()
    }

    pub(super) fn uses_sqlite(&self) -> bool {
        let is_sqlite = |(_, database): &(_, Database)| !matches!(database, Database::Postgres(_));
        self.databases().is_ok_and(|databases| databases.iter().any(is_sqlite))
    }
}
