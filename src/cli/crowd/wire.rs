//! HTTP/1.1 for one visitor: one connection, kept alive, driven by whoever asks.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::header::{ACCEPT, CONTENT_TYPE, COOKIE, HOST, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::jar::Jar;
use super::target::Target;

const PATIENCE: Duration = Duration::from_secs(30);
const ANSWER_MAX_BYTES: usize = 4 << 20;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Says what went wrong on the way to an answer; each may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum WireFault {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    /// The connection broke, or what came was not HTTP.
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    /// The body broke off or was too large.
    #[error("the answer broke off: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// No answer within 30 seconds.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Silent,
}

impl WireFault {
    /// Returns the kind under which the report counts it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Broken(_) => "connection_broken",
            Self::Body(_) => "answer_cut_off",
            Self::Silent => "no_answer",
        }
    }
}

/// A question to a site.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// `GET` or `POST`.
    pub method: Method,
    /// The path, perhaps with a query.
    pub path: &'a str,
    /// The idempotency key and the JSON body of a `POST`.
    pub body: Option<(String, String)>,
}

impl<'a> Ask<'a> {
    /// Asks for something.
    #[must_use]
    pub fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, body: None }
    }

    /// Asks for something to be done, once per `key`.
    #[must_use]
    pub fn post(path: &'a str, key: String, json: String) -> Self {
        Self { method: Method::POST, path, body: Some((key, json)) }
    }

    fn request(&self, target: &Target, jar: &Jar) -> Option<Request<Full<Bytes>>> {
        let (key, json) = self.body.clone().unzip();
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(self.path)
            .header(HOST, &target.authority)
            .header(ACCEPT, "application/json");
        if let Some(cookies) = jar.header() {
            request = request.header(COOKIE, cookies);
        }
        if let Some(key) = key {
            request = request.header(IDEMPOTENCY_KEY, key);
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        request.body(Full::new(Bytes::from(json.unwrap_or_default()))).ok()
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, at most 4 MiB.
    pub body: Bytes,
}

/// One visitor's connection: opened when first needed, closed by [`Wire::close`] while the visitor only waits.
pub struct Wire {
    source: Option<IpAddr>,
    open: Option<Open>,
}

struct Open {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<TcpStream>, Full<Bytes>>,
}

impl Wire {
    /// Prepares; nothing is opened yet.
    #[must_use]
    pub fn new(source: Option<IpAddr>) -> Self {
        Self { source, open: None }
    }

    /// Returns the address it connects from, if that is fixed.
    #[must_use]
    pub fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Closes the connection; the next question opens another.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Asks and reads the answer; what the answer sets goes into the jar.
    ///
    /// A kept connection that turns out to be closed is replaced once. That may send a `POST` twice: it carries an
    /// idempotency key.
    ///
    /// # Errors
    /// See [`WireFault`]. The connection is closed then.
    pub async fn ask(&mut self, target: &Target, jar: &mut Jar, ask: &Ask<'_>) -> Result<Answer, WireFault> {
        let kept = self.open.is_some();
        let first = timeout(PATIENCE, self.ask_once(target, jar, ask)).await.unwrap_or(Err(WireFault::Silent));
        let answer = match first {
            Err(WireFault::Broken(_)) if kept => {
                timeout(PATIENCE, self.ask_once(target, jar, ask)).await.unwrap_or(Err(WireFault::Silent))
            }
            first => first,
        };
        match &answer {
            Ok(answer) => jar.take(&answer.headers),
            Err(_) => self.close(),
        }
        answer
    }

    async fn ask_once(&mut self, target: &Target, jar: &Jar, ask: &Ask<'_>) -> Result<Answer, WireFault> {
        let unspeakable = || io::Error::new(io::ErrorKind::InvalidInput, "not a path or a cookie");
        let request = ask.request(target, jar).ok_or_else(unspeakable)?;
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open::new(target.connect(self.source).await?).await?,
        };
        let (answer, reusable) = open.exchange(request).await?;
        self.open = reusable.then_some(open);
        Ok(answer)
    }
}

impl Open {
    async fn new(stream: TcpStream) -> Result<Self, hyper::Error> {
        let (sender, connection) = Builder::new().max_buf_size(16 << 10).handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, connection })
    }

    /// Sends and reads while driving the connection. Tells whether the connection is still good: its future must
    /// not be driven once it has ended.
    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<(Answer, bool), WireFault> {
        let Self { sender, connection } = self;
        let exchange = converse(sender, request);
        tokio::pin!(exchange);
        tokio::select! {
            biased;
            answer = &mut exchange => Ok((answer?, true)),
            // What was read before the end is still on its way to the exchange.
            _ = connection => Ok((exchange.await?, false)),
        }
    }
}

async fn converse(sender: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Result<Answer, WireFault> {
    sender.ready().await?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, ANSWER_MAX_BYTES).collect().await.map_err(WireFault::Body)?;
    Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
}
