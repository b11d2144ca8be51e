//! The status object of the protocol, as a visitor reads it.

use serde::Deserialize;

pub use crate::forecast::Forecast;
pub use crate::status::State;

/// A range of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Range {
    /// The shortest.
    pub low: f64,
    /// The longest.
    pub high: f64,
}

impl Range {
    /// Returns its middle.
    #[must_use]
    pub fn middle(self) -> f64 {
        f64::midpoint(self.low, self.high)
    }
}

/// What the crowd reads of the status object; everything but the state may be unknown.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// Where the visitor is.
    pub state: State,
    /// The own number in line.
    #[serde(default)]
    pub number: Option<u64>,
    /// The place that was drawn for it, or the number itself.
    #[serde(default)]
    pub place: Option<u64>,
    /// The place in line, 1 for the next.
    #[serde(default)]
    pub position: Option<u64>,
    /// The estimated wait, in seconds.
    #[serde(default)]
    pub eta_seconds: Option<Range>,
    /// Whether it will last until the turn.
    #[serde(default)]
    pub forecast: Option<Forecast>,
    /// The rate limit.
    #[serde(default)]
    pub admissions_per_second: Option<f64>,
    /// How many may be called at one instant on top of the rate.
    #[serde(default)]
    pub burst: Option<u64>,
    /// When the visitor was called, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub called_at: Option<u64>,
    /// When this was true, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub as_of: Option<u64>,
    /// When to hear or to ask next, in seconds.
    #[serde(default)]
    pub next_update_seconds: Option<f64>,
}

impl Status {
    /// Reads the JSON text of a frame or a body; anything else is `None`.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// Returns when to ask next, in milliseconds, within sense.
    #[must_use]
    pub fn next_update_ms(&self) -> u64 {
        (self.next_update_seconds.unwrap_or(2.0).clamp(0.2, 60.0) * 1_000.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_contract_is_read() {
        let text = br#"{"room":"tatkal","state":"waiting","position":4182,"ahead":4181,"waiting":90311,
            "eta_seconds":{"low":70,"high":95},"admissions_per_second":50.0,"forecast":"likely_sold_out",
            "stock":{"available":812},"message":null,"opens_at":null,"as_of":1795255200123,"next_update_seconds":2}"#;
        let status = Status::read(text).unwrap();
        assert_eq!((status.state, status.position, status.number), (State::Waiting, Some(4_182), None));
        assert_eq!(status.eta_seconds.map(Range::middle), Some(82.5));
        assert_eq!((status.next_update_ms(), status.forecast), (2_000, Some(Forecast::LikelySoldOut)));
        assert!(Status::read(b"{\"type\":\"/problems/sold-out\"}").is_none());
    }
}
