//! The largest line there may be: a hundred million who wait at a thousand gateways, in the memory of one machine.
//!
//! The store is the pure machine, with a lease for each gateway; whoever joined goes to the gateways in turn, as a
//! balancer sends them, so that each gateway's visitors are spread over the whole line. All gateways keep the same mirror,
//! so one of them is enough to know what it costs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use vestibule::line::state::LineState;
use vestibule::line::{Known, News, Numbers, Roll, Steering};

use crate::held_by;
use crate::stand::{Chance, START_US, Stand, limits, tick};

/// How many are let in a second.
const RATE: f64 = 20_000.0;

/// How many ticks are timed, those of different gateways in turn: fewer where each takes long.
fn rounds(waiting: u64, gateways: u64) -> u64 {
    (300_000_000_000 / (waiting * gateways)).clamp(5, 300)
}

/// Measures Redis, then the pure machine, with lines of growing size; the last of them takes some 14 GB.
pub fn measure() {
    println!("\n| waiting | gateways | Redis's memory | of it for each visitor | Redis's time for a tick, p50 | p99 |");
    println!("|---|---|---|---|---|---|");
    for (waiting, gateways) in [(1_000_000, 10), (10_000_000, 10), (10_000_000, 100), (100_000_000, 10)] {
        redis_row(waiting, gateways);
    }
    println!("\n| waiting | gateways | store | a mirror | tick, p50 | p99 | a mirror follows | a position |");
    println!("|---|---|---|---|---|---|---|---|");
    for (waiting, gateways) in [(1_000_000, 10), (10_000_000, 100), (100_000_000, 100), (100_000_000, 1_000)] {
        row(waiting, gateways);
    }
}

fn row(waiting: u64, gateways: u64) {
    let (store_bytes, mut line) = held_by(|| gathered(waiting, gateways));
    let (mirror_bytes, mut mirror) = held_by(|| line.roll().clone());
    let (mut ticks, mut follows) = (Vec::new(), Vec::new());
    for i in 0..rounds(waiting, gateways) {
        let now_us = START_US + (i + 1) * 100_000 / gateways;
        let say = tick(i % gateways, Numbers::default(), mirror.known());
        let (took, page) = timed(|| line.tick(&say, now_us));
        ticks.push(took);
        let News::Entries(entries) = page.news else { panic!("the mirror is up to date") };
        follows.push(timed(|| entries.iter().for_each(|entry| mirror.apply(entry))).0);
    }
    assert!(line.roll().tally.called > 0, "people are let in");
    let (p50, p99) = (part(&mut ticks, 0.5), part(&mut ticks, 0.99));
    let follow = part(&mut follows, 0.5);
    let [store_mb, mirror_mb] = [store_bytes, mirror_bytes].map(|bytes| bytes as f64 / 1e6);
    let position = position(&mirror, waiting);
    println!(
        "| {waiting} | {gateways} | {store_mb:.0} MB | {mirror_mb:.1} MB | {p50:?} | {p99:?} | {follow:?} | {position:?} |"
    );
}

fn redis_row(waiting: u64, gateways: u64) {
    const ROUNDS: u64 = 100;
    let mut stand = Stand::start();
    let before = stand.stat("memory", "used_memory_dataset:", ":");
    stand.fill_to(waiting);
    for gateway in 0..gateways {
        let mine: Vec<u64> = (1..=waiting).skip(gateway as usize).step_by(gateways as usize).collect();
        for some in mine.chunks(50_000) {
            let known = stand.mirror.known();
            stand.tick(tick(gateway, some.iter().copied().collect(), known));
        }
    }
    let bytes = stand.stat("memory", "used_memory_dataset:", ":") - before;
    stand.steer(&Steering::Limits(limits(RATE, (RATE / 5.0) as u64)));
    let times = (0..ROUNDS).map(|i| {
        stand.clock.advance_us((100_000 / gateways).max(1));
        let say = tick(i % gateways, Numbers::default(), stand.mirror.known());
        Duration::from_secs_f64(stand.redis_us(|stand| drop(stand.tick(say))).max(0.0) / 1e6)
    });
    let mut times: Vec<Duration> = times.collect();
    assert!(stand.mirror.tally.called > 0, "people are let in");
    let (p50, p99) = (part(&mut times, 0.5), part(&mut times, 0.99));
    let (megabytes, each) = (bytes / 1e6, bytes / waiting as f64);
    println!("| {waiting} | {gateways} | {megabytes:.1} MB | {each:.2} bytes | {p50:?} | {p99:?} |");
}

/// Makes a line in which everybody is here.
fn gathered(waiting: u64, gateways: u64) -> LineState {
    let mut line = LineState::new(START_US);
    line.steer(&Steering::Configure(limits(RATE, (RATE / 5.0) as u64)), START_US);
    let mut issued = 0;
    while issued < waiting {
        issued += line.join(50_000.min(waiting - issued), START_US).count;
    }
    for gateway in 0..gateways {
        let mine: Numbers = (1..=waiting).skip(gateway as usize).step_by(gateways as usize).collect();
        line.vouch(&tick(gateway, mine, Known::default()), START_US);
    }
    line
}

fn position(mirror: &Roll, waiting: u64) -> Duration {
    const LOOKS: u64 = 100_000;
    let numbers: Vec<u64> = (0..LOOKS).map(|i| 1 + Chance(i).below(waiting)).collect();
    let look = |number: &u64| {
        black_box(mirror.standing(mirror.epoch(), black_box(*number), 0));
    };
    timed(|| numbers.iter().for_each(look)).0 / LOOKS as u32
}

fn part(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * part) as usize]
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the time")]
fn timed<A>(work: impl FnOnce() -> A) -> (Duration, A) {
    let start = Instant::now();
    let made = work();
    (start.elapsed(), made)
}
