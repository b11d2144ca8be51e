use proptest::prelude::*;

use super::*;
use crate::cli::crowd::behaviour::Mix;
use crate::cli::crowd::plan::{Habits, plans};

fn limits(per_second: f64, burst: u64) -> Limits {
    Limits {
        interval_us: Limits::interval_us(per_second),
        burst,
        total_active_users: None,
        session_duration_s: 600,
        grace_ms: 120_000,
        schedule: crate::schedule::Schedule::default(),
        floor_interval_us: None,
    }
}

fn sale(per_second: f64, seats: Option<u64>) -> Sale {
    Sale { limits: limits(per_second, 1), seats, quantity: 1, lapse_s: 300, is_told_in_line: false }
}

/// All at once, of whom parts behave as said.
fn crowd(visitors: u64, hold: f64, mix: &str) -> impl Iterator<Item = Plan> {
    let habits = Habits { drop: 0.0, hold, pay: 1.0, mix: mix.parse::<Mix>().unwrap() };
    plans((0..visitors).map(|index| (index, 0)), habits, 7)
}

#[test]
fn a_line_drains_at_the_rate() {
    let told = predict(crowd(601, 0.0, ""), &sale(10.0, None));
    assert_eq!((told.called, told.never, told.drained_after_seconds), (601, 0, Some(60.0)));
    assert_eq!((told.wait_max_seconds, told.wait_p50_seconds, told.waiting_peak), (60.0, 30.0, 600));
}

#[test]
fn the_last_seat_goes_to_whoever_is_called_as_the_last_of_so_many() {
    let told = predict(crowd(601, 1.0, ""), &sale(10.0, Some(101)));
    assert_eq!((told.seats_sold, told.sold_out_after_seconds, told.told), (101, Some(10.0), 500));
    assert_eq!(told.called, 601, "those behind are called and told inside");
    let told_in_line = predict(crowd(601, 1.0, ""), &Sale { is_told_in_line: true, ..sale(10.0, Some(101)) });
    assert_eq!((told_in_line.called, told_in_line.told, told_in_line.drained_after_seconds), (101, 500, Some(10.0)));
}

#[test]
fn seats_that_nobody_paid_for_come_back() {
    let told = predict(crowd(601, 1.0, "abandoner=0.5"), &Sale { lapse_s: 5, ..sale(10.0, Some(101)) });
    let paid = predict(crowd(601, 1.0, "abandoner=0.5"), &Sale { lapse_s: 5_000, ..sale(10.0, Some(101)) });
    assert_eq!(told.seats_sold, 101);
    assert!((35..65).contains(&paid.seats_sold), "{}", paid.seats_sold);
}

#[test]
fn an_active_limit_decides_where_it_is_the_narrower() {
    let narrow = Limits { total_active_users: Some(10), session_duration_s: 5, ..limits(100.0, 20) };
    let told = predict(crowd(31, 0.0, ""), &Sale { limits: narrow, ..sale(1.0, None) });
    assert_eq!((told.called, told.drained_after_seconds), (31, Some(15.0)), "three sessions, one after the other");
}

#[test]
fn those_who_leave_and_those_who_are_robots_take_no_turn() {
    let told = predict(crowd(1_000, 0.0, "leaving=0.3,robot=0.2"), &sale(10.0, None));
    assert!((250..350).contains(&told.left), "{told:?}");
    assert!((440..560).contains(&told.called), "{told:?}");
    assert_eq!(told.never, 0);
}

#[test]
fn a_rate_of_zero_calls_nobody() {
    let told = predict(crowd(5, 0.0, ""), &sale(0.0, None));
    assert_eq!((told.called, told.never, told.drained_after_seconds), (0, 5, None));
}

proptest! {
    #[test]
    fn nobody_is_forgotten_and_the_rate_holds(
        arrivals in prop::collection::vec(0u64..30_000_000, 1..300),
        per_second in 1.0f64..200.0,
        burst in 1u64..20,
        seats in prop::option::of(0u64..200),
        seed: u64,
    ) {
        let mix: Mix = "leaving=0.1,sleeping=0.1,robot=0.1,abandoner=0.1".parse().unwrap();
        let habits = Habits { drop: 0.2, hold: 0.7, pay: 0.9, mix };
        let arrivals = { let mut sorted = arrivals; sorted.sort_unstable(); sorted };
        let arrivals = (0..).zip(arrivals);
        let humans = plans(arrivals.clone(), habits.clone(), seed).filter(|p| p.behaviour != Behaviour::Robot).count() as u64;
        let told = predict(plans(arrivals, habits, seed), &Sale { limits: limits(per_second, burst), ..sale(1.0, seats) });
        prop_assert_eq!(told.called + told.left + told.never, humans);
        prop_assert_eq!(told.never, 0);
        prop_assert!(told.called as f64 <= told.drained_after_seconds.unwrap_or(0.0) * per_second + burst as f64 + 1e-6);
        prop_assert!(seats.is_none_or(|seats| told.seats_sold <= seats));
        prop_assert!(told.wait_p50_seconds <= told.wait_p99_seconds && told.wait_p99_seconds <= told.wait_max_seconds);
    }
}
