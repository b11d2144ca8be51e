//! One host, one path, one meaning (P4): the canonical form of what a request asks for.
//!
//! Rooms are matched on a [`Target`], and the upstream is sent that very target, so that no spelling leads
//! around the gate.
//!
//! # Rules
//!
//! - **Host**: exactly one, [spelled canonically](canonical::host), without the scheme's own port. An authority in the
//!   request line (absolute form, or `:authority` in HTTP/2) must name the same host as a `Host` header beside it.
//! - **Path**: [spelled canonically](canonical::path).
//! - **Query**: kept byte for byte, without control bytes.
//! - **Method**: `CONNECT` and `TRACE` are refused; `*` stands with `OPTIONS` only.
//! - **Framing**: `Transfer-Encoding` is absent or one `chunked`; `Content-Length` is absent or one number; not both.
//!   (hyper has refused most of the rest before, and has dropped a `Content-Length` beside a `chunked`.)

use std::borrow::Cow;
use std::fmt;

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Uri};
use hyper::{Method, Request, Version};
use thiserror::Error;

use crate::canonical;

/// Says why a request is not forwarded. All of these are the client's fault, and none will pass on a retry.
///
/// Whoever answers one must close the connection with the answer (`Connection: close`): with two readings of
/// where a request ends, what follows it is not to be read as another.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
pub enum BadTarget {
    /// There is no host, or several.
    #[error("a request needs exactly one host")]
    NotOneHost,
    /// The host is not one.
    #[error("the host is not valid")]
    BadHost,
    /// The request line names another host than the header.
    #[error("the request line and the Host header disagree")]
    HostsDiffer,
    /// The method is one that a gateway does not carry.
    #[error("this method is not forwarded")]
    BadMethod,
    /// The request line is neither in origin form nor in absolute form of `http` or `https`.
    #[error("the form of the request target is not valid")]
    BadForm,
    /// The path could be read in more than one way.
    #[error("the path is ambiguous")]
    BadPath,
    /// The length of the body could be read in more than one way.
    #[error("the framing of the body is ambiguous")]
    BadFraming,
}

/// The canonical host, path and query of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    host: String,
    path_and_query: PathAndQuery,
}

impl Target {
    /// Reads the target of a request that came over `scheme`, which is `http` or `https`.
    ///
    /// # Errors
    ///
    /// [`BadTarget`] for anything that two readers could understand differently.
    pub fn parse<B>(request: &Request<B>, scheme: &str) -> Result<Self, BadTarget> {
        let host = check_headers(request.headers())?;
        check_form(request.method(), request.uri(), request.version())?;
        let host = host_of(host, request.uri(), scheme)?;
        let path_and_query = canonical(request.uri())?;
        Ok(Self { host, path_and_query })
    }

    /// Returns the host in lower case, with its port where that is not the scheme's own.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the canonical path, or `*`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path_and_query.path()
    }

    /// Returns the query without its `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.path_and_query.query()
    }

    /// Returns the request target in origin form, as it is sent upstream.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        self.path_and_query.as_str()
    }

    /// Returns the same for hyper.
    #[must_use]
    pub fn to_uri(&self) -> Uri {
        Uri::from(self.path_and_query.clone())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.host, self.path_and_query)
    }
}

/// Checks what the headers say of the framing, and returns what they say of the host, in one walk through them.
fn check_headers(headers: &HeaderMap) -> Result<Option<&HeaderValue>, BadTarget> {
    let (mut host, mut coding, mut length) = (None, None, None);
    for (name, value) in headers {
        let (told, again) = match *name {
            header::HOST => (&mut host, BadTarget::NotOneHost),
            header::TRANSFER_ENCODING => (&mut coding, BadTarget::BadFraming),
            header::CONTENT_LENGTH => (&mut length, BadTarget::BadFraming),
            _ => continue,
        };
        if told.replace(value).is_some() {
            return Err(again);
        }
    }
    let is_plain = match (coding, length) {
        (None, None) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (None, Some(length)) => !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit),
        (Some(_), Some(_)) => false,
    };
    if is_plain { Ok(host) } else { Err(BadTarget::BadFraming) }
}

fn check_form(method: &Method, uri: &Uri, version: Version) -> Result<(), BadTarget> {
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(BadTarget::BadMethod);
    }
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    let origin_form = uri.scheme().is_none() && (uri.authority().is_none() || version == Version::HTTP_2);
    let starred = uri.path() == "*";
    let allowed = (web || origin_form) && uri.path_and_query().is_some();
    let star_allowed = !starred || (*method == Method::OPTIONS && uri.query().is_none());
    if allowed && star_allowed { Ok(()) } else { Err(BadTarget::BadForm) }
}

fn host_of(header: Option<&HeaderValue>, uri: &Uri, scheme: &str) -> Result<String, BadTarget> {
    let header =
        header.map(|host| canonical_host(host.to_str().map_err(|_| BadTarget::BadHost)?, scheme)).transpose()?;
    let line_scheme = uri.scheme_str().unwrap_or(scheme);
    let of_line = |host: &Authority| canonical_host(host.as_str(), line_scheme);
    match (uri.authority().map(of_line).transpose()?, header) {
        (None, None) => Err(BadTarget::NotOneHost),
        (Some(line), Some(header)) if line != header => Err(BadTarget::HostsDiffer),
        (_, Some(host)) | (Some(host), None) => Ok(host),
    }
}

fn canonical_host(host: &str, scheme: &str) -> Result<String, BadTarget> {
    let (name, port) = canonical::host(host).ok_or(BadTarget::BadHost)?;
    let mut canonical = String::with_capacity(host.len());
    canonical.push_str(&name);
    canonical.make_ascii_lowercase();
    let own_port = if scheme == "https" { 443 } else { 80 };
    if let Some(port) = port.filter(|port| *port != own_port) {
        canonical.push(':');
        canonical.push_str(itoa::Buffer::new().format(port));
    }
    Ok(canonical)
}

fn canonical(uri: &Uri) -> Result<PathAndQuery, BadTarget> {
    let told = uri.path_and_query().ok_or(BadTarget::BadForm)?;
    if told.query().is_some_and(|query| query.bytes().any(canonical::is_control)) {
        return Err(BadTarget::BadPath);
    }
    // Where there is a query and no path, `path()` says `/`, and the text does not.
    let says_path = told.as_str().starts_with('/');
    if uri.path() == "*" {
        return Ok(told.clone());
    }
    let mut text = match canonical::path(told.path()).ok_or(BadTarget::BadPath)? {
        Cow::Borrowed(_) if says_path => return Ok(told.clone()),
        text => text.into_owned(),
    };
    if let Some(query) = told.query() {
        text.push('?');
        text.push_str(query);
    }
    text.parse().map_err(|_| BadTarget::BadPath)
}

#[cfg(test)]
mod tests;
