//! One person, one number: what every store must do where a room asks for it.

use std::time::Duration;

use vestibule::admission::Limits;
use vestibule::clock::Clock;
use vestibule::line::draw::{Promise, Reveal};
use vestibule::line::embedded::Embedded;
use vestibule::line::redis::RedisLine;
use vestibule::line::{
    Arrival, CLAIM_LIMIT, Claimed, Joined, Known, LineStore, Numbers, PersonId, Renewal, Roll, RoomName, Slots,
    Standing, Steering, Tick,
};

use vestibule::schedule::Schedule;

use super::{START_MS, fresh_room, limits, tick};
use crate::redis_server::RedisServer;

struct Stand {
    store: Box<dyn LineStore>,
    clock: Clock,
    room: RoomName,
}

impl Stand {
    async fn embedded() -> Self {
        let clock = Clock::manual(START_MS);
        let store = Embedded::open(None, clock.clone()).expect("in memory");
        Self { store: Box::new(store), clock, room: fresh_room() }.configured().await
    }

    async fn redis() -> Self {
        let clock = Clock::manual(START_MS);
        let timeout = Duration::from_secs(10);
        let store = RedisLine::connect_with_clock(&RedisServer::shared().url(), timeout, clock.clone()).await;
        Self { store: Box::new(store.expect("the server runs")), clock, room: fresh_room() }.configured().await
    }

    async fn configured(self) -> Self {
        let configure = Steering::Configure(limits(0.0, 1));
        self.store.steer(&self.room, &configure).await.expect("a steering");
        // The first number is somebody's who is in already.
        self.store.join(&self.room, 1).await.expect("a join");
        self.store.steer(&self.room, &Steering::Admit(1)).await.expect("a call");
        self
    }

    async fn claim(&self, arrivals: &[Arrival]) -> Claimed {
        self.store.claim(&self.room, arrivals, Known::default()).await.expect("a claim").expect("nothing is lost")
    }

    async fn numbers(&self, arrivals: &[Arrival]) -> Vec<u64> {
        self.claim(arrivals).await.numbers.into_iter().map(|(_, number)| number).collect()
    }

    async fn tick(&self, tick: Tick) {
        self.store.tick(&self.room, &tick).await.expect("a tick");
    }

    async fn roll(&self) -> Roll {
        self.store.restore(&self.room, &Roll::default()).await.expect("a roll")
    }

    async fn waiting(&self) -> Vec<u64> {
        self.roll().await.waiting.iter_from(0).collect()
    }
}

/// Somebody whose bytes differ everywhere from the next one's.
fn id(who: u128) -> PersonId {
    PersonId(who.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

fn person(who: u128) -> Arrival {
    Arrival::Person { id: id(who), over: None }
}

macro_rules! on_every_store {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test] async fn $name() { super::$name(super::Stand::embedded().await).await })+
        }
        mod redis {
            $(#[tokio::test] async fn $name() { super::$name(super::Stand::redis().await).await })+
        }
    };
}

on_every_store!(
    a_person_has_one_number_and_anybody_a_new_one,
    who_was_called_has_the_number_until_the_session_is_over,
    a_place_that_is_over_is_no_place,
    claims_at_once_by_one_person_get_one_number,
    a_number_the_store_has_forgotten_comes_back,
    persons_outlive_a_new_epoch,
    a_line_that_gives_way_takes_its_persons_along,
    whoever_is_introduced_is_known_again,
    of_two_places_the_earlier_one_stays,
    the_sweep_forgets_those_whose_place_is_over_and_nobody_else,
    the_sweep_forgets_the_persons_of_a_draw_when_all_of_it_is_over,
    a_person_is_found_as_long_as_the_place_stands,
    a_full_batch_is_served,
    what_was_lost_is_not_given_as_somebody_elses,
    a_draw_leaves_everyone_the_number_they_have,
);

