//! The configuration: one TOML file, checked whole before anything starts. The only place that reads files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::catalogue::practice::Practice;
use crate::domain::booking::CancellationRule;
use crate::domain::inventory::{InventoryId, parse_date};
use crate::domain::order::Extensions;
use crate::domain::placement::{Placement, ShardDays, ShardNumber};
use crate::domain::seat::{MOST_NUMBERS, Numbering};
use crate::notifier::GatewayAddress;
use crate::provider::simulated::bank::Tempo;
use crate::seat_lock::SeatLock;
use crate::service::Terms;
use crate::strategy::{Rule, Strategies, Strategy};
use crate::teller::TellerLimits;

/// Is everything that can be chosen. [`Config::default`] is what `booking.toml` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen, `HOST:PORT`; port 0 takes a free one.
    pub listen: String,
    /// `sqlite:FILE`, `sqlite::memory:` or `postgres://…`.
    pub database: String,
    /// Several databases instead of the one, each with its days.
    pub shards: Vec<ShardRules>,
    /// Connections to each PostgreSQL, at most.
    pub postgres_connections: usize,
    /// How logs are written.
    pub log: LogFormat,
    /// How long requests under way may take when the process ends, in seconds.
    pub drain_seconds: u64,
    /// Days ahead that are on sale, today not counted.
    pub window_days: u16,
    /// How long and how many.
    pub holds: HoldRules,
    /// How seats are taken.
    pub teller: TellerRules,
    /// Rows that are sold in another way than `teller.strategy`; the first that names a row counts.
    pub strategies: Vec<Rule>,
    /// Who offers appointments.
    pub practices: Vec<Practice>,
    /// Who locks chosen seats for the strategy `seat-lock`.
    pub seat_lock: SeatLockRules,
    /// How money is taken.
    pub payments: PaymentRules,
    /// How much goes back when a booking is cancelled.
    pub cancellation: Vec<CancellationRule>,
    /// Rows with a capacity of their own. They count only when a row is created.
    pub sale: Vec<SaleRow>,
    /// Gateways that are told what is sold out.
    pub gateways: Vec<GatewayAddress>,
}

/// Names one of several databases and the days it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardRules {
    /// Its number, from 0 to 31. It stays with the database for good.
    pub number: ShardNumber,
    /// As [`Config::database`].
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

/// Chooses how logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Says how long and how many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HoldRules {
    /// How long seats are promised.
    pub seconds: u32,
    /// How often a buyer may put that off.
    pub extensions: u32,
    /// By how much each time.
    pub extension_seconds: u32,
    /// Seats in one order, at most.
    pub most_seats: u32,
}

/// Says how seats are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TellerRules {
    /// Which way.
    pub strategy: Strategy,
    /// Requests in one commit, at most.
    pub batch: usize,
    /// Requests that may wait for one row.
    pub waiting: usize,
    /// Rows that may be busy at once.
    pub rows: usize,
}

/// Says who locks chosen seats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SeatLockRules {
    /// The address of a Redis: `redis://HOST:PORT`.
    pub redis: Option<String>,
    /// How long a buyer waits for it, at most, before the database decides alone.
    pub patience_ms: u64,
}

/// Says how money is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaymentRules {
    /// Who takes the money.
    pub provider: ProviderKind,
    /// Where the provider is: for the simulated one, a bank in this process when it is missing; for Stripe, Stripe.
    pub provider_url: Option<String>,
    /// The secret key calls to the provider carry.
    pub provider_key: Option<String>,
    /// The secret the provider signs its webhooks with; a random one each start when it is missing and the bank is in
    /// this process.
    pub webhook_secret: Option<String>,
    /// Where a buyer comes back to from a page at the bank, with `{hold}` for the hold's id.
    pub return_url: Option<String>,
    /// How long the provider may take to answer.
    pub provider_timeout_ms: u64,
    /// After how long a payment the provider does not know counts as failed.
    pub pending_seconds: u32,
    /// How long `sim_slow` takes.
    pub simulated_slow_ms: u64,
    /// After how long `sim_late` takes the money.
    pub simulated_late_ms: u64,
    /// The file in which the simulated bank in this process remembers its charges; in memory only when it is missing.
    pub simulated_state: Option<PathBuf>,
}

/// Names a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// A bank that takes no money, to try everything on.
    #[default]
    Simulated,
    /// Stripe.
    Stripe,
}

/// Gives one row a capacity of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaleRow {
    /// Which row.
    pub inventory: InventoryId,
    /// Seats in all.
    pub capacity: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8082".to_owned(),
            database: "sqlite:booking.db".to_owned(),
            shards: Vec::new(),
            postgres_connections: 16,
            log: LogFormat::Text,
            drain_seconds: 10,
            window_days: 120,
            holds: HoldRules::default(),
            teller: TellerRules::default(),
            strategies: Vec::new(),
            practices: Vec::new(),
            seat_lock: SeatLockRules::default(),
            payments: PaymentRules::default(),
            cancellation: vec![CancellationRule { hours_before: 0, percent: 100 }],
            sale: Vec::new(),
            gateways: Vec::new(),
        }
    }
}

