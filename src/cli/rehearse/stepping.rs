//! What a site bears: asked step by step more often, until it answers later than at first, or with errors, or until this
//! machine cannot ask more often.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::cli::crowd::carriers::Carriers;
use crate::cli::crowd::jar::Jar;
use crate::cli::crowd::status::Status;
use crate::cli::crowd::target::Target;
use crate::cli::crowd::wire::{Answer, Ask, Wire, WireFault};

/// Connections to the site at the most. A site that has all of them waiting is long past what it bears.
const CONNECTIONS: u32 = 2_048;
/// A step ends when so many have not been answered.
const UNANSWERED_MAX: usize = 20_000;
/// Each step asks so many times as often as the one before.
const GROWTH: f64 = 1.5;
/// How often the span between the last good step and the first bad one is halved.
const HALVINGS: u32 = 3;
/// A step is bad when 95 of 100 answers take so many times as long as at first, and so many milliseconds longer.
const LATER: (f64, f64) = (3.0, 10.0);
/// A step is bad when more than this part of the answers are errors.
const ERRORS_MAX: f64 = 0.01;

/// How the steps are taken.
#[derive(Clone, Copy, Debug)]
pub struct Stairs {
    /// Requests a second at first; the site is to be at ease with it.
    pub from: f64,
    /// Requests a second at the most.
    pub up_to: f64,
    /// How long each step lasts.
    pub each: Duration,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Requests a second.
    pub per_second: f64,
    /// How long half of the answers took at the most, in milliseconds, from the instant each was due to be asked.
    pub p50_ms: f64,
    /// How long 95 of 100 took.
    pub p95_ms: f64,
    /// Which part of them were errors.
    pub errors: f64,
    /// How many questions were not asked, because this machine had no file or port left for a connection.
    pub unasked: u64,
}

