//! What the first response says in words and figures: the page for those without scripts, until a script takes over.
//! `words.js` says the same things by the same rules.

use serde::Serialize;

use super::words::Words;
use crate::mirror::Seconds;
use crate::status::{State, Status};

/// The texts of one status, as the template puts them into its places.
#[derive(Debug, Default, Serialize)]
pub(super) struct Shown {
    tab: String,
    position: String,
    ahead: Option<String>,
    waiting: String,
    eta: String,
    speed: Option<String>,
    stock: Option<String>,
    forecast: Option<String>,
    kept: String,
    lot: String,
    until: String,
    countdown: String,
    visit: String,
    message: String,
    rests: String,
    renews: String,
}

impl Shown {
    pub(super) fn of(status: &Status, words: &Words, refresh_seconds: u64) -> Self {
        let count = |n: Option<u64>| n.map(|n| words.count(n));
        let left = |until: Option<u64>| until.map(|until| words.span(until.saturating_sub(status.as_of) as f64 / 1e3));
        let visit = left(status.session_ends_at).filter(|_| status.state == State::Called);
        Self {
            tab: words.tab(status),
            position: count(status.position).unwrap_or_else(|| words.say("unknown", &[])),
            ahead: count(status.ahead),
            waiting: words.count(status.waiting),
            eta: words.range(status.eta_seconds),
            speed: status.admissions_per_second.and_then(|rate| words.speed(rate)),
            stock: count(status.stock.map(|stock| stock.available)),
            forecast: words.outlook(status),
            kept: words.kept(status.grace_seconds),
            lot: words.say("lot", &[("n", &count(status.number).unwrap_or_default())]),
            until: words.say(if status.number.is_none() { "opens_in" } else { "starts_in" }, &[]),
            countdown: left(status.opens_at).unwrap_or_else(|| words.say("any_moment", &[])),
            visit: visit.map(|span| words.say("visit", &[("span", &span)])).unwrap_or_default(),
            message: words.say("message", &[]),
            rests: words.say("rests", &[]),
            renews: words.still("renews", &[("span", &words.span(refresh_seconds as f64))]),
        }
    }
}

impl Words {
    /// Says a length of time as a person would: "40 seconds", "5 minutes", "1 hour 20 minutes".
    pub(super) fn span(&self, seconds: f64) -> String {
        let Length { unit, n, minutes } = Length::of(seconds);
        let rest = if minutes > 0 { format!(" {}", self.plural("minute", minutes)) } else { String::new() };
        self.plural(unit, n) + &rest
    }

    /// Says a wait as a range, in one unit where both ends share it.
    fn range(&self, eta: Option<Seconds>) -> String {
        let Some(eta) = eta else { return self.say("not_known", &[]) };
        if eta.high <= 5 {
            return self.say("few_seconds", &[]);
        }
        let (low, high) = (self.span(eta.low as f64), self.span(eta.high as f64));
        if low == high {
            return high;
        }
        let (from, to) = (Length::of(eta.low as f64), Length::of(eta.high as f64));
        let low = if from.unit == to.unit && from.minutes == 0 { self.count(from.n) } else { low };
        self.say("range", &[("low", &low), ("high", &high)])
    }

    /// Says how fast the line moves, per second, per minute or one every so often.
    fn speed(&self, per_second: f64) -> Option<String> {
        let whole = |n: f64| self.count(n.round() as u64);
        match per_second {
            none if none <= 0.0 => None,
            many if many >= 1.0 => Some(self.say("per_second", &[("n", &whole(many))])),
            some if some * 60.0 >= 1.0 => Some(self.say("per_minute", &[("n", &whole(some * 60.0))])),
            few => Some(self.say("one_every", &[("span", &self.span(1.0 / few))])),
        }
    }

    fn kept(&self, grace_seconds: Option<u64>) -> String {
        match grace_seconds {
            Some(seconds @ 1..) => self.say("kept", &[("span", &self.span(seconds as f64))]),
            _ => self.say("kept_while", &[]),
        }
    }

    fn outlook(&self, status: &Status) -> Option<String> {
        let forecast = status.forecast.filter(|_| matches!(status.state, State::Waiting | State::Paused))?;
        Some(self.say(forecast.name(), &[]))
    }

    /// Says what the tab's title begins with.
    fn tab(&self, status: &Status) -> String {
        let heading = match (status.state, status.number) {
            (State::Waiting, _) if status.ahead.is_some() => {
                return self.plural("tab_ahead", status.ahead.unwrap_or_default());
            }
            (State::PreQueue, None) => "h_early",
            (State::PreQueue | State::Waiting, _) => "h_waiting",
            (State::Called | State::Admitted, _) => "h_called",
            (State::Paused, _) => "h_paused",
            (State::SoldOut, _) => "h_sold_out",
            (State::Full, _) => "h_full",
            (State::Closed, _) => "h_closed",
            (State::Lapsed, _) => "h_lapsed",
            (State::None, _) => "h_none",
        };
        self.still(heading, &[])
    }
}

/// A length of time in the unit in which a person would say it.
struct Length {
    unit: &'static str,
    n: u64,
    /// Beside the hours, to the nearest ten.
    minutes: u64,
}

impl Length {
    fn of(seconds: f64) -> Self {
        let minutes = (seconds / 60.0).round() as u64;
        if seconds < 100.0 {
            return Self { unit: "second", n: seconds.round() as u64, minutes: 0 };
        }
        if minutes < 100 {
            return Self { unit: "minute", n: minutes, minutes: 0 };
        }
        let rest = (minutes % 60 + 5) / 10 * 10;
        Self { unit: "hour", n: minutes / 60 + u64::from(rest == 60), minutes: rest % 60 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Language;
    use super::*;

    #[test]
    fn times_are_said_as_a_person_would() {
        let words = Words::of(Language::En);
        for (seconds, said) in [
            (1.0, "1 second"),
            (99.4, "99 seconds"),
            (100.0, "2 minutes"),
            (5_940.0, "99 minutes"),
            (6_000.0, "1 hour 40 minutes"),
            (7_100.0, "2 hours"),
        ] {
            assert_eq!(words.span(seconds), said);
        }
    }

    #[test]
    fn a_wait_is_a_range_in_one_unit_where_it_can_be() {
        let of = |language, low, high| Words::of(language).range(Some(Seconds { low, high }));
        assert_eq!(of(Language::En, 70, 95), "70 to 95 seconds");
        assert_eq!(of(Language::En, 70, 150), "70 seconds to 3 minutes");
        assert_eq!(of(Language::En, 1, 4), "a few seconds");
        assert_eq!(of(Language::Bn, 70, 95), "৭০ থেকে ৯৫ সেকেন্ড");
        assert_eq!(Words::of(Language::En).range(None), "not known yet");
    }

    #[test]
    fn a_pace_is_said_in_the_unit_that_fits() {
        let words = Words::of(Language::En);
        let said = [50.0, 0.5, 0.01].map(|rate| words.speed(rate).unwrap());
        assert_eq!(said, ["50 a second", "30 a minute", "one every 2 minutes"]);
        assert_eq!(words.speed(0.0), None);
    }
}