impl Default for HoldRules {
    fn default() -> Self {
        Self { seconds: 300, extensions: 1, extension_seconds: 120, most_seats: 6 }
    }
}

impl Default for SeatLockRules {
    fn default() -> Self {
        Self { redis: None, patience_ms: 50 }
    }
}

impl Default for TellerRules {
    fn default() -> Self {
        Self { strategy: Strategy::Teller, batch: 1_024, waiting: 50_000, rows: 10_000 }
    }
}

impl Default for PaymentRules {
    fn default() -> Self {
        Self {
            provider: ProviderKind::Simulated,
            provider_url: None,
            provider_key: None,
            webhook_secret: None,
            return_url: None,
            provider_timeout_ms: 8_000,
            pending_seconds: 120,
            simulated_slow_ms: 2_000,
            simulated_late_ms: 12_000,
            simulated_state: None,
        }
    }
}

/// Says what is wrong with a configuration, and what would be right.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// The file is not TOML, or has an unknown key or a wrong value.
    #[error("{path} is not a valid configuration:\n{error}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
    /// Values that do not make sense, all of them at once.
    #[error("the configuration does not make sense:\n  {}", .0.join("\n  "))]
    Senseless(Vec<String>),
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
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |error| ConfigError::Unreadable { path: path.to_owned(), error };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let malformed = |error| ConfigError::Malformed { path: path.to_owned(), error: Box::new(error) };
        toml::from_str(&text).map_err(malformed)
    }

    /// Checks that the values make sense.
    ///
    /// # Errors
    /// [`ConfigError::Senseless`] with every problem at once.
    pub fn check(&self) -> Result<(), ConfigError> {
        let bounded = [
            ("postgres_connections", self.postgres_connections as u64, 1, 500),
            ("drain_seconds", self.drain_seconds, 0, 600),
            ("window_days", self.window_days.into(), 0, 400),
            ("holds.seconds", self.holds.seconds.into(), 1, 86_400),
            ("holds.extensions", self.holds.extensions.into(), 0, 100),
            ("holds.extension_seconds", self.holds.extension_seconds.into(), 1, 86_400),
            ("holds.most_seats", self.holds.most_seats.into(), 1, 100),
            ("teller.batch", self.teller.batch as u64, 1, 10_000),
            ("teller.waiting", self.teller.waiting as u64, 1, 1_000_000),
            ("teller.rows", self.teller.rows as u64, 1, 1_000_000),
            ("seat_lock.patience_ms", self.seat_lock.patience_ms, 1, 5_000),
            ("payments.provider_timeout_ms", self.payments.provider_timeout_ms, 1, 120_000),
            ("payments.pending_seconds", self.payments.pending_seconds.into(), 1, 86_400),
        ];
        let mut problems: Vec<String> = bounded
            .into_iter()
            .filter(|(_, value, least, most)| !(least..=most).contains(&value))
            .map(|(key, value, least, most)| format!("{key} is {value}; it must be from {least} to {most}"))
            .collect();
        match self.placement() {
            Ok(_) => problems.extend(self.databases().err()),
            Err(wrong) => problems.extend(wrong),
        }
        problems.extend(self.payments.problems());
        for rule in self.cancellation.iter().filter(|rule| rule.percent > 100 || rule.hours_before > 24 * 400) {
            problems
                .push(format!("cancellation: {rule:?}: percent must be from 0 to 100, hours_before from 0 to 9600"));
        }
        for row in self.sale.iter().filter(|row| row.capacity > 1_000_000) {
            problems.push(format!("sale: the capacity of {} must be at most 1000000", row.inventory));
        }
        problems.extend(self.practices.iter().flat_map(Practice::problems));
        problems.extend(self.strategy_problems());
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::Senseless(problems)) }
    }

    /// Says which strategies cannot work here, and what would.
    fn strategy_problems(&self) -> Vec<String> {
        let (strategies, sqlite) = (self.strategies(), self.uses_sqlite());
        let uses = |wanted| strategies.in_use().any(|strategy| strategy == wanted);
        let mut problems = Vec::new();
        if uses(Strategy::Pessimistic) && sqlite {
            problems.push(
                "the strategy pessimistic needs row locks, which SQLite has not: one writer at a time has all of it \
                 locked; use teller or conditional, or PostgreSQL"
                    .to_owned(),
            );
        }
        match &self.seat_lock.redis {
            None if uses(Strategy::SeatLock) => problems.push(
                "the strategy seat-lock needs seat_lock.redis, for example redis://127.0.0.1:6379; without a Redis use \
                 seat-key"
                    .to_owned(),
            ),
            Some(url) => {
                if let Err(error) = SeatLock::check(url) {
                    problems.push(format!("seat_lock.redis must read redis://HOST:PORT: {error}"));
                }
            }
            None => {}
        }
        let numbered = |row: &&SaleRow| strategies.of(row.inventory).numbering() != Numbering::Pool;
        for row in self.sale.iter().filter(numbered).filter(|row| row.capacity > MOST_NUMBERS) {
            problems
                .push(format!("sale: {} has numbers, so its capacity must be at most {MOST_NUMBERS}", row.inventory));
        }
        problems
    }

    pub(crate) fn strategies(&self) -> Strategies {
        Strategies::new(self.teller.strategy, self.strategies.clone())
    }

    fn uses_sqlite(&self) -> bool {
        let is_sqlite = |(_, database): &(_, Database)| !matches!(database, Database::Postgres(_));
        self.databases().is_ok_and(|databases| databases.iter().any(is_sqlite))
    }

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

    pub(crate) fn terms(&self) -> Terms {
        let sale: HashMap<_, _> = self.sale.iter().map(|row| (row.inventory, row.capacity)).collect();
        Terms {
            hold_ms: i64::from(self.holds.seconds) * 1000,
            extensions: Extensions {
                most: self.holds.extensions,
                each_ms: i64::from(self.holds.extension_seconds) * 1000,
            },
            most_seats: self.holds.most_seats,
            window_days: self.window_days,
            provider_timeout: Duration::from_millis(self.payments.provider_timeout_ms),
            pending_ms: i64::from(self.payments.pending_seconds) * 1000,
            return_url: self.payments.return_url.clone(),
            cancellation: self.cancellation.clone(),
            sale,
        }
    }

    pub(crate) const fn teller_limits(&self) -> TellerLimits {
        TellerLimits { batch: self.teller.batch, waiting: self.teller.waiting, rows: self.teller.rows }
    }

    pub(crate) const fn tempo(&self) -> Tempo {
        Tempo {
            slow: Duration::from_millis(self.payments.simulated_slow_ms),
            late: Duration::from_millis(self.payments.simulated_late_ms),
        }
    }
}

