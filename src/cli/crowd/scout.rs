//! Goes ahead of the crowd, to learn which room it is and what is for sale, and once more after it.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::door::Door;
use super::jar::Jar;
use super::target::Target;
use super::wire::{Ask, Wire, WireFault};

/// How long it knocks.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long it asks for one page of the booking API, if it is put in line again.
const IN_LINE_AGAIN: Duration = Duration::from_secs(30);
const BETWEEN_KNOCKS: Duration = Duration::from_millis(500);
/// Pairs of stations between which there are many trains, for a target whose stock nobody named.
const JOURNEYS: [(&str, &str); 4] = [("NDLS", "MMCT"), ("NDLS", "HWH"), ("MAS", "SBC"), ("NDLS", "BCT")];

/// Says why the crowd need not set out.
#[derive(Debug, thiserror::Error)]
pub enum ScoutError {
    /// Nothing answers.
    #[error("{target} does not answer: {fault}; is the gateway running?")]
    NoAnswer {
        /// Where.
        target: String,
        /// Why.
        fault: WireFault,
    },
    /// Something answers, but no Vestibule.
    #[error("{0} answers, but no Vestibule guards it: it gave no ticket; name a guarded page, or the room with --room")]
    Unguarded(String),
    /// The room is sold out already.
    #[error("{0} says that everything is sold out already; put something on sale first")]
    SoldOut(String),
    /// Nobody gets a place.
    #[error("{0} gives no places: it is closed, drained or full; open the room first")]
    Closed(String),
    /// The scout never got in.
    #[error(
        "{target} let nobody in for {seconds} s, and the last it said was {heard}; is the room open, its rate above 0, and \
         does what it guards answer?"
    )]
    Shut {
        /// Where.
        target: String,
        /// How long it knocked.
        seconds: f64,
        /// What it heard last.
        heard: String,
    },
    /// The inventory named cannot be had.
    #[error("the inventory `{id}` cannot be read at {target}: {what}")]
    NoInventory {
        /// Which.
        id: String,
        /// Where.
        target: String,
        /// What came instead.
        what: String,
    },
}

/// What the booking API says of an inventory row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Its id.
    pub id: String,
    /// How many seats it has.
    pub capacity: Option<u64>,
    /// How many are sold, if the API says.
    pub sold: Option<u64>,
}

/// The one who goes ahead; it is a visitor like any other, with a ticket and a pass.
pub struct Scout<'a> {
    target: &'a Target,
    booking: &'a Target,
    patience: Duration,
    wire: Wire,
    jar: Jar,
}

impl<'a> Scout<'a> {
    /// Prepares; `booking` is where the booking API is asked, usually the target itself. It knocks for two minutes, or for
    /// `patience` where that is shorter.
    #[must_use]
    pub fn new(target: &'a Target, booking: &'a Target, patience: Option<Duration>) -> Self {
        let patience = patience.unwrap_or(PATIENCE).min(PATIENCE);
        Self { target, booking, patience, wire: Wire::new(None, None), jar: Jar::default() }
    }

    /// Gets in like everyone else, and returns the room's name.
    ///
    /// # Errors
    /// See [`ScoutError`].
    pub async fn enter(&mut self) -> Result<Option<String>, ScoutError> {
        let mut heard = "nothing yet".to_owned();
        let knocked = timeout(self.patience, self.knock(&mut heard)).await;
        let target = self.target.authority.clone();
        knocked.unwrap_or(Err(ScoutError::Shut { target, seconds: self.patience.as_secs_f64(), heard }))
    }

    /// Knocks until it is let in or turned away; `heard` is what was said last.
    async fn knock(&mut self, heard: &mut String) -> Result<Option<String>, ScoutError> {
        let name = || self.target.authority.clone();
        loop {
            let asked = self.wire.ask(self.target, &mut self.jar, &Ask::get(&self.target.page)).await;
            let answer = asked.map_err(|fault| ScoutError::NoAnswer { target: name(), fault })?;
            *heard = match Door::read(&answer) {
                Door::Open => return Ok(self.jar.room().map(str::to_owned)),
                Door::SoldOut => return Err(ScoutError::SoldOut(name())),
                Door::TurnedAway => return Err(ScoutError::Closed(name())),
                Door::Line(_) => "a place in line".to_owned(),
                Door::TryAgain(..) => format!("HTTP {}", answer.status.as_u16()),
            };
            sleep(BETWEEN_KNOCKS).await;
        }
    }

