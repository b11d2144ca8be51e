//! `vestibule crowd`: a synthetic crowd, to rehearse a sale and to prove what is promised.
//!
//! Visitors come along a curve, get a place, keep a live connection, are let in, buy, and go. Each writes down what
//! it saw; the checks at the end are drawn from these notes and the booking API, not from what the gateway says of
//! itself. See [`report::Report`] for what comes out and [`order::overtakings`] for what counts as overtaking.

// who comes, and what will happen
mod chance;
pub mod behaviour;
pub mod curve;
pub mod plan;
pub mod expected;

// how one visitor speaks
pub mod target;
pub mod jar;
pub mod status;
mod speech;
pub mod carriers;
pub mod wire;
mod door;
mod live;

// what is written down
pub mod order;
mod latency;
pub mod notes;
pub mod tally;
mod progress;

// who goes
mod visitor;
pub mod scout;
mod args;
mod sending;
pub mod troop;

// what comes of it
pub mod report;
mod page;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::CommandFault;
use crate::clock::Clock;
pub use args::CrowdArgs;
use behaviour::Behaviour;
use curve::{Curve, CurveError};
use notes::Note;
use report::{Asked, Report};
use scout::{Scout, ScoutError, Stock};
use sending::{March, find_targets};
use tally::Tally;
use target::{Target, TargetError};
use vestibule_telemetry::say;

/// Files that are open beside one socket for each visitor.
const FILES_BESIDE: u64 = 128;
/// How many processes a crowd is spread over at the most.
const TROOPS_MAX: u64 = 200;
/// How long troops have to get ready, in microseconds.
const MUSTER_US: u64 = 1_000_000;

