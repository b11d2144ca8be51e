//! `vestibule capacity`: what a sale needs, from what was measured.

use vestibule_telemetry::say;

use crate::capacity::{COEFFICIENTS, Machine, Need, Sale, need};

/// What the command takes.
#[derive(Debug, clap::Args)]
pub struct CapacityArgs {
    /// How many wait in line at once
    #[arg(long, required_unless_present = "coefficients", value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    visitors: Option<u64>,
    /// Within how many seconds they come
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    over: u32,
    /// How many are let in a second
    #[arg(long, value_name = "PER_SECOND", default_value_t = 50)]
    rate: u32,
    /// How long those who were let in stay, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    session: u32,
    /// How many requests each of them makes a minute
    #[arg(long, value_name = "PER_MINUTE", default_value_t = 10)]
    requests: u32,
    /// Processors of a gateway's machine
    #[arg(long, default_value_t = 8)]
    cores: u64,
    /// Files that a gateway may open
    #[arg(long, default_value_t = 100_000)]
    files: u64,
    /// Memory of a gateway's machine, in GiB
    #[arg(long, value_name = "GIB", default_value_t = 16)]
    memory: u64,
    /// Prints what is counted with, and how it is measured
    #[arg(long)]
    coefficients: bool,
}

/// Prints the answer.
pub fn run(args: &CapacityArgs) {
    if args.coefficients {
        for one in COEFFICIENTS {
            say!("{:<58} {:>10} {:<6} {}", one.of, one.value, one.unit, one.measured_by);
        }
    }
    let Some(visitors) = args.visitors else { return };
    let sale = Sale {
        visitors,
        over_s: f64::from(args.over.max(1)),
        admissions_per_second: f64::from(args.rate),
        session_s: f64::from(args.session),
        requests_per_minute: f64::from(args.requests),
    };
    let machine =
        Machine { cores: args.cores.max(1), files: args.files.max(1), memory_bytes: args.memory.max(1) << 30 };
    tell(&sale, &need(&sale, &machine));
}

fn tell(sale: &Sale, need: &Need) {
    let each = need.each;
    say!("gateways            {} ({} decide; one of them is spare)", need.gateways, need.bound_by);
    say!("  each carries      {:.0} live connections, as many files", each.connections);
    say!("  memory            {}", bytes(each.memory_bytes));
    say!("  processors        {:.2} while people come", each.cores);
    say!("the line in Redis   {}", bytes(need.redis_bytes));
    say!("  its processor     {:.0} % of the one it has", need.redis_cores * 100.0);
    say!("a place is told     every {:.1} s", need.period_s);
    say!(
        "bandwidth           {} while people come, {} while they wait",
        bits(need.wire_bits.0),
        bits(need.wire_bits.1)
    );
    say!("the last is called  after {}", span(sale.visitors as f64 / sale.admissions_per_second));
    if need.redis_cores > 0.7 {
        say!(
            "\nMore than one Redis bears for one room: take fewer and larger gateways (--files, --cores), or sell in {} rooms,\n\
             each with a line, gateways and a node of a cluster of its own.",
            need.rooms
        );
    }
}

fn bytes(bytes: f64) -> String {
    scaled(bytes, 1_024.0, &["bytes", "KiB", "MiB", "GiB", "TiB"])
}

fn bits(bits: f64) -> String {
    scaled(bits, 1_000.0, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
}

fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    let (mut value, mut units) = (value, units.iter());
    let mut unit = units.next().copied().unwrap_or_default();
    for larger in units {
        if value < step {
            break;
        }
        (value, unit) = (value / step, larger);
    }
    format!("{value:.1} {unit}")
}

fn span(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "never: the rate is 0".to_owned();
    }
    humantime::format_duration(std::time::Duration::from_secs(seconds as u64)).to_string()
}
