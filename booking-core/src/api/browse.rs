//! Searching and looking.

use axum::extract::{Path, State};
use axum::response::Response;

use super::input::{Pairs, query, text};
use super::output::json;
use super::problem::Problem;
use super::view::{InventoryView, SearchView, StationView};
use super::{Api, hold};
use crate::catalogue::Station;
use crate::domain::inventory::{InventoryId, parse_date};

const LONGEST_QUERY: usize = 60;

pub(super) async fn trains(State(api): State<Api>, pairs: Pairs) -> Result<Response, Problem> {
    let query = query(pairs, &["from", "to", "date"])?;
    let from = station(&api, text(&query, "from")?, "from")?;
    let to = station(&api, text(&query, "to")?, "to")?;
    let date = parse_date(text(&query, "date")?).map_err(|bad| Problem::field("date", bad.to_string()))?;
    if from == to {
        return Err(Problem::field("to", "must be another station than from"));
    }
    let trains = api.service.trains(&from.code, &to.code, date).await?;
    Ok(json(&SearchView::new(api.service.catalogue(), (from, to), date, api.service.now(), &trains)))
}

fn station<'a>(api: &'a Api, code: &str, field: &'static str) -> Result<&'a Station, Problem> {
    let known = api.service.catalogue().station(code);
    known.ok_or_else(|| Problem::field(field, "is not a station code we know; look it up with /api/stations?q="))
}

pub(super) async fn stations(State(api): State<Api>, pairs: Pairs) -> Result<Response, Problem> {
    let query = query(pairs, &["q"])?;
    let typed = text(&query, "q")?.trim();
    if typed.is_empty() || typed.len() > LONGEST_QUERY {
        return Err(Problem::field("q", "must have 1 to 60 characters of a station's code or name"));
    }
    let found: Vec<StationView> = api.service.catalogue().suggest(typed).into_iter().map(StationView::from).collect();
    Ok(json(&serde_json::json!({"stations": found})))
}

pub(super) async fn inventory(State(api): State<Api>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id: InventoryId = id.parse().map_err(|_| Problem::not_found("inventory; ids read TRAIN:DATE:CLASS"))?;
    let listing = api.service.listing(id).await?;
    let seats = api.service.seat_map(id).await?;
    let view = InventoryView::new(&api.service, &listing, seats.as_deref());
    let mut response = json(&view);
    hold::tell_stock(&api, response.headers_mut(), id, listing.seen.available).await;
    Ok(response)
}
