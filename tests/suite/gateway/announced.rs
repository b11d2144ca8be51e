//! The PROXY protocol: whose a connection is, a balancer says.

use super::stand::{Setup, Stand};
use crate::proxy::wire::{Message, Wire, within};
use tokio::net::TcpStream;

const TRUSTING: &str = "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.0/8\"]";

/// Sends a header of the PROXY protocol and a request; `None` where the connection is closed.
async fn ask(stand: &Stand, header: &[u8]) -> Option<Message> {
    let mut wire = Wire::new(TcpStream::connect(stand.gateway.address).await.unwrap());
    let request = [header, b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"].concat();
    let talk = async {
        wire.send(request).await.ok()?;
        wire.message(false).await.ok()
    };
    within(talk).await
}

fn binary(command: u8) -> Vec<u8> {
    let addresses = [203, 0, 113, 7, 127, 0, 0, 1, 0xdc, 4, 1, 0xbb];
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x20 | command, 0x11, 0, 12], &addresses].concat()
}

#[tokio::test]
async fn a_balancer_says_whose_the_connection_is() {
    let stand = Setup::room("queueing_method = \"passthrough\"").top(TRUSTING).start().await;
    let line = b"PROXY TCP6 2001:db8::7 ::1 56324 443\r\n";
    for (header, address) in [(binary(1), "203.0.113.7"), (line.to_vec(), "2001:db8::7"), (binary(0), "127.0.0.1")] {
        assert_eq!(ask(&stand, &header).await.unwrap().status(), 200);
        let seen = stand.upstream.seen().pop().unwrap();
        assert_eq!(seen.header("x-forwarded-for"), Some(address));
    }
    assert_eq!(ask(&stand, b"").await, None, "without a header");
    assert_eq!(ask(&stand, b"PROXY TCP4 evil\r\n").await, None);
    assert_eq!(stand.upstream.seen().len(), 3);
    assert_eq!(stand.operator.metric("vestibule_refused_total").await, 2.0);
    stand.stop().await;
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let elsewhere = "proxy_protocol = true\ntrusted_proxies = [\"192.0.2.0/24\"]";
    let stand = Setup::room("").top(elsewhere).start().await;
    assert_eq!(ask(&stand, &binary(1)).await, None);
    assert_eq!(ask(&stand, b"").await, None);
    let asked_for_none = Setup::room("").top("trusted_proxies = [\"127.0.0.1\"]").start().await;
    let answer = ask(&asked_for_none, b"PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n").await;
    assert!(answer.is_none_or(|answer| answer.status() == 400));
    assert!(stand.upstream.seen().is_empty() && asked_for_none.upstream.seen().is_empty());
    stand.stop().await;
    asked_for_none.stop().await;
}
