//! What a ticket and a pass cost to verify, on one core: `cargo bench --bench verify`.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use vestibule::token::pass::ISSUER;
use vestibule::token::{KeyRing, Pass, PassAlgorithm, PassVerifier, RoomHash, Ticket, TicketId};

const NOW_MS: u64 = 1_795_000_000_000;

/// As many different passes, all of which are remembered.
const PASSES: u64 = 10_000;

fn passes(ring: &KeyRing) -> Vec<String> {
    let pass = |number: u64| Pass {
        issuer: ISSUER,
        room: "sale",
        ticket: TicketId(u128::from(number)),
        number,
        id: u128::from(number),
        issued_ms: NOW_MS,
        lifetime_ms: 600_000,
    };
    (1..=PASSES).map(|number| pass(number).sign(ring).expect("a ring signs")).collect()
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("verify");
    group.throughput(Throughput::Elements(1));
    for algorithm in [PassAlgorithm::EdDsa, PassAlgorithm::Es256, PassAlgorithm::Hs256] {
        let ring = KeyRing::generate_for(algorithm, NOW_MS, &mut StdRng::seed_from_u64(1));
        let (passes, mut next) = (passes(&ring), 0);
        let mut one = || {
            next = (next + 1) % passes.len();
            passes[next].as_str()
        };
        let warm = PassVerifier::new(ISSUER, 200_000);
        passes.iter().for_each(|pass| assert!(warm.verify(pass, "sale", &ring, NOW_MS).is_some()));
        group.bench_function(format!("a pass that was seen before, {algorithm}"), |bench| {
            bench.iter(|| warm.verify(black_box(one()), "sale", &ring, NOW_MS).is_some())
        });
        group.bench_function(format!("a pass for the first time, {algorithm}"), |bench| {
            bench.iter_batched(
                || PassVerifier::new(ISSUER, 1),
                |cold| cold.verify(black_box(one()), "sale", &ring, NOW_MS).is_some(),
                criterion::BatchSize::SmallInput,
            )
        });
    }
    let ring = KeyRing::generate(NOW_MS, &mut StdRng::seed_from_u64(1));
    let room = RoomHash::of("sale");
    let ticket = Ticket { room, epoch: 1, number: 7, id: TicketId(7), issued_ms: NOW_MS }.seal(&ring);
    group.bench_function("a ticket", |bench| {
        bench.iter(|| Ticket::open(black_box(&ticket), room, &ring, NOW_MS, 86_400_000).is_some())
    });
    group.finish();
    criterion.final_summary();
}
