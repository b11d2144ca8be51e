//! Who asks, and how: cookies or headers, a browser or a program.

use std::sync::LazyLock;

use hyper::Method;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use memchr::memmem::Finder;

use crate::gate::Credentials;
use crate::person::{cookies, cookies_of, find_cookie};
use crate::proxy::headers::lines_of;
use crate::respond::Reads;
use crate::waiting::{Coding, Language};

/// The headers by which apps without cookies show what they have.
pub static TICKET_HEADER: HeaderName = HeaderName::from_static("vestibule-ticket");
static PASS_HEADER: HeaderName = HeaderName::from_static("vestibule-pass");

/// What a cookie of the gateway's holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieKind {
    /// The place in line.
    Ticket,
    /// The admission.
    Pass,
}

impl CookieKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Ticket => "vestibule-ticket-",
            Self::Pass => "vestibule-pass-",
        }
    }
}

/// The prefix by which browsers bind a cookie to its host, where TLS allows that.
const BOUND: &str = "__Host-";

/// Recognises the cookie of a kind for a room without writing its name: every request asks.
fn is_cookie_of(name: &str, kind: CookieKind, room: &str, is_tls: bool) -> bool {
    let name = if is_tls { name.strip_prefix(BOUND) } else { Some(name) };
    name.and_then(|name| name.strip_prefix(kind.prefix())) == Some(room)
}

/// Writes the `Set-Cookie` of a cookie that lasts for `max_age_s`; 0 takes it away. There is one of each kind for a room.
#[must_use]
pub fn cookie(kind: CookieKind, room: &str, is_tls: bool, value: &str, max_age_s: u64) -> String {
    let (bound, secure, kind) = if is_tls { (BOUND, "; Secure", kind.prefix()) } else { ("", "", kind.prefix()) };
    format!("{bound}{kind}{room}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}")
}

const BYPASS_COOKIE: &str = "vestibule-bypass";
static BYPASS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(BYPASS_COOKIE));
const BOUND_BYPASS_COOKIE: &str = "__Host-vestibule-bypass";

/// Writes the `Set-Cookie` that a link past the line leaves.
#[must_use]
pub fn bypass_cookie(is_tls: bool, value: &str, max_age_s: u64) -> String {
    let (name, secure) = if is_tls { (BOUND_BYPASS_COOKIE, "; Secure") } else { (BYPASS_COOKIE, "") };
    format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}")
}

/// Reads that cookie.
#[must_use]
pub fn bypass(headers: &HeaderMap, is_tls: bool) -> Option<&str> {
    find_rare(headers, &BYPASS, if is_tls { BOUND_BYPASS_COOKIE } else { BYPASS_COOKIE })
}

/// Tells whether a request shows its ticket as apps do that keep no cookies.
#[must_use]
pub fn keeps_no_cookie(headers: &HeaderMap, room: &str, is_tls: bool) -> bool {
    room_cookie(headers, CookieKind::Ticket, room, is_tls).is_none() && headers.contains_key(&TICKET_HEADER)
}

/// Reads what a request brings along for a room: cookies, or else headers.
#[must_use]
pub fn credentials<'a>(headers: &'a HeaderMap, room: &str, is_tls: bool) -> Credentials<'a> {
    let (mut found, mut told) = (Credentials::default(), Credentials::default());
    let has_told = |told: Option<_>, value: &'a HeaderValue| told.or_else(|| value.to_str().ok());
    // One walk: to look for each name costs more.
    for (name, value) in headers {
        if *name == header::COOKIE {
            for (name, value) in cookies_of(value) {
                let is_of = |kind| is_cookie_of(name, kind, room, is_tls);
                if found.ticket.is_none() && is_of(CookieKind::Ticket) {
                    found.ticket = Some(value);
                } else if found.pass.is_none() && is_of(CookieKind::Pass) {
                    found.pass = Some(value);
                }
            }
        } else if *name == TICKET_HEADER {
            told.ticket = has_told(told.ticket, value);
        } else if *name == PASS_HEADER {
            told.pass = has_told(told.pass, value);
        }
    }
    Credentials { ticket: found.ticket.or(told.ticket), pass: found.pass.or(told.pass) }
}

fn room_cookie<'a>(headers: &'a HeaderMap, kind: CookieKind, room: &str, is_tls: bool) -> Option<&'a str> {
    cookies(headers).find(|(name, _)| is_cookie_of(name, kind, room, is_tls)).map(|(_, value)| value)
}

