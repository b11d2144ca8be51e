//! What the line costs, for docs/reports/line.md: `cargo bench --bench line -- memory|calls|mirror|machine|sorted`, or all
//! of them without a word; `memory 8` with eight gateways; `vast` only by its word, since it takes 14 GB. A Redis server
//! of its own is started for those that ask one.
//!
//! Bytes are what `MEMORY USAGE` says of the room's keys, and what this process's allocator was asked for.
//! Redis's time is the processor time of its one thread over a whole tick, reading and answering included.

mod calls;
mod machine;
mod memory;
mod mirror;
mod sorted;
mod stand;
mod vast;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Returns how many bytes are held by what `make` returns, and that.
fn held_by<A>(make: impl FnOnce() -> A) -> (isize, A) {
    let region = Region::new(ALLOCATOR);
    let made = make();
    let change = region.change();
    (change.bytes_allocated as isize - change.bytes_deallocated as isize, made)
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_asked = |part: &str| (words.is_empty() && part != "vast") || words.iter().any(|word| word == part);
    let parts: [(&str, fn()); 6] = [
        ("memory", memory::measure),
        ("calls", calls::measure),
        ("mirror", mirror::measure),
        ("machine", machine::measure),
        ("sorted", sorted::measure),
        ("vast", vast::measure),
    ];
    parts.into_iter().filter(|(name, _)| is_asked(name)).for_each(|(_, measure)| measure());
}
