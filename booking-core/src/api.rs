//! The booking API over HTTP, as the contract has it. Status codes are chosen in [`problem`] and nowhere else.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, FORWARDED};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tracing::Instrument as _;

use crate::lab::Lab;
use crate::service::Service;
use crate::{site, telemetry};

mod seats;

pub mod problem;

mod input;

mod output;

pub mod view;

mod order;

mod hold;

mod browse;

mod pay;

mod booking;

mod lab;

use problem::Problem;

/// Where the provider tells its news.
pub(crate) const WEBHOOK: &str = "/api/payments/webhook";

const OPENAPI: &str = include_str!("api/openapi.json");

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Api {
    service: Arc<Service>,
    /// Whether new work is taken on; turned off when the process is about to end.
    ready: Arc<std::sync::atomic::AtomicBool>,
}

/// Puts the API and the site together, and the lab where there is one.
pub fn router(service: Arc<Service>, ready: Arc<std::sync::atomic::AtomicBool>, lab: Option<Arc<Lab>>) -> Router {
    let has_lab = lab.is_some();
    lab.map_or_else(Router::new, lab::router)
        .merge(booking_router(Api { service, ready }))
        .fallback(move |request| fallback(request, has_lab))
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(middleware::from_fn(told_and_never_stored))
}

fn booking_router(api: Api) -> Router {
    Router::new()
        .route("/api/trains", get(browse::trains))
        .route("/api/stations", get(browse::stations))
        .route("/api/inventory/{id}", get(browse::inventory))
        .route("/api/bookings/{reference}", get(booking::read).patch(booking::shrink))
        .route("/api/bookings/{reference}/cancellation", post(booking::cancel))
        .route("/api/holds", post(hold::create))
        .route("/api/holds/{id}", get(hold::read).patch(hold::shrink).delete(hold::cancel))
        .route("/api/holds/{id}/extension", post(hold::extend))
        .route("/api/holds/{id}/payments", post(pay::create))
        .route(WEBHOOK, post(pay::webhook))
        .route("/api/payments/{id}", get(pay::read))
        .route("/api/openapi.json", get(openapi))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .with_state(api)
}

/// Tells how a request goes, and keeps answers of the API out of caches: they are about one moment and often about one
/// person.
async fn told_and_never_stored(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("/*", MatchedPath::as_str);
    let span = telemetry::request(&request, route);
    let mut response = next.run(request).instrument(span.clone()).await;
    vestibule_telemetry::answered(&span, response.status(), true);
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn fallback(request: Request, has_lab: bool) -> Response {
    let path = request.uri().path();
    let api = path == "/api" || path.starts_with("/api/");
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    if api || !reading {
        return Problem::no_such_page().into_response();
    }
    site::answer(path, request.headers(), has_lab).unwrap_or_else(|| Problem::no_such_page().into_response())
}

async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], OPENAPI)
}

/// The metrics are for whoever reaches this listener. A request that a proxy or gateway has forwarded is a visitor's.
async fn metrics(State(api): State<Api>, headers: HeaderMap) -> Response {
    if headers.contains_key(FORWARDED) {
        return Problem::no_such_page().into_response();
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], api.service.metrics().render()).into_response()
}

async fn readyz(State(api): State<Api>) -> Result<&'static str, Problem> {
    if !api.ready.load(std::sync::atomic::Ordering::Relaxed) {
        return Err(Problem::closing());
    }
    api.service.store().ping().await.map_err(|error| Problem::unavailable(&error))?;
    Ok("ready\n")
}
