//! What real sites answer besides pages: events that come one by one, parts of files, and answers that take their time.

use super::stand::{Stand, limits};
use super::wire::within;

#[tokio::test]
async fn events_arrive_one_by_one() {
    let stand = Stand::start(limits(), |connection, mut wire, record| async move {
        record.add(connection, wire.message(false).await?);
        wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
        wire.send("f\r\nid: 1\ndata: a\n\n\r\n").await?;
        // The second is sent when the first has been heard of at the other end.
        while record.connections() < 2 {
            tokio::task::yield_now().await;
        }
        wire.send("f\r\nid: 2\ndata: b\n\n\r\n0\r\n\r\n").await
    })
    .await;
    let mut wire = stand.connect().await;
    let talk = async {
        wire.send("GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nLast-Event-ID: 0\r\n\r\n")
            .await
            .unwrap();
        let head = wire.head().await.unwrap();
        assert!(head.to_lowercase().contains("content-type: text/event-stream"), "{head}");
        assert_eq!(wire.chunk().await.unwrap().unwrap(), b"id: 1\ndata: a\n\n");
        let other = tokio::spawn({
            let mut other = stand.connect().await;
            async move { other.send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n").await.map(|()| other) }
        });
        assert_eq!(wire.chunk().await.unwrap().unwrap(), b"id: 2\ndata: b\n\n");
        assert_eq!(wire.chunk().await.unwrap(), None);
        drop(other.await);
    };
    within(talk).await;
    assert_eq!(stand.record.requests()[0].header("last-event-id"), Some("0"));
}

#[tokio::test]
async fn a_part_of_a_file_is_a_part_of_a_file() {
    let stand = Stand::start(limits(), |connection, mut wire, record| async move {
        record.add(connection, wire.message(false).await?);
        let head =
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-5/10\r\nAccept-Ranges: bytes\r\nETag: \"v1\"\r\n";
        wire.send(format!("{head}Content-Length: 4\r\n\r\n2345")).await
    })
    .await;
    let asked = "GET /map.pdf HTTP/1.1\r\nHost: x\r\nRange: bytes=2-5\r\nIf-Range: \"v1\"\r\n\r\n";
    let answer = within(stand.ask(asked)).await;
    assert_eq!((answer.status(), answer.text().as_str()), (206, "2345"));
    assert_eq!(answer.header("content-range"), Some("bytes 2-5/10"));
    let seen = stand.record.requests().remove(0);
    assert_eq!((seen.header("range"), seen.header("if-range")), (Some("bytes=2-5"), Some("\"v1\"")));
}
