use hyper::Request;

use super::*;

pub(in crate::proxy) fn passage() -> Passage<'static> {
    Passage {
        room: "tatkal",
        visitor: Some("00ff"),
        pass: Some("a.b.c"),
        request: RequestId::of(&tracing::Span::none(), || 0x1d),
        peer: [192, 0, 2, 7].into(),
        peer_is_trusted: false,
        chain: ChainHeader::XForwardedFor,
        scheme: "https",
        method_decides: false,
    }
}

fn target(host: &str) -> Target {
    let request = Request::builder().uri("/book").header("host", host).body(()).unwrap();
    Target::parse(&request, "https").unwrap()
}

fn map(lines: &[(&'static str, &str)]) -> HeaderMap {
    let lines = lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name, value);
    }
    headers
}

fn sent(lines: &[(&'static str, &str)], passage: Passage<'_>) -> HeaderMap {
    let (mut told, mut up) = (map(lines), HeaderMap::new());
    drop_nominated(&mut told);
    pass_up(&told, &target("shop.example"), &passage, false, &mut up);
    up
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(|value| value.to_str().unwrap());
    assert!(values.next().is_none(), "{name} stands twice");
    value
}

#[test]
fn hop_by_hop_and_nominated_headers_stay() {
    let headers = sent(
        &[
            ("connection", "keep-alive, X-Secret"),
            ("connection", "x-other, vestibule-room, host, x-forwarded-for"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "x"),
            ("proxy-authorization", "x"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
            ("expect", "100-continue"),
            ("accept", "text/html"),
        ],
        passage(),
    );
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "forwarded",
            "host",
            "te",
            "trailer",
            "vestibule-pass",
            "vestibule-room",
            "vestibule-visitor",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-real-ip",
            "x-request-id",
        ]
    );
}

#[test]
fn nobody_else_speaks_for_the_gateway() {
    let headers = sent(
        &[
            ("vestibule-room", "vip"),
            ("vestibule-visitor", "me"),
            ("vestibule-anything", "x"),
            ("vestibule_pass", "x"),
            ("x_forwarded_for", "x"),
            ("host", "elsewhere"),
        ],
        passage(),
    );
    assert_eq!(only(&headers, "vestibule-room"), Some("tatkal"));
    assert_eq!(only(&headers, "vestibule-visitor"), Some("00ff"));
    assert_eq!(only(&headers, "vestibule-pass"), Some("a.b.c"));
    assert_eq!(only(&headers, "host"), Some("shop.example"));
    assert!(headers.keys().all(|name| !name.as_str().contains('_')));
    assert!(!headers.contains_key("vestibule-anything"));
    let split = sent(&[], Passage { visitor: Some("a\r\nhost: b"), pass: Some("\0"), ..passage() });
    assert!(!split.contains_key("vestibule-pass") && !split.contains_key("vestibule-visitor"));
    let nobody = sent(&[("vestibule-pass", "x")], Passage { visitor: None, pass: None, ..passage() });
    assert!(!nobody.contains_key("vestibule-pass") && !nobody.contains_key("vestibule-visitor"));
}

const FORGED: [(&str, &str); 6] = [
    ("x-forwarded-for", "203.0.113.1"),
    ("forwarded", "for=203.0.113.1"),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-host", "other.example"),
    ("x-forwarded-port", "1"),
    ("x-real-ip", "203.0.113.1"),
];

#[test]
fn a_forged_address_is_replaced() {
    let headers = sent(&FORGED, passage());
    assert_eq!(only(&headers, "x-forwarded-for"), Some("192.0.2.7"));
    assert_eq!(only(&headers, "x-real-ip"), Some("192.0.2.7"));
    assert_eq!(only(&headers, "x-forwarded-proto"), Some("https"));
    assert_eq!(only(&headers, "x-forwarded-host"), Some("shop.example"));
    assert_eq!(only(&headers, "x-forwarded-port"), None);
    assert_eq!(only(&headers, "forwarded"), Some("for=192.0.2.7;proto=https;host=shop.example"));
}

#[test]
fn a_trusted_proxy_is_believed_and_extended() {
    let headers = sent(&FORGED, Passage { peer_is_trusted: true, ..passage() });
    assert_eq!(only(&headers, "x-forwarded-for"), Some("203.0.113.1, 192.0.2.7"));
    assert_eq!(only(&headers, "x-forwarded-host"), Some("other.example"));
    assert_eq!(only(&headers, "x-real-ip"), Some("203.0.113.1"));
    let silent = sent(&[], Passage { peer_is_trusted: true, ..passage() });
    assert_eq!(only(&silent, "x-real-ip"), None, "a proxy's address is not a visitor's");
    let forwarded = "for=203.0.113.1, for=192.0.2.7;proto=https;host=shop.example";
    assert_eq!(only(&headers, "forwarded"), Some(forwarded));
}

#[test]
fn of_two_chains_the_one_that_the_proxies_write_counts() {
    let told = [("x-forwarded-for", "198.51.100.9, x"), ("forwarded", "for=203.0.113.1;proto=http, for=unknown")];
    for (chain, first, forwarded) in [
        (ChainHeader::XForwardedFor, "198.51.100.9, x, 192.0.2.7", "for=198.51.100.9, for=unknown, for=192.0.2.7;"),
        (
            ChainHeader::Forwarded,
            "203.0.113.1, unknown, 192.0.2.7",
            "for=203.0.113.1;proto=http, for=unknown, for=192.0.2.7;",
        ),
    ] {
        let headers = sent(&told, Passage { peer_is_trusted: true, chain, ..passage() });
        assert_eq!(only(&headers, "x-forwarded-for"), Some(first));
        assert!(only(&headers, "forwarded").unwrap().starts_with(forwarded), "{headers:?}");
        let trusted = |at: IpAddr| at == IpAddr::from([192, 0, 2, 7]);
        let told = map(&told[..]);
        let address = visitor_address(&told, [192, 0, 2, 7].into(), chain, trusted);
        assert_eq!(address, IpAddr::from([192, 0, 2, 7]), "who is unknown is nobody else");
    }
}

#[test]
fn forwarded_is_quoted_where_it_must_be() {
    let (peer, mut up) = ("2001:db8::1".parse().unwrap(), HeaderMap::new());
    let passage = Passage { peer, scheme: "http", peer_is_trusted: true, ..passage() };
    pass_up(&map(&[("x-forwarded-for", "2001:db8::2")]), &target("a:81"), &passage, false, &mut up);
    let expected = "for=\"[2001:db8::2]\", for=\"[2001:db8::1]\";proto=http;host=\"a:81\"";
    assert_eq!(only(&up, "forwarded"), Some(expected));
}

#[test]
fn own_cookies_stay() {
    let check = |told: &str, expected: Option<&str>| {
        assert_eq!(only(&sent(&[("cookie", told)], passage()), "cookie"), expected, "{told}");
    };
    check("a=1; b=2", Some("a=1; b=2"));
    check("a=1;vestibule-ticket-tatkal=x; b=2", Some("a=1; b=2"));
    check("__Host-vestibule-pass-tatkal=x; __Host-vestibule-ticket=y", None);
    check("vestibule-pass=x", None);
    check(" Vestibule-Pass-R =x;; c", Some("c"));
    check("vestibule-passport=1; x=vestibule-pass", Some("vestibule-passport=1; x=vestibule-pass"));
    let split = sent(&[("cookie", "a=1; vestibule-pass-r=x"), ("cookie", "b=2")], passage());
    assert_eq!(only(&split, "cookie"), Some("a=1; b=2"));
}

#[test]
fn answers_are_cleaned_too() {
    let mut headers = map(&[
        ("connection", "close, x-internal"),
        ("x-internal", "1"),
        ("keep-alive", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("alt-svc", "h3=\":443\""),
        ("set-cookie", "vestibule-pass-r=forged"),
        ("set-cookie", "sid=1; Path=/"),
        ("vestibule-end-session", "1"),
        ("content-type", "text/html"),
    ]);
    let UpstreamWords(words) = clean_response(&mut headers, false);
    assert_eq!(words.len(), 1);
    assert_eq!(only(&headers, "set-cookie"), Some("sid=1; Path=/"));
    assert_eq!(headers.len(), 2);
    clean_response(&mut headers, true);
    assert_eq!(only(&headers, "upgrade"), Some("websocket"));
    assert_eq!(only(&headers, "connection"), Some("upgrade"));
}

#[test]
fn a_websocket_is_the_one_upgrade() {
    let asks = |method: &str, lines: &[(&str, &str)]| {
        let request = Request::builder().method(method).uri("/");
        let request = lines.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        asks_for_websocket(&request.body(()).unwrap())
    };
    let good = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];
    assert!(asks("GET", &good));
    assert!(!asks("POST", &good));
    assert!(!asks("GET", &good[1..]));
    assert!(!asks("GET", &[good[0], ("upgrade", "h2c")]));
    assert!(!asks("GET", &[good[0], ("upgrade", "websocket, h2c")]));
    assert!(!asks("GET", &[good[0], good[1], ("upgrade", "h2c")]));
    assert!(!asks("GET", &[good[0], good[1], ("content-length", "5")]));
    assert!(!asks("GET", &[good[0], good[1], ("transfer-encoding", "chunked")]));
}

#[test]
fn the_visitor_is_the_last_hop_that_nobody_vouches_for() {
    let proxies = ["10.0.0.1", "10.0.0.2", "2001:db8::9"].map(|proxy| proxy.parse::<IpAddr>().unwrap());
    let check = |peer: &str, lines: &[&str], expected: &str| {
        let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        let address = visitor_address(&map(&lines), peer.parse().unwrap(), ChainHeader::XForwardedFor, |at| {
            proxies.contains(&at)
        });
        assert_eq!(address, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
    };
    check("192.0.2.7", &["203.0.113.1"], "192.0.2.7");
    check("10.0.0.1", &["203.0.113.1"], "203.0.113.1");
    check("::ffff:10.0.0.1", &["::ffff:203.0.113.1"], "203.0.113.1");
    check("10.0.0.1", &["198.51.100.1, 203.0.113.1, 10.0.0.2"], "203.0.113.1");
    check("10.0.0.1", &["198.51.100.1", "203.0.113.1 ,10.0.0.2:99"], "203.0.113.1");
    check("10.0.0.1", &["203.0.113.1, [2001:db8::9]:80"], "203.0.113.1");
    check("10.0.0.1", &["203.0.113.1, nonsense"], "10.0.0.1");
    check("10.0.0.1", &[], "10.0.0.1");
    check("10.0.0.1", &["[2001:db8::7]"], "2001:db8::7");
}
