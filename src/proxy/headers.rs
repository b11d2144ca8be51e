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
use hyper::header::{self, HeaderName, HeaderValue};

use super::chain::{self, ChainHeader};
use super::lines::{AddressText, Lines, ends_line};
use super::target::Target;
use super::trailers::Announced;
use super::words::{OWN_PREFIX, UpstreamWords, take_words};
use crate::telemetry::RequestId;

const OWN_COOKIES: [&str; 3] = ["vestibule-ticket", "vestibule-pass", "vestibule-bypass"];
const HOST_COOKIE_PREFIX: &str = "__Host-";
pub(super) const FORWARDED_PREFIX: &str = "x-forwarded-";

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
static ROOM: HeaderName = HeaderName::from_static("vestibule-room");
static VISITOR: HeaderName = HeaderName::from_static("vestibule-visitor");
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static PASS: HeaderName = HeaderName::from_static("vestibule-pass");

/// As many headers are written for the upstream at the most, so that room can be made for them at once.
pub(super) const HEADERS_ADDED: usize = 10;

/// By which some sites let a request have another method than its own.
pub(super) const METHOD_OVERRIDES: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// By which some sites let a request have another path than its own.
pub(super) const PATH_OVERRIDES: [&str; 3] = ["x-original-url", "x-original-uri", "x-rewrite-url"];

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

impl Passage<'_> {
    /// Says whether the peer may tell who asks in the headers of a chain.
    fn believes(&self, chain: ChainHeader) -> bool {
        self.peer_is_trusted && self.chain == chain
    }
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
    let mut protocols = lines_of(headers, &header::UPGRADE);
    let sole = protocols.next().filter(|_| protocols.next().is_none());
    let nominated = || tokens(headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    sole.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && !headers.contains_key(header::CONTENT_LENGTH)
        && !headers.contains_key(header::TRANSFER_ENCODING)
        && nominated()
}

/// Takes off what `Connection` nominates, but for what never crosses in any case.
pub fn drop_nominated(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> = nominated(headers).filter(|name| !is_of_hop(name.as_str())).collect();
    names.into_iter().for_each(|name| drop(headers.remove(name)));
}

/// Writes those of a visitor's headers that the upstream may see, and what the gateway vouches for. What they tell of a trace
/// is left to `trace`.
///
/// `websocket` keeps the handshake of an upgrade that [`asks_for_websocket`] allowed.
pub fn pass_up(told: &HeaderMap, target: &Target, passage: &Passage<'_>, websocket: bool, up: &mut impl Lines) {
    up.write(&header::HOST, &[target.host().as_bytes()]);
    let (mut tells_of_trailers, mut has_cookies) = (false, false);
    for (name, value) in told {
        match *name {
            header::HOST | header::EXPECT | header::FORWARDED => {}
            header::TE | header::TRAILER => tells_of_trailers = true,
            header::COOKIE => has_cookies = true,
            _ if never_goes_up(name.as_str(), passage) => {}
            _ => up.copy(name, value),
        }
    }
    if has_cookies {
        pass_cookies(told, up);
    }
    if websocket {
        say_upgrade(up);
    } else if tells_of_trailers {
        Announced::of(told).say(up);
    }
    tell_who_asks(told, target.host(), passage, up);
    up.write(&REQUEST_ID, &[&passage.request.digits()]);
    let room = Some(passage.room).filter(|room| !room.is_empty());
    for (name, value) in [(&ROOM, room), (&VISITOR, passage.visitor), (&PASS, passage.pass)] {
        if let Some(value) = value.filter(|value| !ends_line(value.as_bytes())) {
            up.write(name, &[value.as_bytes()]);
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
        say_upgrade(headers);
    }
}

/// Returns the headers that `Connection` nominates. Nearly always it says no more than `keep-alive`, which is of the hop in
/// any case.
fn nominated(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    let lines =
        lines_of(headers, &header::CONNECTION).filter(|line| !line.as_bytes().eq_ignore_ascii_case(b"keep-alive"));
    lines.flat_map(tokens_of).filter_map(|token| token.parse().ok())
}

fn say_upgrade(lines: &mut impl Lines) {
    lines.write(&header::CONNECTION, &[b"upgrade"]);
    lines.write(&header::UPGRADE, &[b"websocket"]);
}

/// Tells the names that end here: those of a hop, those that say who somebody is, where nobody is believed who does, and
/// what is written anew.
fn never_goes_up(name: &str, passage: &Passage<'_>) -> bool {
    let is_of_x = name.starts_with(FORWARDED_PREFIX) || name == "x-real-ip";
    is_of_hop(name)
        || name.contains('_')
        || name.starts_with(OWN_PREFIX)
        || (is_of_x && (!passage.believes(ChainHeader::XForwardedFor) || name == X_FORWARDED_FOR.as_str()))
        || matches!(name, "x-request-id" | "traceparent" | "tracestate")
        || PATH_OVERRIDES.contains(&name)
        || (passage.method_decides && METHOD_OVERRIDES.contains(&name))
}

/// Writes both headers of the chain, the one that was not believed anew from the one that was.
fn tell_who_asks(told: &HeaderMap, host: &str, passage: &Passage<'_>, up: &mut impl Lines) {
    let (peer, scheme, host) = (AddressText::of(passage.peer), passage.scheme.as_bytes(), host.as_bytes());
    let before = if passage.peer_is_trusted { Chain::told(told, passage.chain) } else { Chain::default() };
    up.write(&X_FORWARDED_FOR, &[before.addresses.as_bytes(), peer.as_bytes()]);
    let (node, end) = node_marks(passage.peer);
    // A host with a port needs quotes there.
    let quote: &[u8] = if memchr::memchr2(b':', b'[', host).is_some() { b"\"" } else { b"" };
    let element =
        [before.elements.as_bytes(), node, peer.as_bytes(), end, b";proto=", scheme, b";host=", quote, host, quote];
    up.write(&header::FORWARDED, &element);
    if !passage.peer_is_trusted {
        up.write(&X_REAL_IP, &[peer.as_bytes()]);
    }
    for (name, value) in [(&X_FORWARDED_PROTO, scheme), (&X_FORWARDED_HOST, host)] {
        if !(passage.believes(ChainHeader::XForwardedFor) && told.contains_key(name)) {
            up.write(name, &[value]);
        }
    }
}

/// The hops before the peer, as both headers tell them, with a comma behind.
#[derive(Default)]
struct Chain {
    addresses: String,
    elements: String,
}

impl Chain {
    /// Reads the header that is believed, and writes the same for the other.
    fn told(headers: &HeaderMap, chain: ChainHeader) -> Self {
        let hops = chain::addresses(headers, chain);
        let as_told = |name: &HeaderName| {
            let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("unknown"));
            lines.map(|line| format!("{line}, ")).collect()
        };
        match chain {
            ChainHeader::XForwardedFor => {
                Self { addresses: as_told(&X_FORWARDED_FOR), elements: hops.into_iter().map(element).collect() }
            }
            ChainHeader::Forwarded => {
                Self { addresses: hops.into_iter().map(address).collect(), elements: as_told(&header::FORWARDED) }
            }
        }
    }
}

