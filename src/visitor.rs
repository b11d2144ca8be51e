//! Who asks, and how: cookies or headers, a browser or a program.

use hyper::header::{self, HeaderMap, HeaderName};
use hyper::{Method, Request};

use crate::gate::Credentials;
use crate::person::find_cookie;
use crate::respond::Reads;

/// The headers by which apps without cookies show what they have.
const TICKET_HEADER: HeaderName = HeaderName::from_static("vestibule-ticket");
const PASS_HEADER: HeaderName = HeaderName::from_static("vestibule-pass");

/// What a cookie of the gateway's holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieKind {
    /// The place in line.
    Ticket,
    /// The admission.
    Pass,
}

/// Names a cookie: one of each kind for a room, bound to the host where TLS allows it.
#[must_use]
pub fn cookie_name(kind: CookieKind, room: &str, is_tls: bool) -> String {
    let prefix = if is_tls { "__Host-" } else { "" };
    let kind = match kind {
        CookieKind::Ticket => "ticket",
        CookieKind::Pass => "pass",
    };
    format!("{prefix}vestibule-{kind}-{room}")
}

/// Writes the `Set-Cookie` of a cookie that lasts for `max_age_s`; 0 takes it away.
#[must_use]
pub fn cookie(kind: CookieKind, room: &str, is_tls: bool, value: &str, max_age_s: u64) -> String {
    let name = cookie_name(kind, room, is_tls);
    let secure = if is_tls { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}")
}

/// Reads what a request brings along for a room: cookies, or else headers.
#[must_use]
pub fn credentials<'a>(headers: &'a HeaderMap, room: &str, is_tls: bool) -> Credentials<'a> {
    let of = |kind, name: HeaderName| {
        find_cookie(headers, &cookie_name(kind, room, is_tls)).or_else(|| headers.get(name)?.to_str().ok())
    };
    Credentials { ticket: of(CookieKind::Ticket, TICKET_HEADER), pass: of(CookieKind::Pass, PASS_HEADER) }
}

/// Tells what the asker can read: whoever accepts HTML is a browser.
#[must_use]
pub fn reads(headers: &HeaderMap) -> Reads {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if accepted.any(|value| value.contains("text/html")) { Reads::Html } else { Reads::Json }
}

/// Tells whether a request can be somebody's arrival. A page's pictures, styles and scripts come
/// together with the page, or not at all; a place for each would be one visitor's twenty places.
#[must_use]
pub fn can_join<B>(request: &Request<B>) -> bool {
    let mode = request.headers().get("sec-fetch-mode").and_then(|mode| mode.to_str().ok());
    request.method() != Method::OPTIONS && mode != Some("no-cors")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn credentials_come_in_cookies_or_headers() {
        let cookies =
            headers(&[("cookie", "a=1; vestibule-ticket-sale=T; vestibule-pass-sale=P; vestibule-ticket-x=N")]);
        let found = credentials(&cookies, "sale", false);
        assert_eq!((found.ticket, found.pass), (Some("T"), Some("P")));
        assert_eq!(credentials(&cookies, "sale", true).ticket, None, "over TLS only the bound name counts");
        let app = headers(&[("vestibule-ticket", "T2")]);
        assert_eq!(credentials(&app, "sale", false).ticket, Some("T2"));
    }
}
