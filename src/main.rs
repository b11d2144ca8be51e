//! Arguments → command → exit code.

use std::process::ExitCode;

use clap::Parser as _;

/// A request is a few dozen small pieces of memory that live for microseconds.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<ExitCode> {
    vestibule::cli::run(vestibule::cli::Cli::parse())
}
