//! The inline reverse proxy: an admitted request goes up, its answer comes down, both as streams.
//!
//! # Invariants
//!
//! (P1) Hop-by-hop headers never cross ([`headers`]). (P2) Bodies stream, bounded, with back-pressure: nothing
//! is read from one side before the other takes it. (P3) Nothing that may have side effects is sent twice
//! (`pool`). (P4) What is matched is what is sent ([`target`]).
//!
//! A worker owns its [`Proxy`], with connections of its own; a proxy may be shared as well. It starts no task that
//! its `TaskTracker` does not know and its `CancellationToken` does not end.

use std::error::Error;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::header;
use hyper::{Response, StatusCode, Version};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

mod watched;

pub mod target;
pub mod words;

mod chain;
pub mod lines;
pub mod headers;

mod trace;
mod trailers;

mod visitor_body;
mod text;

mod address;
mod request_body;

mod dress;
mod way;

pub mod wire;

mod fleet;
mod shelf;

mod check;
mod pool;
mod outgoing;

mod response_body;
mod tunnel;

pub use address::{BadAddress, Scheme, UpstreamAddress};
pub use chain::ChainHeader;
pub use check::{CheckRules, keep_checking};
pub use fleet::{BackendView, Fleet, FleetRules};
pub use headers::Passage;
pub use outgoing::{Outgoing, Stay};
pub use response_body::ResponseBody;
pub use target::{BadTarget, Target};
pub use visitor_body::VisitorBody;
pub use way::OwnedTasks;
pub use words::{UpstreamWord, UpstreamWords};

use fleet::Load;
use outgoing::{Asked, Ready};
use pool::{Coming, Errand, Lease, Pool};
use tunnel::Tunnel;

use crate::telemetry;

/// Any fault of a body.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Names the condition that kept a request from being answered by the upstream.
///
/// Which status a visitor sees is not decided here.
#[derive(Debug, Error)]
pub enum ProxyFault {
    /// The upstream refused the connection, or its name does not resolve.
    #[error("the upstream cannot be reached")]
    Unreachable(#[source] io::Error),
    /// The upstream did not take the connection in time.
    #[error("the upstream did not accept a connection in time")]
    ConnectTimeout,
    /// The upstream took the request and did not begin an answer in time.
    #[error("the upstream did not answer in time")]
    HeaderTimeout,
    /// The upstream fell silent in the middle of its answer. Seen only as the error of a body.
    #[error("the upstream fell silent in the middle of its answer")]
    BodyTimeout,
    /// The upstream closed the connection without an answer.
    #[error("the upstream closed the connection without an answer")]
    NoAnswer(#[source] BoxError),
    /// What the upstream said is not an HTTP answer.
    #[error("the upstream's answer is not HTTP")]
    BadAnswer(#[source] BoxError),
    /// The upstream switched to a protocol that nobody asked for.
    #[error("the upstream switched protocols unasked")]
    UnaskedUpgrade,
    /// As many connections or tunnels are open as may be.
    #[error("all connections to the upstream are in use")]
    Overloaded,
    /// The visitor's body is larger than is allowed.
    #[error("the body of the request is too large")]
    BodyTooLarge,
    /// The visitor broke off in the middle of the body.
    #[error("the client went away in the middle of its request")]
    ClientGone,
    /// The visitor stopped sending in the middle of the body.
    #[error("the client stopped in the middle of its request")]
    ClientStalled,
}

impl ProxyFault {
    /// Says whether the upstream is to blame, so that admission may slow down.
    #[must_use]
    pub const fn is_upstreams(&self) -> bool {
        !matches!(self, Self::BodyTooLarge | Self::ClientGone | Self::ClientStalled)
    }
}

/// The bounds of one [`Proxy`]. Counts are per proxy, so per worker where each owns one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProxyLimits {
    /// The most connections open to each address, idle ones included, tunnels not.
    pub max_connections: usize,
    /// The most connections kept idle to each address, of those for plain requests and as many of the others.
    pub max_idle: usize,
    /// The most WebSockets at a time.
    pub max_tunnels: usize,
    /// The longest body of a request, in bytes.
    pub max_body_bytes: u64,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long the upstream may think once it has the request, and how long a visitor may pause in a body.
    pub header_timeout: Duration,
    /// How long the upstream may fall silent in the middle of an answer.
    pub body_timeout: Duration,
    /// How long a request may take altogether, its answer's body included; `None` for any time.
    pub whole_timeout: Option<Duration>,
    /// Which part of the requests that belong to no trace begins one that is recorded; `None` begins none.
    pub trace_sampling: Option<f64>,
    /// How long an idle connection is kept. Shorter than the upstream's own limit is best.
    pub idle_timeout: Duration,
    /// How long both ends of a WebSocket may be silent together.
    pub tunnel_timeout: Duration,
}

impl Default for ProxyLimits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_idle: 256,
            max_tunnels: 4096,
            max_body_bytes: 16 * 1024 * 1024,
            connect_timeout: Duration::from_secs(3),
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            whole_timeout: None,
            trace_sampling: None,
            idle_timeout: Duration::from_secs(30),
            tunnel_timeout: Duration::from_secs(300),
        }
    }
}

