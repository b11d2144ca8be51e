//! `vestibule check`: every problem of a configuration, with its line.

use std::path::PathBuf;

use vestibule_telemetry::say;

use super::{CommandFault, serve};

/// What the command takes.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The configuration file
    #[arg(required_unless_present = "config")]
    file: Option<PathBuf>,
    /// The same, as the other commands take it
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

/// Checks the file, and the environment that counts with it.
///
/// # Errors
/// [`CommandFault::Input`] with all that is wrong.
pub fn run(args: &CheckArgs) -> Result<(), CommandFault> {
    let file = args.file.iter().chain(&args.config).next().expect("one of the two is required");
    let config = serve::read(file)?;
    for room in &config.rooms {
        let rate =
            room.limits.admissions_per_second().map_or("unlimited".to_owned(), |rate| format!("{rate} a second"));
        let addresses: Vec<String> = room.upstream.addresses.iter().map(ToString::to_string).collect();
        say!("room {}: {rate}, to {}", room.rules.name, addresses.join(", "));
    }
    config.ignored_variables.iter().for_each(|variable| say!("warning: {variable}"));
    say!("{} is good", file.display());
    Ok(())
}
