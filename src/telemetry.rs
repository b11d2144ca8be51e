//! Logs: lines for people, or JSON for machines, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// The form of the logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogForm {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins to log. The environment's `VESTIBULE_LOG` chooses what, in the form of `tracing`'s filter;
/// by default all from `info` on. A second call changes nothing.
pub fn start(form: LogForm) {
    let filter = EnvFilter::try_from_env("VESTIBULE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let logs = logs.with_ansi(std::io::stderr().is_terminal());
    // It fails only when a test or an embedding program logs already.
    let _ = match form {
        LogForm::Text => logs.try_init(),
        LogForm::Json => logs.json().try_init(),
    };
}
