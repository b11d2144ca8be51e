//! What the first response says in words and figures: the page for those without scripts, until a script takes over.
//! `words.js` says the same things by the same rules.

use serde::Serialize;

use super::words::Words;
use crate::forecast::Forecast;
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
    as_of: String,
    message: String,
    /// What keeps the figures from being news.
    trouble: Option<String>,
    /// The same for templates of an older day, which ask themselves whether the store answers.
    rests: String,
    renews: String,
    /// How old the figures are, to a reader who has had the page for a while.
    age: String,
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
    AsOf,
}

impl Figure {
    pub(super) const ALL: [Self; 11] = [
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
        Self::AsOf,
    ];

    /// Tells whether what it says is a visitor's own. If not, it says the same to all whom the template treats alike.
    pub(super) fn is_own(self, status: &Status) -> bool {
        match self {
            Self::Tab => status.state == State::Waiting && status.ahead.is_some(),
            Self::Position => status.position.is_some(),
            Self::Ahead => status.ahead.is_some(),
            Self::Waiting | Self::AsOf => true,
            Self::Eta => status.eta_seconds.is_some(),
            Self::Speed => {
                status.state == State::Waiting && status.admissions_per_second.is_some_and(|rate| rate > 0.0)
            }
            Self::Stock => on_sale(status).is_some(),
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
            Self::Stock => count(on_sale(status)),
            Self::Lot => {
                let number = count(status.number.filter(|_| status.draw.is_some()));
                Some(words.say("lot", &[("n", &number.unwrap_or_default())]))
            }
            Self::Countdown => left(status.opens_at).or_else(|| Some(words.say("any_moment", &[]))),
            Self::Visit => {
                let visit = left(status.session_ends_at).filter(|_| status.state == State::Called);
                Some(visit.map(|span| words.say("visit", &[("span", &span)])).unwrap_or_default())
            }
            Self::AsOf => Some(words.clock(status.as_of)),
        }
    }
}

/// Returns how many can still be had, where anything can.
fn on_sale(status: &Status) -> Option<u64> {
    let is_over = matches!(status.state, State::SoldOut | State::Closed);
    status.stock.filter(|_| !is_over).map(|stock| stock.available)
}

impl Shown {
    /// Says all of it to one visitor.
    pub(super) fn plain(status: &Status, words: &Words, refresh_seconds: u64) -> Self {
        Self::of(status, words, refresh_seconds, |figure| figure.say(status, words))
    }

    /// Says all of it; the figures as `say` has them.
    pub(super) fn of(
        status: &Status,
        words: &Words,
        refresh_seconds: u64,
        say: impl Fn(Figure) -> Option<String>,
    ) -> Self {
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
            as_of: words.still("as_of", &[("time", &text(Figure::AsOf))]),
            message: words.say("message", &[]),
            trouble: (!status.store_up).then(|| words.say("rests", &[])),
            rests: words.say("rests", &[]),
            renews: words.still("renews", &[("span", &words.span(refresh_seconds as f64))]),
            age: String::new(),
        }
    }

    /// Says what the page's script would say of figures that it follows, at `now_ms`: how old they are, and that nothing is
    /// heard where they are too old.
    pub(super) fn followed(self, status: &Status, words: &Words, now_ms: u64) -> Self {
        if status.number.is_none() {
            return self;
        }
        let old_ms = now_ms.saturating_sub(status.as_of);
        let span = words.span((old_ms / 1_000) as f64);
        let is_new = old_ms < JUST_NOW_MS;
        let age = if is_new { words.say("just_now", &[]) } else { words.say("ago", &[("span", &span)]) };
        let is_silent = old_ms > (3 * status.next_update_seconds + 10) * 1_000;
        let trouble = if is_silent { Some(words.say("silence", &[("span", &span)])) } else { self.trouble };
        Self { age, trouble, ..self }
    }
}

impl Words {
    /// Says a length of time as a person would: "40 seconds", "5 minutes", "1 hour 20 minutes".
    pub(super) fn span(&self, seconds: f64) -> String {
        self.length(Length::of(seconds, FINEST_S))
    }

