//! What may cross the gateway in a header, in either direction. Pure functions over header maps.
//!
//! # Rules
//!
//! - Hop-by-hop headers and whatever `Connection` nominates stay on their hop (P1). So does `Expect`: the server in front
//!   answers the expectation itself. What `TE` and `Trailer` say of trailers is said anew ([`super::trailers`]).
//! - `Vestibule-*` is the language between gateway and upstream: a visitor's own is dropped, and so is a name
//!   with an underscore, which a CGI-like upstream reads as the same name with a dash.
//! - Who the visitor is, is said by the gateway alone: `Forwarded`, `X-Forwarded-*` and `X-Real-IP` of a peer
//!   that is not a trusted proxy are replaced, and so is of a trusted proxy the header that it does not write.
//! - What a request is called (`X-Request-Id`) is said by the gateway alone as well.
//! - Where rooms are told apart by method, the headers by which some sites let a request have another one are dropped.
//! - The gateway's own cookies never reach the upstream, and an upstream may not set them.

use std::iter;
use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{self, Entry, HeaderName, HeaderValue};

use super::chain::{self, ChainHeader};
use super::pen::Pen;
use super::target::Target;
use super::trailers::Announced;
use super::words::{OWN_PREFIX, UpstreamWords, take_words};
use crate::telemetry::RequestId;

const OWN_COOKIES: [&str; 3] = ["vestibule-ticket", "vestibule-pass", "vestibule-bypass"];
const HOST_COOKIE_PREFIX: &str = "__Host-";
pub(super) const FORWARDED_PREFIX: &str = "x-forwarded-";

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const ROOM: HeaderName = HeaderName::from_static("vestibule-room");
const VISITOR: HeaderName = HeaderName::from_static("vestibule-visitor");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PASS: HeaderName = HeaderName::from_static("vestibule-pass");

/// As many headers are written for the upstream at the most, so that room can be made for them at once.
pub const HEADERS_ADDED: usize = 10;

/// By which some sites let a request have another method than its own.
pub(super) const METHOD_OVERRIDES: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// Tells the headers of one hop: RFC 9110, section 7.6.1, and the names that older software treats alike.
pub(super) fn is_of_hop(name: &str) -> bool {
    match name.len() {
        2 => name == "te",
        7 => matches!(name, "trailer" | "upgrade"),
        10 => matches!(name, "connection" | "keep-alive"),
        14 => name == "http2-settings",
        16 => name == "proxy-connection",
        17 => name == "transfer-encoding",
        18 => name == "proxy-authenticate",
        19 => name == "proxy-authorization",
        _ => false,
    }
}

/// What the gateway decided about a request before forwarding it.
#[derive(Debug, Clone, Copy)]
pub struct Passage<'a> {
    /// The room that admitted it; empty where none has.
    pub room: &'a str,
    /// The id of the visitor's ticket, where there is one.
    pub visitor: Option<&'a str>,
    /// The visitor's pass, where there is one.
    pub pass: Option<&'a str>,
    /// What the request is called in logs and traces.
    pub request: RequestId,
    /// The address the connection comes from: the visitor's own, or that of a proxy in front of us.
    pub peer: IpAddr,
    /// Whether that peer is a proxy that is believed.
    pub peer_is_trusted: bool,
    /// Which header such proxies write; what it tells is kept and extended, and the other is made from it.
    pub chain: ChainHeader,
    /// The scheme the visitor used, `http` or `https`.
    pub scheme: &'static str,
    /// Whether rooms are told apart by method, so that no header may say that it is another.
    pub method_decides: bool,
}

/// Returns the address of the visitor: the peer's own, or, behind trusted proxies, the last one of the chain that they
/// tell which is not a trusted proxy's. What stands before that one anybody may have written.
#[must_use]
pub fn visitor_address(
    headers: &HeaderMap,
    peer: IpAddr,
    chain: ChainHeader,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let mut address = peer.to_canonical();
    if !is_trusted(address) {
        return address;
    }
    let mut hops = chain::addresses(headers, chain).into_iter().rev();
    while is_trusted(address) {
        let Some(Some(hop)) = hops.next() else { break };
        address = hop;
    }
    address
}

