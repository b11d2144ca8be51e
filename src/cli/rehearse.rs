//! `vestibule rehearse`: what will come of a sale, before it.
//!
//! It plays the expected crowd through the room's limits, asks the site what it bears, recommends limits, and holds all
//! of it against a real run. docs/rehearse.md shows it at work.

mod advice;
mod comparison;
mod prediction;
mod stepping;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::crowd::curve::Share;
use super::crowd::expected::{Expected, seconds};
use super::crowd::target::Target;
use super::crowd::{self, CrowdArgs};
use super::{CommandFault, serve};
use crate::clock::Clock;
use crate::config::RoomConfig;
use crate::gate::QueueingMethod;
use crate::schedule::Schedule;
use advice::{Advice, Known, advise};
use comparison::{Compared, compare};
use prediction::{Prediction, Sale, predict};
use stepping::{Bearing, Stairs, Step, Unfound};
use vestibule_telemetry::say;

/// What the command takes.
#[derive(Clone, Debug, clap::Args)]
pub struct RehearseArgs {
    /// The configuration file
    #[arg(long, default_value = "vestibule.toml")]
    config: PathBuf,
    /// The room [default: the only one]
    #[arg(long)]
    room: Option<String>,
    #[command(flatten)]
    expected: Expected,
    /// How many seats there are [default: nothing runs out]
    #[arg(long, value_name = "SEATS")]
    stock: Option<u64>,
    /// After how many seconds seats that were not paid for are on sale again
    #[arg(long, default_value_t = 300, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    lapse: u64,
    /// Finds what the site bears: asks this page of it, past the gateway, more and more often
    #[arg(long, value_name = "URL")]
    step: Option<String>,
    /// Requests a second of the first step, with which the site is to be at ease
    #[arg(long, default_value_t = 10.0, value_name = "PER_SECOND", value_parser = rate)]
    step_from: f64,
    /// Requests a second of the last step, if the site bears that
    #[arg(long, default_value_t = 5_000.0, value_name = "PER_SECOND", value_parser = rate)]
    step_to: f64,
    /// How long each step lasts
    #[arg(long, default_value_t = 3.0, value_name = "SECONDS", value_parser = seconds)]
    step_seconds: f64,
    /// How many such requests a visit makes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    requests: u32,
    /// Sends the crowd to this guarded page, and compares
    #[arg(long, value_name = "URL", conflicts_with = "against")]
    run: Option<String>,
    /// Compares with the JSON report of a crowd that was sent before, with the same numbers and seed
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// What the crowd of --run buys, as TRAIN:DATE:CLASS
    #[arg(long, value_name = "ID")]
    inventory: Option<String>,
    /// Where the crowd of --run asks for the stock [default: the guarded site]
    #[arg(long, value_name = "URL")]
    booking: Option<String>,
    /// Writes what was foretold, found and seen as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the report of the crowd of --run as one HTML page
    #[arg(long, value_name = "FILE", requires = "run")]
    html: Option<PathBuf>,
    /// Allows targets on another machine, if VESTIBULE_CROWD_ALLOW_REMOTE names it as well
    #[arg(long, value_name = "HOST")]
    allow_remote: Option<String>,
    #[arg(long, env = "VESTIBULE_CROWD_ALLOW_REMOTE", hide = true, value_name = "HOST")]
    allow_remote_again: Option<String>,
}

/// Whose fault it is that questions were not asked, and what helps.
const OUT_OF_CONNECTIONS: &str =
    "this machine has no files or ports left for connections (raise `ulimit -n`, or ask from elsewhere)";

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (0.1..=1e6).contains(rate));
    rate.ok_or_else(|| "expected a rate from 0.1 to 1,000,000 a second".to_owned())
}

/// What a rehearsal came to, as JSON.
#[derive(Debug, Serialize)]
struct Rehearsal<'a> {
    prediction: &'a Prediction,
    bearing: Option<&'a Bearing>,
    compared: &'a [Compared],
    seed: u64,
}

