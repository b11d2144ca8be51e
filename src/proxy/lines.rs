//! The lines of a request's head for the upstream: one after the other they go into a [`HeaderMap`], for hyper, or into the
//! text that is sent as it is.

use std::io::Write as _;
use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

/// Takes the lines of a head.
pub trait Lines {
    /// Takes one as the visitor wrote it.
    fn copy(&mut self, name: &HeaderName, value: &HeaderValue);

    /// Takes one of the gateway's own, whose value comes in pieces, in none of which a line [ends](ends_line).
    fn write(&mut self, name: &HeaderName, pieces: &[&[u8]]);
}

impl Lines for HeaderMap {
    fn copy(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.append(name, value.clone());
    }

    fn write(&mut self, name: &HeaderName, pieces: &[&[u8]]) {
        let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(pieces.concat()));
        self.append(name, value.unwrap_or(HeaderValue::from_static("")));
    }
}

/// Writes a line into a text. Each mark is a write of its own, which is known to be of two bytes.
pub fn put_line(text: &mut Vec<u8>, name: &str, value: &[u8]) {
    put_name(text, name);
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}

pub(super) fn put_name(text: &mut Vec<u8>, name: &str) {
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b": ");
}

/// Tells whether a line would end in a value, and what comes after be another's.
pub(super) fn ends_line(value: &[u8]) -> bool {
    memchr::memchr3(b'\r', b'\n', b'\0', value).is_some()
}

/// No address is longer.
const ADDRESS_CAP_BYTES: usize = 45;

/// An address as it is written.
pub(super) struct AddressText {
    text: [u8; ADDRESS_CAP_BYTES],
    bytes: usize,
}

impl AddressText {
    /// Writes an address, one of version 4 by hand: most are, and the standard way takes ten times as long.
    pub(super) fn of(address: IpAddr) -> Self {
        let mut text = [b'.'; ADDRESS_CAP_BYTES];
        let bytes = match address {
            IpAddr::V4(address) => put_octets(&mut text, address.octets()),
            IpAddr::V6(address) => {
                let mut rest = &mut text[..];
                write!(rest, "{address}").expect("no address is longer");
                ADDRESS_CAP_BYTES - rest.len()
            }
        };
        Self { text, bytes }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.text[..self.bytes]
    }
}

/// Writes numbers between the dots that are there, and returns where the last one ends.
fn put_octets(text: &mut [u8], octets: [u8; 4]) -> usize {
    let mut end = 0;
    for mut octet in octets {
        let digits = 1 + usize::from(octet >= 10) + usize::from(octet >= 100);
        for digit in text[end..end + digits].iter_mut().rev() {
            *digit = b'0' + octet % 10;
            octet /= 10;
        }
        end += digits + 1;
    }
    end - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_split() {
        let (mut headers, name) = (HeaderMap::new(), HeaderName::from_static("a"));
        headers.write(&name, &[b"x", b"", b"y"]);
        headers.write(&name, &[b"x\r\n", b"b: y"]);
        headers.copy(&name, &HeaderValue::from_static("z"));
        assert_eq!(headers.get_all(name).iter().collect::<Vec<_>>(), ["xy", "", "z"]);
    }

    #[test]
    fn addresses_read_as_the_standard_library_writes_them() {
        for text in ["0.0.0.0", "9.10.99.100", "255.200.1.255", "2001:db8::17", "::ffff:255.255.255.255"] {
            assert_eq!(AddressText::of(text.parse().unwrap()).as_bytes(), text.as_bytes());
        }
        let long = "1111:2222:3333:4444:5555:6666:7777:8888";
        assert_eq!(AddressText::of(long.parse().unwrap()).as_bytes(), long.as_bytes());
    }
}