    /// Reads one inventory row.
    ///
    /// # Errors
    /// [`ScoutError::NoInventory`].
    pub async fn stock(&mut self, id: &str) -> Result<Stock, ScoutError> {
        let no =
            |what: String| ScoutError::NoInventory { id: id.to_owned(), target: self.booking.authority.clone(), what };
        let body = self.get(&format!("/api/inventory/{id}")).await.map_err(no)?;
        let row = if body["inventory"].is_object() { &body["inventory"] } else { &body };
        Ok(Stock { id: id.to_owned(), capacity: row["capacity"].as_u64(), sold: row["sold"].as_u64() })
    }

    /// Searches the booking API for the first inventory row with seats; `None` when there is no such API.
    pub async fn find(&mut self, now_ms: u64) -> Option<String> {
        for day in [1, 2] {
            let date = date_of(now_ms / 86_400_000 + day);
            for (from, to) in JOURNEYS {
                let trains = self.get(&format!("/api/trains?from={from}&to={to}&date={date}")).await.ok()?;
                if let Some(id) = first_with_seats(&trains, 0) {
                    return Some(id);
                }
            }
        }
        None
    }

    /// Asks the booking API, through the line again if the pass has ended.
    async fn get(&mut self, path: &str) -> Result<Value, String> {
        let patience = self.patience.min(IN_LINE_AGAIN);
        let late = |_| format!("no answer but a place in line within {} s", patience.as_secs_f64());
        timeout(patience, self.get_through(path)).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
    }

    async fn get_through(&mut self, path: &str) -> Result<Value, String> {
        loop {
            let asked = self.wire.ask(self.booking, &mut self.jar, &Ask::get(path)).await;
            let answer = asked.map_err(|fault| fault.to_string())?;
            match answer.status.as_u16() {
                200 => return serde_json::from_slice(&answer.body).map_err(|_| "no JSON".to_owned()),
                429 => sleep(BETWEEN_KNOCKS).await,
                code => return Err(format!("HTTP {code}")),
            }
        }
    }
}

/// Finds the id of the first row with seats anywhere in an answer, whatever stands around it.
fn first_with_seats(value: &Value, depth: u32) -> Option<String> {
    if depth > 6 {
        return None;
    }
    let id = ["id", "inventory"].iter().find_map(|key| value.get(key)?.as_str()).filter(|id| is_row(id));
    if let Some(id) = id.filter(|_| value["available"].as_u64().is_some_and(|seats| seats > 0)) {
        return Some(id.to_owned());
    }
    let within = |value| first_with_seats(value, depth + 1);
    match value {
        Value::Array(items) => items.iter().find_map(within),
        Value::Object(fields) => fields.values().find_map(within),
        _ => None,
    }
}

/// Tells whether a text reads as `TRAIN:DATE:CLASS` in letters that a URL carries as they are.
#[must_use]
pub fn is_row(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-' | b'.' | b'_');
    (1..=64).contains(&id.len()) && id.matches(':').count() == 2 && id.bytes().all(plain)
}

/// Writes the date of a day since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn date_of(days: u64) -> String {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date_of(0), "1970-01-01");
        assert_eq!(date_of(11_016), "2000-02-29");
        assert_eq!(date_of(20_778), "2026-11-21");
    }

    #[test]
    fn the_first_row_with_seats_is_found_wherever_it_stands() {
        let answer = serde_json::json!({"trains": [
            {"number": "12951", "classes": [
                {"class": "1A", "inventory": "12951:2026-11-23:1A", "available": 0},
                {"class": "3A", "inventory": "12951:2026-11-23:3A", "available": 7}]}]});
        assert_eq!(first_with_seats(&answer, 0).as_deref(), Some("12951:2026-11-23:3A"));
        assert_eq!(first_with_seats(&serde_json::json!([{"id": "x", "available": 3}]), 0), None);
    }

    #[test]
    fn only_plain_ids_go_into_a_path() {
        assert!(is_row("12951:2026-11-23:3A"));
        assert!(!is_row("12951:2026-11-23:3A/../..") && !is_row("a:b:c d") && !is_row(""));
    }
}
