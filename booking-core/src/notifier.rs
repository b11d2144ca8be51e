//! Tells the gateways in front what is sold out and what is on sale again, so that they can answer from memory.
//!
//! Sales never wait for it: that a row changed is put on a board, where news of one row comes together, so the board is
//! bounded by the rows that change. One task for each gateway takes the news off and asks the database what is true at
//! that moment: news may arrive in another order than the commits it tells of, so it carries no count. What was not
//! taken goes back on the board.
//!
//! A stale "sold out" keeps buyers from seats that are free, and headers of answers may have said it when this task did
//! not. So "on sale" is said whenever there may have been nothing since the last word, and whenever it is not certain
//! what the last word was.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::availability::{believable_seconds, believable_until};
use crate::clock::Clock;
use crate::domain::inventory::InventoryId;
use crate::domain::moment::Moment;
use crate::metrics::Metrics;
use crate::secret;
use crate::store::{Store, StoreError};

/// Rows whose news may wait; beyond that news is dropped and the headers of answers must do.
const BOARD: usize = 4_096;
/// A row's stock is told at most this often.
const STOCK_EVERY_MS: i64 = 500;
/// For so long a burst of news comes together.
const BURST: Duration = Duration::from_millis(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often a gateway is asked whether it has begun anew, and knows no stock.
const LOOK_EVERY_MS: i64 = 5_000;
/// A gateway's account of its room is not read beyond that.
const ACCOUNT_BYTES: usize = 4 << 20;

/// Names a gateway and the room whose visitors buy here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayAddress {
    /// The base URL of its admin listener, for example `http://127.0.0.1:8081`.
    pub admin: String,
    /// The room.
    pub room: String,
    /// The bearer token of its admin listener.
    #[serde(deserialize_with = "secret::text")]
    pub token: String,
}

/// Says that a row changed, and between which counts it may have moved since it was last told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// At some point nothing was on sale.
    pub was_zero: bool,
    /// At some point something was.
    pub had_seats: bool,
}

impl Notice {
    /// Returns both together.
    const fn and(self, other: Self) -> Self {
        Self { was_zero: self.was_zero || other.was_zero, had_seats: self.had_seats || other.had_seats }
    }
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

    /// Posts that a row changed. Never waits.
    pub fn post(&self, inventory: InventoryId, notice: Notice) {
        self.put(inventory, notice);
        self.posted.notify_one();
    }

    fn put(&self, inventory: InventoryId, notice: Notice) {
        let mut news = self.news();
        if news.len() < BOARD || news.contains_key(&inventory) {
            let known = news.entry(inventory).or_default();
            *known = known.and(notice);
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
    #[error("its answer broke off, or is too long")]
    Cut,
    #[error("what to tell is not known: {0}")]
    Store(#[from] StoreError),
}

/// What a gateway says of its room, as far as it matters here.
#[derive(Deserialize)]
struct Account {
    /// What the room is about.
    #[serde(default)]
    item: Option<String>,
    /// What it knows to be left.
    #[serde(default)]
    stock: HashMap<String, u64>,
}

/// How long to rest between two rounds.
#[derive(Clone, Copy)]
enum Rest {
    /// Until there is news, but no longer than until the gateway is looked at again.
    UntilNews,
    /// Until there is news, but no longer than until stock may be told again.
    UntilStockIsDue,
    /// So long, whatever comes: the gateway is not well.
    For(Duration),
}

/// What a gateway was last told about a row.
#[derive(Clone, Copy)]
struct Told {
    sold_out: bool,
    /// As of which version of the row.
    version: u64,
    stock_at: Moment,
}

impl Told {
    /// Tells whether news may have turned what was told.
    const fn may_have_turned(self, notice: Notice) -> bool {
        if self.sold_out { notice.had_seats } else { notice.was_zero }
    }
}

/// Carries news to one gateway.
pub struct Notifier {
    address: GatewayAddress,
    base: String,
    board: Arc<Board>,
    client: Client<HttpConnector, Full<Bytes>>,
    /// What is certain: a row of which a call failed is not in it, for the call may have been heard all the same.
    told: HashMap<InventoryId, Told>,
    looked_at: Option<Moment>,
    store: Arc<dyn Store>,
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
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Result<Self, BadGateway> {
        let base = format!("{}/api/rooms/{}", address.admin.trim_end_matches('/'), address.room);
        let plain = base.parse::<Uri>().is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
        if !plain {
            return Err(BadGateway(address.admin));
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { address, base, board, client, told: HashMap::new(), looked_at: None, store, clock, metrics })
    }

    /// Tells news until stopped.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut rest = Rest::For(BURST);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.rest(rest) => {}
            }
            // A gateway that gives no account of itself may hear what it is told all the same.
            let looked = self.look().await;
            let outcome = self.tell_all().await.and(looked);
            rest = match (outcome, rest) {
                (Ok(()), _) if self.board.len() == 0 => Rest::UntilNews,
                (Ok(()), _) => Rest::UntilStockIsDue,
                (Err(error), rest) => {
                    tracing::warn!(gateway = self.address.admin, %error, "a gateway could not be told");
                    longer(rest)
                }
            };
            self.metrics.notices_waiting.set(i64::try_from(self.board.len()).unwrap_or(i64::MAX));
        }
    }

    /// Rests; then gives a burst a moment to come together.
    async fn rest(&self, rest: Rest) {
        let news = self.board.posted.notified();
        match rest {
            Rest::UntilNews => {
                let _either = tokio::time::timeout(Duration::from_millis(LOOK_EVERY_MS.unsigned_abs()), news).await;
            }
            Rest::UntilStockIsDue => {
                let due = Duration::from_millis(STOCK_EVERY_MS.unsigned_abs());
                let _either = tokio::time::timeout(due, news).await;
            }
            Rest::For(pause) => tokio::time::sleep(pause).await,
        }
        tokio::time::sleep(BURST).await;
    }

