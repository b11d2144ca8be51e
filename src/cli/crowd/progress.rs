//! Shows how far the crowd is: live bars on a terminal, else a line every five seconds.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::time::{MissedTickBehavior, interval};

use super::tally::{Gauge, Tally};

const REDRAW: Duration = Duration::from_millis(200);
const PLAIN: Duration = Duration::from_secs(5);

/// Shows the tally until it is dropped; never returns.
pub async fn show(tally: &Tally, visitors: u64) {
    if std::io::stderr().is_terminal() { draw(tally, visitors).await } else { print(tally, visitors).await }
}

fn parts(tally: &Tally) -> [(&'static str, &Gauge); 6] {
    [
        ("arrived", &tally.arrived),
        ("waiting", &tally.waiting),
        ("admitted", &tally.admitted),
        ("holding", &tally.holding),
        ("sold", &tally.sold),
        ("told", &tally.told),
    ]
}

async fn draw(tally: &Tally, visitors: u64) {
    let bars = MultiProgress::new();
    let style = ProgressStyle::with_template("{prefix:>9} {bar:40} {pos:>7}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let rows = parts(tally).map(|(name, gauge)| {
        let bar = bars.add(ProgressBar::new(visitors).with_prefix(name).with_style(style.clone()));
        (bar, gauge)
    });
    let mut ticks = every(REDRAW);
    loop {
        ticks.tick().await;
        rows.iter().for_each(|(bar, gauge)| bar.set_position(gauge.now()));
    }
}

async fn print(tally: &Tally, visitors: u64) {
    let mut ticks = every(PLAIN);
    loop {
        ticks.tick().await;
        let line = parts(tally).map(|(name, gauge)| format!("{name} {}", gauge.now())).join(", ");
        eprintln!("crowd of {visitors}: {line}");
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
