//! The connections of one thread to one address: a small keep-alive pool, and one exchange over it.
//!
//! The pool is ours because a pool per worker over `hyper::client::conn` costs measurably less than a shared
//! one, and because the retry rule (P3) has to know exactly what an attempt may have done.

mod attempt;
mod errand;
mod lease;

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(super) use errand::{Errand, Message};
pub(super) use lease::{Coming, Lease};

use super::shelf::{Idle, Shelf};
use super::watched::Heard;
use super::way::{Fresh, Sender, Way};
use super::wire::Wire;
use super::{ProxyFault, ProxyLimits};
use crate::clock::rough_ms;

/// The requests that one connection of HTTP/2 carries before another is made.
const STREAMS_EACH: usize = 100;

/// A connection of hyper's: its sending side, and a count of what the upstream has said on it.
struct Connection {
    sender: Sender,
    heard: Heard,
    /// Whether it has carried a request before.
    reused: bool,
    /// How long an answer is waited for. It stays with the connection, for to put a timer off costs less than a new one.
    patience: Option<Pin<Box<Sleep>>>,
    /// As many hands are on a connection of HTTP/2 as there are of this, and one.
    hands: Arc<()>,
}

/// What carries one exchange.
enum Carrier {
    /// For a text.
    Wire(Box<Wire>),
    /// For what else there is.
    Hyper(Box<Connection>),
}

/// Whether a connection has to be a new one.
#[derive(Clone, Copy)]
enum Age {
    Any,
    New,
}

/// Whether a connection is wanted as well that cannot take a request at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unready {
    Too,
    Not,
}

/// The connections to one address, none of which outlives `stop`.
pub(super) struct Pool {
    way: Arc<Way>,
    limits: ProxyLimits,
    wires: Shelf<Box<Wire>>,
    idle: Shelf<Connection>,
    /// Connections that carry several requests, with when each was last used.
    shared: Mutex<Vec<Idle<Connection>>>,
    /// Held while a connection is made that others may wait for, to share it.
    connecting: tokio::sync::Mutex<()>,
    /// One permit for each open connection, idle or not.
    slots: Arc<Semaphore>,
    /// Nothing is kept idle any more.
    retired: AtomicBool,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Pool {
    pub(super) fn new(way: Arc<Way>, limits: ProxyLimits, tasks: TaskTracker, stop: &CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            way,
            limits,
            wires: Shelf::new(limits.max_idle, limits.idle_timeout),
            idle: Shelf::new(limits.max_idle, limits.idle_timeout),
            shared: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            slots: Arc::new(Semaphore::new(limits.max_connections)),
            retired: AtomicBool::new(false),
            tasks,
            // One of its own, for each wait for an answer locks it.
            stop: stop.child_token(),
        })
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// It is sent a second time, over another connection, only when nothing can have happened the first time
    /// (P3): hyper gave it back unwritten; the upstream refused it unseen, as HTTP/2 can say; or the first connection
    /// was a reused one that closed without one byte of an answer, and the request is a safe one without a body.
    /// Where that fails as well, and nothing has happened still, the errand has its request back.
    pub(super) async fn exchange(
        self: &Arc<Self>,
        errand: &mut Errand,
    ) -> Result<(Lease, Response<Coming>), ProxyFault> {
        let carrier = self.carrier(errand, Age::Any).await?;
        match self.attempt(carrier, errand).await {
            Err(_) if errand.message.is_some() => {}
            outcome => return outcome,
        }
        let carrier = self.carrier(errand, Age::New).await?;
        self.attempt(carrier, errand).await
    }

