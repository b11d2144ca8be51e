//! Writes an answer that is all there.

use bytes::Bytes;
use hyper::header::{self, HeaderMap};
use hyper::{Response, StatusCode};

use crate::clock;

/// A head of ours is rarely longer.
const HEAD_EXPECTED_BYTES: usize = 768;

/// Writes head and body in the order of hyper's; `None` where the status or a header says more about the body or the
/// connection than is known here.
pub(super) fn written<B>(answer: &Response<B>, body: &Bytes) -> Option<Vec<u8>> {
    let (status, headers) = (answer.status(), answer.headers());
    if !is_known(status, headers) {
        return None;
    }
    let mut out = Vec::with_capacity(HEAD_EXPECTED_BYTES + body.len());
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    let reason = status.canonical_reason().unwrap_or_default();
    put(&[b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason.as_bytes(), b"\r\n"]);
    for (name, value) in headers {
        put(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    let mut digits = itoa::Buffer::new();
    put(&[b"content-length: ", digits.format(body.len()).as_bytes(), b"\r\n"]);
    put(&[b"date: ", &clock::http_date(), b"\r\n\r\n", body]);
    Some(out)
}

fn is_known(status: StatusCode, headers: &HeaderMap) -> bool {
    let has_body = status.as_u16() >= 200 && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let said = [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::DATE];
    has_body && !said.iter().any(|name| headers.contains_key(name))
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
    fn what_has_no_body_or_says_its_own_length_is_not_written() {
        for (status, name) in [(204, "x"), (304, "x"), (101, "x"), (200, "content-length"), (200, "transfer-encoding")]
        {
            let answer = Response::builder().status(status).header(name, "1").body(()).unwrap();
            assert!(written(&answer, &Bytes::new()).is_none(), "{status} {name}");
        }
    }
}
