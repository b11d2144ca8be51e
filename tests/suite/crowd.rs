//! The crowd against a gateway that keeps its promises, and against ones that break each of them.

mod fake;
mod kills;
mod rehearsed;

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
async fn nobody_sets_out_for_a_site_that_is_down_and_the_look_at_it_ends_in_time() {
    let down = Fake::start(Manners::IsDown).await;
    let refused = crowd::run(args(&[&down.url(), "--for", "1"]), Clock::system()).await.unwrap_err();
    assert!(refused.to_string().contains("let nobody in for 1 s, and the last it said was HTTP 503"), "{refused}");
}

#[tokio::test]
async fn a_site_without_a_waiting_room_and_other_machines_are_refused() {
    let plain = Fake::start(Manners::Unguarded).await;
    let refused = crowd::run(args(&[&plain.url()]), Clock::system()).await.unwrap_err();
    assert!(refused.to_string().contains("gave no ticket"), "{refused}");
    let remote = crowd::run(args(&["http://192.0.2.7/"]), Clock::system()).await.unwrap_err();
    assert!(matches!(remote, CrowdError::Target(_)), "{remote}");
}

/// Sends eight who all behave in one way.
async fn all(behaviour: &str, more: &[&str]) -> Report {
    let report = send(Manners::Good, &[&["--behave", &format!("{behaviour}=1")], more].concat()).await;
    assert_eq!(report.broken(), [], "{behaviour}: {report}");
    assert_eq!(report.errors.len(), 0, "{behaviour}: {report}");
    assert_eq!(report.behaviours[behaviour].came, 8, "{behaviour}: {report}");
    report
}

const LOOKING: [&str; 2] = ["--hold", "0"];

#[tokio::test]
async fn those_who_load_the_page_anew_sleep_or_open_a_second_tab_keep_their_places() {
    let (reloading, sleeping, tabs) =
        tokio::join!(all("reloading", &LOOKING), all("sleeping", &LOOKING), all("second-tab", &LOOKING));
    assert!(reloading.reloads > 0 && reloading.admitted == 8, "{reloading}");
    assert!(sleeping.drops >= 6 && sleeping.returns >= 6 && sleeping.admitted == 8, "{sleeping}");
    assert!(tabs.second_tabs >= 6 && tabs.live_connections_peak == 8 && tabs.admitted == 8, "{tabs}");
}

#[tokio::test]
async fn browsers_without_scripts_and_programs_get_in_without_a_live_connection() {
    let (plain, program) = tokio::join!(all("no-script", &LOOKING), all("app", &LOOKING));
    for report in [plain, program] {
        assert_eq!((report.joined, report.admitted, report.live_connections_peak), (8, 8, 0), "{report}");
    }
}

#[tokio::test]
async fn those_who_leave_are_gone_and_robots_take_places_that_they_do_not_wait_in() {
    let (leaving, robots) = tokio::join!(all("leaving", &LOOKING), all("robot", &LOOKING));
    assert!(leaving.left >= 6 && leaving.left + leaving.admitted == 8, "{leaving}");
    assert_eq!((robots.joined, robots.admitted, robots.robots.places), (0, 0, 8 * 12), "{robots}");
}

#[tokio::test]
async fn payers_pay_and_abandoners_do_not() {
    let (payers, abandoners) = tokio::join!(all("payer", &BUYING), all("abandoner", &BUYING));
    assert_eq!((payers.holds, payers.payments, payers.sold), (3, 3, 3), "{payers}");
    assert_eq!((abandoners.holds, abandoners.payments, abandoners.sold), (3, 0, 0), "{abandoners}");
}

#[tokio::test]
async fn a_second_tab_with_a_place_of_its_own_is_caught() {
    let report = send(Manners::StraysTabs, &["--hold", "0", "--behave", "second-tab=1"]).await;
    assert_eq!((report.broken()[0].0, report.exit_code()), ("lost_places", 1), "{report}");
}

#[tokio::test]
async fn those_who_share_connections_look_at_pages_of_any_site() {
    let report = send(Manners::Good, &["--hold", "0", "--through", "3", "--page", "/look", "--page", "/look"]).await;
    assert_eq!((report.broken(), report.errors.len()), (vec![], 0), "{report}");
    assert_eq!((report.admitted, report.live_connections_peak, report.pages), (8, 0, 16), "{report}");
}

#[tokio::test]
async fn a_crowd_in_troops_is_one_crowd() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("crowd.json");
    let fake = Fake::start(Manners::Good).await;
    let url = fake.url();
    let file = crate::program::text(&json).to_owned();
    let words = ["crowd", &url, "--visitors", "9", "--over", "0.4", "--seed", "5", "--hold", "0"].map(str::to_owned);
    let words = [&words[..], &["--troops", "3", "--json", &file].map(str::to_owned)].concat();
    let ran = tokio::task::spawn_blocking(move || {
        crate::program::told(&words.iter().map(String::as_str).collect::<Vec<_>>())
    });
    let (code, said) = ran.await.unwrap();
    assert_eq!(code, Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    for (field, count) in [("arrived", 9), ("joined", 9), ("admitted", 9), ("overtakings", 0), ("lost_places", 0)] {
        assert_eq!(report[field], count, "{field}: {said}");
    }
    assert!(report["live_updates"].as_u64() > Some(9) && report["answers"].as_u64() >= Some(18), "{said}");
    assert_eq!(report["timeline"].as_array().unwrap().iter().filter_map(|s| s["arrivals"].as_u64()).sum::<u64>(), 9);
}
