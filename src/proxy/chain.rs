//! Who passed a request on, as the proxies in front tell it: `X-Forwarded-For`, or `Forwarded` (RFC 7239).
//!
//! One of the two is believed, the one that the proxies are known to write. The other may be what a visitor wrote.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{self, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Which header the proxies in front write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChainHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded`.
    Forwarded,
}

/// Returns the addresses of the chain, the visitor's first; `None` for one that names no address.
pub(super) fn addresses(headers: &HeaderMap, header: ChainHeader) -> Vec<Option<IpAddr>> {
    match header {
        ChainHeader::XForwardedFor => {
            let lines = headers.get_all(X_FORWARDED_FOR).iter();
            lines.flat_map(|line| line.to_str().unwrap_or_default().split(',')).map(address).collect()
        }
        ChainHeader::Forwarded => {
            let lines = headers.get_all(header::FORWARDED).iter();
            lines.flat_map(|line| parts(line.to_str().unwrap_or_default(), ',')).map(address_of_element).collect()
        }
    }
}

/// Reads an address as proxies write it: bare, or with a port, and then in brackets where it is of version 6.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = || hop.parse::<IpAddr>().ok();
    let with_port = || Some(hop.parse::<std::net::SocketAddr>().ok()?.ip());
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address = bare().or_else(with_port).or_else(bracketed)?;
    Some(address.to_canonical())
}

/// Reads `for` of an element; two of them are none.
fn address_of_element(element: &str) -> Option<IpAddr> {
    let pairs = parts(element, ';').into_iter().filter_map(|pair| pair.split_once('='));
    let mut nodes = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for")).map(|(_, node)| node.trim());
    let node = nodes.next().filter(|_| nodes.next().is_none())?;
    address(node.strip_prefix('"').and_then(|node| node.strip_suffix('"')).unwrap_or(node))
}

/// Splits a text at a mark, but for those in quotes. An open quote swallows the rest.
fn parts(text: &str, mark: char) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let is_end = |letter: char| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match letter {
            '\\' if is_quoted && !was_escaped => is_escaped = true,
            '"' if !was_escaped => is_quoted = !is_quoted,
            _ => return letter == mark && !is_quoted,
        }
        false
    };
    text.split(is_end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[Option<&str>]) {
        let headers = HeaderMap::from_iter([(header::FORWARDED, line.parse().unwrap())]);
        let expected: Vec<_> = expected.iter().map(|text| text.map(|text| text.parse::<IpAddr>().unwrap())).collect();
        assert_eq!(addresses(&headers, ChainHeader::Forwarded), expected, "{line}");
        assert_eq!(addresses(&headers, ChainHeader::XForwardedFor), [], "the other header does not count");
    }

    #[test]
    fn forwarded_is_read_as_it_is_written() {
        check("for=192.0.2.43", &[Some("192.0.2.43")]);
        check("For=\"[2001:db8:cafe::17]:4711\"", &[Some("2001:db8:cafe::17")]);
        check("for=192.0.2.60;proto=http;by=203.0.113.43", &[Some("192.0.2.60")]);
        check("for=192.0.2.43, FOR=\"198.51.100.17:80\"", &[Some("192.0.2.43"), Some("198.51.100.17")]);
        check("for=unknown, for=_hidden, for=192.0.2.1", &[None, None, Some("192.0.2.1")]);
        check("by=\"a,for=10.0.0.1;\";for=192.0.2.1", &[Some("192.0.2.1")]);
        check("by=\"a\\\",for=10.0.0.1\";for=192.0.2.1", &[Some("192.0.2.1")]);
        check("for=10.0.0.1;for=192.0.2.1", &[None]);
        check("by=\"open, for=192.0.2.1", &[None]);
        check("", &[None]);
    }
}
