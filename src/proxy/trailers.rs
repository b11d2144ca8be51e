//! What may cross the gateway after a body: trailers, in either direction.
//!
//! Some programs merge trailers into the headers. So none may pass that would mean something there: how a message is
//! framed or routed, who somebody is, what is cached, or what the gateway itself says (RFC 9110, section 6.5.1). How many
//! there may be, and how long, is bounded by the reader of the connection.

use hyper::HeaderMap;
use hyper::body::Frame;
use hyper::header::{self, HeaderName};

use super::headers::{FORWARDED_PREFIX, METHOD_OVERRIDES, PATH_OVERRIDES, is_of_hop, tokens};
use super::lines::Lines;
use super::words::OWN_PREFIX;

/// The names that a trailer may not have, besides those of a hop and of the gateway.
const FORBIDDEN: [HeaderName; 34] = [
    header::ACCEPT_ENCODING,
    header::AGE,
    header::ALT_SVC,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::EXPECT,
    header::EXPIRES,
    header::FORWARDED,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::LOCATION,
    header::MAX_FORWARDS,
    header::ORIGIN,
    header::PRAGMA,
    header::RANGE,
    header::REFERER,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::VARY,
    header::VIA,
    header::WARNING,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("x-real-ip"),
];

/// Leaves of some trailers those that may cross.
fn cleaned(mut trailers: HeaderMap) -> HeaderMap {
    let forbidden: Vec<HeaderName> = trailers.keys().filter(|name| !may_cross(name)).cloned().collect();
    for name in forbidden {
        trailers.remove(name);
    }
    trailers
}

/// Does the same with a frame of a body; `None` where nothing is left of it.
pub(super) fn cleaned_frame<D>(frame: Frame<D>) -> Option<Frame<D>> {
    let trailers = frame.into_trailers().ok().map(cleaned)?;
    (!trailers.is_empty()).then(|| Frame::trailers(trailers))
}

/// What a message says of trailers before they come.
pub(super) struct Announced {
    /// Which there will be, of those that may cross.
    names: Vec<HeaderName>,
    /// Whether the sender takes some.
    takes: bool,
}

impl Announced {
    /// Reads it, before what is of this hop is taken off.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let names = tokens(headers, &header::TRAILER).filter_map(|name| name.parse().ok()).filter(may_cross).collect();
        let takes = tokens(headers, &header::TE).any(|coding| coding.eq_ignore_ascii_case("trailers"));
        Self { names, takes }
    }

    /// Says the same on the next hop. HTTP/1.1 sends only trailers that were announced.
    pub(super) fn say(&self, lines: &mut impl Lines) {
        for name in &self.names {
            lines.write(&header::TRAILER, &[name.as_str().as_bytes()]);
        }
        if self.takes {
            lines.write(&header::TE, &[b"trailers"]);
        }
    }
}

fn may_cross(name: &HeaderName) -> bool {
    let text = name.as_str();
    let is_claim = text.contains('_') || text.starts_with(OWN_PREFIX) || text.starts_with(FORWARDED_PREFIX);
    let is_override = METHOD_OVERRIDES.contains(&text) || PATH_OVERRIDES.contains(&text);
    let is_taken = FORBIDDEN.contains(name) || is_of_hop(text) || is_override;
    !is_claim && !is_taken
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn map(names: &[&'static str]) -> HeaderMap {
        names.iter().map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x"))).collect()
    }

    #[test]
    fn only_what_means_nothing_to_a_gateway_crosses() {
        let good = map(&["grpc-status", "grpc-message", "x-checksum", "server-timing", "digest"]);
        assert_eq!(cleaned(good.clone()), good);
        let bad = map(&[
            "transfer-encoding",
            "content-length",
            "host",
            "te",
            "trailer",
            "connection",
            "cookie",
            "set-cookie",
            "authorization",
            "vestibule-pass",
            "vestibule-sold-out",
            "x-forwarded-for",
            "forwarded",
            "x-real-ip",
            "x_checksum",
            "x-http-method-override",
            "proxy-authorization",
            "cache-control",
            "location",
        ]);
        assert!(cleaned(bad).is_empty());
    }

    #[test]
    fn what_was_announced_is_announced_again() {
        let mut headers = HeaderMap::new();
        headers.append(header::TRAILER, HeaderValue::from_static("x-checksum, Content-Length"));
        headers.append(header::TRAILER, HeaderValue::from_static("server-timing"));
        headers.insert(header::TE, HeaderValue::from_static("deflate;q=0.5, trailers"));
        let announced = Announced::of(&headers);
        let mut next = HeaderMap::new();
        announced.say(&mut next);
        let names: Vec<_> = next.get_all(header::TRAILER).iter().filter_map(|name| name.to_str().ok()).collect();
        assert_eq!((names, next[header::TE].as_bytes()), (vec!["x-checksum", "server-timing"], &b"trailers"[..]));
        let mut silent = HeaderMap::new();
        Announced::of(&HeaderMap::new()).say(&mut silent);
        assert!(silent.is_empty());
    }
}
