//! `booking-api bench` and `booking-api plot`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use booking_core::bench::lapsing::{self, LapsingFigures};
use booking_core::bench::neighbour::{self, Neighbours};
use booking_core::bench::plot as drawing;
use booking_core::bench::telling::{self, TellingFigures};
use booking_core::bench::{self, Figures, Way};
use booking_core::clock::{Clock, SystemClock};
use booking_core::domain::seat::Numbering;
use booking_core::strategy::Strategy;
use clap::Args;
use serde::Serialize;
use vestibule_telemetry::say;

/// Rounds in which holds run out.
const LAPSING_ROUNDS: u32 = 5;

#[derive(Args)]
pub struct Bench {
    /// sqlite:FILE, sqlite::memory: or postgres://…
    #[arg(long, env = "BOOKING_DATABASE")]
    database: String,
    /// all, or the names of some.
    #[arg(long, value_delimiter = ',', default_value = "all")]
    strategy: Vec<String>,
    /// How many clients at once, one run for each number.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64,256")]
    clients: Vec<usize>,
    /// How long each run lasts.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often each run is made; strategies take turns, so that quick and slow minutes of a machine fall on all of them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// What a client does: calls the service, asks over http with a ticket, or goes through a purchase.
    #[arg(long, value_delimiter = ',', default_value = "service")]
    way: Vec<String>,
    /// Says that so many milliseconds were added to every sync of the database; written into the figures.
    #[arg(long, default_value_t = 0)]
    sync_added_ms: u32,
    /// A second database: measures what a hot train does to a quiet one on the same and on the other.
    #[arg(long)]
    neighbour: Option<String>,
    /// Measures how soon a gateway knows that a row is sold out or on sale again, in so many rounds.
    #[arg(long, conflicts_with = "neighbour")]
    telling: Option<u32>,
    /// Measures how soon so many seats are on sale again whose holds run out at the same instant.
    #[arg(long, conflicts_with_all = ["neighbour", "telling"])]
    lapsing: Option<u32>,
    /// Writes the figures to a file as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Args)]
pub struct Plot {
    /// What `bench --json` wrote.
    #[arg(required = true)]
    figures: Vec<PathBuf>,
    /// The picture.
    #[arg(long)]
    svg: PathBuf,
    /// The table, in Markdown.
    #[arg(long)]
    table: PathBuf,
}

pub async fn bench(arguments: Bench) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let strategies = strategies(&arguments.strategy, &arguments.database)?;
    let run = Duration::from_secs(arguments.seconds);
    if let Some(other) = arguments.neighbour {
        let [strategy] = strategies[..] else { bail!("choose one --strategy to measure neighbours with") };
        let databases = [arguments.database, other];
        let plan = Neighbours { databases, strategy, quiet_clients: 4, hot_clients: 256, run };
        return neighbours(&plan, &clock, arguments.json.as_deref()).await;
    }
    if let Some(rounds) = arguments.telling {
        return tell(&arguments.database, rounds, &clock, arguments.json.as_deref()).await;
    }
    if let Some(holds) = arguments.lapsing {
        return lapse(&arguments.database, holds, &clock, arguments.json.as_deref()).await;
    }
    let ways = arguments.way.iter().map(|name| way(name)).collect::<anyhow::Result<_>>()?;
    let (database, clients, sync_added_ms) = (arguments.database, arguments.clients, arguments.sync_added_ms);
    let rounds = arguments.rounds;
    let plan = bench::Plan { database, strategies, clients, run, rounds, ways, sync_added_ms };
    say!(
        "{:<12} {:<9} {:>7} {:>12} {:>9} {:>9} {:>7} {:>10} {:>9}",
        "strategy",
        "way",
        "clients",
        "a second",
        "p50 ms",
        "p99 ms",
        "failed",
        "cores here",
        "elsewhere"
    );
    let figures = bench::run(&plan, clock, report).await?;
    write_json(arguments.json.as_deref(), &figures)
}

