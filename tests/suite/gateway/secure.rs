//! TLS and HTTP/2 on the public listener.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::client::conn::{http1, http2};
use hyper::header::{COOKIE, HOST, SET_COOKIE};
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::stand::{Setup, Stand, eventually};
use crate::certificates::{self, Files};
use crate::proxy::wire::within;

/// A stand that ends TLS itself, and the files it does that with.
async fn secure(keys: &str) -> (Stand, Files, TempDir) {
    let folder = TempDir::new().unwrap();
    let files = certificates::make(folder.path());
    let tls = format!("[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n", files.certificate.display(), files.key.display());
    let rooms = format!("{tls}[room.sale]\nupstream = \"http://UPSTREAM\"\n{keys}\n");
    (Setup::rooms(&rooms).start().await, files, folder)
}

/// Greets the gateway as somebody who believes this authority.
async fn greet(
    gateway: SocketAddr,
    ca: &Path,
    protocols: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(gateway).await?;
    let name = ServerName::try_from("localhost").unwrap();
    within(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

async fn http2(stand: &Stand, ca: &Path) -> http2::SendRequest<Empty<Bytes>> {
    let stream = greet(stand.gateway.address, ca, &["h2", "http/1.1"], rustls::ALL_VERSIONS).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(driver);
    sender
}

/// A request of a browser in HTTP/2; the port is not the scheme's own, so that it is part of the host.
fn request(path: &str, cookies: &[String]) -> Request<Empty<Bytes>> {
    let mut request = Request::get(format!("https://localhost:8443{path}")).header("accept", "text/html");
    for cookie in cookies {
        request = request.header(COOKIE, cookie);
    }
    request.body(Empty::new()).unwrap()
}

async fn text<B: hyper::body::Body<Error: std::fmt::Debug>>(response: Response<B>) -> String {
    String::from_utf8_lossy(&response.into_body().collect().await.unwrap().to_bytes()).into_owned()
}

fn cookies<B>(response: &Response<B>) -> Vec<String> {
    response.headers().get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_visitor_comes_in_over_http_2_and_keeps_the_place() {
    let (stand, files, _folder) = secure("").await;
    let mut sender = http2(&stand, &files.ca).await;
    let answer = within(sender.send_request(request("/a", &[]))).await.unwrap();
    assert_eq!((answer.status(), answer.version()), (StatusCode::OK, Version::HTTP_2));
    let given = cookies(&answer);
    assert!(given.iter().any(|cookie| cookie.starts_with("__Host-vestibule-ticket-sale=")), "{given:?}");
    assert!(given.iter().all(|cookie| cookie.contains("; Secure")), "{given:?}");
    assert_eq!(text(answer).await, "the site at /a");

    let shown: Vec<String> = given.iter().map(|cookie| cookie.split(';').next().unwrap().to_owned()).collect();
    let own = ["theme=dark".to_owned(), "lang=hi".to_owned()];
    let answer = within(sender.send_request(request("/b", &[&shown[..], &own].concat()))).await.unwrap();
    assert!(cookies(&answer).is_empty(), "the same place: {:?}", cookies(&answer));
    let seen = stand.upstream.seen();
    let last = seen.last().unwrap();
    assert_eq!(last.header("host"), Some("localhost:8443"));
    assert_eq!(last.header("x-forwarded-proto"), Some("https"));
    assert!(last.header("forwarded").unwrap().contains("proto=https"));
    assert_eq!(
        last.headers.get_all(COOKIE).iter().collect::<Vec<_>>(),
        ["theme=dark; lang=hi"],
        "in one line, and ours not"
    );
    assert_eq!(last.header("vestibule-visitor"), seen[0].header("vestibule-visitor"));
    stand.stop().await;
}

#[tokio::test]
async fn http_1_1_goes_on_and_nothing_older_than_tls_1_2() {
    let (stand, files, _folder) = secure("").await;
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
        let stream = greet(stand.gateway.address, &files.ca, &["http/1.1"], versions).await.unwrap();
        let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(driver);
        let request = Request::get("/").header(HOST, "localhost").body(Empty::<Bytes>::new()).unwrap();
        let answer = within(sender.send_request(request)).await.unwrap();
        assert_eq!((answer.status(), answer.version()), (StatusCode::OK, Version::HTTP_11));
    }
    let address = stand.gateway.address.to_string();
    let old = ["s_client", "-connect", &address, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"];
    let refused = Command::new("openssl").args(old).stdin(std::process::Stdio::null()).output().unwrap();
    assert!(!refused.status.success(), "{}", String::from_utf8_lossy(&refused.stdout));
    stand.stop().await;
}

#[tokio::test]
async fn one_connection_carries_many_requests_at_once() {
    let (stand, files, _folder) = secure("queueing_method = \"passthrough\"").await;
    let mut sender = http2(&stand, &files.ca).await;
    let asked = (0..50).map(|_| sender.send_request(request("/slow", &[]))).collect::<Vec<_>>();
    eventually("all at the upstream together", async || (stand.upstream.count("/slow") == 50).then_some(())).await;
    (0..50).for_each(|_| stand.upstream.release());
    for answer in within(join_all(asked)).await {
        assert_eq!(text(answer.unwrap()).await, "the site at /slow");
    }
    stand.stop().await;
}

#[tokio::test]
async fn a_body_of_http_2_is_streamed_up() {
    let (stand, files, _folder) = secure("queueing_method = \"passthrough\"").await;
    let stream = greet(stand.gateway.address, &files.ca, &["h2"], rustls::ALL_VERSIONS).await.unwrap();
    let (mut sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(driver);
    let body = vec![b'x'; 3 << 20];
    let upload = Request::post("https://localhost/echo").body(Full::new(Bytes::from(body.clone()))).unwrap();
    let answer = within(sender.send_request(upload)).await.unwrap();
    let back = within(answer.into_body().collect()).await.unwrap().to_bytes();
    assert!(back == body, "{} bytes came back", back.len());
    stand.stop().await;
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection_and_nobody_elses() {
    let (stand, files, _folder) = secure("queueing_method = \"passthrough\"").await;
    let mut other = http2(&stand, &files.ca).await;
    let flood = greet(stand.gateway.address, &files.ca, &["h2"], rustls::ALL_VERSIONS).await.unwrap();
    let (mut sender, driver) = within(h2::client::handshake(flood)).await.unwrap();
    let driver = tokio::spawn(driver);
    let flooding = async {
        for i in 0..5_000 {
            let Ok(ready) = sender.ready().await else { break };
            sender = ready;
            let request = Request::get("https://localhost/slow").body(()).unwrap();
            let Ok((_, mut stream)) = sender.send_request(request, true) else { break };
            stream.send_reset(h2::Reason::CANCEL);
            if i % 50 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    within(flooding).await;
    let ended = within(driver).await.unwrap().unwrap_err();
    assert!(ended.is_io() || ended.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM), "{ended}");
    let answer = within(other.send_request(request("/", &[]))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    stand.stop().await;
}

#[tokio::test]
async fn http_2_needs_no_tls_where_a_balancer_speaks_it() {
    let stand = Setup::room("").start().await;
    let stream = TcpStream::connect(stand.gateway.address).await.unwrap();
    let (mut sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(driver);
    let asked = Request::get("http://shop.example/a").body(Empty::<Bytes>::new()).unwrap();
    let answer = within(sender.send_request(asked)).await.unwrap();
    assert_eq!(text(answer).await, "the site at /a");
    assert_eq!(stand.upstream.seen()[0].header("host"), Some("shop.example"));
    let differs = Request::get("http://shop.example/a").header(HOST, "other.example").body(Empty::new()).unwrap();
    assert_eq!(within(sender.send_request(differs)).await.unwrap().status(), StatusCode::BAD_REQUEST);
    let tunnel = Request::connect("shop.example:443").body(Empty::new()).unwrap();
    assert_eq!(within(sender.send_request(tunnel)).await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert_eq!(stand.upstream.seen().len(), 1);
    stand.stop().await;
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_a_restart_and_a_bad_one_is_not() {
    let (stand, files, folder) = secure("").await;
    let (gateway, old_ca) = (stand.gateway.address, folder.path().join("old.pem"));
    std::fs::copy(&files.ca, &old_ca).unwrap();
    let mut before = http2(&stand, &old_ca).await;
    certificates::make(folder.path());
    let believed = async |ca: &Path| greet(gateway, ca, &["h2"], rustls::ALL_VERSIONS).await.is_ok();
    eventually("the new certificate", async || believed(&files.ca).await.then_some(())).await;
    assert!(!believed(&old_ca).await);
    let answer = within(before.send_request(request("/", &[]))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "who was there before goes on");

    std::fs::write(&files.key, "no key").unwrap();
    eventually("a look at the files", async || {
        let config = vestibule::config::Config::parse(
            &format!("[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n", files.certificate.display(), files.key.display()),
            &vestibule::config::Environment::new(),
        );
        Some(config.unwrap_err().to_string()).filter(|told| told.contains("holds no private key"))
    })
    .await;
    assert!(believed(&files.ca).await);
    stand.stop().await;
}

#[tokio::test]
async fn curl_is_served_over_http_2() {
    let (stand, files, _folder) = secure("").await;
    let url = format!("https://localhost:{}/a", stand.gateway.address.port());
    let ca = files.ca.display().to_string();
    let curl = move |version: &str| {
        let version = version.to_owned();
        let (url, ca) = (url.clone(), ca.clone());
        tokio::task::spawn_blocking(move || {
            let words = ["-sS", "--max-time", "20", &version, "--cacert", &ca, "-w", " %{http_version}", &url];
            let done = Command::new("curl").args(words).output().expect("curl runs");
            String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
        })
    };
    assert_eq!(curl("--http2").await.unwrap(), "the site at /a 2");
    assert_eq!(curl("--http1.1").await.unwrap(), "the site at /a 1.1");
    stand.stop().await;
}