    async fn carrier(&self, errand: &Errand, age: Age) -> Result<Carrier, ProxyFault> {
        match (&errand.message, age) {
            (Some(Message::Text(_)), Age::New) => self.connect_wire().await.map(Carrier::Wire),
            (Some(Message::Text(_)), Age::Any) => match self.pop_wire() {
                Some(wire) => Ok(Carrier::Wire(wire)),
                None => self.connect_wire().await.map(Carrier::Wire),
            },
            (_, Age::New) => Ok(Carrier::Hyper(self.connect(errand.is_upgrade).await?.into())),
            (_, Age::Any) => Ok(Carrier::Hyper(self.checkout(errand.is_upgrade).await?.into())),
        }
    }

    /// Drops the idle connections that were not used for too long, and the wires that the upstream closed, which nobody else
    /// watches; returns how many are left.
    pub(super) fn sweep(&self) -> usize {
        let shared = self.fresh_shared(rough_ms()).iter().filter(|shared| !shared.connection.is_in_use()).count();
        let mut wires = self.wires.fresh();
        wires.retain(|wire| wire.connection.is_ready());
        wires.len() + self.idle.fresh().len() + shared
    }

    /// Returns how many connections are open, idle or not.
    pub(super) fn open(&self) -> usize {
        self.limits.max_connections - self.slots.available_permits()
    }

