//! How soon a gateway knows: from asking for the last seat, or giving it back, to the gateway's ear. The commit is part
//! of it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{BenchError, settings, untouched_row};
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, SaleRow};
use crate::domain::inventory::InventoryId;
use crate::notifier::GatewayAddress;
use crate::service::Service;
use crate::service::holding::HoldOrder;
use crate::strategy::Strategy;

/// How long a word may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// Is how long one kind of word took.
#[derive(Clone, Debug, Serialize)]
pub struct TellingFigures {
    /// `sold-out` or `on-sale`.
    pub word: &'static str,
    /// Who changed the row: the process that tells, or `another` one.
    pub changed_by: &'static str,
    /// Half of the words came within this.
    pub p50_ms: f64,
    /// All but a hundredth came within this.
    pub p99_ms: f64,
    /// The last came after this.
    pub max_ms: f64,
    /// Words that never came.
    pub lost: u32,
}

/// A gateway that notes when it hears what.
struct Ear {
    words: mpsc::Receiver<(String, Duration)>,
    address: GatewayAddress,
    _listening: AbortOnDropHandle<()>,
}

type Noted = (mpsc::Sender<(String, Duration)>, Arc<dyn Clock>);

async fn hear(State((noted, clock)): State<Noted>, Path((_room, word)): Path<(String, String)>) -> StatusCode {
    let _nobody_listens_any_more = noted.try_send((word, clock.stopwatch()));
    StatusCode::OK
}

impl Ear {
    async fn open(clock: &Arc<dyn Clock>) -> std::io::Result<Self> {
        let (noted, words) = mpsc::channel(1_024);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let admin = format!("http://{}", listener.local_addr()?);
        let router = Router::new().route("/api/rooms/{room}/{word}", post(hear)).with_state((noted, Arc::clone(clock)));
        let listening = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        let address = GatewayAddress { admin, room: "bench".to_owned(), token: "bench".to_owned() };
        Ok(Self { words, address, _listening: AbortOnDropHandle::new(listening) })
    }

    /// Waits for a word that comes after a moment on the stopwatch; returns how long after.
    async fn wait_for(&mut self, word: &str, since: Duration) -> Option<Duration> {
        let heard = async {
            while let Some((heard, at)) = self.words.recv().await {
                if heard == word && at >= since {
                    return Some(at - since);
                }
            }
            None
        };
        tokio::time::timeout(PATIENCE, heard).await.ok().flatten()
    }
}

/// Takes and gives back the one seat of a row, again and again, and measures how soon a gateway is told.
///
/// # Errors
/// [`BenchError`].
pub async fn run(database: &str, rounds: u32, clock: &Arc<dyn Clock>) -> Result<Vec<TellingFigures>, BenchError> {
    let row = untouched_row(clock);
    let mut ear = Ear::open(clock).await?;
    let alone = Config { database: database.to_owned(), ..settings(Strategy::Teller, &[]) };
    let alone = Config { sale: vec![SaleRow { inventory: row, capacity: 1 }], ..alone };
    let telling = Config { gateways: vec![ear.address.clone()], ..alone.clone() };
    let teller = App::start(telling, Arc::clone(clock)).await?;
    let other = App::start(alone, Arc::clone(clock)).await?;
    let mut all = Vec::new();
    for (changed_by, app) in [("itself", &teller), ("another", &other)] {
        all.extend(measure(app.service(), row, changed_by, rounds, &mut ear, clock).await);
    }
    other.stop().await;
    teller.stop().await;
    Ok(all)
}

async fn measure(
    service: &Arc<Service>,
    row: InventoryId,
    changed_by: &'static str,
    rounds: u32,
    ear: &mut Ear,
    clock: &Arc<dyn Clock>,
) -> [TellingFigures; 2] {
    let (mut sold_out, mut on_sale) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let key = format!("telling-{row}-{changed_by}-{round}");
        let asked = clock.stopwatch();
        let Ok(held) = service.hold(HoldOrder::new(row, 1, key)).await else { continue };
        sold_out.push(ear.wait_for("sold-out", asked).await);
        let asked = clock.stopwatch();
        if service.cancel(held.hold.id).await.is_ok() {
            on_sale.push(ear.wait_for("on-sale", asked).await);
        }
    }
    [("sold-out", sold_out), ("on-sale", on_sale)].map(|(word, waits)| figures(word, changed_by, &waits))
}

fn figures(word: &'static str, changed_by: &'static str, waits: &[Option<Duration>]) -> TellingFigures {
    let mut came_ms: Vec<f64> = waits.iter().flatten().map(|wait| wait.as_secs_f64() * 1_000.0).collect();
    came_ms.sort_unstable_by(f64::total_cmp);
    let quantile =
        |percent: usize| came_ms.get(came_ms.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0.0);
    let lost = u32::try_from(waits.len() - came_ms.len()).unwrap_or(u32::MAX);
    TellingFigures { word, changed_by, p50_ms: quantile(50), p99_ms: quantile(99), max_ms: quantile(100), lost }
}