fn address(hop: Option<IpAddr>) -> String {
    hop.map_or("unknown, ".to_owned(), |hop| format!("{hop}, "))
}

fn element(hop: Option<IpAddr>) -> String {
    match hop {
        Some(hop @ IpAddr::V6(_)) => format!("for=\"[{hop}]\", "),
        Some(hop) => format!("for={hop}, "),
        None => "for=unknown, ".to_owned(),
    }
}

/// Returns what stands around an address in an element of RFC 7239, where one of version 6 needs quotes.
fn node_marks(address: IpAddr) -> (&'static [u8], &'static [u8]) {
    if address.is_ipv6() { (b"for=\"[", b"]\"") } else { (b"for=", b"") }
}

fn pass_cookies(told: &HeaderMap, up: &mut impl Lines) {
    let mut lines = told.get_all(header::COOKIE).iter();
    let ours = |value: &HeaderValue| pairs(value.as_bytes()).any(is_own_cookie);
    if let (Some(only), None) = (lines.next(), lines.next())
        && !ours(only)
    {
        return up.copy(&header::COOKIE, only);
    }
    // HTTP/2 may bring them in several lines, of which HTTP/1.1 knows one (RFC 9113, section 8.2.3).
    let lines = told.get_all(header::COOKIE).iter();
    let kept = lines.flat_map(|line| pairs(line.as_bytes())).filter(|pair| !is_own_cookie(pair));
    let mut pieces: Vec<&[u8]> = kept.flat_map(|pair| [&b"; "[..], pair]).collect();
    if !pieces.is_empty() {
        up.write(&header::COOKIE, &pieces.split_off(1));
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

/// Finds the lines of a name. There are few headers: to look at each costs less than to look the name up.
pub fn lines_of<'a>(headers: &'a HeaderMap, name: &'a HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
    headers.iter().filter(move |(named, _)| *named == name).map(|(_, line)| line)
}

pub(super) fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).into_iter().flat_map(tokens_of)
}

pub(super) fn tokens_of(line: &HeaderValue) -> impl Iterator<Item = &str> {
    line.to_str().unwrap_or_default().split(',').map(str::trim).filter(|token| !token.is_empty())
}

#[cfg(test)]
pub(super) mod tests;
