//! `[room.NAME.person]`: how a room knows persons, so that one person holds one place.

use std::fs;
use std::sync::Arc;

use hyper::Method;
use hyper::header::{HeaderMap, HeaderName};

use super::RoomConfig;
use super::file::Section;
use crate::gate::QueueingMethod;
use crate::person::{Algorithm, PersonRule, SignedClaim, Source};
use crate::route::{HostPattern, Route, Routes};

/// Reads the table, where a room has one.
pub(super) fn person(room: &mut Section<'_>) -> Option<PersonRule> {
    if !room.gives("person") {
        return None;
    }
    let mut section = room.section("person")?;
    let required = section.flag("required").unwrap_or(true);
    let sign_in = sign_in(&mut section, required);
    let rule = source(&mut section).map(|source| PersonRule { source, required, sign_in });
    room.close(section);
    rule
}

/// Tells what of a room's rule cannot work together with the rest: nobody could get in.
pub(super) fn conflict(i: usize, room: &RoomConfig, routes: &Routes, has_proxies: bool) -> Option<String> {
    let rule = room.rules.person.as_ref()?;
    let name = &room.rules.name;
    if matches!(rule.source, Source::Header(_)) && !has_proxies {
        return Some(format!(
            "`{name}` knows persons by a header, which counts from `trusted_proxies` only, and there are none: name \
             the proxy that sets it, or take a claim that the site signs"
        ));
    }
    if room.rules.method == QueueingMethod::Passthrough {
        return Some(format!(
            "`{name}` lets everyone through, so it has no use for `person`; leave one of the two out"
        ));
    }
    let path = rule.sign_in.as_ref()?.split(['?', '#']).next().filter(|path| path.starts_with('/'))?;
    let host = match room.claim.hosts.first()? {
        HostPattern::Any => "any.invalid".to_owned(),
        HostPattern::Below(domain) => format!("any{domain}"),
        HostPattern::Exact(name) => name.clone(),
    };
    (routes.find(&host, path, &Method::GET, &HeaderMap::new()) == Route::Guarded(i))
        .then(|| format!("`{name}` guards {path}, so that nobody could sign in there: add it to the room's `bypass`"))
}

/// Where the name of a person stands: in a header, or in a claim of a token.
fn source(section: &mut Section<'_>) -> Option<Source> {
    let (is_header, is_cookie) = (section.gives("header"), section.gives("cookie"));
    let is_signed = ["claim", "algorithm", "key_file", "issuer", "audience"].iter().any(|key| section.gives(key));
    let (header, cookie) = (header(section), section.text("cookie"));
    match (is_header, is_cookie) {
        (true, true) => section.problem("cookie", "give `header` or `cookie`, not both".to_owned()),
        (false, false) if section.misspells("cookie") => {}
        (false, false) => section.missing("header", "which header, or `cookie`, says who it is"),
        (true, false) if !is_signed => return header.map(Source::Header),
        _ => {}
    }
    let signed = signed(section, header, cookie)?;
    (is_header != is_cookie).then(|| Source::Signed(Arc::new(signed)))
}

/// Reads a token's claim, issuer and audience, and the key that it is checked with.
fn signed(section: &mut Section<'_>, header: Option<HeaderName>, cookie: Option<String>) -> Option<SignedClaim> {
    for (key, what) in [
        (
            "claim",
            "which claim of the token names the person, such as \"sub\"; a cookie that is not signed says nothing",
        ),
        ("algorithm", "how the token is signed: EdDSA, ES256 or HS256"),
        ("key_file", "the file of the key that the token is checked with"),
    ] {
        section.missing(key, what);
    }
    let (claim, algorithm) = (section.text("claim"), section.parsed::<Algorithm>("algorithm"));
    let (issuer, audience) = (section.text("issuer"), section.text("audience"));
    let (claim, algorithm, key) = (claim, algorithm, key(section));
    let (claim, algorithm, key) = (claim?, algorithm?, key?);
    let made = match (header, cookie) {
        (Some(header), _) => SignedClaim::in_header(header, claim, algorithm, &key),
        (None, cookie) => SignedClaim::in_cookie(cookie?, claim, algorithm, &key),
    };
    let made = made.map_err(|bad| section.problem("key_file", bad.to_string())).ok()?;
    Some(made.only(issuer, audience))
}

fn key(section: &mut Section<'_>) -> Option<Vec<u8>> {
    let path = section.text("key_file")?;
    fs::read(&path).map_err(|e| section.problem("key_file", format!("cannot read {path}: {e}"))).ok()
}

fn header(section: &mut Section<'_>) -> Option<HeaderName> {
    let name = section.parsed::<HeaderName>("header")?;
    let is_taken = name == "cookie" || name == "host" || name.as_str().starts_with("vestibule-");
    if is_taken {
        section.problem("header", format!("`{name}` is taken for something else; for a cookie, give `cookie`"));
    }
    (!is_taken).then_some(name)
}

fn sign_in(section: &mut Section<'_>, required: bool) -> Option<String> {
    let address = section.text("sign_in")?;
    let is_local = address.starts_with('/') && !address[1..].starts_with(['/', '\\']);
    let is_elsewhere = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
    let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic());
    if !(is_plain && (is_local || is_elsewhere)) {
        let what = "is a path of the site or an address with https://, such as \"/login?next={return}\"";
        section.problem("sign_in", what.to_owned());
    } else if !required {
        section.problem("sign_in", "is only shown where `required` is true; leave one of the two out".to_owned());
    }
    Some(address)
}
