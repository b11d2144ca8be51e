//! `vestibule crowd`: a synthetic crowd, to rehearse a sale and to prove what is promised.
//!
//! Visitors come along a curve, get a place, keep a live connection, are let in, buy, and go. Each writes down what
//! it saw; the checks at the end are drawn from these notes and the booking API, not from what the gateway says of
//! itself. See [`report::Report`] for what comes out and [`order::overtakings`] for what counts as overtaking.

// what will happen
mod chance;
pub mod curve;
mod plan;

// how one visitor speaks
pub mod target;
mod jar;
mod status;
mod wire;
mod live;

// what is written down
pub mod order;
pub mod notes;
mod progress;

// who goes
mod visitor;
pub mod scout;

// what comes of it
pub mod report;
mod page;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::CommandFault;
use crate::clock::Clock;
use chance::Chance;
use curve::{Curve, CurveError};
use notes::{Note, Tally};
use plan::{Habits, Plan};
use report::{Asked, Report};
use scout::{Scout, ScoutError, Stock};
use target::{Target, TargetError};
use visitor::Scene;

/// Files that are open beside one socket for each visitor.
const FILES_BESIDE: u64 = 128;
const VISITORS_MAX: u64 = 1_000_000;
const SECONDS_MAX: f64 = 86_400.0;
/// How long a visit may take to end once it was told to.
const FAREWELL: Duration = Duration::from_secs(5);

/// Sends a synthetic crowd to a site behind a Vestibule, and checks that nobody was overtaken, forgotten or oversold.
#[derive(Clone, Debug, clap::Args)]
pub struct CrowdArgs {
    /// The guarded page, such as http://127.0.0.1:8080/
    pub url: String,
    /// How many come
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=VISITORS_MAX))]
    pub visitors: u64,
    /// How they come: flat, spike, or a CSV file with a header and a count in the last column of each row
    #[arg(long, default_value = "flat", value_name = "flat|spike|CSV")]
    pub curve: String,
    /// Over how many seconds they come
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS", value_parser = seconds)]
    pub over: f64,
    /// Which part of them loses the connection once and comes back some seconds later
    #[arg(long, default_value_t = 0.0, value_name = "FRACTION", value_parser = fraction)]
    pub drop: f64,
    /// Which part of those let in holds seats [default: 1 where there is a booking API]
    #[arg(long, value_name = "FRACTION", value_parser = fraction)]
    pub hold: Option<f64>,
    /// Which part of those who hold seats pays
    #[arg(long, default_value_t = 1.0, value_name = "FRACTION", value_parser = fraction)]
    pub pay: f64,
    /// The same seed brings the same crowd [default: the time]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Writes the report as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes the report as one HTML page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// What is bought, as TRAIN:DATE:CLASS [default: the first with seats that a search finds]
    #[arg(long, value_name = "ID", value_parser = inventory)]
    pub inventory: Option<String>,
    /// How many seats each buyer wants
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub quantity: u32,
    /// Ends the run after so many seconds at the latest [default: those of --over and 600 more]
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub lasting: Option<f64>,
    /// How long a payment may stay without a booking or a refund before it counts as one without a booking
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS", value_parser = seconds)]
    pub settle: f64,
    /// Further gateways of the same line; visitors are spread over all of them, and go on at the next when one does not
    /// answer
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub gateways: Vec<String>,
    /// Where the booking API is asked for the stock [default: the guarded site]
    #[arg(long, value_name = "URL")]
    pub booking: Option<String>,
    /// The room [default: the one that the site's ticket names]
    #[arg(long)]
    pub room: Option<String>,
    /// Allows a target on another machine, if VESTIBULE_CROWD_ALLOW_REMOTE names it as well
    #[arg(long, value_name = "HOST")]
    pub allow_remote: Option<String>,
    /// The second word on a target on another machine.
    #[arg(long, env = "VESTIBULE_CROWD_ALLOW_REMOTE", hide = true, value_name = "HOST")]
    pub allow_remote_again: Option<String>,
}

fn fraction(text: &str) -> Result<f64, String> {
    let fraction = text.parse::<f64>().ok().filter(|fraction| (0.0..=1.0).contains(fraction));
    fraction.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0 && *seconds <= SECONDS_MAX);
    seconds.ok_or_else(|| format!("expected seconds above 0, at most {SECONDS_MAX}"))
}

fn inventory(text: &str) -> Result<String, String> {
    let row = scout::is_row(text).then(|| text.to_owned());
    row.ok_or_else(|| "expected TRAIN:DATE:CLASS, for example 12951:2026-11-23:3A".to_owned())
}

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
    /// One process cannot open so many sockets.
    #[error(
        "{visitors} visitors need {needed} open files, and this process may open {limit}: raise the hard limit \
         (ulimit -Hn), or send several crowds of at most {} each",
        limit.saturating_sub(FILES_BESIDE)
    )]
    TooMany {
        /// How many visitors.
        visitors: u64,
        /// How many files that takes.
        needed: u64,
        /// How many are allowed.
        limit: u64,
    },
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
/// See [`CrowdError`]: nothing but a file that cannot be written is found after the crowd set out.
pub async fn run(args: CrowdArgs, clock: Clock) -> Result<Report, CrowdError> {
    let curve = Curve::load(&args.curve)?;
    allow_files(args.visitors)?;
    let targets = find_targets(&args).await?;
    let booking = find_booking(&args, &targets[0]).await?;
    let mut scout = Scout::new(&targets[0], &booking);
    let found = look_around(&mut scout, &args, &clock).await?;
    let seed = args.seed.unwrap_or_else(|| clock.now_us());
    let plans = plans(&args, &curve, seed);
    let scene = Arc::new(scene(&args, &clock, targets.clone(), &found));
    let notes = send(&scene, plans).await;
    let asked = asked(&args, &scene, seed);
    let stock = look_again(&mut scout, found.stock).await;
    let report = Report::of(&notes, &scene.tally, stock.as_ref(), &asked);
    write(args.json.as_deref(), || serde_json::to_string_pretty(&report).unwrap_or_default() + "\n")?;
    write(args.html.as_deref(), || page::html(&report))?;
    Ok(report)
}