async fn a_person_has_one_number_and_anybody_a_new_one(stand: Stand) {
    let claimed = stand.claim(&[person(1), Arrival::Anybody, person(2), person(1)]).await;
    let epoch = claimed.joined.epoch;
    assert_eq!(claimed.numbers, [(epoch, 2), (epoch, 3), (epoch, 4), (epoch, 2)]);
    assert_eq!((claimed.joined.first, claimed.joined.count), (2, 3));
    let again = stand.claim(&[person(2), person(1)]).await;
    assert_eq!((again.numbers, again.joined.count), (vec![(epoch, 4), (epoch, 2)], 0));
    assert_eq!(stand.numbers(&[Arrival::Anybody, person(3)]).await, [5, 6]);
    assert_eq!(stand.waiting().await, [2, 3, 4, 5, 6]);
    let room = fresh_room();
    stand.store.steer(&room, &Steering::Configure(limits(0.0, 1))).await.expect("a room");
    let other = stand.store.claim(&room, &[person(1)], Known::default()).await.expect("a claim");
    assert_eq!(other.expect("a new line").numbers[0].1, 1, "another room knows nothing of it");
}

async fn who_was_called_has_the_number_until_the_session_is_over(stand: Stand) {
    assert_eq!(stand.numbers(&[person(1)]).await, [2]);
    stand.store.steer(&stand.room, &Steering::Admit(1)).await.expect("a call");
    assert_eq!(stand.numbers(&[person(1)]).await, [2], "called, and the same number");
    let over = Arrival::Person { id: id(1), over: Some(2) };
    assert_eq!(stand.numbers(&[over]).await, [3], "the session has run out, says the gateway");
    assert_eq!(stand.numbers(&[over]).await, [3], "what is over is another number by now");
    let ends_s = stand.roll().await.standing(stand.roll().await.epoch(), 2, START_MS / 1_000);
    let Standing::Called { ends_s, .. } = ends_s else { panic!("{ends_s:?}") };
    let ended = Slots { ends_s, numbers: Numbers::run(3, 3) };
    stand.store.steer(&stand.room, &Steering::Admit(1)).await.expect("a call");
    stand.tick(Tick { ended: vec![ended], ..tick(1) }).await;
    assert_eq!(stand.numbers(&[person(1)]).await, [4], "the site has ended the session");
}

async fn a_place_that_is_over_is_no_place(stand: Stand) {
    assert_eq!(stand.numbers(&[person(1), person(2)]).await, [2, 3]);
    stand.tick(Tick { left: Numbers::run(2, 2), ..tick(1) }).await;
    assert_eq!(stand.numbers(&[person(1), person(2)]).await, [4, 3]);
    stand.store.steer(&stand.room, &Steering::Reset).await.expect("a reset");
    assert_eq!(stand.numbers(&[person(1), person(2)]).await, [5, 6]);
}

async fn a_person_is_found_as_long_as_the_place_stands(stand: Stand) {
    let claimed = stand.claim(&[person(1), person(2)]).await;
    let before = stand.roll().await;
    let find = async |who| stand.store.find(&stand.room, id(who)).await.expect("an answer");
    assert_eq!(
        [find(1).await, find(2).await, find(3).await],
        [Some(claimed.numbers[0]), Some(claimed.numbers[1]), None]
    );
    assert_eq!(stand.roll().await, before, "nobody gets a number by that");
    stand.tick(Tick { left: Numbers::run(3, 3), ..tick(1) }).await;
    stand.store.steer(&stand.room, &Steering::Admit(1)).await.expect("a call");
    assert_eq!([find(1).await, find(2).await], [Some(claimed.numbers[0]), None], "called, and gone");
}

async fn claims_at_once_by_one_person_get_one_number(stand: Stand) {
    let arrivals = [person(7), Arrival::Anybody];
    let claims = (0..20).map(|_| stand.claim(&arrivals));
    let claimed = futures_util::future::join_all(claims).await;
    assert!(claimed.iter().all(|claimed| claimed.numbers[0].1 == 2), "{claimed:?}");
    assert_eq!(stand.waiting().await.len(), 21);
}

