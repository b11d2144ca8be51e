//! The waiting page of a room as its visitors see it, in any state and language, without a sale.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::views::no_room;
use super::{Console, problem};
use crate::waiting::{Coding, Language, Nonce, Reader, SAMPLES, by_nonce, sample};

/// What is to be seen.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    /// The name of a sample; `waiting` unless another is named.
    state: Option<String>,
    /// The tag of a language; English unless another is named.
    lang: Option<String>,
    /// What the operator would say.
    message: Option<String>,
}

/// The longest message that is shown.
const MESSAGE_CAP_CHARS: usize = 500;

pub(super) async fn preview(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let Some(room) = console.find(&name) else { return no_room(&name) };
    let refuse = |detail: String| problem(StatusCode::BAD_REQUEST, "bad_request", &detail);
    let state = wanted.state.as_deref().unwrap_or("waiting");
    let now_ms = console.clock.now_ms();
    let Some(mut status) = sample(state, room.rules.name.as_str(), now_ms) else {
        return refuse(format!("`state` is one of {}.", SAMPLES.join(", ")));
    };
    let tags = || Language::ALL.map(Language::tag).join(", ");
    let Some(language) = wanted.lang.as_deref().map_or(Some(Language::En), Language::of_tag) else {
        return refuse(format!("`lang` is one of {}.", tags()));
    };
    status.message = wanted.message.map(|message| message.chars().take(MESSAGE_CAP_CHARS).collect());
    let nonce = Nonce::random();
    let reader = Reader { language, coding: Coding::Identity, nonce: nonce.as_str() };
    match console.pages.preview(&status, reader, now_ms) {
        Ok(page) => {
            let policy = by_nonce(reader.nonce);
            let kind = "text/html; charset=utf-8".to_owned();
            ([(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, policy)], page).into_response()
        }
        Err(bad) => problem(StatusCode::INTERNAL_SERVER_ERROR, "template", &bad.to_string()),
    }
}
