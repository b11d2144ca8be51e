//! What a gateway keeps of a line: its size, how long a position takes, and bringing a line back.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use vestibule::line::draw::{Draw, Reveal};
use vestibule::line::{Entry, Epoch, Known, Numbers, Roll, Steering};
use vestibule::mirror::Mirror;
use vestibule::presence::Presence;

use crate::held_by;
use crate::stand::{Chance, START_US, Stand, WAITING, limits, tick};

const TICKETS: u64 = 10_000_000;
const EPOCH: Epoch = 1_795_000_000;

/// Measures the mirror, then what a visitor who is here costs, then a restore.
pub fn measure() {
    println!();
    mirror("nobody called", |_| Vec::new());
    mirror("the first half called", |number| if number <= TICKETS / 2 { vec![number] } else { Vec::new() });
    mirror("half called at random", |number| (Chance(number).below(2) == 0).then_some(number).into_iter().collect());
    drawn();
    presence();
    restore(WAITING);
    restore(TICKETS);
    page();
}

/// Fills a mirror by its log: ten million come, and those whom `called` names are called, the last of them five at a
/// time, fifty a second, so that 30,000 are in session and the history is full.
fn mirror(what: &str, called: impl Fn(u64) -> Vec<u64>) {
    let (bytes, mirror) = held_by(|| {
        let mirror = Mirror::default();
        mirror.take(entries(called));
        mirror
    });
    let positions: Vec<u64> = (0..1_000_000).map(|i| 1 + Chance(i).below(TICKETS)).collect();
    let each = timed(|| {
        for number in &positions {
            black_box(mirror.read(|roll| roll.standing(EPOCH, black_box(*number), START_US / 1_000_000)));
        }
    }) / positions.len() as u32;
    println!("mirror of {TICKETS}, {what}: {:.2} MB, a position {each:?}", bytes as f64 / 1e6);
}

fn entries(called: impl Fn(u64) -> Vec<u64>) -> Vec<Entry> {
    let mut entries = vec![Entry { seq: 1, at_us: START_US, epoch: EPOCH, issued: TICKETS, ..Entry::default() }];
    let all: Vec<u64> = (1..=TICKETS).flat_map(called).collect();
    let (most, last) = all.split_at(all.len().saturating_sub(200_000));
    for five in most.chunks(1_000).chain(last.chunks(5)) {
        let seq = entries.len() as u64 + 1;
        let at_us = START_US + seq * 100_000;
        let called: Numbers = five.iter().copied().collect();
        let ends_s = at_us / 1_000_000 + 600;
        entries.push(Entry {
            seq,
            at_us,
            epoch: EPOCH,
            issued: TICKETS,
            called,
            ends_s,
            tat_us: at_us,
            ..Entry::default()
        });
    }
    entries
}

/// A million drew lots, and half of them are at this gateway: what a position costs, and what it costs to say again all
/// who are here.
fn drawn() {
    let reveal = Reveal { seed: [7; 32], public_value: None };
    let mirror = Mirror::default();
    mirror.replace(Roll { draws: vec![Draw { reveal, first: 1, last: WAITING }], ..waiting() });
    let positions: Vec<u64> = (0..1_000_000).map(|i| 1 + Chance(i).below(WAITING)).collect();
    let each = timed(|| {
        for number in &positions {
            black_box(mirror.read(|roll| roll.standing(EPOCH, black_box(*number), START_US / 1_000_000)));
        }
    }) / positions.len() as u32;
    let presence = Presence::default();
    (1..=WAITING).step_by(2).for_each(|number| presence.connect((1, number)));
    let mut here = Numbers::default();
    let gathered = timed(|| here = presence.take_changes(0, |_| false).here);
    let runtime = Runtime::new().expect("a runtime");
    let said = tick(1, here, Known::default());
    let placed = timed(|| drop(black_box(runtime.block_on(mirror.in_places(said)))));
    println!(
        "of {WAITING} who drew lots: a position {each:?}; 500,000 who are here {gathered:?}, and by place {placed:?} more"
    );
}

/// The line in which a million wait, and nobody was called.
fn waiting() -> Roll {
    let mut roll = Roll::default();
    roll.apply(&Entry { seq: 1, at_us: START_US, epoch: EPOCH, issued: WAITING, ..Entry::default() });
    roll
}

fn presence() {
    const VISITORS: u64 = 1_000_000;
    let connected = Presence::default();
    let (bytes, ()) = held_by(|| {
        (1..=VISITORS).for_each(|number| connected.connect((1, number)));
        connected.take_changes(0, |_| false);
    });
    println!("presence: {:.1} bytes for each visitor with a live connection", bytes as f64 / VISITORS as f64);
    let polling = Presence::default();
    let (bytes, ()) = held_by(|| {
        for round in 0..3 {
            (1..=VISITORS).for_each(|number| polling.poll((1, number), round * 10_000, 25_000));
        }
        polling.take_changes(20_000, |_| false);
    });
    println!("presence: {:.1} bytes for each visitor who polls every 10 s", bytes as f64 / VISITORS as f64);
}

/// A store that lost everything takes the line from a mirror, and another gateway reads it.
fn restore(waiting: u64) {
    let mut stand = Stand::start();
    stand.steer(&Steering::Configure(limits(0.0, 1)));
    (0..waiting / 50_000).for_each(|_| assert!(stand.join(50_000) > 0));
    stand.tick(tick(1, Numbers::default(), Known::default()));
    let mirror = stand.mirror.clone();
    let reads = stand.sent_bytes(|stand| drop(stand.restore(&Roll::default())));
    let read = timed(|| drop(stand.restore(&Roll::default())));
    redis::cmd("FLUSHALL").exec(&mut stand.server).expect("flushed");
    stand.clock.advance_ms(1_000);
    let offered = timed(|| drop(stand.restore(&mirror)));
    println!("restore of {waiting}: {offered:?} to an empty store; {read:?} and {reads:.0} bytes to read it");
}

/// A mirror follows a page of a thousand entries.
fn page() {
    let mirror = Mirror::default();
    let entries = entries(|number| if number <= 10_000 { vec![number] } else { Vec::new() });
    let (first, rest) = entries.split_at(1_001);
    mirror.take(first.to_vec());
    let rest = rest.to_vec();
    let count = rest.len();
    let took = timed(|| drop(mirror.take(rest)));
    println!("a mirror follows {count} entries in {took:?}");
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the time")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