async fn a_number_the_store_has_forgotten_comes_back(stand: Stand) {
    assert_eq!(stand.numbers(&[person(1), person(2)]).await, [2, 3]);
    // The store remembers who has which number, but not that it was given: a mirror of the line before restores it.
    let mut older = stand.roll().await;
    let lost = stand.numbers(&[person(3)]).await;
    older.seq += 5;
    let forgetful = stand.store.restore(&stand.room, &older).await.expect("a restore");
    assert_eq!(stand.numbers(&[person(3)]).await, lost);
    assert!(forgetful.epoch() > older.epoch());
    assert!(stand.waiting().await.contains(&lost[0]));
}

async fn persons_outlive_a_new_epoch(stand: Stand) {
    let before = stand.claim(&[person(1), person(2)]).await;
    let mut mirror = stand.roll().await;
    mirror.seq += 5;
    let restored = stand.store.restore(&stand.room, &mirror).await.expect("a restore");
    assert!(restored.epoch() > before.joined.epoch);
    let after = stand.claim(&[person(2), person(3), person(1)]).await;
    assert_eq!((after.numbers[0], after.numbers[2]), (before.numbers[1], before.numbers[0]), "epoch and all");
    assert_eq!(after.numbers[1], (restored.epoch(), restored.issued + 1));
}

async fn a_line_that_gives_way_takes_its_persons_along(stand: Stand) {
    assert_eq!(stand.numbers(&[person(1)]).await, [2]);
    let mut lost = stand.roll().await;
    lost.eras[0].epoch -= 1_000;
    let restored = stand.store.restore(&stand.room, &lost).await.expect("a restore");
    assert_eq!(restored.eras.len(), 3, "{restored:?}");
    assert!(stand.numbers(&[person(1)]).await[0] > 100_000, "2 is somebody else's in the line that came back");
}

async fn whoever_is_introduced_is_known_again(stand: Stand) {
    assert_eq!(stand.numbers(&[Arrival::Anybody, Arrival::Anybody]).await, [2, 3]);
    let introduced = vec![(id(1), 3), (id(2), 9)];
    stand.tick(Tick { introduced, ..tick(1) }).await;
    assert_eq!(stand.numbers(&[person(1), person(2)]).await, [3, 4], "nobody holds 9");
}

async fn of_two_places_the_earlier_one_stays(stand: Stand) {
    assert_eq!(stand.numbers(&[Arrival::Anybody, person(1), Arrival::Anybody]).await, [2, 3, 4]);
    stand.tick(Tick { introduced: vec![(id(1), 2)], ..tick(1) }).await;
    assert_eq!(stand.waiting().await, [2, 4]);
    stand.tick(Tick { introduced: vec![(id(1), 4), (id(1), 2)], ..tick(1) }).await;
    assert_eq!((stand.waiting().await, stand.roll().await.tally.left), (vec![2], 2));
    assert_eq!(stand.numbers(&[person(1)]).await, [2]);
}

async fn the_sweep_forgets_those_whose_place_is_over_and_nobody_else(stand: Stand) {
    let everyone: Vec<Arrival> = (0..300).map(person).collect();
    let before = stand.numbers(&everyone).await;
    stand.tick(Tick { left: Numbers::run(2, 101), here: Numbers::run(102, 301), ..tick(1) }).await;
    stand.store.steer(&stand.room, &Steering::Admit(100)).await.expect("a call");
    for _ in 0..13 {
        stand.clock.advance_ms(5_000);
        stand.tick(tick(1)).await;
    }
    // With the next entry, the line notes whose sessions have run out.
    stand.claim(&[Arrival::Anybody]).await;
    // Long enough to look at every person once.
    for _ in 0..8_192 {
        stand.clock.advance_ms(100);
        stand.tick(tick(1)).await;
    }
    let after = stand.numbers(&everyone).await;
    assert_eq!(after[200..], before[200..], "who waits");
    assert!(after[..200].iter().all(|number| *number > 302), "who left, and whose session has run out: {after:?}");
}

/// How many ticks it takes to look at every person twice: first whether all of a draw are over, then at each.
const TWO_ROUNDS: usize = 2 * 8_192 + 2;

