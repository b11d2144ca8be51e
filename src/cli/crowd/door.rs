//! What the site answered to somebody at its door.

use serde::Deserialize;
use serde_json::Value;

use super::status::Status;
use super::wire::Answer;

/// The answer, as a visitor understands it.
pub enum Door {
    /// Come in.
    Open,
    /// Wait; this is where you stand.
    Line(Box<Status>),
    /// Sold out.
    SoldOut,
    /// No place is given: the room is closed or full.
    TurnedAway,
    /// An error, or an answer that only says to try again after so many milliseconds.
    TryAgain(String, Option<u64>),
}

impl Door {
    /// Reads an answer to a program's request for a guarded page.
    #[must_use]
    pub fn read(answer: &Answer) -> Self {
        let code = answer.status.as_u16();
        match code {
            200..=399 => Self::Open,
            410 => Self::SoldOut,
            _ => match Status::read(&answer.body) {
                Some(status) => Self::Line(Box::new(status)),
                None if is_final(&answer.body) => Self::TurnedAway,
                None if code == 429 || code >= 500 => Self::TryAgain(format!("http_{code}"), retry_after_ms(answer)),
                None => Self::Open,
            },
        }
    }

    /// Reads an answer to a browser's; `is_in` says whether it has a pass now.
    #[must_use]
    pub fn read_page(answer: &Answer, is_in: bool) -> Self {
        match Status::of_page(&answer.body).filter(|_| !is_in) {
            Some(status) => Self::Line(Box::new(status)),
            None => Self::read(answer),
        }
    }

    /// Reads the answer to a join by the protocol.
    #[must_use]
    pub fn read_join(answer: &Answer) -> Option<Place> {
        serde_json::from_slice(&answer.body).ok().filter(|_| answer.status.is_success())
    }
}

/// The place that a program was given.
#[derive(Debug, Deserialize)]
pub struct Place {
    /// The sealed ticket.
    pub ticket: String,
    /// The pass of somebody who is in at once.
    pub pass: Option<String>,
    /// Where it stands.
    pub status: Status,
}

/// Tells whether a problem is one that will not pass while the room is as it is.
fn is_final(body: &[u8]) -> bool {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    matches!(problem["type"].as_str(), Some("/problems/closed" | "/problems/full" | "/problems/draining"))
}

fn retry_after_ms(answer: &Answer) -> Option<u64> {
    let after = answer.headers.get("retry-after")?.to_str().ok()?.parse::<u64>().ok()?;
    Some(after.min(10) * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use hyper::{HeaderMap, StatusCode};

    fn answer(code: u16, body: &'static str) -> Answer {
        let status = StatusCode::from_u16(code).unwrap();
        Answer { status, headers: HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn each_answer_has_one_meaning() {
        assert!(matches!(Door::read(&answer(200, "welcome")), Door::Open));
        assert!(matches!(Door::read(&answer(410, "")), Door::SoldOut));
        assert!(matches!(Door::read(&answer(429, r#"{"state":"waiting"}"#)), Door::Line(_)));
        assert!(matches!(Door::read(&answer(503, r#"{"type":"/problems/full"}"#)), Door::TurnedAway));
        assert!(matches!(Door::read(&answer(503, r#"{"type":"/problems/busy"}"#)), Door::TryAgain(..)));
        let page = r#"<meta http-equiv="refresh" content="5"><body data-state="waiting">"#;
        assert!(matches!(Door::read_page(&answer(200, page), false), Door::Line(_)));
        assert!(matches!(Door::read_page(&answer(200, page), true), Door::Open));
        let joined = Door::read_join(&answer(200, r#"{"ticket":"t","pass":null,"status":{"state":"waiting"}}"#));
        assert!(joined.is_some_and(|place| place.ticket == "t" && place.pass.is_none()));
        assert!(Door::read_join(&answer(503, r#"{"type":"/problems/closed"}"#)).is_none());
    }
}
