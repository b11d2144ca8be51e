//! What each visitor writes down.

use serde::{Deserialize, Serialize};

use super::behaviour::Behaviour;
use super::order::{ALLOWANCE_MS, Turn};
use super::status::{Forecast, Status};
use crate::room::LEASE_MS;

/// How a visit ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// It was let in, did what it came for, and went.
    Served,
    /// It was told that everything is sold, in the line or behind it.
    Told,
    /// It got no place because the room is closed or full.
    TurnedAway,
    /// It stayed, or came back soon, and its place was gone.
    Lost,
    /// It gave its place up.
    Left,
    /// Nothing but errors, often enough to give up.
    GaveUp,
    /// A robot: it took what it got, and waited for none of it.
    Swarmed,
    /// The run ended first.
    #[default]
    Unfinished,
}

/// How far a visitor came with buying.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purchase {
    /// Nothing held.
    #[default]
    Nothing,
    /// Held, not paid.
    Held,
    /// Paid; neither a booking nor a refund was seen yet.
    Paid,
    /// The payment came to nothing or went back.
    Undone,
    /// Paid and booked.
    Booked,
}

/// One visitor's own notes. Times are milliseconds since the Unix epoch, by this machine's clock.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Note {
    /// How it behaved.
    pub behaviour: Behaviour,
    /// When it meant to come.
    pub arrives_ms: u64,
    /// When it got its first answer, a place or the way in.
    pub joined_ms: Option<u64>,
    /// From the instant it meant to come to its first answer, in microseconds.
    pub join_us: Option<u64>,
    /// Its number in line.
    pub number: Option<u64>,
    /// Its turn in the order of the line: the number, unless lots were drawn.
    pub place: Option<u64>,
    /// When it was called, by the gateway.
    pub called_at_ms: Option<u64>,
    /// When the site let it in.
    pub admitted_ms: Option<u64>,
    /// When it saw its booking.
    pub booked_ms: Option<u64>,
    /// When it went, or the run ended.
    pub ended_ms: u64,
    /// The first estimate it was given, in seconds, and when.
    pub first_eta: Option<(u64, f64)>,
    /// The first firm forecast that it was given, else that it is close.
    pub forecast: Option<Forecast>,
    /// How many times its position rose.
    pub regressions: u64,
    /// How many times it lost or dropped its live connection and came back.
    pub returns: u64,
    /// How many times it loaded the page anew while it waited.
    pub reloads: u64,
    /// How many second tabs it had open.
    pub tabs: u64,
    /// How many of its tabs were given another place than the first.
    pub strays: u64,
    /// Whether it went away once on purpose, or for good.
    pub dropped: bool,
    /// How far it came with buying.
    pub purchase: Purchase,
    /// How it ended.
    pub end: End,
    pub(super) present_ms: Vec<(u64, u64)>,
    pub(super) here_ms: Option<(u64, u64)>,
    /// For how long nothing may come before the present presence counts as interrupted.
    pub(super) silence_ms: u64,
    pub(super) position: Option<u64>,
    pub(super) stands_since_ms: u64,
    pub(super) first_position: Option<u64>,
}

/// By how much one gateway may be behind another, in milliseconds: ten ticks.
const BEHIND_MS: u64 = 1_000;

/// At most so many spans of presence are kept for each visitor; a crowd that reconnects more often is judged by these.
const SPANS_MAX: usize = 64;

impl Note {
    /// Writes down what a status says. Returns whether the number is still the one it had.
    pub fn heed(&mut self, status: &Status, now_ms: u64) -> bool {
        let same = status.number.is_none() || self.number.is_none() || self.number == status.number;
        self.number = self.number.or(status.number);
        self.place = status.place.or(self.place);
        self.called_at_ms = self.called_at_ms.or(status.called_at);
        // A gateway that has lost touch with the line says what it knew last.
        if let Some(position) = status.position.filter(|_| status.store_up) {
            self.stand_at(position, now_ms);
            self.first_position = self.first_position.or(Some(position));
        }
        if self.forecast.is_none_or(|forecast| forecast == Forecast::Close) {
            self.forecast = status.forecast.or(self.forecast);
        }
        let eta = status.eta_seconds.map(|eta| (now_ms, eta.middle()));
        self.first_eta = self.first_eta.or(eta);
        same
    }

