//! What a hot train does to a quiet one: on the same database, and on another.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::buyer::Counter;
use super::{BenchError, rush, settings, two_shards, untouched_row};
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::inventory::InventoryId;
use crate::service::Service;
use crate::strategy::Strategy;

/// Says what to measure.
#[derive(Clone, Debug)]
pub struct Neighbours {
    /// Two databases.
    pub databases: [String; 2],
    /// How the seats are taken.
    pub strategy: Strategy,
    /// Clients of the quiet train.
    pub quiet_clients: usize,
    /// Clients of the hot train.
    pub hot_clients: usize,
    /// How long each run lasts.
    pub run: Duration,
}

/// Is what the buyers of the quiet train went through.
#[derive(Clone, Debug, Serialize)]
pub struct QuietFigures {
    /// Where the hot train was: `nowhere`, `elsewhere` or `beside`.
    pub hot_train: &'static str,
    /// Holds of the quiet train a second.
    pub holds_per_second: f64,
    /// Half of its answers came within this.
    pub p50_ms: f64,
    /// All but a hundredth came within this.
    pub p99_ms: f64,
    /// Holds of the hot train a second.
    pub hot_holds_per_second: f64,
}

/// Measures a quiet train alone, with a hot one on the other database, and with a hot one on its own.
///
/// # Errors
/// [`BenchError`].
pub async fn run(plan: &Neighbours, clock: &Arc<dyn Clock>) -> Result<Vec<QuietFigures>, BenchError> {
    let [one, other] = [&plan.databases[0], &plan.databases[1]].map(String::as_str);
    let placement = Config { shards: two_shards([one, other]), ..Config::default() }.placement();
    let place = |row: &InventoryId| placement.as_ref().ok()?.as_ref().map(|placement| placement.of(*row));
    let quiet = untouched_row(clock);
    let trains = (10_000..30_000).filter_map(|number| format!("{number}").parse().ok());
    let catalogue = crate::catalogue::Catalogue::embedded().map_err(crate::app::StartError::from)?;
    let rows: Vec<InventoryId> = trains
        .map(|train| InventoryId { train, ..quiet })
        .filter(|row| row.train != quiet.train && catalogue.offer(*row).is_ok())
        .collect();
    let find = |same: bool| rows.iter().copied().find(|row| (place(row) == place(&quiet)) == same);
    let (Some(beside), Some(elsewhere)) = (find(true), find(false)) else { return Err(BenchError::OneSided) };
    let shards = two_shards([one, other]);
    let app = App::start(Config { shards, ..settings(plan.strategy, &[quiet, beside, elsewhere]) }, Arc::clone(clock));
    let app = app.await?;
    let mut all = Vec::new();
    for (name, hot) in [("nowhere", None), ("elsewhere", Some(elsewhere)), ("beside", Some(beside))] {
        all.push(side_by_side(plan, name, (quiet, hot), app.service(), clock).await);
    }
    app.stop().await;
    Ok(all)
}

async fn side_by_side(
    plan: &Neighbours,
    hot_train: &'static str,
    (quiet, hot): (InventoryId, Option<InventoryId>),
    service: &Arc<Service>,
    clock: &Arc<dyn Clock>,
) -> QuietFigures {
    let counters = |clients: usize| (0..clients).map(|_| Counter::Service(Arc::clone(service))).collect();
    let hot_rush = async {
        match hot {
            Some(hot) => Some(rush(hot, counters(plan.hot_clients), plan.run, clock).await),
            None => None,
        }
    };
    let quiet_rush = rush(quiet, counters(plan.quiet_clients), plan.run, clock);
    let (quiet, hot) = tokio::join!(quiet_rush, hot_rush);
    QuietFigures {
        hot_train,
        holds_per_second: quiet.waits_us.len() as f64 / quiet.seconds,
        p50_ms: quiet.quantile_ms(50),
        p99_ms: quiet.quantile_ms(99),
        hot_holds_per_second: hot.map_or(0.0, |hot| hot.waits_us.len() as f64 / hot.seconds),
    }
}
