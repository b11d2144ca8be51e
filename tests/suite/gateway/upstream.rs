//! The site behind the gateway: it records what it gets, and says what a test tells it to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub uri: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// What is said besides the answer, by path.
type Words = HashMap<String, Vec<(&'static str, String)>>;

struct House {
    seen: Mutex<Vec<Seen>>,
    words: Mutex<Words>,
    slow: Semaphore,
    sockets: Mutex<JoinSet<()>>,
}

/// A running upstream; dropping it ends it.
pub struct Upstream {
    pub address: SocketAddr,
    house: Arc<House>,
    task: JoinHandle<()>,
}

impl Upstream {
    pub async fn start() -> Self {
        let house = House::new();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&house));
        Self::serve(house, router).await
    }

    /// Another site, which records nothing.
    pub async fn serving(router: Router) -> Self {
        Self::serve(House::new(), router).await
    }

    async fn serve(house: Arc<House>, router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, house, task }
    }

    /// One that somebody else runs.
    pub fn elsewhere(address: SocketAddr) -> Self {
        Self { address, house: House::new(), task: tokio::spawn(async {}) }
    }

    /// An upstream that nobody will find.
    pub async fn start_and_leave() -> Self {
        let Self { address, house, task } = &mut Self::start().await;
        task.abort();
        // The address is free once the task has let its listener go.
        assert!(task.await.is_err_and(|ended| ended.is_cancelled()));
        Self { address: *address, house: Arc::clone(house), task: tokio::spawn(async {}) }
    }

    /// Everything it got, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.house.seen.lock().unwrap().clone()
    }

    /// How often this path and query were asked for.
    pub fn count(&self, uri: &str) -> usize {
        self.seen().iter().filter(|seen| seen.uri == uri).count()
    }

    /// From now on the answers at this path carry these headers.
    pub fn say(&self, path: &str, words: &[(&'static str, &str)]) {
        let words = words.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.house.words.lock().unwrap().insert(path.to_owned(), words);
    }

    /// Lets one request to `/slow` be answered.
    pub fn release(&self) {
        self.house.slow.add_permits(1);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(house): State<Arc<House>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/socket" => socket(&house, request),
        "/echo" => {
            house.note(&request, Bytes::new());
            Response::new(Body::from_stream(request.into_body().into_data_stream()))
        }
        _ => whole(&house, &path, request).await,
    }
}

async fn whole(house: &House, path: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    house.note(&Request::from_parts(parts, Body::empty()), body);
    if path == "/slow" {
        house.slow.acquire().await.unwrap().forget();
    }
    let mut response = Response::new(Body::from(format!("the site at {path}")));
    if path == "/broken" {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    for (name, value) in house.words.lock().unwrap().get(path).into_iter().flatten() {
        let value = HeaderValue::from_str(value).unwrap();
        response.headers_mut().append(HeaderName::from_static(name), value);
    }
    response
}

/// Says back every text.
fn socket(house: &House, mut request: Request) -> Response {
    house.note(&request, Bytes::new());
    let key = derive_accept_key(request.headers()[header::SEC_WEBSOCKET_KEY].as_bytes());
    let upgrade = hyper::upgrade::on(&mut request);
    house.sockets.lock().unwrap().spawn(async move {
        let upgraded = TokioIo::new(upgrade.await.unwrap());
        let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
        while let Some(Ok(frame)) = socket.next().await {
            if frame.is_text() && socket.send(frame).await.is_err() {
                break;
            }
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, key.parse().unwrap());
    response
}

impl House {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            seen: Mutex::default(),
            words: Mutex::default(),
            slow: Semaphore::new(0),
            sockets: Mutex::default(),
        })
    }

    fn note(&self, request: &Request, body: Bytes) {
        let seen = Seen {
            method: request.method().to_string(),
            uri: request.uri().to_string(),
            headers: request.headers().clone(),
            body,
        };
        self.seen.lock().unwrap().push(seen);
    }
}