    fn length(&self, Length { unit, n, minutes }: Length) -> String {
        let rest = if minutes > 0 { format!(" {}", self.plural("minute", minutes)) } else { String::new() };
        self.plural(unit, n) + &rest
    }

    /// Says the time of day of a moment in UTC, which is all that is known of a reader's clock: "10:04:31".
    fn clock(&self, ms: u64) -> String {
        self.time([ms / 3_600_000 % 24, ms / 60_000 % 60, ms / 1_000 % 60])
    }

    /// Says a wait as a range, in one unit where both ends can share it.
    fn range(&self, eta: Option<Seconds>) -> String {
        let Some(eta) = eta else { return self.say("not_known", &[]) };
        if eta.high <= 5 {
            return self.say("few_seconds", &[]);
        }
        let to = Length::of(eta.high as f64, FINEST_S);
        let from = Length::of(eta.low as f64, if to.unit == "second" { FINEST_S } else { 60.0 });
        let high = self.length(to);
        if from == to {
            return high;
        }
        let low = if from.unit == to.unit && from.minutes == 0 { self.count(from.n) } else { self.length(from) };
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

    /// Says whether what is left will last until the visitor's turn, or that it is too early to say.
    fn outlook(&self, status: &Status) -> Option<String> {
        let moves = status.state == State::Waiting && status.store_up;
        let foreseen = status.forecast.map(Forecast::name);
        // Where nothing is counted, nothing can run out, and there is nothing to say.
        let said = foreseen.or(status.stock.map(|_| "too_early")).filter(|_| moves)?;
        Some(self.say(said, &[]))
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

/// Figures younger than this are new.
const JUST_NOW_MS: u64 = 3_000;

/// Below so many seconds they are told as seconds.
const FINEST_S: f64 = 100.0;

/// A length of time in the unit in which a person would say it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Length {
    unit: &'static str,
    n: u64,
    /// Beside the hours, to the nearest ten.
    minutes: u64,
}

impl Length {
    fn of(seconds: f64, finest_s: f64) -> Self {
        let minutes = (seconds / 60.0).round() as u64;
        if seconds < finest_s {
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
    use super::super::{Language, sample};
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
        assert_eq!(of(Language::En, 30, 150), "30 seconds to 3 minutes");
        assert_eq!(of(Language::En, 70, 150), "1 to 3 minutes");
        assert_eq!(of(Language::En, 1, 4), "a few seconds");
        assert_eq!(of(Language::Bn, 70, 95), "৭০ থেকে ৯৫ সেকেন্ড");
        assert_eq!(Words::of(Language::En).range(None), "not known yet");
    }

    #[test]
    fn what_will_last_is_said_or_that_it_is_too_early_to_say() {
        let words = Words::of(Language::En);
        let told = |change: fn(&mut Status)| {
            let mut status = sample("waiting", "sale", 0).unwrap();
            change(&mut status);
            words.outlook(&status)
        };
        assert!(told(|_| ()).unwrap().contains("probably be sold out"));
        let too_early = Some("It is too early to say whether it will last until your turn.".to_owned());
        assert_eq!(told(|status| status.forecast = None), too_early);
        assert_eq!(told(|status| (status.forecast, status.stock) = (None, None)), None, "nothing is counted");
        assert_eq!(told(|status| (status.forecast, status.store_up) = (None, false)), None, "the line rests");
        assert_eq!(told(|status| (status.forecast, status.state) = (None, State::Paused)), None, "nobody moves");
    }

    #[test]
    fn a_moment_is_said_by_the_clock_of_utc() {
        let status = sample("waiting", "sale", 1_795_255_409_870).unwrap();
        let of = |language| Shown::plain(&status, &Words::of(language), 5).as_of;
        assert_eq!(of(Language::En), "As of 10:03:29 UTC.");
        assert_eq!(of(Language::Bn), "১০:০৩:২৯ UTC-এর অবস্থা।");
    }

    #[test]
    fn a_pace_is_said_in_the_unit_that_fits() {
        let words = Words::of(Language::En);
        let said = [50.0, 0.5, 0.01].map(|rate| words.speed(rate).unwrap());
        assert_eq!(said, ["50 a second", "30 a minute", "one every 2 minutes"]);
        assert_eq!(words.speed(0.0), None);
    }
}