/// Foretells, finds out, recommends and compares, as far as it is asked to.
///
/// # Errors
/// [`CommandFault::Input`] for what cannot be used, [`CommandFault::Failed`] when a check of the crowd did not hold.
pub async fn run(mut args: RehearseArgs) -> Result<(), CommandFault> {
    let clock = Clock::system();
    let seed = args.expected.seed.unwrap_or_else(|| clock.now_us());
    args.expected.seed = Some(seed);
    if args.expected.hold.is_none() && args.stock.is_none() && args.inventory.is_none() {
        args.expected.hold = Some(0.0);
    }
    if args.step_from > args.step_to {
        return Err(input(format!("--step-from {} is above --step-to {}", args.step_from, args.step_to)));
    }
    let config = serve::read(&args.config)?;
    let room = room(&args, &config.rooms)?;
    let plans = args.expected.plans(seed, Share::ALL).map_err(|fault| input(fault.to_string()))?;
    let prediction = predict(plans, &sale(&args, room));
    tell_prediction(&args, room, &prediction, seed);
    let bearing = step(&args).await?;
    tell_advice(&args, room, bearing.as_ref());
    let seen = seen(&args, &clock).await?;
    let compared = seen.as_ref().map(|seen| compare(&prediction, &seen.report)).unwrap_or_default();
    tell_comparison(&compared);
    write(&args, &Rehearsal { prediction: &prediction, bearing: bearing.as_ref(), compared: &compared, seed })?;
    match seen.filter(|seen| !seen.broken.is_empty()) {
        Some(seen) => Err(CommandFault::Failed(format!("failed: {}", seen.broken.join(", ")))),
        None => Ok(()),
    }
}

fn input(text: String) -> CommandFault {
    CommandFault::Input(text)
}

fn room<'a>(args: &RehearseArgs, rooms: &'a [RoomConfig]) -> Result<&'a RoomConfig, CommandFault> {
    let names = || rooms.iter().map(|room| room.rules.name.to_string()).collect::<Vec<_>>().join(", ");
    match &args.room {
        Some(name) => rooms
            .iter()
            .find(|room| room.rules.name.as_str() == name)
            .ok_or_else(|| input(format!("there is no room `{name}`; there are {}", names()))),
        None if rooms.len() == 1 => Ok(&rooms[0]),
        None => Err(input(format!("name one of the rooms {} with --room", names()))),
    }
}

/// The sale as it would run from the first arrival on: the dates of the room's schedule are left aside.
fn sale(args: &RehearseArgs, room: &RoomConfig) -> Sale {
    let mut limits = room.limits.clone();
    limits.schedule = Schedule::default();
    if room.rules.method == QueueingMethod::Passthrough {
        (limits.interval_us, limits.total_active_users) = (0, None);
    }
    Sale {
        limits,
        seats: args.stock,
        quantity: u64::from(args.expected.quantity),
        lapse_s: args.lapse,
        is_told_in_line: room.rules.item.is_some(),
    }
}

async fn step(args: &RehearseArgs) -> Result<Option<Bearing>, CommandFault> {
    let Some(url) = &args.step else { return Ok(None) };
    let allowed = args.allow_remote.as_deref().filter(|host| args.allow_remote_again.as_deref() == Some(host));
    let target = Target::find(url, allowed).await.map_err(|fault| input(fault.to_string()))?;
    let stairs = Stairs { from: args.step_from, up_to: args.step_to, each: Duration::from_secs_f64(args.step_seconds) };
    // Where it cannot be raised, the steps tell when it was reached.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    say!("\nWhat {url} bears");
    match stepping::find(&target, stairs, tell_step).await {
        Ok(bearing) => {
            if bearing.is_cut_short {
                say!("  {OUT_OF_CONNECTIONS}; what the site does then is not known");
            }
            Ok(Some(bearing))
        }
        Err(unfound) => Err(input(unfound_words(url, &target.authority, args.step_from, &unfound))),
    }
}

fn unfound_words(url: &str, authority: &str, from: f64, unfound: &Unfound) -> String {
    match unfound {
        Unfound::NoAnswer(fault) => format!("{authority} does not answer: {fault}; is it running?"),
        Unfound::NoPage(status) => format!("{url} answers with HTTP {status}; give --step a page that the site has"),
        Unfound::Line => {
            format!("{url} is behind a line; give --step the address of the site itself, past the gateway")
        }
        Unfound::Errors => format!("{url} answers with errors at {from} a second already"),
        Unfound::Unasked => format!("at {from} a second already, {OUT_OF_CONNECTIONS}"),
    }
}

fn tell_step(step: &Step) {
    let Step { per_second, p50_ms, p95_ms, errors, unasked } = step;
    let unasked = if *unasked > 0 { format!(", {unasked} not asked") } else { String::new() };
    say!(
        "  {per_second:>8.1} a second: {p50_ms:>8.1} ms median, {p95_ms:>8.1} ms p95, {:.1} % errors{unasked}",
        errors * 100.0
    );
}

struct Seen {
    report: Value,
    broken: Vec<&'static str>,
}