async fn the_sweep_forgets_the_persons_of_a_draw_when_all_of_it_is_over(stand: Stand) {
    let (everyone, before) = drawn(&stand, 40).await;
    let ends_of_all = Numbers::run(before[0], before[39]);
    let roll = stand.roll().await;
    let left: Numbers = ends_of_all.iter().filter(|place| *place != before[7]).collect();
    stand.tick(Tick { left, here: ends_of_all, all_here: true, known: roll.known(), ..tick(1) }).await;
    sweep(&stand, TWO_ROUNDS).await;
    assert_eq!(stand.waiting().await, [before[7]], "one of them is still in line");
    let holder = before.iter().position(|number| roll.place(*number) == before[7]).expect("somebody");
    assert_eq!(stand.numbers(&[everyone[holder]]).await, [before[holder]]);
    stand.store.steer(&stand.room, &Steering::Admit(1)).await.expect("a call");
    stand.clock.advance_ms(61_000);
    // With the next entry, the line notes whose sessions have run out.
    stand.claim(&[Arrival::Anybody]).await;
    sweep(&stand, TWO_ROUNDS).await;
    let after = stand.numbers(&everyone).await;
    assert!(after.iter().all(|number| *number > before[39]), "all are forgotten: {after:?}");
}

/// Persons whose order is drawn, and their numbers.
async fn drawn(stand: &Stand, count: u128) -> (Vec<Arrival>, Vec<u64>) {
    let schedule = Schedule { starts_ms: Some(START_MS + 5_000), ..Schedule::ALWAYS };
    let gathering = Steering::Limits(Limits { schedule, ..limits(0.0, 1) });
    let promise = Steering::Promise(Promise::of(&[7; 32], "root".to_owned(), [0; 16], None));
    for steering in [gathering, promise] {
        stand.store.steer(&stand.room, &steering).await.expect("a steering");
    }
    let everyone: Vec<Arrival> = (0..count).map(person).collect();
    let before = stand.numbers(&everyone).await;
    stand.clock.advance_ms(5_000);
    stand.tick(tick(1)).await;
    let reveal = Reveal { seed: [7; 32], public_value: None };
    stand.store.steer(&stand.room, &Steering::Draw(reveal)).await.expect("a draw");
    (everyone, before)
}

async fn sweep(stand: &Stand, ticks: usize) {
    let known = stand.roll().await.known();
    let waiting: Numbers = stand.waiting().await.into_iter().collect();
    for _ in 0..ticks {
        stand.clock.advance_ms(100);
        stand.tick(Tick { here: waiting.clone(), known, ..tick(1) }).await;
    }
}

async fn a_full_batch_is_served(stand: Stand) {
    let everyone: Vec<Arrival> = (0..CLAIM_LIMIT as u128).map(person).collect();
    let first = stand.numbers(&everyone).await;
    assert_eq!(first, (2..CLAIM_LIMIT as u64 + 2).collect::<Vec<_>>());
    assert_eq!(stand.numbers(&everyone).await, first);
}

async fn what_was_lost_is_not_given_as_somebody_elses(stand: Stand) {
    let kept = stand.claim(&[person(1)]).await;
    let mut mirror = stand.roll().await;
    mirror.note(&Joined { first: 3, count: 1, admitted: 0, ..kept.joined });
    let known = mirror.known();
    let lost = stand.store.claim(&stand.room, &[person(2)], known).await.expect("a claim");
    assert_eq!(lost, None, "3 has a holder whom the store does not remember");
    let restored = stand.store.restore(&stand.room, &mirror).await.expect("a restore");
    let late = stand.store.claim(&stand.room, &[person(1)], known).await.expect("a claim");
    assert_eq!(late, None, "a mirror of an older epoch offers what it has first");
    let known = restored.known();
    let given = stand.store.claim(&stand.room, &[person(1), person(2)], known).await.expect("a claim");
    let numbers = given.expect("made good").numbers;
    assert!(numbers[0] == kept.numbers[0] && numbers[1].1 > 100_000, "{numbers:?}");
}