    /// Looks now and then whether the room is about an item of which the gateway knows nothing, as when it has just
    /// started: those who wait for it are to see what is left before anything is sold.
    async fn look(&mut self) -> Result<(), CallFault> {
        let now = self.clock.now();
        if self.looked_at.is_some_and(|at| now.since_ms(at) < LOOK_EVERY_MS) {
            return Ok(());
        }
        let account = self.account().await?;
        self.looked_at = Some(now);
        let unknown = account.and_then(|account| account.item.filter(|item| !account.stock.contains_key(item)));
        if let Some(item) = unknown.and_then(|item| item.parse().ok()) {
            self.told.remove(&item);
            self.board.put(item, Notice::default());
        }
        Ok(())
    }

    /// Asks the gateway for its account of the room; one that gives none has its own reasons.
    async fn account(&self) -> Result<Option<Account>, CallFault> {
        let answer = self.request(Method::GET, &self.base, Full::default()).await?;
        if !answer.status().is_success() {
            return Ok(None);
        }
        let body =
            tokio::time::timeout(CALL_TIMEOUT, Limited::new(answer.into_body(), ACCOUNT_BYTES).collect()).await?;
        let bytes = body.map_err(|_| CallFault::Cut)?.to_bytes();
        Ok(serde_json::from_slice(&bytes).ok())
    }

    /// Tells everything that is due; what is not due yet or not taken goes back on the board.
    ///
    /// A gateway that fails ends the round. Of a row whose database fails nothing is known, and the others go on.
    async fn tell_all(&mut self) -> Result<(), CallFault> {
        let mut outcome = Ok(());
        for (inventory, notice) in self.board.take_all() {
            if outcome.is_err() {
                self.board.put(inventory, notice);
                continue;
            }
            // What was told is certain again only when every call of this round has succeeded.
            let told = self.told.remove(&inventory);
            let due = self.is_stock_due(told);
            match self.tell(inventory, notice, told, due).await {
                Ok(Some(told)) => {
                    self.remember(inventory, told);
                    if !due {
                        self.board.put(inventory, Notice::default());
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    self.metrics.notice_failures.inc();
                    self.board.put(inventory, notice);
                    outcome = self.after_failure(inventory, error);
                }
            }
        }
        outcome
    }

    /// Says whether a failure is the gateway's.
    fn after_failure(&self, inventory: InventoryId, error: CallFault) -> Result<(), CallFault> {
        let CallFault::Store(error) = error else { return Err(error) };
        tracing::warn!(gateway = self.address.admin, %inventory, %error, "what to tell of a row is not known");
        Ok(())
    }

    fn is_stock_due(&self, told: Option<Told>) -> bool {
        told.is_none_or(|told| self.clock.now().since_ms(told.stock_at) >= STOCK_EVERY_MS)
    }

    /// Tells what is true of one row; returns what the gateway has been told, or nothing when there is no such row.
    async fn tell(
        &self,
        inventory: InventoryId,
        notice: Notice,
        told: Option<Told>,
        due: bool,
    ) -> Result<Option<Told>, CallFault> {
        if let Some(told) = told.filter(|told| !due && !told.may_have_turned(notice)) {
            return Ok(Some(told));
        }
        let now = self.clock.now();
        let Some(row) = self.store.stock(&[inventory]).await?.pop() else { return Ok(None) };
        let (available, version) = (row.stock.available, row.version);
        let sold_out = available == 0;
        let was_sold_out = told.map(|told| told.sold_out);
        // A header that said otherwise is older than what the gateway was told since.
        let is_known = told.is_some_and(|told| told.version >= version);
        if sold_out && was_sold_out != Some(true) {
            let first = self.store.first_expiry(inventory, believable_until(now)).await?;
            let ttl_seconds = believable_seconds(first, now);
            let word = serde_json::json!({"key": inventory, "ttl_seconds": ttl_seconds, "version": version});
            self.call("sold-out", &word).await?;
        } else if !sold_out && !is_known && (notice.was_zero || was_sold_out != Some(false)) {
            self.call("on-sale", &serde_json::json!({"key": inventory, "version": version})).await?;
        }
        if due {
            self.call("stock", &serde_json::json!({"key": inventory, "available": available})).await?;
        }
        let stock_at = if due { now } else { told.map_or(now, |told| told.stock_at) };
        Ok(Some(Told { sold_out, version, stock_at }))
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
        let body = Full::new(Bytes::from(body.to_string()));
        let answer = self.request(Method::POST, &format!("{}/{verb}", self.base), body).await?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(CallFault::Refused(status)),
        }
    }

    async fn request(&self, method: Method, uri: &str, body: Full<Bytes>) -> Result<Response<Incoming>, CallFault> {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(AUTHORIZATION, format!("Bearer {}", self.address.token))
            .header(CONTENT_TYPE, "application/json")
            // In the audit trail the gateway then says who it was.
            .header("vestibule-operator", "booking-core")
            .body(body)?;
        Ok(tokio::time::timeout(CALL_TIMEOUT, self.client.request(request)).await??)
    }
}

/// Returns the rest after a round that failed: twice the one before, up to a bound.
fn longer(rest: Rest) -> Rest {
    Rest::For(match rest {
        Rest::For(pause) => (pause * 2).min(LONGEST_PAUSE),
        Rest::UntilNews | Rest::UntilStockIsDue => FIRST_PAUSE,
    })
}
