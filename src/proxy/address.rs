//! Where an upstream listens, and what it speaks there.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// What is spoken with an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1.
    Http,
    /// TLS, and then HTTP/2 or HTTP/1.1, as is agreed on.
    Https,
    /// HTTP/2 without TLS, as is known beforehand.
    H2c,
}

/// Where an upstream listens: `http://HOST:PORT`, `https://HOST:PORT` or `h2c://HOST:PORT`. Without a scheme it is
/// `http`, and without a port that of the scheme.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UpstreamAddress {
    scheme: Scheme,
    host: String,
    port: u16,
}

/// Says that a text is no address of an upstream.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error("an upstream is written http://HOST:PORT, https://HOST:PORT or h2c://HOST:PORT, without a path")]
pub struct BadAddress;

impl Scheme {
    const ALL: [Self; 3] = [Self::Http, Self::Https, Self::H2c];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
            Self::H2c => "h2c://",
        }
    }
}

impl UpstreamAddress {
    /// Returns what is spoken there.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the host as a `Host` header names it.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl FromStr for UpstreamAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let told = |scheme: &Scheme| Some((*scheme, text.strip_prefix(scheme.prefix())?));
        let (scheme, authority) = Scheme::ALL.iter().find_map(told).unwrap_or((Scheme::Http, text));
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let own_port = if scheme == Scheme::Https { 443 } else { 80 };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| BadAddress)?),
            _ => (authority, own_port),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let valid = match bare {
            Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(plain),
        };
        let host = bare.unwrap_or(host).to_owned();
        if valid && port != 0 { Ok(Self { scheme, host, port }) } else { Err(BadAddress) }
    }
}

impl fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.scheme.prefix(), self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        let check = |text: &str, scheme, host: &str, port| {
            let expected = UpstreamAddress { scheme, host: host.to_owned(), port };
            assert_eq!(text.parse(), Ok(expected.clone()), "{text}");
            assert_eq!(expected.to_string().parse(), Ok(expected), "{text}");
        };
        check("http://127.0.0.1:3000", Scheme::Http, "127.0.0.1", 3000);
        check("http://booking/", Scheme::Http, "booking", 80);
        check("[::1]:81", Scheme::Http, "::1", 81);
        check("http://[::1]", Scheme::Http, "::1", 80);
        check("https://booking.example", Scheme::Https, "booking.example", 443);
        check("h2c://[::1]:50", Scheme::H2c, "::1", 50);
        for text in
            ["", "http://", "ftp://a", "a:0", "a:x", "a/b", "http://u@a", "::1", "[a]", "a:70000", "a?b", "https://"]
        {
            assert_eq!(text.parse::<UpstreamAddress>(), Err(BadAddress), "{text}");
        }
    }
}
