//! A site that can be killed with all its connections, and that speaks what a real one may speak.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// A request as it came: method, path, host and version.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub host: String,
    pub version: Version,
}

struct House {
    asked: Mutex<Vec<Asked>>,
    /// Answers to `/slow` wait for these.
    slow: Semaphore,
    /// What `/healthz` and everything else say.
    statuses: Mutex<[StatusCode; 2]>,
}

/// A running site; dropping it ends it at once, with every connection.
pub struct Site {
    pub address: SocketAddr,
    house: Arc<House>,
    task: JoinHandle<()>,
}

impl Site {
    pub async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), None).await
    }

    /// Starts at an address that is free.
    pub async fn at(address: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let statuses = Mutex::new([StatusCode::OK; 2]);
        let house = Arc::new(House { asked: Mutex::default(), slow: Semaphore::new(0), statuses });
        let task = tokio::spawn(accept(listener, tls, Arc::clone(&house)));
        Self { address, house, task }
    }

    /// An address where nobody listens, for now.
    pub async fn nobody() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    /// Everything that was asked, but for checks.
    pub fn asked(&self) -> Vec<Asked> {
        self.house.asked.lock().unwrap().iter().filter(|asked| asked.path != "/healthz").cloned().collect()
    }

    pub fn release(&self, count: usize) {
        self.house.slow.add_permits(count);
    }

    /// From now on checks, and everything else, are answered so.
    pub fn answers(&self, checks: u16, others: u16) {
        *self.house.statuses.lock().unwrap() = [checks, others].map(|code| StatusCode::from_u16(code).unwrap());
    }

    /// Ends it as `kill -9` does.
    pub async fn kill(mut self) -> Vec<Asked> {
        self.task.abort();
        let _aborted = (&mut self.task).await;
        self.asked()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, house: Arc<House>) {
    let mut serving = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (house, tls) = (Arc::clone(&house), tls.clone());
        serving.spawn(async move {
            match tls {
                // Who does not believe the certificate is what some of these tests are about.
                Some(tls) => {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    serve(stream, house).await;
                }
                None => serve(stream, house).await,
            }
        });
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, house: Arc<House>) {
    let service = service_fn(move |request| {
        let house = Arc::clone(&house);
        async move { Ok::<_, Infallible>(answer(&house, request).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let _broken = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

async fn answer(house: &House, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let host = request.uri().authority().map(ToString::to_string);
    let host = host.or_else(|| Some(request.headers().get(header::HOST)?.to_str().ok()?.to_owned()));
    let path = request.uri().path().to_owned();
    let asked = Asked {
        method: request.method().to_string(),
        path: path.clone(),
        host: host.unwrap_or_default(),
        version: request.version(),
    };
    house.asked.lock().unwrap().push(asked);
    if path == "/slow" {
        house.slow.acquire().await.unwrap().forget();
    }
    if request.headers().contains_key(header::UPGRADE) {
        return shake_hands(&mut request);
    }
    let [checks, others] = *house.statuses.lock().unwrap();
    let mut response = Response::new(Full::from(format!("the site at {path}")));
    *response.status_mut() = if path == "/healthz" { checks } else { others };
    response
}

/// Switches to a protocol in which the site says hello and ends.
fn shake_hands(request: &mut Request<Incoming>) -> Response<Full<Bytes>> {
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let mut upgraded = TokioIo::new(upgrade.await.unwrap());
        upgraded.write_all(b"hello").await.unwrap();
        upgraded.shutdown().await.unwrap();
    });
    let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    let response = response.header(header::CONNECTION, "upgrade").header(header::UPGRADE, "websocket");
    response.body(Full::default()).unwrap()
}
