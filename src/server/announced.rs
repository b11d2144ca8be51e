//! The PROXY protocol: a balancer that only passes bytes says first whose they are.
//!
//! Versions 1 and 2 of the specification of HAProxy (2010 to 2020), for TCP. What is read is exactly the header: the
//! bytes after it are the visitor's.

use std::io;
use std::net::IpAddr;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What a header of version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header of version 1, its line end included.
const LINE_CAP_BYTES: usize = 107;

/// The longest rest of a header of version 2: addresses, and what a balancer adds about TLS.
const REST_CAP_BYTES: usize = 4_096;

/// Why a connection says not, or not rightly, whose it is.
#[derive(Debug, Error)]
pub enum Unannounced {
    /// It begins with something else.
    #[error("the connection does not begin with a header of the PROXY protocol")]
    NoHeader,
    /// It ended, or broke.
    #[error("the connection ended in its header")]
    Ended(#[from] io::Error),
}

/// Reads a header and returns the address that it names; `None` where the balancer speaks for itself, as in a check of
/// its own.
///
/// # Errors
/// [`Unannounced`]; then the connection is of no use. It is not bounded in time.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, Unannounced> {
    let mut first = [0; SIGNATURE.len()];
    stream.read_exact(&mut first).await?;
    if first != SIGNATURE {
        return of_line(&rest_of_line(stream, &first).await?).ok_or(Unannounced::NoHeader);
    }
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let [version_and_command, family, high, low] = head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > REST_CAP_BYTES {
        return Err(Unannounced::NoHeader);
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    of_binary(version_and_command, family, &rest).ok_or(Unannounced::NoHeader)
}

/// Reads on to the end of a line, byte by byte: what follows is not ours.
async fn rest_of_line(stream: &mut (impl AsyncRead + Unpin), first: &[u8]) -> Result<Vec<u8>, Unannounced> {
    let mut line = first.to_vec();
    while line.starts_with(b"PROXY ") && line.len() < LINE_CAP_BYTES && !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await?);
    }
    Ok(line)
}

fn of_line(line: &[u8]) -> Option<Option<IpAddr>> {
    let line = std::str::from_utf8(line).ok()?.strip_prefix("PROXY ")?.strip_suffix("\r\n")?;
    if line.split(' ').next() == Some("UNKNOWN") {
        return Some(None);
    }
    let words: Vec<&str> = line.split(' ').collect();
    let [family, source, destination, source_port, destination_port] = words[..] else { return None };
    let [source, destination]: [IpAddr; 2] = [source.parse().ok()?, destination.parse().ok()?];
    let _ports: [u16; 2] = [source_port.parse().ok()?, destination_port.parse().ok()?];
    let is_of = |address: IpAddr| if family == "TCP4" { address.is_ipv4() } else { address.is_ipv6() };
    let is_sound = matches!(family, "TCP4" | "TCP6") && is_of(source) && is_of(destination);
    is_sound.then(|| Some(source.to_canonical()))
}

fn of_binary(version_and_command: u8, family: u8, rest: &[u8]) -> Option<Option<IpAddr>> {
    match (version_and_command, family) {
        (0x20, _) => Some(None),
        (0x21, 0x11) if rest.len() >= 12 => Some(Some(IpAddr::from(*rest.first_chunk::<4>()?))),
        (0x21, 0x21) if rest.len() >= 36 => Some(Some(IpAddr::from(*rest.first_chunk::<16>()?).to_canonical())),
        // A family that names no address of the Internet: the balancer's own is all there is.
        (0x21, 0x00 | 0x31 | 0x32) => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(header: &[u8], expected: Option<Option<&str>>) {
        let bytes = [header, b"GET /"].concat();
        let mut stream = bytes.as_slice();
        let read = read(&mut stream).await;
        let expected = expected.map(|address| address.map(|text| text.parse::<IpAddr>().unwrap()));
        assert_eq!(read.ok(), expected, "{}", header.escape_ascii());
        if expected.is_some() {
            assert_eq!(stream, b"GET /", "what follows is the visitor's");
        }
    }

    #[tokio::test]
    async fn reads_lines() {
        check(b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", Some(Some("192.0.2.7"))).await;
        check(b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n", Some(Some("2001:db8::7"))).await;
        check(b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 1 2\r\n", Some(Some("192.0.2.7"))).await;
        check(b"PROXY UNKNOWN\r\n", Some(None)).await;
        check(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", Some(None)).await;
        for bad in [
            "GET / HTTP/1.1\r\n\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
            "PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
            "PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n",
            "PROXY TCP4 192.0.2.7  198.51.100.1 1 2\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n\n",
            "PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
            "proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
        ] {
            check(bad.as_bytes(), None).await;
        }
        check(format!("PROXY UNKNOWN {}\r\n", "x".repeat(LINE_CAP_BYTES)).as_bytes(), None).await;
    }

    #[tokio::test]
    async fn reads_the_binary_form() {
        let header = |command: u8, family: u8, rest: &[u8]| {
            let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
            [SIGNATURE.as_slice(), &[command, family], &length, rest].concat()
        };
        let (four, six) = ([192, 0, 2, 7, 198, 51, 100, 1, 0, 80, 1, 187], [0x20; 36]);
        check(&header(0x21, 0x11, &four), Some(Some("192.0.2.7"))).await;
        check(&header(0x21, 0x11, &[&four[..], &[4; 90]].concat()), Some(Some("192.0.2.7"))).await;
        check(&header(0x21, 0x21, &six), Some(Some("2020:2020:2020:2020:2020:2020:2020:2020"))).await;
        check(&header(0x20, 0x11, &four), Some(None)).await;
        check(&header(0x20, 0x00, &[]), Some(None)).await;
        check(&header(0x21, 0x00, &[]), Some(None)).await;
        check(&header(0x21, 0x11, &four[..11]), None).await;
        check(&header(0x21, 0x21, &four), None).await;
        check(&header(0x22, 0x11, &four), None).await;
        check(&header(0x11, 0x11, &four), None).await;
        check(&header(0x21, 0x12, &four), None).await;
        check(&header(0x21, 0x11, &vec![1; REST_CAP_BYTES + 1]), None).await;
    }
}
