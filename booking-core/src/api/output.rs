//! Writing answers.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Most answers are shorter: a hold with its train is some 800 bytes.
const USUAL_BYTES: usize = 1024;

/// Answers with JSON, written once into as much memory as it usually takes.
pub(super) fn json(view: &impl Serialize) -> Response {
    let mut body = Vec::with_capacity(USUAL_BYTES);
    match serde_json::to_writer(&mut body, view) {
        Ok(()) => ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The same with a status of its own.
pub(super) fn json_with(status: StatusCode, view: &impl Serialize) -> Response {
    let mut response = json(view);
    *response.status_mut() = status;
    response
}
