//! The admin listener: console, API, metrics, health.

mod actions;
mod bypass;
mod past;
mod preview;
pub mod secure;
mod views;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, patch, post};
use rust_embed::RustEmbed;
use subtle::ConstantTimeEq as _;

use crate::audit_trail::AuditTrail;
use crate::clock::Clock;
use crate::doctor::Doctor;
use crate::metrics::Metrics;
use crate::proxy::Fleet;
use crate::room::Room;
use crate::waiting::Pages;

pub use past::Past;

/// What the console shows and steers.
pub struct Console {
    /// The rooms.
    pub rooms: Vec<Arc<Room>>,
    /// The visitors' pages.
    pub pages: Arc<Pages>,
    /// The upstreams, each by its room's name, or `*` for that of no room.
    pub upstreams: Vec<(String, Arc<Fleet>)>,
    /// The metrics.
    pub metrics: Metrics,
    /// What the rooms were like in the last minutes.
    pub past: Past,
    /// Who changed what.
    pub trail: AuditTrail,
    /// Who looks at what a sale needs.
    pub doctor: Doctor,
    /// What an operator has to show.
    pub token: String,
    /// The clock.
    pub clock: Clock,
    /// When the gateway started, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// `embedded` or `redis`.
    pub store: &'static str,
    /// Tells whether the gateway takes visitors: not while it drains.
    pub is_open: Box<dyn Fn() -> bool + Send + Sync>,
}

#[derive(RustEmbed)]
#[folder = "waiting-room-ui/console"]
struct Files;

/// The description of the API, in OpenAPI 3.1.
const DESCRIPTION: &str = include_str!("../docs/api/admin.json");

/// Makes the router of the admin listener.
pub fn router(console: Arc<Console>) -> Router {
    actions::count_from_zero(&console);
    let guarded = Router::new()
        .route("/api/rooms", get(views::rooms))
        .route("/api/rooms/{room}", get(views::room))
        .route("/api/rooms/{room}", patch(actions::change))
        .route("/api/rooms/{room}/log", get(views::log))
        .route("/api/rooms/{room}/past", get(past::past))
        .route("/api/rooms/{room}/preview", get(preview::preview))
        .route("/api/rooms/{room}/{action}", post(actions::act))
        .route("/api/bypass-links", post(bypass::make))
        .route("/api/upstreams", get(views::upstreams))
        .route("/api/audit", get(views::audit))
        .route("/api/readiness", get(views::readiness))
        .layer(middleware::from_fn_with_state(Arc::clone(&console), authorize));
    Router::new()
        .merge(guarded)
        .route("/api/openapi.json", get(|| async { ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION) }))
        .route("/metrics", get(views::metrics))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(views::ready))
        .fallback(get(file))
        .layer(middleware::map_response(strict))
        .with_state(console)
}

/// Lets pass who shows the token. A browser sends it with no request by itself, so no other site's
/// page can.
async fn authorize(State(console): State<Arc<Console>>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if bool::from(shown.as_bytes().ct_eq(console.token.as_bytes())) {
        return next.run(request).await;
    }
    let text =
        "Send the admin token as `Authorization: Bearer TOKEN`; it was printed, or stored, when the gateway started.";
    let mut answer = problem(StatusCode::UNAUTHORIZED, "unauthorized", text);
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer
}

/// An error in the form of RFC 9457.
fn problem(status: StatusCode, kind: &str, detail: &str) -> Response {
    let body = serde_json::json!({
        "type": format!("/problems/{kind}"),
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": detail,
    });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

async fn file(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    embedded(Files::get(path), path)
}

fn embedded(file: Option<rust_embed::EmbeddedFile>, path: &str) -> Response {
    let Some(file) = file else {
        return problem(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address.");
    };
    let kind = match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    };
    ([(header::CONTENT_TYPE, kind)], Body::from(file.data.into_owned())).into_response()
}

async fn strict(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    // A preview comes with a policy of its own.
    let own_policy = headers.get(header::CONTENT_SECURITY_POLICY).cloned();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(policy) = own_policy {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}
