//! Holding seats, and what the gateway in front is told about them.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;

use super::Api;
use super::input::{Body, Key, Pairs, object, query, text};
use super::order;
use super::output::{json, json_with};
use super::problem::{Problem, sold_out_header};
use super::view::HoldView;
use crate::domain::hold::HoldId;
use crate::domain::inventory::InventoryId;
use crate::service::holding::{HoldAnswer, HoldOrder};

pub(super) const REPLAY_HEADER: HeaderName = HeaderName::from_static("idempotency-hit");
const SOLD_OUT: HeaderName = HeaderName::from_static("vestibule-sold-out");
const ON_SALE: HeaderName = HeaderName::from_static("vestibule-on-sale");
const STOCK: HeaderName = HeaderName::from_static("vestibule-stock");
const RENEW_SESSION: HeaderName = HeaderName::from_static("vestibule-renew-session");

pub(super) async fn create(
    State(api): State<Api>,
    Key(key): Key,
    pairs: Pairs,
    body: Body,
) -> Result<Response, Problem> {
    let query = query(pairs, &["inventory"])?;
    let items = order::items(&object(body, &["inventory", "quantity", "seats", "items"])?)?;
    let repeated = query.contains_key("inventory").then(|| text(&query, "inventory")).transpose()?;
    if repeated.is_some_and(|repeated| items.iter().all(|item| item.inventory.to_string() != repeated)) {
        return Err(Problem::field("inventory", "in the query must be the same as in the body"));
    }
    let answer = api.service.hold(HoldOrder { items, key }).await?;
    Ok(inside(respond(&api, StatusCode::CREATED, &answer).await, &answer))
}

pub(super) async fn read(State(api): State<Api>, Path(id): Path<String>) -> Result<Response, Problem> {
    let hold = api.service.find_hold(hold_id(&id)?).await?;
    Ok(json(&HoldView::new(&api.service, &hold)))
}

pub(super) async fn cancel(State(api): State<Api>, Path(id): Path<String>) -> Result<Response, Problem> {
    let answer = api.service.cancel(hold_id(&id)?).await?;
    let mut response = respond(&api, StatusCode::OK, &answer).await;
    // A row came back when nothing was on sale before it.
    let lines = answer.hold.lines.iter().zip(&answer.stock);
    for (line, _) in lines.filter(|(line, (_, available))| *available == line.quantity) {
        tell_on_sale(&api, response.headers_mut(), line.inventory).await;
    }
    Ok(response)
}

/// Puts the end of a hold off.
pub(super) async fn extend(State(api): State<Api>, Path(id): Path<String>, body: Body) -> Result<Response, Problem> {
    let id = hold_id(&id)?;
    let body = object(body, &["number"])?;
    let number = body.get("number").ok_or_else(|| Problem::field("number", "is missing"))?;
    let number = number.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0);
    let number = number.ok_or_else(|| Problem::field("number", "must be a whole number from 1"))?;
    let answer = api.service.extend(id, number).await?;
    Ok(inside(respond(&api, StatusCode::OK, &answer).await, &answer))
}

/// Keeps a part of a hold and gives the rest back.
pub(super) async fn shrink(State(api): State<Api>, Path(id): Path<String>, body: Body) -> Result<Response, Problem> {
    let id = hold_id(&id)?;
    let item = order::item(&object(body, &["inventory", "quantity", "seats"])?)?;
    let answer = api.service.shrink(id, item).await?;
    Ok(respond(&api, StatusCode::OK, &answer).await)
}

pub(super) fn hold_id(text: &str) -> Result<HoldId, Problem> {
    text.parse().map_err(|_| Problem::not_found("hold"))
}

async fn respond(api: &Api, status: StatusCode, answer: &HoldAnswer) -> Response {
    let mut response = json_with(status, &HoldView::new(&api.service, &answer.hold));
    if answer.replayed {
        add(response.headers_mut(), REPLAY_HEADER, "true");
    }
    for &(inventory, available) in &answer.stock {
        tell_stock(api, response.headers_mut(), inventory, available).await;
    }
    response
}

/// Has the gateway let a visitor stay who has a while to pay: a session that ended meanwhile would send them back to the end
/// of the line.
fn inside(mut response: Response, answer: &HoldAnswer) -> Response {
    if answer.hold.state.keeps_seats() {
        add(response.headers_mut(), RENEW_SESSION, "1");
    }
    response
}

/// Tells the gateway how many are left, and, when none are, for how many seconds it may believe that.
pub(super) async fn tell_stock(api: &Api, headers: &mut HeaderMap, inventory: InventoryId, available: u32) {
    add(headers, STOCK, &format!("{inventory}={available}"));
    let word = if available == 0 { api.service.sold_out_word(inventory).await } else { None };
    if let Some(word) = word {
        add(headers, SOLD_OUT, &sold_out_header(inventory, word));
    }
}

/// Tells the gateway that seats are on sale again.
pub(super) async fn tell_on_sale(api: &Api, headers: &mut HeaderMap, inventory: InventoryId) {
    if let Some(version) = api.service.on_sale_version(inventory).await {
        add(headers, ON_SALE, &format!("{inventory}; version={version}"));
    }
}

/// Adds a header: an answer about several rows has one for each.
fn add(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.append(name, value);
    }
}
