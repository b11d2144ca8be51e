//! The API as it stands behind a gateway: over HTTP, each request with a ticket that is verified.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use hmac::{Hmac, KeyInit, Mac};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::service::TowerToHyperService;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::api::WEBHOOK;
use crate::app::random;
use crate::serving::Threads;

mod visit;

pub(super) use visit::Visit;

/// The header that carries a ticket.
const TICKET: &str = "vestibule-ticket";

/// A key that signs tickets: a number and its HMAC-SHA256, in hexadecimal.
struct TicketKey([u8; 32]);

impl TicketKey {
    fn mac(&self, number: &str) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(number.as_bytes());
        mac
    }

    fn sign(&self, number: usize) -> String {
        let number = number.to_string();
        let tag = hex::encode(self.mac(&number).finalize().into_bytes());
        format!("{number}.{tag}")
    }

    fn verifies(&self, ticket: &str) -> bool {
        let Some((number, written)) = ticket.split_once('.') else { return false };
        let mut tag = [0; 32];
        hex::decode_to_slice(written, &mut tag).is_ok() && self.mac(number).verify_slice(&tag).is_ok()
    }

    fn admits(&self, request: &Request<Incoming>) -> bool {
        let ticket = request.headers().get(TICKET).and_then(|ticket| ticket.to_str().ok());
        // The bank does not wait in line.
        request.uri().path() == WEBHOOK || ticket.is_some_and(|ticket| self.verifies(ticket))
    }
}

/// The API on a port of its own, until it is dropped.
pub(super) struct Site {
    address: SocketAddr,
    key: Arc<TicketKey>,
    _serving: AbortOnDropHandle<()>,
    _threads: Arc<Threads>,
}

impl Site {
    pub(super) async fn open(listener: TcpListener, router: Router) -> std::io::Result<Self> {
        let key = Arc::new(TicketKey(random()));
        let (wicket, desk) = (Arc::clone(&key), TowerToHyperService::new(router));
        let guarded = service_fn(move |request| {
            let admitted = wicket.admits(&request).then(|| desk.call(request));
            async {
                match admitted {
                    Some(answer) => answer.await,
                    None => Ok(StatusCode::UNAUTHORIZED.into_response()),
                }
            }
        });
        let address = listener.local_addr()?;
        let threads = Arc::new(Threads::start()?);
        let serving = {
            let threads = Arc::clone(&threads);
            tokio::spawn(async move { threads.serve(listener, guarded, CancellationToken::new()).await })
        };
        Ok(Self { address, key, _serving: AbortOnDropHandle::new(serving), _threads: threads })
    }

    /// Connects a visitor.
    pub(super) async fn visit(&self, number: usize) -> std::io::Result<Visit> {
        Visit::open(self.address, &self.key.sign(number)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_verified() {
        let key = TicketKey([7; 32]);
        assert!(key.verifies(&key.sign(5)));
        for forged in ["", "5", "5.", "5.00", &key.sign(5).replacen('5', "6", 1), &TicketKey([8; 32]).sign(5)] {
            assert!(!key.verifies(forged), "{forged}");
        }
    }
}
