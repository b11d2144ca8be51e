//! An hour of a rate that adapts, in the simulated world of the tests: `cargo bench --bench adaptive [-- FILE.svg]`.
//!
//! Prints how near to the knee the load stays, for several upstreams and visits, and draws one hour with an outage and
//! a loss of power.

use std::fmt::Write as _;

use vestibule::adaptive::Bounds;
use world::{Second, Upstream, Visit, World, mean, stretches};

#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/suite/adaptive/world.rs"]
mod world;

const BOUNDS: Bounds = Bounds { floor: 1.0, ceiling: 50.0 };
const REQUESTS: u32 = 10;
const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;

fn main() {
    println!("load in requests a second over half-minutes, after 20 minutes; {SEEDS:?} are the seeds");
    println!("upstream                visit   mean  lowest  highest  errors  latency ms (p95 of seconds)");
    for (name, upstream) in [
        ("sharp, bears 200/s", Upstream::sharp(10, 0.05)),
        ("soft, x2 at 200/s", Upstream::soft(20.0, 0.05)),
        ("refuses over 10", Upstream::cliff(10, 0.05)),
    ] {
        for think_s in [2.0, 10.0, 30.0] {
            settle(name, upstream, Visit { requests: REQUESTS, think_s });
        }
    }
    // Cargo adds arguments of its own.
    let file = std::env::args().skip(1).find(|argument| argument.ends_with(".svg"));
    let file = file.unwrap_or_else(|| "docs/images/adaptive.svg".to_owned());
    let hour = hour();
    report(&hour);
    match std::fs::write(&file, draw(&hour)) {
        Ok(()) => println!("{file}"),
        Err(fault) => eprintln!("cannot write {file}: {fault}"),
    }
}

fn settle(name: &str, upstream: Upstream, visit: Visit) {
    let mut seconds = Vec::new();
    for seed in SEEDS {
        let mut world = World::new(upstream, visit, BOUNDS, seed);
        world.run(1_200);
        seconds.extend(world.run(2_400));
    }
    let asked = |second: &Second| second.asked as f64;
    let loads = stretches(&seconds, 30, asked);
    let [lowest, highest] = [loads.iter().copied().fold(f64::MAX, f64::min), loads.iter().copied().fold(0.0, f64::max)];
    let usual = mean(&seconds, asked);
    let errors = mean(&seconds, |second| second.errors as f64) / usual * 100.0;
    let mut latencies: Vec<f64> = seconds.iter().map(|second| second.latency_s * 1_000.0).collect();
    latencies.sort_by(f64::total_cmp);
    let (middle, late) = (latencies[latencies.len() / 2], latencies[latencies.len() * 95 / 100]);
    let visit_s = visit.think_s * f64::from(visit.requests - 1);
    println!(
        "{name:22} {visit_s:5.0} s  {usual:5.0}   {lowest:5.0}    {highest:5.0}  {errors:5.1}%  {middle:5.0} ({late:.0})"
    );
}

/// A second of the hour, and what the upstream then bears.
type Moment = (Second, f64);

/// A cold start, an outage of a minute after 20, half the power from minute 35 to 50.
fn hour() -> Vec<Moment> {
    let (whole, half) = (Upstream::sharp(10, 0.05), Upstream::sharp(5, 0.05));
    let mut world = World::new(whole, Visit { requests: REQUESTS, think_s: 10.0 }, BOUNDS, 1);
    let mut moments = Vec::new();
    for (upstream, seconds, bears) in
        [(whole, 1_200, 200.0), (whole.broken(), 60, 0.0), (whole, 840, 200.0), (half, 900, 100.0), (whole, 600, 200.0)]
    {
        world.upstream = upstream;
        moments.extend(world.run(seconds).into_iter().map(|second| (second, bears)));
    }
    moments
}

fn report(hour: &[Moment]) {
    let rate = |range: std::ops::Range<usize>| {
        hour[range.clone()].iter().map(|(second, _)| second.rate).sum::<f64>() / range.len() as f64
    };
    let to_half = |from: usize| {
        let usual = rate(from - 300..from);
        hour[from..].iter().position(|(second, _)| second.rate < usual / 2.0).map_or(0, |s| s + 1)
    };
    println!(
        "rate before the outage {:.1}/s, 3 minutes after {:.1}/s, 10 after {:.1}/s",
        rate(900..1_200),
        rate(1_410..1_440),
        rate(1_830..1_860)
    );
    println!(
        "below half of it {} s after the outage began, {} s after half the power was lost",
        to_half(1_200),
        to_half(2_100)
    );
    println!(
        "with half the power {:.1}/s, 10 minutes after it came back {:.1}/s",
        rate(2_700..3_000),
        rate(3_570..3_600)
    );
    let worst = hour.iter().map(|(second, _)| second.latency_s).fold(0.0, f64::max);
    println!("highest latency {worst:.1} s");
}

const WIDE: f64 = 900.0;
const HIGH: f64 = 260.0;
const LEFT: f64 = 46.0;
const TOP: f64 = 30.0;
const MOST: f64 = 300.0;

fn draw(hour: &[Moment]) -> String {
    let mean = |of: &dyn Fn(&Moment) -> f64| -> Vec<f64> {
        hour.chunks(10).map(|tenth| tenth.iter().map(of).sum::<f64>() / tenth.len() as f64).collect()
    };
    let per_visit = f64::from(REQUESTS);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fffefb\"/>\n",
        WIDE + LEFT + 30.0,
        HIGH + TOP + 30.0
    );
    for value in [0.0, 100.0, 200.0, 300.0] {
        let y = y_of(value);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y}h{WIDE}\" stroke=\"#ddd8cd\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#55606d\">{value}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    for minute in (0..=60).step_by(10) {
        let x = LEFT + WIDE * f64::from(minute) / 60.0;
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\" fill=\"#55606d\">{minute} min</text>",
            TOP + HIGH + 18.0
        );
    }
    for (name, colour, style, x, values) in [
        (
            "requests a second that the upstream bears",
            "#55606d",
            " stroke-dasharray=\"6 5\"",
            0.0,
            mean(&|(_, bears)| *bears),
        ),
        ("requests a second that come", "#0b5d56", "", 320.0, mean(&|(second, _)| second.asked as f64)),
        ("ten times the admissions a second", "#b5521b", "", 560.0, mean(&|(second, _)| second.rate * per_visit)),
    ] {
        let _ = writeln!(
            svg,
            "<path d=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"{style}/>",
            path(&values)
        );
        let from = LEFT + x;
        let _ = writeln!(
            svg,
            "<path d=\"M{from} 14h22\" stroke=\"{colour}\" stroke-width=\"2.5\"{style}/><text x=\"{}\" y=\"18\" fill=\"#18212b\">{name}</text>",
            from + 28.0
        );
    }
    svg + "</svg>\n"
}

fn path(values: &[f64]) -> String {
    let step = WIDE / (values.len() - 1) as f64;
    let point = |(i, value): (usize, &f64)| format!("{:.1} {:.1}", LEFT + i as f64 * step, y_of(*value));
    format!("M{}", values.iter().enumerate().map(point).collect::<Vec<_>>().join("L"))
}

fn y_of(value: f64) -> f64 {
    TOP + HIGH * (1.0 - value.min(MOST) / MOST)
}
