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

/// The texts that differ from visitor to visitor, or from moment to moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    Tab,
    Position,
    Ahead,
    Waiting,
    Eta,
    Speed,
    Stock,
    Lot,
    Countdown,
    Visit,
}

impl Figure {
    pub(super) const ALL: [Self; 10] = [
        Self::Tab,
        Self::Position,
        Self::Ahead,
        Self::Waiting,
        Self::Eta,
        Self::Speed,
        Self::Stock,
        Self::Lot,
        Self::Countdown,
        Self::Visit,
    ];

    /// Tells whether what it says is a visitor's own. If not, it says the same to all whom the template treats alike.
    pub(super) fn is_own(self, status: &Status) -> bool {
        match self {
            Self::Tab => status.state == State::Waiting && status.ahead.is_some(),
            Self::Position => status.position.is_some(),
            Self::Ahead => status.ahead.is_some(),
            Self::Waiting => true,
            Self::Eta => status.eta_seconds.is_some(),
            Self::Speed => {
                status.state == State::Waiting && status.admissions_per_second.is_some_and(|rate| rate > 0.0)
            }
            Self::Stock => status.stock.is_some(),
            Self::Lot => status.draw.is_some() && status.number.is_some(),
            Self::Countdown => status.opens_at.is_some(),
            Self::Visit => status.state == State::Called && status.session_ends_at.is_some(),
        }
    }

    /// Says it, if there is something to say.
    pub(super) fn say(self, status: &Status, words: &Words) -> Option<String> {
        let count = |n: Option<u64>| n.map(|n| words.count(n));
        let left = |until: Option<u64>| until.map(|until| words.span(until.saturating_sub(status.as_of) as f64 / 1e3));
        match self {
            Self::Tab => Some(words.tab(status)),
            Self::Position => count(status.position).or_else(|| Some(words.say("unknown", &[]))),
            Self::Ahead => count(status.ahead),
            Self::Waiting => Some(words.count(status.waiting)),
            Self::Eta => Some(words.range(status.eta_seconds)),
            Self::Speed => {
                let rate = status.admissions_per_second.filter(|_| status.state == State::Waiting);
                rate.and_then(|rate| words.speed(rate))
            }
            Self::Stock => count(status.stock.map(|stock| stock.available)),
            Self::Lot => {
                let number = count(status.number.filter(|_| status.draw.is_some()));
                Some(words.say("lot", &[("n", &number.unwrap_or_default())]))
            }
            Self::Countdown => left(status.opens_at).or_else(|| Some(words.say("any_moment", &[]))),
            Self::Visit => {
                let visit = left(status.session_ends_at).filter(|_| status.state == State::Called);
                Some(visit.map(|span| words.say("visit", &[("span", &span)])).unwrap_or_default())
            }
        }
    }
}

impl Shown {
    pub(super) fn of(status: &Status, words: &Words, refresh_seconds: u64) -> Self {
        let say = |figure: Figure| figure.say(status, words);
        let text = |figure: Figure| say(figure).unwrap_or_default();
        Self {
            tab: text(Figure::Tab),
            position: text(Figure::Position),
            ahead: say(Figure::Ahead),
            waiting: text(Figure::Waiting),
            eta: text(Figure::Eta),
            speed: say(Figure::Speed),
            stock: say(Figure::Stock),
            forecast: words.outlook(status),
            kept: words.kept(status.grace_seconds),
            lot: text(Figure::Lot),
            until: words.say(if status.number.is_none() { "opens_in" } else { "starts_in" }, &[]),
            countdown: text(Figure::Countdown),
            visit: text(Figure::Visit),
            message: words.say("message", &[]),
            rests: words.say("rests", &[]),
            renews: words.still("renews", &[("span", &words.span(refresh_seconds as f64))]),
        }
    }

    /// Puts something else in the place of some figures.
    pub(super) fn replace(&mut self, by: impl Fn(Figure) -> Option<String>) {
        for (text, figure) in [
            (&mut self.tab, Figure::Tab),
            (&mut self.position, Figure::Position),
            (&mut self.waiting, Figure::Waiting),
            (&mut self.eta, Figure::Eta),
            (&mut self.lot, Figure::Lot),
            (&mut self.countdown, Figure::Countdown),
            (&mut self.visit, Figure::Visit),
        ] {
            *text = by(figure).unwrap_or_else(|| std::mem::take(text));
        }
        for (text, figure) in
            [(&mut self.ahead, Figure::Ahead), (&mut self.speed, Figure::Speed), (&mut self.stock, Figure::Stock)]
        {
            *text = by(figure).or_else(|| text.take());
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
