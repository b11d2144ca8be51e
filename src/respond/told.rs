//! What is said to whom a request is refused, and with which status code.

use std::borrow::Cow;

use hyper::StatusCode;

use super::{POLL_AGAIN_S, Refused};
use crate::proxy::ProxyFault;
use crate::room::JoinFault;

/// How a refusal is told.
pub(super) struct Told {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) heading: &'static str,
    pub(super) text: Cow<'static, str>,
    pub(super) retry_after_s: Option<u64>,
}

impl Refused<'_> {
    pub(super) fn told(&self) -> Told {
        match self {
            Self::Target(bad) => {
                told(StatusCode::BAD_REQUEST, "bad_request", "This request cannot be forwarded", bad.to_string())
            }
            Self::SoldOut => told(StatusCode::GONE, "sold_out", "Sold out", SOLD_OUT).after(5),
            Self::Closed => told(StatusCode::SERVICE_UNAVAILABLE, "closed", "The room is closed", CLOSED).after(30),
            Self::Draining => {
                told(StatusCode::SERVICE_UNAVAILABLE, "draining", "The line takes nobody else", DRAINING).after(30)
            }
            Self::Full => told(StatusCode::SERVICE_UNAVAILABLE, "full", "The waiting room is full", FULL).after(15),
            Self::Join(JoinFault::Store(_)) => {
                told(StatusCode::SERVICE_UNAVAILABLE, "store_down", "The line rests for a moment", STORE_DOWN).after(5)
            }
            Self::Join(_) => told(StatusCode::SERVICE_UNAVAILABLE, "busy", "One moment, please", BUSY).after(2),
            Self::TooManyJoins => {
                told(StatusCode::TOO_MANY_REQUESTS, "too_many_joins", "Too many places asked for", JOINS).after(60)
            }
            Self::TooManyPolls => {
                told(StatusCode::TOO_MANY_REQUESTS, "too_many_polls", "Too many questions", POLLS).after(POLL_AGAIN_S)
            }
            Self::Upstream(fault) => upstream(fault),
            Self::NotFound => told(StatusCode::NOT_FOUND, "not_found", "There is nothing here", NOT_FOUND),
            Self::Method(allowed) => {
                let text = format!("This address takes {allowed} only.");
                told(StatusCode::METHOD_NOT_ALLOWED, "method", "Not this way", text)
            }
            Self::Nonsense(text) => {
                told(StatusCode::BAD_REQUEST, "bad_request", "This request makes no sense", (*text).to_owned())
            }
            Self::Origin => told(StatusCode::FORBIDDEN, "origin", "Not from another site", ORIGIN),
            Self::LinkOver => told(StatusCode::GONE, "link_over", "This link is used up", LINK_OVER),
            Self::BypassOver => told(StatusCode::GONE, "bypass_over", "This link is used up", BYPASS_OVER),
            Self::Proof => told(StatusCode::PRECONDITION_REQUIRED, "proof", "One moment, please", PROOF),
            Self::NoPass => told(StatusCode::UNAUTHORIZED, "no_pass", "No valid pass", NO_PASS),
            Self::SignIn(_) => told(StatusCode::UNAUTHORIZED, "sign_in", "Sign in first", SIGN_IN),
        }
    }

    /// Names the reason as a metric's label.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.told().kind
    }
}

const SOLD_OUT: &str = "Nothing of it is left at the moment. If a held seat is returned, it is on sale again here.";
const CLOSED: &str =
    "Nobody joins and nobody is let in at the moment. Please come back later; places already given are kept.";
const DRAINING: &str =
    "Those who are in line already are let in; nobody else joins for now. Please come back a little later.";
const FULL: &str = "As many people wait as can wait. Please try again in a little while.";
const STORE_DOWN: &str =
    "New places cannot be given right now. This page tries again by itself; places already given are kept.";
const BUSY: &str = "Very many people are arriving in this second. This page tries again by itself.";
const JOINS: &str = "Too many places were asked for from your network. Please wait a minute.";
const POLLS: &str =
    "Too many positions were asked for from your network. Places are kept; ask again when `Retry-After` says.";
const NOT_FOUND: &str = "No room and no site is at this address.";
const ORIGIN: &str = "This can be done from the waiting room's own page only.";
const LINK_OVER: &str =
    "A link to continue works once and for a few minutes. Make a new one on the device where you wait.";
const BYPASS_OVER: &str = "A link past the line works once and for a limited time. Ask whoever sent it for a new one.";
const PROOF: &str = "Your device solves a small task before you get a place, which keeps robots from taking many.";
const NO_PASS: &str = "Join the line first; when you are called you get a pass.";

const SIGN_IN: &str =
    "In this line, one person holds one place. Sign in, then you get yours, the same on all your devices.";

fn told(status: StatusCode, kind: &'static str, heading: &'static str, text: impl Into<Cow<'static, str>>) -> Told {
    Told { status, kind, heading, text: text.into(), retry_after_s: None }
}

impl Told {
    fn after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }
}

fn upstream(fault: &ProxyFault) -> Told {
    const TRY: &str =
        "The site behind the waiting room did not answer. Please try again; places already given are kept.";
    match fault {
        ProxyFault::HeaderTimeout | ProxyFault::BodyTimeout => {
            told(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", "The site takes too long", TRY).after(5)
        }
        ProxyFault::Overloaded | ProxyFault::ConnectTimeout => {
            told(StatusCode::SERVICE_UNAVAILABLE, "upstream_busy", "The site is busy", TRY).after(2)
        }
        ProxyFault::BodyTooLarge => {
            told(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Too large", "The request is larger than is allowed.")
        }
        ProxyFault::ClientGone | ProxyFault::ClientStalled => {
            told(StatusCode::BAD_REQUEST, "client_gone", "The request broke off", "It was not sent to its end.")
        }
        _ => told(StatusCode::BAD_GATEWAY, "upstream_down", "The site does not answer", TRY).after(5),
    }
}
