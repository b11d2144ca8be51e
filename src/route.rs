//! Which room a request belongs to, and what it asks for: by host and path, most specific first.
//!
//! Hosts and paths come in the one canonical form that is also sent upstream (P4), so no spelling
//! leads around a room.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::networks::Networks;

/// Says why a text is no pattern of a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// Not a host pattern.
    #[error("`{0}` is no host pattern: use `shop.example`, `*.shop.example` or `*`")]
    Host(String),
    /// Not a path pattern.
    #[error("`{0}` is no path pattern: use `/book` for one path, `/book/*` for all below, or `/*`")]
    Path(String),
    /// Not an item pattern.
    #[error("`{0}` is no item pattern: use `/api/inventory/{{key}}` or `/api/holds?inventory={{key}}`")]
    Item(String),
}

/// The hosts of a room: one, all below a domain, or any. Ports do not count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostPattern {
    /// Any host.
    Any,
    /// Every host below this domain; kept with its leading dot.
    Below(String),
    /// This host.
    Exact(String),
}

/// The paths of a room: one, or all below a prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathPattern {
    /// This path and every path below it; kept with its final slash.
    Below(String),
    /// This path.
    Exact(String),
}

/// Where in a request the key of an item on sale stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemPattern {
    /// The last segment of a path; kept is what stands before it.
    Path(String),
    /// A parameter of the query at one path.
    Query {
        /// The path.
        path: String,
        /// The parameter's name.
        parameter: String,
    },
}

impl FromStr for HostPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let lower = text.to_ascii_lowercase();
        let is_name =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.[]:".contains(&b));
        match lower.strip_prefix('*') {
            Some("") => Ok(Self::Any),
            Some(rest) if rest.strip_prefix('.').is_some_and(is_name) => Ok(Self::Below(rest.to_owned())),
            None if is_name(&lower) => Ok(Self::Exact(lower)),
            _ => Err(BadPattern::Host(text.to_owned())),
        }
    }
}

impl FromStr for PathPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let bad = || BadPattern::Path(text.to_owned());
        let path = text.strip_suffix('*').unwrap_or(text);
        if !path.starts_with('/') || path.contains(['*', '?', '#', '\\']) || path.contains("//") {
            return Err(bad());
        }
        match text.strip_suffix("/*") {
            Some(_) => Ok(Self::Below(path.to_owned())),
            None if text.ends_with('*') => Err(bad()),
            None => Ok(Self::Exact(path.to_owned())),
        }
    }
}

impl FromStr for ItemPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let bad = || BadPattern::Item(text.to_owned());
        let before = text.strip_suffix("{key}").filter(|before| before.starts_with('/')).ok_or_else(bad)?;
        match before.strip_suffix('=').map(|before| before.split_once('?')) {
            None if before.ends_with('/') && !before.contains('?') => Ok(Self::Path(before.to_owned())),
            Some(Some((path, parameter))) if !parameter.is_empty() && !parameter.contains(['&', '=']) => {
                Ok(Self::Query { path: path.to_owned(), parameter: parameter.to_owned() })
            }
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(domain) => write!(f, "*{domain}"),
            Self::Exact(host) => f.write_str(host),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(prefix) => write!(f, "{prefix}*"),
            Self::Exact(path) => f.write_str(path),
        }
    }
}

impl HostPattern {
    /// Returns how narrowly the pattern matches `host`, `None` where it does not.
    fn rank(&self, host: &str) -> Option<usize> {
        match self {
            Self::Any => Some(0),
            Self::Below(domain) => host.ends_with(domain.as_str()).then_some(domain.len()),
            Self::Exact(name) => (name == host).then_some(usize::MAX),
        }
    }
}

impl PathPattern {
    /// Returns how narrowly the pattern matches `path`, `None` where it does not.
    fn rank(&self, path: &str) -> Option<usize> {
        match self {
            Self::Below(prefix) => {
                let itself = prefix.strip_suffix('/') == Some(path);
                (itself || path.starts_with(prefix.as_str())).then_some(prefix.len())
            }
            Self::Exact(exact) => (exact == path).then_some(usize::MAX),
        }
    }
}