impl Step {
    /// Tells whether the site did worse than it does at ease.
    fn is_bad(&self, at_ease: &Self) -> bool {
        let (times, longer_ms) = LATER;
        let is_late = self.p95_ms > at_ease.p95_ms * times && self.p95_ms > at_ease.p95_ms + longer_ms;
        is_late || self.errors > ERRORS_MAX
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bearing {
    /// The highest rate at which the site did as at ease.
    pub per_second: f64,
    /// Whether it would bear more than it was asked for.
    pub is_at_least: bool,
    /// Whether the last step says nothing of the site: this machine could not ask as often.
    pub is_cut_short: bool,
    /// All steps, in the order in which they were taken.
    pub steps: Vec<Step>,
}

/// Why nothing was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfound {
    /// Nothing answers.
    NoAnswer(String),
    /// The page is none that visitors come for: its status is this.
    NoPage(u16),
    /// It is a waiting page that answers.
    Line,
    /// The first step is errors already.
    Errors,
    /// This machine could not even take the first step.
    Unasked,
}

/// Asks the target's page more and more often. `tell` hears of each step.
///
/// # Errors
/// When the first step does not tell how the site does at ease.
pub async fn find(target: &Target, stairs: Stairs, tell: impl Fn(&Step)) -> Result<Bearing, Unfound> {
    knock(target).await?;
    let target = Arc::new(target.clone());
    let take = async |per_second: f64| {
        let step = step(&target, per_second, stairs.each).await;
        tell(&step);
        step
    };
    climb(stairs, take).await
}

/// Asks once, to know that there is a page whose answers can be timed.
async fn knock(target: &Target) -> Result<(), Unfound> {
    let asked = Wire::new(None, None).ask(target, &mut Jar::default(), &Ask::page(&target.page)).await;
    let answer = asked.map_err(|fault| match fault.is_own() {
        true => Unfound::Unasked,
        false => Unfound::NoAnswer(fault.to_string()),
    })?;
    match answer.status.as_u16() {
        _ if is_good(&answer) => Ok(()),
        200..400 => Err(Unfound::Line),
        status => Err(Unfound::NoPage(status)),
    }
}

/// Takes steps that grow until one is bad, and then halves the span between it and the last good one.
async fn climb(stairs: Stairs, take: impl AsyncFn(f64) -> Step) -> Result<Bearing, Unfound> {
    let at_ease = take(stairs.from).await;
    if at_ease.unasked > 0 {
        return Err(Unfound::Unasked);
    }
    if at_ease.errors > ERRORS_MAX {
        return Err(Unfound::Errors);
    }
    let (mut steps, mut good, mut bad, mut halvings) = (vec![at_ease], stairs.from, None, 0);
    let mut is_cut_short = false;
    while !is_cut_short && (bad.is_some() || good < stairs.up_to) {
        let next = match bad {
            Some(_) if halvings == HALVINGS => break,
            Some(above) => f64::midpoint(good, above),
            None => (good * GROWTH).min(stairs.up_to),
        };
        halvings += u32::from(bad.is_some());
        let step = take(next).await;
        steps.push(step);
        is_cut_short = step.unasked > 0;
        match step.is_bad(&at_ease) {
            _ if is_cut_short => {}
            true => bad = Some(next),
            false => good = next,
        }
    }
    Ok(Bearing { per_second: good, is_at_least: bad.is_none(), is_cut_short, steps })
}

/// Asks at one rate, whether answers come or not, as visitors do.
async fn step(target: &Arc<Target>, per_second: f64, each: Duration) -> Step {
    let carriers = Arc::new(Carriers::new(CONNECTIONS));
    let started = Instant::now();
    let count = (per_second * each.as_secs_f64()).ceil().max(1.0) as u32;
    let (mut asked, mut answers) = (JoinSet::new(), Vec::new());
    for n in 0..count {
        while let Some(answer) = asked.try_join_next() {
            answers.extend(answer);
        }
        if asked.len() >= UNANSWERED_MAX {
            break;
        }
        let due = started + Duration::from_secs_f64(f64::from(n) / per_second);
        sleep_until(due).await;
        let (target, carriers) = (Arc::clone(target), Arc::clone(&carriers));
        asked.spawn(async move {
            let mut wire = Wire::new(None, Some(carriers));
            let answer = wire.ask(&target, &mut Jar::default(), &Ask::page(&target.page)).await;
            if answer.as_ref().is_err_and(WireFault::is_own) {
                return None;
            }
            let is_good = answer.is_ok_and(|answer| is_good(&answer));
            Some((due.elapsed(), is_good))
        });
    }
    answers.extend(asked.join_all().await);
    let unasked = answers.iter().filter(|answer| answer.is_none()).count() as u64;
    summed(per_second, &answers.into_iter().flatten().collect::<Vec<_>>(), unasked)
}

/// Tells whether an answer is one that a visitor came for: no error, and no waiting page.
fn is_good(answer: &Answer) -> bool {
    (200..400).contains(&answer.status.as_u16()) && Status::of_page(&answer.body).is_none()
}

fn summed(per_second: f64, answers: &[(Duration, bool)], unasked: u64) -> Step {
    let mut ms: Vec<f64> = answers.iter().map(|(took, _)| took.as_secs_f64() * 1_000.0).collect();
    ms.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| ms.get(((share * ms.len() as f64).ceil() as usize).saturating_sub(1)).copied().unwrap_or(0.0);
    let failed = answers.iter().filter(|(_, is_good)| !is_good).count();
    let rounded = |value: f64| (value * 1_000.0).round() / 1_000.0;
    Step {
        per_second,
        p50_ms: rounded(at(0.5)),
        p95_ms: rounded(at(0.95)),
        errors: rounded(failed as f64 / answers.len().max(1) as f64),
        unasked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_bad_when_it_is_late_or_fails() {
        let at_ease = Step { per_second: 10.0, p50_ms: 1.0, p95_ms: 4.0, errors: 0.0, unasked: 0 };
        let step = |p95_ms, errors| Step { p95_ms, errors, ..at_ease };
        assert!(!step(13.9, 0.01).is_bad(&at_ease));
        assert!(step(14.1, 0.0).is_bad(&at_ease) && step(4.0, 0.02).is_bad(&at_ease));
        let slow = Step { p95_ms: 100.0, ..at_ease };
        assert!(!Step { p95_ms: 290.0, ..slow }.is_bad(&slow));
    }

    /// Climbs before a site that bears so much, from a machine that can ask so often.
    async fn found_from(can_ask: f64, bears: f64, up_to: f64) -> Result<Bearing, Unfound> {
        let stairs = Stairs { from: 10.0, up_to, each: Duration::ZERO };
        let take = async |per_second| Step {
            per_second,
            p50_ms: 1.0,
            p95_ms: if per_second <= bears { 2.0 } else { 900.0 },
            errors: if bears < 10.0 { 1.0 } else { 0.0 },
            unasked: if per_second <= can_ask { 0 } else { 3 },
        };
        climb(stairs, take).await
    }

    async fn found(bears: f64, up_to: f64) -> Result<Bearing, Unfound> {
        found_from(f64::INFINITY, bears, up_to).await
    }

    #[tokio::test]
    async fn what_a_site_bears_is_found_from_below() {
        for bears in [12.0, 100.0, 777.0] {
            let found = found(bears, 5_000.0).await.unwrap();
            assert!(found.per_second <= bears && found.per_second > bears * 0.93, "{bears}: {}", found.per_second);
            assert!(!found.is_at_least);
        }
        let more = found(100.0, 50.0).await.unwrap();
        assert_eq!((more.per_second, more.is_at_least), (50.0, true));
        assert_eq!(found(5.0, 50.0).await, Err(Unfound::Errors));
    }

    #[tokio::test]
    async fn a_step_that_this_machine_cannot_take_says_nothing_of_the_site() {
        let found = found_from(30.0, 12.0, 5_000.0).await.unwrap();
        assert!(found.per_second <= 12.0 && !found.is_at_least && !found.is_cut_short, "{found:?}");
        let short = found_from(30.0, 777.0, 5_000.0).await.unwrap();
        assert_eq!((short.per_second, short.is_at_least, short.is_cut_short), (22.5, true, true));
        assert_eq!(short.steps.last().map(|step| (step.per_second, step.unasked)), Some((33.75, 3)));
        assert_eq!(found_from(5.0, 777.0, 50.0).await, Err(Unfound::Unasked));
    }

    #[test]
    fn answers_are_summed_up() {
        let answers: Vec<(Duration, bool)> = (1..=100).map(|ms| (Duration::from_millis(ms), ms > 5)).collect();
        let step = Step { per_second: 20.0, p50_ms: 50.0, p95_ms: 95.0, errors: 0.05, unasked: 7 };
        assert_eq!(summed(20.0, &answers, 7), step);
        assert_eq!(summed(20.0, &[], 7), Step { p50_ms: 0.0, p95_ms: 0.0, errors: 0.0, ..step });
    }
}