/// How much of its bounds a proxy uses, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyDepth {
    /// Connections open, idle or not.
    pub open: usize,
    /// Connections kept idle.
    pub idle: usize,
    /// WebSockets being carried.
    pub tunnels: usize,
}

/// Forwards requests to one upstream.
pub struct Proxy {
    fleet: Arc<Fleet>,
    /// One for each address, in the order of the fleet.
    pools: Vec<Arc<Pool>>,
    /// Whether all of them take a request as text.
    takes_text: bool,
    /// Counts the choices made, from which chance is made.
    choices: AtomicU64,
    limits: ProxyLimits,
    tunnels: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Proxy {
    /// Makes a proxy to the addresses of a fleet. Its tasks run on `tasks`, and `stop` cuts them, in-flight requests included:
    /// it belongs at the end of a drain, not at its beginning.
    #[must_use]
    pub fn new(fleet: Arc<Fleet>, limits: ProxyLimits, tasks: TaskTracker, stop: CancellationToken) -> Self {
        let takes_text = fleet.backends().iter().all(|backend| backend.way.takes_text());
        let ways = fleet.backends().iter().map(|backend| Arc::clone(&backend.way));
        let pools = ways.map(|way| Pool::new(way, limits, tasks.clone(), &stop)).collect();
        let tunnels = Arc::new(Semaphore::new(limits.max_tunnels));
        Self { fleet, pools, takes_text, choices: AtomicU64::new(0), limits, tunnels, tasks, stop }
    }

    /// Names the addresses that a request may go to, for a log.
    #[must_use]
    pub fn addresses(&self) -> String {
        let addresses: Vec<String> = self.fleet.backends().iter().map(|one| one.way.address.to_string()).collect();
        addresses.join(", ")
    }

    /// Forwards a request that was made ready and returns the answer, whose body may still be arriving.
    ///
    /// The answer carries [`UpstreamWords`] in its extensions when the upstream said any. A 101 comes back only
    /// for a WebSocket that was asked for; its tunnel begins once the caller's server has written the answer,
    /// which needs a connection served with upgrades.
    ///
    /// # Errors
    ///
    /// A [`ProxyFault`] when there is no answer to forward. Once an answer has begun, a fault shows as an error
    /// of its body, which makes the server break the connection, so that nobody takes half for the whole.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection it used. The upstream may have seen the request.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Response<ResponseBody>, ProxyFault> {
        let Ready { mut errand, asked, deadline } = outgoing.0?;
        let exchange = pin!(self.exchange(&mut errand));
        let (lease, response) = match deadline {
            Some(deadline) => timeout_at(deadline, exchange).await.unwrap_or(Err(ProxyFault::HeaderTimeout))?,
            None => exchange.await?,
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.switch(response, asked);
        }
        Ok(self.answer(response, lease, deadline))
    }

