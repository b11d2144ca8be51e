//! Reading an order: one item in the body itself, or several in `items`.

use serde_json::{Map, Value};

use super::input::text;
use super::problem::Problem;
use super::seats;
use crate::domain::inventory::{BadInventoryId, InventoryId};
use crate::service::{Item, Want};

/// Items in one order, at most; a row may be named by several.
const MOST_ITEMS: usize = 100;

/// Reads what is wanted.
pub(super) fn items(body: &Map<String, Value>) -> Result<Vec<Item>, Problem> {
    let Some(items) = body.get("items") else { return Ok(vec![item(body)?]) };
    if body.len() > 1 {
        return Err(Problem::field("items", "stands alone; say inventory, quantity and seats in each item"));
    }
    let items = items.as_array().ok_or_else(|| Problem::field("items", "must be an array of objects"))?;
    if items.len() > MOST_ITEMS {
        return Err(Problem::field("items", format!("must be at most {MOST_ITEMS}")));
    }
    items.iter().map(inner).collect()
}

fn inner(value: &Value) -> Result<Item, Problem> {
    let object = value.as_object().ok_or_else(|| Problem::field("items", "must be an array of objects"))?;
    let known = |field: &&String| ["inventory", "quantity", "seats"].contains(&field.as_str());
    match object.keys().find(|field| !known(field)) {
        Some(_) => Err(Problem::field("items", "have no fields but inventory, quantity and seats")),
        None => item(object),
    }
}

/// Reads one item.
pub(super) fn item(object: &Map<String, Value>) -> Result<Item, Problem> {
    let bad = |bad: BadInventoryId| Problem::field("inventory", bad.to_string());
    let inventory: InventoryId = text(object, "inventory")?.parse().map_err(bad)?;
    Ok(Item { inventory, want: want(inventory, object)? })
}

fn want(row: InventoryId, object: &Map<String, Value>) -> Result<Want, Problem> {
    match (object.get("quantity"), object.get("seats")) {
        (Some(quantity), None) => quantity
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .map(Want::Any)
            .ok_or_else(|| Problem::field("quantity", "must be a whole number from 1")),
        (None, Some(chosen)) => chosen_seats(row, chosen),
        (Some(_), Some(_)) => Err(Problem::field("seats", "say how many already; leave quantity out")),
        (None, None) => Err(Problem::field("quantity", "is missing")),
    }
}

fn chosen_seats(row: InventoryId, chosen: &Value) -> Result<Want, Problem> {
    let chosen = chosen.as_array().filter(|chosen| (1..=MOST_ITEMS).contains(&chosen.len()));
    let chosen =
        chosen.ok_or_else(|| Problem::field("seats", "must be an array of labels, for example [\"B2-14\"]"))?;
    let seat = |label: &Value| {
        let unknown = || Problem::field("seats", format!("are named as /api/inventory/{row} does, for example B2-14"));
        label.as_str().and_then(|label| seats::read(row, label)).ok_or_else(unknown)
    };
    chosen.iter().map(seat).collect::<Result<_, _>>().map(Want::Seats)
}
