//! The forms in which a room says what it claims: hosts, paths, headers, and where the key of an item stands.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use hyper::header::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;

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
        match self {
            Self::Below(prefix) => write!(f, "{prefix}*"),
            Self::Exact(path) => f.write_str(path),
        }
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
    /// Returns how narrowly the pattern matches `path`, `None` where it does not.
    pub(super) fn rank(&self, path: &str) -> Option<usize> {
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
        for text in ["", "book", "/a*b", "/a?b", "/a*", "//a/*"] {
            assert!(text.parse::<PathPattern>().is_err(), "{text}");
        }
        for text in ["", "*x", "a b", "*.", "http://x/"] {
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
