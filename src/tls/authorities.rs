//! Whose certificates are believed of an upstream.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::certificate::read_chain;
use super::{PROTOCOLS, TlsFault, provider};

/// Makes what greets upstreams, believing the authorities of `ca`, or those that the system lists. It offers HTTP/2
/// where `offers_http2`, and HTTP/1.1 always.
///
/// # Errors
/// [`TlsFault`], which names the file.
pub fn connector(ca: Option<&Path>, offers_http2: bool) -> Result<TlsConnector, TlsFault> {
    let roots = ca.map_or_else(listed, named)?;
    let versions = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| unusable(ca, error))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = PROTOCOLS[usize::from(!offers_http2)..].iter().map(|name| name.to_vec()).collect();
    Ok(TlsConnector::from(Arc::new(config)))
}

pub(super) fn named(ca: &Path) -> Result<RootCertStore, TlsFault> {
    let mut roots = RootCertStore::empty();
    for certificate in read_chain(ca)? {
        roots.add(certificate).map_err(|error| unusable(Some(ca), error))?;
    }
    Ok(roots)
}

fn listed() -> Result<RootCertStore, TlsFault> {
    let mut roots = RootCertStore::empty();
    // Some systems list certificates that nobody can read; those that can be read are enough.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsFault::NoAuthorities) } else { Ok(roots) }
}

fn unusable(ca: Option<&Path>, error: rustls::Error) -> TlsFault {
    TlsFault::Unusable { path: ca.unwrap_or(Path::new("the system's authorities")).to_owned(), error }
}
