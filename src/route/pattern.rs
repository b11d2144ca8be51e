//! The forms in which a room says what it claims: hosts, paths, headers, and where the key of an item stands.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use hyper::header::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;

use crate::canonical;

/// Says why a text is no pattern of a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// Not a host pattern.
    #[error("`{0}` is no host pattern: use `shop.example`, `*.shop.example` or `*`")]
    Host(String),
    /// A host with a port.
    #[error("`{0}` names a port, and ports do not count: leave it out")]
    Port(String),
    /// Not a path pattern.
    #[error("`{0}` is no path pattern: use `/book` for one path, `/book/*` for all below, or `/*`")]
    Path(String),
    /// A path that is never asked for.
    #[error(
        "no request has the path `{0}`: dot segments, `\\`, and an encoded `/` or `\\` are refused, and `%` needs two digits"
    )]
    NoPath(String),
    /// Not an item pattern.
    #[error("`{0}` is no item pattern: use `/api/inventory/{{key}}` or `/api/holds?inventory={{key}}`")]
    Item(String),
    /// Not a header pattern.
    #[error("`{0}` is no header pattern: use `x-channel` for any value, or `x-channel: app` for one")]
    Header(String),
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    /// The path, [spelled canonically](canonical::path); with its final slash where it is a prefix.
    path: String,
    /// The same as [the freest of sites reads it](canonical::loose_path), of a prefix without a final slash.
    loose: String,
    is_prefix: bool,
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

/// A header of a room's requests: there at all, or with one value. It counts where it stands exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderPattern {
    /// Its name.
    name: HeaderName,
    /// Its value; `None` for any.
    value: Option<String>,
}

impl FromStr for HostPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let name = |text: &str| match canonical::host(text) {
            Some((name, None)) => Ok(name.to_ascii_lowercase()),
            Some((_, Some(_))) => Err(BadPattern::Port(text.to_owned())),
            None => Err(BadPattern::Host(text.to_owned())),
        };
        match text.strip_prefix('*') {
            Some("") => Ok(Self::Any),
            Some(rest) => match rest.strip_prefix('.') {
                Some(domain) => Ok(Self::Below(format!(".{}", name(domain)?))),
                None => Err(BadPattern::Host(text.to_owned())),
            },
            None => name(text).map(Self::Exact),
        }
    }
}

impl FromStr for PathPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let (path, is_prefix) = match text.strip_suffix('*') {
            Some(prefix) if prefix.ends_with('/') => (prefix, true),
            Some(_) => return Err(BadPattern::Path(text.to_owned())),
            None => (text, false),
        };
        if !path.starts_with('/') || path.contains(['*', '?', '#']) || path.contains("//") {
            return Err(BadPattern::Path(text.to_owned()));
        }
        let path = canonical::path(path).ok_or_else(|| BadPattern::NoPath(text.to_owned()))?.into_owned();
        let loose = canonical::loose_path(&path);
        let loose = if is_prefix { without_slash(&loose) } else { &loose }.to_owned();
        Ok(Self { path, loose, is_prefix })
    }
}

impl FromStr for ItemPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let bad = || BadPattern::Item(text.to_owned());
        let before = text.strip_suffix("{key}").filter(|before| before.starts_with('/')).ok_or_else(bad)?;
        let spelled =
            |path| canonical::path(path).map(Cow::into_owned).ok_or_else(|| BadPattern::NoPath(text.to_owned()));
        match before.strip_suffix('=').map(|before| before.split_once('?')) {
            None if before.ends_with('/') && !before.contains('?') => Ok(Self::Path(spelled(before)?)),
            Some(Some((path, parameter))) if !parameter.is_empty() && !parameter.contains(['&', '=']) => {
                Ok(Self::Query { path: spelled(path)?, parameter: parameter.to_owned() })
            }
            _ => Err(bad()),
        }
    }
}

impl FromStr for HeaderPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let bad = || BadPattern::Header(text.to_owned());
        let (name, value) = text.split_once(':').map_or((text, None), |(name, value)| (name, Some(value.trim())));
        let is_value = |value: &str| !value.is_empty() && value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !value.is_none_or(is_value) {
            return Err(bad());
        }
        Ok(Self { name: name.trim().parse().map_err(|_| bad())?, value: value.map(str::to_owned) })
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
        write!(f, "{}{}", self.path, if self.is_prefix { "*" } else { "" })
    }
}

impl HostPattern {
    /// Returns how narrowly the pattern matches `host`, `None` where it does not.
    pub(super) fn rank(&self, host: &str) -> Option<usize> {
        match self {
            Self::Any => Some(0),
            Self::Below(domain) => host.ends_with(domain.as_str()).then_some(domain.len()),
            Self::Exact(name) => (name == host).then_some(usize::MAX),
        }
    }
}

impl PathPattern {
    /// Returns the pattern of all paths.
    #[must_use]
    pub fn all() -> Self {
        Self { path: "/".to_owned(), loose: String::new(), is_prefix: true }
    }

    /// Returns its path, or its prefix with the final slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns how narrowly the pattern matches a path that is read [loosely](canonical::loose_path), `None` where it does not.
    pub(super) fn rank(&self, loose: &str) -> Option<usize> {
        if self.is_prefix {
            is_below(&self.loose, loose).then_some(self.loose.len())
        } else {
            (self.loose == loose).then_some(usize::MAX)
        }
    }

    /// Tells whether the pattern matches a path letter by letter.
    pub(super) fn matches(&self, path: &str) -> bool {
        if self.is_prefix { is_below(without_slash(&self.path), path) } else { self.path == path }
    }

    /// Tells whether both match the same paths.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (&self.loose, self.is_prefix) == (&other.loose, other.is_prefix)
    }

    /// Tells whether there is a path that both match.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.rank(&other.loose).is_some() || other.rank(&self.loose).is_some()
    }
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// Tells whether `path` is `prefix` itself, which has no final slash, or stands below it.
fn is_below(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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

impl HeaderPattern {
    /// Tells whether a request has the header, once, and with this value. Of a header that stands twice, one reader
    /// takes the first and another the last.
    pub(super) fn matches(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(&self.name).iter();
        let sole = values.next().filter(|_| values.next().is_none());
        sole.is_some_and(|value| self.value.as_ref().is_none_or(|wanted| value.as_bytes() == wanted.as_bytes()))
    }

    /// Tells whether no request can match both.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        let [own, others] = [self, other].map(|pattern| pattern.value.as_ref());
        self.name == other.name && own.zip(others).is_some_and(|(own, others)| own != others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for text in ["", "book", "/a*b", "/a?b", "/a*", "//a/*", "/a/../b", "/a%2Fb/*", "/a\\b", "/a%", "/./*"] {
            assert!(text.parse::<PathPattern>().is_err(), "{text}");
        }
        for text in ["", "*x", "a b", "*.", "*.x:80", "http://x/", "x.example:8443", "[::1]:80"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
        for text in ["", "x channel", ": app", "x-channel:", "x-channel: caf\u{e9}"] {
            assert!(text.parse::<HeaderPattern>().is_err(), "{text}");
        }
        for text in ["", "/x", "{key}", "/x{key}", "/x?={key}", "/x/{key}/y"] {
            assert!(text.parse::<ItemPattern>().is_err(), "{text}");
        }
    }
}