async fn a_draw_leaves_everyone_the_number_they_have(stand: Stand) {
    let (everyone, before) = drawn(&stand, 20).await;
    let roll = stand.roll().await;
    assert!(before.iter().any(|number| roll.place(*number) != *number), "places were drawn");
    let waiting = stand.waiting().await;
    assert_eq!(stand.numbers(&everyone).await, before);
    stand.tick(Tick { introduced: vec![(id(0), before[0])], known: roll.known(), ..tick(1) }).await;
    assert_eq!((stand.numbers(&everyone).await, stand.waiting().await), (before, waiting), "nobody is given up");
}

/// Persons are forgotten whose session has run out; one that was renewed runs out later.
#[tokio::test]
async fn redis_notes_that_a_renewed_session_has_run_out_when_it_has() {
    let stand = Stand::redis().await;
    assert_eq!(stand.numbers(&[person(1)]).await, [2]);
    stand.store.steer(&stand.room, &Steering::Admit(1)).await.expect("a call");
    let roll = stand.roll().await;
    let Standing::Called { ends_s, at_us } = roll.standing(roll.epoch(), 2, 0) else { panic!("2 was called") };
    let past = format!("vestibule:{{{}}}:past", stand.room);
    let is_past = async |after_s: u64| {
        stand.clock.advance_ms((ends_s + after_s) * 1_000 - stand.clock.now_ms());
        stand.numbers(&[Arrival::Anybody]).await;
        stand.tick(tick(1)).await;
        RedisServer::shared().tell(&["GETBIT", &past, "2"]) == ::redis::Value::Int(1)
    };
    stand.clock.advance_ms((ends_s - 10) * 1_000 - stand.clock.now_ms());
    stand.tick(Tick { renewed: vec![Renewal { number: 2, ends_s, called_us: at_us }], ..tick(1) }).await;
    assert!(!is_past(1).await, "its call's second is over, and it goes on");
    assert_eq!(stand.numbers(&[person(1)]).await, [2]);
    let again = stand.store.restore(&stand.room, &Roll::default()).await.expect("a roll");
    let length_s = again.settings.map_or(0, |settings| settings.limits.session_duration_s);
    assert!(!is_past(length_s - 11).await);
    assert!(is_past(length_s - 10).await);
}

/// How many persons the cost is measured with; VESTIBULE_TEST_PERSONS sets another number.
const MEASURED: usize = 131_072;

#[tokio::test]
async fn a_person_costs_redis_few_bytes() {
    let server = RedisServer::start(&[]);
    let store = RedisLine::connect(&server.url(), Duration::from_secs(10)).await.expect("the server runs");
    let count = std::env::var("VESTIBULE_TEST_PERSONS").ok().and_then(|text| text.parse().ok()).unwrap_or(MEASURED);
    let mut connection = server.connection();
    let mut used = || {
        let info: String = ::redis::cmd("INFO").arg("memory").query(&mut connection).expect("an answer");
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("the figure");
        line.trim().parse::<usize>().expect("a number")
    };
    let (room, before) = (fresh_room(), used());
    store.steer(&room, &Steering::Configure(limits(0.0, 1))).await.expect("a room");
    let arrivals: Vec<Arrival> = (0..count as u128).map(person).collect();
    let begun = tokio::time::Instant::now();
    for arrivals in arrivals.chunks(1_000) {
        store.claim(&room, arrivals, Known::default()).await.expect("a claim");
    }
    let first = begun.elapsed();
    for arrivals in arrivals.chunks(1_000) {
        let claimed = store.claim(&room, arrivals, Known::default()).await.expect("a claim").expect("nothing is lost");
        assert_eq!(claimed.joined.count, 0, "everyone is known");
    }
    let stats: String = ::redis::cmd("INFO").arg("commandstats").query(&mut server.connection()).expect("an answer");
    let evals = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:")).expect("the figure");
    let usec = evals.split(',').find_map(|part| part.strip_prefix("usec=")).expect("the time");
    let us = usec.parse::<f64>().expect("a number") / (2 * count) as f64;
    let bytes = (used() - before) as f64 / count as f64;
    println!(
        "{count} persons: {bytes:.1} bytes each, {us:.2} us of Redis a claim; claimed in {first:?}, and again in {:?}",
        begun.elapsed() - first
    );
    assert!(bytes < 48.0, "{bytes} bytes a person");
}
