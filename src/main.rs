//! Arguments → command → exit code.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> anyhow::Result<ExitCode> {
    vestibule::cli::run(vestibule::cli::Cli::parse())
}
