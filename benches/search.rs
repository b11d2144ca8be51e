//! What a search of the whole timetable costs: `cargo bench --bench search`.

use std::hint::black_box;

use booking_core::catalogue::Catalogue;
use booking_core::domain::inventory::parse_date;
use criterion::Criterion;

/// The stations with the most trains: no search finds more, or walks longer lists.
const BUSIEST: [&str; 10] = ["NDLS", "CNB", "HWH", "BPL", "NGP", "BZA", "PNBE", "DDU", "ET", "GWL"];

fn main() {
    let catalogue = Catalogue::embedded().expect("the data is whole");
    let monday = parse_date("2026-11-23").expect("a day of the calendar");
    let mut criterion = Criterion::default().configure_from_args();
    let pairs = || BUSIEST.iter().flat_map(|from| BUSIEST.iter().map(move |to| (*from, *to)));
    criterion.bench_function("search between the ten busiest stations, all 100 pairs", |bench| {
        bench.iter(|| pairs().map(|(from, to)| catalogue.search(black_box(from), to, monday).len()).sum::<usize>());
    });
    criterion.bench_function("suggest stations for \"DEL\"", |bench| {
        bench.iter(|| catalogue.suggest(black_box("DEL")).len())
    });
    criterion.final_summary();
}
