//! Which limits to set, in the words of vestibule.toml.

use super::stepping::Bearing;
use crate::admission::Limits;

/// Which part of what the site bore it is to be asked for: the rest is for the moment in which something fails.
const LOAD: f64 = 0.7;

/// One line of the configuration, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The key and its value.
    pub setting: String,
    /// Why.
    pub why: String,
}

/// What the advice is drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The limits as they are.
    pub limits: &'a Limits,
    /// How many may wait.
    pub max_waiting: u64,
    /// How many come.
    pub visitors: u64,
    /// What the site bears, where that was found out.
    pub bearing: Option<&'a Bearing>,
    /// How many requests a visit makes.
    pub requests: u32,
}

/// Recommends what should be other than it is, and what the site bears in any case.
#[must_use]
pub fn advise(known: &Known<'_>) -> Vec<Advice> {
    let rate = rate(known);
    let mut advice: Vec<Advice> = rate.iter().map(|rate| admissions(known, *rate)).collect();
    advice.extend(inside(known, rate.or(known.limits.admissions_per_second())));
    if known.max_waiting < known.visitors {
        let setting = format!("max_waiting = {}", round_up(known.visitors as f64 * 1.2));
        advice.push(Advice {
            setting,
            why: format!("{} are expected, and {} may wait", known.visitors, known.max_waiting),
        });
    }
    advice
}

/// Returns how many may come in each second, to two digits that count, rounded down.
fn rate(known: &Known<'_>) -> Option<f64> {
    let rate = known.bearing?.per_second * LOAD / f64::from(known.requests.max(1));
    let digits = 1 - rate.max(1e-9).log10().floor() as i32;
    let exact = (rate * 10f64.powi(digits) + 1e-9).floor() / 10f64.powi(digits);
    Some((exact * 1e9).round() / 1e9)
}

fn admissions(known: &Known<'_>, rate: f64) -> Advice {
    let bears = known.bearing.map_or(0.0, |bearing| bearing.per_second);
    let at_least = if known.bearing.is_some_and(|bearing| bearing.is_at_least) { "at least " } else { "" };
    let why =
        format!("the site bears {at_least}{bears:.0} requests a second; {LOAD} of that, {} a visit", known.requests);
    Advice { setting: format!("admissions_per_second = {rate}"), why }
}

/// An active limit that is narrower than the rate decides in its place (Little's law: inside = rate × time inside).
fn inside(known: &Known<'_>, rate: Option<f64>) -> Option<Advice> {
    let needed = round_up(rate? * known.limits.session_duration_s as f64);
    let set = known.limits.total_active_users?;
    let why =
        format!("{set} would let fewer in than the rate: who is in stays for {} s", known.limits.session_duration_s);
    (set < needed).then(|| Advice { setting: format!("total_active_users = {needed}"), why })
}

/// Rounds up to two digits that count.
fn round_up(value: f64) -> u64 {
    let step = 10f64.powf((value.max(1.0).log10().floor() - 1.0).max(0.0));
    ((value / step).ceil() * step) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(total_active_users: Option<u64>) -> Limits {
        Limits {
            interval_us: Limits::interval_us(50.0),
            burst: 10,
            total_active_users,
            session_duration_s: 600,
            grace_ms: 120_000,
            schedule: crate::schedule::Schedule::default(),
            floor_interval_us: None,
        }
    }

    fn settings(limits: &Limits, max_waiting: u64, bears: Option<f64>) -> Vec<String> {
        let bearing =
            bears.map(|per_second| Bearing { per_second, is_at_least: false, is_cut_short: false, steps: Vec::new() });
        let known = Known { limits, max_waiting, visitors: 20_000, bearing: bearing.as_ref(), requests: 4 };
        advise(&known).into_iter().map(|advice| advice.setting).collect()
    }

    #[test]
    fn what_the_site_bears_decides_the_rate() {
        assert_eq!(settings(&limits(None), 1_000_000, Some(200.0)), ["admissions_per_second = 35"]);
        assert_eq!(settings(&limits(None), 1_000_000, Some(20.0)), ["admissions_per_second = 3.5"]);
        assert_eq!(settings(&limits(None), 1_000_000, Some(0.4)), ["admissions_per_second = 0.07"], "never 0");
        assert!(settings(&limits(None), 1_000_000, None).is_empty());
    }

    #[test]
    fn limits_that_stand_in_the_way_are_named() {
        let told = settings(&limits(Some(5_000)), 10_000, None);
        assert_eq!(told, ["total_active_users = 30000", "max_waiting = 24000"]);
    }
}
