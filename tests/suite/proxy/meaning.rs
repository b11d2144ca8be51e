//! One request, one meaning: framing, hosts, paths and headers as they reach the upstream (scenarios 23 to 25).

use super::stand::{Stand, limits, polite};
use super::wire::{Message, within};

/// Sends `raw` with a second request hidden behind it, waits for the end, and returns what the upstream saw.
async fn smuggle(raw: &str) -> (Vec<Message>, String) {
    let stand = Stand::start(limits(), polite).await;
    let mut wire = stand.connect().await;
    wire.send(raw).await.unwrap();
    // Whatever is still open now is closed by this request, which asks for it.
    let _closed = wire.send("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let answers = String::from_utf8_lossy(&wire.rest().await).into_owned();
    (stand.record.requests(), answers)
}

async fn refused(raw: &str) {
    let (seen, answers) = smuggle(raw).await;
    assert!(answers.starts_with("HTTP/1.") && answers.get(8..13) == Some(" 400 "), "{raw:?} was answered {answers:?}");
    let lines: Vec<&str> = seen.iter().map(Message::first_line).filter(|line| !line.contains("/last")).collect();
    assert_eq!(lines, [""; 0], "{raw:?}");
}

/// What reached the upstream of `raw`, without the request that ends the connection.
async fn seen(raw: &str) -> Vec<(String, String)> {
    let (seen, _) = smuggle(raw).await;
    let others = seen.iter().filter(|message| !message.first_line().contains("/last"));
    others.map(|message| (message.first_line().to_owned(), message.text())).collect()
}

fn post(fields: &str, rest: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n{rest}")
}

fn one(line: &str, body: &str) -> Vec<(String, String)> {
    vec![(line.to_owned(), body.to_owned())]
}

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn odd_framing_is_refused() {
    within(async {
        for fields in [
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5, 6\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: \r\n",
            "Content-Length : 5\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Transfer-Encoding:\u{b}chunked\r\n",
            "Transfer-Encoding\r\n : chunked\r\n",
            "X: a\r\n folded\r\n",
            "X: a\r\n\tTransfer-Encoding: chunked\r\n",
            "X: a\rContent-Length: 5\r\n",
            "X: \0\r\n",
            "X Y: a\r\n",
            ": a\r\n",
        ] {
            refused(&post(fields, &format!("0\r\n\r\n{HIDDEN}"))).await;
        }
        refused("POST /a HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
        refused("GET  /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
        refused("GET /a HTTP/1.1 x\r\nHost: a\r\n\r\n").await;
        refused("GET /a\r\n\r\n").await;
        refused("\0GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    })
    .await;
}

/// hyper drops the length and closes after the answer, as RFC 9112 (section 6.3) allows: what is hidden behind
/// the last chunk is never read.
#[tokio::test]
async fn a_length_beside_chunks_means_chunks_and_the_end_of_the_connection() {
    within(async {
        let chunks = format!("3\r\nabc\r\n0\r\n\r\n{HIDDEN}");
        for fields in [
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            "Transfer-Encoding: Chunked\r\nContent-Length: 400\r\n",
        ] {
            assert_eq!(seen(&post(fields, &chunks)).await, one("POST /a HTTP/1.1", "abc"), "{fields:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn odd_chunks_never_become_a_second_request() {
    within(async {
        for (chunks, whole) in [
            ("3;x=y\r\nabc\r\n0\r\n\r\n", true),
            ("03\r\nabc\r\n000\r\n\r\n", true),
            ("3\r\nabc\r\n0\r\nX-Trailer: 1\r\nVestibule-Room: vip\r\n\r\n", true),
            ("0x3\r\nabc\r\n0\r\n\r\n", false),
            ("+3\r\nabc\r\n0\r\n\r\n", false),
            ("-1\r\nabc\r\n0\r\n\r\n", false),
            ("3\nabc\n0\n\n", false),
            ("3;a\nb\r\nabc\r\n0\r\n\r\n", false),
            ("3\r\nabcd\r\n0\r\n\r\n", false),
            ("ffffffffffffffff1\r\nabc\r\n0\r\n\r\n", false),
            ("\r\nabc\r\n0\r\n\r\n", false),
        ] {
            let seen = seen(&post("Transfer-Encoding: chunked\r\n", &format!("{chunks}{HIDDEN}"))).await;
            let second = one("GET /hidden HTTP/1.1", "");
            let expected = if whole { [one("POST /a HTTP/1.1", "abc"), second].concat() } else { vec![] };
            assert_eq!(seen, expected, "{chunks:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn bare_line_feeds_are_sent_on_as_plain_lines() {
    within(async {
        let seen = seen("POST /a HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc").await;
        assert_eq!(seen, one("POST /a HTTP/1.1", "abc"));
    })
    .await;
}

#[tokio::test]
async fn a_length_is_kept_and_every_method_may_have_a_body() {
    within(async {
        let raw = "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        let (seen, _) = smuggle(raw).await;
        assert_eq!((seen[0].text().as_str(), seen[0].header("content-length")), ("abc", Some("3")));
        assert_eq!(seen[0].header("transfer-encoding"), None);
        let nominated = post("Connection: content-length\r\nContent-Length: 3\r\n", "abc");
        let (seen, _) = smuggle(&nominated).await;
        assert_eq!((seen.len(), seen[0].text().as_str()), (2, "abc"));
    })
    .await;
}

#[tokio::test]
async fn one_host_and_one_path() {
    within(async {
        for raw in [
            "GET /a HTTP/1.1\r\n\r\n",
            "GET /a HTTP/1.0\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: a@b\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET http://b/a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET ftp://a/a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n",
            "TRACE /a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /x/../a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /x/%2e%2E/a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /x/..;/a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /x%2fa HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /x%5ca HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /x\\..\\a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /x%00 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /x\u{1}a HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            refused(raw).await;
        }
        let same = "GET http://A:80//b/%61?q HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(seen(same).await, one("GET /b/a?q HTTP/1.1", ""));
    })
    .await;
}

#[tokio::test]
async fn a_preface_of_http_2_is_no_request() {
    within(async {
        let (seen, answers) = smuggle("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        assert!(seen.iter().all(|message| message.first_line() == "GET /last HTTP/1.1"), "{answers}");
    })
    .await;
}

#[tokio::test]
async fn h2c_goes_on_as_a_plain_request() {
    within(async {
        let upgrade = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
            HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
        let (seen, answers) = smuggle(upgrade).await;
        assert!(answers.starts_with("HTTP/1.1 200 "));
        for name in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(seen[0].header(name), None);
        }
    })
    .await;
}

#[tokio::test]
async fn only_the_gateway_says_who_comes() {
    within(async {
        let forged = "GET /a HTTP/1.1\r\nHost: A:80\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n\
            Vestibule-Room: vip\r\nVestibule_Pass: x\r\nVestibule-Pass: forged\r\nConnection: x-secret\r\n\
            X-Secret: 1\r\nTE: trailers\r\nCookie: a=1; vestibule-pass-tatkal=x\r\n\r\n";
        let (seen, _) = smuggle(forged).await;
        let told = |name| seen[0].header(name);
        assert_eq!(told("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(told("forwarded"), Some("for=127.0.0.1;proto=http;host=a"));
        assert_eq!(told("vestibule-room"), Some("tatkal"));
        assert_eq!(told("vestibule-pass"), Some("a.b.c"));
        assert_eq!(told("vestibule-visitor"), Some("00ff"));
        assert_eq!((told("host"), told("cookie")), (Some("a"), Some("a=1")));
        assert_eq!((told("te"), told("connection")), (Some("trailers"), Some("te")), "said anew");
        for name in ["vestibule_pass", "x-secret"] {
            assert_eq!(told(name), None, "{name}");
        }
    })
    .await;
}
