//! `vestibule doctor`: is everything there that a sale needs?

use std::path::PathBuf;

use vestibule_telemetry::say;

use super::{CommandFault, serve};
use crate::clock::Clock;
use crate::doctor::{Doctor, Verdict};
use crate::gateway::keys_path;

/// What the command takes.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// The configuration file
    #[arg(long, default_value = "vestibule.toml")]
    config: PathBuf,
}

/// Looks, and prints what it found, the worst first.
///
/// # Errors
/// [`CommandFault::Input`] for a configuration that cannot be used, [`CommandFault::Failed`] when something is bad.
pub async fn run(args: &DoctorArgs) -> Result<(), CommandFault> {
    let config = serve::read(&args.config)?;
    let keys = keys_path(&config);
    let findings = Doctor::new(config, keys, Clock::system()).examine().await;
    for finding in &findings {
        say!("{:<8} {}: {}", word(finding.verdict), finding.what, finding.said);
        if let Some(remedy) = finding.remedy {
            say!("{:<8} {remedy}", "");
        }
    }
    match findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count() {
        0 => Ok(()),
        bad => Err(CommandFault::Failed(format!("{bad} of {} findings are bad", findings.len()))),
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Warning => "warning",
        Verdict::Bad => "BAD",
    }
}
