//! The real timetable: how much there is, running order, running days, and how fast it answers.

use booking_core::catalogue::{Catalogue, NotOnSale};
use booking_core::domain::inventory::{Class, InventoryId, parse_date};

fn numbers(catalogue: &Catalogue, from: &str, to: &str, date: &str) -> Vec<String> {
    let found = catalogue.search(from, to, parse_date(date).unwrap());
    found.iter().map(|hit| hit.train.number.to_string()).collect()
}

#[test]
fn the_whole_timetable_is_embedded() {
    let catalogue = Catalogue::embedded().unwrap();
    assert_eq!(catalogue.trains().len(), 2_858);
    assert!(catalogue.station("NDLS").is_some_and(|station| station.name.contains("DELHI")));
    let train = catalogue.train("12951".parse().unwrap()).unwrap();
    let stops: Vec<&str> = catalogue.stops(train).map(|station| station.code.as_str()).collect();
    assert_eq!(stops, ["MMCT", "BVI", "ST", "BRC", "RTM", "NAD", "KOTA", "NDLS"]);
}

#[test]
fn a_train_is_found_in_running_order_only() {
    let catalogue = Catalogue::embedded().unwrap();
    assert!(numbers(&catalogue, "MMCT", "NDLS", "2026-11-23").contains(&"12951".to_owned()));
    assert!(numbers(&catalogue, "ST", "KOTA", "2026-11-23").contains(&"12951".to_owned()));
    assert!(!numbers(&catalogue, "NDLS", "MMCT", "2026-11-23").contains(&"12951".to_owned()));
    assert_eq!(numbers(&catalogue, "NDLS", "NDLS", "2026-11-23"), Vec::<String>::new());
    assert_eq!(numbers(&catalogue, "NOWHERE", "NDLS", "2026-11-23"), Vec::<String>::new());
}

#[test]
fn a_train_is_found_on_the_days_it_leaves_its_origin() {
    let catalogue = Catalogue::embedded().unwrap();
    // 22436 runs on 0110111, Monday first: not on Mondays and Thursdays. 2026-11-23 is a Monday.
    let days: Vec<bool> = (23..30)
        .map(|day| numbers(&catalogue, "NDLS", "BSB", &format!("2026-11-{day}")).contains(&"22436".to_owned()))
        .collect();
    assert_eq!(days, [false, true, true, false, true, true, true]);
}

#[test]
fn an_offer_says_why_not() {
    let catalogue = Catalogue::embedded().unwrap();
    let offer = |id: &str| catalogue.offer(id.parse().unwrap());
    let offered = offer("12951:2026-11-23:3A").unwrap();
    assert_eq!((offered.capacity, offered.price.get()), (576, 244_000));
    assert!(matches!(offer("99999:2026-11-23:3A"), Err(NotOnSale::UnknownTrain(_))));
    assert!(matches!(offer("12951:2026-11-23:SL"), Err(NotOnSale::NoSuchClass(..))));
    assert!(matches!(offer("22436:2026-11-23:CC"), Err(NotOnSale::NotRunning(_))));
}

#[test]
fn every_train_has_classes_seats_and_fares() {
    let (catalogue, monday) = (Catalogue::embedded().unwrap(), parse_date("2026-11-23").unwrap());
    for train in catalogue.trains() {
        assert!(!train.classes.is_empty());
        let date = (0..7).map(|days| monday + time::Duration::days(days)).find(|date| train.runs(*date)).unwrap();
        let row = |&class: &Class| InventoryId { train: train.number, date, class };
        let fare = |class| catalogue.offer(row(class)).unwrap().price.get();
        let fares: Vec<i64> = train.classes.iter().map(fare).collect();
        assert!(fares.iter().all(|fare| *fare > 0 && fare % 500 == 0), "{train:?}");
        assert!(fares.is_sorted_by(|dear, cheap| dear > cheap), "{} {fares:?}", train.number);
    }
}

#[test]
fn stations_are_suggested_by_code_and_name() {
    let catalogue = Catalogue::embedded().unwrap();
    let first = |typed: &str| catalogue.suggest(typed).first().map(|station| station.code.clone());
    assert_eq!(first("ndls").as_deref(), Some("NDLS"));
    assert_eq!(first("New Delhi").as_deref(), Some("NDLS"));
    assert!(catalogue.suggest("DELHI").len() > 1);
    assert_eq!(first("xyzzy"), None);
    assert!(catalogue.suggest("A").len() <= 10);
}

#[test]
fn a_search_finds_what_reading_the_whole_timetable_finds() {
    let catalogue = Catalogue::embedded().unwrap();
    let codes: Vec<&str> = catalogue
        .trains()
        .iter()
        .step_by(97)
        .flat_map(|train| {
            let stops = catalogue.stops(train);
            let (first, last) = (stops.len() / 3, stops.len() - 1);
            catalogue
                .stops(train)
                .enumerate()
                .filter(move |(at, _)| *at == first || *at == last)
                .map(|(_, s)| s.code.as_str())
        })
        .collect();
    let mut found = 0;
    for (pair, day) in codes.iter().flat_map(|from| codes.iter().map(move |to| (from, to))).zip((22..29).cycle()) {
        let date = parse_date(&format!("2026-11-{day}")).unwrap();
        let (from, to) = pair;
        let expected: Vec<String> = catalogue
            .trains()
            .iter()
            .filter(|train| {
                let at = |code: &str| catalogue.stops(train).position(|stop| stop.code == code);
                train.runs(date) && at(from).zip(at(to)).is_some_and(|(from, to)| from < to)
            })
            .map(|train| train.number.to_string())
            .collect();
        found += expected.len();
        assert_eq!(numbers(&catalogue, from, to, &date.to_string()), expected, "{from} to {to} on {date}");
    }
    assert!(found > 500, "the pairs are of trains that run: {found}");
}

#[test]
fn a_stop_is_told_by_its_place_in_the_run() {
    let catalogue = Catalogue::embedded().unwrap();
    let date = parse_date("2026-11-23").unwrap();
    let hits = catalogue.search("BRC", "KOTA", date);
    let hit = hits.iter().find(|hit| hit.train.number.to_string() == "12951").unwrap();
    assert_eq!((hit.from_stop, hit.to_stop), (3, 6), "MMCT, BVI, ST, BRC, RTM, NAD, KOTA, NDLS");
    assert_eq!(catalogue.search("brc", "kota", date).len(), hits.len(), "codes are read in any case");
}

#[test]
fn no_train_is_on_sale_on_a_day_it_does_not_run() {
    let catalogue = Catalogue::embedded().unwrap();
    for train in catalogue.trains().iter().step_by(13) {
        for day in 22..29 {
            let id = format!("{}:2026-11-{day}:{}", train.number, train.classes[0].code());
            let offered = catalogue.offer(id.parse().unwrap()).is_ok();
            assert_eq!(offered, train.runs(parse_date(&format!("2026-11-{day}")).unwrap()), "{id}");
        }
    }
}