impl ItemPattern {
    /// Reads the item's key from a request, decoded.
    #[must_use]
    pub fn key<'a>(&self, path: &'a str, query: Option<&'a str>) -> Option<Cow<'a, str>> {
        let raw = match self {
            Self::Path(before) => path.strip_prefix(before.as_str()).filter(|key| !key.contains('/')),
            Self::Query { path: at, parameter } => {
                let query = query.filter(|_| path == at)?;
                query.split('&').find_map(|pair| pair.strip_prefix(parameter.as_str())?.strip_prefix('='))
            }
        }?;
        percent_decode_str(raw).decode_utf8().ok().filter(|key| !key.is_empty())
    }
}

/// What one room claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its hosts.
    pub hosts: Vec<HostPattern>,
    /// Its paths.
    pub paths: Vec<PathPattern>,
    /// Paths within those that need no pass.
    pub bypass: Vec<PathPattern>,
    /// Visitors who need none.
    pub bypass_addresses: Networks,
}

/// What a route leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The room with this index, guarded.
    Guarded(usize),
    /// A path of that room which needs no pass.
    Bypass(usize),
    /// No room's.
    Open,
}

/// Finds the room of a request.
#[derive(Clone, Debug, Default)]
pub struct Routes(Vec<Claim>);

impl Routes {
    /// Makes the table; rooms are known by their index.
    #[must_use]
    pub fn new(claims: Vec<Claim>) -> Self {
        Self(claims)
    }

    /// Returns the pairs of rooms that claim the very same host and path.
    #[must_use]
    pub fn conflicts(&self) -> Vec<(usize, usize, String)> {
        let mut found = Vec::new();
        for (j, b) in self.0.iter().enumerate() {
            for (i, a) in self.0[..j].iter().enumerate() {
                let host = a.hosts.iter().find(|host| b.hosts.contains(host));
                let path = a.paths.iter().find(|path| b.paths.contains(path));
                found.extend(host.zip(path).map(|(host, path)| (i, j, format!("{host}{path}"))));
            }
        }
        found
    }

    /// Finds the room that claims host (with or without a port) and path most narrowly: the host
    /// decides first, then the path. Some sites read `/a;b/c` as `/a/c`, so a path is guarded if it is
    /// either way.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Route {
        let host = without_port(host);
        let found = self.find_just(host, path);
        match (found, without_parameters(path)) {
            (Route::Open | Route::Bypass(_), Some(plain)) => match self.find_just(host, &plain) {
                guarded @ Route::Guarded(_) => guarded,
                _ => found,
            },
            _ => found,
        }
    }

    /// Tells whether a visitor from this address needs no pass in the room with this index.
    #[must_use]
    pub fn lets_pass(&self, i: usize, address: IpAddr) -> bool {
        self.0.get(i).is_some_and(|claim| claim.bypass_addresses.contains(address))
    }

    fn find_just(&self, host: &str, path: &str) -> Route {
        let narrowest = self.0.iter().enumerate().filter_map(|(i, claim)| claim.rank(host, path).map(|rank| (rank, i)));
        match narrowest.max_by_key(|(rank, _)| *rank) {
            Some((_, i)) if self.0[i].bypass.iter().any(|pattern| pattern.rank(path).is_some()) => Route::Bypass(i),
            Some((_, i)) => Route::Guarded(i),
            None => Route::Open,
        }
    }
}

impl Claim {
    fn rank(&self, host: &str, path: &str) -> Option<(usize, usize)> {
        let host = self.hosts.iter().filter_map(|pattern| pattern.rank(host)).max()?;
        let path = self.paths.iter().filter_map(|pattern| pattern.rank(path)).max()?;
        Some((host, path))
    }
}

