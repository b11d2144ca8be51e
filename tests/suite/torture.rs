//! Everything that reads what strangers send, given what no stranger should send: good examples, and what a fuzzer kept,
//! broken at random.
//!
//! Each round breaks an example in one to six places and hands it to its reader, which must not panic, and must not take
//! it for more than it is. A round is named by its seed. A short run belongs to every run of the tests; for a long one set
//! `VESTIBULE_TORTURE_SECONDS`, which each reader then gets. `fuzz/run` looks further, guided by coverage.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use vestibule::clock::Clock;

use self::readers::{READERS, Reader};

#[path = "../../fuzz/readers.rs"]
mod readers;

const ROUNDS: u64 = 2_000;

/// Shows a reader its examples and its corpus, and then breaks them for as many rounds, or for as long, as is asked for.
fn torture(name: &str, reader: &Reader) {
    let mut examples = reader.examples.clone();
    examples.extend(corpus(name));
    examples.iter().for_each(|example| show(name, reader, example));
    let seconds = std::env::var("VESTIBULE_TORTURE_SECONDS").ok().and_then(|text| text.parse().ok());
    let (clock, limit) = (Clock::system(), seconds.map(Duration::from_secs));
    let begun_us = clock.steady_us();
    let is_over = |round: u64| match limit {
        Some(limit) => u128::from(clock.steady_us() - begun_us) > limit.as_micros(),
        None => round == ROUNDS,
    };
    let mut round = 0;
    while !is_over(round) {
        let mut chance = StdRng::seed_from_u64(round);
        let example = &examples[chance.random_range(0..examples.len())];
        show(&format!("{name}, round {round}"), reader, &break_up(example, &examples, &mut chance));
        round += 1;
    }
    eprintln!("{name}: {} examples, {round} rounds", examples.len());
}

/// Reads what the fuzzer kept for a reader: a line of Base64 for each.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/corpus/{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
    text.lines().map(|line| STANDARD.decode(line).unwrap()).collect()
}

fn show(what: &str, reader: &Reader, bytes: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| reader.read(bytes))) {
        eprintln!("{what}: {}", bytes.escape_ascii());
        resume_unwind(panic);
    }
}

/// Bytes that mean something to somebody.
const AWKWARD: &[u8] = b"\0\t\r\n \"%&'*+,-./0:;<=>?@[\\]_{|}~\x7f\x80\xc0\xff";

fn break_up(example: &[u8], others: &[Vec<u8>], chance: &mut StdRng) -> Vec<u8> {
    let mut bytes = example.to_vec();
    for _ in 0..chance.random_range(1..=6) {
        let at = chance.random_range(0..=bytes.len());
        let to = chance.random_range(at..=bytes.len().min(at + 40));
        match chance.random_range(0..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.random_range(0..8),
            1 => bytes.insert(at, AWKWARD[chance.random_range(0..AWKWARD.len())]),
            2 => drop(bytes.drain(at..to)),
            3 => {
                let part = bytes[at..to].to_vec();
                let count = chance.random_range(1..=64);
                bytes.splice(at..at, part.repeat(count));
            }
            4 => {
                let other = &others[chance.random_range(0..others.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[chance.random_range(0..=other.len())..]);
            }
            5 => bytes.truncate(at),
            _ => bytes.insert(at, chance.random()),
        }
        bytes.truncate(64 << 10);
    }
    bytes
}

#[test]
fn no_reader_breaks() {
    std::thread::scope(|scope| {
        for (name, reader) in READERS {
            scope.spawn(move || torture(name, &reader()));
        }
    });
}
