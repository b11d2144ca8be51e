//! HTTP/1.1 for one visitor: over one connection of its own, kept alive, or over those that the crowd shares.

use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};
use tokio::time::timeout;

use super::carriers::Carriers;
use super::jar::Jar;
use super::speech::Open;
use super::target::Target;

const PATIENCE: Duration = Duration::from_secs(30);

/// `ENFILE` and `EMFILE`, alike on every Unix: as many files are open as this machine, or this process, may open.
const FILES_OPEN: [i32; 2] = [23, 24];

/// Says what went wrong on the way to an answer; each may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum WireFault {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// The connection broke, or what came was not HTTP, or too much of it.
    #[error("the connection broke: {0}")]
    Broken(#[source] io::Error),
    /// No answer within 30 seconds, counted from when it had a place among those who share connections.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Silent,
}

impl WireFault {
    /// Returns the kind under which the report counts it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) if self.is_own() => "out_of_connections",
            Self::Connect(_) => "connect",
            Self::Broken(_) => "connection_broken",
            Self::Silent => "no_answer",
        }
    }

    /// Tells whether this machine had no file or no port left for a connection: the site was not asked then.
    #[must_use]
    pub fn is_own(&self) -> bool {
        let Self::Connect(fault) = self else { return false };
        let is_out_of_files = fault.raw_os_error().is_some_and(|code| FILES_OPEN.contains(&code));
        is_out_of_files || matches!(fault.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse)
    }
}

/// A question to a site.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    method: &'static str,
    path: &'a str,
    accept: &'static str,
    json: Option<String>,
    key: Option<String>,
}

impl<'a> Ask<'a> {
    /// Asks for something, as a program.
    #[must_use]
    pub fn get(path: &'a str) -> Self {
        Self { method: "GET", path, accept: "application/json", json: None, key: None }
    }

    /// Asks for a page, as a browser.
    #[must_use]
    pub fn page(path: &'a str) -> Self {
        Self { accept: "text/html", ..Self::get(path) }
    }

    /// Asks for something to be done.
    #[must_use]
    pub fn post(path: &'a str, json: String) -> Self {
        Self { method: "POST", json: Some(json), ..Self::get(path) }
    }

    /// The same, to be done once for each key.
    #[must_use]
    pub fn once(self, key: String) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Writes the question down. Nothing in it has a line of its own: paths and cookies were read from URLs and headers,
    /// tickets are looked at by the jar.
    fn written(&self, target: &Target, jar: &Jar) -> String {
        let Self { method, path, accept, .. } = self;
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\naccept: {accept}\r\n", target.authority);
        let mut line = |name: &str, value: &str| {
            let _ = write!(text, "{name}: {value}\r\n");
        };
        jar.headers().for_each(|(name, value)| line(name.as_str(), &value));
        self.key.iter().for_each(|key| line("idempotency-key", key));
        if let Some(json) = &self.json {
            line("content-type", "application/json");
            line("content-length", &json.len().to_string());
        }
        text + "\r\n" + self.json.as_deref().unwrap_or_default()
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
        let through = self.through.clone();
        // A crowd that cannot ask as fast as it means to waits for itself here, and not for the site.
        let _place = match &through {
            Some(carriers) => carriers.place().await,
            None => None,
        };
        let answer = timeout(PATIENCE, self.ask_twice(target, jar, ask)).await.unwrap_or(Err(WireFault::Silent));
        if let Ok(answer) = &answer {
            jar.take(&answer.headers);
        }
        answer
    }

    async fn ask_twice(&mut self, target: &Target, jar: &Jar, ask: &Ask<'_>) -> Result<Answer, WireFault> {
        let through = self.through.clone();
        let kept = match &through {
            Some(carriers) => carriers.take(target.address),
            None => self.open.take(),
        };
        let question = ask.written(target, jar);
        if let Some(open) = kept {
            match self.ask_over(open, target, &question).await {
                Err(WireFault::Broken(_)) => through.iter().for_each(|carriers| carriers.forget(target.address)),
                done => return done,
            }
        }
        let stream = target.connect(self.source).await.map_err(WireFault::Connect)?;
        self.ask_over(Open::new(stream), target, &question).await
    }

    async fn ask_over(&mut self, mut open: Open, target: &Target, question: &str) -> Result<Answer, WireFault> {
        let (answer, is_reusable) = open.exchange(question.as_bytes()).await.map_err(WireFault::Broken)?;
        match &self.through {
            _ if !is_reusable => {}
            Some(carriers) => carriers.keep(target.address, open),
            None => self.open = Some(open),
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_own_machines_fault_is_told_from_what_is_the_sites() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let own = [io::Error::from_raw_os_error(24), io::ErrorKind::AddrNotAvailable.into()].map(WireFault::Connect);
        assert_eq!(own.each_ref().map(WireFault::kind), ["out_of_connections"; 2]);
        assert_eq!([WireFault::Connect(refused), WireFault::Silent].map(|fault| fault.is_own()), [false; 2]);
    }
}
