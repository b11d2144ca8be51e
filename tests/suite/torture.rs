//! Everything that reads what strangers send, given what no stranger should send: good examples, broken at random.
//!
//! Each round breaks an example in one to six places and hands it to its reader, which must not panic, and must not take
//! it for more than it is. A round is named by its seed. A short run belongs to every run of the tests; for a long one set
//! `VESTIBULE_TORTURE_SECONDS`, which each reader then gets.

use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use vestibule::clock::Clock;
use vestibule::config::{Config, Environment};
use vestibule::proxy::headers::visitor_address;
use vestibule::proxy::words::take_words;
use vestibule::proxy::{ChainHeader, Target};
use vestibule::route::{HeaderPattern, HostPattern, ItemPattern, PathPattern};
use vestibule::token::device_link::DeviceLink;
use vestibule::token::proof::{self, Challenge};
use vestibule::token::{BypassLink, Carrier, KeyRing, LinkId, Pass, PassVerifier, RoomHash, Ticket, TicketId};
use vestibule::{audit, visitor};

const NOW_MS: u64 = 1_795_000_000_000;
const ROUNDS: u64 = 2_000;

/// Breaks examples and hands them over, for as many rounds, or for as long, as is asked for.
fn torture(examples: &[&[u8]], mut read: impl FnMut(&[u8])) {
    let seconds = std::env::var("VESTIBULE_TORTURE_SECONDS").ok().and_then(|text| text.parse().ok());
    let (clock, limit) = (Clock::system(), seconds.map(Duration::from_secs));
    let begun_us = clock.steady_us();
    let is_over = |round: u64| match limit {
        Some(limit) => u128::from(clock.steady_us() - begun_us) > limit.as_micros(),
        None => round == ROUNDS,
    };
    let mut round = 0;
    while !is_over(round) {
        let mut chance = StdRng::seed_from_u64(round);
        let example = examples[chance.random_range(0..examples.len())];
        let broken = break_up(example, examples, &mut chance);
        let shown = std::panic::AssertUnwindSafe(|| read(&broken));
        if let Err(panic) = std::panic::catch_unwind(shown) {
            eprintln!("round {round}: {}", broken.escape_ascii());
            std::panic::resume_unwind(panic);
        }
        round += 1;
    }
    eprintln!("{round} rounds");
}

/// Bytes that mean something to somebody.
const AWKWARD: &[u8] = b"\0\t\r\n \"%&'*+,-./0:;<=>?@[\\]_{|}~\x7f\x80\xc0\xff";

fn break_up(example: &[u8], others: &[&[u8]], chance: &mut StdRng) -> Vec<u8> {
    let mut bytes = example.to_vec();
    for _ in 0..chance.random_range(1..=6) {
        let at = chance.random_range(0..=bytes.len());
        let to = chance.random_range(at..=bytes.len().min(at + 40));
        match chance.random_range(0..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.random_range(0..8),
            1 => bytes.insert(at, AWKWARD[chance.random_range(0..AWKWARD.len())]),
            2 => drop(bytes.drain(at..to)),
            3 => {
                let part = bytes[at..to].to_vec();
                let count = chance.random_range(1..=64);
                bytes.splice(at..at, part.repeat(count));
            }
            4 => {
                let other = others[chance.random_range(0..others.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[chance.random_range(0..=other.len())..]);
            }
            5 => bytes.truncate(at),
            _ => bytes.insert(at, chance.random()),
        }
        bytes.truncate(64 << 10);
    }
    bytes
}

fn ring() -> KeyRing {
    KeyRing::generate(NOW_MS, &mut StdRng::seed_from_u64(1))
}

#[test]
fn tickets_and_links() {
    let (ring, room) = (ring(), RoomHash::of("sale"));
    let ticket = Ticket { room, epoch: 1, number: 7, id: TicketId(9), issued_ms: NOW_MS };
    let device = DeviceLink { ticket, id: *b"0123456789", until_ms: NOW_MS + 9 };
    let bypass = BypassLink { id: LinkId(*b"0123456789"), until_ms: NOW_MS + 9, rooms: vec![room; 3] };
    let sealed = [ticket.seal(&ring), device.seal(&ring).unwrap(), bypass.seal(Carrier::Link, &ring).unwrap()];
    torture(&sealed.each_ref().map(|text| text.as_bytes()), |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let is_good = |good: &String| text == good.as_str();
        assert!(Ticket::open(&text, room, &ring, NOW_MS, 9).is_none() || is_good(&sealed[0]));
        assert!(DeviceLink::open(&text, room, &ring, NOW_MS).is_none() || is_good(&sealed[1]));
        assert!(BypassLink::open(Carrier::Link, &text, &ring, NOW_MS).is_none() || is_good(&sealed[2]));
        assert!(BypassLink::open(Carrier::Cookie, &text, &ring, NOW_MS).is_none());
    });
}

#[test]
fn passes() {
    let ring = ring();
    let pass = Pass {
        issuer: "vestibule",
        room: "sale",
        ticket: TicketId(9),
        number: 7,
        id: 3,
        issued_ms: NOW_MS,
        lifetime_ms: 60_000,
    };
    let good = pass.sign(&ring).unwrap();
    let verifier = PassVerifier::new("vestibule", 100);
    let unsigned = good.rsplit_once('.').unwrap().0.to_owned() + ".";
    torture(&[good.as_bytes(), unsigned.as_bytes()], |bytes| {
        let text = String::from_utf8_lossy(bytes);
        assert!(verifier.verify(&text, "sale", &ring, NOW_MS).is_none() || text == good.as_str());
    });
}

