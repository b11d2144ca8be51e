//! The crowd's report: what happened, and the checks that decide the exit code.

mod table;
mod timeline;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::latency::Counted;
use super::notes::{End, Note, Purchase};
use super::order::{self, Turn};
use super::scout::Stock;
use super::tally::{Limits, Robots, Tally};
pub use timeline::Second;

/// What a run came to; the JSON of the protocol. Rounded for reading: times to microseconds, rates to thousandths.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How many visitors were sent.
    pub visitors: u64,
    /// How many of them came before the run ended.
    pub arrived: u64,
    /// How many got an answer to their coming: a place, the way in, or "sold out".
    pub joined: u64,
    /// Over the time from the first arrival to the last such answer.
    pub joins_per_second: f64,
    /// From the instant a visitor meant to come to its answer.
    pub join_ms: Spread,
    /// How many were let in.
    pub admitted: u64,
    /// Over the time from the first call to the last.
    pub admissions_per_second: f64,
    /// The highest limit that the gateway named; `null` where there is none.
    pub admission_limit: Option<f64>,
    /// The burst that the gateway named; counted as 0 where it named none.
    pub burst: Option<u64>,
    /// Calls in the busiest second.
    pub most_admissions_in_a_second: u64,
    /// By how many the busiest second went over rate + burst.
    pub rate_overshoot: u64,
    /// Pairs called out of order among those present; the rule is that of [`order::overtakings`].
    pub overtakings: u64,
    /// How often a position shown rose.
    pub position_regressions: u64,
    /// How long those who were called had waited, in seconds.
    pub wait_seconds: Spread,
    /// From the start until the last was called, in seconds; `null` where nobody was.
    pub drained_after_seconds: Option<f64>,
    /// From the start until the first was told that everything is sold, in seconds; `null` where nobody was.
    pub sold_out_after_seconds: Option<f64>,
    /// The most who stood in line at once.
    pub waiting_peak: u64,
    /// The most live connections at once.
    pub live_connections_peak: u64,
    /// How many live updates came.
    pub live_updates: u64,
    /// The age of the live updates when they came.
    pub update_lag_ms: Spread,
    /// How far the first estimate was off, relative to the true wait.
    pub eta_error: Errors,
    /// How many answers came, in line and inside.
    pub answers: u64,
    /// How long they took, to within a quarter.
    pub answer_ms: Spread,
    /// How many pages of the site were looked at inside.
    pub pages: u64,
    /// How long they took, to within a quarter.
    pub page_ms: Spread,
    /// What was foretold, and what came of it.
    pub forecast: Forecasts,
    /// How many went away once on purpose.
    pub drops: u64,
    /// How often somebody came back, on purpose or not.
    pub returns: u64,
    /// How often somebody loaded the page anew while waiting.
    pub reloads: u64,
    /// How many second tabs were open.
    pub second_tabs: u64,
    /// How many gave their place up.
    pub left: u64,
    /// What became of each way to behave.
    pub behaviours: BTreeMap<&'static str, Fate>,
    /// What robots got.
    pub robots: Robots,
    /// What was on sale.
    pub inventory: Option<String>,
    /// How many got seats held.
    pub holds: u64,
    /// How many bookings were confirmed.
    pub sold: u64,
    /// How many seats those are, or the booking API says are sold, whichever is more.
    pub seats_sold: u64,
    /// How many seats there are; `null` when nothing was on sale.
    pub capacity: Option<u64>,
    /// Seats sold beyond the capacity.
    pub oversold: u64,
    /// How many payments were taken.
    pub payments: u64,
    /// Payments taken, and neither booked nor given back within the time for it (`--settle`).
    pub paid_without_booking: u64,
    /// How many were told that everything is sold.
    pub told: u64,
    /// How many got no place because the room was closed or full.
    pub turned_away: u64,
    /// How many stayed, or came back in time, and had lost their place; and tabs that were given one of their own.
    pub lost_places: u64,
    /// How many gave up after eight errors in a row.
    pub gave_up: u64,
    /// How many were not done when the run ended.
    pub unfinished: u64,
    /// What else went wrong, by kind.
    pub errors: BTreeMap<String, u64>,
    /// The same seed, the same crowd.
    pub seed: u64,
    /// How it came.
    pub curve: String,
    /// Over how many seconds it came.
    pub over_seconds: f64,
    /// How long the run took.
    pub seconds: f64,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_at: u64,
    /// What happened in each second.
    pub timeline: Vec<Second>,
}

/// The middle and the end of a distribution, in the unit that its field names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// Half are at most this.
    pub p50: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

