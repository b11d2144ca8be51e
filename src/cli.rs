//! The commands.

pub mod audit;
pub mod bypass;
pub mod capacity;
pub mod check;
pub mod crowd;
pub mod demo;
pub mod doctor;
pub mod keys;
pub mod rehearse;
pub mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::clock::Clock;
use crate::telemetry::{self, LogForm};

/// A virtual waiting room and admission-control gateway.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version, about, arg_required_else_help = true)]
pub struct Cli {
    /// The form of the logs
    #[arg(long, global = true, value_enum, default_value = "text")]
    log: LogForm,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything in one process on embedded stores: gateway, booking API, booking site, console
    Demo(Box<demo::DemoArgs>),
    /// The gateway, as its configuration says
    Serve(serve::ServeArgs),
    /// Checks a configuration and tells every problem with its line
    Check(check::CheckArgs),
    /// Looks at what a sale needs: store, clocks, keys, limits, upstreams
    Doctor(doctor::DoctorArgs),
    /// Sends a synthetic crowd to a site behind a Vestibule, and checks what is promised
    Crowd(Box<crowd::CrowdArgs>),
    /// A part of a crowd in a process of its own; `crowd` starts it.
    #[command(hide = true)]
    CrowdTroop,
    /// Foretells what will come of a sale, finds what the site bears, and holds both against a real run
    Rehearse(Box<rehearse::RehearseArgs>),
    /// Works out what a sale needs: gateways, Redis, memory, files, bandwidth
    Capacity(capacity::CapacityArgs),
    /// Verifies an exported admission log
    Audit(audit::AuditArgs),
    /// Makes, lists, rotates and retires keys
    Keys(keys::KeysArgs),
    /// Makes and revokes links past the line
    Bypass(bypass::BypassArgs),
}

/// Why a command ends without having done what it should.
#[derive(Debug, thiserror::Error)]
pub enum CommandFault {
    /// What was given cannot be used; the text says what would be right. Exit code 2.
    #[error("{0}")]
    Input(String),
    /// What was checked does not hold. Exit code 1.
    #[error("{0}")]
    Failed(String),
}

impl CommandFault {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Input(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::from(1),
        }
    }
}

/// Runs the command that the arguments name.
///
/// # Errors
/// When the runtime cannot be made.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let log = cli.log;
    if !matches!(cli.command, Command::Demo(_) | Command::Serve(_)) {
        telemetry::start(log, None)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(async {
        match cli.command {
            Command::Demo(args) => demo::run(*args, log).await,
            Command::Serve(args) => serve::run(args, log).await,
            Command::Check(args) => check::run(&args),
            Command::Doctor(args) => doctor::run(&args).await,
            Command::Crowd(args) => crowd::tell(*args).await,
            Command::CrowdTroop => {
                crowd::troop::go(Clock::system()).await.map_err(|fault| CommandFault::Input(fault.to_string()))
            }
            Command::Rehearse(args) => rehearse::run(*args).await,
            Command::Capacity(args) => {
                capacity::run(&args);
                Ok(())
            }
            Command::Audit(args) => audit::run(&args),
            Command::Keys(args) => keys::run(args).await,
            Command::Bypass(args) => bypass::run(args),
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    Ok(done.map_or_else(tell, |()| ExitCode::SUCCESS))
}

fn tell(fault: CommandFault) -> ExitCode {
    eprintln!("vestibule: {fault}");
    fault.exit_code()
}
