//! Reads a request that is plain: whole, and to be understood in one way only.
//!
//! The reader is hyper's own (`httparse`, strict), so that there is one reading of a head and not two. Whatever says more
//! about the connection or the body than this file knows, it does not take: hyper reads that, and refuses what is to be
//! refused.

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes};
use httparse::{Header, Status};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};

use crate::proxy::VisitorBody;

/// A request of more headers is not plain.
const HEADERS_CAP: usize = 64;

/// Nor is one with a longer body.
const BODY_CAP_BYTES: usize = 4 << 10;

/// A request, and its very bytes, for whoever has to read it again.
#[derive(Debug)]
pub struct Plain {
    /// What it says.
    pub request: Box<Request<VisitorBody>>,
    /// Its head and its body, as they came.
    pub bytes: Bytes,
}

/// Takes the first request from what was `heard`. Where it is not plain, or not all there, that stays as it is.
pub fn take(heard: &mut Bytes) -> Option<Plain> {
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; HEADERS_CAP];
    let mut head = httparse::Request::new(&mut []);
    let Ok(Status::Complete(head_bytes)) = head.parse_with_uninit_headers(heard, &mut headers) else { return None };
    if head.version != Some(1) {
        return None;
    }
    let method = match head.method? {
        "GET" => Method::GET,
        "POST" => Method::POST,
        _ => return None,
    };
    let end = head_bytes + body_bytes(head.headers)?;
    let body = (end <= heard.len()).then(|| heard.slice(head_bytes..end))?;
    let mut request = Box::new(Request::new(VisitorBody::AtHand(body)));
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_maybe_shared(heard.slice_ref(head.path?.as_bytes())).ok()?;
    *request.headers_mut() = map(heard, head.headers)?;
    let bytes = heard.slice(..end);
    heard.advance(end);
    Some(Plain { request, bytes })
}

fn map(heard: &Bytes, headers: &[Header<'_>]) -> Option<HeaderMap> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        map.append(name, HeaderValue::from_maybe_shared(heard.slice_ref(header.value)).ok()?);
    }
    Some(map)
}

/// Returns the length of the body; `None` where anything else is said of it, or of the connection.
fn body_bytes(headers: &[Header<'_>]) -> Option<usize> {
    let mut length = None;
    for header in headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("transfer-encoding") || is("expect") || is("upgrade") {
            return None;
        }
        if is("connection") && !header.value.eq_ignore_ascii_case(b"keep-alive") {
            return None;
        }
        if is("content-length") && length.replace(number(header.value)?).is_some() {
            return None;
        }
    }
    Some(length.unwrap_or(0)).filter(|bytes| *bytes <= BODY_CAP_BYTES)
}

fn number(digits: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &'static str) -> (Option<Plain>, Bytes) {
        let mut heard = Bytes::from_static(text.as_bytes());
        (take(&mut heard), heard)
    }

    #[test]
    fn plain_requests_are_taken_one_after_the_other() {
        let (plain, rest) =
            taken("GET /a?b HTTP/1.1\r\nHost: h\r\nCookie: x=1\r\nCookie: y\r\n\r\nPOST /c HTTP/1.1\r\n");
        let plain = plain.unwrap();
        assert_eq!((plain.request.method(), plain.request.uri().to_string()), (&Method::GET, "/a?b".to_owned()));
        assert_eq!(plain.request.headers().get_all("cookie").iter().collect::<Vec<_>>(), ["x=1", "y"]);
        assert!(plain.bytes.ends_with(b"Cookie: y\r\n\r\n") && rest == "POST /c HTTP/1.1\r\n");
        let (plain, rest) =
            taken("POST /j HTTP/1.1\r\nhost: h\r\nConnection: Keep-Alive\r\nContent-Length: 3\r\n\r\nabcGET");
        let Plain { request, bytes } = plain.unwrap();
        assert!(matches!(request.body(), VisitorBody::AtHand(body) if body == "abc"));
        assert!(bytes.ends_with(b"\r\n\r\nabc") && rest == "GET");
    }

    #[test]
    fn whatever_is_not_plain_is_left_for_hyper() {
        for text in [
            "",
            "GET / HTTP/1.1\r\nHost: h\r\n",
            "GET / HTTP/1.0\r\nHost: h\r\n\r\n",
            "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\na",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\na",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \r\n\r\na",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\na",
            "GET / HTTP/1.1\r\nHost: h\r\n folded: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
            "GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            let (plain, rest) = taken(text);
            assert!(plain.is_none() && rest == text, "{text:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_CAP + 1));
        assert!(take(&mut Bytes::from(many)).is_none());
    }
}
