//! What comes after a body, both ways, and what may not.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use super::stand::{Stand, limits};
use super::wire::within;
use crate::gateway::stand::Setup;

const UP: &str = "POST /sum HTTP/1.1\r\nHost: x\r\nConnection: te\r\nTE: trailers\r\nTrailer: X-Sum, Cookie, X-Gone\r\n\
                  Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\nCookie: a=b\r\nVestibule-Pass: forged\r\n\
                  X-Unannounced: y\r\nTransfer-Encoding: chunked\r\n\r\n";
const DOWN: &str = "HTTP/1.1 200 OK\r\nTrailer: X-Proof, Vestibule-Sold-Out\r\nTransfer-Encoding: chunked\r\n\r\n\
                    2\r\nok\r\n0\r\nX-Proof: 7\r\nVestibule-Sold-Out: *\r\nSet-Cookie: a=b\r\n\r\n";

#[tokio::test]
async fn announced_trailers_cross_in_both_directions_and_the_connection_goes_on() {
    let stand = Stand::start(limits(), |connection, mut wire, record| async move {
        loop {
            let mut request = super::wire::Message { head: wire.head().await?, body: Vec::new() };
            let end = "3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n";
            request.body = wire.exactly(end.len()).await?.into_bytes();
            record.add(connection, request);
            wire.send(DOWN).await?;
        }
    })
    .await;
    let mut wire = stand.connect().await;
    let talk = async {
        for _ in 0..2 {
            wire.send(UP).await.unwrap();
            let head = wire.head().await.unwrap().to_lowercase();
            assert!(head.contains("\r\ntrailer: x-proof\r\n") && !head.contains("sold-out"), "{head}");
            let told = "2\r\nok\r\n0\r\nx-proof: 7\r\n\r\n";
            assert_eq!(wire.exactly(told.len()).await.unwrap(), told);
        }
    };
    within(talk).await;
    let seen = stand.record.requests();
    assert_eq!(seen.len(), 2);
    for request in &seen {
        assert_eq!(request.text(), "3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n", "nothing that means something else");
        assert_eq!((request.header("te"), request.header("connection")), (Some("trailers"), Some("te")));
        let head = request.head.to_lowercase();
        assert!(head.contains("\r\ntrailer: x-sum") && !head.contains("cookie"), "{head}");
    }
    assert_eq!(stand.record.connections(), 1, "a connection serves on after trailers");
}

#[tokio::test]
async fn who_takes_no_trailers_gets_none() {
    let stand = Stand::start(limits(), |connection, mut wire, record| async move {
        record.add(connection, wire.message(false).await?);
        wire.send(DOWN).await
    })
    .await;
    let answer = within(stand.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    assert_eq!(answer.text(), "ok");
    assert_eq!(stand.record.requests()[0].header("te"), None);
}

type Talk = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

/// A body of one part, and what comes after it.
fn talk(text: &'static str, trailers: &[(&'static str, &'static str)]) -> Talk {
    let after: HeaderMap =
        trailers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
    let frames = vec![Ok(Frame::data(Bytes::from_static(text.as_bytes()))), Ok(Frame::trailers(after))];
    StreamBody::new(stream::iter(frames))
}

/// A service in the manner of gRPC: it says after its answer how it went.
async fn service(listener: TcpListener) {
    let (stream, _) = listener.accept().await.unwrap();
    let answer = service_fn(|request: Request<Incoming>| async move {
        let takes = request.headers().get(header::TE).cloned();
        let body = request.into_body().collect().await.unwrap();
        let sum = body.trailers().and_then(|after| after.get("x-sum")).cloned();
        assert_eq!((takes, sum), (Some(HeaderValue::from_static("trailers")), Some(HeaderValue::from_static("6"))));
        let body = talk("answer", &[("grpc-status", "0"), ("vestibule-sold-out", "*"), ("set-cookie", "a=b")]);
        Ok::<_, Infallible>(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
    });
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

#[tokio::test]
async fn a_call_in_the_manner_of_grpc_goes_through_over_http_2() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let room = format!(
        "[room.sale]\nupstream = \"h2c://{}\"\nqueueing_method = \"passthrough\"\n",
        listener.local_addr().unwrap()
    );
    let serving = tokio::spawn(service(listener));
    let stand = Setup::rooms(&room).start().await;
    let stream = TcpStream::connect(stand.gateway.address).await.unwrap();
    let (mut sender, driver) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(driver);
    for _ in 0..2 {
        let request = Request::post(format!("http://{}/shop.Sale/Book", stand.gateway.address))
            .header("content-type", "application/grpc")
            .header(header::TE, "trailers")
            .body(talk("call", &[("x-sum", "6"), ("vestibule-pass", "forged")]))
            .unwrap();
        let answer = within(sender.send_request(request)).await.unwrap();
        assert_eq!((answer.status(), answer.version()), (StatusCode::OK, Version::HTTP_2));
        let body = within(answer.into_body().collect()).await.unwrap();
        let after = body.trailers().unwrap();
        assert_eq!((after.len(), after["grpc-status"].as_bytes()), (1, &b"0"[..]));
        assert_eq!(body.to_bytes(), "answer");
    }
    stand.stop().await;
    serving.abort();
}
