//! Showing a booking, cancelling it, and giving back a part of it.

use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::response::Response;

use super::Api;
use super::hold::{REPLAY_HEADER, tell_on_sale, tell_stock};
use super::input::{Body, object};
use super::order;
use super::output::json;
use super::problem::Problem;
use super::view::booking::BookingView;
use crate::domain::booking::Reference;
use crate::service::cancelling::BookingAnswer;

pub(super) async fn read(State(api): State<Api>, Path(reference): Path<String>) -> Result<Response, Problem> {
    Ok(view(&api, &api.service.find_booking(named(&reference)?).await?))
}

pub(super) async fn cancel(State(api): State<Api>, Path(reference): Path<String>) -> Result<Response, Problem> {
    let answer = api.service.cancel_booking(named(&reference)?).await?;
    Ok(respond(&api, &answer).await)
}

/// Keeps a part of a booking and gives the rest back.
pub(super) async fn shrink(
    State(api): State<Api>,
    Path(reference): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let reference = named(&reference)?;
    let item = order::item(&object(body, &["inventory", "quantity", "seats"])?)?;
    let answer = api.service.give_back_part(reference, item).await?;
    Ok(respond(&api, &answer).await)
}

async fn respond(api: &Api, answer: &BookingAnswer) -> Response {
    let mut response = view(api, answer);
    let headers = response.headers_mut();
    if answer.replayed {
        headers.insert(REPLAY_HEADER, HeaderValue::from_static("true"));
    }
    for row in &answer.given_back {
        tell_stock(api, headers, row.inventory, row.available).await;
        if row.was_sold_out {
            tell_on_sale(api, headers, row.inventory).await;
        }
    }
    response
}

fn view(api: &Api, answer: &BookingAnswer) -> Response {
    json(&BookingView::new(&api.service, answer))
}

fn named(reference: &str) -> Result<Reference, Problem> {
    reference.parse().map_err(|_| Problem::not_found("booking"))
}