/// Sends the crowd, or reads what one has seen.
async fn seen(args: &RehearseArgs, clock: &Clock) -> Result<Option<Seen>, CommandFault> {
    if let Some(path) = &args.against {
        let unreadable =
            |fault: &dyn std::fmt::Display| input(format!("{} is no report of a crowd: {fault}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|fault| unreadable(&fault))?;
        let report: Value = serde_json::from_str(&text).map_err(|fault| unreadable(&fault))?;
        return Ok(Some(Seen { report, broken: Vec::new() }));
    }
    let Some(url) = &args.run else { return Ok(None) };
    let report = crowd::run(crowd_args(args, url), clock.clone()).await.map_err(|fault| input(fault.to_string()))?;
    say!("\n{report}");
    let broken = report.broken().into_iter().map(|(check, _)| check).collect();
    Ok(Some(Seen { report: serde_json::to_value(&report).unwrap_or_default(), broken }))
}

fn crowd_args(args: &RehearseArgs, url: &str) -> CrowdArgs {
    CrowdArgs {
        url: url.to_owned(),
        expected: args.expected.clone(),
        pages: Vec::new(),
        think: 0.0,
        json: None,
        html: args.html.clone(),
        inventory: args.inventory.clone(),
        lasting: None,
        settle: 60.0,
        gateways: Vec::new(),
        booking: args.booking.clone(),
        room: args.room.clone(),
        through: None,
        troops: None,
        allow_remote: args.allow_remote.clone(),
        allow_remote_again: args.allow_remote_again.clone(),
    }
}

fn tell_prediction(args: &RehearseArgs, room: &RoomConfig, prediction: &Prediction, seed: u64) {
    let Expected { visitors, over, .. } = &args.expected;
    let rate = room.limits.admissions_per_second().map_or("no limit".to_owned(), |rate| format!("{rate} a second"));
    say!(
        "{visitors} visitors over {over} s ({}, seed {seed}) to room {}, {rate}",
        args.expected.curve_name(),
        room.rules.name
    );
    let drained = prediction.drained_after_seconds.map_or("never".to_owned(), |s| format!("after {s:.1} s"));
    say!("  called       {} of them, the last {drained}", prediction.called);
    say!(
        "  wait         {:.1} s median, {:.1} s for 99 of 100, {:.1} s at most; {} in line at once",
        prediction.wait_p50_seconds,
        prediction.wait_p99_seconds,
        prediction.wait_max_seconds,
        prediction.waiting_peak
    );
    if let Some(stock) = args.stock {
        say!(
            "  seats        {} of {stock} sold; {} hear that everything is sold",
            prediction.seats_sold,
            prediction.told
        );
    }
    if let (Some(gone), Some(came)) = (prediction.sold_out_after_seconds, prediction.last_seat_came_after_seconds) {
        say!("  who gets one whoever has come by {came:.1} s; the last seat is gone after {gone:.1} s");
    }
    if prediction.never > 0 {
        say!("  never        {} are not called within a week: is the rate 0?", prediction.never);
    }
}

fn tell_advice(args: &RehearseArgs, room: &RoomConfig, bearing: Option<&Bearing>) {
    let known = Known {
        limits: &room.limits,
        max_waiting: room.rules.max_waiting,
        visitors: args.expected.visitors,
        bearing,
        requests: args.requests,
    };
    let advice = advise(&known);
    if !advice.is_empty() {
        say!("\n[room.{}]", room.rules.name);
        advice.iter().for_each(|Advice { setting, why }| say!("{setting}  # {why}"));
    }
}

fn tell_comparison(compared: &[Compared]) {
    if compared.is_empty() {
        return;
    }
    say!("\n{:<30} {:>12} {:>12} {:>8}", "", "foretold", "seen", "off");
    for Compared { figure, foretold, seen, off } in compared {
        let seen = seen.map_or("-".to_owned(), |seen| format!("{seen:.1}"));
        let off = off.map_or("-".to_owned(), |off| format!("{:.1} %", off * 100.0));
        say!("{figure:<30} {foretold:>12.1} {seen:>12} {off:>8}");
    }
}

fn write(args: &RehearseArgs, rehearsal: &Rehearsal<'_>) -> Result<(), CommandFault> {
    let Some(path) = &args.json else { return Ok(()) };
    let text = serde_json::to_string_pretty(rehearsal).unwrap_or_default() + "\n";
    std::fs::write(path, text).map_err(|fault| input(format!("{} cannot be written: {fault}", path.display())))
}
