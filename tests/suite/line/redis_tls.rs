//! The Redis store over TLS, with certificates of one's own.

use tempfile::TempDir;
use vestibule::line::redis::{RedisLine, TIMEOUT};
use vestibule::line::{LineStore as _, Steering, StoreFault};

use super::{fresh_room, limits};
use crate::certificates;
use crate::redis_server::RedisServer;

#[tokio::test]
async fn a_server_is_trusted_by_the_certificates_that_are_given() {
    let folder = TempDir::new().expect("a temporary folder");
    let files = certificates::make(folder.path());
    let [key, certificate, ca] = [files.key, files.certificate, files.ca].map(|path| path.display().to_string());
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
