//! Who a visitor is, by the word of the room's own site, so that one person holds one place.
//!
//! The word is a header that a trusted proxy sets, or a claim in a token (JWT) that the site signs. It is never kept
//! or logged: what goes on is a [`PersonId`], a keyed hash of room and person. That id is also the id of the
//! person's ticket, so the same person holds the very same ticket on every device.
//!
//! # Invariants
//! Forged, foreign, expired or unreadable is the same as absent (T1). A header counts from a trusted proxy only. The
//! algorithm of a token is the configuration's, never the token's.

mod signed;

use std::sync::Arc;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::line::PersonId;
use crate::token::{KeyRing, TicketId};
pub use signed::{Algorithm, BadKey, SignedClaim};

/// The longest name of a person that is taken, in bytes.
const NAME_CAP_BYTES: usize = 1_024;

/// What is derived from the root of the key ring.
const PURPOSE: &str = "vestibule 2026 person of a room to ticket id v1";

/// A ticket's id with this bit set is that of a person.
const PERSON_BIT: u128 = 1 << 127;

/// What stands in an address for where to come back to.
const RETURN: &str = "{return}";

/// How a room knows persons.
#[derive(Clone, Debug)]
pub struct PersonRule {
    /// Where the site's word is.
    pub source: Source,
    /// Whether somebody who is nobody gets no place.
    pub required: bool,
    /// Where one signs in; `{return}` in it is where the visitor wanted to go.
    pub sign_in: Option<String>,
}

/// Where the site's word is.
#[derive(Clone, Debug)]
pub enum Source {
    /// In a header that a trusted proxy sets.
    Header(HeaderName),
    /// In a token that the site signs.
    Signed(Arc<SignedClaim>),
}

/// What a request shows, and who sends it.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The headers.
    pub headers: &'a HeaderMap,
    /// Whether the peer is a trusted proxy.
    pub peer_is_trusted: bool,
}

impl PersonRule {
    /// Finds out who sends a request to `room`, `None` for somebody whom the site does not vouch for.
    #[must_use]
    pub fn identify(&self, shown: Shown<'_>, room: &str, ring: &KeyRing, now_ms: u64) -> Option<PersonId> {
        let name = match &self.source {
            Source::Header(name) => sole(shown.headers, name).filter(|_| shown.peer_is_trusted)?.to_owned(),
            Source::Signed(claim) => claim.read(shown.headers, now_ms)?,
        };
        let is_name = !name.is_empty() && name.len() <= NAME_CAP_BYTES;
        if is_name { hash(ring, room, &name) } else { None }
    }

    /// Says where to sign in, and to come back from there to `path`, if the site has said it.
    #[must_use]
    pub fn sign_in(&self, path: &str, query: Option<&str>) -> Option<String> {
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        // What begins like another host's address leads to the site's own first page.
        let is_local = path.starts_with('/') && !path[1..].starts_with(['/', '\\']);
        let back = if is_local { format!("{path}{query}") } else { "/".to_owned() };
        let back = utf8_percent_encode(&back, RESERVED).to_string();
        self.sign_in.as_ref().map(|address| address.replace(RETURN, &back))
    }
}

/// All but letters, digits and what RFC 3986 never reserves.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Returns the id of a person's ticket.
#[must_use]
pub fn ticket_of(person: PersonId) -> TicketId {
    TicketId(person.0)
}

/// Returns the id of anybody's ticket, of 127 random bits.
#[must_use]
pub fn ticket_of_anybody(random: u128) -> TicketId {
    TicketId(random & !PERSON_BIT)
}

/// Tells whose ticket it is, if it is a person's.
#[must_use]
pub fn holder(ticket: TicketId) -> Option<PersonId> {
    (ticket.0 & PERSON_BIT != 0).then_some(PersonId(ticket.0))
}

/// Hashes a person's name with what is derived from the ring's root, which outlives every rotation: the id has to be
/// the same for as long as a line may last. The room is in it, so that nobody follows a person from room to room.
fn hash(ring: &KeyRing, room: &str, name: &str) -> Option<PersonId> {
    let length = (room.len() as u64).to_be_bytes();
    let hash = ring.derive(PURPOSE, &[&length, room.as_bytes(), name.as_bytes()].concat())?;
    let (id, _) = hash.split_first_chunk()?;
    Some(PersonId(u128::from_be_bytes(*id) | PERSON_BIT))
}

/// Tells whether persons can be hashed with a ring: one that was made before there was a root cannot.
#[must_use]
pub fn are_known_to(ring: &KeyRing) -> bool {
    ring.derive(PURPOSE, &[]).is_some()
}

/// Reads a header that must not be there twice: of two, somebody added one.
fn sole<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let sole = values.next().filter(|_| values.next().is_none());
    sole?.to_str().ok().map(str::trim)
}

/// Finds a cookie.
#[must_use]
pub fn find_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    cookies(headers).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Lists the cookies that a request brings along, each with its value.
pub fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers.get_all(header::COOKIE).iter().flat_map(cookies_of)
}

/// Lists those of one line.
pub fn cookies_of(line: &HeaderValue) -> impl Iterator<Item = (&str, &str)> {
    let pairs = line.to_str().unwrap_or_default().split(';');
    pairs.filter_map(|pair| pair.trim().split_once('='))
}

#[cfg(test)]
mod tests;
