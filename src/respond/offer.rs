//! What a link offers to whoever opens it, before anything is used.

use hyper::StatusCode;
use serde_json::json;

use super::{Answer, Reads, show, tell};
use crate::waiting::{Action, Label, Notice, Pages};

/// What a link offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// To take a place over from another device.
    Continue,
    /// To go past the line.
    Bypass,
}

/// Asks whether to take what a link offers, which sends a form to `form`.
#[must_use]
pub fn offer(pages: &Pages, reads: Reads, offer: Offer, form: &str) -> Answer {
    let kind = match offer {
        Offer::Continue => "link_open",
        Offer::Bypass => "bypass_open",
    };
    match reads {
        Reads::Html(language, coding) => {
            let action = Some(Action::Send(form, Label::Continue));
            show(StatusCode::OK, pages, &Notice { kind, action, ..Notice::default() }, (language, coding))
        }
        Reads::Json => tell(&json!({"continue": form})),
    }
}
