//! Connections that want much and give nothing: cut or refused, and everyone else is served.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::stand::{Setup, Stand};
use crate::proxy::wire::{Wire, within};

const OPEN: &str = "queueing_method = \"passthrough\"";

async fn is_served(stand: &Stand) -> bool {
    stand.visitor().get("/served").await.status() == 200
}

#[tokio::test]
async fn heads_that_are_too_long_or_have_too_many_lines_are_refused() {
    let stand = Setup::room(OPEN).start().await;
    let visitor = stand.visitor();
    let many: String = (0..120).map(|i| format!("X-{i}: y\r\n")).collect();
    for more in [format!("X-Long: {}\r\n", "y".repeat(256 << 10)), many] {
        let mut wire = Wire::new(TcpStream::connect(visitor.gateway).await.unwrap());
        // What is too long is refused before it has all been sent, which may break the sending.
        let _ = wire.send(visitor.head("GET", "/") + &more + "\r\n").await;
        let answer = within(wire.message(false)).await.unwrap();
        assert_eq!(answer.status(), 431, "{}", answer.head);
    }
    assert!(stand.upstream.seen().is_empty() && is_served(&stand).await);
    stand.stop().await;
}

#[tokio::test]
async fn a_list_of_headers_that_is_too_long_is_refused_over_http_2_too() {
    let stand = Setup::room(OPEN).start().await;
    let stream = TcpStream::connect(stand.gateway.address).await.unwrap();
    let (mut sender, driver) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(driver);
    let ask = |lines: usize| {
        let url = format!("http://{}/a", stand.gateway.address);
        let request =
            (0..lines).fold(Request::get(url), |request, i| request.header(format!("x-{i}"), "y".repeat(1_000)));
        request.body(Empty::<Bytes>::new()).unwrap()
    };
    // It may be refused by an answer, or with the connection.
    if let Ok(answer) = within(sender.send_request(ask(90))).await {
        assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    assert!(stand.upstream.seen().is_empty() && is_served(&stand).await);
    stand.stop().await;
}

#[tokio::test]
async fn heads_that_dribble_are_cut_while_everyone_else_is_served() {
    let stand = Setup::room(OPEN).start().await;
    let mut dribbling = Vec::new();
    for _ in 0..500 {
        let mut wire = Wire::new(TcpStream::connect(stand.gateway.address).await.unwrap());
        wire.send("GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
        dribbling.push(wire);
    }
    assert!(is_served(&stand).await);
    for wire in &mut dribbling {
        let end = within(wire.rest()).await;
        assert!(end.is_empty() || end.starts_with(b"HTTP/1.1 408"), "{}", end.escape_ascii());
    }
    assert!(stand.upstream.count("/") == 0 && is_served(&stand).await);
    stand.stop().await;
}

#[tokio::test]
async fn thousands_who_say_nothing_keep_nobody_out() {
    let stand = Setup::room(OPEN).start().await;
    let mut silent = Vec::new();
    for _ in 0..3_000 {
        silent.push(TcpStream::connect(stand.gateway.address).await.unwrap());
    }
    assert!(is_served(&stand).await);
    drop(silent);
    stand.stop().await;
}

#[tokio::test]
async fn whoever_says_nothing_more_is_let_go() {
    let stand = Setup::room(OPEN).start().await;
    let visitor = stand.visitor();
    let mut answered = Wire::new(TcpStream::connect(visitor.gateway).await.unwrap());
    answered.send(visitor.head("GET", "/") + "\r\n").await.unwrap();
    assert_eq!(within(answered.message(false)).await.unwrap().status(), 200);
    let mut silent = Wire::new(TcpStream::connect(visitor.gateway).await.unwrap());
    for wire in [&mut silent, &mut answered] {
        assert!(within(wire.rest()).await.is_empty());
    }
    assert!(is_served(&stand).await);
    stand.stop().await;
}
