use super::super::Verdict::{self, Bad, Good, Warning};
use super::*;
use crate::config::Environment;

const NOW_US: u64 = 1_795_000_000_000_000;

/// A Redis as it should be.
fn well() -> Sight {
    let facts = Facts {
        version: Some("7.2.0".to_owned()),
        appends: Some(true),
        append_works: Some(true),
        eviction: Some("noeviction".to_owned()),
        used_bytes: Some(10 << 20),
        most_bytes: Some(100 << 20),
        replicas: Some(0),
    };
    Sight { facts, now_us: Some(NOW_US), round_trip: Duration::from_micros(200) }
}

fn verdict(sight: &Sight, what: &str) -> Option<Verdict> {
    store(sight, NOW_US).into_iter().find(|finding| finding.what == what).map(|finding| finding.verdict)
}

#[test]
fn a_store_as_it_should_be_is_good_in_everything() {
    let findings = store(&well(), NOW_US);
    assert_eq!(findings.len(), 5);
    assert!(findings.iter().all(|finding| finding.verdict == Good && finding.remedy.is_none()), "{findings:?}");
}

#[test]
fn each_fault_of_a_store_is_found() {
    let with = |change: fn(&mut Sight)| {
        let mut sight = well();
        change(&mut sight);
        sight
    };
    for (what, expected, sight) in [
        ("store", Warning, with(|sight| sight.round_trip = Duration::from_millis(80))),
        ("store's memory", Warning, with(|sight| sight.facts.appends = Some(false))),
        ("store's memory", Bad, with(|sight| sight.facts.append_works = Some(false))),
        ("store's eviction", Bad, with(|sight| sight.facts.eviction = Some("allkeys-lru".to_owned()))),
        ("store's room", Bad, with(|sight| sight.facts.used_bytes = Some(81 << 20))),
        ("clocks", Good, with(|sight| sight.now_us = Some(NOW_US - 900_000))),
        ("clocks", Warning, with(|sight| sight.now_us = Some(NOW_US + 2_000_000))),
        ("clocks", Bad, with(|sight| sight.now_us = Some(NOW_US - 61_000_000))),
    ] {
        assert_eq!(verdict(&sight, what), Some(expected), "{what}: {sight:?}");
    }
}

#[test]
fn what_a_store_does_not_tell_is_not_judged() {
    let sight = Sight { facts: Facts::default(), now_us: None, round_trip: Duration::ZERO };
    let findings = store(&sight, NOW_US);
    assert_eq!(findings.iter().map(|finding| finding.what.as_str()).collect::<Vec<_>>(), ["store"]);
}

#[test]
fn keys_that_all_can_read_are_bad() {
    let mode = |mode| keys(Files { path: Path::new("/k"), mode }).verdict;
    assert_eq!(mode(Ok(0o100_600)), Good);
    assert_eq!(mode(Ok(0o100_440)), Good);
    assert_eq!(mode(Ok(0o100_644)), Bad);
    assert_eq!(mode(Err(io::ErrorKind::NotFound.into())), Warning);
}

#[test]
fn fewer_files_than_connections_are_said() {
    assert_eq!(open_files(Some(100), 100).verdict, Good);
    assert_eq!(open_files(Some(99), 100).verdict, Warning);
}

fn of_room(keys: &str) -> Vec<Finding> {
    let text = format!("[room.sale]\nupstream = \"http://127.0.0.1:1\"\n{keys}\n");
    let config = Config::parse(&text, &Environment::new()).unwrap_or_else(|problems| panic!("{problems}"));
    room(&config.rooms[0], NOW_US / 1_000)
}

#[test]
fn limits_that_somebody_forgot_are_found() {
    let verdicts = |keys: &str| of_room(keys).into_iter().map(|finding| finding.verdict).collect::<Vec<_>>();
    assert_eq!(verdicts("admissions_per_second = 10"), [Good]);
    assert_eq!(verdicts("total_active_users = 10"), [Good]);
    assert_eq!(verdicts(""), [Warning], "nothing limits it");
    assert_eq!(verdicts("admissions_per_second = 0"), [Warning]);
    assert_eq!(verdicts("queueing_method = \"passthrough\""), [Good]);
    let over = "admissions_per_second = 10\nends_at = 2020-01-01T00:00:00Z";
    assert_eq!(verdicts(over), [Bad]);
    let days = "admissions_per_second = 10\nopens_at = 2030-01-02T10:00:00Z\nstarts_at = 2030-01-05T10:00:00Z";
    assert_eq!(verdicts(days), [Good], "tickets are renewed");
    let grace = |grace: &str| verdicts(&format!("admissions_per_second = 10\ngrace = \"{grace}\""));
    assert_eq!((grace("12h"), grace("13h")), (vec![Good], vec![Warning]));
}

#[test]
fn doors_that_are_open_to_all_are_said() {
    let of = |top: &str| {
        let text = format!("{top}\n[room.sale]\nupstream = \"http://127.0.0.1:1\"\n");
        let config = Config::parse(&text, &Environment::new()).unwrap_or_else(|problems| panic!("{problems}"));
        listeners(&config).into_iter().map(|finding| finding.what).collect::<Vec<_>>()
    };
    assert!(of("").is_empty());
    assert_eq!(of("listen = \"0.0.0.0:80\"\nadmin_listen = \"0.0.0.0:81\""), ["admin listener", "TLS"]);
    assert_eq!(of("listen = \"0.0.0.0:80\"\npublic_scheme = \"https\""), ["trusted proxies"]);
}
