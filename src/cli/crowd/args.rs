//! What the command takes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::expected::{Expected, seconds};
use super::scout;

/// Sends a synthetic crowd to a site behind a Vestibule, and checks that nobody was overtaken, forgotten or oversold.
#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
pub struct CrowdArgs {
    /// The guarded page, such as http://127.0.0.1:8080/
    pub url: String,
    /// Who comes.
    #[command(flatten)]
    pub expected: Expected,
    /// A page of the site that everybody who was let in looks at, before buying; give several, in their order
    #[arg(long = "page", value_name = "PATH", value_parser = path)]
    pub pages: Vec<String>,
    /// How long they look at each page, in seconds; each a little longer or shorter
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS", value_parser = moment)]
    pub think: f64,
    /// Writes the report as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes the report as one HTML page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// What is bought, as TRAIN:DATE:CLASS [default: the first with seats that a search finds]
    #[arg(long, value_name = "ID", value_parser = inventory)]
    pub inventory: Option<String>,
    /// Ends the run after so many seconds at the latest, and the look at the site before it [default: those of --over and
    /// 600 more; two minutes for the look]
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub lasting: Option<f64>,
    /// How long a payment may stay without a booking or a refund before it counts as one without a booking
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS", value_parser = seconds)]
    pub settle: f64,
    /// Further gateways of the same line; visitors are spread over all of them, and go on at the next when one does not
    /// answer
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub gateways: Vec<String>,
    /// Where the booking API is asked for the stock [default: the guarded site]
    #[arg(long, value_name = "URL")]
    pub booking: Option<String>,
    /// The room [default: the one that the site's ticket names]
    #[arg(long)]
    pub room: Option<String>,
    /// Everybody asks over so many kept connections that they share, as behind a proxy, and nobody has a live one: for
    /// crowds of millions
    #[arg(long, value_name = "CONNECTIONS", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub through: Option<u32>,
    /// How many processes the crowd is spread over [default: as many as the limit of open files asks for]
    #[arg(long, value_name = "PROCESSES", value_parser = clap::value_parser!(u64).range(1..=200))]
    pub troops: Option<u64>,
    /// Allows a target on another machine, if VESTIBULE_CROWD_ALLOW_REMOTE names it as well
    #[arg(long, value_name = "HOST")]
    pub allow_remote: Option<String>,
    /// The second word on a target on another machine.
    #[arg(long, env = "VESTIBULE_CROWD_ALLOW_REMOTE", hide = true, value_name = "HOST")]
    pub allow_remote_again: Option<String>,
}

impl CrowdArgs {
    /// Returns the host on another machine that was allowed twice, if any.
    #[must_use]
    pub fn allowed(&self) -> Option<&str> {
        self.allow_remote.as_deref().filter(|host| self.allow_remote_again.as_deref() == Some(host))
    }
}

fn path(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') && text.parse::<hyper::Uri>().is_ok();
    is_path.then(|| text.to_owned()).ok_or_else(|| "expected a path such as /book/step-1".to_owned())
}

fn moment(text: &str) -> Result<f64, String> {
    if text == "0" { Ok(0.0) } else { seconds(text) }
}

fn inventory(text: &str) -> Result<String, String> {
    let row = scout::is_row(text).then(|| text.to_owned());
    row.ok_or_else(|| "expected TRAIN:DATE:CLASS, for example 12951:2026-11-23:3A".to_owned())
}