/// Runs the command: sends the crowd and prints the report.
///
/// # Errors
/// [`CommandFault::Input`] when there was no run, [`CommandFault::Failed`] when a check did not hold.
pub async fn tell(args: CrowdArgs) -> Result<(), CommandFault> {
    let report = run(args, Clock::system()).await.map_err(|fault| CommandFault::Input(fault.to_string()))?;
    println!("{report}");
    let broken: Vec<&str> = report.broken().into_iter().map(|(check, _)| check).collect();
    if report.exit_code() == 0 { Ok(()) } else { Err(CommandFault::Failed(format!("failed: {}", broken.join(", ")))) }
}

/// Raises the limit of open files as far as is allowed, and refuses a crowd that does not fit.
fn allow_files(visitors: u64) -> Result<(), CrowdError> {
    let needed = visitors + FILES_BESIDE;
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1_024);
    if needed > limit { Err(CrowdError::TooMany { visitors, needed, limit }) } else { Ok(()) }
}

/// Returns the host on another machine that was allowed twice, if any.
fn allowed(args: &CrowdArgs) -> Option<&str> {
    args.allow_remote.as_deref().filter(|host| args.allow_remote_again.as_deref() == Some(host))
}

async fn find_targets(args: &CrowdArgs) -> Result<Vec<Target>, TargetError> {
    let mut targets = Vec::with_capacity(1 + args.gateways.len());
    for url in std::iter::once(&args.url).chain(&args.gateways) {
        targets.push(Target::find(url, allowed(args)).await?);
    }
    Ok(targets)
}

async fn find_booking(args: &CrowdArgs, site: &Target) -> Result<Target, TargetError> {
    match &args.booking {
        Some(url) => Target::find(url, allowed(args)).await,
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
        _ if args.hold == Some(0.0) => None,
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

fn plans(args: &CrowdArgs, curve: &Curve, seed: u64) -> Vec<Plan> {
    let habits = Habits { drop: args.drop, hold: args.hold.unwrap_or(1.0), pay: args.pay };
    let arrivals = curve.arrivals_us(args.visitors, (args.over * 1e6) as u64, &mut Chance::new(seed));
    plan::plans(&arrivals, habits, seed)
}

fn scene(args: &CrowdArgs, clock: &Clock, targets: Vec<Target>, found: &Found) -> Scene {
    let lasting = Duration::from_secs_f64(args.lasting.unwrap_or(args.over + 600.0));
    let started = Instant::now();
    Scene {
        targets,
        room: found.room.clone(),
        inventory: found.stock.as_ref().map(|stock| stock.id.clone()),
        quantity: args.quantity,
        visitors: args.visitors,
        run: format!("{:x}-{:x}", clock.now_us(), std::process::id()),
        clock: clock.clone(),
        started,
        started_us: clock.now_us(),
        deadline: started + lasting,
        settling: Duration::from_secs_f64(args.settle),
        stop: CancellationToken::new(),
        tally: Tally::new(),
    }
}

/// Sends everyone at their time and gathers the notes; the tasks live in a set that ends them when it is dropped.
async fn send(scene: &Arc<Scene>, plans: Vec<Plan>) -> Vec<Note> {
    let mut notes = Vec::with_capacity(plans.len());
    tokio::select! {
        () = live_through(scene, plans, &mut notes) => {}
        () = progress::show(&scene.tally, scene.visitors) => {}
        () = stop_when_told(&scene.stop) => {}
        () = sleep_until(scene.deadline + FAREWELL) => scene.tally.error("visits_cut_off"),
    }
    notes
}

async fn live_through(scene: &Arc<Scene>, plans: Vec<Plan>, notes: &mut Vec<Note>) {
    let mut visits = JoinSet::new();
    let mut gather = |done: Result<Note, JoinError>| match done {
        Ok(note) => notes.push(note),
        Err(_) => scene.tally.error("visit_failed"),
    };
    for plan in plans {
        let arrives = scene.started + Duration::from_micros(plan.arrives_us);
        let arrival = sleep_until(arrives.min(scene.deadline));
        if scene.stop.run_until_cancelled(arrival).await.is_none() || arrives >= scene.deadline {
            break;
        }
        let scene = Arc::clone(scene);
        visits.spawn(async move { visitor::visit(&scene, plan).await });
        while let Some(done) = visits.try_join_next() {
            gather(done);
        }
    }
    while let Some(done) = visits.join_next().await {
        gather(done);
    }
}

/// Ends every visit on Ctrl-C; never returns, so that the notes are still gathered.
async fn stop_when_told(stop: &CancellationToken) {
    if tokio::signal::ctrl_c().await.is_ok() {
        eprintln!("stopping early; the report is of what happened so far");
        stop.cancel();
    }
    std::future::pending().await
}

fn asked(args: &CrowdArgs, scene: &Scene, seed: u64) -> Asked {
    Asked {
        visitors: args.visitors,
        quantity: args.quantity,
        seed,
        curve: Path::new(&args.curve).file_name().unwrap_or_default().to_string_lossy().into_owned(),
        over_seconds: args.over,
        started_at: scene.started_us / 1_000,
        ended_at: scene.clock.now_ms(),
    }
}

fn write(path: Option<&Path>, text: impl FnOnce() -> String) -> Result<(), CrowdError> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, text()).map_err(|source| CrowdError::Write { path: path.display().to_string(), source })
}
