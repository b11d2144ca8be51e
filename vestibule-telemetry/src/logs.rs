//! Logs: lines for people, or JSON for machines, on standard error.

use std::io::IsTerminal as _;

use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::{TARGET, Traces};

/// What others say below `info` is asked for by name: at `debug` they would tell what crosses their wires.
const OTHERS: &str = "h2=info,hyper=info,hyper_util=info,opentelemetry=info,opentelemetry_otlp=info,\
                      opentelemetry_sdk=info,redis=info,rustls=info,tokio_postgres=info,tungstenite=info";

/// The form of the logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogForm {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins to log, and to trace where there are traces: then each line says of which request it is. `wished` is what to log,
/// in the form of `tracing`'s filter; by default all from `info` on. A second call changes nothing.
pub fn start_logs(form: LogForm, wished: Option<&str>, traces: Option<&Traces>) {
    let spans = if traces.is_some() { "info" } else { "off" };
    let filter = EnvFilter::new(format!("{OTHERS},{TARGET}={spans},{}", wished.unwrap_or("info")));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = lines.with_ansi(std::io::stderr().is_terminal());
    let lines = match form {
        LogForm::Text => lines.boxed(),
        LogForm::Json => lines.json().boxed(),
    };
    let logs = tracing_subscriber::registry().with(lines.with_filter(filter));
    // It fails only when a test or an embedding program logs already. A layer that is `None` would want all spans.
    let _ = match traces {
        Some(traces) => logs.with(traces.layer()).try_init(),
        None => logs.try_init(),
    };
}
