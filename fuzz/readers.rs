//! Everything that reads what strangers send: what it is shown as an example, and what must hold whatever it is shown.
//!
//! `fuzz/run` lets a fuzzer guided by coverage look for what breaks them; `tests/suite/torture.rs` breaks the examples at
//! random, and reads the kept corpus again, in every run of the tests.

use std::net::IpAddr;
use std::time::Duration;

use booking_core::domain::class::Class;
use booking_core::domain::id::Reference;
use booking_core::domain::inventory::{InventoryId, parse_date};
use booking_core::domain::moment::Moment;
use booking_core::provider::stripe::StripeProvider;
use booking_core::provider::{Provider as _, signature};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use vestibule::config::{Config, Environment};
use vestibule::proxy::headers::visitor_address;
use vestibule::proxy::wire::take_head;
use vestibule::proxy::words::take_words;
use vestibule::proxy::{ChainHeader, Target};
use vestibule::route::{HeaderPattern, HostPattern, ItemPattern, PathPattern};
use vestibule::server::announced;
use vestibule::server::fast_path::plain::{self, Plain};
use vestibule::token::device_link::DeviceLink;
use vestibule::token::proof::{self, Challenge};
use vestibule::token::{BypassLink, Carrier, KeyRing, LinkId, Pass, PassVerifier, RoomHash, Ticket, TicketId};
use vestibule::websocket::wire::{Heard, Wire};
use vestibule::{audit, visitor};

const NOW_MS: u64 = 1_795_000_000_000;

/// Reads bytes; panics where what must hold does not.
type Read = Box<dyn Fn(&[u8]) + Send + Sync>;

/// The name of a target and its corpus, and how its reader is made.
type Named = (&'static str, fn() -> Reader);

/// Something that reads what strangers send.
pub struct Reader {
    /// What it should be shown.
    pub examples: Vec<Vec<u8>>,
    read: Read,
}

impl Reader {
    fn new<E: AsRef<[u8]>>(
        examples: impl IntoIterator<Item = E>,
        read: impl Fn(&[u8]) + Send + Sync + 'static,
    ) -> Self {
        let examples = examples.into_iter().map(|example| example.as_ref().to_vec()).collect();
        Self { examples, read: Box::new(read) }
    }

    /// Shows it something. Panics where what must hold does not.
    pub fn read(&self, bytes: &[u8]) {
        (self.read)(bytes);
    }
}

/// Every reader.
pub const READERS: [Named; 12] = [
    ("tickets_and_links", tickets_and_links),
    ("passes", passes),
    ("proofs", proofs),
    ("paths_and_hosts", paths_and_hosts),
    ("headers", headers),
    ("announced_addresses", announced_addresses),
    ("plain_requests", plain_requests),
    ("upstream_answers", upstream_answers),
    ("frames", frames),
    ("configurations_and_key_rings", configurations_and_key_rings),
    ("exported_logs", exported_logs),
    ("bookings_and_webhooks", bookings_and_webhooks),
];

fn ring() -> KeyRing {
    KeyRing::generate(NOW_MS, &mut StdRng::seed_from_u64(1))
}

pub fn tickets_and_links() -> Reader {
    let (ring, room) = (ring(), RoomHash::of("sale"));
    let ticket = Ticket { room, epoch: 1, number: 7, id: TicketId(9), issued_ms: NOW_MS };
    let device = DeviceLink { ticket, id: *b"0123456789", until_ms: NOW_MS + 9 };
    let bypass = BypassLink { id: LinkId(*b"0123456789"), until_ms: NOW_MS + 9, rooms: vec![room; 3] };
    let sealed = [ticket.seal(&ring), device.seal(&ring).unwrap(), bypass.seal(Carrier::Link, &ring).unwrap()];
    Reader::new(sealed.clone(), move |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let is_good = |good: &String| text == good.as_str();
        assert!(Ticket::open(&text, room, &ring, NOW_MS, 9).is_none() || is_good(&sealed[0]));
        assert!(DeviceLink::open(&text, room, &ring, NOW_MS).is_none() || is_good(&sealed[1]));
        assert!(BypassLink::open(Carrier::Link, &text, &ring, NOW_MS).is_none() || is_good(&sealed[2]));
        assert!(BypassLink::open(Carrier::Cookie, &text, &ring, NOW_MS).is_none());
    })
}

