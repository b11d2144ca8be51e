//! Writes an answer that is all there.

use bytes::Bytes;
use hyper::{Response, StatusCode};

use crate::clock;

/// A head of ours is rarely longer.
const HEAD_EXPECTED_BYTES: usize = 768;

/// Writes head and body in the order of hyper's; `None` where the status or a header says more about the body or the
/// connection than is known here. An upstream's answer may bring its length and its date.
pub(super) fn written<B>(answer: &Response<B>, body: &Bytes) -> Option<Vec<u8>> {
    let (status, mut has_date) = (answer.status(), false);
    let has_body = !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if status.is_informational() || (!has_body && !body.is_empty()) {
        return None;
    }
    let (mut digits, mut length) = (itoa::Buffer::new(), None);
    let bytes = digits.format(body.len()).as_bytes();
    let mut out = Vec::with_capacity(HEAD_EXPECTED_BYTES + body.len());
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    let reason = status.canonical_reason().unwrap_or_default();
    put(&[b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason.as_bytes(), b"\r\n"]);
    for (name, value) in answer.headers() {
        let name = name.as_str();
        match name {
            "connection" | "transfer-encoding" => return None,
            "content-length" if length.replace(value).is_some() => return None,
            "date" => has_date = true,
            _ => {}
        }
        put(&[name.as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    match length {
        Some(length) if !has_body || length.as_bytes() != bytes => return None,
        None if has_body => put(&[b"content-length: ", bytes, b"\r\n"]),
        _ => {}
    }
    if !has_date {
        put(&[b"date: ", &clock::http_date(), b"\r\n"]);
    }
    put(&[b"\r\n", body]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_long_it_is() {
        let answer = Response::builder().status(410).header("x-a", "b").header("set-cookie", "c").body(()).unwrap();
        let text = String::from_utf8(written(&answer, &Bytes::from_static(b"gone")).unwrap()).unwrap();
        let (before, after) = text.split_once("date: ").unwrap();
        assert_eq!(before, "HTTP/1.1 410 Gone\r\nx-a: b\r\nset-cookie: c\r\ncontent-length: 4\r\n");
        assert!(after.ends_with(" GMT\r\n\r\ngone"), "{after}");
    }

    #[test]
    fn what_an_upstream_says_of_length_and_date_is_not_said_again() {
        let answer = Response::builder().header("date", "then").header("content-length", "4").body(()).unwrap();
        let text = written(&answer, &Bytes::from_static(b"gone")).unwrap();
        assert_eq!(text, b"HTTP/1.1 200 OK\r\ndate: then\r\ncontent-length: 4\r\n\r\ngone");
    }

    #[test]
    fn what_has_no_body_has_no_length() {
        let answer = Response::builder().status(304).header("etag", "e").header("date", "then").body(()).unwrap();
        let text = written(&answer, &Bytes::new()).unwrap();
        assert_eq!(text, b"HTTP/1.1 304 Not Modified\r\netag: e\r\ndate: then\r\n\r\n");
    }

    #[test]
    fn what_switches_or_says_another_length_is_not_written() {
        let names = ["x", "content-length", "transfer-encoding", "connection"];
        for (status, name) in [(101, 0), (200, 1), (200, 2), (200, 3), (204, 1), (304, 1)] {
            let answer = Response::builder().status(status).header(names[name], "1").body(()).unwrap();
            assert!(written(&answer, &Bytes::new()).is_none(), "{status} {name}");
        }
        let twice = Response::builder().header("content-length", "0").header("content-length", "0").body(()).unwrap();
        assert!(written(&twice, &Bytes::new()).is_none());
    }
}
