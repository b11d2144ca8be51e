//! How visitors come: over TLS or not, through proxies or not.

use std::path::PathBuf;

use super::file::Section;
use crate::proxy::ChainHeader;
use crate::tls::acme::AcmeRules;
use crate::tls::{CertificateFiles, check_vouching, connector};

/// What ends TLS where operators come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminTls {
    /// The certificate.
    pub files: CertificateFiles,
    /// Who has to have signed the certificates of operators and of Prometheus; `None` for no need of one.
    pub client_ca: Option<PathBuf>,
}

/// Reads how TLS is ended where visitors come: with the certificate of files, or with one that an authority hands out.
pub(super) fn tls(root: &mut Section<'_>) -> (Option<CertificateFiles>, Option<AcmeRules>) {
    let Some(mut tls) = root.section("tls") else { return (None, None) };
    let (acme, files) = (acme(&mut tls), certificate(&mut tls));
    if acme.is_some() && files.is_some() {
        tls.problem(
            "certificate",
            "is got from the authority where [tls.acme] names one; leave one of the two out".to_owned(),
        );
    }
    root.close(tls);
    (files, acme)
}

/// Reads how TLS is ended where operators come.
pub(super) fn admin_tls(root: &mut Section<'_>) -> Option<AdminTls> {
    let mut tls = root.section("admin_tls")?;
    let names_files = tls.gives("certificate") || tls.gives("key");
    let client_ca = tls.text("client_ca").map(PathBuf::from);
    if let Some(Err(fault)) = client_ca.as_deref().map(check_vouching) {
        tls.problem("client_ca", fault.to_string());
    }
    if client_ca.is_some() && !names_files {
        tls.missing("certificate", "the file of the certificate that operators are shown, in PEM; and `key`");
    }
    let files = certificate(&mut tls);
    root.close(tls);
    files.map(|files| AdminTls { files, client_ca })
}

/// Reads what an authority is to certify.
fn acme(tls: &mut Section<'_>) -> Option<AcmeRules> {
    if !tls.gives("acme") {
        return None;
    }
    let mut acme = tls.section("acme")?;
    let domains: Vec<String> = acme.parsed_list("domains").unwrap_or_default();
    let directory = acme.text("directory");
    let agrees = acme.flag("agree_to_terms").unwrap_or(false);
    let contacts = acme.parsed_list("contacts").unwrap_or_default();
    let ca = acme.text("ca").map(PathBuf::from);
    let is_name =
        |name: &String| name.contains(|c: char| c.is_ascii_alphabetic()) && !name.contains(['*', '/', ':', ' ']);
    if domains.is_empty() || !domains.iter().all(is_name) {
        acme.problem("domains", "names what visitors call this gateway, such as [\"shop.example\"]; no `*`".to_owned());
    }
    let directory = directory.unwrap_or_else(|| LETS_ENCRYPT.to_owned());
    if !directory.starts_with("https://") {
        acme.problem("directory", format!("is an https address, such as {LETS_ENCRYPT}"));
    }
    if !agrees {
        acme.problem("agree_to_terms", "has to be true: read the terms of the authority first".to_owned());
    }
    if let Err(fault) = connector(ca.as_deref(), false) {
        acme.problem("ca", fault.to_string());
    }
    tls.close(acme);
    Some(AcmeRules { domains, contacts, directory, ca })
}

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Reads where a certificate is, and the files themselves.
fn certificate(tls: &mut Section<'_>) -> Option<CertificateFiles> {
    let (chain, key) = (tls.text("certificate").map(PathBuf::from), tls.text("key").map(PathBuf::from));
    if chain.is_none() && key.is_some() {
        tls.missing("certificate", "the file of the certificate whose key this is, in PEM");
    } else if chain.is_some() && key.is_none() {
        tls.missing("key", "the file of the certificate's key, in PEM");
    }
    let files = chain.zip(key).map(|(chain, key)| CertificateFiles { chain, key });
    if let Some(files) = &files {
        check_files(tls, files);
    }
    files
}

/// Tells what is wrong with each of the two files, or else with both together.
fn check_files(tls: &mut Section<'_>, files: &CertificateFiles) {
    let alone = [("certificate", files.read_chain().err()), ("key", files.read_key().err())];
    if alone.iter().all(|(_, fault)| fault.is_none())
        && let Err(fault) = files.read()
    {
        tls.problem("certificate", fault.to_string());
    }
    for (key, fault) in alone {
        fault.into_iter().for_each(|fault| tls.problem(key, fault.to_string()));
    }
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
