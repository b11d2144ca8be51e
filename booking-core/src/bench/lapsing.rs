//! How soon a crowd's seats are on sale again: so many holds of one row run out at the same instant, and the reaper, on
//! its own beat, gives all of them back.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use super::{BenchError, settings, untouched_row};
use crate::app::App;
use crate::clock::{Clock, ManualClock};
use crate::config::{Config, SaleRow};
use crate::domain::inventory::InventoryId;
use crate::service::Service;
use crate::service::holding::HoldOrder;
use crate::store::StoreError;
use crate::strategy::Strategy;

/// Holds that are asked for at once.
const AT_ONCE: u32 = 1_000;
/// How long a hold lasts, by a clock that is moved by hand.
const HOLD_SECONDS: u32 = 300;
/// How often it is looked whether the seats are back.
const LOOK: Duration = Duration::from_millis(2);

/// Is how long one round took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LapsingFigures {
    /// Holds that ran out.
    pub holds: u32,
    /// The first seats were on sale again after this.
    pub first_ms: f64,
    /// All were after this.
    pub all_ms: f64,
}

/// Has so many holds made and lets all of them run out at one instant, in so many rounds. The holds live by a clock that is
/// moved by hand; what is measured is real time.
///
/// # Errors
/// [`BenchError`].
pub async fn run(
    database: &str,
    holds: u32,
    rounds: u32,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<LapsingFigures>, BenchError> {
    let row = untouched_row(clock);
    let sale = vec![SaleRow { inventory: row, capacity: holds }];
    let mut config = Config { database: database.to_owned(), sale, ..settings(Strategy::Teller, &[]) };
    config.holds.seconds = HOLD_SECONDS;
    let course = Arc::new(ManualClock::at(clock.now()));
    let app = App::start(config, Arc::clone(&course) as _).await?;
    let mut all = Vec::new();
    for round in 0..rounds {
        all.push(one_round(app.service(), (row, holds, round), (&course, clock)).await?);
    }
    app.stop().await;
    Ok(all)
}

async fn one_round(
    service: &Arc<Service>,
    (row, holds, round): (InventoryId, u32, u32),
    (course, clock): (&ManualClock, &Arc<dyn Clock>),
) -> Result<LapsingFigures, BenchError> {
    for first in (0..holds).step_by(AT_ONCE as usize) {
        let orders = (first..holds.min(first + AT_ONCE)).map(|number| format!("lapsing-{row}-{round}-{number}"));
        join_all(orders.map(|key| service.hold(HoldOrder::new(row, 1, key)))).await;
    }
    let began = clock.stopwatch();
    course.advance_ms(service.terms().hold_ms);
    let passed_ms = || clock.stopwatch().saturating_sub(began).as_secs_f64() * 1_000.0;
    wait_for(service, row, 1).await?;
    let first_ms = passed_ms();
    wait_for(service, row, holds).await?;
    Ok(LapsingFigures { holds, first_ms, all_ms: passed_ms() })
}

async fn wait_for(service: &Service, row: InventoryId, seats: u32) -> Result<(), StoreError> {
    let available = async || Ok(service.store().stock(&[row]).await?.first().map_or(0, |row| row.stock.available));
    while available().await? < seats {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
