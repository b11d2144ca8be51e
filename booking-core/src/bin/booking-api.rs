//! The booking API as a process of its own: arguments, configuration, logs, listener, exit code.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use booking_core::app::{self, App};
use booking_core::bench;
use booking_core::clock::SystemClock;
use booking_core::config::{Config, LogFormat};
use booking_core::domain::seat::Numbering;
use booking_core::strategy::Strategy;
use clap::{Args, Parser, Subcommand};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

/// Sells seats without ever selling one twice.
#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Subcommand)]
enum Command {
    /// Measures what a database can take: holds a second and p50/p99 on one hot row.
    Bench(Bench),
}

#[derive(Args)]
struct Serve {
    /// The configuration file; the defaults are those of booking.toml.
    #[arg(long, env = "BOOKING_CONFIG")]
    config: Option<PathBuf>,
    /// Where to listen, HOST:PORT; overrides the file.
    #[arg(long, env = "BOOKING_LISTEN")]
    listen: Option<String>,
    /// sqlite:FILE, sqlite::memory: or postgres://…; overrides the file.
    #[arg(long, env = "BOOKING_DATABASE")]
    database: Option<String>,
}

#[derive(Args)]
struct Bench {
    /// sqlite:FILE, sqlite::memory: or postgres://…
    #[arg(long, env = "BOOKING_DATABASE")]
    database: String,
    /// all, teller or conditional.
    #[arg(long, default_value = "all")]
    strategy: String,
    /// How many clients at once, one run for each number.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64,256")]
    clients: Vec<usize>,
    /// How long each run lasts.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Writes the figures to a file as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("booking-api: the system gives no threads: {error}");
            return ExitCode::from(2);
        }
    };
    let outcome = runtime.block_on(async {
        match arguments.command {
            Some(Command::Bench(bench)) => measure(bench).await,
            None => serve(arguments.serve).await,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("booking-api: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn serve(arguments: Serve) -> anyhow::Result<()> {
    let mut config = match &arguments.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    config.listen = arguments.listen.unwrap_or(config.listen);
    config.database = arguments.database.unwrap_or(config.database);
    config.check()?;
    start_logs(config.log);
    let listener = listen(&config.listen).await?;
    let address = app::address(&listener)?;
    let app = App::start(config, Arc::new(SystemClock::new())).await?;
    println!("booking http://{address}");
    app.serve(listener, asked_to_end()).await.context("the listener failed")
}

async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; choose another with --listen HOST:PORT (port 0 takes a free one)")
    })
}

fn start_logs(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().init(),
    }
}

async fn asked_to_end() {
    let interrupted = tokio::signal::ctrl_c();
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = interrupted => {}
        () = terminated => {}
    }
}

async fn measure(arguments: Bench) -> anyhow::Result<()> {
    let strategies = strategies(&arguments.strategy, &arguments.database)?;
    let plan = bench::Plan {
        database: arguments.database,
        strategies,
        clients: arguments.clients,
        run: Duration::from_secs(arguments.seconds),
    };
    println!("{:<12} {:>7} {:>12} {:>9} {:>9} {:>7}", "strategy", "clients", "holds/s", "p50 ms", "p99 ms", "failed");
    let figures = bench::run(&plan, Arc::new(SystemClock::new()), |run| {
        println!(
            "{:<12} {:>7} {:>12.0} {:>9.2} {:>9.2} {:>7}",
            run.strategy, run.clients, run.holds_per_second, run.p50_ms, run.p99_ms, run.failed
        );
    })
    .await?;
    if let Some(path) = arguments.json {
        let json = serde_json::to_vec_pretty(&figures)?;
        std::fs::write(&path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Reads which strategies to measure: one, or all that sell seats without numbers and work on the database.
fn strategies(name: &str, database: &str) -> anyhow::Result<Vec<Strategy>> {
    let locks_rows = !database.starts_with("sqlite:");
    let works = |strategy: &Strategy| {
        strategy.numbering() == Numbering::Pool && (locks_rows || *strategy != Strategy::Pessimistic)
    };
    let possible: Vec<Strategy> = Strategy::ALL.into_iter().filter(works).collect();
    let chosen: Vec<Strategy> =
        possible.iter().copied().filter(|strategy| name == "all" || strategy.name() == name).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = possible.iter().map(|strategy| strategy.name()).collect();
        bail!("there is no strategy {name:?} to measure here; choose all, {}", names.join(", "));
    }
    Ok(chosen)
}
