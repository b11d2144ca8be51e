//! One host, one path, one meaning (P4): the canonical form of what a request asks for.
//!
//! Rooms are matched on a [`Target`], and the upstream is sent that very target, so that no spelling leads
//! around the gate.
//!
//! # Rules
//!
//! - **Host**: exactly one, of letters, digits, `-`, `.`, `_`, or an IPv6 address in brackets; lower-cased, without
//!   the scheme's own port and without a final dot. An authority in the request line (absolute form, or
//!   `:authority` in HTTP/2) must name the same host as a `Host` header beside it.
//! - **Path**: begins with `/`. Runs of `/` become one. A dot segment, plain or encoded, with or without a
//!   `;parameter`, is refused, not resolved; so are a backslash and a control byte, plain or encoded, and an
//!   encoded `/`. Encoded letters, digits and `-._~` are decoded; other escapes get upper-case digits; bytes
//!   outside the grammar of RFC 3986 are encoded.
//! - **Query**: kept byte for byte, without control bytes.
//! - **Method**: `CONNECT` and `TRACE` are refused; `*` stands with `OPTIONS` only.
//! - **Framing**: `Transfer-Encoding` is absent or one `chunked`; `Content-Length` is absent or one number; not both.
//!   (hyper has refused most of the rest before, and has dropped a `Content-Length` beside a `chunked`.)

use std::fmt;
use std::net::Ipv6Addr;

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Uri};
use hyper::{Method, Request, Version};
use thiserror::Error;

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
    let (name, port) = split_port(host).ok_or(BadTarget::BadHost)?;
    let name = name.strip_suffix('.').unwrap_or(name);
    if !(is_dns_name(name) || is_ipv6(name)) {
        return Err(BadTarget::BadHost);
    }
    let mut canonical = String::with_capacity(host.len());
    canonical.push_str(name);
    canonical.make_ascii_lowercase();
    let own_port = if scheme == "https" { 443 } else { 80 };
    if let Some(port) = port.filter(|port| *port != own_port) {
        canonical.push(':');
        canonical.push_str(itoa::Buffer::new().format(port));
    }
    Ok(canonical)
}

fn split_port(host: &str) -> Option<(&str, Option<u16>)> {
    let end_of_brackets = host.starts_with('[').then(|| host.rfind(']')).flatten();
    let after_brackets = end_of_brackets.map_or(0, |at| at + 1);
    let Some(colon) = memchr::memchr(b':', &host.as_bytes()[after_brackets..]) else {
        return Some((host, None));
    };
    let (name, port) = host.split_at(after_brackets + colon);
    let digits = port.get(1..).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some((name, Some(digits.parse().ok().filter(|&port| port != 0)?)))
}

/// The bytes that a label of a name has, looked up: every request's host is read.
static IS_OF_LABEL: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < 256 {
        let letter = byte as u8;
        table[byte] = letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
        byte += 1;
    }
    table
};

fn is_dns_name(name: &str) -> bool {
    let is_label =
        |label: &[u8]| matches!(label.len(), 1..=63) && label.iter().all(|&byte| IS_OF_LABEL[usize::from(byte)]);
    name.len() <= 253 && name.as_bytes().split(|&byte| byte == b'.').all(is_label)
}

fn is_ipv6(name: &str) -> bool {
    let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
}

fn canonical(uri: &Uri) -> Result<PathAndQuery, BadTarget> {
    let told = uri.path_and_query().ok_or(BadTarget::BadForm)?;
    if told.query().is_some_and(|query| query.bytes().any(is_control)) {
        return Err(BadTarget::BadPath);
    }
    // Where there is a query and no path, `path()` says `/`, and the text does not.
    let says_path = told.as_str().starts_with('/');
    if uri.path() == "*" || (says_path && is_canonical(told.path().as_bytes())) {
        return Ok(told.clone());
    }
    let mut text = canonical_path(told.path())?;
    if let Some(query) = told.query() {
        text.push('?');
        text.push_str(query);
    }
    text.parse().map_err(|_| BadTarget::BadPath)
}

/// Recognises, in one look at each byte, the paths that are canonical already, which nearly all are.
fn is_canonical(path: &[u8]) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'/');
    let awkward = path.windows(2).any(|two| two == b"//" || two == b"/.");
    path.first() == Some(&b'/') && !awkward && path.iter().all(|&byte| plain(byte) || byte == b'.')
}

fn canonical_path(path: &str) -> Result<String, BadTarget> {
    let mut out = String::with_capacity(path.len());
    if !path.starts_with('/') {
        return Err(BadTarget::BadPath);
    }
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => push_escaped(&mut out, escape(&mut bytes)?)?,
            b'/' if out.ends_with('/') => {}
            _ if is_control(byte) || byte == b'\\' => return Err(BadTarget::BadPath),
            _ if is_path_byte(byte) => out.push(char::from(byte)),
            _ => push_escape(&mut out, byte),
        }
    }
    if out.split('/').any(is_dot_segment) { Err(BadTarget::BadPath) } else { Ok(out) }
}

fn escape(bytes: &mut impl Iterator<Item = u8>) -> Result<u8, BadTarget> {
    let mut digit = || char::from(bytes.next()?).to_digit(16);
    let value = digit().zip(digit()).map(|(high, low)| high * 16 + low);
    value.and_then(|value| u8::try_from(value).ok()).ok_or(BadTarget::BadPath)
}

fn push_escaped(out: &mut String, byte: u8) -> Result<(), BadTarget> {
    let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    match byte {
        b'/' | b'\\' => return Err(BadTarget::BadPath),
        _ if is_control(byte) => return Err(BadTarget::BadPath),
        _ if unreserved => out.push(char::from(byte)),
        _ => push_escape(out, byte),
    }
    Ok(())
}

fn push_escape(out: &mut String, byte: u8) {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    let digits = [byte >> 4, byte & 15].map(|four| char::from(DIGITS[usize::from(four)]));
    out.push('%');
    out.extend(digits);
}

const fn is_control(byte: u8) -> bool {
    byte < b' ' || byte == 0x7f
}

/// The bytes of `pchar` and `/` (RFC 3986, section 3.3), without `%`.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte)
}

/// A segment that some reader resolves: `.` and `..`, alone or before a `;parameter`.
fn is_dot_segment(segment: &str) -> bool {
    matches!(segment.split(';').next(), Some("." | ".."))
}

#[cfg(test)]
mod tests;