    /// Keeps the lower of what was said, as the page does: of two gateways behind a balancer one may be a tick behind. One
    /// that says a higher place a while later has it wrong.
    fn stand_at(&mut self, position: u64, now_ms: u64) {
        let is_risen = self.position.is_some_and(|lowest| position > lowest);
        self.regressions += u64::from(is_risen && now_ms.saturating_sub(self.stands_since_ms) > BEHIND_MS);
        if self.position.is_none_or(|lowest| position < lowest) {
            (self.position, self.stands_since_ms) = (Some(position), now_ms);
        }
    }

    /// Tells whether at least half of the way through the line is done.
    #[must_use]
    pub fn is_half_way(&self) -> bool {
        self.position.zip(self.first_position).is_some_and(|(now, first)| now <= first / 2)
    }

    /// Writes down that a frame of the live connection says: at `as_of_ms` you were here.
    ///
    /// A presence runs from the first frame to the last by the gateway's own times, not to the end of the
    /// connection: a gateway may have cut a slow reader long before the reader comes to read that. It ends where the
    /// gateway was silent for longer than it had promised, the next frame after `next_update_ms`, and longer than its lease
    /// on visitors lasts: a gateway that was frozen told the line nothing of them meanwhile.
    pub fn be_here(&mut self, as_of_ms: u64, next_update_ms: u64) {
        if self.here_ms.is_some_and(|(_, to)| as_of_ms > to.saturating_add(self.silence_ms)) {
            self.go();
        }
        let (from, _) = self.here_ms.unwrap_or((as_of_ms, as_of_ms));
        self.here_ms = Some((from, as_of_ms.max(from)));
        self.silence_ms = LEASE_MS.max(next_update_ms.saturating_add(ALLOWANCE_MS));
    }

    /// Writes down that the live connection ended.
    pub fn go(&mut self) {
        if let Some(span) = self.here_ms.take()
            && self.present_ms.len() < SPANS_MAX
        {
            self.present_ms.push(span);
        }
    }

    /// Returns what it knows of its place in the order, if it had one.
    #[must_use]
    pub fn turn(&self) -> Option<Turn> {
        let (called_at_ms, present_ms) = (self.called_at_ms, self.present_ms.clone());
        self.place.or(self.number).map(|number| Turn { number, called_at_ms, present_ms })
    }

    /// Tells whether the forecast came true, of somebody who got a firm one and stayed until it was clear.
    #[must_use]
    pub fn forecast_came_true(&self) -> Option<bool> {
        let firm = self.forecast.filter(|forecast| *forecast != Forecast::Close)?;
        let has_seats = self.purchase != Purchase::Nothing;
        let is_clear = self.end == End::Told || has_seats;
        is_clear.then_some((firm == Forecast::LikelyEnough) == has_seats)
    }

    /// Returns how long it stood in line, in milliseconds, of those who were called or let in.
    #[must_use]
    pub fn waited_ms(&self) -> Option<u64> {
        let out_ms = self.called_at_ms.or(self.admitted_ms)?;
        Some(out_ms.saturating_sub(self.joined_ms?))
    }

