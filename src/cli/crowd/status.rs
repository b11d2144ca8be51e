//! The status object of the protocol, as a visitor reads it.

use serde::Deserialize;

pub use crate::forecast::Forecast;
pub use crate::status::State;

/// So much of a page is looked at.
const PAGE_HEAD_BYTES: usize = 64 << 10;
/// After so long even a program that spares the site asks again.
const SPARING_MAX_MS: u64 = 180_000;

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
    /// Whether the gateway is in touch with the line: what it says is of now, and the line hears who is here.
    #[serde(default = "yes")]
    pub store_up: bool,
    /// When this was true, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub as_of: Option<u64>,
    /// How long a place is kept when its holder is away, in seconds.
    #[serde(default)]
    pub grace_seconds: Option<u64>,
    /// When to hear or to ask next, in seconds.
    #[serde(default)]
    pub next_update_seconds: Option<f64>,
}

const fn yes() -> bool {
    true
}

impl Status {
    /// Reads the JSON text of a frame or a body; anything else is `None`.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// Reads what the waiting page says to browsers without scripts: the state, and when to look again. `None` where the
    /// page is none of a waiting room.
    #[must_use]
    pub fn of_page(html: &[u8]) -> Option<Self> {
        let head = String::from_utf8_lossy(&html[..html.len().min(PAGE_HEAD_BYTES)]).into_owned();
        let seconds: f64 = between(&head, "http-equiv=\"refresh\" content=\"", '"')?.parse().ok()?;
        let state = between(&head, "data-state=\"", '"');
        let state = state.and_then(|state| serde_json::from_value(state.into()).ok()).unwrap_or(State::Waiting);
        let mut status: Self = serde_json::from_value(serde_json::json!({ "state": state })).ok()?;
        status.next_update_seconds = Some(seconds);
        Some(status)
    }

    /// Returns when a program that spares the site asks again, in milliseconds: after half of the time that it will take
    /// at the least, and well before its place would lapse.
    #[must_use]
    pub fn sparing_ms(&self) -> u64 {
        let half_ms = self.eta_seconds.map_or(0.0, |eta| eta.low * 500.0).max(0.0) as u64;
        let kept_ms = self.grace_seconds.unwrap_or(0).saturating_mul(400);
        half_ms.min(kept_ms).min(SPARING_MAX_MS).max(self.next_update_ms())
    }

    /// Returns when to ask next, in milliseconds, within sense.
    #[must_use]
    pub fn next_update_ms(&self) -> u64 {
        (self.next_update_seconds.unwrap_or(2.0).clamp(0.2, 600.0) * 1_000.0) as u64
    }
}

/// Returns what stands in a text after some words, up to a character.
fn between<'a>(text: &'a str, before: &str, end: char) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(end).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_for_browsers_without_scripts_is_read() {
        let page = br#"<noscript><meta http-equiv="refresh" content="7"></noscript><body data-state="sold_out">"#;
        let status = Status::of_page(page).unwrap();
        assert_eq!((status.state, status.next_update_ms(), status.position), (State::SoldOut, 7_000, None));
        assert!(Status::of_page(b"<h1>Welcome</h1>").is_none());
    }

    #[test]
    fn a_sparing_program_asks_seldom_far_from_its_turn_and_never_too_late() {
        let told = |low: u64, grace: u64| {
            let text = format!(
                r#"{{"state":"waiting","eta_seconds":{{"low":{low},"high":900}},"grace_seconds":{grace},"next_update_seconds":2}}"#
            );
            Status::read(text.as_bytes()).unwrap().sparing_ms()
        };
        assert_eq!(
            [told(100, 3_600), told(1, 3_600), told(100, 60), told(9_000, 36_000)],
            [50_000, 2_000, 24_000, 180_000]
        );
    }

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
