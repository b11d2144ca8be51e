//! Connections to one upstream: a small keep-alive pool, and one exchange over it.
//!
//! The pool is ours because a pool per worker over `hyper::client::conn` costs measurably less than a shared
//! one, and because the retry rule (P3) has to know exactly what an attempt may have done.

use std::collections::VecDeque;
use std::fmt;
use std::pin::pin;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::request_body::{Progress, RequestBody, Upload};
use super::watched::{Heard, Watched};
use super::{ProxyFault, ProxyLimits};

/// Where an upstream listens: `http://HOST:PORT`, `HOST:PORT` or `HOST`, with port 80 by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamAddress {
    host: String,
    port: u16,
}

/// Says that a text is no address of an upstream.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("an upstream is written http://HOST:PORT, without a path")]
pub struct BadAddress;

impl FromStr for UpstreamAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let authority = text.strip_prefix("http://").unwrap_or(text);
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| BadAddress)?),
            _ => (authority, 80),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let valid = match bare {
            Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(plain),
        };
        let host = bare.unwrap_or(host).to_owned();
        if valid && port != 0 { Ok(Self { host, port }) } else { Err(BadAddress) }
    }
}

impl std::fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "http://[{host}]:{port}") } else { write!(f, "http://{host}:{port}") }
    }
}

/// A connection, its sending side, and a count of what the upstream has said on it.
struct Connection {
    sender: SendRequest<RequestBody>,
    heard: Heard,
    /// Whether it has carried a request before.
    reused: bool,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// The connections to one upstream, none of which outlives `stop`.
pub(super) struct Pool {
    address: UpstreamAddress,
    limits: ProxyLimits,
    /// The most recently used last, and taken first: those that are not needed grow old and are dropped.
    idle: Mutex<VecDeque<Idle>>,
    /// One permit for each open connection, idle or not.
    slots: Arc<Semaphore>,
    /// Nothing is kept idle any more.
    retired: AtomicBool,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A connection on loan for one exchange; closed when dropped, kept when given back.
pub(super) struct Lease {
    connection: Connection,
    pool: Arc<Pool>,
    upload: Option<Arc<Upload>>,
}

impl Lease {
    /// Puts the connection back, unless its request is still being sent: then it would make the next one wait.
    pub(super) fn give_back(self) {
        if self.upload.is_none_or(|upload| upload.is_done()) {
            self.pool.keep(self.connection);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

/// Why an attempt failed, and the request if it may be sent again.
struct Failure {
    fault: ProxyFault,
    again: Option<Request<RequestBody>>,
}

impl From<ProxyFault> for Failure {
    fn from(fault: ProxyFault) -> Self {
        Self { fault, again: None }
    }
}

impl Pool {
    pub(super) fn new(
        address: UpstreamAddress,
        limits: ProxyLimits,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(limits.max_connections));
        Arc::new(Self { address, limits, idle: Mutex::default(), slots, retired: AtomicBool::new(false), tasks, stop })
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// It is sent a second time, over a fresh connection, only when nothing can have happened the first time
    /// (P3): hyper gave it back unwritten; or the first connection was a reused one that closed without one byte
    /// of an answer, and the request is a safe one without a body.
    pub(super) async fn exchange(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        upload: Option<Arc<Upload>>,
    ) -> Result<(Lease, Response<Incoming>), ProxyFault> {
        let connection = self.checkout().await?;
        let failure = match self.attempt(connection, request, upload.as_ref()).await {
            Ok((connection, response)) => return Ok((self.lease(connection, upload), response)),
            Err(failure) => failure,
        };
        let request = failure.again.ok_or(failure.fault)?;
        let connection = self.connect().await?;
        let outcome = self.attempt(connection, request, upload.as_ref()).await;
        let (connection, response) = outcome.map_err(|failure| failure.fault)?;
        Ok((self.lease(connection, upload), response))
    }

    /// Drops the idle connections that were not used for too long; returns how many are left.
    pub(super) fn sweep(&self) -> usize {
        self.fresh_idle().len()
    }

    /// Returns how many connections are open, idle or not.
    pub(super) fn open(&self) -> usize {
        self.limits.max_connections - self.slots.available_permits()
    }

    fn lease(self: &Arc<Self>, connection: Connection, upload: Option<Arc<Upload>>) -> Lease {
        Lease { connection, pool: Arc::clone(self), upload }
    }

    /// Locks the list of idle connections, without those that have grown too old.
    fn fresh_idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        // A panic cannot leave the list half changed, so that a poisoned one is still sound.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while idle.front().is_some_and(|oldest| oldest.since.elapsed() >= self.limits.idle_timeout) {
            idle.pop_front();
        }
        idle
    }

    fn keep(&self, mut connection: Connection) {
        if connection.sender.is_closed() || self.stop.is_cancelled() {
            return;
        }
        connection.reused = true;
        let mut idle = self.fresh_idle();
        // Asked under the lock, so that nothing comes in behind the last look.
        if idle.len() < self.limits.max_idle && !self.retired.load(Ordering::SeqCst) {
            idle.push_back(Idle { connection, since: Instant::now() });
        }
    }

    /// Drops the idle connections and keeps none from now on.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        self.fresh_idle().clear();
    }

