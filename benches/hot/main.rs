//! The functions that run for every request, every poll and every tick: `cargo bench --bench hot` measures their time,
//! and `benches/instructions` counts their instructions and holds the counts to those that are on record.

mod cases;

use std::hint::black_box;

use criterion::{BatchSize, Criterion};

/// How often something is done while its instructions are counted.
const ROUNDS: u32 = 1_000;
/// The same where each time needs a copy of the whole line.
const COPIES: u32 = 20;

/// Measures one case after the other: all of them by time, or the named one by what another program counts.
pub enum Meter {
    /// By time.
    Time(Box<Criterion>),
    /// The one of this name, by instructions.
    Count(String),
}

impl Meter {
    /// Measures what can be done again and again; `prepare` makes it, if it is wanted.
    pub fn again<T, W: FnMut() -> T>(&mut self, name: &str, prepare: impl FnOnce() -> W) {
        match self {
            Self::Time(criterion) => {
                let mut work = prepare();
                criterion.bench_function(name, |bench| bench.iter(&mut work));
            }
            Self::Count(wanted) if wanted == name => {
                let mut work = prepare();
                black_box(work());
                (0..ROUNDS).for_each(|_| counted(&mut work));
                println!("{ROUNDS}");
            }
            Self::Count(_) => {}
        }
    }

    /// Measures what uses up what it is done to: each time to a copy.
    pub fn on_copies<S: Clone, T>(&mut self, name: &str, prepare: impl FnOnce() -> S, work: impl Fn(&mut S) -> T) {
        match self {
            Self::Time(criterion) => {
                let state = prepare();
                criterion.bench_function(name, |bench| {
                    bench.iter_batched_ref(|| state.clone(), &work, BatchSize::LargeInput)
                });
            }
            Self::Count(wanted) if wanted == name => {
                let state = prepare();
                (0..COPIES).for_each(|_| {
                    let mut copy = state.clone();
                    counted(&mut || work(&mut copy));
                });
                println!("{COPIES}");
            }
            Self::Count(_) => {}
        }
    }
}

/// The function by whose name the counting is switched on and off.
#[inline(never)]
fn counted<T>(work: &mut impl FnMut() -> T) {
    black_box(work());
}

fn main() {
    let wanted = std::env::args().skip_while(|word| word != "--count").nth(1);
    let mut meter = match wanted {
        Some(name) => Meter::Count(name),
        None => Meter::Time(Box::new(Criterion::default().configure_from_args())),
    };
    cases::measure(&mut meter);
    if let Meter::Time(criterion) = meter {
        criterion.final_summary();
    }
}