pub fn passes() -> Reader {
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
    Reader::new([good.clone(), unsigned], move |bytes| {
        let text = String::from_utf8_lossy(bytes);
        assert!(verifier.verify(&text, "sale", &ring, NOW_MS).is_none() || text == good.as_str());
    })
}

pub fn proofs() -> Reader {
    let ring = ring();
    let challenge = Challenge::new("sale", 1_000, &ring, NOW_MS, &mut StdRng::seed_from_u64(2)).unwrap();
    let solution = serde_json::to_string(&challenge).unwrap().replace("\"maxnumber\"", "\"number\"");
    let patience = proof::ask_patience("sale", 5, &ring, NOW_MS, &mut StdRng::seed_from_u64(2)).unwrap();
    Reader::new([solution, patience.clone()], move |bytes| {
        use base64::Engine as _;
        let text = String::from_utf8_lossy(bytes);
        let packed = base64::engine::general_purpose::STANDARD.encode(bytes);
        assert!(proof::worked(&packed, "sale", 1_000, &ring, NOW_MS).is_none(), "nobody worked");
        assert!(proof::worked(&text, "sale", 1_000, &ring, NOW_MS).is_none());
        assert!(proof::waited(&text, "sale", &ring, NOW_MS + 5_000).is_none() || text == patience.as_str());
    })
}

fn request(path: &[u8], host: &[u8]) -> Option<Request<()>> {
    let request = Request::builder().method(Method::GET).uri(path).header("host", HeaderValue::from_bytes(host).ok()?);
    request.body(()).ok()
}

pub fn paths_and_hosts() -> Reader {
    let examples: [&[u8]; 6] = [
        b"/book/%41%2e%2E/x;y=1?a=b&c",
        b"/a//b/./c%2f..",
        b"shop.example:8080",
        b"[2001:db8::7]:80",
        b"http://a/b",
        b"*",
    ];
    Reader::new(examples, move |bytes| {
        let tried = [request(bytes, b"shop.example"), request(b"/", bytes)].into_iter().flatten();
        for target in tried.filter_map(|request| Target::parse(&request, "http").ok()) {
            let again = request(target.to_uri().to_string().as_bytes(), target.host().as_bytes()).unwrap();
            assert_eq!(Target::parse(&again, "http").as_ref(), Ok(&target), "what is sent has the same meaning");
            let is_dot = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
            assert!(!target.path().split('/').any(is_dot) && !target.path().contains(['\\', '\n']), "{target}");
        }
    })
}

pub fn headers() -> Reader {
    let names = ["forwarded", "x-forwarded-for", "cookie", "vestibule-sold-out", "vestibule-stock", "accept-language"];
    let examples: [&[u8]; 6] = [
        b"for=\"[2001:db8::1]:80\";proto=http, for=192.0.2.1, for=_x",
        b"192.0.2.1, 2001:db8::1, unknown",
        b"a=1; vestibule-ticket-sale=T; __Host-vestibule-bypass=B; b",
        b"12951:2026-11-23:3A; ttl=60; version=7",
        b"a=1, b=2",
        b"hi-IN,de;q=0.5,*;q=0",
    ];
    Reader::new(examples, move |bytes| {
        let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
        let mut headers: HeaderMap = names.iter().map(|name| (HeaderName::from_static(name), value.clone())).collect();
        for chain in [ChainHeader::Forwarded, ChainHeader::XForwardedFor] {
            let untrusting = visitor_address(&headers, [192, 0, 2, 9].into(), chain, |_| false);
            assert_eq!(untrusting, IpAddr::from([192, 0, 2, 9]));
            let _ = visitor_address(&headers, [192, 0, 2, 9].into(), chain, |_| true);
        }
        let _ = (visitor::credentials(&headers, "sale", false), visitor::bypass(&headers, true));
        let _ = (visitor::language(&headers), visitor::reads(&headers));
        assert!(take_words(&mut headers).0.len() <= 16);
    })
}

