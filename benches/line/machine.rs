//! The pure machine with a million waiting.

use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use vestibule::line::state::LineState;
use vestibule::line::{Known, Numbers, Steering};

use crate::stand::{START_US, WAITING, limits, tick};

const CALLED: u64 = 1_000;

/// A line of a million who are all here.
fn long_line() -> LineState {
    let mut line = LineState::new(START_US);
    for _ in 0..WAITING / 50_000 {
        line.join(50_000, START_US);
    }
    line.vouch(&tick(1, Numbers::run(1, WAITING), Known::default()), START_US);
    line.steer(&Steering::Configure(limits(f64::INFINITY, CALLED)), START_US);
    line
}

/// Times the verbs.
pub fn measure() {
    let mut criterion = Criterion::default();
    let line = long_line();
    let roll = line.roll().clone();
    let mut group = criterion.benchmark_group("a million waiting");
    group.sample_size(20);
    let copies = BatchSize::LargeInput;
    for count in [1, 1_000, 65_536] {
        let join = |mut l: LineState| l.join(count, START_US);
        group.bench_function(format!("join {count}"), |b| b.iter_batched(|| line.clone(), join, copies));
    }
    group.bench_function("call 5000", |b| b.iter_batched(|| line.clone(), |mut l| l.call(START_US), copies));
    group.bench_function("position", |b| b.iter(|| roll.standing(roll.epoch(), black_box(765_432), 0)));
    let restore = |mut empty: LineState| empty.restore(&roll, START_US + 1).issued;
    group.bench_function("restore", |b| b.iter_batched(|| LineState::new(START_US), restore, copies));
    group.finish();
}
