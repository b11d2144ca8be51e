//! Links past the line, made by an operator.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use super::actions::operator;
use super::{Console, problem};
use crate::audit_trail::Change;
use crate::token::bypass_link::{MAX_LIFETIME_MS, MAX_ROOMS};
use crate::token::{BypassLink, LinkId, RoomHash};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    rooms: Vec<String>,
    lifetime_seconds: u64,
    #[serde(default)]
    note: String,
}

/// Makes a link. The audit trail says who made which, and never the link itself.
pub(super) async fn make(State(console): State<Arc<Console>>, headers: HeaderMap, body: Bytes) -> Response {
    let read = serde_json::from_slice::<Wish>(&body).map_err(|e| format!("the JSON body does not fit: {e}"));
    let made = read.and_then(|wish| {
        let link = wish.link(&console)?;
        let path = link.path(&console.rooms[0].shared.ring.load()).ok_or(NO_ROOT)?;
        Ok((wish, link, path))
    });
    let (wish, link, path) = match made {
        Ok(made) => made,
        Err(text) => return problem(StatusCode::UNPROCESSABLE_ENTITY, "nonsense", &text),
    };
    wish.rooms.iter().for_each(|room| console.metrics.changes.with_label_values(&[room, "bypass-link"]).inc());
    console.trail.note(Change {
        at: console.clock.now_ms(),
        who: operator(&headers),
        action: "bypass-link".to_owned(),
        room: wish.rooms.join(","),
        detail: json!({"id": link.id.to_string(), "expires_at": link.until_ms, "note": wish.note}).to_string(),
    });
    Json(json!({"id": link.id.to_string(), "path": path, "expires_at": link.until_ms})).into_response()
}

const NO_ROOT: &str = "the key ring has no root; rotate a key with `vestibule keys rotate` to give it one";

impl Wish {
    fn link(&self, console: &Console) -> Result<BypassLink, String> {
        if !(1..=MAX_LIFETIME_MS / 1_000).contains(&self.lifetime_seconds) {
            return Err(format!("lifetime_seconds is from 1 to {}", MAX_LIFETIME_MS / 1_000));
        }
        if !(1..=MAX_ROOMS).contains(&self.rooms.len()) || self.note.chars().count() > 200 {
            return Err(format!("rooms names 1 to {MAX_ROOMS} rooms, and note has at most 200 characters"));
        }
        if let Some(unknown) = self.rooms.iter().find(|name| console.find(name).is_none()) {
            return Err(format!("there is no room `{unknown}`"));
        }
        Ok(BypassLink {
            id: LinkId(rand::random()),
            until_ms: console.clock.now_ms() + self.lifetime_seconds * 1_000,
            rooms: self.rooms.iter().map(|name| RoomHash::of(name)).collect(),
        })
    }
}