/// Says why there was no run, or no report of it.
#[derive(Debug, thiserror::Error)]
pub enum CrowdError {
    /// The curve cannot be followed.
    #[error(transparent)]
    Curve(#[from] CurveError),
    /// The crowd cannot go there.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The way was looked at and is not good.
    #[error(transparent)]
    Scout(#[from] ScoutError),
    /// So many processes would be needed that it is no use.
    #[error(
        "{visitors} visitors need {files} open files, more than {TROOPS_MAX} processes with {limit} each: raise the hard \
         limit (ulimit -Hn), or let them share connections with --through"
    )]
    TooMany {
        /// How many visitors.
        visitors: u64,
        /// How many files that takes.
        files: u64,
        /// How many one process may open.
        limit: u64,
    },
    /// A part of the crowd could not set out.
    #[error("a troop of the crowd could not be sent: {0}")]
    Troop(#[source] io::Error),
    /// Parts of the crowd did not come back.
    #[error("{0} troops of the crowd ended before they had told what they saw; is there memory enough?")]
    TroopsLost(u64),
    /// A file could not be written.
    #[error("the report cannot be written to {path}: {source}")]
    Write {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// Sends the crowd, waits until everyone is done, and returns the report, which is also written where the arguments say.
///
/// Its exit code is [`Report::exit_code`]. Ctrl-C ends the run early with a report of what happened so far.
/// Dropping the future ends every visit.
///
/// # Errors
/// See [`CrowdError`]: nothing but a file that cannot be written, and troops that are lost, is found after the crowd set
/// out.
pub async fn run(args: CrowdArgs, clock: Clock) -> Result<Report, CrowdError> {
    Curve::load(&args.expected.curve)?;
    let troops = troops(&args)?;
    let targets = find_targets(&args).await?;
    let booking = find_booking(&args, &targets[0]).await?;
    let mut scout = Scout::new(&targets[0], &booking, args.lasting.map(Duration::from_secs_f64));
    let found = look_around(&mut scout, &args, &clock).await?;
    let march = march(args, &found, troops, &clock);
    let (notes, tally) = if troops == 1 { go(&march, &clock).await? } else { send_troops(&march).await? };
    let asked = asked(&march, &clock);
    let stock = look_again(&mut scout, found.stock).await;
    let report = Report::of(&notes, &tally, stock.as_ref(), &asked);
    write(march.args.json.as_deref(), || serde_json::to_string_pretty(&report).unwrap_or_default() + "\n")?;
    write(march.args.html.as_deref(), || page::html(&report))?;
    Ok(report)
}

/// Runs the command: sends the crowd and prints the report.
///
/// # Errors
/// [`CommandFault::Input`] when there was no run, [`CommandFault::Failed`] when a check did not hold.
pub async fn tell(args: CrowdArgs) -> Result<(), CommandFault> {
    let report = run(args, Clock::system()).await.map_err(|fault| CommandFault::Input(fault.to_string()))?;
    say!("{report}");
    let broken: Vec<&str> = report.broken().into_iter().map(|(check, _)| check).collect();
    if report.exit_code() == 0 { Ok(()) } else { Err(CommandFault::Failed(format!("failed: {}", broken.join(", ")))) }
}

/// Returns how many processes it takes, and raises the limit of open files of this one as far as is allowed.
fn troops(args: &CrowdArgs) -> Result<u64, CrowdError> {
    let visitors = args.expected.visitors;
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1_024);
    let tabs = 1.0 + args.expected.behave.share(Behaviour::SecondTab);
    let files = args.through.map_or((visitors as f64 * tabs).ceil() as u64, u64::from);
    let needed = troops_needed(files, limit).ok_or(CrowdError::TooMany { visitors, files, limit })?;
    Ok(args.troops.unwrap_or(needed).max(needed))
}

/// Returns how many processes open so many files, where each may open `limit`; `None` when those are too many.
fn troops_needed(files: u64, limit: u64) -> Option<u64> {
    let needed = files.div_ceil(limit.saturating_sub(FILES_BESIDE).max(1)).max(1);
    (needed <= TROOPS_MAX).then_some(needed)
}

async fn find_booking(args: &CrowdArgs, site: &Target) -> Result<Target, TargetError> {
    match &args.booking {
        Some(url) => Target::find(url, args.allowed()).await,
        None => Ok(site.clone()),
    }
}

struct Found {
    room: String,
    stock: Option<Stock>,
}

/// Learns the room and, unless nobody is to hold anything, what is on sale.
async fn look_around(scout: &mut Scout<'_>, args: &CrowdArgs, clock: &Clock) -> Result<Found, ScoutError> {
    let seen = scout.enter().await?;
    let room = args.room.clone().or(seen).ok_or_else(|| ScoutError::Unguarded(args.url.clone()))?;
    let stock = match &args.inventory {
        _ if !args.expected.may_buy() => None,
        Some(id) => Some(scout.stock(id).await?),
        None => match scout.find(clock.now_ms()).await {
            Some(id) => Some(scout.stock(&id).await?),
            None => None,
        },
    };
    Ok(Found { room, stock })
}

/// Asks for the stock once more; what cannot be read then is taken from before.
async fn look_again(scout: &mut Scout<'_>, before: Option<Stock>) -> Option<Stock> {
    let before = before?;
    let after = scout.stock(&before.id).await.unwrap_or_default();
    Some(Stock { capacity: after.capacity.or(before.capacity), sold: after.sold, id: before.id })
}

fn march(args: CrowdArgs, found: &Found, troops: u64, clock: &Clock) -> March {
    let muster_us = if troops > 1 { MUSTER_US } else { 0 };
    March {
        room: found.room.clone(),
        inventory: found.stock.as_ref().map(|stock| stock.id.clone()),
        seed: args.expected.seed.unwrap_or_else(|| clock.now_us()),
        run: format!("{:x}-{:x}", clock.now_us(), std::process::id()),
        starts_us: clock.now_us() + muster_us,
        troop: 0,
        troops,
        args,
    }
}

/// Goes in this process.
async fn go(march: &March, clock: &Clock) -> Result<(Vec<Note>, Arc<Tally>), CrowdError> {
    let scene = Arc::new(march.scene(clock).await?);
    let beside = async {
        tokio::join!(progress::show(&scene.tally, scene.visitors), stop_when_told(&scene.stop));
    };
    let notes = sending::send(&scene, march.plans()?, beside).await;
    Ok((notes, Arc::clone(&scene.tally)))
}

/// Goes in several processes.
async fn send_troops(march: &March) -> Result<(Vec<Note>, Arc<Tally>), CrowdError> {
    let (tally, stop) = (Arc::new(Tally::new()), CancellationToken::new());
    let beside = async {
        tokio::join!(progress::show(&tally, march.args.expected.visitors), stop_when_told(&stop));
    };
    let notes = tokio::select! {
        notes = troop::send_all(march, &tally, &stop) => notes?,
        () = beside => Vec::new(),
    };
    Ok((notes, tally))
}

/// Ends every visit on Ctrl-C; never returns, so that the notes are still gathered.
async fn stop_when_told(stop: &CancellationToken) {
    if tokio::signal::ctrl_c().await.is_ok() {
        eprintln!("stopping early; the report is of what happened so far");
        stop.cancel();
    }
    std::future::pending().await
}

fn asked(march: &March, clock: &Clock) -> Asked {
    let expected = &march.args.expected;
    Asked {
        visitors: expected.visitors,
        quantity: expected.quantity,
        seed: march.seed,
        curve: expected.curve_name(),
        over_seconds: expected.over,
        started_at: march.starts_us / 1_000,
        ended_at: clock.now_ms(),
    }
}

fn write(path: Option<&Path>, text: impl FnOnce() -> String) -> Result<(), CrowdError> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, text()).map_err(|source| CrowdError::Write { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_decide_how_many_troops_go() {
        assert_eq!(troops_needed(0, 20_000), Some(1));
        assert_eq!(troops_needed(20_000 - FILES_BESIDE, 20_000), Some(1));
        assert_eq!(troops_needed(20_000, 20_000), Some(2));
        assert_eq!(troops_needed(1_000_000, 20_000), Some(51));
        assert_eq!(troops_needed(10_000_000, 20_000), None);
        assert_eq!(troops_needed(1_000, 10), None, "a limit that leaves nothing");
    }
}
