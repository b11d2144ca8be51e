//! The way to one address: a connection is made and greeted, and what it speaks is found out.

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::Either;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::rt::Executor;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ProxyFault;
use super::address::{Scheme, UpstreamAddress};
use super::request_body::RequestBody;
use super::watched::{Heard, Watched};
use crate::tls::{self, TlsFault};

/// How often a connection of HTTP/2 with requests on it is asked whether it lives, and how long it may take to answer.
const PING: Duration = Duration::from_secs(10);

/// What an upstream may send ahead in one answer, in bytes, and in all of a connection.
const WINDOWS_BYTES: (u32, u32) = (256 << 10, 4 << 20);

/// The way to one address, shared by all threads.
pub(super) struct Way {
    pub(super) address: UpstreamAddress,
    tls: Option<Tls>,
    /// Whether the last connection agreed on HTTP/2.
    is_http2: AtomicBool,
}

struct Tls {
    name: ServerName<'static>,
    any: TlsConnector,
    /// For WebSockets, which are HTTP/1.1.
    only_http1: TlsConnector,
}

/// The sending side of a connection.
pub(super) enum Sender {
    Http1(http1::SendRequest<RequestBody>),
    Http2(http2::SendRequest<RequestBody>),
}

/// A connection that has just been made, and the work that keeps it going.
pub(super) struct Fresh {
    pub(super) sender: Sender,
    pub(super) heard: Heard,
}

impl Way {
    /// Prepares the way to an address; `ca` names the authorities to believe, if not those of the system.
    ///
    /// # Errors
    /// [`TlsFault`] when there is nobody to believe.
    pub(super) fn new(address: UpstreamAddress, ca: Option<&Path>) -> Result<Self, TlsFault> {
        let is_http2 = AtomicBool::new(address.scheme() == Scheme::H2c);
        let tls = (address.scheme() == Scheme::Https).then(|| Tls::new(&address, ca)).transpose()?;
        Ok(Self { address, tls, is_http2 })
    }

    /// Tells whether connections are likely to be HTTP/2, so that one is enough for many requests.
    pub(super) fn is_http2(&self) -> bool {
        self.is_http2.load(Ordering::Relaxed)
    }

    /// Tells whether a request can be sent as text: in HTTP/1.1, in the clear.
    pub(super) fn takes_text(&self) -> bool {
        self.address.scheme() == Scheme::Http
    }

    /// Makes a connection on which nothing was said yet. It is not bounded in time.
    pub(super) async fn dial(&self) -> Result<TcpStream, ProxyFault> {
        let stream = TcpStream::connect((self.address.host(), self.address.port())).await;
        let stream = stream.map_err(ProxyFault::Unreachable)?;
        stream.set_nodelay(true).map_err(ProxyFault::Unreachable)?;
        Ok(stream)
    }

    /// Makes a connection; the work that keeps it going runs on `tasks`, with `held` in its hands, until `stop`. It is
    /// not bounded in time.
    pub(super) async fn connect<H: Send + 'static>(
        &self,
        only_http1: bool,
        held: H,
        (tasks, stop): (&TaskTracker, &CancellationToken),
    ) -> Result<Fresh, ProxyFault> {
        let stream = self.dial().await?;
        let running = Running { tasks, stop };
        let Some(tls) = &self.tls else {
            let is_http2 = self.address.scheme() == Scheme::H2c;
            if is_http2 && only_http1 {
                return Err(ProxyFault::Unreachable(io::Error::other("h2c carries no WebSockets")));
            }
            return running.greet(stream, is_http2, held).await;
        };
        let connector = if only_http1 { &tls.only_http1 } else { &tls.any };
        let stream = connector.connect(tls.name.clone(), stream).await.map_err(ProxyFault::Unreachable)?;
        let is_http2 = tls::is_http2(stream.get_ref().1.alpn_protocol());
        if !only_http1 {
            self.is_http2.store(is_http2, Ordering::Relaxed);
        }
        running.greet(stream, is_http2, held).await
    }
}

