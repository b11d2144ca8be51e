//! The crowd against a gateway that keeps its promises, and against ones that break each of them.

mod fake;
mod kills;

use clap::{Args, FromArgMatches};
use vestibule::cli::crowd::report::Report;
use vestibule::cli::crowd::{self, CrowdArgs, CrowdError};
use vestibule::clock::Clock;

use fake::{Fake, Manners};

/// Reads the arguments as the command line does.
fn args(words: &[&str]) -> CrowdArgs {
    let command = CrowdArgs::augment_args(clap::Command::new("crowd").no_binary_name(true).args_override_self(true));
    CrowdArgs::from_arg_matches(&command.get_matches_from(words)).unwrap()
}

/// Sends a small crowd to a gateway of these manners.
async fn send(manners: Manners, more: &[&str]) -> Report {
    let fake = Fake::start(manners).await;
    let url = fake.url();
    let words = [&[&url, "--visitors", "8", "--over", "0.4", "--seed", "5", "--settle", "0.5"], more].concat();
    crowd::run(args(&words), Clock::system()).await.unwrap()
}

const BUYING: [&str; 2] = ["--inventory", "12951:2026-11-23:3A"];

#[tokio::test]
async fn a_gateway_that_keeps_its_promises_passes() {
    let folder = tempfile::tempdir().unwrap();
    let (json, html) = (folder.path().join("crowd.json"), folder.path().join("crowd.html"));
    let files = ["--json", json.to_str().unwrap(), "--html", html.to_str().unwrap()];
    let report = send(Manners::Good, &[&BUYING[..], &files].concat()).await;
    assert_eq!(report.broken(), [], "{report}");
    assert_eq!(report.errors.len(), 0, "{report}");
    assert_eq!((report.joined, report.admitted, report.live_connections_peak), (8, 8, 8));
    assert_eq!((report.holds, report.sold, report.capacity, report.told), (3, 3, Some(3), 5));
    assert_eq!((report.admission_limit, report.burst), (Some(10.0), Some(1)));
    assert_eq!(report.rate_overshoot, 0);
    let read: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(read["sold"], 3);
    assert!(std::fs::read_to_string(html).unwrap().contains("Every check held"));
}

#[tokio::test]
async fn those_who_drop_out_come_back_to_their_places() {
    let report = send(Manners::Good, &["--hold", "0", "--drop", "1"]).await;
    assert_eq!(report.broken(), [], "{report}");
    assert!(report.drops >= 6, "{report}");
    assert_eq!((report.admitted, report.holds, report.capacity), (8, 0, None));
}

#[tokio::test]
async fn where_live_connections_are_refused_the_crowd_polls() {
    let report = send(Manners::NoSockets, &["--hold", "0"]).await;
    assert_eq!(report.broken(), [], "{report}");
    assert_eq!((report.admitted, report.live_connections_peak), (8, 0));
    assert_eq!(report.errors["live_refused"], 24);
}

#[tokio::test]
async fn where_one_gateway_does_not_answer_the_crowd_goes_on_at_the_next() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let report = send(Manners::Good, &["--hold", "0", "--gateways", &format!("http://{gone}/")]).await;
    assert_eq!(report.broken(), [], "{report}");
    assert_eq!((report.admitted, report.gave_up, report.errors["connect"]), (8, 0, 4), "half of them began there");
}

#[tokio::test]
async fn overtaking_is_caught() {
    let report = send(Manners::Overtakes, &["--hold", "0"]).await;
    assert_eq!((report.broken(), report.exit_code()), (vec![("overtakings", 6)], 1), "{report}");
}

#[tokio::test]
async fn a_position_that_rises_is_caught() {
    let report = send(Manners::Regresses, &["--hold", "0"]).await;
    assert_eq!(report.broken()[0].0, "position_regressions", "{report}");
    assert_eq!(report.exit_code(), 1);
}

#[tokio::test]
async fn lost_places_are_caught_whether_told_or_renumbered() {
    for manners in [Manners::Lapses, Manners::Renumbers] {
        let report = send(manners, &["--hold", "0"]).await;
        assert_eq!((report.broken(), report.exit_code()), (vec![("lost_places", 1)], 1), "{report}");
    }
}

#[tokio::test]
async fn too_fast_a_pace_is_measured() {
    let report = send(Manners::Rushes, &["--hold", "0", "--visitors", "16"]).await;
    assert_eq!((report.most_admissions_in_a_second, report.rate_overshoot), (16, 5), "{report}");
}

#[tokio::test]
async fn overselling_is_caught() {
    let report = send(Manners::Oversells, &BUYING).await;
    assert_eq!((report.broken(), report.exit_code()), (vec![("oversold", 5)], 1), "{report}");
}

#[tokio::test]
async fn money_without_a_booking_is_caught() {
    let report = send(Manners::KeepsMoney, &BUYING).await;
    assert_eq!((report.broken(), report.exit_code()), (vec![("paid_without_booking", 3)], 1), "{report}");
}

#[tokio::test]
async fn a_run_ends_in_time_with_what_it_saw() {
    let report = send(Manners::NeverCalls, &["--hold", "0", "--for", "1"]).await;
    assert_eq!((report.unfinished, report.admitted, report.joined), (8, 0, 8), "{report}");
    assert_eq!(report.live_connections_peak, 8);
}

#[tokio::test]
async fn a_site_without_a_waiting_room_and_other_machines_are_refused() {
    let plain = Fake::start(Manners::Unguarded).await;
    let refused = crowd::run(args(&[&plain.url()]), Clock::system()).await.unwrap_err();
    assert!(refused.to_string().contains("gave no ticket"), "{refused}");
    let remote = crowd::run(args(&["http://192.0.2.7/"]), Clock::system()).await.unwrap_err();
    assert!(matches!(remote, CrowdError::Target(_)), "{remote}");
    let many = args(&[&plain.url(), "--visitors", "1000000"]);
    let refused = crowd::run(many, Clock::system()).await.unwrap_err();
    assert!(matches!(refused, CrowdError::TooMany { visitors: 1_000_000, .. }), "{refused}");
}
