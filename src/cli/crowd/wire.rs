//! HTTP/1.1 for one visitor: over one connection of its own, kept alive, or over those that the crowd shares.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode};
use tokio::time::timeout;

use super::carriers::{Carriers, Open};
use super::jar::Jar;
use super::target::Target;

const PATIENCE: Duration = Duration::from_secs(30);
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
    method: Method,
    path: &'a str,
    accept: &'static str,
    json: Option<String>,
    key: Option<String>,
}

impl<'a> Ask<'a> {
    /// Asks for something, as a program.
    #[must_use]
    pub fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, accept: "application/json", json: None, key: None }
    }

    /// Asks for a page, as a browser.
    #[must_use]
    pub fn page(path: &'a str) -> Self {
        Self { accept: "text/html", ..Self::get(path) }
    }

    /// Asks for something to be done.
    #[must_use]
    pub fn post(path: &'a str, json: String) -> Self {
        Self { method: Method::POST, json: Some(json), ..Self::get(path) }
    }

    /// The same, to be done once for each key.
    #[must_use]
    pub fn once(self, key: String) -> Self {
        Self { key: Some(key), ..self }
    }

    fn request(&self, target: &Target, jar: &Jar) -> Option<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(self.path)
            .header(HOST, &target.authority)
            .header(ACCEPT, HeaderValue::from_static(self.accept));
        for (name, value) in jar.headers() {
            request = request.header(name, value);
        }
        if let Some(key) = &self.key {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        if self.json.is_some() {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        request.body(Full::new(Bytes::from(self.json.clone().unwrap_or_default()))).ok()
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

/// One visitor's way to speak: a connection of its own is opened when first needed, and closed by [`Wire::close`] while
/// the visitor only waits.
pub struct Wire {
    source: Option<IpAddr>,
    open: Option<Open>,
    through: Option<Arc<Carriers>>,
}

impl Wire {
    /// Prepares; nothing is opened yet.
    #[must_use]
    pub fn new(source: Option<IpAddr>, through: Option<Arc<Carriers>>) -> Self {
        Self { source, open: None, through }
    }

    /// Returns the address it connects from, if that is fixed.
    #[must_use]
    pub fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Closes the own connection; the next question opens another. Those that are shared stay.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Asks and reads the answer; what the answer sets goes into the jar.
    ///
    /// A kept connection that turns out to be closed is replaced once. That may send a `POST` twice: it carries an
    /// idempotency key, or asks for what may be asked twice.
    ///
    /// # Errors
    /// See [`WireFault`]. The connection is closed then.
    pub async fn ask(&mut self, target: &Target, jar: &mut Jar, ask: &Ask<'_>) -> Result<Answer, WireFault> {
        let answer = timeout(PATIENCE, self.ask_twice(target, jar, ask)).await.unwrap_or(Err(WireFault::Silent));
        if let Ok(answer) = &answer {
            jar.take(&answer.headers);
        }
        answer
    }

    async fn ask_twice(&mut self, target: &Target, jar: &Jar, ask: &Ask<'_>) -> Result<Answer, WireFault> {
        let through = self.through.clone();
        let _place = match &through {
            Some(carriers) => carriers.place().await,
            None => None,
        };
        let kept = match &through {
            Some(carriers) => carriers.take(target.address),
            None => self.open.take(),
        };
        if let Some(open) = kept {
            match self.ask_over(open, target, jar, ask).await {
                Err(WireFault::Broken(_)) => through.iter().for_each(|carriers| carriers.forget(target.address)),
                done => return done,
            }
        }
        let open = Open::new(target, self.source).await?;
        self.ask_over(open, target, jar, ask).await
    }

    async fn ask_over(
        &mut self,
        mut open: Open,
        target: &Target,
        jar: &Jar,
        ask: &Ask<'_>,
    ) -> Result<Answer, WireFault> {
        let unspeakable = || io::Error::new(io::ErrorKind::InvalidInput, "not a path or a cookie");
        let request = ask.request(target, jar).ok_or_else(unspeakable)?;
        let (answer, reusable) = open.exchange(request).await?;
        match &self.through {
            _ if !reusable => {}
            Some(carriers) => carriers.keep(target.address, open),
            None => self.open = Some(open),
        }
        Ok(answer)
    }
}
