//! What a database can take: holds a second on one hot row, through the service call, with durable commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::app::{App, StartError};
use crate::clock::Clock;
use crate::config::{Config, SaleRow};
use crate::domain::inventory::InventoryId;
use crate::service::Service;
use crate::service::holding::HoldOrder;
use crate::strategy::Strategy;

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
}

/// Is what one run measured.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Which strategy.
    pub strategy: &'static str,
    /// How many clients.
    pub clients: usize,
    /// Holds granted.
    pub holds: u64,
    /// Holds granted a second.
    pub holds_per_second: f64,
    /// Half of the answers came within this.
    pub p50_ms: f64,
    /// All but a hundredth came within this.
    pub p99_ms: f64,
    /// Requests that were not granted, for whatever reason.
    pub failed: u64,
}

/// Measures everything in the plan; `report` is called after each run.
///
/// The row of each run is one that nobody has touched: the busiest train of the catalogue, a day far ahead, another for
/// each run. It stays in the database.
///
/// # Errors
/// [`StartError`].
pub async fn run(
    plan: &Plan,
    clock: Arc<dyn Clock>,
    mut report: impl FnMut(&Figures),
) -> Result<Vec<Figures>, StartError> {
    let mut all = Vec::new();
    for &strategy in &plan.strategies {
        for &clients in &plan.clients {
            let figures = measure(plan, strategy, clients, &clock).await?;
            report(&figures);
            all.push(figures);
        }
    }
    Ok(all)
}

async fn measure(
    plan: &Plan,
    strategy: Strategy,
    clients: usize,
    clock: &Arc<dyn Clock>,
) -> Result<Figures, StartError> {
    let row = untouched_row(clock);
    let mut config = Config { database: plan.database.clone(), postgres_connections: 32, ..Config::default() };
    config.teller.strategy = strategy;
    config.holds.seconds = 86_400;
    config.sale = vec![SaleRow { inventory: row, capacity: SEATS }];
    let app = App::start(config, Arc::clone(clock)).await?;
    let ends = clock.stopwatch() + plan.run;
    let started = clock.stopwatch();
    let failed = Arc::new(AtomicU64::new(0));
    let clients_at_work: Vec<_> = (0..clients)
        .map(|client| {
            let buyer = Buyer { client, row, ends, clock: Arc::clone(clock), failed: Arc::clone(&failed) };
            tokio::spawn(buyer.buy(Arc::clone(app.service())))
        })
        .collect();
    let mut waits_us = Vec::new();
    for client in clients_at_work {
        waits_us.extend(client.await.unwrap_or_default());
    }
    let seconds = (clock.stopwatch() - started).as_secs_f64();
    app.stop().await;
    waits_us.sort_unstable();
    Ok(Figures {
        strategy: strategy.name(),
        clients,
        holds: waits_us.len() as u64,
        holds_per_second: waits_us.len() as f64 / seconds,
        p50_ms: quantile_ms(&waits_us, 50),
        p99_ms: quantile_ms(&waits_us, 99),
        failed: failed.load(Ordering::Relaxed),
    })
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

fn quantile_ms(sorted_us: &[u64], percent: usize) -> f64 {
    let index = (sorted_us.len().saturating_sub(1)) * percent / 100;
    sorted_us.get(index).map_or(0.0, |&us| us as f64 / 1000.0)
}

/// Asks for one seat after another.
struct Buyer {
    client: usize,
    row: InventoryId,
    ends: Duration,
    clock: Arc<dyn Clock>,
    failed: Arc<AtomicU64>,
}

impl Buyer {
    async fn buy(self, service: Arc<Service>) -> Vec<u64> {
        let mut waits_us = Vec::new();
        let mut turn = 0_u64;
        loop {
            let asked = self.clock.stopwatch();
            if asked >= self.ends {
                return waits_us;
            }
            turn += 1;
            let key = format!("bench-{}-{}-{turn}", self.row, self.client);
            match service.hold(HoldOrder::new(self.row, 1, key)).await {
                Ok(_) => {
                    let wait = self.clock.stopwatch().saturating_sub(asked);
                    waits_us.push(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX));
                }
                Err(_) => drop(self.failed.fetch_add(1, Ordering::Relaxed)),
            }
        }
    }
}
