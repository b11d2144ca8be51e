//! The admin listener over TLS, and for those only who show a certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::stand::{Setup, Stand};
use crate::certificates::{self, Files};
use crate::proxy::wire::within;

async fn stand(files: &Files, more: &str) -> Stand {
    let (certificate, key) = (files.certificate.display(), files.key.display());
    let tls = format!("[admin_tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n{more}");
    Setup::rooms(&format!("{tls}[room.sale]\nupstream = \"http://UPSTREAM\"\n")).start().await
}

/// What `/healthz` says to whoever shows this certificate, or none.
async fn asked(stand: &Stand, files: &Files, shows: Option<&Files>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let pem = |path: &Path| CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect();
    let config = match shows {
        Some(own) => {
            let key = PrivateKeyDer::from_pem_file(&own.key).unwrap();
            builder.with_client_auth_cert(pem(&own.certificate), key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    let stream = TcpStream::connect(stand.gateway.admin_address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = within(TlsConnector::from(Arc::new(config)).connect(name, stream)).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await?;
    Ok(answer)
}

#[tokio::test]
async fn operators_come_over_tls_and_dawdlers_hold_up_nobody() {
    let folder = TempDir::new().unwrap();
    let files = certificates::make(folder.path());
    let stand = stand(&files, "").await;
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(TcpStream::connect(stand.gateway.admin_address).await.unwrap());
    }
    assert!(asked(&stand, &files, None).await.unwrap().ends_with("alive\n"));
    assert_eq!(stand.gateway.admin_scheme, "https");
    stand.stop().await;
}

#[tokio::test]
async fn with_an_authority_only_those_come_whom_it_vouches_for() {
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (files, strangers) = (certificates::make(folder.path()), certificates::make(elsewhere.path()));
    let stand = stand(&files, &format!("client_ca = \"{}\"\n", files.ca.display())).await;
    assert!(asked(&stand, &files, Some(&files)).await.unwrap().ends_with("alive\n"));
    assert!(asked(&stand, &files, None).await.is_err());
    assert!(asked(&stand, &files, Some(&strangers)).await.is_err());
    stand.stop().await;
}