fn report(run: &Figures) {
    let Figures { strategy, way, clients, holds_per_second, p50_ms, p99_ms, failed, .. } = run;
    let way = way.name();
    let [own, other] = [run.own_cores, run.other_cores].map(Option::unwrap_or_default);
    say!(
        "{strategy:<12} {way:<9} {clients:>7} {holds_per_second:>12.0} {p50_ms:>9.2} {p99_ms:>9.2} {failed:>7} \
         {own:>10.2} {other:>9.2}"
    );
}

async fn neighbours(plan: &Neighbours, clock: &Arc<dyn Clock>, json: Option<&Path>) -> anyhow::Result<()> {
    let figures = neighbour::run(plan, clock).await?;
    say!("{:<10} {:>12} {:>9} {:>9} {:>14}", "hot train", "quiet/s", "p50 ms", "p99 ms", "hot/s");
    for run in &figures {
        say!(
            "{:<10} {:>12.0} {:>9.2} {:>9.2} {:>14.0}",
            run.hot_train,
            run.holds_per_second,
            run.p50_ms,
            run.p99_ms,
            run.hot_holds_per_second
        );
    }
    write_json(json, &figures)
}

async fn tell(database: &str, rounds: u32, clock: &Arc<dyn Clock>, json: Option<&Path>) -> anyhow::Result<()> {
    let figures = telling::run(database, rounds, clock).await?;
    say!("{:<9} {:<10} {:>9} {:>9} {:>9} {:>5}", "word", "changed by", "p50 ms", "p99 ms", "max ms", "lost");
    for TellingFigures { word, changed_by, p50_ms, p99_ms, max_ms, lost } in &figures {
        say!("{word:<9} {changed_by:<10} {p50_ms:>9.1} {p99_ms:>9.1} {max_ms:>9.1} {lost:>5}");
    }
    write_json(json, &figures)
}

async fn lapse(database: &str, holds: u32, clock: &Arc<dyn Clock>, json: Option<&Path>) -> anyhow::Result<()> {
    let figures = lapsing::run(database, holds, LAPSING_ROUNDS, clock).await?;
    say!("{:>7} {:>9} {:>9}", "holds", "first ms", "all ms");
    for LapsingFigures { holds, first_ms, all_ms } in &figures {
        say!("{holds:>7} {first_ms:>9.0} {all_ms:>9.0}");
    }
    write_json(json, &figures)
}

fn write_json(path: Option<&Path>, figures: &impl Serialize) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let json = serde_json::to_vec_pretty(figures)?;
    std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads which strategies to measure: some, or all that sell seats without numbers and work on the database.
fn strategies(names: &[String], database: &str) -> anyhow::Result<Vec<Strategy>> {
    let locks_rows = !database.starts_with("sqlite:");
    let works = |strategy: &Strategy| {
        strategy.numbering() == Numbering::Pool && (locks_rows || *strategy != Strategy::Pessimistic)
    };
    let possible: Vec<Strategy> = Strategy::ALL.into_iter().filter(works).collect();
    let possible_names: Vec<&str> = possible.iter().map(|strategy| strategy.name()).collect();
    if let Some(name) = names.iter().find(|name| *name != "all" && !possible_names.contains(&name.as_str())) {
        bail!("there is no strategy {name:?} to measure here; choose all, {}", possible_names.join(", "));
    }
    let is_chosen = |strategy: &Strategy| names.iter().any(|name| name == "all" || name == strategy.name());
    Ok(possible.into_iter().filter(is_chosen).collect())
}

fn way(name: &str) -> anyhow::Result<Way> {
    let names = || Way::ALL.map(Way::name).join(", ");
    let way = Way::ALL.into_iter().find(|way| way.name() == name);
    way.with_context(|| format!("there is no way {name:?}; choose from {}", names()))
}

pub fn plot(arguments: &Plot) -> anyhow::Result<()> {
    let mut figures: Vec<Figures> = Vec::new();
    for path in &arguments.figures {
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let read: Vec<Figures> =
            serde_json::from_slice(&text).with_context(|| format!("{} is not of bench --json", path.display()))?;
        figures.extend(read);
    }
    let write = |path: &Path, text: String| {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write(&arguments.svg, drawing::picture(&figures))?;
    write(&arguments.table, drawing::table(&figures))
}