/// The distribution of relative errors; `null` when there was nothing to compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Errors {
    /// Half are at most this.
    pub p50: Option<f64>,
    /// 9 of 10 are at most this.
    pub p90: Option<f64>,
}

/// The firm forecasts, each visitor's first, of those who stayed until it was clear whether seats were left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Forecasts {
    /// How many were judged.
    pub judged: u64,
    /// How many of them came true.
    pub came_true: u64,
    /// The share of them; `null` where none was judged.
    pub share: Option<f64>,
}

impl Forecasts {
    fn of(notes: &[Note]) -> Self {
        let judged: Vec<bool> = notes.iter().filter_map(Note::forecast_came_true).collect();
        let came_true = judged.iter().filter(|came_true| **came_true).count() as u64;
        let share = (!judged.is_empty()).then(|| thousandths(came_true as f64 / judged.len() as f64));
        Self { judged: judged.len() as u64, came_true, share }
    }
}

/// What became of those who behave in one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fate {
    /// How many there were.
    pub came: u64,
    /// How many were let in.
    pub admitted: u64,
    /// How many got seats booked.
    pub booked: u64,
}

/// What was asked for, as far as the report repeats it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// How many visitors.
    pub visitors: u64,
    /// The seats each buyer wants.
    pub quantity: u32,
    /// The seed.
    pub seed: u64,
    /// The curve's name.
    pub curve: String,
    /// Over how many seconds they come.
    pub over_seconds: f64,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_at: u64,
    /// When it ended.
    pub ended_at: u64,
}

impl Report {
    /// Draws the report from the notes of everyone, the tally, and what the booking API says of the stock.
    #[must_use]
    pub fn of(notes: &[Note], tally: &Tally, stock: Option<&Stock>, asked: &Asked) -> Self {
        let turns: Vec<Turn> = notes.iter().filter_map(Note::turn).collect();
        let calls: Vec<u64> = notes.iter().filter_map(|note| note.called_at_ms.or(note.admitted_ms)).collect();
        let count = |test: &dyn Fn(&Note) -> bool| notes.iter().filter(|note| test(note)).count() as u64;
        let ended = |end: End| count(&|note| note.end == end);
        let Limits { per_second, burst } = tally.highest_limits();
        let most = order::most_in_a_second(calls.clone());
        let sold = count(&|note| note.purchase == Purchase::Booked);
        let seats_sold = (sold * u64::from(asked.quantity)).max(stock.and_then(|stock| stock.sold).unwrap_or(0));
        let capacity = stock.and_then(|stock| stock.capacity);
        let lags = tally.lags_ms();
        let (answers, pages) = (tally.answers().whole(), tally.pages().whole());
        let after_start = |ms: u64| thousandths(ms.saturating_sub(asked.started_at) as f64 / 1_000.0);
        let told_ms = notes.iter().filter(|note| note.end == End::Told).map(|note| note.ended_ms);
        Self {
            visitors: asked.visitors,
            arrived: tally.arrived.now(),
            joined: count(&|note| note.joined_ms.is_some()),
            joins_per_second: joins_per_second(notes),
            join_ms: join_ms(notes),
            admitted: count(&|note| note.admitted_ms.is_some()),
            admissions_per_second: pace(&calls),
            admission_limit: per_second,
            burst,
            most_admissions_in_a_second: most,
            rate_overshoot: per_second.map_or(0, |rate| order::overshoot(most, rate, burst.unwrap_or(0))),
            overtakings: order::overtakings(&turns),
            position_regressions: notes.iter().map(|note| note.regressions).sum(),
            wait_seconds: wait_seconds(notes),
            drained_after_seconds: calls.iter().max().copied().map(after_start),
            sold_out_after_seconds: told_ms.min().map(after_start),
            waiting_peak: tally.waiting.peak(),
            live_connections_peak: tally.live.peak(),
            live_updates: lags.len(),
            update_lag_ms: spread(&lags, 1.0),
            eta_error: eta_error(notes),
            answers: answers.count(),
            answer_ms: counted(&answers),
            pages: pages.count(),
            page_ms: counted(&pages),
            forecast: Forecasts::of(notes),
            drops: count(&|note| note.dropped && note.end != End::Left),
            returns: notes.iter().map(|note| note.returns).sum(),
            reloads: notes.iter().map(|note| note.reloads).sum(),
            second_tabs: notes.iter().map(|note| note.tabs).sum(),
            left: ended(End::Left),
            behaviours: behaviours(notes),
            robots: tally.robots(),
            inventory: stock.map(|stock| stock.id.clone()),
            holds: count(&|note| note.purchase != Purchase::Nothing),
            sold,
            seats_sold,
            capacity,
            oversold: capacity.map_or(0, |capacity| seats_sold.saturating_sub(capacity)),
            payments: count(&|note| matches!(note.purchase, Purchase::Paid | Purchase::Undone | Purchase::Booked)),
            paid_without_booking: count(&|note| note.purchase == Purchase::Paid && note.end != End::Unfinished),
            told: ended(End::Told),
            turned_away: ended(End::TurnedAway),
            lost_places: ended(End::Lost) + notes.iter().map(|note| note.strays).sum::<u64>(),
            gave_up: ended(End::GaveUp),
            unfinished: ended(End::Unfinished),
            errors: tally.errors(),
            seed: asked.seed,
            curve: asked.curve.clone(),
            over_seconds: asked.over_seconds,
            seconds: asked.ended_at.saturating_sub(asked.started_at) as f64 / 1_000.0,
            started_at: asked.started_at,
            timeline: timeline::draw(notes, &tally.answers(), asked.started_at, asked.ended_at),
        }
    }

