//! Holding seats, and what the gateway in front is told about them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::Api;
use super::input::{Body, Pairs, key, object, query, text};
use super::problem::{Problem, sold_out_header};
use super::view::HoldView;
use crate::domain::hold::HoldId;
use crate::domain::inventory::InventoryId;
use crate::service::holding::{HoldAnswer, HoldOrder};

pub(super) const REPLAY_HEADER: HeaderName = HeaderName::from_static("idempotency-hit");
const SOLD_OUT: HeaderName = HeaderName::from_static("vestibule-sold-out");
const ON_SALE: HeaderName = HeaderName::from_static("vestibule-on-sale");
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
    Ok(Json(HoldView::new(&hold, api.service.now())))
}

pub(super) async fn cancel(State(api): State<Api>, Path(id): Path<String>) -> Result<Response, Problem> {
    let answer = api.service.cancel(hold_id(&id)?).await?;
    let mut response = respond(&api, StatusCode::OK, &answer).await;
    // It came back when nothing was on sale before it.
    let came_back = !answer.replayed && answer.available == Some(answer.hold.quantity);
    if came_back {
        tell_on_sale(&api, response.headers_mut(), answer.hold.inventory).await;
    }
    Ok(response)
}

pub(super) fn hold_id(text: &str) -> Result<HoldId, Problem> {
    text.parse().map_err(|_| Problem::not_found("hold"))
}

async fn respond(api: &Api, status: StatusCode, answer: &HoldAnswer) -> Response {
    let view = HoldView::new(&answer.hold, api.service.now());
    let mut response = (status, Json(view)).into_response();
    if answer.replayed {
        insert(response.headers_mut(), REPLAY_HEADER, "true");
    }
    if let Some(available) = answer.available {
        tell_stock(api, response.headers_mut(), answer.hold.inventory, available).await;
    }
    response
}

/// Tells the gateway how many are left, and, when none are, for how many seconds it may believe that.
pub(super) async fn tell_stock(api: &Api, headers: &mut HeaderMap, inventory: InventoryId, available: u32) {
    insert(headers, STOCK, &format!("{inventory}={available}"));
    let word = if available == 0 { api.service.sold_out_word(inventory).await } else { None };
    if let Some(word) = word {
        insert(headers, SOLD_OUT, &sold_out_header(inventory, word));
    }
}

async fn tell_on_sale(api: &Api, headers: &mut HeaderMap, inventory: InventoryId) {
    if let Some(version) = api.service.on_sale_version(inventory).await {
        insert(headers, ON_SALE, &format!("{inventory}; version={version}"));
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
