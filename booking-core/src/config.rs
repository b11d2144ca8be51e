//! The configuration: one TOML file, checked whole before anything starts. The only place that reads files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::catalogue::practice::Practice;
use crate::domain::booking::CancellationRule;
use crate::domain::inventory::InventoryId;
use crate::domain::order::Extensions;
use crate::domain::seat::{MOST_NUMBERS, Numbering};
use crate::notifier::GatewayAddress;
use crate::seat_lock::SeatLock;
use crate::secret;
use crate::service::Terms;
use crate::strategy::{Rule, Strategies, Strategy};
use crate::teller::TellerLimits;

mod databases;
mod payments;
mod traces;

pub use databases::{Database, ShardRules};
pub use payments::{PaymentRules, ProviderKind};
pub use traces::TraceTable;
pub use vestibule_telemetry::LogForm;

/// Connections to a PostgreSQL that those who commit alone leave to everybody else.
const KEPT_FREE: usize = 4;

/// Is everything that can be chosen. [`Config::default`] is what `booking.toml` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen, `HOST:PORT`; port 0 takes a free one.
    pub listen: String,
    /// `sqlite:FILE`, `sqlite::memory:` or `postgres://…`.
    #[serde(deserialize_with = "secret::text")]
    pub database: String,
    /// Several databases instead of the one, each with its days.
    pub shards: Vec<ShardRules>,
    /// Connections to each PostgreSQL, at most.
    pub postgres_connections: usize,
    /// How logs are written.
    pub log: LogForm,
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
    /// The concurrency lab.
    pub lab: LabRules,
    /// Traces of requests.
    pub traces: TraceTable,
}

/// Says whether there is a lab.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LabRules {
    /// Whether `/lab/` is there.
    pub enabled: bool,
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
    #[serde(deserialize_with = "secret::option")]
    pub redis: Option<String>,
    /// How long a buyer waits for it, at most, before the database decides alone.
    pub patience_ms: u64,
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
            log: LogForm::Text,
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
            lab: LabRules::default(),
            traces: TraceTable::default(),
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

    pub(crate) fn teller_limits(&self) -> TellerLimits {
        let alone = self.postgres_connections.saturating_sub(KEPT_FREE).max(1);
        TellerLimits { batch: self.teller.batch, waiting: self.teller.waiting, rows: self.teller.rows, alone }
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
    fn a_secret_may_stand_in_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "postgres://b:word@h/n\n").unwrap();
        let file = format!("{{ file = '{}' }}", path.display());
        let text = format!(
            "database = {file}\n[payments]\nprovider_key = {file}\nwebhook_secret = 'as it is'\n[seat_lock]\n\
             redis = {file}\n[[gateways]]\nadmin = 'a'\nroom = 'r'\ntoken = {file}"
        );
        let config: Config = toml::from_str(&text).unwrap();
        let secret = "postgres://b:word@h/n";
        assert_eq!((config.database.as_str(), config.gateways[0].token.as_str()), (secret, secret));
        assert_eq!(config.payments.provider_key.as_deref(), Some(secret));
        assert_eq!(config.payments.webhook_secret.as_deref(), Some("as it is"));
        assert_eq!(config.seat_lock.redis.as_deref(), Some(secret));
        let shard: Config = toml::from_str(&format!("[[shards]]\nnumber = 0\ndatabase = {file}")).unwrap();
        assert_eq!(shard.shards[0].database, secret);
    }

    #[test]
    fn a_secret_that_is_not_to_be_had_says_where_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "\n").unwrap();
        let of_empty = format!("database = {{ file = '{}' }}", empty.display());
        for (text, part) in [
            ("database = { file = '/no/such' }", "cannot read /no/such: No such file"),
            (of_empty.as_str(), "empty is empty"),
            ("database = { path = 'x' }", "unknown field `path`, expected `file`"),
            ("database = { file = 'x', other = 'y' }", "and nothing besides"),
            ("database = 7", "expected a text in quotes, or { file ="),
        ] {
            let error = toml::from_str::<Config>(text).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("line 1"), "{error}");
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
