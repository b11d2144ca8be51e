//! TLS by rustls: the certificate that visitors see, and whose certificates are believed of upstreams.
//!
//! One cryptographic library does everything: the one that also signs the passes. TLS 1.2 and 1.3, nothing older.

pub mod acme;
mod authorities;
mod certificate;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use thiserror::Error;

pub use authorities::connector;
pub use certificate::{Certificate, CertificateFiles, check_vouching};

/// The protocols of a connection as TLS names them, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];

/// The name of HTTP/2.
const HTTP_2: &[u8] = b"h2";

/// Why certificates or keys cannot be used. None quotes a file's content.
#[derive(Debug, Error)]
pub enum TlsFault {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file has nothing of what it should have.
    #[error("{} holds no {what} in PEM", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The certificate is another key's.
    #[error("the key in {} is not the one of the first certificate in {}", key.display(), chain.display())]
    Mismatch {
        /// The file of the certificates.
        chain: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// What was read is of no use.
    #[error("{} cannot be used: {error}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: rustls::Error,
    },
    /// An upstream's host is none that a certificate could name.
    #[error("`{0}` is no name that a certificate could have")]
    BadName(String),
    /// The system lists no authorities.
    #[error("this system lists no certificate authorities; name a file of your own with `ca`")]
    NoAuthorities,
}

/// The protocol of an authority's look at who answers (RFC 8737). Nothing is said in it.
const ACME: &[u8] = b"acme-tls/1";

/// Tells whether a connection was an authority's look only.
#[must_use]
pub fn is_look(agreed: Option<&[u8]>) -> bool {
    agreed == Some(ACME)
}

/// Tells whether a connection agreed on HTTP/2.
#[must_use]
pub fn is_http2(agreed: Option<&[u8]>) -> bool {
    agreed == Some(HTTP_2)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
