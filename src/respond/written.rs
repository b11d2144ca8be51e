//! Writes an answer that is all there.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;

use bytes::Bytes;
use hyper::header::HeaderName;
use hyper::{Response, StatusCode};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::clock;
use crate::proxy::lines::put_line;
use crate::waiting::WaitingPage;

/// The lines of an answer rarely take more.
const LINES_EXPECTED_BYTES: usize = 640;

/// Neither do its first line, its length and its date.
const FRAME_EXPECTED_BYTES: usize = 128;

/// A body of more bytes is not copied behind its head.
const COPY_CAP_BYTES: usize = 4 << 10;

/// Head and body as they are sent.
#[derive(Debug)]
pub struct Written {
    /// The head, and a short body.
    pub(super) front: Vec<u8>,
    /// A body that is not copied behind its head, but sent from where it is.
    pub(super) rest: Rest,
}

/// What is sent after a head.
#[derive(Debug)]
pub(super) enum Rest {
    Nothing,
    Body(Bytes),
    Page(WaitingPage),
}

impl Rest {
    fn parts(&self) -> [&[u8]; 3] {
        match self {
            Self::Nothing => [&[]; 3],
            Self::Body(body) => [body, &[], &[]],
            Self::Page(page) => page.parts(),
        }
    }
}

impl Written {
    /// Sends all of it.
    ///
    /// # Errors
    /// What the stream says.
    pub async fn send<W: AsyncWrite + Unpin>(self, stream: &mut W) -> io::Result<()> {
        if let Rest::Nothing = self.rest {
            stream.write_all(&self.front).await?;
        } else {
            let [a, b, c] = self.rest.parts();
            send_all(stream, &mut [&self.front, a, b, c].map(IoSlice::new)).await?;
        }
        stream.flush().await
    }
}

#[cfg(test)]
impl Written {
    /// Returns all of it.
    pub(super) fn text(&self) -> Vec<u8> {
        let [a, b, c] = self.rest.parts();
        [&self.front, a, b, c].concat()
    }
}

async fn send_all<W: AsyncWrite + Unpin>(stream: &mut W, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
    // Those of no bytes go.
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        let sent = poll_fn(|cx| Pin::new(&mut *stream).poll_write_vectored(cx, parts)).await?;
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut parts, sent);
    }
    Ok(())
}

/// A head that is being written, or some of its lines, in the order of hyper's.
#[derive(Debug, Default)]
pub(super) struct Head(Vec<u8>);

impl Head {
    /// Begins one with lines that were written before; so many bytes are expected behind them.
    pub(super) fn of(status: StatusCode, lines: &[u8], more: usize) -> Self {
        let mut out = Vec::with_capacity(FRAME_EXPECTED_BYTES + lines.len() + more);
        let reason = status.canonical_reason().unwrap_or_default().as_bytes();
        for part in [b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason, b"\r\n", lines] {
            out.extend_from_slice(part);
        }
        Self(out)
    }

    pub(super) fn put(&mut self, name: &HeaderName, value: &[u8]) {
        put_line(&mut self.0, name.as_str(), value);
    }

    pub(super) fn into_text(self) -> Vec<u8> {
        self.0
    }

    fn put_length(&mut self, bytes: usize) {
        put_line(&mut self.0, "content-length", itoa::Buffer::new().format(bytes).as_bytes());
    }

    fn put_date(&mut self) {
        put_line(&mut self.0, "date", &clock::http_date());
    }

    /// Ends it, with length, date and a body that is copied behind it.
    pub(super) fn with_short(mut self, body: &[u8]) -> Written {
        self.put_length(body.len());
        self.put_date();
        self.0.extend_from_slice(b"\r\n");
        self.0.extend_from_slice(body);
        Written { front: self.0, rest: Rest::Nothing }
    }

    /// Ends it, with length and date.
    pub(super) fn with(mut self, rest: Rest) -> Written {
        self.put_length(rest.parts().iter().map(|part| part.len()).sum());
        self.put_date();
        self.0.extend_from_slice(b"\r\n");
        Written { front: self.0, rest }
    }
}

/// Writes head and body in the order of hyper's; `None` where the status or a header says more about the body or the
/// connection than is known here. An upstream's answer may bring its length and its date.
pub fn written<B>(answer: &Response<B>, body: &Bytes) -> Option<Written> {
    let (status, mut has_date, mut length) = (answer.status(), false, None);
    let has_body = !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if status.is_informational() || (!has_body && !body.is_empty()) {
        return None;
    }
    let (is_short, bytes) = (body.len() <= COPY_CAP_BYTES, body.len());
    let mut head = Head::of(status, &[], LINES_EXPECTED_BYTES + if is_short { bytes } else { 0 });
    for (name, value) in answer.headers() {
        match name.as_str() {
            "connection" | "transfer-encoding" => return None,
            "content-length" if length.replace(value).is_some() => return None,
            "date" => has_date = true,
            _ => {}
        }
        head.put(name, value.as_bytes());
    }
    let is_it = |length: &[u8]| length == itoa::Buffer::new().format(bytes).as_bytes();
    match length {
        Some(length) if !has_body || !is_it(length.as_bytes()) => return None,
        None if has_body => head.put_length(bytes),
        _ => {}
    }
    if !has_date {
        head.put_date();
    }
    let mut front = head.into_text();
    front.extend_from_slice(b"\r\n");
    front.extend_from_slice(if is_short { body } else { &[] });
    Some(Written { front, rest: if is_short { Rest::Nothing } else { Rest::Body(body.clone()) } })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::waiting::{Coding, Language, Pages, Theme, sample};

    fn text<B>(answer: &Response<B>, body: &'static [u8]) -> Option<Bytes> {
        Some(written(answer, &Bytes::from_static(body))?.text().into())
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
        assert!(written.front.ends_with(b"GMT\r\n\r\n"));
        assert!(matches!(written.rest, Rest::Body(own) if own.as_ptr() == body.as_ptr()), "it is no copy");
        let all = text(&answer, &LONG).unwrap();
        assert!(all.ends_with(&LONG) && all.starts_with(b"HTTP/1.1 200 OK\r\ncontent-length: 4097\r\n"));
    }

    #[tokio::test]
    async fn all_of_it_is_sent_to_whoever_takes_little_at_a_time() {
        static LONG: [u8; COPY_CAP_BYTES + 1] = [b'x'; COPY_CAP_BYTES + 1];
        let of = |body| written(&Response::new(()), &Bytes::from_static(body)).unwrap();
        let pages = Pages::new([("sale", "Sale", &Theme::default())]);
        let page = pages.waiting(&sample("waiting", "sale", 0).unwrap(), "", Language::En, Coding::Gzip);
        let (whole, page) = (page.parts().concat(), Head::of(StatusCode::OK, &[], 0).with(Rest::Page(page)));
        for (written, body) in [(of(&LONG), &LONG[..]), (of(b"short"), b"short"), (page, &whole)] {
            let all = written.text();
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
