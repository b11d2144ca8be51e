//! HTTP/1.1 as far as a crowd needs it: one question, one answer, read to its end.
//!
//! The crowd shares the machine with what it measures, and a general client costs more for a question than the gateway for
//! the answer. This one keeps a buffer for each connection and nothing else; `httparse` reads the heads.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::{HeaderMap, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::wire::Answer;

const HEAD_MAX_BYTES: usize = 64 << 10;
const BODY_MAX_BYTES: usize = 4 << 20;
const HEADERS_MAX: usize = 64;
/// Room for a read; most answers fit.
const READ_BYTES: usize = 4 << 10;
/// Longest line that says how long a chunk is.
const CHUNK_LINE_MAX_BYTES: usize = 256;

/// An open connection.
#[derive(Debug)]
pub struct Open {
    stream: TcpStream,
    read: BytesMut,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Bytes(usize),
    Chunked,
    UntilClosed,
}

struct Head {
    status: StatusCode,
    headers: HeaderMap,
    keeps: bool,
}

impl Open {
    /// Takes a connection.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, read: BytesMut::new() }
    }

    /// Asks, and reads the answer to its end. Tells whether another question may follow.
    ///
    /// # Errors
    /// When the connection ends too early, or what comes is not HTTP or too much of it.
    pub async fn exchange(&mut self, question: &[u8]) -> io::Result<(Answer, bool)> {
        self.stream.write_all(question).await?;
        let mut head = self.head().await?;
        while head.status.is_informational() {
            head = self.head().await?;
        }
        let length = length_of(&head)?;
        let body = match length {
            Length::Bytes(bytes) => self.take(bytes).await?,
            Length::Chunked => self.chunks().await?,
            Length::UntilClosed => self.rest().await?,
        };
        let is_reusable = head.keeps && length != Length::UntilClosed && self.read.is_empty();
        if self.read.is_empty() {
            // Most wait long until the next question; so does the buffer otherwise.
            self.read = BytesMut::new();
        }
        Ok((Answer { status: head.status, headers: head.headers, body }, is_reusable))
    }

    async fn head(&mut self) -> io::Result<Head> {
        loop {
            if let Some((head, bytes)) = read_head(&self.read)? {
                self.read.advance(bytes);
                return Ok(head);
            }
            if self.read.len() > HEAD_MAX_BYTES {
                return Err(garbled("a head of more than 64 KiB"));
            }
            self.more().await?;
        }
    }

    /// Reads on; the end of the connection is an error.
    async fn more(&mut self) -> io::Result<()> {
        match self.some().await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Reads what is there, at most some kilobytes; 0 bytes at the end of the connection.
    async fn some(&mut self) -> io::Result<usize> {
        self.read.reserve(READ_BYTES);
        self.stream.read_buf(&mut self.read).await
    }

    async fn take(&mut self, bytes: usize) -> io::Result<Bytes> {
        if bytes > BODY_MAX_BYTES {
            return Err(garbled("a body of more than 4 MiB"));
        }
        while self.read.len() < bytes {
            self.more().await?;
        }
        Ok(self.read.split_to(bytes).freeze())
    }

    async fn chunks(&mut self) -> io::Result<Bytes> {
        let mut body = BytesMut::new();
        loop {
            let line = self.line().await?;
            let size = line.split(|byte| *byte == b';').next().and_then(|size| std::str::from_utf8(size).ok());
            let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
            match size.ok_or_else(|| garbled("a chunk without its length"))? {
                0 => break,
                size if body.len() + size > BODY_MAX_BYTES => return Err(garbled("a body of more than 4 MiB")),
                size => body.extend_from_slice(&self.take(size).await?),
            }
            self.line().await?;
        }
        while !self.line().await?.is_empty() {}
        Ok(body.freeze())
    }

    /// Takes a line off, without its end.
    async fn line(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(end) = self.read.windows(2).position(|two| two == b"\r\n") {
                let line = self.read.split_to(end).freeze();
                self.read.advance(2);
                return Ok(line);
            }
            if self.read.len() > CHUNK_LINE_MAX_BYTES {
                return Err(garbled("a chunk without its length"));
            }
            self.more().await?;
        }
    }

    async fn rest(&mut self) -> io::Result<Bytes> {
        while self.some().await? > 0 {
            if self.read.len() > BODY_MAX_BYTES {
                return Err(garbled("a body of more than 4 MiB"));
            }
        }
        Ok(self.read.split().freeze())
    }
}

fn garbled(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads a head and its length; `None` while it is not all there.
fn read_head(read: &[u8]) -> io::Result<Option<(Head, usize)>> {
    let mut lines = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut lines);
    let parsed = response.parse(read).map_err(|_| garbled("what came is not HTTP"))?;
    let httparse::Status::Complete(bytes) = parsed else { return Ok(None) };
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for line in response.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| garbled("a bad header"))?;
        headers.append(name, HeaderValue::from_bytes(line.value).map_err(|_| garbled("a bad header"))?);
    }
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(|| garbled("what came is not HTTP"))?;
    let says_close = headers.get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
    Ok(Some((Head { status, headers, keeps: response.version == Some(1) && !says_close }, bytes)))
}

fn length_of(head: &Head) -> io::Result<Length> {
    if matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Length::Bytes(0));
    }
    if head.headers.contains_key(TRANSFER_ENCODING) {
        return Ok(Length::Chunked);
    }
    match head.headers.get(CONTENT_LENGTH) {
        Some(length) => length
            .to_str()
            .ok()
            .and_then(|length| length.parse().ok())
            .map(Length::Bytes)
            .ok_or_else(|| garbled("a body of no length")),
        None => Ok(Length::UntilClosed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Asks a server that answers so, in pieces of `piece` bytes, and closes.
    async fn heard(answer: &'static [u8], piece: usize) -> io::Result<(u16, Bytes, bool)> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut asked = [0; 1];
            stream.read_exact(&mut asked).await.unwrap();
            for piece in answer.chunks(piece) {
                stream.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut open = Open::new(TcpStream::connect(address).await.unwrap());
        let heard = open.exchange(b"?").await;
        server.await.unwrap();
        heard.map(|(answer, keeps)| (answer.status.as_u16(), answer.body, keeps))
    }

    #[tokio::test]
    async fn answers_are_read_however_they_end_and_however_they_come() {
        let cases: [(&[u8], u16, &str, bool); 6] = [
            (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", 200, "hello", true),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", 200, "hello", false),
            (
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\na: b\r\n\r\n",
                200,
                "hello",
                true,
            ),
            (b"HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello", false),
            (b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n", 204, "", true),
            (b"HTTP/1.0 429 Wait\r\ncontent-length: 2\r\n\r\n{}", 429, "{}", false),
        ];
        for (answer, code, body, keeps) in cases {
            for piece in [1, 7, 4_096] {
                let heard = heard(answer, piece).await.unwrap();
                assert_eq!(heard, (code, Bytes::from_static(body.as_bytes()), keeps), "in pieces of {piece}");
            }
        }
    }

    #[tokio::test]
    async fn what_breaks_off_or_is_no_http_is_an_error() {
        let cases: [&[u8]; 5] = [
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello",
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n",
        ];
        for answer in cases {
            assert!(heard(answer, 64).await.is_err(), "{}", String::from_utf8_lossy(answer));
        }
    }
}
