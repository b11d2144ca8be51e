//! A small gateway around the proxy under test, and an upstream that does what a test tells it.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vestibule::proxy::{
    BadTarget, ChainHeader, Fleet, FleetRules, Passage, Proxy, ProxyLimits, ResponseBody, Target, UpstreamWords,
    VisitorBody,
};

use super::wire::{Message, Wire};

/// A request with this header has its body gathered before it is forwarded.
pub const AT_HAND: &str = "at-hand";

/// What an upstream saw: which connection, and each request that was whole.
#[derive(Clone, Default)]
pub struct Record {
    requests: Arc<Mutex<Vec<(usize, Message)>>>,
    connections: Arc<AtomicUsize>,
}

impl Record {
    pub fn add(&self, connection: usize, message: Message) {
        self.requests.lock().unwrap().push((connection, message));
    }

    pub fn requests(&self) -> Vec<Message> {
        self.requests.lock().unwrap().iter().map(|(_, message)| message.clone()).collect()
    }

    /// The first lines, each with the number of its connection.
    pub fn lines(&self) -> Vec<(usize, String)> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|(at, message)| (*at, message.first_line().to_owned())).collect()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Gateway and upstream of one test; everything ends with it.
pub struct Stand {
    pub proxy: Arc<Proxy>,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
    pub record: Record,
    gateway: SocketAddr,
    _running: JoinSet<()>,
}

impl Stand {
    /// Starts both. `serve` is run for each connection to the upstream, with its number.
    pub async fn start<F, R>(limits: ProxyLimits, serve: F) -> Self
    where
        F: Fn(usize, Wire, Record) -> R + Send + Sync + 'static,
        R: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let record = Record::default();
        let mut running = JoinSet::new();
        running.spawn(upstream(listener, record.clone(), serve));
        Self::before(address, limits, record, running).await
    }

    /// Starts a gateway before an address where nobody listens.
    pub async fn before_nobody() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        Self::before_only(address, limits()).await
    }

    /// Starts a gateway before an address that the test keeps itself.
    pub async fn before_only(address: SocketAddr, limits: ProxyLimits) -> Self {
        Self::before(address, limits, Record::default(), JoinSet::new()).await
    }

    async fn before(address: SocketAddr, limits: ProxyLimits, record: Record, mut running: JoinSet<()>) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let upstream = address.to_string().parse().unwrap();
        let fleet = Fleet::new(&[upstream], FleetRules::default(), None).unwrap();
        let proxy = Arc::new(Proxy::new(fleet, limits, tasks.clone(), stop.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = listener.local_addr().unwrap();
        running.spawn(serve_gateway(listener, Arc::clone(&proxy)));
        Self { proxy, tasks, stop, record, gateway, _running: running }
    }

    pub async fn connect(&self) -> Wire {
        Wire::new(TcpStream::connect(self.gateway).await.unwrap())
    }

    /// Sends one request on a connection of its own and reads the answer.
    pub async fn ask(&self, raw: &str) -> Message {
        let mut wire = self.connect().await;
        wire.send(raw).await.unwrap();
        wire.message(raw.starts_with("HEAD")).await.unwrap()
    }

    /// Waits until a condition on the proxy's depth holds.
    pub async fn until_open(&self, open: usize) {
        while self.proxy.sweep().open != open {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Bounds short enough for a test and long enough for a busy machine.
pub fn limits() -> ProxyLimits {
    ProxyLimits { max_body_bytes: 64 * 1024, ..ProxyLimits::default() }
}

/// Bounds of a test that waits for one of them.
pub fn hasty() -> ProxyLimits {
    let soon = Duration::from_millis(150);
    ProxyLimits { connect_timeout: soon, header_timeout: soon, body_timeout: soon, tunnel_timeout: soon, ..limits() }
}

/// Answers every request with its own body and keeps the connection.
pub async fn polite(connection: usize, mut wire: Wire, record: Record) -> io::Result<()> {
    loop {
        let request = wire.message(false).await?;
        let body = request.text();
        let head = request.first_line().starts_with("HEAD");
        record.add(connection, request);
        let shown = if head { "" } else { &body };
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{shown}", body.len())).await?;
    }
}

async fn upstream<F, R>(listener: TcpListener, record: Record, serve: F)
where
    F: Fn(usize, Wire, Record) -> R + Send + Sync + 'static,
    R: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut serving = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let number = record.connections.fetch_add(1, Ordering::SeqCst);
        // A connection that breaks is what many of these tests are about.
        let one = serve(number, Wire::new(stream), record.clone());
        serving.spawn(async move { drop(one.await) });
    }
}

async fn serve_gateway(listener: TcpListener, proxy: Arc<Proxy>) {
    let mut serving = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let proxy = Arc::clone(&proxy);
        let service = service_fn(move |request| answer(Arc::clone(&proxy), request));
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        serving.spawn(async move { drop(connection.with_upgrades().await) });
    }
}

async fn answer(
    proxy: Arc<Proxy>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, std::convert::Infallible> {
    let (mut parts, body) = request.into_parts();
    // As the fast path has a short body, which is all there when it is asked for.
    let body = match parts.headers.remove(AT_HAND) {
        Some(_) => VisitorBody::AtHand(body.collect().await.unwrap().to_bytes()),
        None => body.into(),
    };
    let request = Request::from_parts(parts, body);
    let target = match Target::parse(&request, "http") {
        Ok(target) => target,
        Err(fault) => return Ok(refused(fault)),
    };
    let passage = Passage {
        room: "tatkal",
        visitor: Some("00ff"),
        pass: Some("a.b.c"),
        request: vestibule::telemetry::RequestId::of(&tracing::Span::none(), || 0x1d),
        peer: [127, 0, 0, 1].into(),
        peer_is_trusted: false,
        chain: ChainHeader::default(),
        scheme: "http",
        method_decides: false,
    };
    let outgoing = proxy.prepare(Box::new(request), &target, &passage);
    let outcome = proxy.send(outgoing).await;
    Ok(outcome.map_or_else(|fault| told(StatusCode::BAD_GATEWAY, &format!("{fault:?}")), with_words))
}

fn with_words(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    if let Some(UpstreamWords(words)) = response.extensions().get() {
        let shown = HeaderValue::from_str(&format!("{words:?}")).unwrap();
        response.headers_mut().insert("x-words", shown);
    }
    response
}

/// Says why, and closes: what follows a refused request may be its body.
fn refused(fault: BadTarget) -> Response<ResponseBody> {
    let mut response = told(StatusCode::BAD_REQUEST, &format!("{fault:?}"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn told(status: StatusCode, text: &str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(text.to_owned()));
    *response.status_mut() = status;
    response
}
