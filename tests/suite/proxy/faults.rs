//! Upstreams that refuse, hang, die and lie (scenario 30), and the one case in which a request is sent again.

use vestibule::proxy::ProxyLimits;

use super::stand::{AT_HAND, Record, Stand, hasty, limits, polite};
use super::wire::{Wire, within};

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Reads a request, sends `answer` and closes.
async fn once(answer: &'static str) -> Stand {
    Stand::start(hasty(), move |connection, mut wire: Wire, record: Record| async move {
        let request = wire.message(false).await?;
        record.add(connection, request);
        wire.send(answer).await
    })
    .await
}

/// Reads a request, sends `answer` and falls silent.
async fn hang(answer: &'static str, limits: ProxyLimits) -> Stand {
    Stand::start(limits, move |connection, mut wire: Wire, record: Record| async move {
        let request = wire.message(false).await?;
        record.add(connection, request);
        wire.send(answer).await?;
        std::future::pending().await
    })
    .await
}

#[tokio::test]
async fn an_upstream_that_refuses_is_unreachable() {
    within(async {
        let told = Stand::before_nobody().await.ask(POST).await.text();
        assert!(told.starts_with("Unreachable("), "{told}");
    })
    .await;
}

/// A listener that never accepts takes as many connections as its backlog holds, and leaves the next one waiting.
#[tokio::test]
async fn an_upstream_that_does_not_accept_is_given_up() {
    within(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        let patience = hasty().connect_timeout;
        while let Ok(stream) = tokio::time::timeout(patience, tokio::net::TcpStream::connect(address)).await {
            queued.push(stream.unwrap());
            assert!(queued.len() < 100, "the backlog does not fill");
        }
        let stand = Stand::before_only(address, hasty()).await;
        assert_eq!(stand.ask(GET).await.text(), "ConnectTimeout");
        stand.until_open(0).await;
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_hangs_is_given_up() {
    within(async {
        let stand = hang("", hasty()).await;
        assert_eq!(stand.ask(GET).await.text(), "HeaderTimeout");
        assert_eq!(stand.ask(POST).await.text(), "HeaderTimeout");
        stand.until_open(0).await;
        assert_eq!(stand.record.requests().len(), 2, "a timeout is no reason to send again");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_http_is_a_bad_answer() {
    within(async {
        for garbage in [
            "nonsense\r\n\r\n",
            "HTTP/1.1 abc OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
            "HTTP/1.1 2",
        ] {
            let stand = once(garbage).await;
            let told = stand.ask(GET).await.text();
            assert!(told.starts_with("BadAnswer("), "{garbage:?} was told as {told}");
            assert_eq!(stand.record.requests().len(), 1);
        }
        let told = once("").await.ask(GET).await.text();
        assert!(told.starts_with("NoAnswer("), "{told}");
    })
    .await;
}

/// Half an answer must not look like a whole one.
#[tokio::test]
async fn an_answer_cut_short_is_cut_short() {
    within(async {
        for head in ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
            let answer: &'static str = format!("HTTP/1.1 200 OK\r\n{head}").leak();
            for stand in [once(answer).await, hang(answer, hasty()).await] {
                let mut wire = stand.connect().await;
                wire.send(GET).await.unwrap();
                wire.message(false).await.expect_err("half an answer passed for a whole one");
                stand.until_open(0).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn connections_are_bounded() {
    within(async {
        let stand = hang("", ProxyLimits { max_connections: 1, ..limits() }).await;
        let mut first = stand.connect().await;
        first.send(GET).await.unwrap();
        stand.until_open(1).await;
        assert_eq!(stand.ask(GET).await.text(), "Overloaded");
        drop(first);
        stand.until_open(0).await;
    })
    .await;
}

#[tokio::test]
async fn a_visitor_who_stops_or_leaves_frees_the_upstream() {
    within(async {
        let stand = Stand::start(hasty(), polite).await;
        let half = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf";
        assert_eq!(stand.ask(half).await.text(), "ClientStalled");
        let mut wire = stand.connect().await;
        wire.send(half).await.unwrap();
        while stand.record.connections() < 2 {
            tokio::task::yield_now().await;
        }
        drop(wire);
        stand.until_open(0).await;
        assert!(stand.record.requests().is_empty());
    })
    .await;
}

/// Answers the first request of its first connection, then meets the second with `end`; later connections are
/// polite.
async fn fickle(end: &'static str) -> Stand {
    Stand::start(limits(), move |connection, mut wire: Wire, record: Record| async move {
        if connection > 0 {
            return polite(connection, wire, record).await;
        }
        for answer in [OK, end] {
            let request = wire.message(false).await?;
            record.add(connection, request);
            wire.send(answer).await?;
        }
        Ok(())
    })
    .await
}

fn connections(stand: &Stand) -> Vec<usize> {
    stand.record.lines().into_iter().map(|(connection, _)| connection).collect()
}

#[tokio::test]
async fn a_safe_request_on_a_dying_connection_is_sent_again() {
    within(async {
        // Of hyper's connections as well as of our own: what asks for another protocol goes over one of hyper's.
        let upgrade = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        for safe in [GET, upgrade] {
            let stand = fickle("").await;
            assert_eq!(stand.ask(safe).await.text(), "ok");
            assert_eq!(stand.ask(safe).await.status(), 200);
            assert_eq!(connections(&stand), [0, 0, 1], "{safe:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_with_side_effects_is_sent_twice() {
    within(async {
        let delete = "DELETE /a HTTP/1.1\r\nHost: a\r\n\r\n";
        let get_with_body = "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        let at_hand = |request: &str| request.replace("Host: a", &format!("Host: a\r\n{AT_HAND}: yes"));
        // What has a body to come goes over one of hyper's connections, and all else over our own.
        for unsafe_one in [POST, delete, get_with_body, &at_hand(POST), &at_hand(get_with_body)] {
            let stand = fickle("").await;
            assert_eq!(stand.ask(unsafe_one).await.status(), 200);
            let told = stand.ask(unsafe_one).await.text();
            assert!(told.starts_with("NoAnswer("), "{told}");
            assert_eq!(connections(&stand), [0, 0], "{unsafe_one:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_has_begun_is_not_asked_for_again() {
    within(async {
        let stand = fickle("HTTP/1.1 5").await;
        assert_eq!(stand.ask(GET).await.text(), "ok");
        let told = stand.ask(GET).await.text();
        assert!(told.starts_with("BadAnswer("), "{told}");
        assert_eq!(connections(&stand), [0, 0]);
    })
    .await;
}

#[tokio::test]
async fn a_fresh_connection_that_dies_is_not_tried_again() {
    within(async {
        let stand = once("").await;
        let told = stand.ask(GET).await.text();
        assert!(told.starts_with("NoAnswer("), "{told}");
        assert_eq!(connections(&stand), [0]);
    })
    .await;
}

#[tokio::test]
async fn a_post_after_the_upstream_closed_goes_over_a_new_connection() {
    within(async {
        let stand = Stand::start(limits(), |connection, mut wire: Wire, record: Record| async move {
            let request = wire.message(false).await?;
            record.add(connection, request);
            wire.send(OK).await
        })
        .await;
        for expected in 1..4 {
            assert_eq!(stand.ask(POST).await.text(), "ok");
            stand.until_open(0).await;
            assert_eq!(stand.record.requests().len(), expected);
        }
        assert_eq!(connections(&stand), [0, 1, 2]);
    })
    .await;
}

/// An answer that nobody asked for must not be given to the next visitor.
#[tokio::test]
async fn a_second_answer_to_one_request_poisons_nobody() {
    within(async {
        let stand = Stand::start(limits(), |connection, mut wire: Wire, record: Record| async move {
            let request = wire.message(false).await?;
            record.add(connection, request);
            let stray = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
            wire.send(format!("{OK}{stray}")).await?;
            std::future::pending().await
        })
        .await;
        for _ in 0..3 {
            assert_eq!(stand.ask(GET).await.text(), "ok");
        }
    })
    .await;
}

#[tokio::test]
async fn idle_connections_are_bounded_and_grow_old() {
    within(async {
        let few = ProxyLimits { max_idle: 1, ..limits() };
        let stand = Stand::start(few, |_, mut wire: Wire, _| async move {
            wire.head().await?;
            wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            while wire.chunk().await?.is_some() {}
            wire.send("0\r\n\r\n").await?;
            wire.head().await.map(drop)
        })
        .await;
        let mut wires = Vec::new();
        for _ in 0..2 {
            let mut wire = stand.connect().await;
            wire.send("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
            wire.head().await.unwrap();
            wires.push(wire);
        }
        assert_eq!(stand.proxy.sweep().open, 2);
        for mut wire in wires {
            wire.send("0\r\n\r\n").await.unwrap();
            assert_eq!(wire.chunk().await.unwrap(), None);
        }
        stand.until_open(1).await;
        assert_eq!(stand.proxy.sweep().idle, 1);

        let brief = ProxyLimits { idle_timeout: std::time::Duration::ZERO, ..limits() };
        let stand = Stand::start(brief, polite).await;
        stand.ask(GET).await;
        stand.ask(GET).await;
        assert_eq!(stand.record.connections(), 2);
        stand.until_open(0).await;
    })
    .await;
}