pub fn configurations_and_key_rings() -> Reader {
    let reference = include_str!("../vestibule.toml");
    let short =
        "upstream = \"http://127.0.0.1:9000\"\n[room.sale]\nhosts = [\"*.a\"]\nmethods = [\"GET\"]\ngrace = \"2m\"\n";
    let ring = ring().to_toml().unwrap();
    Reader::new([reference, short, &ring], |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let _ = Config::parse(&text, &Environment::new()).map_err(|problems| problems.to_string());
        let _ = KeyRing::from_toml(&text).map_err(|fault| fault.to_string());
        let line = text.lines().next().unwrap_or_default();
        let _ = (line.parse::<HostPattern>(), line.parse::<PathPattern>());
        let _ = (line.parse::<HeaderPattern>(), line.parse::<ItemPattern>());
    })
}

pub fn exported_logs() -> Reader {
    let lines: [&[u8]; 3] = [
        br#"{"seq":1,"at_us":1795000000000000,"epoch":1,"issued":3,"called":"1-2"}"#,
        br#"{"before":{"seq":0,"link":"00"}}"#,
        br#"{"seq":2,"at_us":1795000000100000,"epoch":1,"issued":9,"left":"3","settings":{"phase":"open"}}"#,
    ];
    let whole = lines.join(&b'\n');
    Reader::new([&whole, lines[0], lines[2]], |bytes| {
        let _ = audit::verify(String::from_utf8_lossy(bytes).lines());
    })
}

pub fn announced_addresses() -> Reader {
    let binary: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\0\x50\x01\xbb";
    let examples: [&[u8]; 3] = [b"PROXY TCP6 2001:db8::1 2001:db8::2 80 443\r\nGET", b"PROXY UNKNOWN\r\n", binary];
    Reader::new(examples, |bytes| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut rest = bytes;
        let read = runtime.block_on(announced::read(&mut rest));
        assert!(read.is_err() || bytes.len() - rest.len() >= 8, "an address was announced, and not read");
    })
}

/// What a request says: method, target, headers and body.
type Said = (Method, Uri, HeaderMap, Bytes);