#[test]
fn proofs() {
    let ring = ring();
    let challenge = Challenge::new("sale", 1_000, &ring, NOW_MS, &mut StdRng::seed_from_u64(2)).unwrap();
    let solution = serde_json::to_string(&challenge).unwrap().replace("\"maxnumber\"", "\"number\"");
    let patience = proof::ask_patience("sale", 5, &ring, NOW_MS, &mut StdRng::seed_from_u64(2)).unwrap();
    torture(&[solution.as_bytes(), patience.as_bytes()], |bytes| {
        use base64::Engine as _;
        let text = String::from_utf8_lossy(bytes);
        let packed = base64::engine::general_purpose::STANDARD.encode(bytes);
        assert!(proof::worked(&packed, "sale", 1_000, &ring, NOW_MS).is_none(), "nobody worked");
        assert!(proof::worked(&text, "sale", 1_000, &ring, NOW_MS).is_none());
        assert!(proof::waited(&text, "sale", &ring, NOW_MS + 5_000).is_none() || text == patience.as_str());
    });
}

fn parts(path: &[u8], host: &[u8]) -> Option<Parts> {
    let request = Request::builder().method(Method::GET).uri(path).header("host", HeaderValue::from_bytes(host).ok()?);
    Some(request.body(()).ok()?.into_parts().0)
}

#[test]
fn paths_and_hosts() {
    let examples: [&[u8]; 6] = [
        b"/book/%41%2e%2E/x;y=1?a=b&c",
        b"/a//b/./c%2f..",
        b"shop.example:8080",
        b"[2001:db8::7]:80",
        b"http://a/b",
        b"*",
    ];
    torture(&examples, |bytes| {
        let tried = [parts(bytes, b"shop.example"), parts(b"/", bytes)].into_iter().flatten();
        for target in tried.filter_map(|parts| Target::parse(&parts, "http").ok()) {
            let again = parts(target.to_uri().to_string().as_bytes(), target.host().as_bytes()).unwrap();
            assert_eq!(Target::parse(&again, "http").as_ref(), Ok(&target), "what is sent has the same meaning");
            let is_dot = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
            assert!(!target.path().split('/').any(is_dot) && !target.path().contains(['\\', '\n']), "{target}");
        }
    });
}

#[test]
fn headers_of_proxies_cookies_and_words() {
    let names = ["forwarded", "x-forwarded-for", "cookie", "vestibule-sold-out", "vestibule-stock", "accept-language"];
    let examples: [&[u8]; 6] = [
        b"for=\"[2001:db8::1]:80\";proto=http, for=192.0.2.1, for=_x",
        b"192.0.2.1, 2001:db8::1, unknown",
        b"a=1; vestibule-ticket-sale=T; __Host-vestibule-bypass=B; b",
        b"12951:2026-11-23:3A; ttl=60; version=7",
        b"a=1, b=2",
        b"hi-IN,de;q=0.5,*;q=0",
    ];
    torture(&examples, |bytes| {
        let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
        let mut headers: HeaderMap = names.iter().map(|name| (HeaderName::from_static(name), value.clone())).collect();
        for chain in [ChainHeader::Forwarded, ChainHeader::XForwardedFor] {
            let untrusting = visitor_address(&headers, [192, 0, 2, 9].into(), chain, |_| false);
            assert_eq!(untrusting, std::net::IpAddr::from([192, 0, 2, 9]));
            let _ = visitor_address(&headers, [192, 0, 2, 9].into(), chain, |_| true);
        }
        let _ = (visitor::credentials(&headers, "sale", false), visitor::bypass(&headers, true));
        let _ = (visitor::language(&headers), visitor::reads(&headers));
        assert!(take_words(&mut headers).0.len() <= 16);
    });
}

#[test]
fn configurations_and_key_rings() {
    let reference = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/vestibule.toml")).unwrap();
    let short =
        "upstream = \"http://127.0.0.1:9000\"\n[room.sale]\nhosts = [\"*.a\"]\nmethods = [\"GET\"]\ngrace = \"2m\"\n";
    let ring = ring().to_toml().unwrap();
    torture(&[reference.as_bytes(), short.as_bytes(), ring.as_bytes()], |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let _ = Config::parse(&text, &Environment::new()).map_err(|problems| problems.to_string());
        let _ = KeyRing::from_toml(&text).map_err(|fault| fault.to_string());
        let line = text.lines().next().unwrap_or_default();
        let _ = (line.parse::<HostPattern>(), line.parse::<PathPattern>());
        let _ = (line.parse::<HeaderPattern>(), line.parse::<ItemPattern>());
    });
}

#[test]
fn exported_logs() {
    let lines: [&[u8]; 3] = [
        br#"{"seq":1,"at_us":1795000000000000,"epoch":1,"issued":3,"called":"1-2"}"#,
        br#"{"before":{"seq":0,"link":"00"}}"#,
        br#"{"seq":2,"at_us":1795000000100000,"epoch":1,"issued":9,"left":"3","settings":{"phase":"open"}}"#,
    ];
    let whole = lines.join(&b'\n');
    torture(&[&whole, lines[0], lines[2]], |bytes| {
        let _ = audit::verify(String::from_utf8_lossy(bytes).lines());
    });
}
