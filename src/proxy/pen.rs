//! What the gateway writes into headers.

use std::fmt::Write as _;
use std::net::IpAddr;

use bytes::BytesMut;
use hyper::header::HeaderValue;

/// All values of one request have room in so many bytes, but for a long pass.
const ROOM_BYTES: usize = 256;

/// Writes values one after the other into the same memory, of which each is a part: so they cost one allocation, and a
/// copy of them none.
pub(super) struct Pen(BytesMut);

impl Pen {
    pub(super) fn new() -> Self {
        Self(BytesMut::with_capacity(ROOM_BYTES))
    }

    /// Writes some bytes.
    pub(super) fn bytes(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.0.extend_from_slice(bytes.as_ref());
        self
    }

    /// Writes an address, one of version 4 by hand: most are, and the standard way takes ten times as long.
    pub(super) fn address(&mut self, address: IpAddr) -> &mut Self {
        match address {
            IpAddr::V4(address) => self.octets(address.octets()),
            IpAddr::V6(address) => write!(self.0, "{address}").expect("memory takes what is written"),
        }
        self
    }

    fn octets(&mut self, octets: [u8; 4]) {
        let (mut text, mut end) = ([b'.'; 16], 0);
        for mut octet in octets {
            let digits = 1 + usize::from(octet >= 10) + usize::from(octet >= 100);
            for digit in text[end..end + digits].iter_mut().rev() {
                *digit = b'0' + octet % 10;
                octet /= 10;
            }
            end += digits + 1;
        }
        self.bytes(&text[..end - 1]);
    }

    /// Ends a value; one with control bytes in it becomes empty, not split.
    pub(super) fn value(&mut self) -> HeaderValue {
        HeaderValue::from_maybe_shared(self.0.split().freeze()).unwrap_or(HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_one_by_one() {
        let mut pen = Pen::new();
        assert_eq!(pen.bytes("for=").bytes(b"x").value(), "for=x");
        assert_eq!(pen.bytes("a\nb").value(), "");
        let long = "x".repeat(3 * ROOM_BYTES);
        assert_eq!((pen.bytes(&long).value(), pen.value()), (long.parse().unwrap(), HeaderValue::from_static("")));
    }

    #[test]
    fn addresses_read_as_the_standard_library_writes_them() {
        for text in ["0.0.0.0", "9.10.99.100", "255.200.1.255", "2001:db8::17", "::ffff:192.0.2.1"] {
            assert_eq!(Pen::new().address(text.parse().unwrap()).value(), text);
        }
    }
}
