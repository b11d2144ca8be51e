//! The law of a rate that adapts, watched in a world with a knee: upstreams of several shapes, visitors who stay.

pub mod world;

use proptest::prelude::*;
use vestibule::adaptive::{Bounds, Flow, Law, Reason, Sample, Tolerance};

use world::{Second, Upstream, Visit, World, mean, stretches};

const BOUNDS: Bounds = Bounds { floor: 1.0, ceiling: 50.0 };

/// Ten requests each: a visit of 20 seconds, of nearly two minutes, of five.
const VISITS: [Visit; 3] = [visit(2.0), visit(10.0), visit(30.0)];

const fn visit(think_s: f64) -> Visit {
    Visit { requests: 10, think_s }
}

/// Bears 200 requests a second.
fn sharp() -> Upstream {
    Upstream::sharp(10, 0.05)
}

fn asked(second: &Second) -> f64 {
    second.asked as f64
}

fn rate(second: &Second) -> f64 {
    second.rate
}

/// Runs 40 minutes and returns the second half.
fn settled(upstream: Upstream, visit: Visit, seed: u64) -> Vec<Second> {
    let mut world = World::new(upstream, visit, BOUNDS, seed);
    world.run(1_200);
    world.run(1_200)
}

/// Asserts that the load, over stretches of half a minute, stays within a fifth of its mean; returns the mean.
fn steady(seconds: &[Second], what: &str) -> f64 {
    let usual = mean(seconds, asked);
    for load in stretches(seconds, 30, asked) {
        assert!((load / usual - 1.0).abs() < 0.2, "{what}: {load} a second, usually {usual}");
    }
    usual
}

#[test]
fn it_finds_a_sharp_knee_and_stays_just_below() {
    for (visit, seed) in VISITS.into_iter().zip(1..) {
        let seconds = settled(sharp(), visit, seed);
        let load = steady(&seconds, &format!("{visit:?}"));
        assert!((160.0..=200.0).contains(&load), "{visit:?}: {load} of 200 requests a second");
        let slow = seconds.iter().filter(|second| second.latency_s > 0.2).count();
        assert!(slow < seconds.len() / 20, "{visit:?}: slower than four times the usual in {slow} seconds");
    }
}

#[test]
fn it_rests_on_a_soft_knee_where_the_latency_is_what_is_borne() {
    for (visit, seed) in VISITS.into_iter().zip(1..) {
        let seconds = settled(Upstream::soft(20.0, 0.05), visit, seed);
        let load = steady(&seconds, &format!("{visit:?}"));
        assert!((140.0..=240.0).contains(&load), "{visit:?}: {load}; at 200 a second the latency has doubled");
        let latency = mean(&seconds, |second| second.latency_s / second.baseline_s);
        assert!((1.5..=2.2).contains(&latency), "{visit:?}: {latency} times the baseline");
    }
}

#[test]
fn it_keeps_to_the_errors_that_are_borne() {
    for (visit, seed) in VISITS.into_iter().zip(1..) {
        let seconds = settled(Upstream::cliff(10, 0.05), visit, seed);
        let load = steady(&seconds, &format!("{visit:?}"));
        let errors = mean(&seconds, |second| second.errors as f64) / load;
        assert!(load > 100.0 && errors < 0.06, "{visit:?}: {load} a second, {errors} of them errors");
    }
}

#[test]
fn a_cold_start_does_not_flood_what_nobody_knows() {
    for (visit, seed) in VISITS.into_iter().zip(1..) {
        let seconds = World::new(sharp(), visit, BOUNDS, seed).run(900);
        let worst = seconds.iter().map(|second| second.latency_s).fold(0.0, f64::max);
        assert!(worst < 2.5, "{visit:?}: up to {worst} s, usually 0.04");
        assert_eq!(seconds.iter().map(|second| second.errors).sum::<u64>(), 0, "{visit:?}");
        let late = mean(&seconds[600..], asked);
        assert!(late > 120.0, "{visit:?}: {late} a second after ten minutes");
    }
}

/// An upstream that falls ill after twenty minutes for one: what happens before, meanwhile and after.
fn ill(illness: impl Fn(Upstream) -> Upstream) -> [Vec<Second>; 3] {
    let mut world = World::new(sharp(), VISITS[1], BOUNDS, 7);
    let before = world.run(1_200);
    world.upstream = illness(sharp());
    let meanwhile = world.run(60);
    world.upstream = sharp();
    [before, meanwhile, world.run(900)]
}

