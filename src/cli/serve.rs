//! `vestibule serve`: the gateway, as its configuration says.

use std::path::{Path, PathBuf};

use tokio::signal::unix::{Signal, SignalKind, signal};
use vestibule_telemetry::say;

use super::CommandFault;
use crate::clock::Clock;
use crate::config::{Config, Environment};
use crate::gateway::Gateway;
use crate::telemetry::{self, LogForm, Traces};

/// What the command takes.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// The configuration file
    #[arg(long, default_value = "vestibule.toml")]
    config: PathBuf,
}

/// Runs until it is asked to stop; takes a changed file on SIGHUP.
///
/// # Errors
/// When the configuration or the start fails.
pub async fn run(args: ServeArgs, log: LogForm) -> Result<(), CommandFault> {
    // First of all: whoever is told to stop or to read anew while it starts does so, and is not killed by the signal.
    let (mut stop, mut hang_up) = (Stop::new()?, listen(SignalKind::hangup())?);
    let config = read(&args.config)?;
    let traces = start_telling(log, &config)?;
    let started = tokio::select! {
        () = stop.asked() => return Ok(()),
        started = Gateway::start(&config, Clock::system()) => started,
    };
    let gateway = started.map_err(|fault| CommandFault::Input(fault.to_string()))?;
    traces.iter().for_each(|traces| gateway.count(traces));
    say!(
        "gateway {}://{}",
        if config.certificate.is_some() || config.acme.is_some() { "https" } else { "http" },
        gateway.address
    );
    say!("console {}://{}", gateway.admin_scheme, gateway.admin_address);
    if let (None, Some(data)) = (&config.admin_token, &config.data) {
        eprintln!("The console asks for the token in {}.", data.join("admin-token").display());
    }
    loop {
        tokio::select! {
            () = stop.asked() => break,
            _ = hang_up.recv() => reload(&gateway, &args.config).await,
        }
    }
    tracing::info!("stopping; requests under way may end");
    gateway.stop().await;
    if let Some(traces) = traces {
        traces.stop().await;
    }
    Ok(())
}

/// Begins to log, and to trace as the configuration says; logs which variables say nothing to it.
///
/// # Errors
/// [`CommandFault::Input`].
pub fn start_telling(log: LogForm, config: &Config) -> Result<Option<Traces>, CommandFault> {
    let traces =
        telemetry::start(log, config.traces.as_ref()).map_err(|fault| CommandFault::Input(fault.to_string()))?;
    config.ignored_variables.iter().for_each(|variable| tracing::warn!("{variable}"));
    Ok(traces)
}

/// Reads a configuration, or tells all that is wrong with it.
///
/// # Errors
/// [`CommandFault::Input`].
pub fn read(path: &Path) -> Result<Config, CommandFault> {
    let problems = |problems| CommandFault::Input(format!("{} cannot be used:\n{problems}", path.display()));
    Config::read(path, &environment()).map_err(problems)
}

/// Returns the variables that set keys of the configuration.
#[must_use]
pub fn environment() -> Environment {
    std::env::vars().filter(|(name, _)| name.starts_with("VESTIBULE_")).collect()
}

async fn reload(gateway: &Gateway, path: &Path) {
    let read = match read(path) {
        Ok(config) => gateway.reconfigure(&config).await.map_err(|fault| fault.to_string()),
        Err(fault) => Err(fault.to_string()),
    };
    match read {
        Ok(()) => tracing::info!("took the limits, keys and certificate anew; any other change waits for a restart"),
        Err(fault) => tracing::error!(fault, "the changed configuration was not taken; the old one goes on"),
    }
}

fn listen(kind: SignalKind) -> Result<Signal, CommandFault> {
    signal(kind).map_err(|e| CommandFault::Failed(format!("cannot listen for signals: {e}")))
}

/// The wish to stop: Ctrl-C or SIGTERM.
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn new() -> Result<Self, CommandFault> {
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the wish.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
