//! Writes an answer that is all there.

use std::io;

use bytes::{Buf as _, Bytes};
use hyper::{Response, StatusCode};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::clock;
use crate::proxy::lines::put_line;

/// A head of ours is rarely longer.
const HEAD_EXPECTED_BYTES: usize = 768;

/// A body of more bytes is not copied behind its head.
const COPY_CAP_BYTES: usize = 4 << 10;

/// Head and body as they are sent.
#[derive(Debug)]
pub struct Written {
    /// The head, and a short body.
    pub(super) front: Vec<u8>,
    /// A long body: no copy, but the memory it came in.
    pub(super) rest: Bytes,
}

impl Written {
    /// Sends all of it.
    ///
    /// # Errors
    /// What the stream says.
    pub async fn send<W: AsyncWrite + Unpin>(self, stream: &mut W) -> io::Result<()> {
        if self.rest.is_empty() {
            stream.write_all(&self.front).await?;
        } else {
            stream.write_all_buf(&mut self.front.chain(self.rest)).await?;
        }
        stream.flush().await
    }
}

/// Writes head and body in the order of hyper's; `None` where the status or a header says more about the body or the
/// connection than is known here. An upstream's answer may bring its length and its date.
pub fn written<B>(answer: &Response<B>, body: &Bytes) -> Option<Written> {
    let (status, mut has_date) = (answer.status(), false);
    let has_body = !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if status.is_informational() || (!has_body && !body.is_empty()) {
        return None;
    }
    let (mut digits, mut length) = (itoa::Buffer::new(), None);
    let bytes = digits.format(body.len()).as_bytes();
    let is_short = body.len() <= COPY_CAP_BYTES;
    let mut out = Vec::with_capacity(HEAD_EXPECTED_BYTES + if is_short { body.len() } else { 0 });
    let reason = status.canonical_reason().unwrap_or_default().as_bytes();
    for part in [b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason, b"\r\n"] {
        out.extend_from_slice(part);
    }
    for (name, value) in answer.headers() {
        let name = name.as_str();
        match name {
            "connection" | "transfer-encoding" => return None,
            "content-length" if length.replace(value).is_some() => return None,
            "date" => has_date = true,
            _ => {}
        }
        put_line(&mut out, name, value.as_bytes());
    }
    match length {
        Some(length) if !has_body || length.as_bytes() != bytes => return None,
        None if has_body => put_line(&mut out, "content-length", bytes),
        _ => {}
    }
    if !has_date {
        put_line(&mut out, "date", &clock::http_date());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(if is_short { body } else { &[] });
    Some(Written { front: out, rest: if is_short { Bytes::new() } else { body.clone() } })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn text<B>(answer: &Response<B>, body: &'static [u8]) -> Option<Bytes> {
        let Written { front, rest } = written(answer, &Bytes::from_static(body))?;
        Some([front, rest.into()].concat().into())
    }

    #[test]
    fn says_how_long_it_is() {
        let answer = Response::builder().status(410).header("x-a", "b").header("set-cookie", "c").body(()).unwrap();
        let told = String::from_utf8(text(&answer, b"gone").unwrap().into()).unwrap();
        let (before, after) = told.split_once("date: ").unwrap();
        assert_eq!(before, "HTTP/1.1 410 Gone\r\nx-a: b\r\nset-cookie: c\r\ncontent-length: 4\r\n");
        assert!(after.ends_with(" GMT\r\n\r\ngone"), "{after}");
    }

    #[test]
    fn a_long_body_stands_for_itself() {
        static LONG: [u8; COPY_CAP_BYTES + 1] = [b'x'; COPY_CAP_BYTES + 1];
        let (answer, body) = (Response::new(()), Bytes::from_static(&LONG));
        let written = written(&answer, &body).unwrap();
        assert!(written.front.ends_with(b"GMT\r\n\r\n") && written.rest == body);
        let all = text(&answer, &LONG).unwrap();
        assert!(all.ends_with(&LONG) && all.starts_with(b"HTTP/1.1 200 OK\r\ncontent-length: 4097\r\n"));
    }

    #[tokio::test]
    async fn all_of_it_is_sent_to_whoever_takes_little_at_a_time() {
        static LONG: [u8; COPY_CAP_BYTES + 1] = [b'x'; COPY_CAP_BYTES + 1];
        for body in [&LONG[..], b"short"] {
            let written = written(&Response::new(()), &Bytes::from_static(body)).unwrap();
            let all = [&written.front[..], &written.rest[..]].concat();
            let (mut near, mut far) = tokio::io::duplex(64);
            let sending = async move { written.send(&mut near).await };
            let mut heard = Vec::new();
            let (sent, read) = tokio::join!(sending, far.read_to_end(&mut heard));
            assert!(sent.is_ok() && read.is_ok() && heard == all && all.ends_with(body));
        }
    }

    #[test]
    fn what_an_upstream_says_of_length_and_date_is_not_said_again() {
        let answer = Response::builder().header("date", "then").header("content-length", "4").body(()).unwrap();
        assert_eq!(text(&answer, b"gone").unwrap(), "HTTP/1.1 200 OK\r\ndate: then\r\ncontent-length: 4\r\n\r\ngone");
    }

    #[test]
    fn what_has_no_body_has_no_length() {
        let answer = Response::builder().status(304).header("etag", "e").header("date", "then").body(()).unwrap();
        assert_eq!(text(&answer, b"").unwrap(), "HTTP/1.1 304 Not Modified\r\netag: e\r\ndate: then\r\n\r\n");
    }

    #[test]
    fn what_switches_or_says_another_length_is_not_written() {
        let names = ["x", "content-length", "transfer-encoding", "connection"];
        for (status, name) in [(101, 0), (200, 1), (200, 2), (200, 3), (204, 1), (304, 1)] {
            let answer = Response::builder().status(status).header(names[name], "1").body(()).unwrap();
            assert!(text(&answer, b"").is_none(), "{status} {name}");
        }
        let twice = Response::builder().header("content-length", "0").header("content-length", "0").body(()).unwrap();
        assert!(text(&twice, b"").is_none());
    }
}
