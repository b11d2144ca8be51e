//! The API as it stands behind a gateway: over HTTP, each request with a ticket that is verified.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::api::WEBHOOK;
use crate::app::random;
use crate::domain::inventory::InventoryId;

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
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        let carrying = tokio::spawn(async move { drop(connection.await) });
        let ticket = HeaderValue::try_from(self.key.sign(number)).map_err(std::io::Error::other)?;
        Ok(Visit { requests, ticket, _carrying: AbortOnDropHandle::new(carrying) })
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

/// A visitor's connection.
pub(super) struct Visit {
    requests: SendRequest<Full<Bytes>>,
    ticket: HeaderValue,
    _carrying: AbortOnDropHandle<()>,
}

impl Visit {
    /// Holds one seat; tells whether it was granted.
    pub(super) async fn hold(&mut self, row: InventoryId, key: &str) -> bool {
        let body = format!(r#"{{"inventory":"{row}","quantity":1}}"#);
        let request = hyper::Request::post("/api/holds")
            .header(HOST, "bench")
            .header(CONTENT_TYPE, "application/json")
            .header(TICKET, &self.ticket)
            .header("idempotency-key", key)
            .body(Full::new(Bytes::from(body)));
        let Ok(request) = request else { return false };
        if self.requests.ready().await.is_err() {
            return false;
        }
        let Ok(answer) = self.requests.send_request(request).await else { return false };
        let granted = answer.status() == StatusCode::CREATED;
        answer.into_body().collect().await.is_ok() && granted
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
