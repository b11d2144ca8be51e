//! Paying, and hearing from the provider.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::Api;
use super::hold::{REPLAY_HEADER, hold_id};
use super::input::{Body, Key, bytes, object, text};
use super::output::{json, json_with};
use super::problem::Problem;
use super::view::PaymentView;
use crate::domain::payment::PaymentState;
use crate::service::paying::{PaymentAnswer, PaymentOrder};

pub(super) async fn create(
    State(api): State<Api>,
    Path(id): Path<String>,
    Key(key): Key,
    body: Body,
) -> Result<Response, Problem> {
    let hold = hold_id(&id)?;
    let body = object(body, &["method"])?;
    let method = text(&body, "method")?.to_owned();
    let answer = api.service.pay(PaymentOrder { hold, method, key }).await?;
    let mut response = respond(&api, &answer);
    if answer.replayed {
        response.headers_mut().insert(REPLAY_HEADER, HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn respond(api: &Api, answer: &PaymentAnswer) -> Response {
    let status = match &answer.payment.state {
        PaymentState::Kept { .. } => StatusCode::CREATED,
        PaymentState::Pending
        | PaymentState::Challenged { .. }
        | PaymentState::Authorized { .. }
        | PaymentState::Capturing { .. }
        | PaymentState::Captured { .. } => StatusCode::ACCEPTED,
        PaymentState::Voiding { .. } | PaymentState::Voided { .. } => return Problem::voided().into_response(),
        PaymentState::Failed { reason } => return Problem::declined(reason).into_response(),
        PaymentState::Refunding { .. } | PaymentState::Refunded { .. } => return Problem::refunded().into_response(),
    };
    json_with(status, &PaymentView::new(answer, api.service.now()))
}

pub(super) async fn read(State(api): State<Api>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id = id.parse().map_err(|_| Problem::not_found("payment"))?;
    let answer = api.service.find_payment(id, false).await?;
    Ok(json(&PaymentView::new(&answer, api.service.now())))
}

pub(super) async fn webhook(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let body = bytes(body)?;
    let signature =
        headers.get(api.service.signature_header()).and_then(|value| value.to_str().ok()).unwrap_or_default();
    api.service.webhook(signature, &body).await?;
    Ok(json(&serde_json::json!({"received": true})))
}