/// Cuts the parameters off the segments of a path, `None` where there are none.
fn without_parameters(path: &str) -> Option<String> {
    let plain = |segment: &str| segment.split(';').next().unwrap_or_default().to_owned();
    path.contains(';').then(|| path.split('/').map(plain).collect::<Vec<_>>().join("/"))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(hosts: &[&str], paths: &[&str], bypass: &[&str]) -> Claim {
        Claim {
            hosts: hosts.iter().map(|text| text.parse().unwrap()).collect(),
            paths: paths.iter().map(|text| text.parse().unwrap()).collect(),
            bypass: bypass.iter().map(|text| text.parse().unwrap()).collect(),
            bypass_addresses: Networks::default(),
        }
    }

    #[test]
    fn the_narrowest_claim_wins() {
        let routes = Routes::new(vec![
            claim(&["*"], &["/*"], &["/assets/*", "/health"]),
            claim(&["*.rail.example"], &["/*"], &[]),
            claim(&["book.rail.example"], &["/sale/*"], &[]),
            claim(&["book.rail.example"], &["/sale/tatkal"], &[]),
        ]);
        for (host, path, expected) in [
            ("other.example", "/", Route::Guarded(0)),
            ("other.example:8080", "/assets/x.css", Route::Bypass(0)),
            ("other.example", "/assets", Route::Bypass(0)),
            ("other.example", "/assetsx", Route::Guarded(0)),
            ("other.example", "/health", Route::Bypass(0)),
            ("other.example", "/health/x", Route::Guarded(0)),
            ("a.rail.example", "/assets/x.css", Route::Guarded(1)),
            ("rail.example", "/", Route::Guarded(0)),
            ("book.rail.example", "/sale/x", Route::Guarded(2)),
            ("book.rail.example", "/sale/tatkal", Route::Guarded(3)),
            ("book.rail.example", "/", Route::Guarded(1)),
        ] {
            assert_eq!(routes.find(host, path), expected, "{host}{path}");
        }
        assert_eq!(Routes::default().find("x", "/"), Route::Open);
    }

    #[test]
    fn path_parameters_are_no_way_around() {
        let routes = Routes::new(vec![claim(&["*"], &["/book/*", "/api/book/*"], &["/book/help"])]);
        for (path, expected) in [
            ("/book;x/seat", Route::Guarded(0)),
            ("/api;v=1/book;x/9", Route::Guarded(0)),
            ("/book/seat;x", Route::Guarded(0)),
            ("/book/help", Route::Bypass(0)),
            ("/book/help;x", Route::Guarded(0)),
            ("/about;x", Route::Open),
        ] {
            assert_eq!(routes.find("h", path), expected, "{path}");
        }
    }

    #[test]
    fn equal_claims_conflict() {
        let routes = Routes::new(vec![
            claim(&["a", "b"], &["/x"], &[]),
            claim(&["c"], &["/x"], &[]),
            claim(&["b"], &["/x"], &[]),
        ]);
        assert_eq!(routes.conflicts(), [(0, 2, "b/x".to_owned())]);
    }

    #[test]
    fn an_items_key_is_read_from_path_or_query() {
        let path: ItemPattern = "/api/inventory/{key}".parse().unwrap();
        let query: ItemPattern = "/api/holds?inventory={key}".parse().unwrap();
        assert_eq!(path.key("/api/inventory/12951%3A2026-11-23%3A3A", None).unwrap(), "12951:2026-11-23:3A");
        assert_eq!(path.key("/api/inventory/x/seats", None), None);
        assert_eq!(path.key("/api/inventory/", None), None);
        assert_eq!(query.key("/api/holds", Some("a=b&inventory=1:2:3")).unwrap(), "1:2:3");
        assert_eq!(query.key("/api/holds/9", Some("inventory=1")), None);
        assert_eq!(query.key("/api/holds", None), None);
    }

    #[test]
    fn patterns_that_match_nothing_sensible_are_refused() {
        for text in ["", "book", "/a*b", "/a?b", "/a*", "//a/*"] {
            assert!(text.parse::<PathPattern>().is_err(), "{text}");
        }
        for text in ["", "*x", "a b", "*.", "http://x/"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
        for text in ["", "/x", "{key}", "/x{key}", "/x?={key}", "/x/{key}/y"] {
            assert!(text.parse::<ItemPattern>().is_err(), "{text}");
        }
    }
}
