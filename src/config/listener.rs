//! How visitors come: over TLS or not, through proxies or not.

use std::path::PathBuf;

use super::file::Section;
use crate::proxy::ChainHeader;
use crate::tls::CertificateFiles;

/// Reads where the certificate is, and the files themselves.
pub(super) fn certificate(root: &mut Section<'_>) -> Option<CertificateFiles> {
    let mut tls = root.section("tls")?;
    let (chain, key) = (tls.text("certificate").map(PathBuf::from), tls.text("key").map(PathBuf::from));
    if chain.is_none() && key.is_some() {
        tls.missing("certificate", "the file of the certificate whose key this is, in PEM");
    } else if chain.is_some() && key.is_none() {
        tls.missing("key", "the file of the certificate's key, in PEM");
    }
    let files = chain.zip(key).map(|(chain, key)| CertificateFiles { chain, key });
    if let Some(Err(fault)) = files.as_ref().map(CertificateFiles::read) {
        tls.problem("certificate", fault.to_string());
    }
    root.close(tls);
    files
}

/// Reads in which header the proxies in front say who came.
pub(super) fn chain(root: &mut Section<'_>) -> ChainHeader {
    match root.choice("client_address", &["x-forwarded-for", "forwarded"]) {
        Some("forwarded") => ChainHeader::Forwarded,
        _ => ChainHeader::XForwardedFor,
    }
}

/// How visitors come: by itself, as the gateway has a certificate or not.
pub(super) fn public_scheme(root: &mut Section<'_>, ends_tls: bool) -> &'static str {
    let told = root.choice("public_scheme", &["http", "https"]);
    if ends_tls && told == Some("http") {
        root.problem("public_scheme", "is https where [tls] has a certificate; leave it out".to_owned());
    }
    told.unwrap_or(if ends_tls { "https" } else { "http" })
}