    /// Returns by how much the first estimate was off, relative to the true wait of at least a second.
    #[must_use]
    pub fn eta_error(&self) -> Option<f64> {
        let (told_ms, told_s) = self.first_eta?;
        let waited_s = self.called_at_ms?.saturating_sub(told_ms) as f64 / 1_000.0;
        Some((told_s - waited_s).abs() / waited_s.max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Status {
        Status::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_position_that_rises_is_a_regression_and_a_new_number_is_seen() {
        let mut note = Note::default();
        assert!(note.heed(&status(r#"{"state":"waiting","number":7,"position":6}"#), 0));
        assert!(note.heed(&status(r#"{"state":"waiting","number":7,"position":3}"#), 1));
        assert!(note.is_half_way());
        assert!(note.heed(&status(r#"{"state":"waiting","position":4}"#), 900));
        assert_eq!((note.regressions, note.position), (0, Some(3)), "another gateway may be a tick behind");
        assert!(note.heed(&status(r#"{"state":"waiting","position":4}"#), 1_200));
        assert_eq!((note.regressions, note.position), (1, Some(3)));
        assert!(!note.heed(&status(r#"{"state":"waiting","number":8,"position":4}"#), 3));
        assert_eq!(note.number, Some(7));
    }

    #[test]
    fn a_gateway_that_has_lost_touch_is_not_held_to_what_it_says() {
        let mut note = Note::default();
        note.heed(&status(r#"{"state":"waiting","position":3,"store_up":true}"#), 0);
        note.heed(&status(r#"{"state":"waiting","position":9,"store_up":false}"#), 5_000);
        assert_eq!((note.regressions, note.position), (0, Some(3)));
        note.heed(&status(r#"{"state":"waiting","position":9,"store_up":true}"#), 6_000);
        assert_eq!(note.regressions, 1);
    }

    #[test]
    fn presence_runs_from_the_first_frame_to_the_last() {
        let mut note = Note { number: Some(1), ..Note::default() };
        note.be_here(10, 1_000);
        note.be_here(20, 1_000);
        note.be_here(30, 1_000);
        note.go();
        note.go();
        assert_eq!(note.turn().unwrap().present_ms, [(10, 30)]);
    }

    #[test]
    fn a_gateway_that_was_silent_beyond_its_lease_and_promise_told_the_line_nothing() {
        let spans = |frames: &[(u64, u64)]| {
            let mut note = Note { number: Some(1), ..Note::default() };
            frames.iter().for_each(|&(as_of_ms, next_ms)| note.be_here(as_of_ms, next_ms));
            note.go();
            note.turn().unwrap().present_ms
        };
        assert_eq!(spans(&[(0, 2_000), (10_000, 2_000)]), [(0, 10_000)], "a lease has not run out by then");
        assert_eq!(spans(&[(0, 2_000), (13_570, 2_000), (14_000, 2_000)]), [(0, 0), (13_570, 14_000)]);
        assert_eq!(spans(&[(0, 30_000), (30_500, 30_000)]), [(0, 30_500)], "far behind, a frame is rare");
    }

    #[test]
    fn the_first_estimate_is_held_against_the_true_wait() {
        let mut note = Note::default();
        note.heed(&status(r#"{"state":"waiting","eta_seconds":{"low":8,"high":12}}"#), 1_000);
        note.heed(&status(r#"{"state":"waiting","eta_seconds":{"low":1,"high":2}}"#), 5_000);
        assert_eq!(note.eta_error(), None);
        note.called_at_ms = Some(9_000);
        assert_eq!(note.eta_error(), Some(0.25));
    }

    #[test]
    fn the_first_firm_forecast_is_held_against_what_came_of_it() {
        let told = |forecasts: &[&str], purchase, end| {
            let mut note = Note { purchase, end, ..Note::default() };
            for forecast in forecasts {
                note.heed(&status(&format!(r#"{{"state":"waiting","forecast":"{forecast}"}}"#)), 0);
            }
            note.forecast_came_true()
        };
        assert_eq!(told(&["close", "likely_enough", "likely_sold_out"], Purchase::Held, End::Served), Some(true));
        assert_eq!(told(&["likely_enough"], Purchase::Nothing, End::Told), Some(false));
        assert_eq!(told(&["likely_sold_out"], Purchase::Nothing, End::Told), Some(true));
        assert_eq!(told(&["likely_sold_out"], Purchase::Nothing, End::Unfinished), None, "nobody knows");
        assert_eq!(told(&["close"], Purchase::Held, End::Served), None, "no firm word");
    }
}
