//! Connections: a visitor's own, or kept ones that many visitors share.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::target::Target;
use super::wire::{Answer, WireFault};

const ANSWER_MAX_BYTES: usize = 4 << 20;

/// An open connection, driven by whoever asks over it.
pub struct Open {
    sender: SendRequest<Full<Bytes>>,
    /// Boxed, for those who only wait have none.
    connection: Box<Connection<TokioIo<TcpStream>, Full<Bytes>>>,
}

impl Open {
    /// Connects.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn new(target: &Target, source: Option<IpAddr>) -> Result<Self, WireFault> {
        let stream = target.connect(source).await?;
        let (sender, connection) = Builder::new().max_buf_size(16 << 10).handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, connection: Box::new(connection) })
    }

    /// Sends and reads while driving the connection. Tells whether the connection is still good: its future must
    /// not be driven once it has ended.
    ///
    /// # Errors
    /// When it breaks.
    pub async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<(Answer, bool), WireFault> {
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

/// Kept connections that a whole crowd shares, one question at a time on each.
pub struct Carriers {
    idle: Mutex<HashMap<SocketAddr, Vec<Open>>>,
    places: Semaphore,
}

impl Carriers {
    /// Allows so many connections.
    #[must_use]
    pub fn new(connections: u32) -> Self {
        Self { idle: Mutex::default(), places: Semaphore::new(connections as usize) }
    }

    /// Waits until a question may be asked.
    pub async fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.acquire().await.ok()
    }

    /// Takes a kept connection, if one is free.
    #[must_use]
    pub fn take(&self, address: SocketAddr) -> Option<Open> {
        self.lock().get_mut(&address)?.pop()
    }

    /// Keeps a connection for the next question.
    pub fn keep(&self, address: SocketAddr, open: Open) {
        self.lock().entry(address).or_default().push(open);
    }

    /// Lets all those to one gateway go: one of them was found closed.
    pub fn forget(&self, address: SocketAddr) {
        self.lock().remove(&address);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, Vec<Open>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
