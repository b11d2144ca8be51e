//! The public listener: one thread for each core, each with its own runtime and listening socket.
//!
//! The kernel spreads the connections (`SO_REUSEPORT`); nothing is handed from thread to thread.

pub mod announced;
mod connection;
pub mod fast_path;
mod turns;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limit::ConnectionLimit;
use crate::metrics::Metrics;
use crate::networks::Networks;
use crate::pipeline::Pipeline;
use connection::Reception;

/// How many connections wait for a thread to take them.
const BACKLOG: i32 = 4_096;

/// How often each thread looks for connections to the upstreams that are of no use any more.
const SWEEP: Duration = Duration::from_secs(5);

/// How a stop goes.
#[derive(Clone, Debug)]
pub struct Stopping {
    /// Those who ask hear that there is no more room here; whoever comes is still served, and told not to stay.
    pub notice: CancellationToken,
    /// For how long: as long as a balancer takes to hear of it.
    pub notice_for: Duration,
    /// No new connections; live connections say goodbye.
    pub soft: CancellationToken,
    /// What is still open is dropped.
    pub hard: CancellationToken,
    /// The time between the two.
    pub drain: Duration,
}

impl Stopping {
    /// Makes a stop that nobody has asked for yet.
    #[must_use]
    pub fn new(notice_for: Duration, drain: Duration) -> Self {
        let [notice, soft, hard] = [(); 3].map(|()| CancellationToken::new());
        Self { notice, notice_for, soft, hard, drain }
    }

    /// Makes a stop that comes with this one, for one thread: its requests ask often, and would wait for each other.
    fn of_thread(&self) -> Self {
        let [notice, soft, hard] = [&self.notice, &self.soft, &self.hard].map(CancellationToken::child_token);
        Self { notice, soft, hard, ..*self }
    }
}

/// What the threads have in common.
#[derive(Clone)]
pub struct Door {
    /// How the threads end.
    pub stopping: Stopping,
    /// How many connections may be open.
    pub connections: ConnectionLimit,
    /// What ends TLS; `None` where visitors, or a proxy in front, come without.
    pub tls: Option<TlsAcceptor>,
    /// Whose connections begin with a header of the PROXY protocol, and nobody else's are taken; `None` where none does.
    pub announcers: Option<Networks>,
    /// Counts who is refused.
    pub metrics: Metrics,
}

/// Binds as many sockets to one address as there are threads.
///
/// # Errors
/// When the address is in use or not ours; sharing is for the sockets of this process only.
pub fn bind(address: SocketAddr, sockets: usize) -> io::Result<Vec<std::net::TcpListener>> {
    if address.port() != 0 {
        // Without SO_REUSEPORT, so that another process on this port is noticed.
        drop(std::net::TcpListener::bind(address)?);
    }
    let first = reusable(address)?;
    let address = first.local_addr()?;
    let others = (1..sockets.max(1)).map(|_| reusable(address));
    std::iter::once(Ok(first)).chain(others).collect()
}

fn reusable(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Starts a thread that serves one socket. The pipeline is made on the thread, in its runtime.
///
/// # Errors
/// When the thread or its runtime cannot be made.
pub fn spawn(
    index: usize,
    listener: std::net::TcpListener,
    door: Door,
    make: impl FnOnce(TaskTracker, CancellationToken) -> Pipeline + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(format!("visitors-{index}")).spawn(move || {
        let door = Door { stopping: door.stopping.of_thread(), ..door };
        runtime.block_on(async move {
            door.metrics.runtimes.watch(format!("visitors-{index}"), &Handle::current());
            let tasks = TaskTracker::new();
            let pipeline = Arc::new(make(tasks.clone(), door.stopping.soft.clone()));
            match TcpListener::from_std(listener) {
                Ok(listener) => serve(listener, pipeline, Arc::new(door), tasks).await,
                Err(fault) => tracing::error!(%fault, "a listening socket cannot be used"),
            }
        });
    })
}

async fn serve(listener: TcpListener, pipeline: Arc<Pipeline>, door: Arc<Door>, tasks: TaskTracker) {
    let (mut is_short, mut beat) = (false, interval(SWEEP));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = beat.tick() => {
                pipeline.sweep();
                continue;
            }
            () = door.stopping.soft.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                is_short = false;
                admit(stream, peer, &pipeline, &door, &tasks);
            }
            Err(fault) => rest(&fault, std::mem::replace(&mut is_short, true)).await,
        }
    }
    drop(listener);
    pipeline.retire();
    drain(tasks, &door.stopping).await;
}

/// Out of file descriptors, most likely: a short rest lets some be given back. It is said once, until it is over.
async fn rest(fault: &io::Error, is_known: bool) {
    if !is_known {
        tracing::warn!(%fault, "a connection could not be taken; the limit of open files may be too low");
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
}

fn admit(stream: TcpStream, peer: SocketAddr, pipeline: &Arc<Pipeline>, door: &Arc<Door>, tasks: &TaskTracker) {
    let Some(slot) = door.connections.take().map(Arc::new) else { return };
    // Answers are written whole; waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let reception = Reception { pipeline: Arc::clone(pipeline), door: Arc::clone(door), tasks: tasks.clone(), slot };
    tasks.spawn(reception.serve(stream, peer.ip().to_canonical()));
}

async fn drain(tasks: TaskTracker, stopping: &Stopping) {
    tasks.close();
    if tokio::time::timeout(stopping.drain, tasks.wait()).await.is_err() {
        tracing::warn!(open = tasks.len(), "connections that were still open are dropped");
        stopping.hard.cancel();
        let _ = tokio::time::timeout(Duration::from_secs(1), tasks.wait()).await;
    }
}
