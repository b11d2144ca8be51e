//! What a database can take: holds a second on one hot row, with durable commits.
//!
//! A run has so many clients ask for one seat after another, each as soon as the last was answered. They ask the service
//! itself, or over HTTP with a ticket that is verified, or go through the whole purchase. The clients live in this
//! process and share its cores.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::net::TcpListener;

use crate::app::{App, StartError};
use crate::clock::Clock;
use crate::config::{Config, SaleRow, ShardRules};
use crate::domain::inventory::InventoryId;
use crate::store::StoreError;
use crate::strategy::Strategy;

mod buyer;

mod http;

pub mod lapsing;

pub mod neighbour;

pub mod plot;

mod processor;

pub mod telling;

use buyer::{Buyer, Counter};
use processor::Used;

/// More than a bench can sell.
const SEATS: u32 = 1_000_000;

/// Says what to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// On which database, as in the configuration.
    pub database: String,
    /// Which strategies.
    pub strategies: Vec<Strategy>,
    /// With how many clients at once, one run each.
    pub clients: Vec<usize>,
    /// How long each run lasts.
    pub run: Duration,
    /// How often everything is run, in turn, so that quick and slow minutes of a machine fall on all alike; at least once.
    pub rounds: u32,
    /// What a client does, one run each.
    pub ways: Vec<Way>,
    /// What was added to every sync of the database from outside, in milliseconds; only written into the figures.
    pub sync_added_ms: u32,
}

/// Says what a client does, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Holds a seat by a call of the service.
    Service,
    /// Holds a seat over HTTP, with a ticket that is verified.
    Http,
    /// Holds a seat, pays, and has a booking: provider, webhook and all, by calls of the service.
    Purchase,
}

impl Way {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Service, Self::Http, Self::Purchase];

    /// Returns its name in arguments and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Http => "http",
            Self::Purchase => "purchase",
        }
    }
}

/// Is what one run measured, or several of a kind together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    /// `postgresql` or `sqlite`.
    pub database: String,
    /// What was added to every sync.
    pub sync_added_ms: u32,
    /// What a client did.
    pub way: Way,
    /// Which strategy.
    pub strategy: String,
    /// How many clients.
    pub clients: usize,
    /// Holds granted, or purchases confirmed.
    pub holds: u64,
    /// So many a second.
    pub holds_per_second: f64,
    /// Half of the answers came within this.
    pub p50_ms: f64,
    /// All but a hundredth came within this.
    pub p99_ms: f64,
    /// Requests that were not granted, for whatever reason.
    pub failed: u64,
    /// How many cores this process kept busy, clients and service together; unknown where there is no `/proc`.
    pub own_cores: Option<f64>,
    /// How many cores everything else on the machine kept busy: the database, if it is here and all else rests.
    pub other_cores: Option<f64>,
}

/// Says why a bench could not be run.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The booking core did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The own listener or a connection to it failed.
    #[error("the bench cannot reach itself: {0}")]
    Loopback(#[from] std::io::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Two databases hold the same.
    #[error("every train lies on one of the two databases; give two different ones")]
    OneSided,
}

/// Measures everything in the plan; `report` is called in the last round, after each run.
///
/// The row of each run is one that nobody has touched: the busiest train of the catalogue, a day far ahead, another for
/// each run. It stays in the database.
///
/// # Errors
/// [`BenchError`].
pub async fn run(
    plan: &Plan,
    clock: Arc<dyn Clock>,
    mut report: impl FnMut(&Figures),
) -> Result<Vec<Figures>, BenchError> {
    let mut kinds: Vec<(Way, Strategy, usize, Vec<Rush>)> = Vec::new();
    for &way in &plan.ways {
        for &strategy in &plan.strategies {
            kinds.extend(plan.clients.iter().map(|&clients| (way, strategy, clients, Vec::new())));
        }
    }
    let database = if plan.database.starts_with("sqlite:") { "sqlite" } else { "postgresql" };
    let mut all = Vec::new();
    for round in 1..=plan.rounds {
        for (way, strategy, clients, rushes) in &mut kinds {
            rushes.push(measure(plan, *way, *strategy, *clients, &clock).await?);
            if round == plan.rounds {
                let rush = Rush::together(*clients, std::mem::take(rushes));
                let figures = rush.figures(database, plan.sync_added_ms, *way, *strategy);
                report(&figures);
                all.push(figures);
            }
        }
    }
    Ok(all)
}

