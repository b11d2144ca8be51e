//! `vestibule check`: every problem of a configuration, with its line.

use std::path::PathBuf;

use vestibule_telemetry::say;

use super::{CommandFault, serve};

/// What the command takes.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The configuration file
    file: PathBuf,
}

/// Checks the file, and the environment that counts with it.
///
/// # Errors
/// [`CommandFault::Input`] with all that is wrong.
pub fn run(args: &CheckArgs) -> Result<(), CommandFault> {
    let config = serve::read(&args.file)?;
    for room in &config.rooms {
        let rate =
            room.limits.admissions_per_second().map_or("unlimited".to_owned(), |rate| format!("{rate} a second"));
        let addresses: Vec<String> = room.upstream.addresses.iter().map(ToString::to_string).collect();
        say!("room {}: {rate}, to {}", room.rules.name, addresses.join(", "));
    }
    config.ignored_variables.iter().for_each(|variable| say!("warning: {variable}"));
    say!("{} is good", args.file.display());
    Ok(())
}