/// Says whether the request asks for a WebSocket, the one upgrade that is forwarded.
///
/// It must be a `GET` without a body in HTTP/1.1 that nominates exactly one protocol, `websocket`. Any other
/// upgrade (`h2c` above all, which would open a second, unguarded conversation) is dropped with its header,
/// and the request goes on as a plain one.
#[must_use]
pub fn asks_for_websocket<B>(request: &hyper::Request<B>) -> bool {
    if request.method() != hyper::Method::GET || request.version() != hyper::Version::HTTP_11 {
        return false;
    }
    let headers = request.headers();
    let mut protocols = headers.get_all(header::UPGRADE).iter();
    let sole = protocols.next().filter(|_| protocols.next().is_none());
    let nominated = || tokens(headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    sole.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && !headers.contains_key(header::CONTENT_LENGTH)
        && !headers.contains_key(header::TRANSFER_ENCODING)
        && nominated()
}

/// Turns a visitor's headers into those the upstream may see, and adds what the gateway vouches for.
///
/// `websocket` keeps the handshake of an upgrade that [`asks_for_websocket`] allowed.
pub fn clean_request(headers: &mut HeaderMap, target: &Target, passage: &Passage<'_>, websocket: bool) {
    headers.reserve(HEADERS_ADDED);
    pass_hop(headers, websocket, |name| name == "expect" || is_claim(name, passage));
    strip_own_cookies(headers);
    let pen = &mut Pen::new();
    let host = match headers.get(header::HOST) {
        Some(told) if told == target.host() => told.clone(),
        _ => pen.bytes(target.host()).value(),
    };
    set_forwarded(headers, &host, passage, pen);
    headers.insert(header::HOST, host);
    headers.insert(REQUEST_ID, passage.request.header_value());
    let room = Some(passage.room).filter(|room| !room.is_empty());
    for (name, told) in [(ROOM, room), (VISITOR, passage.visitor), (PASS, passage.pass)] {
        if let Some(told) = told {
            headers.insert(name, pen.bytes(told).value());
        }
    }
}

/// Turns the upstream's headers into those the visitor may see, and returns the words meant for the gateway.
///
/// `Alt-Svc` goes too: it would lead the visitor around the gate.
pub fn clean_response(headers: &mut HeaderMap, websocket: bool) -> UpstreamWords {
    let (mut has_words, mut has_cookies, mut has_te) = (false, false, false);
    pass_hop(headers, websocket, |name| {
        has_words |= name.starts_with(OWN_PREFIX);
        has_cookies |= name == "set-cookie";
        has_te |= name == "te";
        name == "alt-svc"
    });
    if has_te {
        headers.remove(header::TE);
    }
    if has_cookies {
        strip_own_set_cookies(headers);
    }
    if has_words { take_words(headers) } else { UpstreamWords::default() }
}

/// Takes off what is of this hop and what is not wanted on the next, and says anew what is to be said there.
fn pass_hop(headers: &mut HeaderMap, websocket: bool, mut is_unwanted: impl FnMut(&str) -> bool) {
    let stays = |name: &&HeaderName| is_unwanted(name.as_str()) || is_of_hop(name.as_str());
    let mut names: Vec<HeaderName> = headers.keys().filter(stays).cloned().collect();
    if names.contains(&header::CONNECTION) {
        names.extend(nominated(headers));
    }
    let tells_of_trailers = names.contains(&header::TE) || names.contains(&header::TRAILER);
    let announced = (tells_of_trailers && !websocket).then(|| Announced::of(headers));
    names.into_iter().for_each(|name| drop(headers.remove(name)));
    if let Some(announced) = announced {
        announced.say(headers);
    }
    if websocket {
        set_upgrade(headers);
    }
}

/// Returns the headers that `Connection` nominates. Nearly always it says no more than `keep-alive`, which is of the hop in
/// any case.
fn nominated(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    let lines = headers.get_all(header::CONNECTION).iter();
    let lines = lines.filter(|line| !line.as_bytes().eq_ignore_ascii_case(b"keep-alive"));
    lines.flat_map(tokens_of).filter_map(|token| token.parse().ok())
}

fn set_upgrade(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Tells the names a visitor may not use; those that trusted proxies write are no claims.
fn is_claim(name: &str, passage: &Passage<'_>) -> bool {
    let is_believed = |chain| passage.peer_is_trusted && passage.chain == chain;
    let is_of_x = name.starts_with(FORWARDED_PREFIX) || name == "x-real-ip";
    name.contains('_')
        || name.starts_with(OWN_PREFIX)
        || (is_of_x && !is_believed(ChainHeader::XForwardedFor))
        || (name == "forwarded" && !is_believed(ChainHeader::Forwarded))
        || (passage.method_decides && METHOD_OVERRIDES.contains(&name))
}

/// Writes both headers of the chain, the one that was not believed anew from the one that was.
fn set_forwarded(headers: &mut HeaderMap, host: &HeaderValue, passage: &Passage<'_>, pen: &mut Pen) {
    let Passage { peer, scheme, .. } = *passage;
    let (proto, host_again) = (HeaderValue::from_static(scheme), host.clone());
    if passage.peer_is_trusted {
        retell(headers, passage.chain, pen);
        let (name, element) = (pen.address(peer).value(), element(pen, peer, scheme, host));
        append(headers, X_FORWARDED_FOR, name, pen);
        append(headers, header::FORWARDED, element, pen);
        headers.entry(X_FORWARDED_PROTO).or_insert(proto);
        headers.entry(X_FORWARDED_HOST).or_insert(host_again);
    } else {
        let name = pen.address(peer).value();
        headers.insert(X_FORWARDED_FOR, name.clone());
        headers.insert(header::FORWARDED, element(pen, peer, scheme, host));
        headers.insert(X_REAL_IP, name);
        headers.insert(X_FORWARDED_PROTO, proto);
        headers.insert(X_FORWARDED_HOST, host_again);
    }
}

/// Says what one header of the chain tells in the other as well.
fn retell(headers: &mut HeaderMap, chain: ChainHeader, pen: &mut Pen) {
    for hop in chain::addresses(headers, chain) {
        let (name, value) = match (chain, hop) {
            (ChainHeader::XForwardedFor, Some(hop)) => (header::FORWARDED, node(pen, hop).value()),
            (ChainHeader::XForwardedFor, None) => (header::FORWARDED, HeaderValue::from_static("for=unknown")),
            (ChainHeader::Forwarded, Some(hop)) => (X_FORWARDED_FOR, pen.address(hop).value()),
            (ChainHeader::Forwarded, None) => (X_FORWARDED_FOR, HeaderValue::from_static("unknown")),
        };
        append(headers, name, value, pen);
    }
}

/// Writes one element of RFC 7239 about an address; hosts with a port need quotes there.
fn element(pen: &mut Pen, peer: IpAddr, scheme: &str, host: &HeaderValue) -> HeaderValue {
    let has_port = host.as_bytes().iter().any(|byte| matches!(byte, b':' | b'['));
    let quote = if has_port { "\"" } else { "" };
    node(pen, peer).bytes(";proto=").bytes(scheme).bytes(";host=").bytes(quote).bytes(host).bytes(quote).value()
}

/// Names an address in it; one of version 6 needs quotes.
fn node(pen: &mut Pen, peer: IpAddr) -> &mut Pen {
    let (before, after) = if peer.is_ipv6() { ("for=\"[", "]\"") } else { ("for=", "") };
    pen.bytes(before).address(peer).bytes(after)
}

/// Adds to the end of a list that a trusted proxy began, if one did.
fn append(headers: &mut HeaderMap, name: HeaderName, last: HeaderValue, pen: &mut Pen) {
    match headers.entry(name) {
        Entry::Vacant(place) => drop(place.insert(last)),
        Entry::Occupied(mut list) => {
            for value in list.iter() {
                pen.bytes(value.to_str().unwrap_or("unknown")).bytes(", ");
            }
            list.insert(pen.bytes(last).value());
        }
    }
}

fn strip_own_cookies(headers: &mut HeaderMap) {
    let ours = |value: &HeaderValue| pairs(value.as_bytes()).any(is_own_cookie);
    // HTTP/2 may bring them in several lines, of which HTTP/1.1 knows one (RFC 9113, section 8.2.3).
    let mut lines = headers.get_all(header::COOKIE).iter();
    if lines.size_hint().0 <= 1 && !lines.any(ours) {
        return;
    }
    let mut kept = Vec::new();
    for value in headers.get_all(header::COOKIE) {
        for pair in pairs(value.as_bytes()).filter(|pair| !is_own_cookie(pair)) {
            kept.extend_from_slice(if kept.is_empty() { b"" } else { b"; " });
            kept.extend_from_slice(pair);
        }
    }
    headers.remove(header::COOKIE);
    // The bytes come out of valid values, so that the joined value is valid too.
    if let (false, Ok(value)) = (kept.is_empty(), HeaderValue::from_bytes(&kept)) {
        headers.insert(header::COOKIE, value);
    }
}

fn strip_own_set_cookies(headers: &mut HeaderMap) {
    let ours = |value: &&HeaderValue| is_own_cookie(value.as_bytes());
    if !headers.get_all(header::SET_COOKIE).iter().any(|value| ours(&value)) {
        return;
    }
    let all = headers.get_all(header::SET_COOKIE);
    let kept: Vec<HeaderValue> = all.iter().filter(|value| !ours(value)).cloned().collect();
    headers.remove(header::SET_COOKIE);
    for value in kept {
        headers.append(header::SET_COOKIE, value);
    }
}

fn pairs(cookies: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut from, mut ends) = (0, memchr::memchr_iter(b';', cookies).chain([cookies.len()]));
    let pairs = iter::from_fn(move || {
        let end = ends.next()?;
        Some(&cookies[std::mem::replace(&mut from, end + 1)..end])
    });
    pairs.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

/// Recognises `vestibule-ticket`, `vestibule-pass`, `vestibule-bypass`, their `__Host-` forms and those with a room's suffix.
/// Case is ignored, as some upstreams ignore it.
fn is_own_cookie(pair: &[u8]) -> bool {
    let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
    let name = after(name, HOST_COOKIE_PREFIX).unwrap_or(name);
    OWN_COOKIES.iter().any(|own| matches!(after(name, own), Some([] | [b'-', ..])))
}

fn after<'a>(name: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    let (head, tail) = name.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix.as_bytes()).then_some(tail)
}

pub(super) fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).into_iter().flat_map(tokens_of)
}

pub(super) fn tokens_of(line: &HeaderValue) -> impl Iterator<Item = &str> {
    line.to_str().unwrap_or_default().split(',').map(str::trim).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests;
