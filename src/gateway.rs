//! The gateway as a whole: where the parts are put together, started and stopped.

mod certificates;
mod files;
mod keeping;
mod upstreams;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit_trail::AuditTrail;
use crate::clock::Clock;
use crate::config::{Config, RoomConfig};
use crate::console::secure::Secure;
use crate::console::{self, Console};
use crate::crawlers::Crawlers;
use crate::doctor::Doctor;
use crate::limit::{AddressLimit, ConnectionLimit};
use crate::line::embedded::Embedded;
use crate::line::redis::RedisLine;
use crate::line::{GatewayId, LineStore, StoreFault};
use crate::metrics::Metrics;
use crate::pipeline::{ISSUER, Pipeline, Site};
use crate::room::{Room, Shared};
use crate::route::Routes;
use crate::server::{self, Door, Stopping};
use crate::telemetry::Traces;
use crate::ticker;
use crate::tls::TlsFault;
use crate::token::PassVerifier;
use crate::waiting::Pages;
use crate::websocket::Farewell;
use certificates::Certificates;
pub use files::{change_keys, keys_path, make_folder, make_keys, read_keys};
pub use upstreams::{Upstream, Upstreams};

/// How many verified passes are remembered.
const VERIFIED_CAP: usize = 200_000;

/// How many from one address may wait, in the place of work, each minute: a robot has patience for any number of places.
const PATIENT_PER_MINUTE: u32 = 10;

/// How many files at the most are kept free of visitors: for upstreams, the store, logs and the
/// console.
const OWN_FILES: u64 = 1_500;

/// Within which part of a drain live connections are told to come back.
const GOODBYES: f64 = 0.8;

