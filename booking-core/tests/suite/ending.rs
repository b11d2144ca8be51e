//! How the listener ends.

use std::sync::Arc;

use booking_core::clock::SystemClock;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::database::Database;
use crate::world::{Site, row, site_config};

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(end) {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0, "{}", String::from_utf8_lossy(&read));
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_when_it_ends_is_answered_and_nobody_else_is_waited_for() {
    let db = Database::sqlite();
    let site = Site::open(site_config(&db, 5), Arc::new(SystemClock::new())).await;
    let address = site.base.trim_start_matches("http://").to_owned();
    let mut idle = TcpStream::connect(&address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    read_until(&mut idle, "alive").await;

    let mut asking = TcpStream::connect(&address).await.unwrap();
    let body = json!({"inventory": row(), "quantity": 1}).to_string();
    let head = format!(
        "POST /api/holds HTTP/1.1\r\nhost: x\r\nidempotency-key: k\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    asking.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut asking, "100 Continue").await;

    let ending = tokio::spawn(site.close());
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0, "it asks for nothing");
    asking.write_all(body.as_bytes()).await.unwrap();
    let answer = read_until(&mut asking, "expires_at").await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    ending.await.unwrap();
    assert!(TcpStream::connect(&address).await.is_err(), "nobody is let in any more");
}
