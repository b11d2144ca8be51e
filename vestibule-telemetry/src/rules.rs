//! Where traces go, and which.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where a collector listens for traces, unless its address has a path of its own.
const TRACES_PATH: &str = "/v1/traces";

/// The share that takes all.
const ALL_MILLIONTHS: u32 = 1_000_000;

/// Says where traces go, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRules {
    /// The collector.
    pub endpoint: Endpoint,
    /// The share of all requests that is kept, whatever becomes of them.
    pub sample_ratio: Share,
    /// A request that takes longer than this is kept.
    pub slow: Duration,
}

/// Is where a collector takes traces, over OTLP/HTTP with Protocol Buffers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint(Uri);

/// Says what is wrong with the address of a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "write the collector's address as http://HOST:4318 or https://HOST, with a path only where it is not /v1/traces"
)]
pub struct BadEndpoint;

/// Is a share of all requests, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(u32);

/// Says that a number is no share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a share is a number from 0 to 1")]
pub struct BadShare;

impl Endpoint {
    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let uri: Uri = text.parse().map_err(|_| BadEndpoint)?;
        let authority = uri.authority().map(|authority| authority.as_str().to_owned()).ok_or(BadEndpoint)?;
        let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
        if !is_known || authority.contains('@') || uri.query().is_some() {
            return Err(BadEndpoint);
        }
        if uri.path() != "/" {
            return Ok(Self(uri));
        }
        let scheme = uri.scheme_str().unwrap_or("http");
        format!("{scheme}://{authority}{TRACES_PATH}").parse().map(Self).map_err(|_| BadEndpoint)
    }
}

impl TryFrom<String> for Endpoint {
    type Error = BadEndpoint;

    fn try_from(text: String) -> Result<Self, BadEndpoint> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Share {
    /// The usual share.
    pub const ONE_IN_A_HUNDRED: Self = Self(ALL_MILLIONTHS / 100);

    /// Makes a share of a part of one.
    ///
    /// # Errors
    /// [`BadShare`] when it is not from 0 to 1.
    pub fn of(part: f64) -> Result<Self, BadShare> {
        let is_part = (0.0..=1.0).contains(&part);
        is_part.then(|| Self((part * f64::from(ALL_MILLIONTHS)).round() as u32)).ok_or(BadShare)
    }

    /// Tells whether the trace with these random bits is of the share: all processes decide alike. The bits are the last
    /// 56 of a trace's id (W3C Trace Context, level 2).
    pub(crate) const fn takes(self, random: u64) -> bool {
        let random = random & ((1 << 56) - 1);
        (random as u128 * ALL_MILLIONTHS as u128) < ((self.0 as u128) << 56)
    }
}

impl TryFrom<f64> for Share {
    type Error = BadShare;

    fn try_from(part: f64) -> Result<Self, BadShare> {
        Self::of(part)
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        Self::from(share.0) / Self::from(ALL_MILLIONTHS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_base_or_a_whole_address() {
        let read = |text: &str| text.parse::<Endpoint>().map(|endpoint| endpoint.to_string());
        for base in ["http://127.0.0.1:4318", "http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"] {
            assert_eq!(read(base).unwrap(), "http://127.0.0.1:4318/v1/traces", "{base}");
        }
        assert_eq!(read("https://traces.example/otlp/v1/traces").unwrap(), "https://traces.example/otlp/v1/traces");
        for bad in ["", "127.0.0.1:4318", "grpc://a:4317", "http://", "http://me:secret@a:1", "http://a/?key=secret"] {
            assert_eq!(read(bad), Err(BadEndpoint), "{bad}");
        }
    }

    #[test]
    fn a_share_takes_its_part_of_all() {
        for (part, taken) in [(0.0, 0), (0.01, 10), (0.25, 256), (1.0, 1_024)] {
            let share = Share::of(part).unwrap();
            // The first bits are not looked at.
            let random = (0..1_024_u64).map(|i| i << 46 | 0xab << 56);
            let count = random.filter(|random| share.takes(*random)).count();
            assert!(count.abs_diff(taken) <= 1, "{part}: {count}");
        }
        assert_eq!([-0.1, 1.1, f64::NAN].map(Share::of), [Err(BadShare); 3]);
    }
}
