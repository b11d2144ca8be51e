//! Every answer of the gateway's own, and the only file that picks status codes.

mod caching;
mod offer;
mod proof;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;

use crate::proxy::{BadTarget, ProxyFault, ResponseBody};
use crate::room::{JoinFault, Room};
use crate::status::Status;
use crate::telemetry::RequestId;
use crate::waiting::{Action, Coding, Label, Language, Notice, Pages, Reader};

pub use caching::keep_from_shared_caches;
pub use offer::{Offer, offer};
pub use proof::{ProofAsked, ask_for_proof};

/// An answer with the one body type of the gateway.
pub type Answer = Response<ResponseBody>;

/// What the visitor's program can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// A browser that shows a page, in this language and sent in this way.
    Html(Language, Coding),
    /// A program.
    Json,
}

/// Why a request is not answered by the upstream and not with a place in line.
#[derive(Debug)]
pub enum Refused<'a> {
    /// The request can be read in more than one way.
    Target(BadTarget),
    /// What was asked for is sold out.
    SoldOut,
    /// The room is closed.
    Closed,
    /// Those in line are let in, and nobody else joins.
    Draining,
    /// As many wait as may wait.
    Full,
    /// No place could be given.
    Join(&'a JoinFault),
    /// This address has joined too often.
    TooManyJoins,
    /// The upstream gave no answer.
    Upstream(&'a ProxyFault),
    /// There is nothing here.
    NotFound,
    /// The path is the gateway's, and takes another method.
    Method(&'static str),
    /// A request to the gateway itself makes no sense.
    Nonsense(&'a str),
    /// Another site's page asked.
    Origin,
    /// A link to another device was used, or its time is over.
    LinkOver,
    /// A link past the line was used, revoked, or its time is over.
    BypassOver,
    /// The room asks for a proof before it gives a place.
    Proof,
    /// There is no valid pass.
    NoPass,
    /// The site has to say who it is, and does not; there one signs in, if the site has said where.
    SignIn(Option<&'a str>),
}

/// How a refusal is told.
struct Told {
    status: StatusCode,
    kind: &'static str,
    heading: &'static str,
    text: String,
    retry_after_s: Option<u64>,
}

impl Refused<'_> {
    fn told(&self) -> Told {
        match self {
            Self::Target(bad) => told(StatusCode::BAD_REQUEST, "bad_request", "This request cannot be forwarded", bad),
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
            Self::Upstream(fault) => upstream(fault),
            Self::NotFound => told(StatusCode::NOT_FOUND, "not_found", "There is nothing here", NOT_FOUND),
            Self::Method(allowed) => {
                let text = format!("This address takes {allowed} only.");
                told(StatusCode::METHOD_NOT_ALLOWED, "method", "Not this way", text)
            }
            Self::Nonsense(text) => told(StatusCode::BAD_REQUEST, "bad_request", "This request makes no sense", text),
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
const NOT_FOUND: &str = "No room and no site is at this address.";
const ORIGIN: &str = "This can be done from the waiting room's own page only.";
const LINK_OVER: &str =
    "A link to continue works once and for a few minutes. Make a new one on the device where you wait.";
const BYPASS_OVER: &str = "A link past the line works once and for a limited time. Ask whoever sent it for a new one.";
const PROOF: &str = "Your device solves a small task before you get a place, which keeps robots from taking many.";
const NO_PASS: &str = "Join the line first; when you are called you get a pass.";

const SIGN_IN: &str =
    "In this line, one person holds one place. Sign in, then you get yours, the same on all your devices.";

fn told(status: StatusCode, kind: &'static str, heading: &'static str, text: impl ToString) -> Told {
    Told { status, kind, heading, text: text.to_string(), retry_after_s: None }
}

impl Told {
    fn after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }
}

fn upstream(fault: &ProxyFault) -> Told {
    const TRY: &str = "The site behind the waiting room did not answer. Your place is kept; please try again.";
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

/// Tells why not.
#[must_use]
pub fn refuse(pages: &Pages, reads: Reads, refused: &Refused<'_>) -> Answer {
    let told = refused.told();
    let sign_in = match refused {
        Refused::SignIn(link) => *link,
        _ => None,
    };
    let mut answer = match reads {
        Reads::Html(language, coding) => {
            let again = told.retry_after_s.map(|_| Action::Go("", Label::Again));
            let notice = Notice {
                kind: told.kind,
                plain: (told.heading, &told.text),
                action: sign_in.map(|link| Action::Go(link, Label::SignIn)).or(again),
                refresh_seconds: told.retry_after_s,
                link: None,
            };
            show(told.status, pages, &notice, (language, coding))
        }
        Reads::Json => problem(&told, sign_in.map(|link| ("sign_in", link.into()))),
    };
    if let Some(seconds) = told.retry_after_s {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if matches!(refused, Refused::Target(_)) {
        // What follows on this connection could be read in more than one way too.
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Refused::Method(allowed) = refused {
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    }
    answer
}

fn problem(told: &Told, more: impl IntoIterator<Item = (&'static str, serde_json::Value)>) -> Answer {
    let mut body = json!({
        "type": format!("/problems/{}", told.kind),
        "title": told.heading,
        "status": told.status.as_u16(),
        "detail": told.text,
    });
    more.into_iter().for_each(|(name, value)| body[name] = value);
    with_body(told.status, "application/problem+json", body.to_string())
}

/// Shows the waiting page, or its status to a program.
#[must_use]
pub fn wait(pages: &Pages, reads: Reads, room: &Room, status: &Status, support_code: &str) -> Answer {
    match reads {
        Reads::Html(language, coding) => {
            let code = StatusCode::from_u16(room.rules.queueing_status).unwrap_or(StatusCode::OK);
            page(code, pages, (language, coding), |reader| pages.waiting(status, support_code, reader))
        }
        Reads::Json => {
            let mut answer = tell_as(StatusCode::TOO_MANY_REQUESTS, status);
            answer.headers_mut().insert(header::RETRY_AFTER, status.next_update_seconds.into());
            answer
        }
    }
}

/// Tells something to a program.
#[must_use]
pub fn tell(what: &impl serde::Serialize) -> Answer {
    tell_as(StatusCode::OK, what)
}

fn tell_as(status: StatusCode, what: &impl serde::Serialize) -> Answer {
    with_body(status, "application/json", serde_json::to_string(what).unwrap_or_default())
}

/// Says goodbye to someone who has left the line.
#[must_use]
pub fn goodbye(pages: &Pages, reads: Reads, status: &Status) -> Answer {
    match reads {
        Reads::Html(language, coding) => {
            let action = Some(Action::Go("/", Label::JoinAgain));
            show(StatusCode::OK, pages, &Notice { kind: "left", action, ..Notice::default() }, (language, coding))
        }
        Reads::Json => tell(status),
    }
}

/// Hands out a link that takes a place to another device, with its picture.
#[must_use]
pub fn show_link(pages: &Pages, reads: Reads, link: &str, picture: &str, expires_in_s: u64) -> Answer {
    match reads {
        Reads::Html(language, coding) => {
            let notice = Notice { kind: "link_made", link: Some((link, picture)), ..Notice::default() };
            show(StatusCode::OK, pages, &notice, (language, coding))
        }
        Reads::Json => tell(&json!({"link": link, "qr": picture, "expires_in_seconds": expires_in_s})),
    }
}

/// Sends a browser back to a page of the site, after what it asked for was done.
#[must_use]
pub fn go_back(path: &str) -> Answer {
    let mut answer = Response::new(ResponseBody::empty());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    let place = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    answer.headers_mut().insert(header::LOCATION, place);
    no_store(answer.headers_mut());
    answer
}

/// Says that a pass is valid, to a proxy that asks.
#[must_use]
pub fn verified(headers: HeaderMap) -> Answer {
    let mut answer = Response::new(ResponseBody::empty());
    *answer.headers_mut() = headers;
    no_store(answer.headers_mut());
    answer
}

/// Makes sure that a proxy that asks does not read an answer as "let it pass": to most of them, any 2xx says so.
#[must_use]
pub fn withheld(mut answer: Answer) -> Answer {
    if answer.status().is_success() {
        *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    }
    answer
}

/// Makes any refusal one that every proxy that asks takes for a no: some know 401 and 403 only.
#[must_use]
pub fn denied(mut answer: Answer) -> Answer {
    *answer.status_mut() = StatusCode::FORBIDDEN;
    answer
}

/// Switches a connection to WebSocket.
#[must_use]
pub fn switch_to_websocket(accept: &str) -> Answer {
    let mut answer = Response::new(ResponseBody::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.extend(HeaderValue::from_str(accept).map(|value| (header::SEC_WEBSOCKET_ACCEPT, value)));
    answer
}

/// Tells what the request is called in the logs, so that somebody can ask about it.
pub fn name_request(answer: &mut Answer, id: RequestId) {
    let name = HeaderValue::from_str(&id.to_string());
    answer.headers_mut().extend(name.map(|value| (HeaderName::from_static("x-request-id"), value)));
}

/// Adds a cookie that scripts cannot read. No shared cache may keep an answer that carries one:
/// whoever got it from there would be let in on another's pass.
pub fn set_cookie(answer: &mut Answer, cookie: &str) {
    set_secret(answer, header::SET_COOKIE, cookie);
}

/// Adds what is for the asker alone, and for no cache.
pub fn set_secret(answer: &mut Answer, name: HeaderName, secret: &str) {
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for name in ["surrogate-control", "cdn-cache-control"] {
        answer.headers_mut().remove(name);
    }
    answer.headers_mut().extend(HeaderValue::from_str(secret).map(|value| (name, value)));
}

fn show(status: StatusCode, pages: &Pages, notice: &Notice<'_>, how: (Language, Coding)) -> Answer {
    page(status, pages, how, |reader| pages.notice(notice, reader))
}

fn page(
    status: StatusCode,
    pages: &Pages,
    (language, coding): (Language, Coding),
    render: impl FnOnce(Reader<'_>) -> String,
) -> Answer {
    let nonce = format!("{:032x}", rand::random::<u128>());
    let html = render(Reader { language, nonce: &nonce });
    let mut answer = match coding {
        Coding::Identity => with_body(status, HTML, html),
        Coding::Gzip => packed(with_body(status, HTML, pages.pack(&html, language))),
    };
    answer
        .headers_mut()
        .extend(HeaderValue::from_str(&policy(&nonce)).map(|value| (header::CONTENT_SECURITY_POLICY, value)));
    answer
}

const HTML: &str = "text/html; charset=utf-8";

fn packed(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    answer
}

/// Returns what a page of the gateway's own may load and do: nothing from elsewhere, and only its own styles and scripts.
#[must_use]
pub fn policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

fn with_body(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(ResponseBody::full(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    no_store(headers);
    for (name, value) in STRICT {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}

const STRICT: [(&str, &str); 3] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

fn no_store(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding, Accept-Language, Cookie"));
}