    /// Sends a request to the address that seems best; to another, at most once to each, while nothing can have
    /// happened (P3).
    async fn exchange(&self, errand: &mut Errand) -> Result<(Lease, Response<Coming>), ProxyFault> {
        let mut tried = Vec::new();
        let mut last = ProxyFault::Overloaded;
        while let Some(message) = &mut errand.message
            && let Some(i) = self.fleet.choose(self.chance(), &tried)
        {
            let load = Load::on(&self.fleet, i);
            let address = &self.fleet.backends()[i].way.address;
            let span = telemetry::attempt(message.method(), address.host(), address.port(), tried.len());
            message.belong(&span);
            match self.pools[i].exchange(errand).instrument(span.clone()).await {
                Ok((lease, response)) => {
                    telemetry::answered(&span, response.status(), true);
                    self.fleet.note(i, is_gateway_error(response.status()));
                    return Ok((lease.with(load), response));
                }
                Err(fault) => {
                    telemetry::failed(&span, &fault);
                    let is_its_own = fault.is_upstreams() && !matches!(fault, ProxyFault::Overloaded);
                    if is_its_own {
                        self.fleet.note(i, true);
                    }
                    last = fault;
                    tried.push(i);
                }
            }
        }
        Err(last)
    }

    fn chance(&self) -> u64 {
        mixed(self.choices.fetch_add(1, Ordering::Relaxed))
    }

    /// Closes connections that have been idle for too long or that the upstream has closed, and says how much is in use. To
    /// be asked now and then, for nobody watches a connection that is idle.
    pub fn sweep(&self) -> ProxyDepth {
        ProxyDepth {
            idle: self.pools.iter().map(|pool| pool.sweep()).sum(),
            open: self.pools.iter().map(|pool| pool.open()).sum(),
            tunnels: self.limits.max_tunnels - self.tunnels.available_permits(),
        }
    }

    /// Closes the idle connections and keeps none from now on: for a stop, which else would wait for them.
    pub fn retire(&self) {
        self.pools.iter().for_each(|pool| pool.retire());
    }

    fn answer(&self, response: Response<Coming>, lease: Lease, deadline: Option<Instant>) -> Response<ResponseBody> {
        let body_timeout = self.limits.body_timeout;
        let response = response.map(|coming| ResponseBody::upstream(coming, lease, body_timeout, deadline));
        cleaned(response, false)
    }

    fn switch(
        &self,
        mut response: Response<Coming>,
        asked: Option<Asked>,
    ) -> Result<Response<ResponseBody>, ProxyFault> {
        let protocol = response.headers().get(header::UPGRADE);
        let agreed = protocol.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"));
        let Asked { down, slot, stay } = asked.filter(|_| agreed).ok_or(ProxyFault::UnaskedUpgrade)?;
        let up = hyper::upgrade::on(&mut response);
        let tunnel = Tunnel { down, up, slot, stay, idle_limit: self.limits.tunnel_timeout };
        tunnel.spawn(&self.tasks, self.stop.clone());
        Ok(cleaned(response.map(|_| ResponseBody::empty()), true))
    }
}

/// An answer that says of itself that it is none: a failure of the address, though it is passed on.
const fn is_gateway_error(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

/// Turns a count into what looks like chance (splitmix64, S. Vigna, 2015).
const fn mixed(count: u64) -> u64 {
    let z = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn cleaned(mut response: Response<ResponseBody>, websocket: bool) -> Response<ResponseBody> {
    let words = headers::clean_response(response.headers_mut(), websocket);
    *response.version_mut() = Version::HTTP_11;
    response.extensions_mut().clear();
    if !words.0.is_empty() {
        response.extensions_mut().insert(words);
    }
    response
}
