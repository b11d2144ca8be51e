//! Every answer of the gateway's own, the only file that picks status codes, and how any answer is written.

mod caching;
mod draft;
mod offer;
mod proof;
mod ready;
mod told;
mod written;

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;

use crate::proxy::{BadTarget, ProxyFault, ResponseBody};
use crate::room::{JoinFault, Room};
use crate::status::Status;
use crate::telemetry::RequestId;
use crate::waiting::{Action, Coding, Label, Language, Nonce, Notice, Pages, Reader, by_nonce};

pub use caching::keep_from_shared_caches;
pub use draft::Draft;
pub use offer::{Offer, offer};
pub use proof::{ProofAsked, ask_for_proof};
pub use ready::{Ready, ready};
use told::Told;
pub use written::{Written, written};

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

/// When somebody may ask again whose address has asked too often, in seconds.
pub const POLL_AGAIN_S: u64 = 10;

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
    /// This address has asked for positions too often.
    TooManyPolls,
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

/// Tells why not.
#[must_use]
pub fn refuse(pages: &Pages, reads: Reads, refused: &Refused<'_>) -> Answer {
    match (reads, ready(reads, refused)) {
        (_, Some(ready)) => ready.answer(),
        (Reads::Html(language, coding), None) => refuse_visitor(pages, (language, coding), refused),
        (Reads::Json, None) => refuse_program(refused).map(ResponseBody::full),
    }
}

fn refuse_visitor(pages: &Pages, how: (Language, Coding), refused: &Refused<'_>) -> Answer {
    let told = refused.told();
    let again = told.retry_after_s.map(|_| Action::Go("", Label::Again));
    let notice = Notice {
        kind: told.kind,
        plain: (told.heading, &told.text),
        action: refused.sign_in().map(|link| Action::Go(link, Label::SignIn)).or(again),
        refresh_seconds: told.retry_after_s,
        link: None,
    };
    refused.with_headers(show(told.status, pages, &notice, how), &told)
}

fn refuse_program(refused: &Refused<'_>) -> Response<Bytes> {
    let told = refused.told();
    let answer = problem(&told, refused.sign_in().map(|link| ("sign_in", link.into())));
    refused.with_headers(answer, &told)
}

impl Refused<'_> {
    fn sign_in(&self) -> Option<&str> {
        if let Self::SignIn(link) = self { *link } else { None }
    }

    fn with_headers<B>(&self, mut answer: Response<B>, told: &Told) -> Response<B> {
        let headers = answer.headers_mut();
        headers.extend(told.retry_after_s.map(|seconds| (header::RETRY_AFTER, seconds.into())));
        match self {
            // What follows on this connection could be read in more than one way too.
            Self::Target(_) => headers.insert(header::CONNECTION, HeaderValue::from_static("close")),
            Self::Method(allowed) => headers.insert(header::ALLOW, HeaderValue::from_static(allowed)),
            _ => None,
        };
        answer
    }
}

