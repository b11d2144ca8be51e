//! The admin listener over TLS.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a handshake may take, and how many are under way at once.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HANDSHAKES_CAP: usize = 32;

/// Takes connections whose handshake is done; those that dawdle hold up nobody.
pub struct Secure {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    greeting: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl Secure {
    /// Makes it of a listener.
    #[must_use]
    pub fn new(listener: TcpListener, acceptor: TlsAcceptor) -> Self {
        Self { listener, acceptor, greeting: JoinSet::new() }
    }

    fn greet(&mut self, stream: TcpStream, peer: SocketAddr) {
        let acceptor = self.acceptor.clone();
        self.greeting.spawn(async move {
            let greeted = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
            greeted.ok()?.ok().map(|stream| (stream, peer))
        });
    }
}

impl Listener for Secure {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let has_room = self.greeting.len() < HANDSHAKES_CAP;
            tokio::select! {
                (stream, peer) = Listener::accept(&mut self.listener), if has_room => self.greet(stream, peer),
                Some(greeted) = self.greeting.join_next() => {
                    if let Ok(Some(greeted)) = greeted {
                        return greeted;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
