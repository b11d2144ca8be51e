//! A visitor's connection: one request after another, written and read with as little work as will do, because whatever
//! the visitors of a bench cost is missing where it measures.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::TICKET;
use crate::domain::inventory::InventoryId;

/// The most an answer may have, head and body.
const ANSWER_BYTES: usize = 16 * 1024;

/// A connection that is kept alive.
pub(in crate::bench) struct Visit {
    stream: TcpStream,
    /// The head of every request, up to its idempotency key.
    head: String,
    /// The rest of it, once it asks for a row.
    tail: String,
    row: Option<InventoryId>,
    /// The answer that is being read.
    answer: Vec<u8>,
}

impl Visit {
    /// Connects, and shows the ticket with every request from then on.
    pub(super) async fn open(address: SocketAddr, ticket: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let head = format!(
            "POST /api/holds HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{TICKET}: {ticket}\r\n\
             idempotency-key: "
        );
        Ok(Self { stream, head, tail: String::new(), row: None, answer: Vec::with_capacity(ANSWER_BYTES) })
    }

    /// Holds one seat; tells whether it was granted.
    pub(in crate::bench) async fn hold(&mut self, row: InventoryId, key: &str) -> bool {
        if self.row != Some(row) {
            let body = format!(r#"{{"inventory":"{row}","quantity":1}}"#);
            self.tail = format!("\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            self.row = Some(row);
        }
        let request = [self.head.as_str(), key, self.tail.as_str()].concat();
        matches!(self.exchange(request.as_bytes()).await, Ok(201))
    }

    /// Sends a request and reads the whole answer to it; returns the status.
    async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.answer.clear();
        self.stream.write_all(request).await?;
        loop {
            match read_answer(&self.answer)? {
                Some(status) => return Ok(status),
                None if self.answer.len() >= ANSWER_BYTES => return Err(malformed()),
                None => {}
            }
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Returns the status of an answer that is complete, `None` while there is more to come.
fn read_answer(bytes: &[u8]) -> Result<Option<u16>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| malformed())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let length = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    };
    let (status, length): (u16, usize) = status.zip(lines.find_map(length)).ok_or_else(malformed)?;
    Ok((bytes.len() - end - 4 >= length).then_some(status))
}

fn malformed() -> Error {
    Error::new(ErrorKind::InvalidData, "an answer that this client cannot read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_the_last_byte_of_its_body() {
        let answer = b"HTTP/1.1 201 Created\r\ndate: now\r\nContent-Length: 4\r\n\r\nbody";
        for length in 0..answer.len() {
            assert_eq!(read_answer(&answer[..length]).unwrap(), None, "{length}");
        }
        assert_eq!(read_answer(answer).unwrap(), Some(201));
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_an_error() {
        for answer in ["\r\n\r\n", "HTTP/1.1 201 Created\r\n\r\n", "SMTP 220\r\ncontent-length: 0\r\n\r\n"] {
            assert!(read_answer(answer.as_bytes()).is_err(), "{answer:?}");
        }
        assert!(read_answer(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n").is_err());
    }
}