impl PaymentRules {
    /// Tells whether the bank is to run in this process.
    #[must_use]
    pub fn bank_is_here(&self) -> bool {
        self.provider == ProviderKind::Simulated && self.provider_url.is_none()
    }

    fn problems(&self) -> Vec<String> {
        let stripe = self.provider == ProviderKind::Stripe;
        let page = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        let wrong = [
            (
                stripe && self.provider_key.is_none(),
                "payments.provider_key is missing; give Stripe's secret key (sk_…)",
            ),
            (
                !self.bank_is_here() && self.webhook_secret.as_ref().is_none_or(String::is_empty),
                "payments.webhook_secret is missing; give the secret the provider signs its webhooks with",
            ),
            (
                self.return_url.as_ref().is_some_and(|url| !page(url)),
                "payments.return_url must begin with https:// or http://, for example https://tickets.example/hold/{hold}",
            ),
        ];
        wrong.into_iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, words)| words.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_says_what_the_defaults_are() {
        let reference: Config = toml::from_str(include_str!("../booking.toml")).unwrap();
        assert_eq!(reference, Config::default());
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        for text in ["lisen = 'x'", "[holds]\nsecond = 1", "[[gateways]]\nadmin='a'\nroom='r'\ntoken='t'\nextra=1"] {
            let error = toml::from_str::<Config>(text).unwrap_err().to_string();
            assert!(error.contains("unknown field"), "{error}");
        }
    }

    #[test]
    fn every_senseless_value_is_named_at_once() {
        let mut config = Config { database: "mysql://x".to_owned(), ..Config::default() };
        config.holds.seconds = 0;
        config.teller.batch = 0;
        config.payments.provider = ProviderKind::Stripe;
        config.payments.return_url = Some("javascript:alert(1)".to_owned());
        config.cancellation.push(CancellationRule { hours_before: 1, percent: 101 });
        let message = config.check().unwrap_err().to_string();
        let parts =
            ["holds.seconds", "teller.batch", "database must read", "provider_key", "webhook_secret", "return_url"];
        for part in parts.into_iter().chain(["percent must be"]) {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_strategy_that_cannot_work_says_what_would() {
        let rules = "[teller]\nstrategy = 'pessimistic'\n[[strategies]]\nrows = '*:*:3A'\nuse = 'seat-lock'\n\
                     [[sale]]\ninventory = '12951:2026-11-23:3A'\ncapacity = 10001";
        let config: Config = toml::from_str(rules).unwrap();
        let message = config.check().unwrap_err().to_string();
        for part in ["use teller or conditional", "without a Redis use seat-key", "12951:2026-11-23:3A has numbers"] {
            assert!(message.contains(part), "{message}");
        }
        let postgres = format!("database = 'postgres://b@h/n'\n{}", rules.replace("10001", "10000"));
        let mut config: Config = toml::from_str(&postgres).unwrap();
        config.seat_lock.redis = Some("localhost".to_owned());
        assert!(config.check().unwrap_err().to_string().contains("must read redis://HOST:PORT"));
        config.seat_lock.redis = Some("redis://localhost".to_owned());
        config.check().unwrap();
    }
}