/// Reads the first request of a connection as hyper does; `None` where it refuses it.
async fn read_by_hyper(bytes: &[u8]) -> Option<Said> {
    let (mut visitor, gateway) = tokio::io::duplex(bytes.len() + 1);
    visitor.write_all(bytes).await.unwrap();
    let (told, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<Incoming>| {
        let told = told.clone();
        async move {
            let (parts, body) = request.into_parts();
            let _ = told.send((parts.method, parts.uri, parts.headers, body.collect().await?.to_bytes()));
            Ok::<_, hyper::Error>(Response::new(Full::<Bytes>::default()))
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(gateway), service);
    tokio::select! {
        biased;
        said = hear.recv() => said,
        _ = connection => hear.try_recv().ok(),
    }
}

/// Requests that are answered without hyper, which has to read them alike.
pub fn plain_requests() -> Reader {
    let examples = [
        "GET /book/1?a=b HTTP/1.1\r\nHost: shop.example\r\nAccept: text/html\r\nCookie: a=1\r\n\r\n",
        "POST /j HTTP/1.1\r\nhost: a\r\nConnection: keep-alive\r\nContent-Length: 9\r\n\r\n{\"a\":\"b\"}GET / HTTP/1.1",
        "\r\nGET http://a:80/ HTTP/1.1\nHost:a \r\ncontent-length: 0\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n",
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    Reader::new(examples, move |bytes| {
        let mut heard = Bytes::copy_from_slice(bytes);
        let Some(Plain { request, bytes: taken }) = plain::take(&mut heard) else { return assert_eq!(heard, bytes) };
        assert_eq!([taken, heard].concat(), bytes, "nothing is lost");
        let said = runtime.block_on(async {
            let (parts, body) = request.into_parts();
            (parts.method, parts.uri, parts.headers, body.collect().await.unwrap().to_bytes())
        });
        assert_eq!(runtime.block_on(read_by_hyper(bytes)), Some(said), "hyper reads it alike");
    })
}

/// What an answer says: status, headers, body and trailers.
type Answered = (StatusCode, HeaderMap, Bytes, HeaderMap);

/// Takes off what nobody believes beside chunks, and what is of the hop.
fn of_the_answer(mut headers: HeaderMap) -> HeaderMap {
    if headers.remove("transfer-encoding").is_some() {
        headers.remove("content-length");
    }
    headers.remove("connection");
    headers
}

/// Reads an answer that comes in two pieces; `None` where it is none, or not all there when the connection closes.
fn answer_read(method: &Method, pieces: [&[u8]; 2]) -> Option<Answered> {
    let (mut pieces, mut heard) = (pieces.into_iter(), BytesMut::new());
    let (parts, mut framing) = loop {
        match take_head(&mut heard, method).ok()? {
            Some((answer, _)) if answer.status() == 101 || !answer.status().is_informational() => {
                break answer.into_parts();
            }
            Some(_) => {}
            None => heard.extend_from_slice(pieces.next()?),
        }
    };
    if let Some(whole) = framing.whole(&mut heard) {
        return Some((parts.status, of_the_answer(parts.headers), whole, HeaderMap::new()));
    }
    let (mut body, mut trailers) = (Vec::new(), HeaderMap::new());
    while !framing.is_over() {
        match framing.take(&mut heard).ok()?.map(hyper::body::Frame::into_data) {
            Some(Ok(data)) => body.extend_from_slice(&data),
            Some(Err(last)) => trailers = last.into_trailers().ok()?,
            None if framing.is_over() => {}
            None => match pieces.next() {
                Some(piece) => heard.extend_from_slice(piece),
                None if framing.may_end() => framing.end(),
                None => return None,
            },
        }
    }
    Some((parts.status, of_the_answer(parts.headers), body.into(), trailers))
}

/// Reads it as hyper does.
async fn answer_read_by_hyper(method: &Method, bytes: &[u8]) -> Option<Answered> {
    let (near, mut far) = tokio::io::duplex(bytes.len() + 1_024);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await.ok()?;
    let request = Request::builder().method(method).header("host", "a").body(Empty::<Bytes>::new()).unwrap();
    let answered = async move {
        let (parts, body) = sender.send_request(request).await.ok()?.into_parts();
        let whole = body.collect().await.ok()?;
        let trailers = whole.trailers().cloned().unwrap_or_default();
        Some((parts.status, of_the_answer(parts.headers), whole.to_bytes(), trailers))
    };
    let upstream = async move {
        let asked = far.read(&mut [0; 512]).await;
        asked.and(far.write_all(bytes).await).and(far.shutdown().await)
    };
    tokio::join!(answered, connection, upstream).0
}

/// Answers of an upstream that are read without hyper: whatever is taken for a whole one, hyper has to understand alike.
pub fn upstream_answers() -> Reader {
    let examples = [
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nEmpty:\r\n\r\nhello",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\nmore",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nx-sum: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\nx: y\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nuntil the end",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: \"a\"\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nx",
        "HTTP/1.1 200\nContent-Length : 1\n\na",
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    Reader::new(examples, move |bytes| {
        for method in [Method::GET, Method::HEAD] {
            let Some(answer) = answer_read(&method, [bytes, &[]]) else { continue };
            let (half, rest) = bytes.split_at(bytes.len() / 2);
            assert_eq!(answer_read(&method, [half, rest]).as_ref(), Some(&answer), "in two pieces");
            // hyper hands the connection over where it is another protocol's.
            if answer.0 != StatusCode::SWITCHING_PROTOCOLS {
                let theirs = runtime.block_on(answer_read_by_hyper(&method, bytes));
                assert_eq!(theirs.as_ref(), Some(&answer), "hyper understands it alike");
            }
        }
    })
}

/// Frames of a live connection, as a visitor sends them.
pub fn frames() -> Reader {
    let mask = [7, 0, 0xff, 9];
    // What a frame begins with, how its length is written, and how much of it there is.
    let frame = |first: u8, length: &[u8], payload: usize| [&[first][..], length, &mask, &vec![b'x'; payload]].concat();
    let (text, ping, goodbye) = (frame(0x81, &[0x85], 5), frame(0x89, &[0xfd], 125), frame(0x88, &[0x82], 2));
    let fragments = [frame(0x01, &[0x83], 3), frame(0x89, &[0x80], 0), frame(0x80, &[0x81], 1)].concat();
    let examples = [
        [&text[..], &ping, &fragments, &frame(0x8a, &[0x80], 0), &goodbye].concat(),
        b"\x81\x05hello".to_vec(),
        frame(0x82, &[0xfe, 0x04, 0x00], 1_024),
        frame(0x82, &[0xfe, 0x04, 0x01], 1_025),
        frame(0x81, &[0xff, 0, 0, 0, 0, 0, 0, 0, 9], 9),
        frame(0x81, &[0xff; 9], 9),
        frame(0x09, &[0x80], 0),
        text[..8].to_vec(),
        text,
        ping,
        goodbye,
        fragments,
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // What is heard does not depend on how much of it came with the handshake.
    let hear = move |early: &[u8], late: &[u8]| {
        let mut wire = Wire::begun(tokio::io::join(late, tokio::io::sink()), early);
        let mut all = Vec::new();
        let end = loop {
            match runtime.block_on(wire.hear()) {
                Ok(heard) => all.push(heard),
                Err(end) => break format!("{end:?}"),
            }
        };
        (all, end)
    };
    Reader::new(examples, move |bytes| {
        let (heard, end) = hear(bytes, &[]);
        assert!(heard.len() <= bytes.len() / 6, "no frame is shorter than its mask and two bytes");
        assert!(!heard.iter().any(|heard| matches!(heard, Heard::Ping(payload) if payload.len() > 125)));
        for at in [0, bytes.len() / 2] {
            assert_eq!(hear(&bytes[..at], &bytes[at..]), (heard.clone(), end.clone()), "{at} bytes came early");
        }
    })
}

pub fn bookings_and_webhooks() -> Reader {
    let intent = br#"{"type":"payment_intent.succeeded","data":{"object":{"id":"pi_1","object":"payment_intent",
        "amount":100,"currency":"inr","status":"succeeded","created":1795000000,"metadata":{"vestibule_site":"demo"}}}}"#;
    let refund = br#"{"type":"refund.failed","data":{"object":{"id":"re_1","payment_intent":"pi_1","amount":5}}}"#;
    let examples: [&[u8]; 6] =
        [intent, refund, b"12951:2027-01-11:3A", b"t=1795000000,v1=00ff,v1=12", b"2027-01-11", b"VB-4K7Q2M"];
    let secret = b"secret".to_vec();
    let stripe =
        StripeProvider::new("http://127.0.0.1:1", "sk", (secret, "demo".to_owned()), Duration::from_secs(1)).unwrap();
    let now = Moment::from_ms(NOW_MS as i64);
    Reader::new(examples, move |bytes| {
        let signed = signature::sign(b"secret", now, bytes);
        let _ = stripe.read_news(now, &signed, bytes);
        let text = String::from_utf8_lossy(bytes);
        assert!(stripe.read_news(now, &text, b"{}").is_err(), "nobody signed it");
        if let Ok(id) = text.parse::<InventoryId>() {
            assert_eq!(id.to_string().parse::<InventoryId>().as_ref(), Ok(&id), "what is written has the same meaning");
        }
        let _ = (text.parse::<Class>(), text.parse::<Reference>(), parse_date(&text));
    })
}