    /// Locks the list of shared connections, without those that ended or that nobody has used for too long.
    fn fresh_shared(&self, now_ms: u64) -> MutexGuard<'_, Vec<Idle<Connection>>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|shared| {
            let is_old = shared.is_for(self.limits.idle_timeout, now_ms);
            !shared.connection.sender.is_closed() && (shared.connection.is_in_use() || !is_old)
        });
        shared
    }

    fn keep(&self, carrier: Carrier) {
        match carrier {
            Carrier::Wire(mut wire) if wire.may_stay() => {
                wire.rest();
                self.wires.keep(wire, || !self.is_retired() && !self.stop.is_cancelled());
            }
            Carrier::Wire(_) => {}
            Carrier::Hyper(connection) => {
                let is_shared = matches!(connection.sender, Sender::Http2(_));
                if !is_shared && !connection.sender.is_closed() && !self.stop.is_cancelled() {
                    self.idle.keep(Connection { reused: true, ..*connection }, || !self.is_retired());
                }
            }
        }
    }

    fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Drops the idle connections and keeps none from now on.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        self.wires.fresh().clear();
        self.idle.fresh().clear();
        self.fresh_shared(rough_ms()).clear();
    }

    async fn checkout(&self, only_http1: bool) -> Result<Connection, ProxyFault> {
        let is_shared = self.way.is_http2() && !only_http1;
        let at_hand = if is_shared { self.share() } else { self.pop(Unready::Not) };
        match at_hand {
            Some(connection) => Ok(connection),
            None if is_shared => Box::pin(self.join()).await,
            None => Box::pin(self.wait_or_connect(only_http1)).await,
        }
    }

    /// Waits until an idle connection can take a request; makes one where none can.
    async fn wait_or_connect(&self, only_http1: bool) -> Result<Connection, ProxyFault> {
        while let Some(mut connection) = self.pop(Unready::Too) {
            if connection.sender.is_ready() {
                return Ok(connection);
            }
            let ready = timeout(self.limits.connect_timeout, connection.sender.ready());
            if matches!(ready.await, Ok(true)) {
                return Ok(connection);
            }
        }
        self.connect(only_http1).await
    }

    /// Takes a hand on a connection that carries others' requests; makes one where there is none with room.
    async fn join(&self) -> Result<Connection, ProxyFault> {
        if let Some(connection) = self.share() {
            return Ok(connection);
        }
        let alone = timeout(self.limits.connect_timeout, self.connecting.lock()).await;
        let _alone = alone.map_err(|_| ProxyFault::ConnectTimeout)?;
        match self.share() {
            Some(connection) => Ok(connection),
            None => self.connect(false).await,
        }
    }

    fn share(&self) -> Option<Connection> {
        let now_ms = rough_ms();
        let mut shared = self.fresh_shared(now_ms);
        let has_room = |shared: &&mut Idle<Connection>| Arc::strong_count(&shared.connection.hands) <= STREAMS_EACH;
        let found = shared.iter_mut().find(has_room)?;
        found.since_ms = now_ms;
        found.connection.another_hand()
    }

    /// Takes the idle connection that was used last, of those that can take a request at once if there are any: the
    /// others' drivers have yet to notice that the last answer is over, or that the peer is gone.
    fn pop(&self, unready: Unready) -> Option<Connection> {
        let mut idle = self.idle.fresh();
        while idle.back().is_some_and(|idle| idle.connection.sender.is_closed()) {
            idle.pop_back();
        }
        let ready = idle.iter().rposition(|idle| idle.connection.sender.is_ready());
        let last = || idle.len().checked_sub(1).filter(|_| unready == Unready::Too);
        let found = ready.or_else(last)?;
        idle.remove(found).map(|idle| idle.connection)
    }

    /// Makes a connection. In a box, for it is rare and takes much more space than what is done all the time.
    fn connect(&self, only_http1: bool) -> Pin<Box<dyn Future<Output = Result<Connection, ProxyFault>> + Send + '_>> {
        Box::pin(self.connect_anew(only_http1))
    }

    async fn connect_anew(&self, only_http1: bool) -> Result<Connection, ProxyFault> {
        // A wire that nobody uses makes room.
        let make_room = || drop(self.wires.fresh().pop_front());
        let slot = self.slot().or_else(|_| {
            make_room();
            self.slot()
        })?;
        let connecting = self.way.connect(only_http1, slot, (&self.tasks, &self.stop));
        let connected = timeout(self.limits.connect_timeout, connecting).await;
        let Fresh { sender, heard } = connected.map_err(|_| ProxyFault::ConnectTimeout)??;
        let connection = Connection { sender, heard, reused: false, patience: None, hands: Arc::default() };
        if let Some(hand) = connection.another_hand().filter(|_| !self.is_retired()) {
            let now_ms = rough_ms();
            self.fresh_shared(now_ms).push(Idle { connection: hand, since_ms: now_ms });
        }
        Ok(connection)
    }

    fn slot(&self) -> Result<OwnedSemaphorePermit, ProxyFault> {
        Arc::clone(&self.slots).try_acquire_owned().map_err(|_| ProxyFault::Overloaded)
    }

    /// Takes the wire that was used last.
    fn pop_wire(&self) -> Option<Box<Wire>> {
        let mut idle = self.wires.fresh();
        loop {
            let Idle { connection: wire, .. } = idle.pop_back()?;
            if wire.is_ready() {
                return Some(wire);
            }
        }
    }

    /// Makes a wire.
    fn connect_wire(&self) -> Pin<Box<dyn Future<Output = Result<Box<Wire>, ProxyFault>> + Send + '_>> {
        Box::pin(async {
            let slot = match self.slot() {
                Ok(slot) => slot,
                Err(full) => self.slot_of_another().await.ok_or(full)?,
            };
            let dialled = timeout(self.limits.connect_timeout, self.way.dial()).await;
            let stream = dialled.map_err(|_| ProxyFault::ConnectTimeout)??;
            Ok(Box::new(Wire::new(stream, slot, self.stop.clone())))
        })
    }

    /// Closes a connection of hyper's that nobody uses, and takes its place once its driver has noticed.
    async fn slot_of_another(&self) -> Option<OwnedSemaphorePermit> {
        self.pop(Unready::Too)?;
        let freed = timeout(self.limits.connect_timeout, Arc::clone(&self.slots).acquire_owned());
        freed.await.ok()?.ok()
    }
}

impl Connection {
    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.hands) > 1
    }

    fn another_hand(&self) -> Option<Self> {
        let sender = self.sender.share()?;
        Some(Self { sender, heard: self.heard.clone(), reused: true, patience: None, hands: Arc::clone(&self.hands) })
    }
}