#[test]
fn a_broken_upstream_is_spared_within_seconds_and_filled_again_smoothly() {
    let hangs: fn(Upstream) -> Upstream = |upstream| Upstream { hangs: true, ..upstream };
    for (illness, reason) in [(Upstream::broken as fn(Upstream) -> Upstream, Reason::Errors), (hangs, Reason::Silent)] {
        let [before, meanwhile, after] = ill(illness);
        let usual = mean(&before[600..], rate);
        assert!(meanwhile[4].rate < usual / 2.0, "{reason:?}: {} of {usual} after 5 s", meanwhile[4].rate);
        assert_eq!(meanwhile[11].rate, BOUNDS.floor, "{reason:?}, after 12 s");
        assert_eq!(meanwhile[11].reason, reason);
        let back = mean(&after[570..600], rate);
        assert!(back > usual * 0.75, "{reason:?}: {back} of {usual} ten minutes later");
        let jump = after.windows(2).map(|pair| pair[1].rate - pair[0].rate).fold(0.0, f64::max);
        assert!(jump < usual / 5.0, "{reason:?}: by {jump} in a second, usually {usual}");
    }
}

#[test]
fn it_follows_an_upstream_that_loses_half_its_power_and_gets_it_back() {
    let mut world = World::new(sharp(), VISITS[1], BOUNDS, 3);
    let usual = mean(&world.run(1_200)[600..], rate);
    world.upstream = Upstream::sharp(5, 0.05);
    let half = world.run(1_200);
    assert!(half[14].rate < usual * 0.6, "{} of {usual} after 15 s", half[14].rate);
    let load = steady(&half[600..], "with half its power");
    assert!((75.0..=100.0).contains(&load), "{load} of 100");
    world.upstream = sharp();
    let load = mean(&world.run(1_200)[900..], asked);
    assert!(load > 150.0, "{load} of 200");
}

#[test]
fn an_upstream_that_has_become_slower_for_good_is_believed() {
    let strong = Upstream::sharp(100, 0.05);
    let mut world = World::new(strong, VISITS[0], BOUNDS, 5);
    assert_eq!(world.run(900)[899].rate, BOUNDS.ceiling, "it bears 2,000 a second");
    world.upstream = Upstream { service_s: 0.2, ..strong };
    let seconds = world.run(1_800);
    let last = mean(&seconds[1_700..], rate);
    assert!(last > BOUNDS.ceiling * 0.9, "{last}: it bears 500 a second, at four times the latency");
}

#[test]
fn latencies_that_vary_widely_do_not_brake() {
    let varied = Upstream { spread: 1.5, ..Upstream::sharp(1_000, 0.05) };
    let mut world = World::new(varied, VISITS[1], BOUNDS, 11);
    world.run(900);
    let low = world.run(1_200).iter().map(|second| second.rate).fold(f64::MAX, f64::min);
    assert!(low > BOUNDS.ceiling * 0.9, "{low} of {}", BOUNDS.ceiling);
}

#[test]
fn nothing_is_learned_from_an_empty_line() {
    let mut world = World::new(sharp(), VISITS[0], BOUNDS, 1);
    world.run(60);
    world.crowd = false;
    let seconds = world.run(600);
    assert_eq!(seconds[0].rate, seconds[599].rate);
    assert_eq!(seconds[599].reason, Reason::Unused);
}

#[test]
fn most_in_flight_are_most_in_flight() {
    let mut world = World::new(Upstream::soft(1e9, 1.0), VISITS[1], BOUNDS, 2);
    world.tolerance.max_in_flight = Some(100);
    world.run(1_200);
    let seconds = world.run(600);
    let usual = mean(&seconds, |second| second.in_flight as f64);
    assert!((70.0..=110.0).contains(&usual), "{usual}");
    assert!(seconds.iter().any(|second| second.reason == Reason::InFlight));
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let latency = prop::option::of(0.000_1f64..60.0);
    (0u64..1_000, 0.0f64..5.0, 0.0f64..=1.0, latency, 0u64..5_000, prop::bool::weighted(0.1)).prop_map(
        |(answers, kept_up, errors, latency_s, in_flight, is_silent)| Sample {
            answers,
            kept_up,
            errors,
            latency_s,
            in_flight,
            is_silent,
            ..Sample::default()
        },
    )
}

proptest! {
    #[test]
    fn whatever_is_seen_the_rate_is_within_its_bounds_and_rises_smoothly(
        start in 0.0f64..1_000.0,
        steps in prop::collection::vec((any_sample(), 0.0f64..2_000.0, any::<bool>(), 0.0f64..1e6, 0u64..9), 1..200),
    ) {
        let tolerance = Tolerance { max_in_flight: Some(1_000), ..Tolerance::default() };
        let mut law = Law::new(start.clamp(BOUNDS.floor, BOUNDS.ceiling));
        for (sample, admitted, is_wanted, ages_s, aged) in steps {
            let before = law.rate();
            let flow = Flow { admitted, is_wanted, ages_s, aged };
            let rate = law.step(&sample, &flow, BOUNDS, &tolerance);
            prop_assert!((BOUNDS.floor..=BOUNDS.ceiling).contains(&rate), "{rate}");
            prop_assert!(rate - before <= BOUNDS.ceiling * 0.11, "from {before} to {rate}");
            prop_assert!(is_wanted || rate <= before);
        }
    }
}
