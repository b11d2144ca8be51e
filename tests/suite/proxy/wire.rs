//! HTTP/1.1 read by hand, strictly, so that the tests share no parser with what they test.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// One message as it stood on the wire; `body` is what its framing encloses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub head: String,
    pub body: Vec<u8>,
}

impl Message {
    pub fn first_line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(told, _)| told.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub fn status(&self) -> u16 {
        self.first_line().split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection that reads messages and writes bytes.
pub struct Wire {
    stream: BufReader<TcpStream>,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref()).await
    }

    /// Says that nothing more will be said.
    pub async fn hang_up(&mut self) -> io::Result<()> {
        self.stream.get_mut().shutdown().await
    }

    /// Reads a head with its empty line; an end of the stream in it is an error.
    pub async fn head(&mut self) -> io::Result<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head).await? == 0 {
                let text = format!("ended in a head: {head:?}");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
            }
        }
        Ok(head)
    }

    /// Reads a message and its whole body; `bodyless` for the answer to a HEAD.
    pub async fn message(&mut self, bodyless: bool) -> io::Result<Message> {
        let mut message = Message { head: self.head().await?, body: Vec::new() };
        let none = bodyless || matches!(message.status(), 101 | 204 | 304);
        if none {
            return Ok(message);
        }
        if message.header("transfer-encoding").is_some() {
            while let Some(chunk) = self.chunk().await? {
                message.body.extend(chunk);
            }
        } else if let Some(length) = message.header("content-length") {
            message.body = vec![0; length.parse().map_err(io::Error::other)?];
            self.stream.read_exact(&mut message.body).await?;
        } else if message.first_line().starts_with("HTTP/") {
            self.stream.read_to_end(&mut message.body).await?;
        }
        Ok(message)
    }

    /// Reads one chunk; `None` is the last one, without trailers.
    pub async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut size = String::new();
        self.stream.read_line(&mut size).await?;
        let size = size.strip_suffix("\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).await?;
        assert_eq!(chunk.split_off(size), b"\r\n");
        Ok((size > 0).then_some(chunk))
    }

    pub async fn exactly(&mut self, bytes: usize) -> io::Result<String> {
        let mut read = vec![0; bytes];
        self.stream.read_exact(&mut read).await?;
        String::from_utf8(read).map_err(io::Error::other)
    }

    /// Reads up to the end, which must come; a reset counts as one.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _reset = self.stream.read_to_end(&mut rest).await;
        rest
    }
}

/// Bounds a test, so that a lost answer is a failure and not a hang.
pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("the test takes too long")
}
