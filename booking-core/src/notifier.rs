//! Tells the gateways in front what is sold out and what is on sale again, so that they can answer from memory.
//!
//! Sales never wait for it: a change is put on a board, where a newer one replaces an older one of the same row, so the
//! board is bounded by the rows that change. One task for each gateway carries the board's news there, and puts back
//! what was not taken.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::inventory::InventoryId;
use crate::domain::moment::Moment;
use crate::metrics::Metrics;

/// Rows whose news may wait; beyond that news is dropped and the headers of answers must do.
const BOARD: usize = 4_096;
/// A row's stock is told at most this often.
const STOCK_EVERY_MS: i64 = 500;
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Names a gateway and the room whose visitors buy here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayAddress {
    /// The base URL of its admin listener, for example `http://127.0.0.1:8081`.
    pub admin: String,
    /// The room.
    pub room: String,
    /// The bearer token of its admin listener.
    pub token: String,
}

/// Is what changed about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Seats on sale.
    pub available: u32,
    /// For how many seconds "sold out" may be believed; of meaning only when nothing is available.
    pub ttl_seconds: u32,
}

/// Holds the news one gateway has not been told.
#[derive(Debug, Default)]
pub struct Board {
    news: Mutex<HashMap<InventoryId, Notice>>,
    posted: Notify,
}

impl Board {
    fn news(&self) -> MutexGuard<'_, HashMap<InventoryId, Notice>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts the newest state of a row. Never waits.
    pub fn post(&self, inventory: InventoryId, notice: Notice) {
        let mut news = self.news();
        if news.len() < BOARD || news.contains_key(&inventory) {
            news.insert(inventory, notice);
            drop(news);
            self.posted.notify_one();
        }
    }

    /// Puts back what could not be told, unless something newer has been posted.
    fn put_back(&self, inventory: InventoryId, notice: Notice) {
        if let Entry::Vacant(slot) = self.news().entry(inventory) {
            slot.insert(notice);
        }
    }

    fn take_all(&self) -> HashMap<InventoryId, Notice> {
        std::mem::take(&mut *self.news())
    }

    fn len(&self) -> usize {
        self.news().len()
    }
}

/// A gateway's address is not usable.
#[derive(Debug, Error)]
#[error("gateway {0:?}: write its admin address as http://HOST:PORT")]
pub struct BadGateway(String);

#[derive(Debug, Error)]
enum CallFault {
    #[error("{0}")]
    Http(#[from] hyper::http::Error),
    #[error("{0}")]
    Call(#[from] hyper_util::client::legacy::Error),
    #[error("no answer in time")]
    Slow(#[from] tokio::time::error::Elapsed),
    #[error("it answered {0}")]
    Refused(hyper::StatusCode),
}

/// What a gateway was last told about a row.
#[derive(Clone, Copy)]
struct Told {
    sold_out: bool,
    stock_at: Moment,
}

/// Carries news to one gateway.
pub struct Notifier {
    address: GatewayAddress,
    base: String,
    board: Arc<Board>,
    client: Client<HttpConnector, Full<Bytes>>,
    told: HashMap<InventoryId, Told>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

impl Notifier {
    /// Makes a notifier for one gateway; it does nothing until it runs.
    ///
    /// # Errors
    /// [`BadGateway`] when the address is not a plain `http://` URL.
    pub fn new(
        address: GatewayAddress,
        board: Arc<Board>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Result<Self, BadGateway> {
        let base = format!("{}/api/rooms/{}", address.admin.trim_end_matches('/'), address.room);
        let plain = base.parse::<Uri>().is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
        if !plain {
            return Err(BadGateway(address.admin));
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { address, base, board, client, told: HashMap::new(), clock, metrics })
    }

    /// Tells news until stopped.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.next(pause) => {}
            }
            pause = match self.tell_all().await {
                Ok(()) if self.board.len() == 0 => Duration::ZERO,
                Ok(()) => Duration::from_millis(STOCK_EVERY_MS.unsigned_abs()),
                Err(error) => {
                    tracing::warn!(gateway = self.address.admin, %error, "a gateway could not be told");
                    (pause * 2).clamp(Duration::from_millis(200), LONGEST_PAUSE)
                }
            };
            self.metrics.notices_waiting.set(i64::try_from(self.board.len()).unwrap_or(i64::MAX));
        }
    }

    /// Waits for news, or for the pause when some is left over; then gives a burst a moment to come together.
    async fn next(&self, pause: Duration) {
        if pause.is_zero() {
            self.board.posted.notified().await;
        } else {
            let _either = tokio::time::timeout(pause, self.board.posted.notified()).await;
        }
    }

    /// Tells everything that is due; what is not due yet or not taken goes back on the board.
    async fn tell_all(&mut self) -> Result<(), CallFault> {
        let mut outcome = Ok(());
        for (inventory, notice) in self.board.take_all() {
            if outcome.is_err() {
                self.board.put_back(inventory, notice);
                continue;
            }
            match self.tell(inventory, notice).await {
                Ok(true) => {}
                Ok(false) => self.board.put_back(inventory, notice),
                Err(error) => {
                    self.metrics.notice_failures.inc();
                    self.board.put_back(inventory, notice);
                    outcome = Err(error);
                }
            }
        }
        outcome
    }

    /// Tells about one row; `false` when its stock was told too recently.
    async fn tell(&mut self, inventory: InventoryId, notice: Notice) -> Result<bool, CallFault> {
        let now = self.clock.now();
        let sold_out = notice.available == 0;
        let told = self.told.get(&inventory).copied();
        let turned = told.map_or(sold_out, |told| told.sold_out != sold_out);
        if turned && sold_out {
            let body = serde_json::json!({"key": inventory, "ttl_seconds": notice.ttl_seconds});
            self.call("sold-out", &body).await?;
        } else if turned {
            self.call("on-sale", &serde_json::json!({"key": inventory})).await?;
        }
        let due = told.is_none_or(|told| now.since_ms(told.stock_at) >= STOCK_EVERY_MS);
        let stock_at = if due { now } else { told.map_or(now, |told| told.stock_at) };
        self.remember(inventory, Told { sold_out, stock_at });
        if due {
            self.call("stock", &serde_json::json!({"key": inventory, "available": notice.available})).await?;
        }
        Ok(due)
    }

    fn remember(&mut self, inventory: InventoryId, told: Told) {
        if self.told.len() >= BOARD {
            self.told.retain(|_, told| told.sold_out);
        }
        if self.told.len() >= BOARD {
            self.told.clear();
        }
        self.told.insert(inventory, told);
    }

    async fn call(&self, verb: &str, body: &serde_json::Value) -> Result<(), CallFault> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/{verb}", self.base))
            .header(AUTHORIZATION, format!("Bearer {}", self.address.token))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))?;
        let answer = tokio::time::timeout(CALL_TIMEOUT, self.client.request(request)).await??;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(CallFault::Refused(status)),
        }
    }
}
