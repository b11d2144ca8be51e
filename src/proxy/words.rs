//! What an upstream tells the gateway in the headers of its answers.
//!
//! They are read leniently, for a booking system must not fail over a header: what cannot be understood is
//! skipped. They are bounded in number and length, and none of them goes on to the visitor.

use std::str::FromStr;

use hyper::HeaderMap;
use hyper::header::HeaderName;

/// Every header of ours begins so; header names are lower-case here.
pub(super) const OWN_PREFIX: &str = "vestibule-";

/// The most words one answer may carry; more are ignored.
pub const MAX_WORDS: usize = 16;

/// The longest key, in bytes; a word with a longer one is ignored.
pub const MAX_KEY_BYTES: usize = 256;

/// How long "sold out" holds when the upstream names no time, in seconds.
pub const DEFAULT_TTL_SECONDS: u32 = 60;

/// The longest "sold out" an upstream may ask for, in seconds; more is cut to it.
pub const MAX_TTL_SECONDS: u32 = 86_400;

/// One word of an upstream. A key of `None` means the path of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamWord {
    /// `Vestibule-Sold-Out: KEY; ttl=SECONDS; version=NUMBER`
    SoldOut {
        /// What is sold out.
        key: Option<String>,
        /// How long the gateway may say so from memory.
        ttl_seconds: u32,
        /// Which of two words about this key is the newer one.
        version: Option<u64>,
    },
    /// `Vestibule-On-Sale: KEY; version=NUMBER`
    OnSale {
        /// What is on sale again.
        key: Option<String>,
        /// As above.
        version: Option<u64>,
    },
    /// `Vestibule-End-Session: 1`
    EndSession,
    /// `Vestibule-Renew-Session: 1`
    RenewSession,
    /// `Vestibule-Stock: KEY=NUMBER`, several separated by commas
    Stock {
        /// What is counted.
        key: Option<String>,
        /// How many are left.
        available: u64,
    },
}

/// The words of one answer, in the order they were read; lies in the extensions of the response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamWords(pub Vec<UpstreamWord>);

/// Takes every `Vestibule-*` header out of `headers` and returns those that say something.
pub fn take_words(headers: &mut HeaderMap) -> UpstreamWords {
    let ours = headers.keys().filter(|name| name.as_str().starts_with(OWN_PREFIX));
    let names: Vec<HeaderName> = ours.cloned().collect();
    let mut words = Vec::new();
    for name in &names {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        words.extend(values.flat_map(|value| read(name.as_str(), value)).take(MAX_WORDS));
    }
    for name in names {
        headers.remove(name);
    }
    words.truncate(MAX_WORDS);
    UpstreamWords(words)
}

fn read(name: &str, value: &str) -> Vec<UpstreamWord> {
    match name {
        "vestibule-sold-out" => sold_out(value).into_iter().collect(),
        "vestibule-on-sale" => on_sale(value).into_iter().collect(),
        "vestibule-end-session" if value.trim() == "1" => vec![UpstreamWord::EndSession],
        "vestibule-renew-session" if value.trim() == "1" => vec![UpstreamWord::RenewSession],
        "vestibule-stock" => value.split(',').take(MAX_WORDS).filter_map(stock).collect(),
        _ => Vec::new(),
    }
}

fn sold_out(value: &str) -> Option<UpstreamWord> {
    let (name, parameters) = value.split_once(';').unwrap_or((value, ""));
    let ttl_seconds = parameter(parameters, "ttl=").unwrap_or(DEFAULT_TTL_SECONDS).min(MAX_TTL_SECONDS);
    Some(UpstreamWord::SoldOut { key: key(name.trim())?, ttl_seconds, version: parameter(parameters, "version=") })
}

fn on_sale(value: &str) -> Option<UpstreamWord> {
    let (name, parameters) = value.split_once(';').unwrap_or((value, ""));
    Some(UpstreamWord::OnSale { key: key(name.trim())?, version: parameter(parameters, "version=") })
}

