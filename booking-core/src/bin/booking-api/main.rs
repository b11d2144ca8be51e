//! The booking API as a process of its own: arguments, configuration, logs, listener, exit code.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use booking_core::app::{self, App};
use booking_core::clock::SystemClock;
use booking_core::config::{Config, LogForm};
use booking_core::fail_point;
use clap::{Args, Parser, Subcommand};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use vestibule_telemetry::say;
use vestibule_telemetry::{Endpoint, TARGET, Traces};

mod measuring;
mod money;

/// Many small things are made and dropped for each request, on one thread and then on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    Bench(measuring::Bench),
    /// Makes a picture and a table of what benches wrote as JSON.
    Plot(measuring::Plot),
    /// Runs the simulated payment provider as a process of its own.
    Provider(money::Bank),
    /// Prints what every account of the ledger stands at, and compares each payment with its transfers; exit 1 when any
    /// does not fit.
    Ledger(Serve),
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
    /// The secret key of the calls to the payment provider; overrides the file.
    #[arg(long, env = "BOOKING_PROVIDER_KEY", hide_env_values = true)]
    provider_key: Option<String>,
    /// The secret of the provider's webhooks; overrides the file.
    #[arg(long, env = "BOOKING_WEBHOOK_SECRET", hide_env_values = true)]
    webhook_secret: Option<String>,
    /// The collector that takes traces over OTLP/HTTP; overrides the file.
    #[arg(long, env = "BOOKING_TRACES_ENDPOINT")]
    traces_endpoint: Option<Endpoint>,
    /// For tests of crashes: dies at the N-th time it comes to a point, POINT:N. Not in release builds.
    #[arg(long, env = "BOOKING_DIE_AT", hide = true)]
    die_at: Option<String>,
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
            Some(Command::Bench(bench)) => measuring::bench(bench).await.map(|()| true),
            Some(Command::Plot(plot)) => measuring::plot(&plot).map(|()| true),
            Some(Command::Provider(bank)) => money::run_bank(bank).await.map(|()| true),
            Some(Command::Ledger(which)) => money::check_ledger(&configured(&which)?).await,
            None => serve(arguments.serve).await.map(|()| true),
        }
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("booking-api: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn configured(arguments: &Serve) -> anyhow::Result<Config> {
    let mut config = match &arguments.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    config.listen = arguments.listen.clone().unwrap_or(config.listen);
    config.database = arguments.database.clone().unwrap_or(config.database);
    config.traces.endpoint = arguments.traces_endpoint.clone().or(config.traces.endpoint);
    config.payments.provider_key = arguments.provider_key.clone().or(config.payments.provider_key);
    config.payments.webhook_secret = arguments.webhook_secret.clone().or(config.payments.webhook_secret);
    config.check()?;
    Ok(config)
}

async fn serve(arguments: Serve) -> anyhow::Result<()> {
    let asked_to_end = asked_to_end()?;
    let config = configured(&arguments)?;
    if let Some(point) = &arguments.die_at {
        fail_point::arm(point).map_err(anyhow::Error::msg)?;
    }
    let traces = config.traces.rules().map(|rules| Traces::start(&rules, "booking-api", "booking")).transpose()?;
    start_logs(config.log, traces.as_ref());
    let listener = listen(&config.listen).await?;
    let address = app::address(&listener)?;
    let app = App::start(config, Arc::new(SystemClock::new())).await?;
    say!("booking http://{address}");
    traces.iter().for_each(|traces| app.service().metrics().also(traces.fates()));
    let served = app.serve(listener, asked_to_end).await.context("the listener failed");
    if let Some(traces) = traces {
        traces.stop().await;
    }
    served
}

async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; choose another with --listen HOST:PORT (port 0 takes a free one)")
    })
}

/// Begins to log. For machines, each line within a request says which.
fn start_logs(form: LogForm, traces: Option<&Traces>) {
    let wished = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned());
    let wished = if form == LogForm::Json { format!("{TARGET}=info,{wished}") } else { wished };
    vestibule_telemetry::start_logs(form, Some(&wished), traces);
}

/// Listens for Ctrl-C and SIGTERM from now on; the future it returns ends with the first. Called before anything else,
/// so that a signal during the start is heard and does not kill.
fn asked_to_end() -> anyhow::Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