fn problem(told: &Told, more: impl IntoIterator<Item = (&'static str, serde_json::Value)>) -> Response<Bytes> {
    let mut body = json!({
        "type": format!("/problems/{}", told.kind),
        "title": told.heading,
        "status": told.status.as_u16(),
        "detail": told.text,
    });
    more.into_iter().for_each(|(name, value)| body[name] = value);
    head(told.status, "application/problem+json").map(|()| body.to_string().into())
}

/// Shows the waiting page, or its status to a program.
#[must_use]
pub fn wait(pages: &Pages, reads: Reads, room: &Room, status: &Status, support_code: &str) -> Draft {
    match reads {
        Reads::Html(language, coding) => {
            let code = StatusCode::from_u16(room.rules.queueing_status).unwrap_or(StatusCode::OK);
            Draft::page(code, pages.waiting(status, support_code, language, coding), coding)
        }
        Reads::Json => Draft::status(StatusCode::TOO_MANY_REQUESTS, status, Some(status.next_update_seconds)),
    }
}

/// Tells something to a program.
#[must_use]
pub fn tell(what: &impl serde::Serialize) -> Answer {
    let mut text = Vec::with_capacity(TEXT_EXPECTED_BYTES);
    let body = serde_json::to_writer(&mut text, what).map(|()| text).unwrap_or_default();
    with_body(StatusCode::OK, JSON, body)
}

/// Tells a program where its visitor stands.
#[must_use]
pub fn tell_status(status: &Status) -> Draft {
    Draft::status(StatusCode::OK, status, None)
}

/// Tells a program the place that it has now: the ticket, where the visitor stands, and the pass of whoever is let in at
/// once. Neither of the two has a letter that JSON would write in another way.
#[must_use]
pub fn tell_place(ticket: &str, pass: Option<&str>, status: &Status) -> Answer {
    let (quote, pass) = pass.map_or(("", "null"), |pass| ("\"", pass));
    let before = ["{\"ticket\":\"", ticket, "\",\"pass\":", quote, pass, quote, ",\"status\":"].concat();
    with_body(StatusCode::OK, JSON, [before.as_bytes(), &status.json(), b"}"].concat())
}

const JSON: &str = "application/json";

/// Most of what else is told is shorter.
const TEXT_EXPECTED_BYTES: usize = 640;

/// Says goodbye to someone who has left the line.
#[must_use]
pub fn goodbye(pages: &Pages, reads: Reads, status: &Status) -> Answer {
    match reads {
        Reads::Html(language, coding) => {
            let action = Some(Action::Go("/", Label::JoinAgain));
            show(StatusCode::OK, pages, &Notice { kind: "left", action, ..Notice::default() }, (language, coding))
        }
        Reads::Json => tell_status(status).answer(),
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
    answer.headers_mut().insert(X_REQUEST_ID, id.header_value());
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Adds a cookie that scripts cannot read. No shared cache may keep an answer that carries one:
/// whoever got it from there would be let in on another's pass.
pub fn set_cookie(answer: &mut Answer, cookie: &str) {
    set_secret(answer, header::SET_COOKIE, cookie);
}

/// Adds what is for the asker alone, and for no cache.
pub fn set_secret(answer: &mut Answer, name: HeaderName, secret: &str) {
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for name in caching::FOR_SHARED {
        answer.headers_mut().remove(name);
    }
    answer.headers_mut().extend(HeaderValue::from_str(secret).map(|value| (name, value)));
}

fn show(status: StatusCode, pages: &Pages, notice: &Notice<'_>, how: (Language, Coding)) -> Answer {
    page(status, how, |reader| pages.coded(pages.notice(notice, reader), reader))
}

fn page(
    status: StatusCode,
    (language, coding): (Language, Coding),
    make: impl FnOnce(Reader<'_>) -> Vec<u8>,
) -> Answer {
    let nonce = Nonce::random();
    let answer = with_body(status, HTML, make(Reader { language, coding, nonce: nonce.as_str() }));
    let mut answer = if coding == Coding::Gzip { packed(answer) } else { answer };
    let policy = HeaderValue::try_from(by_nonce(nonce.as_str()));
    answer.headers_mut().extend(policy.map(|value| (header::CONTENT_SECURITY_POLICY, value)));
    answer
}

const HTML: &str = "text/html; charset=utf-8";

fn packed<B>(mut answer: Response<B>) -> Response<B> {
    answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    answer
}

/// An answer of ours rarely has more headers than these.
const HEADERS_EXPECTED: usize = 10;

fn with_body(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    head(status, content_type).map(|()| ResponseBody::full(body))
}

fn head(status: StatusCode, content_type: &'static str) -> Response<()> {
    let mut answer = Response::new(());
    *answer.status_mut() = status;
    *answer.headers_mut() = HEADERS.clone();
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// What every answer of ours begins with: copied, for to put them down one by one takes several times the work.
static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut headers = HeaderMap::with_capacity(HEADERS_EXPECTED);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    no_store(&mut headers);
    headers.extend(STRICT.map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers
});

const STRICT: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

fn no_store(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding, Accept-Language, Cookie"));
}
