//! The API as it stands behind a gateway: over HTTP, each request with a ticket that is verified.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::api::WEBHOOK;
use crate::app::random;

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
        let Some((number, tag)) = ticket.split_once('.') else { return false };
        hex::decode(tag).is_ok_and(|tag| self.mac(number).verify_slice(&tag).is_ok())
    }
}

/// The API on a port of its own, until it is dropped.
pub(super) struct Site {
    address: SocketAddr,
    key: Arc<TicketKey>,
    _serving: AbortOnDropHandle<()>,
}

impl Site {
    pub(super) async fn open(listener: TcpListener, router: Router) -> std::io::Result<Self> {
        let key = Arc::new(TicketKey(random()));
        let guarded = router.layer(middleware::from_fn_with_state(Arc::clone(&key), admit));
        let address = listener.local_addr()?;
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, guarded).await {
                tracing::error!(%error, "the bench's own listener failed");
            }
        });
        Ok(Self { address, key, _serving: AbortOnDropHandle::new(serving) })
    }

    /// Connects a visitor.
    pub(super) async fn visit(&self, number: usize) -> std::io::Result<Visit> {
        Visit::open(self.address, &self.key.sign(number)).await
    }
}

async fn admit(key: axum::extract::State<Arc<TicketKey>>, request: Request, next: Next) -> Response {
    let ticket = request.headers().get(TICKET).and_then(|ticket| ticket.to_str().ok());
    // The bank does not wait in line.
    if request.uri().path() == WEBHOOK || ticket.is_some_and(|ticket| key.verifies(ticket)) {
        return next.run(request).await;
    }
    StatusCode::UNAUTHORIZED.into_response()
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