/// Returns the first readable number that `name` gives.
fn parameter<T: FromStr>(parameters: &str, name: &str) -> Option<T> {
    parameters.split(';').find_map(|part| part.trim().strip_prefix(name)?.trim().parse().ok())
}

fn stock(value: &str) -> Option<UpstreamWord> {
    let (name, number) = value.rsplit_once('=').unwrap_or(("", value));
    let (key, available) = (key(name.trim())?, number.trim().parse().ok()?);
    Some(UpstreamWord::Stock { key, available })
}

/// `None` for a key that is too long, `Some(None)` for none at all.
#[expect(clippy::option_option, reason = "refused and absent are two answers, and neither leaves this file")]
fn key(text: &str) -> Option<Option<String>> {
    (text.len() <= MAX_KEY_BYTES).then(|| (!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(lines: &[(&'static str, &str)]) -> Vec<UpstreamWord> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let UpstreamWords(words) = take_words(&mut headers);
        assert!(headers.keys().all(|name| !name.as_str().starts_with(OWN_PREFIX)));
        words
    }

    fn sold_out(key: Option<&str>, ttl_seconds: u32) -> Vec<UpstreamWord> {
        vec![UpstreamWord::SoldOut { key: key.map(str::to_owned), ttl_seconds, version: None }]
    }

    #[test]
    fn reads_versions() {
        let version = |line| match words(&[line]).remove(0) {
            UpstreamWord::SoldOut { version, .. } | UpstreamWord::OnSale { version, .. } => version,
            word => unreachable!("{word:?}"),
        };
        assert_eq!(version(("vestibule-sold-out", "a; version=7; ttl=3")), Some(7));
        assert_eq!(version(("vestibule-on-sale", "a;version=18446744073709551615")), Some(u64::MAX));
        assert_eq!(version(("vestibule-on-sale", "a; version=-1")), None);
    }

    #[test]
    fn reads_sold_out() {
        let check = |value, expected| assert_eq!(words(&[("vestibule-sold-out", value)]), expected);
        check("12951:2026-11-23:3A; ttl=30", sold_out(Some("12951:2026-11-23:3A"), 30));
        check("", sold_out(None, DEFAULT_TTL_SECONDS));
        check("; ttl=5", sold_out(None, 5));
        check("a;ttl=nonsense;ttl=7", sold_out(Some("a"), 7));
        check("a; ttl=4294967295", sold_out(Some("a"), MAX_TTL_SECONDS));
        check(&"a".repeat(MAX_KEY_BYTES + 1), vec![]);
    }

    #[test]
    fn reads_the_other_words_and_hides_the_unknown() {
        let stock = |key: Option<&str>, available| UpstreamWord::Stock { key: key.map(str::to_owned), available };
        let read = words(&[
            ("vestibule-stock", "a=3, b=4, c=-1, =5, 6, d=x=7"),
            ("vestibule-end-session", "1"),
            ("vestibule-on-sale", " a "),
            ("vestibule-secret", "1"),
            ("content-type", "text/plain"),
        ]);
        for word in [
            stock(Some("a"), 3),
            stock(Some("b"), 4),
            stock(None, 5),
            stock(None, 6),
            stock(Some("d=x"), 7),
            UpstreamWord::EndSession,
            UpstreamWord::OnSale { key: Some("a".to_owned()), version: None },
        ] {
            assert!(read.contains(&word), "{word:?} in {read:?}");
        }
        assert_eq!(read.len(), 7);
        assert_eq!(words(&[("vestibule-end-session", "0")]), vec![]);
        assert_eq!(words(&[("vestibule-renew-session", " 1")]), vec![UpstreamWord::RenewSession]);
        assert_eq!(words(&[("vestibule-renew-session", "yes")]), vec![]);
    }

    #[test]
    fn counts_to_a_limit() {
        let many = [("vestibule-on-sale", "a"); 3 * MAX_WORDS];
        assert_eq!(words(&many).len(), MAX_WORDS);
        let long = vec!["a=1"; 100].join(",");
        assert_eq!(words(&[("vestibule-stock", &long), ("vestibule-stock", &long)]).len(), MAX_WORDS);
    }
}
