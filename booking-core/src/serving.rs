//! The listener: connections are taken in one place, and each is served on one thread, of which there is one for each core.
//!
//! Nothing of a request goes from thread to thread but its place in the teller's line.

use std::convert::Infallible;
use std::io;
use std::num::NonZero;
use std::pin::pin;
use std::time::Duration;

use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::home::Home;

/// How long it rests when the system gives no connection, most likely because too many files are open.
const REST: Duration = Duration::from_millis(100);

/// Answers requests.
pub(crate) trait Desk:
    Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<S> Desk for S where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

/// The threads. What requests have begun there ends with them at the latest, so they are kept until it is over.
pub(crate) struct Threads {
    homes: Vec<Home>,
    _end: DropGuard,
}

impl Threads {
    /// Starts a thread for each core.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start() -> io::Result<Self> {
        let end = CancellationToken::new();
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let home = |index| Home::build(&format!("visitors-{index}"), end.clone().cancelled_owned());
        let homes = (0..cores).map(home).collect::<io::Result<_>>()?;
        Ok(Self { homes, _end: end.drop_guard() })
    }

    /// Serves until `ending`, and then until the requests under way are answered.
    pub async fn serve(&self, listener: TcpListener, desk: impl Desk, ending: CancellationToken) {
        let connections = TaskTracker::new();
        // The connections of a thread ask often whether it ends, and would wait there for those of another.
        let threads: Vec<_> = self.homes.iter().map(|home| (home.handle(), ending.child_token())).collect();
        for (home, ending) in threads.iter().cycle() {
            let Some(stream) = ending.run_until_cancelled(accept(&listener)).await else { break };
            connections.spawn_on(connection(stream, desk.clone(), ending.clone()), home);
        }
        drop(listener);
        connections.close();
        connections.wait().await;
    }
}

async fn accept(listener: &TcpListener) -> std::net::TcpStream {
    loop {
        match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => return stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken; the limit of open files may be too low");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Serves a connection until its client leaves, or, once we end, until it has the answer it waits for.
async fn connection(stream: std::net::TcpStream, desk: impl Desk, ending: CancellationToken) {
    let Ok(stream) = TcpStream::from_std(stream).and_then(quick) else { return };
    let mut http = pin!(http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), desk));
    let outcome = tokio::select! {
        outcome = http.as_mut() => outcome,
        () = ending.cancelled() => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// An answer is written at once; it must not wait until the client has confirmed the one before.
fn quick(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}