/// Why a gateway does not start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}; stop what uses it, or set `{key}` to another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The key of the configuration.
        key: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// The line's store does not answer, or refuses.
    #[error("{0}")]
    Store(#[from] StoreFault),
    /// A file of the gateway's cannot be used.
    #[error("{0}")]
    Files(String),
    /// A certificate, or its key, cannot be used.
    #[error("{0}")]
    Tls(#[from] TlsFault),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// A running gateway.
pub struct Gateway {
    /// Where visitors come.
    pub address: SocketAddr,
    /// Where operators come.
    pub admin_address: SocketAddr,
    /// Over what: `http` or `https`.
    pub admin_scheme: &'static str,
    /// What operators have to show.
    pub admin_token: String,
    rooms: Vec<Arc<Room>>,
    embedded: Option<Arc<Embedded>>,
    certificates: Certificates,
    stopping: Stopping,
    /// Ends what is not a visitor's: tickers, joins, the console.
    end: CancellationToken,
    tasks: TaskTracker,
    threads: Vec<JoinHandle<()>>,
}

/// The store of the lines, and the embedded one by name: it wants to be kept.
struct Stores {
    line: Arc<dyn LineStore>,
    embedded: Option<Arc<Embedded>>,
    name: &'static str,
}

impl Gateway {
    /// Starts a gateway. Nothing is served before everything is in place.
    ///
    /// # Errors
    /// [`StartFault`]; then nothing goes on running.
    pub async fn start(config: &Config, clock: Clock) -> Result<Self, StartFault> {
        let max_connections = config.max_connections.min(visitors_files());
        let workers = if config.workers == 0 { cores() } else { config.workers };
        let sockets = listen(config.listen, "listen", workers)?;
        let admin = listen(config.admin_listen, "admin_listen", 1)?;
        files::make_folder(config.data.as_deref())?;
        let (address, admin_address) = (local(&sockets)?, local(&admin)?);
        let ring = files::key_ring(config, clock.now_ms())?;
        files::check_persons(&ring, config)?;
        let admin_token = files::admin_token(config)?;
        let certificates = Certificates::open(config)?;
        let trail = AuditTrail::open(config.data.as_deref()).map_err(|e| StartFault::Files(e.to_string()))?;
        let stores = Stores::open(config, &clock).await?;
        let metrics = Metrics::new();
        metrics.runtimes.watch("main", &Handle::current());
        let upstreams = Upstreams::new(config, workers)?;
        let shared = Shared {
            clock: clock.clone(),
            store: Arc::clone(&stores.line),
            metrics: metrics.clone(),
            ring: Arc::new(ArcSwap::from_pointee(ring)),
            verifier: Arc::new(PassVerifier::new(ISSUER, VERIFIED_CAP)),
            gateway: GatewayId(rand::random()),
        };
        let rooms = make_rooms(config, &shared).await?;
        let stopping = Stopping::new(config.notice, config.drain);
        let notice = stopping.notice.clone();
        let looks = config.rooms.iter().map(|room| (room.rules.name.as_str(), room.rules.title.as_str(), &room.theme));
        let pages = Arc::new(Pages::new(looks));
        let console = Console {
            rooms: rooms.clone(),
            pages: Arc::clone(&pages),
            upstreams: upstreams.iter().map(|upstream| (upstream.room.clone(), Arc::clone(&upstream.fleet))).collect(),
            metrics: metrics.clone(),
            past: console::Past::default(),
            trail,
            doctor: Doctor::new(config.clone(), files::keys_path(config), clock.clone()),
            token: admin_token.clone(),
            started_ms: clock.now_ms(),
            clock,
            store: stores.name,
            is_open: Box::new(move || !notice.is_cancelled()),
        };
        let site = Arc::new(make_site(config, rooms.clone(), pages)?);
        let mut gateway = Self {
            address,
            admin_address,
            admin_scheme: if config.admin_tls.is_some() { "https" } else { "http" },
            admin_token,
            rooms,
            embedded: stores.embedded,
            certificates,
            stopping,
            end: CancellationToken::new(),
            tasks: TaskTracker::new(),
            threads: Vec::new(),
        };
        gateway.run_rooms();
        upstreams.run_checks(&gateway.tasks, &gateway.end);
        gateway.run_keeping(Arc::clone(&site), upstreams.clone(), metrics.clone());
        gateway.certificates.run(&console.clock, &gateway.tasks, &gateway.end);
        gateway.run_console(admin, console)?;
        let door = gateway.door(config, max_connections, metrics)?;
        gateway.run_visitors(&upstreams, sockets, site, door)?;
        Ok(gateway)
    }

    /// Takes what may change while the gateway runs from a configuration: the limits of rooms, and
    /// the keys; and reads the files of its certificate again.
    ///
    /// # Errors
    /// When the keys or the certificate cannot be read or the store does not answer.
    pub async fn reconfigure(&self, config: &Config) -> Result<(), StartFault> {
        for room in &self.rooms {
            let Some(new) = config.rooms.iter().find(|new| new.rules.name == room.rules.name) else { continue };
            self.configure(room, new).await?;
        }
        self.certificates.all().try_for_each(|certificate| certificate.read_again())?;
        if let (Some(path), Some(room)) = (files::keys_path(config), self.rooms.first()) {
            let ring = read_keys(&path).map_err(StartFault::Files)?;
            files::check_persons(&ring, config)?;
            room.shared.ring.store(Arc::new(ring));
        }
        Ok(())
    }

    /// Returns the rooms, in the order of the configuration.
    #[must_use]
    pub fn rooms(&self) -> &[Arc<Room>] {
        &self.rooms
    }

    /// Shows among the metrics what becomes of the spans of traces.
    pub fn count(&self, traces: &Traces) {
        self.rooms.iter().take(1).for_each(|room| room.shared.metrics.also(traces.fates()));
    }

    /// Ticks first: where the store has lost the room, it is to be restored, and not made anew.
    async fn configure(&self, room: &Room, new: &RoomConfig) -> Result<(), StoreFault> {
        ticker::tick(room).await;
        room.configure(new.limits.clone()).await?;
        room.promise_draw().await?;
        room.nudge.notify_one();
        Ok(())
    }

    /// Stops: balancers hear of it, and whoever comes meanwhile is served; then no new visitors, a time for requests to
    /// end, then the rest is dropped, the line is told who has gone, and the embedded store is saved.
    pub async fn stop(self) {
        self.stopping.notice.cancel();
        tokio::time::sleep(self.stopping.notice_for).await;
        self.stopping.soft.cancel();
        let threads = self.threads;
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().try_for_each(JoinHandle::join));
        if !matches!(joined.await, Ok(Ok(()))) {
            tracing::error!("a thread that served visitors has panicked");
        }
        self.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(fault) = self.embedded.and_then(|embedded| embedded.close().err()) {
            tracing::error!(%fault, "the line could not be saved whole; its journal is kept");
        }
    }

    fn door(&self, config: &Config, max_connections: usize, metrics: Metrics) -> Result<Door, StartFault> {
        Ok(Door {
            stopping: self.stopping.clone(),
            connections: ConnectionLimit::new(max_connections, &metrics),
            tls: self.certificates.public_acceptor()?,
            announcers: config.proxy_protocol.then(|| config.trusted_proxies.clone()),
            metrics,
        })
    }

    fn run_rooms(&self) {
        for room in &self.rooms {
            self.tasks.spawn(ticker::run(Arc::clone(room), self.end.clone()));
            let (joining, end) = (Arc::clone(room), self.end.clone());
            self.tasks.spawn(async move { end.run_until_cancelled(joining.run_joining()).await });
            let (sharing, end) = (Arc::clone(room), self.end.clone());
            self.tasks.spawn(async move { end.run_until_cancelled(sharing.run_sharing()).await });
        }
    }

    fn run_console(&self, mut sockets: Vec<std::net::TcpListener>, console: Console) -> Result<(), StartFault> {
        let Some(socket) = sockets.pop() else { return Ok(()) };
        let listener = tokio::net::TcpListener::from_std(socket).map_err(StartFault::Thread)?;
        let console = Arc::new(console);
        let (remembering, end) = (Arc::clone(&console), self.end.clone());
        self.tasks.spawn(async move { end.run_until_cancelled(remembering.remember()).await });
        let router = console::router(console);
        match self.certificates.admin_acceptor()? {
            Some(acceptor) => self.serve_console(Secure::new(listener, acceptor), router),
            None => self.serve_console(listener, router),
        }
        Ok(())
    }

    fn serve_console<L: axum::serve::Listener<Addr: std::fmt::Debug>>(&self, listener: L, router: axum::Router) {
        let end = self.end.clone();
        self.tasks.spawn(async move {
            let asked_to_end = end.clone();
            let serving = axum::serve(listener, router).with_graceful_shutdown(async move { end.cancelled().await });
            // A console that is open in a browser does not hold up a stop for long.
            let late = async {
                asked_to_end.cancelled().await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            };
            tokio::select! {
                served = serving.into_future() => {
                    if let Err(fault) = served {
                        tracing::error!(%fault, "the admin listener has ended");
                    }
                }
                () = late => {}
            }
        });
    }

    fn run_visitors(
        &mut self,
        upstreams: &Upstreams,
        sockets: Vec<std::net::TcpListener>,
        site: Arc<Site>,
        door: Door,
    ) -> Result<(), StartFault> {
        for (index, socket) in sockets.into_iter().enumerate() {
            let (site, upstreams, hard) = (Arc::clone(&site), upstreams.clone(), self.stopping.hard.clone());
            // With the embedded store there is nowhere else to go.
            let within = self.stopping.drain.mul_f64(if self.embedded.is_none() { GOODBYES } else { 0.0 });
            let make = move |tasks: TaskTracker, stop: CancellationToken| {
                let proxy = |upstream: &Upstream| upstream.proxy(&tasks, &hard);
                let proxies = upstreams.rooms.iter().map(proxy).collect();
                let open = upstreams.open.as_ref().map(proxy);
                Pipeline { site, proxies, open, tasks, farewell: Farewell { stop, within } }
            };
            self.threads.push(server::spawn(index, socket, door.clone(), make).map_err(StartFault::Thread)?);
        }
        Ok(())
    }
}

impl Stores {
    async fn open(config: &Config, clock: &Clock) -> Result<Self, StoreFault> {
        if let Some(url) = &config.store_url {
            let line = Arc::new(RedisLine::connect(url, crate::line::redis::TIMEOUT).await?);
            return Ok(Self { line, embedded: None, name: "redis" });
        }
        let folder = config.data.as_ref().map(|data| data.join("line"));
        let embedded = Arc::new(Embedded::open(folder.as_deref(), clock.clone())?);
        Ok(Self { line: Arc::clone(&embedded) as Arc<dyn LineStore>, embedded: Some(embedded), name: "embedded" })
    }
}

async fn make_rooms(config: &Config, shared: &Shared) -> Result<Vec<Arc<Room>>, StoreFault> {
    let mut rooms = Vec::new();
    for room in &config.rooms {
        let (limits, room) = (room.limits.clone(), Room::new(room.rules.clone(), shared.clone()));
        shared.metrics.begin(room.rules.name.as_str());
        // First to follow the log, then to configure: so a new room's log begins with its limits.
        ticker::tick(&room).await;
        room.configure(limits).await?;
        ticker::tick(&room).await;
        room.promise_draw().await?;
        ticker::tick(&room).await;
        // What was sold out before a restart is so before the first visitor comes; a store that is down says so by itself.
        let _ = room.share().await;
        rooms.push(Arc::new(room));
    }
    Ok(rooms)
}

fn make_site(config: &Config, rooms: Vec<Arc<Room>>, pages: Arc<Pages>) -> Result<Site, StartFault> {
    let crawlers = config.rooms.iter().map(|room| Crawlers::open(&room.crawlers));
    Ok(Site {
        crawlers: crawlers.collect::<Result<_, _>>().map_err(|bad| StartFault::Files(bad.to_string()))?,
        rooms,
        routes: Routes::new(config.rooms.iter().map(|room| room.claim.clone()).collect()),
        pages,
        join_limit: AddressLimit::new(config.joins_per_minute),
        poll_limit: AddressLimit::new(config.polls_per_minute),
        patience_limit: AddressLimit::new(PATIENT_PER_MINUTE),
        trusted_proxies: config.trusted_proxies.clone(),
        chain: config.chain,
        is_tls: config.is_tls,
    })
}

fn listen(address: SocketAddr, key: &'static str, sockets: usize) -> Result<Vec<std::net::TcpListener>, StartFault> {
    server::bind(address, sockets).map_err(|error| StartFault::Listen { address, key, error })
}

fn local(sockets: &[std::net::TcpListener]) -> Result<SocketAddr, StartFault> {
    sockets[0].local_addr().map_err(StartFault::Thread)
}

/// Raises the limit of open files as far as the system lets it, and returns how many may be
/// visitors' connections.
fn visitors_files() -> usize {
    let soft = |_| rlimit::Resource::NOFILE.get().map(|(soft, _)| soft);
    let limit = rlimit::increase_nofile_limit(u64::MAX).or_else(soft).unwrap_or(1_024);
    usize::try_from(limit - (limit / 10).min(OWN_FILES)).unwrap_or(usize::MAX)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
