//! Where the crowd goes, and from which addresses; nowhere but here unless told twice.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hyper::Uri;
use tokio::net::{TcpSocket, TcpStream};

/// Visitors that share one source address: with a live connection each, this stays below the 28,000 ports that Linux
/// gives one address towards one target. On loopback it uses the ports of closed connections again at once, unless the
/// address was chosen before the target: so it is chosen only when it must be.
const VISITORS_PER_SOURCE: u64 = 20_000;

/// One gateway: where to connect to and what to call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The address.
    pub address: SocketAddr,
    /// What goes into `Host`, and after `http://` into `Origin`.
    pub authority: String,
    /// The page that is asked for: a path, perhaps with a query.
    pub page: String,
}

/// Says why a crowd cannot be sent there.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The address is not one of plain HTTP.
    #[error("`{0}` is not an address such as http://127.0.0.1:8080/; the crowd speaks plain HTTP only")]
    BadUrl(String),
    /// The name leads nowhere.
    #[error("`{host}` leads to no address: {source}")]
    Unknown {
        /// The host.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The address is not of this machine.
    #[error(
        "{host} is not this machine ({address}); a crowd is a load that its owner must want: say so twice, with \
         --allow-remote {host} and VESTIBULE_CROWD_ALLOW_REMOTE={host}"
    )]
    Remote {
        /// The host.
        host: String,
        /// Its address.
        address: IpAddr,
    },
}

impl Target {
    /// Reads and resolves `url`; `allowed` is the host, if any, that was allowed twice.
    ///
    /// # Errors
    /// See [`TargetError`]; above all [`TargetError::Remote`] when any address behind the name is not loopback.
    pub async fn find(url: &str, allowed: Option<&str>) -> Result<Self, TargetError> {
        let bad = || TargetError::BadUrl(url.chars().take(200).collect());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(bad)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port_u16().unwrap_or(80);
        let address = resolve(&host, port, allowed == Some(host.as_str())).await?;
        let page = uri.path_and_query().map_or("/", |page| page.as_str());
        Ok(Self { address, authority: authority.as_str().to_owned(), page: page.to_owned() })
    }

    /// Opens a connection from `source`, or from wherever the system likes.
    ///
    /// # Errors
    /// Whatever the system says; an address in use is tried three times.
    pub async fn connect(&self, source: Option<IpAddr>) -> io::Result<TcpStream> {
        let mut tries_left = 2;
        loop {
            match self.connect_once(source).await {
                Err(error) if tries_left > 0 && is_taken(&error) => tries_left -= 1,
                done => return done,
            }
        }
    }

    async fn connect_once(&self, source: Option<IpAddr>) -> io::Result<TcpStream> {
        let socket = if self.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = source {
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::new(source, 0))?;
        }
        socket.set_nodelay(true)?;
        socket.connect(self.address).await
    }

    /// Returns the source address of a visitor in a crowd of so many, so that no address runs out of ports.
    #[must_use]
    pub fn source(&self, visitor: u64, visitors: u64) -> Option<IpAddr> {
        let sources = visitors.div_ceil(VISITORS_PER_SOURCE).min(250);
        let several = sources > 1 && matches!(self.address.ip(), IpAddr::V4(ip) if ip.is_loopback());
        several.then(|| Ipv4Addr::new(127, 0, 0, (1 + visitor % sources) as u8).into())
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable)
}

async fn resolve(host: &str, port: u16, allowed: bool) -> Result<SocketAddr, TargetError> {
    let unknown = |source| TargetError::Unknown { host: host.to_owned(), source };
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(unknown)?.collect();
    let remote = found.iter().find(|address| !address.ip().is_loopback() && !allowed);
    if let Some(remote) = remote {
        return Err(TargetError::Remote { host: host.to_owned(), address: remote.ip() });
    }
    let preferred = found.iter().find(|address| address.is_ipv4()).or(found.first());
    preferred.copied().ok_or_else(|| unknown(io::ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn this_machine_is_fine_and_others_are_refused() {
        let target = Target::find("http://127.0.0.1:8080/sale?x=1", None).await.unwrap();
        assert_eq!((target.page.as_str(), target.authority.as_str()), ("/sale?x=1", "127.0.0.1:8080"));
        assert_eq!(Target::find("http://localhost:1", None).await.unwrap().page, "/");
        let refused = Target::find("http://192.0.2.1:80/", None).await.unwrap_err();
        assert!(matches!(refused, TargetError::Remote { .. }), "{refused}");
        assert!(Target::find("http://192.0.2.1:80/", Some("192.0.2.1")).await.is_ok());
        assert!(Target::find("http://192.0.2.1:80/", Some("192.0.2.2")).await.is_err());
    }

    #[tokio::test]
    async fn nonsense_is_refused_in_words() {
        for url in ["", "127.0.0.1", "https://127.0.0.1/", "ftp://127.0.0.1/", "http://"] {
            let error = Target::find(url, None).await.unwrap_err();
            assert!(matches!(error, TargetError::BadUrl(_)), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn a_large_crowd_comes_from_several_addresses() {
        let target = Target::find("http://127.0.0.1:8080", None).await.unwrap();
        assert_eq!(target.source(5, 8_000), None);
        let sources: std::collections::BTreeSet<_> = (0..20_000).map(|i| target.source(i, 20_000)).collect();
        assert_eq!(sources.len(), 3);
    }
}