/// Finds the kind of a page among what is accepted.
static PAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("text/html"));

/// Tells what the asker can read: whoever accepts HTML is a browser.
#[must_use]
pub fn reads(headers: &HeaderMap) -> Reads {
    let mut accepted = lines_of(headers, &header::ACCEPT);
    if accepted.any(|value| PAGE.find(value.as_bytes()).is_some()) {
        Reads::Html(language(headers), coding(headers))
    } else {
        Reads::Json
    }
}

fn coding(headers: &HeaderMap) -> Coding {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    Coding::accepted(accepted.filter_map(|value| value.to_str().ok()))
}

/// The cookie of the language that a visitor has chosen by hand.
const LANGUAGE_COOKIE: &str = "vestibule-language";

static CHOICE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(LANGUAGE_COOKIE));

/// Picks the language of the pages: the one that was chosen by hand, else what the browser asks for, else English.
#[must_use]
pub fn language(headers: &HeaderMap) -> Language {
    let asked = || headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok().and_then(Language::accepted);
    chosen(headers).or_else(asked).unwrap_or_default()
}

fn chosen(headers: &HeaderMap) -> Option<Language> {
    find_rare(headers, &CHOICE, LANGUAGE_COOKIE).and_then(Language::of_tag)
}

/// Finds a cookie that hardly anybody has: the cookies are read one by one only where its name stands somewhere in them.
fn find_rare<'a>(headers: &'a HeaderMap, finder: &Finder<'_>, name: &str) -> Option<&'a str> {
    let mut lines = lines_of(headers, &header::COOKIE);
    let may_be_there = lines.any(|line| finder.find(line.as_bytes()).is_some());
    may_be_there.then(|| find_cookie(headers, name)).flatten()
}

/// Writes the `Set-Cookie` that keeps a choice of language for a year.
#[must_use]
pub fn language_cookie(language: Language, is_tls: bool) -> String {
    let secure = if is_tls { "; Secure" } else { "" };
    format!("{LANGUAGE_COOKIE}={}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax{secure}", language.tag())
}

/// Finds the page of the same site from which a request came, by its `Referer`: a path and query, never another host.
#[must_use]
pub fn came_from<'a>(headers: &'a HeaderMap, host: &str) -> Option<&'a str> {
    let (_, rest) = headers.get(header::REFERER)?.to_str().ok()?.split_once("://")?;
    let at = rest.find(['/', '?', '#'])?;
    let (authority, path) = rest.split_at(at);
    let path = path.split('#').next()?;
    let is_own = authority.eq_ignore_ascii_case(host);
    (is_own && is_local(path)).then_some(path)
}

/// Tells whether an address is a path of this site, whatever a browser makes of it.
#[must_use]
pub fn is_local(path: &str) -> bool {
    path.starts_with('/') && !path[1..].starts_with(['/', '\\']) && path.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Tells whether a request can be somebody's arrival. A page's pictures, styles and scripts come
/// together with the page, or not at all; a place for each would be one visitor's twenty places.
#[must_use]
pub fn can_join(method: &Method, headers: &HeaderMap) -> bool {
    let mode = headers.get("sec-fetch-mode").and_then(|mode| mode.to_str().ok());
    *method != Method::OPTIONS && mode != Some("no-cors")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_choice_by_hand_wins_over_what_the_browser_asks_for() {
        let asked = headers(&[("accept-language", "de,en;q=0.5")]);
        assert_eq!(language(&asked), Language::De);
        let chosen = headers(&[("accept-language", "de"), ("cookie", "vestibule-language=ur")]);
        assert_eq!(language(&chosen), Language::Ur);
        assert_eq!(language(&headers(&[("cookie", "vestibule-language=xx")])), Language::En);
    }

    #[test]
    fn only_a_page_of_the_same_site_is_gone_back_to() {
        let from =
            |referer: &'static str| came_from(&headers(&[("referer", referer)]), "shop.example").map(str::to_owned);
        assert_eq!(from("https://shop.example/book/7?a=1#x"), Some("/book/7?a=1".to_owned()));
        for referer in [
            "https://evil.example/book",
            "https://shop.example//evil.example",
            "https://shop.example/\\evil.example",
            "https://shop.example.evil/x",
            "https://shop.example@evil/x",
            "https://shop.example",
            "/book",
        ] {
            assert_eq!(from(referer), None, "{referer}");
        }
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
