//! The same rush before what really sells: the product's own teller and store, on a database of the lab's own. Whoever
//! comes while a commit is under way goes together into the next.

use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Refusal;
use super::board::micros;
use super::ground::{Ground, Trouble};
use super::rush::{Outcome, PEOPLE, SEATS};
use crate::clock::Clock;
use crate::domain::hold::HoldId;
use crate::domain::inventory::{Class, InventoryId, Offer, parse_date};
use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::seat::{Numbering, Wish};
use crate::metrics::Metrics;
use crate::store::{Store, TakeAnswer, TakeRequest, Till};
use crate::strategy::Strategy;
use crate::teller::{Teller, TellerLimits};

const LIMITS: TellerLimits = TellerLimits { batch: PEOPLE as usize, waiting: PEOPLE as usize, rows: 1, alone: 1 };

/// Sends the thousand to the teller, and reads from the store what came of it.
pub(super) async fn run(ground: &Ground, clock: &Arc<dyn Clock>) -> Result<Outcome, Refusal> {
    let shop = ground.shop().await?;
    let outcome = sell(&shop.store, clock).await.map_err(|error| Trouble(error).into());
    shop.close().await;
    outcome
}

async fn sell(store: &Arc<dyn Store>, clock: &Arc<dyn Clock>) -> Result<Outcome, String> {
    let row = row()?;
    let offer = Offer { inventory: row, capacity: SEATS, price: Paise::new(100), numbering: Numbering::Pool };
    store.ensure(&[offer]).await.map_err(|error| error.to_string())?;
    let metrics = Metrics::new();
    let till: Arc<dyn Till> = Arc::clone(store) as _;
    let teller = Arc::new(Teller::new(till, metrics.clone(), Strategy::Teller, LIMITS));
    let start = Arc::new(Barrier::new(PEOPLE as usize + 1));
    let mut crowd = JoinSet::new();
    for _ in 0..PEOPLE {
        let (teller, start, request) = (Arc::clone(&teller), Arc::clone(&start), request(clock.now()));
        crowd.spawn(async move {
            start.wait().await;
            teller.take(row, request).await
        });
    }
    start.wait().await;
    let began = clock.stopwatch();
    let mut outcome = Outcome::default();
    while let Some(served) = crowd.join_next().await {
        match served.map_err(|error| error.to_string()).and_then(|served| served.map_err(|error| error.to_string())) {
            Ok(served) => outcome.refused += u32::from(!matches!(served.answer, TakeAnswer::Granted(_))),
            Err(error) => {
                outcome.failed += 1;
                outcome.error = outcome.error.or(Some(error));
            }
        }
    }
    outcome.took_us = micros(clock.stopwatch().saturating_sub(began));
    teller.close().await;
    let books = store.books().await.map_err(|error| error.to_string())?;
    outcome.sold = books.open_holds;
    outcome.oversold = books.open_holds.saturating_sub(u64::from(SEATS));
    outcome.left = books.rows.first().map_or(0, |row| row.stock.available.into());
    outcome.commits = metrics.batch_size.get_sample_count();
    Ok(outcome)
}

fn row() -> Result<InventoryId, String> {
    let date = parse_date("2026-11-23").map_err(|bad| bad.to_string())?;
    let train = "12951".parse().map_err(|_| "no such train".to_owned())?;
    Ok(InventoryId { train, date, class: Class::ThreeTierAc })
}

fn request(now: Moment) -> TakeRequest {
    let id = *uuid::Uuid::new_v4().as_bytes();
    TakeRequest {
        hold: HoldId::from_bytes(id),
        request_hash: [0; 32],
        quantity: 1,
        wish: Wish::Any,
        amount: Paise::new(100),
        created_at: now,
        expires_at: now.plus_ms(60_000),
    }
}
