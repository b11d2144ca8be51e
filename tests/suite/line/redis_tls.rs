//! The Redis store over TLS, with certificates of one's own.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use vestibule::line::redis::{RedisLine, TIMEOUT};
use vestibule::line::{LineStore as _, Steering, StoreFault};

use super::{fresh_room, limits};
use crate::redis_server::RedisServer;

/// Makes an authority and a certificate for loopback that it has signed.
fn make_certificates(folder: &Path) {
    let openssl = |words: &str| {
        let done = Command::new("openssl").current_dir(folder).args(words.split(' ')).output().expect("openssl runs");
        assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
    };
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1").expect("a file");
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem");
    openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr");
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem");
}

#[tokio::test]
async fn a_server_is_trusted_by_the_certificates_that_are_given() {
    let folder = TempDir::new().expect("a temporary folder");
    make_certificates(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (key, certificate, ca) = (file("server.key"), file("server.pem"), file("ca.pem"));
    let port = crate::redis_server::free_port().to_string();
    let tls =
        ["--tls-port", &port, "--tls-auth-clients", "no", "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let _server = RedisServer::start(&[&tls[..], &["--tls-ca-cert-file", &ca]].concat());

    let trusting = RedisLine::connect(&format!("rediss://127.0.0.1:{port}?ca={ca}"), TIMEOUT).await.expect("trusted");
    let room = fresh_room();
    trusting.steer(&room, &Steering::Configure(limits(1.0, 1))).await.expect("a room");
    assert_eq!(trusting.join(&room, 3).await.expect("a join").first, 1);
    let stranger = RedisLine::connect(&format!("rediss://127.0.0.1:{port}"), TIMEOUT).await.expect_err("not trusted");
    assert!(matches!(&stranger, StoreFault::Unreachable(text) if text.contains("certificate")), "{stranger}");
    let plain = RedisLine::connect(&format!("redis://127.0.0.1:{port}"), TIMEOUT).await;
    assert!(plain.is_err(), "no word without TLS");
}