    /// Lists the checks that did not hold, with their counts.
    #[must_use]
    pub fn broken(&self) -> Vec<(&'static str, u64)> {
        let checks = [
            ("overtakings", self.overtakings),
            ("position_regressions", self.position_regressions),
            ("oversold", self.oversold),
            ("paid_without_booking", self.paid_without_booking),
            ("lost_places", self.lost_places),
        ];
        checks.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// Returns the process's exit code: 0 when every check held, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.broken().is_empty())
    }
}

fn thousandths(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn spread(histogram: &Histogram<u64>, unit: f64) -> Spread {
    let at = |quantile| thousandths(histogram.value_at_quantile(quantile) as f64 / unit);
    if histogram.is_empty() { Spread::default() } else { Spread { p50: at(0.5), p99: at(0.99), max: at(1.0) } }
}

fn counted(counted: &Counted) -> Spread {
    let at = |quantile| thousandths(counted.quantile_ms(quantile).unwrap_or(0.0));
    Spread { p50: at(0.5), p99: at(0.99), max: at(1.0) }
}

fn join_ms(notes: &[Note]) -> Spread {
    thousandths_of(notes.iter().filter_map(|note| note.join_us).collect())
}

fn wait_seconds(notes: &[Note]) -> Spread {
    thousandths_of(notes.iter().filter_map(Note::waited_ms).collect())
}

/// Spreads values and divides them by a thousand.
fn thousandths_of(mut values: Vec<u64>) -> Spread {
    values.sort_unstable();
    let at = |quantile| thousandths(quantile_of(&values, quantile).copied().unwrap_or(0) as f64 / 1_000.0);
    Spread { p50: at(0.5), p99: at(0.99), max: at(1.0) }
}

fn behaviours(notes: &[Note]) -> BTreeMap<&'static str, Fate> {
    let mut fates = BTreeMap::<_, Fate>::new();
    for note in notes {
        let fate = fates.entry(note.behaviour.name()).or_default();
        fate.came += 1;
        fate.admitted += u64::from(note.admitted_ms.is_some());
        fate.booked += u64::from(note.purchase == Purchase::Booked);
    }
    fates
}

fn eta_error(notes: &[Note]) -> Errors {
    let mut errors: Vec<f64> = notes.iter().filter_map(Note::eta_error).collect();
    errors.sort_unstable_by(f64::total_cmp);
    let at = |quantile| quantile_of(&errors, quantile).copied().map(thousandths);
    Errors { p50: at(0.5), p90: at(0.9) }
}

/// Returns the smallest value that the share `quantile` of the sorted values does not exceed.
fn quantile_of<T>(sorted: &[T], quantile: f64) -> Option<&T> {
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1))
}

fn joins_per_second(notes: &[Note]) -> f64 {
    let first_ms = notes.iter().filter(|note| note.joined_ms.is_some()).map(|note| note.arrives_ms).min();
    let last_ms = notes.iter().filter_map(|note| note.joined_ms).max();
    let joined = notes.iter().filter(|note| note.joined_ms.is_some()).count();
    let span_ms = last_ms.zip(first_ms).map_or(0, |(last, first)| last.saturating_sub(first)).max(1);
    thousandths(joined as f64 * 1_000.0 / span_ms as f64)
}

/// Returns the calls a second between the first and the last; 0 for fewer than two instants.
fn pace(calls_ms: &[u64]) -> f64 {
    let span_ms = calls_ms.iter().max().zip(calls_ms.iter().min()).map_or(0, |(last, first)| last - first);
    if span_ms == 0 { 0.0 } else { thousandths((calls_ms.len() - 1) as f64 * 1_000.0 / span_ms as f64) }
}

#[cfg(test)]
mod tests;
