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

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{self, HeaderName, HeaderValue};

use super::chain::{self, ChainHeader};
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

/// As many headers are written for the upstream, so that there is room for them at once.
const WRITTEN: usize = 10;

/// By which some sites let a request have another method than its own.
pub(super) const METHOD_OVERRIDES: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// RFC 9110, section 7.6.1, and the names that older software treats alike.
pub(super) const HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

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
    let headers = request.headers();
    let mut protocols = headers.get_all(header::UPGRADE).iter();
    let sole = protocols.next().filter(|_| protocols.next().is_none());
    let nominated = || tokens(headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    sole.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && request.method() == hyper::Method::GET
        && request.version() == hyper::Version::HTTP_11
        && !headers.contains_key(header::CONTENT_LENGTH)
        && !headers.contains_key(header::TRANSFER_ENCODING)
        && nominated()
}

/// Turns a visitor's headers into those the upstream may see, and adds what the gateway vouches for.
///
/// `websocket` keeps the handshake of an upgrade that [`asks_for_websocket`] allowed.
pub fn clean_request(headers: &mut HeaderMap, target: &Target, passage: &Passage<'_>, websocket: bool) {
    headers.reserve(WRITTEN);
    pass_hop(headers, websocket);
    headers.remove(header::EXPECT);
    let before = if passage.peer_is_trusted { chain::addresses(headers, passage.chain) } else { Vec::new() };
    strip_claims(headers, passage);
    strip_own_cookies(headers);
    set_forwarded(headers, target, passage, &before);
    set(headers, header::HOST, target.host());
    headers.insert(REQUEST_ID, passage.request.header_value());
    if !passage.room.is_empty() {
        set(headers, ROOM, passage.room);
    }
    if let Some(visitor) = passage.visitor {
        set(headers, VISITOR, visitor);
    }
    if let Some(pass) = passage.pass {
        set(headers, PASS, pass);
    }
}

/// Turns the upstream's headers into those the visitor may see, and returns the words meant for the gateway.
///
/// `Alt-Svc` goes too: it would lead the visitor around the gate.
pub fn clean_response(headers: &mut HeaderMap, websocket: bool) -> UpstreamWords {
    pass_hop(headers, websocket);
    headers.remove(header::TE);
    headers.remove(header::ALT_SVC);
    strip_own_set_cookies(headers);
    take_words(headers)
}

/// Takes off what is of this hop, and says anew what is to be said on the next one.
fn pass_hop(headers: &mut HeaderMap, websocket: bool) {
    let announced = (!websocket).then(|| Announced::of(headers));
    strip_hop_by_hop(headers);
    match announced {
        Some(announced) => announced.say(headers),
        None => set_upgrade(headers),
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let nominated = tokens(headers, &header::CONNECTION).filter_map(|token| token.parse().ok());
    let of_hop = headers.keys().filter(|name| HOP_BY_HOP.contains(name)).cloned();
    let names: Vec<HeaderName> = nominated.chain(of_hop).collect();
    for name in names {
        headers.remove(name);
    }
}

fn set_upgrade(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Drops the names a visitor may not use; those that trusted proxies write stay.
fn strip_claims(headers: &mut HeaderMap, passage: &Passage<'_>) {
    let believed = passage.peer_is_trusted.then_some(passage.chain);
    let forged = |name: &str| {
        let is_of_x = name.starts_with(FORWARDED_PREFIX) || name == "x-real-ip";
        let is_claim = (is_of_x && believed != Some(ChainHeader::XForwardedFor))
            || (name == "forwarded" && believed != Some(ChainHeader::Forwarded));
        let is_other_method = passage.method_decides && METHOD_OVERRIDES.contains(&name);
        name.contains('_') || name.starts_with(OWN_PREFIX) || is_claim || is_other_method
    };
    let names: Vec<HeaderName> = headers.keys().filter(|name| forged(name.as_str())).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Writes both headers of the chain, the one that was not believed anew from the one that was.
fn set_forwarded(headers: &mut HeaderMap, target: &Target, passage: &Passage<'_>, before: &[Option<IpAddr>]) {
    let Passage { peer, scheme, .. } = *passage;
    for hop in before {
        match (passage.chain, hop) {
            (ChainHeader::XForwardedFor, Some(hop)) => {
                append(headers, header::FORWARDED, &forwarded_node(*hop, &hop.to_string()));
            }
            (ChainHeader::XForwardedFor, None) => append(headers, header::FORWARDED, "for=unknown"),
            (ChainHeader::Forwarded, Some(hop)) => append(headers, X_FORWARDED_FOR, &hop.to_string()),
            (ChainHeader::Forwarded, None) => append(headers, X_FORWARDED_FOR, "unknown"),
        }
    }
    let name = peer.to_string();
    append(headers, X_FORWARDED_FOR, &name);
    append(headers, header::FORWARDED, &forwarded_element(forwarded_node(peer, &name), scheme, target.host()));
    if !passage.peer_is_trusted {
        set(headers, X_REAL_IP, &name);
    }
    headers.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static(scheme));
    headers.entry(X_FORWARDED_HOST).or_insert_with(|| printable(target.host()));
}

/// Writes one element of RFC 7239 about a node; hosts with a port need quotes there.
fn forwarded_element(mut node: String, scheme: &str, host: &str) -> String {
    let quote = if host.contains([':', '[']) { "\"" } else { "" };
    [";proto=", scheme, ";host=", quote, host, quote].into_iter().for_each(|part| node.push_str(part));
    node
}

/// Names a node whose address reads `name`; one of version 6 needs quotes there.
fn forwarded_node(peer: IpAddr, name: &str) -> String {
    let (before, after) = if peer.is_ipv6() { ("for=\"[", "]\"") } else { ("for=", "") };
    let mut node = String::with_capacity(96);
    [before, name, after].into_iter().for_each(|part| node.push_str(part));
    node
}

/// Adds to the end of a list that a trusted proxy began; there is nothing to add to otherwise.
fn append(headers: &mut HeaderMap, name: HeaderName, last: &str) {
    if !headers.contains_key(&name) {
        return set(headers, name, last);
    }
    let mut list = String::with_capacity(64);
    for value in headers.get_all(&name) {
        list.push_str(value.to_str().unwrap_or("unknown"));
        list.push_str(", ");
    }
    list.push_str(last);
    set(headers, name, &list);
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    headers.insert(name, printable(value));
}

/// Turns a value of ours into a header value; one with control bytes in it becomes empty, not split.
fn printable(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""))
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
    let pairs = cookies.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    pairs.filter(|pair| !pair.is_empty())
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
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests;
