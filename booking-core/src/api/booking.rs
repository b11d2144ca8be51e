//! Showing a booking, and cancelling it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::hold::{REPLAY_HEADER, tell_on_sale, tell_stock};
use super::problem::Problem;
use super::view::BookingView;
use crate::domain::booking::Reference;
use crate::service::cancelling::BookingAnswer;

pub(super) async fn read(State(api): State<Api>, Path(reference): Path<String>) -> Result<Json<BookingView>, Problem> {
    Ok(view(&api, &api.service.find_booking(named(&reference)?).await?))
}

pub(super) async fn cancel(State(api): State<Api>, Path(reference): Path<String>) -> Result<Response, Problem> {
    let answer = api.service.cancel_booking(named(&reference)?).await?;
    let mut response = view(&api, &answer).into_response();
    let headers = response.headers_mut();
    if answer.replayed {
        headers.insert(REPLAY_HEADER, HeaderValue::from_static("true"));
    }
    let lines = answer.booking.lines.iter().zip(&answer.stock);
    for (line, &(inventory, available)) in lines {
        tell_stock(&api, headers, inventory, available).await;
        // A row came back when nothing was on sale before it.
        if available == line.quantity {
            tell_on_sale(&api, headers, inventory).await;
        }
    }
    Ok(response)
}

fn view(api: &Api, answer: &BookingAnswer) -> Json<BookingView> {
    Json(BookingView::new(&api.service, answer))
}

fn named(reference: &str) -> Result<Reference, Problem> {
    reference.parse().map_err(|_| Problem::not_found("booking"))
}