impl Tls {
    fn new(address: &UpstreamAddress, ca: Option<&Path>) -> Result<Self, TlsFault> {
        let host = address.host().to_owned();
        let name = ServerName::try_from(host).map_err(|_| TlsFault::BadName(address.host().to_owned()))?;
        Ok(Self { name, any: tls::connector(ca, true)?, only_http1: tls::connector(ca, false)? })
    }
}

/// Where the work of connections runs.
struct Running<'a> {
    tasks: &'a TaskTracker,
    stop: &'a CancellationToken,
}

impl Running<'_> {
    async fn greet<S, H>(&self, stream: S, is_http2: bool, held: H) -> Result<Fresh, ProxyFault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Send + 'static,
    {
        let heard = Heard::default();
        let io = TokioIo::new(Watched::new(stream, heard.clone()));
        if !is_http2 {
            let (sender, driver) = http1::Builder::new()
                .writev(false)
                .handshake(io)
                .await
                .map_err(|error| ProxyFault::BadAnswer(error.into()))?;
            self.drive(driver.with_upgrades(), held);
            return Ok(Fresh { sender: Sender::Http1(sender), heard });
        }
        let (sender, driver) = http2::Builder::new(OwnedTasks(self.tasks.clone()))
            .timer(TokioTimer::new())
            .initial_stream_window_size(WINDOWS_BYTES.0)
            .initial_connection_window_size(WINDOWS_BYTES.1)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .handshake(io)
            .await
            .map_err(|error| ProxyFault::BadAnswer(error.into()))?;
        self.drive(driver, held);
        Ok(Fresh { sender: Sender::Http2(sender), heard })
    }

    fn drive<H: Send + 'static>(&self, driver: impl Future + Send + 'static, held: H) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let _held = held;
            // What goes wrong here reaches whoever waits for the answer.
            until_cancelled(driver, &stop).await;
        });
    }
}

/// Runs a task's work until it ends or `stop` is cancelled. That is asked for once, and not anew at each wake of the task,
/// of which there are some for each request: to be told of it is a wake, too.
async fn until_cancelled(work: impl Future, stop: &CancellationToken) {
    let (mut work, mut cancelled) = (pin!(work), pin!(stop.cancelled()));
    let mut asked: Option<Waker> = None;
    let step = |cx: &mut Context<'_>| {
        let has_asked = asked.as_ref().is_some_and(|asked| asked.will_wake(cx.waker()));
        if !has_asked {
            asked = Some(cx.waker().clone());
            let _ = cancelled.as_mut().poll(cx);
        }
        let has_ended = work.as_mut().poll(cx).is_ready() || stop.is_cancelled();
        if has_ended { Poll::Ready(()) } else { Poll::Pending }
    };
    poll_fn(step).await;
}

impl Sender {
    /// Waits until a request can be sent; says whether it ever can.
    pub(super) async fn ready(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_ready(),
            Self::Http2(sender) => sender.is_ready(),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// Returns another hand on the same connection, where it carries several requests.
    pub(super) fn share(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }

    /// Sends a request at once, and then waits for the answer.
    pub(super) fn try_send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<> {
        match self {
            Self::Http1(sender) => Either::Left(sender.try_send_request(request)),
            Self::Http2(sender) => Either::Right(sender.try_send_request(request)),
        }
    }
}

/// Runs the streams of a connection as tasks that a stop waits for.
#[derive(Clone)]
pub struct OwnedTasks(pub TaskTracker);

impl<F: Future<Output: Send + 'static> + Send + 'static> Executor<F> for OwnedTasks {
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn work_goes_on_until_it_ends_or_is_cancelled() {
        let stop = CancellationToken::new();
        until_cancelled(ready(()), &stop).await;
        let theirs = stop.clone();
        let endless = tokio::spawn(async move { until_cancelled(pending::<()>(), &theirs).await });
        // As often as it likes: it has begun by then, and asks no more.
        for _ in 0..9 {
            tokio::task::yield_now().await;
        }
        assert!(!endless.is_finished());
        stop.cancel();
        endless.await.unwrap();
        until_cancelled(pending::<()>(), &stop).await;
    }
}
