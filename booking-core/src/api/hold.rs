//! Holding seats, and what the gateway in front is told about them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::Api;
use super::input::{Body, Pairs, key, object, query, text};
use super::problem::Problem;
use super::view::HoldView;
use crate::domain::hold::{Hold, HoldId};
use crate::domain::inventory::InventoryId;
use crate::service::holding::{HoldAnswer, HoldOrder};

pub(super) const REPLAY_HEADER: HeaderName = HeaderName::from_static("idempotency-hit");
const SOLD_OUT: HeaderName = HeaderName::from_static("vestibule-sold-out");
pub(super) const ON_SALE: HeaderName = HeaderName::from_static("vestibule-on-sale");
const STOCK: HeaderName = HeaderName::from_static("vestibule-stock");

pub(super) async fn create(
    State(api): State<Api>,
    headers: HeaderMap,
    pairs: Pairs,
    body: Body,
) -> Result<Response, Problem> {
    let key = key(&headers)?;
    let query = query(pairs, &["inventory"])?;
    let body = object(body, &["inventory", "quantity", "seats"])?;
    let inventory = row(&body)?;
    let repeated = query.contains_key("inventory").then(|| text(&query, "inventory")).transpose()?;
    if repeated.is_some_and(|repeated| repeated != inventory.to_string()) {
        return Err(Problem::field("inventory", "in the query must be the same as in the body"));
    }
    let quantity = quantity(&body)?;
    let answer = api.service.hold(HoldOrder { inventory, quantity, key }).await?;
    Ok(respond(&api, StatusCode::CREATED, &answer).await)
}

fn row(body: &Map<String, Value>) -> Result<InventoryId, Problem> {
    text(body, "inventory")?
        .parse()
        .map_err(|bad: crate::domain::inventory::BadInventoryId| Problem::field("inventory", bad.to_string()))
}

fn quantity(body: &Map<String, Value>) -> Result<u32, Problem> {
    if body.contains_key("seats") {
        return Err(Problem::field("seats", "are not numbered on this train; send quantity instead"));
    }
    let quantity = body.get("quantity").ok_or_else(|| Problem::field("quantity", "is missing"))?;
    let number = quantity.as_u64().and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| Problem::field("quantity", "must be a whole number from 1"))
}

pub(super) async fn read(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<HoldView>, Problem> {
    let hold = api.service.find_hold(hold_id(&id)?).await?;
    Ok(Json(view(&api, &hold)))
}

pub(super) async fn cancel(State(api): State<Api>, Path(id): Path<String>) -> Result<Response, Problem> {
    let answer = api.service.cancel(hold_id(&id)?).await?;
    let mut response = respond(&api, StatusCode::OK, &answer).await;
    // It came back when nothing was on sale before it.
    let came_back = !answer.replayed && answer.available == Some(answer.hold.quantity);
    if came_back {
        insert(response.headers_mut(), ON_SALE, &answer.hold.inventory.to_string());
    }
    Ok(response)
}

pub(super) async fn extend(State(api): State<Api>, Path(id): Path<String>, body: Body) -> Result<Response, Problem> {
    let id = hold_id(&id)?;
    let body = object(body, &["number"])?;
    let number = body.get("number").ok_or_else(|| Problem::field("number", "is missing"))?;
    let number = number.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0);
    let number = number.ok_or_else(|| Problem::field("number", "must be a whole number from 1"))?;
    let answer = api.service.extend(id, number).await?;
    Ok(respond(&api, StatusCode::OK, &answer).await)
}

fn view(api: &Api, hold: &Hold) -> HoldView {
    HoldView::new(hold, api.service.terms().extensions.most, api.service.now())
}

pub(super) fn hold_id(text: &str) -> Result<HoldId, Problem> {
    text.parse().map_err(|_| Problem::not_found("hold"))
}

async fn respond(api: &Api, status: StatusCode, answer: &HoldAnswer) -> Response {
    let mut response = (status, Json(view(api, &answer.hold))).into_response();
    if answer.replayed {
        insert(response.headers_mut(), REPLAY_HEADER, "true");
    }
    if let Some(available) = answer.available {
        let inventory = answer.hold.inventory;
        let ttl_seconds = if available == 0 { api.service.sold_out_ttl(inventory).await } else { 0 };
        tell_stock(response.headers_mut(), inventory, available, ttl_seconds);
    }
    response
}

/// Tells the gateway how many are left, and, when none are, for how many seconds it may believe that.
pub(super) fn tell_stock(headers: &mut HeaderMap, inventory: InventoryId, available: u32, ttl_seconds: u32) {
    insert(headers, STOCK, &format!("{inventory}={available}"));
    if available == 0 {
        insert(headers, SOLD_OUT, &format!("{inventory}; ttl={ttl_seconds}"));
    }
}

pub(super) fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