    async fn checkout(&self) -> Result<Connection, ProxyFault> {
        loop {
            let Some(mut connection) = self.pop() else { return self.connect().await };
            if connection.sender.is_ready() {
                return Ok(connection);
            }
            // Its driver may still have to notice that the last answer is over, or that the peer is gone.
            let ready = timeout(self.limits.connect_timeout, connection.sender.ready());
            if matches!(ready.await, Ok(Ok(()))) {
                return Ok(connection);
            }
        }
    }

    fn pop(&self) -> Option<Connection> {
        self.fresh_idle().pop_back().map(|idle| idle.connection)
    }

    async fn connect(&self) -> Result<Connection, ProxyFault> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| ProxyFault::Overloaded)?;
        let UpstreamAddress { host, port } = &self.address;
        let connecting = TcpStream::connect((host.as_str(), *port));
        let connected = timeout(self.limits.connect_timeout, connecting).await;
        let stream = connected.map_err(|_| ProxyFault::ConnectTimeout)?.map_err(ProxyFault::Unreachable)?;
        stream.set_nodelay(true).map_err(ProxyFault::Unreachable)?;
        self.handshake(stream, slot).await.map_err(ProxyFault::BadAnswer)
    }

    async fn handshake(&self, stream: TcpStream, slot: OwnedSemaphorePermit) -> hyper::Result<Connection> {
        let heard = Heard::default();
        let io = TokioIo::new(Watched::new(stream, heard.clone()));
        let (sender, driver) = http1::Builder::new().handshake(io).await?;
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let _slot = slot;
            // What goes wrong here reaches whoever waits for the answer.
            tokio::select! {
                biased;
                _ = driver.with_upgrades() => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(Connection { sender, heard, reused: false })
    }

    async fn attempt(
        &self,
        mut connection: Connection,
        request: Request<RequestBody>,
        upload: Option<&Arc<Upload>>,
    ) -> Result<(Connection, Response<Incoming>), Failure> {
        let reused = connection.reused;
        let spare = (reused && is_repeatable(&request)).then(|| copy_head(&request));
        let heard_bytes = connection.heard.bytes();
        let mut answer = pin!(connection.sender.try_send_request(request));
        let mut progress = Progress::default();
        let outcome = loop {
            match timeout(self.limits.header_timeout, &mut answer).await {
                Ok(outcome) => break outcome,
                Err(_) => match upload {
                    Some(upload) => upload.judge_wait(&mut progress)?,
                    None => return Err(ProxyFault::HeaderTimeout.into()),
                },
            }
        };
        let mut failed = match outcome {
            Ok(response) => return Ok((connection, response)),
            Err(failed) => failed,
        };
        if let Some(fault) = upload.and_then(|upload| upload.fault()) {
            return Err(fault.into());
        }
        let silent = connection.heard.bytes() == heard_bytes;
        let again = failed.take_message().or_else(|| spare.filter(|_| silent));
        Err(Failure { fault: fault_of(failed.into_error(), silent), again })
    }
}

fn is_repeatable(request: &Request<RequestBody>) -> bool {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    safe && hyper::body::Body::is_end_stream(request.body())
}

fn copy_head(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::empty());
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    copy
}

fn fault_of(error: hyper::Error, silent: bool) -> ProxyFault {
    if silent { ProxyFault::NoAnswer(error) } else { ProxyFault::BadAnswer(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        let check = |text: &str, host: &str, port| {
            let expected = UpstreamAddress { host: host.to_owned(), port };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        };
        check("http://127.0.0.1:3000", "127.0.0.1", 3000);
        check("http://booking/", "booking", 80);
        check("[::1]:81", "::1", 81);
        check("http://[::1]", "::1", 80);
        for text in ["", "http://", "https://a", "a:0", "a:x", "a/b", "http://u@a", "::1", "[a]", "a:70000", "a?b"] {
            assert_eq!(text.parse::<UpstreamAddress>(), Err(BadAddress), "{text}");
        }
    }
}
