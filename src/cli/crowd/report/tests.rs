use super::*;
use crate::cli::crowd::behaviour::Behaviour;
use crate::cli::crowd::status::Status;

fn asked() -> Asked {
    Asked {
        visitors: 3,
        quantity: 2,
        seed: 1,
        curve: "flat".to_owned(),
        over_seconds: 2.0,
        started_at: 10_000,
        ended_at: 14_500,
    }
}

fn served(arrives_ms: u64, number: u64, called_at_ms: u64) -> Note {
    Note {
        arrives_ms,
        joined_ms: Some(arrives_ms + 5),
        join_us: Some(5_000),
        number: Some(number),
        called_at_ms: Some(called_at_ms),
        admitted_ms: Some(called_at_ms + 10),
        ended_ms: called_at_ms + 100,
        purchase: Purchase::Booked,
        end: End::Served,
        ..Note::default()
    }
}

fn report(notes: &[Note], stock: Option<&Stock>) -> Report {
    Report::of(notes, &Tally::new(), stock, &asked())
}

#[test]
fn every_key_of_the_contract_is_there() {
    let json = serde_json::to_value(report(&[], None)).unwrap();
    for key in [
        "visitors",
        "joined",
        "joins_per_second",
        "admitted",
        "admissions_per_second",
        "rate_overshoot",
        "overtakings",
        "position_regressions",
        "live_connections_peak",
        "holds",
        "sold",
        "oversold",
        "payments",
        "paid_without_booking",
        "lost_places",
        "seed",
        "answers",
        "pages",
        "left",
        "reloads",
    ] {
        assert!(json[key].is_number(), "{key}");
    }
    assert!(json.as_object().unwrap().contains_key("capacity") && json["errors"].is_object());
    assert!(["p50", "p99", "max"].iter().all(|key| json["join_ms"][key].is_number()));
    assert!(["p50", "p99"].iter().all(|key| json["update_lag_ms"][key].is_number()));
    assert!(["p50", "p99", "max"].iter().all(|key| json["wait_seconds"][key].is_number()));
    let eta = json["eta_error"].as_object().unwrap();
    assert!(eta.contains_key("p50") && eta.contains_key("p90"));
}

#[test]
fn each_check_alone_decides_the_exit_code() {
    assert_eq!(report(&[served(10_000, 1, 11_000)], None).exit_code(), 0);
    let rose = Note { regressions: 1, ..Note::default() };
    let lost = Note { end: End::Lost, ..Note::default() };
    let unbooked = Note { purchase: Purchase::Paid, end: End::Served, ..Note::default() };
    for (note, check) in [(rose, "position_regressions"), (lost, "lost_places"), (unbooked, "paid_without_booking")] {
        let report = report(&[note], None);
        assert_eq!((report.broken(), report.exit_code()), (vec![(check, 1)], 1));
    }
    let stock = Stock { id: "a:b:c".to_owned(), capacity: Some(3), sold: None };
    assert_eq!(report(&[served(10_000, 1, 11_000)], Some(&stock)).oversold, 0);
    let oversold = report(&[served(10_000, 1, 11_000), served(10_000, 2, 11_000)], Some(&stock));
    assert_eq!((oversold.broken(), oversold.exit_code()), (vec![("oversold", 1)], 1));
    let by_the_api = Stock { sold: Some(5), ..stock };
    assert_eq!(report(&[], Some(&by_the_api)).oversold, 2);
}

#[test]
fn an_overtaking_reaches_the_report() {
    let mut first = served(10_000, 1, 14_000);
    first.be_here(10_010, 1_000);
    first.be_here(14_000, 1_000);
    first.go();
    let report = report(&[first, served(10_100, 2, 12_000)], None);
    assert_eq!(report.broken(), [("overtakings", 1)]);
}

#[test]
fn a_rate_above_the_limit_and_its_burst_is_an_overshoot() {
    let tally = Tally::new();
    tally.limits(&Status::read(br#"{"state":"waiting","admissions_per_second":2.0,"burst":1}"#).unwrap());
    let notes: Vec<Note> = (0..5).map(|i| served(10_000, i + 1, 11_000 + i)).collect();
    let report = Report::of(&notes, &tally, None, &asked());
    assert_eq!((report.most_admissions_in_a_second, report.rate_overshoot), (5, 2));
}

#[test]
fn a_tab_with_a_place_of_its_own_is_a_lost_place() {
    let note = Note { strays: 2, ..served(10_000, 1, 11_000) };
    assert_eq!(report(&[note], None).broken(), [("lost_places", 2)]);
}

#[test]
fn each_way_to_behave_has_its_fate() {
    let robot = Note { behaviour: Behaviour::Robot, end: End::Swarmed, ..Note::default() };
    let left = Note { behaviour: Behaviour::Leaving, end: End::Left, dropped: true, ..Note::default() };
    let report = report(&[served(10_000, 1, 11_000), robot, left], None);
    let fate = |name: &str| report.behaviours[name];
    assert_eq!(fate("patient"), Fate { came: 1, admitted: 1, booked: 1 });
    assert_eq!(fate("robot"), Fate { came: 1, ..Fate::default() });
    assert_eq!((report.left, report.drops, report.lost_places), (1, 0, 0));
}

#[test]
fn the_timeline_adds_up() {
    let report = report(&[served(10_000, 1, 11_000), served(10_500, 2, 13_000)], None);
    let waiting: Vec<u64> = report.timeline.iter().map(|second| second.waiting).collect();
    assert_eq!(waiting, [2, 1, 1, 0, 0]);
    assert_eq!(report.timeline.iter().map(|second| second.calls).sum::<u64>(), 2);
    assert_eq!(report.timeline[0].arrivals, 2);
    assert_eq!((report.timeline[0].wait_seconds, report.timeline[1].wait_seconds), (Some(0.995), None));
    assert_eq!((report.wait_seconds.max, report.drained_after_seconds), (2.495, Some(3.0)));
    assert_eq!(report.join_ms.p99, 5.0);
}
