//! The board of a room: what the gateways tell one another of sales, on Redis just as in the pure machine.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;
use vestibule::clock::Clock;
use vestibule::line::board::{Board, FOR_GOOD_MS, KEYS_CAP, Reading, SHARE_LIMIT, WORD_KEPT_MS, Word};
use vestibule::line::embedded::Embedded;
use vestibule::line::redis::{RedisLine, TIMEOUT};
use vestibule::line::{LineStore, RoomName};

use super::{START_MS, fresh_room};
use crate::redis_server::RedisServer;

async fn redis(clock: &Clock) -> RedisLine {
    let line = RedisLine::connect_with_clock(&RedisServer::shared().url(), TIMEOUT, clock.clone()).await;
    line.expect("the server runs")
}

/// A step: time passes, then somebody says something of a key, or nothing, and somebody else listens.
#[derive(Clone, Debug)]
struct Step {
    after_ms: u64,
    words: Vec<(u8, Said)>,
    /// Whether the listener begins anew, or with another board.
    listens: u8,
}

#[derive(Clone, Copy, Debug)]
struct Said {
    lasts_ms: Option<u64>,
    version: Option<u64>,
    /// How long ago it was said.
    ago_ms: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let span = || prop_oneof![3 => 0..3_000_u64, 2 => 0..2 * WORD_KEPT_MS];
    let said = (prop::option::of(span()), prop::option::of(0..4_u64), prop_oneof![4 => Just(0), 1 => span()])
        .prop_map(|(lasts_ms, version, ago_ms)| Said { lasts_ms, version, ago_ms });
    let words = prop::collection::vec((0..6_u8, said), 0..4);
    (span(), words, 0..8_u8).prop_map(|(after_ms, words, listens)| Step { after_ms, words, listens })
}

fn word(said: Said, now_ms: u64) -> Word {
    let until_ms = match said.lasts_ms {
        Some(0) => 0,
        Some(ms) => now_ms + ms,
        None => FOR_GOOD_MS,
    };
    Word::new(until_ms, said.version, now_ms - said.ago_ms)
}

#[test]
fn the_script_does_what_the_pure_board_does() {
    let runtime = Runtime::new().expect("a runtime");
    let clock = Clock::manual(START_MS);
    let store = runtime.block_on(redis(&clock));
    let heard = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config::with_cases(150));
    let outcome = runner.run(&prop::collection::vec(step(), 1..30), |steps| {
        let (room, mut board, mut known) = (fresh_room(), Board::default(), Reading::default());
        for step in steps {
            clock.advance_ms(step.after_ms);
            let told: Vec<(String, Word)> =
                step.words.iter().map(|(key, said)| (format!("k {key}"), word(*said, clock.now_ms()))).collect();
            match step.listens {
                0 => known = Reading::default(),
                1 => known.began_us += 1,
                _ => {}
            }
            let expected = board.share(&told, known, clock.now_us());
            let answer = runtime.block_on(store.share(&room, &told, known)).expect("an answer");
            prop_assert_eq!(&answer, &expected);
            heard.set(heard.get() + answer.words.len());
            known = answer.reading;
        }
        Ok(())
    });
    outcome.unwrap_or_else(|fault| panic!("{fault}"));
    assert!(heard.get() > 1_000, "{} words", heard.get());
}

async fn tell_too_many(store: &dyn LineStore, room: &RoomName) {
    let word = Word::new(START_MS + 5, None, START_MS);
    let keys: Vec<(String, Word)> = (0..=KEYS_CAP).map(|i| (format!("{i}"), word)).collect();
    let mut heard = 0;
    let mut known = Reading::default();
    for told in keys.chunks(SHARE_LIMIT) {
        let answer = store.share(room, told, known).await.expect("an answer");
        heard += answer.words.len();
        known = answer.reading;
    }
    assert_eq!(heard, KEYS_CAP, "one is too many");
    let first = store.share(room, &[], Reading::default()).await.expect("an answer");
    assert!(first.is_more && first.words.len() == SHARE_LIMIT && first.reading.change == SHARE_LIMIT as u64);
}

#[tokio::test]
async fn a_board_is_bounded_and_forgets_what_is_over() {
    let clock = Clock::manual(START_MS);
    let stores: [Box<dyn LineStore>; 2] =
        [Box::new(redis(&clock).await), Box::new(Embedded::open(None, clock.clone()).expect("in memory"))];
    let room = fresh_room();
    for store in &stores {
        tell_too_many(&**store, &room).await;
    }
    clock.advance_ms(WORD_KEPT_MS);
    for store in &stores {
        let word = ("late".to_owned(), Word::new(FOR_GOOD_MS, None, clock.now_ms()));
        let heard = store.share(&room, std::slice::from_ref(&word), Reading::default()).await.expect("an answer");
        assert_eq!(heard.words, [word], "there is room again");
    }
}

#[tokio::test]
async fn what_is_sold_out_outlives_a_restart_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let (clock, room) = (Clock::manual(START_MS), fresh_room());
    let word = ("x".to_owned(), Word::new(FOR_GOOD_MS, Some(7), START_MS));
    let first = Embedded::open(Some(folder.path()), clock.clone()).expect("a store");
    let told = first.share(&room, std::slice::from_ref(&word), Reading::default()).await.expect("an answer");
    first.keep().expect("space");
    drop(first); // no close: as killed
    let second = Embedded::open(Some(folder.path()), clock).expect("a store");
    let heard = second.share(&room, &[], Reading::default()).await.expect("an answer");
    assert_eq!((heard.words, heard.reading), (vec![word], told.reading));
}
