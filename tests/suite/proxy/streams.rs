//! Bodies in both directions, words of the upstream, and WebSockets.

use std::io;
use std::time::Duration;

use tokio::time::timeout;
use vestibule::proxy::ProxyLimits;

use super::stand::{Record, Stand, hasty, limits, polite};
use super::wire::{Wire, within};

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Begins its answer at once and sends each chunk back as it comes.
async fn mirror(_: usize, mut wire: Wire, _: Record) -> io::Result<()> {
    wire.head().await?;
    wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    while let Some(chunk) = wire.chunk().await? {
        let text = String::from_utf8_lossy(&chunk).into_owned();
        wire.send(format!("{:x}\r\n{text}\r\n", chunk.len())).await?;
    }
    wire.send("0\r\n\r\n").await
}

#[tokio::test]
async fn an_upload_is_answered_while_it_runs() {
    within(async {
        let stand = Stand::start(limits(), mirror).await;
        let mut wire = stand.connect().await;
        wire.send("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
        assert!(wire.head().await.unwrap().starts_with("HTTP/1.1 200 "));
        for word in ["one", "two", "three"] {
            wire.send(format!("{:x}\r\n{word}\r\n", word.len())).await.unwrap();
            assert_eq!(wire.chunk().await.unwrap(), Some(word.as_bytes().to_vec()));
        }
        wire.send("0\r\n\r\n").await.unwrap();
        assert_eq!(wire.chunk().await.unwrap(), None);
    })
    .await;
}

const HUGE_BYTES: usize = 64 << 20;

/// Sends a huge answer; a write that waits for long is recorded with how much went out before it.
async fn flood(_: usize, mut wire: Wire, record: Record) -> io::Result<()> {
    let request = wire.message(false).await?;
    wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {HUGE_BYTES}\r\n\r\n")).await?;
    let block = vec![b'x'; 1 << 16];
    for sent in 0..HUGE_BYTES / block.len() {
        let mut sending = std::pin::pin!(wire.send(&block));
        if timeout(Duration::from_millis(300), &mut sending).await.is_err() {
            let mut held = request.clone();
            held.body = (sent * block.len()).to_string().into_bytes();
            record.add(0, held);
            sending.await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_the_upstream_back() {
    within(async {
        let stand = Stand::start(limits(), flood).await;
        let mut wire = stand.connect().await;
        wire.send(GET).await.unwrap();
        wire.head().await.unwrap();
        while stand.record.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let before_bytes: usize = stand.record.requests()[0].text().parse().unwrap();
        assert!(before_bytes < HUGE_BYTES / 2, "{before_bytes} bytes went out unread");
        assert_eq!(wire.exactly(HUGE_BYTES).await.unwrap().len(), HUGE_BYTES);
    })
    .await;
}

#[tokio::test]
async fn a_body_is_bounded_by_its_length_and_by_its_bytes() {
    within(async {
        let stand = Stand::start(ProxyLimits { max_body_bytes: 10, ..limits() }, polite).await;
        let told = |raw: &'static str| stand.ask(raw);
        let head = "POST /a HTTP/1.1\r\nHost: a\r\n";
        let fits = format!("{head}Content-Length: 10\r\n\r\n0123456789");
        assert_eq!(stand.ask(&fits).await.text(), "0123456789");
        let declared = told("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n0123456789").await;
        assert_eq!(declared.text(), "BodyTooLarge");
        let grown = format!("{head}Transfer-Encoding: chunked\r\n\r\n9\r\n012345678\r\n2\r\nab\r\n0\r\n\r\n");
        assert_eq!(stand.ask(&grown).await.text(), "BodyTooLarge");
        assert_eq!(stand.record.requests().len(), 1, "neither arrived as a whole request");
    })
    .await;
}

#[tokio::test]
async fn connections_are_kept_whatever_the_framing_of_the_answer() {
    within(async {
        let stand = Stand::start(limits(), |connection, mut wire: Wire, record: Record| async move {
            for answer in [
                "200 OK\r\nContent-Length: 2\r\n\r\nok",
                "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n",
                "204 No Content\r\n\r\n",
                "304 Not Modified\r\nContent-Length: 2\r\n\r\n",
                "100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                "200 OK\r\nContent-Length: 2\r\n\r\nok",
            ] {
                let request = wire.message(false).await?;
                record.add(connection, request);
                wire.send(format!("HTTP/1.1 {answer}")).await?;
            }
            Ok(())
        })
        .await;
        let mut bodies = Vec::new();
        for _ in 0..7 {
            let answer = stand.ask(GET).await;
            assert_eq!(answer.header("x-trailer"), None);
            bodies.push(answer.text());
        }
        assert_eq!(bodies, ["ok", "ok", "ok", "", "", "", "ok"]);
        assert_eq!((stand.record.connections(), stand.record.requests().len()), (1, 7));
    })
    .await;
}

#[tokio::test]
async fn an_upstream_may_refuse_a_body_before_it_is_sent() {
    within(async {
        let stand = Stand::start(limits(), |_, mut wire: Wire, _| async move {
            wire.head().await?;
            wire.send("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 4\r\n\r\nno!!").await
        })
        .await;
        for _ in 0..20 {
            let body = "x".repeat(60_000);
            let raw = format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n{body}");
            let answer = stand.ask(&raw).await;
            assert_eq!((answer.status(), answer.text().as_str()), (403, "no!!"), "{}", answer.text());
        }
    })
    .await;
}

#[tokio::test]
async fn an_expectation_is_met_by_the_gateway() {
    within(async {
        let stand = Stand::start(limits(), polite).await;
        let mut wire = stand.connect().await;
        let head = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
        wire.send(head).await.unwrap();
        assert_eq!(wire.head().await.unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
        wire.send("abc").await.unwrap();
        assert_eq!(wire.message(false).await.unwrap().text(), "abc");
        assert_eq!(stand.record.requests()[0].header("expect"), None);
    })
    .await;
}

/// The rest of the first upload would stand before the next request on the wire.
#[tokio::test]
async fn a_connection_with_an_unfinished_upload_is_not_kept() {
    within(async {
        let stand = Stand::start(limits(), |_, mut wire: Wire, _| async move {
            wire.head().await?;
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly").await?;
            wire.rest().await;
            Ok(())
        })
        .await;
        let mut first = stand.connect().await;
        first.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
        assert_eq!(first.message(false).await.unwrap().text(), "early");
        assert_eq!(stand.proxy.sweep().idle, 0);
        assert_eq!(stand.ask(GET).await.text(), "early");
        assert_eq!(stand.record.connections(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_head_keeps_its_length_and_its_connection() {
    within(async {
        let stand = Stand::start(limits(), |connection, mut wire: Wire, record: Record| async move {
            loop {
                let request = wire.message(false).await?;
                record.add(connection, request);
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n").await?;
            }
        })
        .await;
        for _ in 0..2 {
            let answer = stand.ask("HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(answer.header("content-length"), Some("1234"));
        }
        assert_eq!(stand.record.connections(), 1);
    })
    .await;
}

#[tokio::test]
async fn words_of_the_upstream_are_for_the_gateway() {
    within(async {
        let stand = Stand::start(limits(), |_, mut wire: Wire, _| async move {
            wire.message(false).await?;
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: timeout=5\r\nConnection: x-inner\r\n\
                X-Inner: 1\r\nAlt-Svc: h3=\":443\"\r\nVestibule-Sold-Out: 12951; ttl=30\r\nVestibule-Other: 1\r\n\r\n";
            wire.send(head).await
        })
        .await;
        let answer = stand.ask(GET).await;
        assert_eq!(
            answer.header("x-words"),
            Some("[SoldOut { key: Some(\"12951\"), ttl_seconds: 30, version: None }]")
        );
        let names = ["vestibule-sold-out", "vestibule-other", "keep-alive", "connection", "x-inner", "alt-svc"];
        assert!(names.iter().all(|name| answer.header(name).is_none()), "{}", answer.head);
    })
    .await;
}

/// Accepts a WebSocket and sends back every five bytes.
async fn parrot(connection: usize, mut wire: Wire, record: Record) -> io::Result<()> {
    let request = wire.message(false).await?;
    record.add(connection, request);
    wire.send(format!("{SWITCHING}hello")).await?;
    loop {
        let five = wire.exactly(5).await?;
        wire.send(five).await?;
    }
}

async fn shake_hands(stand: &Stand, early: &str) -> Wire {
    let mut wire = stand.connect().await;
    wire.send(format!("{HANDSHAKE}{early}")).await.unwrap();
    let answer = wire.message(false).await.unwrap();
    assert_eq!(answer.status(), 101, "{}", answer.head);
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(wire.exactly(5).await.unwrap(), "hello");
    wire
}

#[tokio::test]
async fn a_websocket_goes_through_and_ends_with_either_side() {
    within(async {
        let stand = Stand::start(limits(), parrot).await;
        let mut wire = shake_hands(&stand, "early").await;
        assert_eq!(wire.exactly(5).await.unwrap(), "early");
        for word in ["three", "seven"] {
            wire.send(word).await.unwrap();
            assert_eq!(wire.exactly(5).await.unwrap(), word);
        }
        let request = &stand.record.requests()[0];
        assert_eq!((request.header("upgrade"), request.header("connection")), (Some("websocket"), Some("upgrade")));
        assert_eq!(request.header("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(stand.proxy.sweep().tunnels, 1);
        drop(wire);
        while stand.proxy.sweep().tunnels > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stop_ends_every_tunnel_and_connection() {
    within(async {
        let stand = Stand::start(limits(), parrot).await;
        let mut wire = shake_hands(&stand, "").await;
        stand.stop.cancel();
        assert_eq!(wire.rest().await, b"");
        stand.tasks.close();
        stand.tasks.wait().await;
    })
    .await;
}

#[tokio::test]
async fn a_stop_ends_what_is_still_being_asked() {
    within(async {
        let stand = Stand::start(limits(), |connection, mut wire: Wire, record: Record| async move {
            let request = wire.message(false).await?;
            record.add(connection, request);
            std::future::pending().await
        })
        .await;
        let mut wire = stand.connect().await;
        wire.send(GET).await.unwrap();
        while stand.record.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        stand.stop.cancel();
        let told = wire.message(false).await.unwrap().text();
        assert!(told.starts_with("NoAnswer("), "{told}");
        stand.tasks.close();
        stand.tasks.wait().await;
    })
    .await;
}

#[tokio::test]
async fn a_silent_tunnel_is_closed() {
    within(async {
        let stand = Stand::start(hasty(), parrot).await;
        let mut wire = shake_hands(&stand, "").await;
        assert_eq!(wire.rest().await, b"");
    })
    .await;
}

#[tokio::test]
async fn what_is_sent_before_a_refused_upgrade_is_a_request_of_its_own() {
    within(async {
        let stand = Stand::start(limits(), polite).await;
        let mut wire = stand.connect().await;
        let hidden = "GET /x/../admin HTTP/1.1\r\nHost: a\r\n\r\n";
        wire.send(format!("{HANDSHAKE}{hidden}")).await.unwrap();
        assert_eq!(wire.message(false).await.unwrap().status(), 200);
        assert_eq!(wire.message(false).await.unwrap().text(), "BadPath");
        assert_eq!(stand.record.lines(), [(0, "GET /ws HTTP/1.1".to_owned())]);
    })
    .await;
}

#[tokio::test]
async fn an_unasked_switch_is_a_fault() {
    within(async {
        let stand = Stand::start(limits(), parrot).await;
        assert_eq!(stand.ask(GET).await.text(), "UnaskedUpgrade");
        let other = Stand::start(limits(), |_, mut wire: Wire, _| async move {
            wire.message(false).await?;
            wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n").await
        })
        .await;
        assert_eq!(other.ask(HANDSHAKE).await.text(), "UnaskedUpgrade");
    })
    .await;
}

#[tokio::test]
async fn tunnels_are_counted() {
    within(async {
        let stand = Stand::start(ProxyLimits { max_tunnels: 1, ..limits() }, parrot).await;
        let _wire = shake_hands(&stand, "").await;
        assert_eq!(stand.ask(HANDSHAKE).await.text(), "Overloaded");
    })
    .await;
}