async fn measure(
    plan: &Plan,
    way: Way,
    strategy: Strategy,
    clients: usize,
    clock: &Arc<dyn Clock>,
) -> Result<Rush, BenchError> {
    let row = untouched_row(clock);
    let config = Config { database: plan.database.clone(), ..settings(strategy, &[row]) };
    let mut app = App::start(config, Arc::clone(clock)).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    app.expect_webhooks(&listener)?;
    let site = http::Site::open(listener, app.router()).await?;
    let mut counters = Vec::with_capacity(clients);
    for client in 0..clients {
        counters.push(match way {
            Way::Http => Counter::Http(Box::new(site.visit(client).await?)),
            Way::Purchase => Counter::Purchase(Arc::clone(app.service())),
            Way::Service => Counter::Service(Arc::clone(app.service())),
        });
    }
    let rush = rush(row, counters, plan.run, clock).await;
    app.stop().await;
    Ok(rush)
}

fn settings(strategy: Strategy, rows: &[InventoryId]) -> Config {
    let mut config = Config { postgres_connections: 32, ..Config::default() };
    config.teller.strategy = strategy;
    config.holds.seconds = 86_400;
    config.sale = rows.iter().map(|&inventory| SaleRow { inventory, capacity: SEATS }).collect();
    config
}

/// Is what a crowd of clients went through.
struct Rush {
    clients: usize,
    /// How long each granted request took, in microseconds, the quickest first.
    waits_us: Vec<u64>,
    failed: u64,
    seconds: f64,
    /// Cores kept busy by this process, and by all others.
    cores: Option<(f64, f64)>,
}

/// Has clients buy from one row for a while.
async fn rush(row: InventoryId, counters: Vec<Counter>, run: Duration, clock: &Arc<dyn Clock>) -> Rush {
    let clients = counters.len();
    let (started, used) = (clock.stopwatch(), Used::read());
    let ends = started + run;
    let at_work: Vec<_> = counters
        .into_iter()
        .enumerate()
        .map(|(client, counter)| tokio::spawn(Buyer { client, row, ends, clock: Arc::clone(clock), counter }.buy()))
        .collect();
    let (mut waits_us, mut failed) = (Vec::new(), 0);
    for client in at_work {
        let bought = client.await.unwrap_or_default();
        waits_us.extend(bought.waits_us);
        failed += bought.failed;
    }
    let elapsed = clock.stopwatch() - started;
    let cores = Used::read().zip(used).map(|(now, then)| now.cores_since(then, elapsed));
    waits_us.sort_unstable();
    Rush { clients, waits_us, failed, seconds: elapsed.as_secs_f64(), cores }
}

impl Rush {
    /// Counts several as one, each with its time.
    fn together(clients: usize, rushes: Vec<Self>) -> Self {
        let seconds = rushes.iter().map(|rush| rush.seconds).sum();
        let cores = |of: fn((f64, f64)) -> f64| -> Option<f64> {
            let busy = rushes.iter().map(|rush| rush.cores.map(|cores| of(cores) * rush.seconds));
            busy.sum::<Option<f64>>().map(|busy_s| busy_s / seconds)
        };
        let cores = cores(|(own, _)| own).zip(cores(|(_, other)| other));
        let failed = rushes.iter().map(|rush| rush.failed).sum();
        let mut waits_us: Vec<u64> = rushes.into_iter().flat_map(|rush| rush.waits_us).collect();
        waits_us.sort_unstable();
        Self { clients, waits_us, failed, seconds, cores }
    }

    fn figures(&self, database: &str, sync_added_ms: u32, way: Way, strategy: Strategy) -> Figures {
        Figures {
            database: database.to_owned(),
            sync_added_ms,
            way,
            strategy: strategy.name().to_owned(),
            clients: self.clients,
            holds: self.waits_us.len() as u64,
            holds_per_second: self.waits_us.len() as f64 / self.seconds,
            p50_ms: self.quantile_ms(50),
            p99_ms: self.quantile_ms(99),
            failed: self.failed,
            own_cores: self.cores.map(|(own, _)| own),
            other_cores: self.cores.map(|(_, other)| other),
        }
    }

    fn quantile_ms(&self, percent: usize) -> f64 {
        let index = self.waits_us.len().saturating_sub(1) * percent / 100;
        self.waits_us.get(index).map_or(0.0, |&us| us as f64 / 1000.0)
    }
}

/// Names a row by the present moment: a day within some hundred years of which each is used once in a while.
fn untouched_row(clock: &Arc<dyn Clock>) -> InventoryId {
    let now = clock.now();
    let days = now.as_ms().rem_euclid(1_000_000);
    let date = now.day_in_india().saturating_add(time::Duration::days(400 + days));
    let train = "12951:2026-11-23:3A".parse::<InventoryId>();
    #[expect(clippy::expect_used, reason = "a constant in its one spelling")]
    let row = train.expect("a constant in its one spelling");
    InventoryId { date, ..row }
}

/// Describes two databases as shards that take every day.
fn two_shards(databases: [&str; 2]) -> Vec<ShardRules> {
    let shard = |(number, database): (u8, &str)| {
        let number = number.try_into().ok()?;
        Some(ShardRules { number, database: database.to_owned(), from: None, until: None })
    };
    (0..).zip(databases).filter_map(shard).collect()
}
