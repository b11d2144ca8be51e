//! How often programs that poll are told to ask.

use vestibule::clock::Clock;
use vestibule::line::embedded::Embedded;
use vestibule::room::Room;
use vestibule::status::{State, Status};
use vestibule::ticker;

use super::crew::room_on;
use super::{START_MS, fresh_room, limits};

/// When somebody with so many ahead, all of them here, is to ask again.
fn asks_again(room: &Room, state: State, ahead: Option<u64>) -> u64 {
    let status = Status::of_nobody(room, state);
    Status { ahead, waiting: 1_000_000, ..status }.for_a_poll(room).next_update_seconds
}

#[tokio::test]
async fn where_very_many_poll_each_asks_less_often_and_still_in_time() {
    let clock = Clock::manual(START_MS);
    let room = room_on(Embedded::open(None, clock.clone()).unwrap(), &fresh_room(), clock);
    ticker::tick(&room).await;
    room.configure(limits(1_000.0, 200)).await.unwrap();
    ticker::tick(&room).await;
    room.set_present(1_000_000);
    assert_eq!(asks_again(&room, State::Waiting, Some(900_000)), 2);
    (1..=160_000).for_each(|number| room.presence.poll((1, number), 0, 1_000));
    for (state, ahead, expected) in [
        (State::Waiting, Some(900_000), 9),
        (State::Waiting, Some(8_200), 5),
        (State::Waiting, Some(150), 2),
        (State::Paused, Some(150), 2),
        (State::SoldOut, Some(4_200), 3),
        (State::PreQueue, None, 9),
        (State::Called, None, 2),
    ] {
        assert_eq!(asks_again(&room, state, ahead), expected, "{state:?} {ahead:?}");
    }
    room.set_present(10_000);
    assert_eq!(asks_again(&room, State::Waiting, Some(150_000)), 2, "nearly all of them are away");
    room.set_present(1_000_000);
    (1..=600_000).for_each(|number| room.presence.poll((1, number), 0, 1_000));
    assert_eq!(asks_again(&room, State::Waiting, Some(900_000)), 11, "a third of the grace period");
    room.presence.expire(1_001);
    assert_eq!(asks_again(&room, State::Waiting, Some(900_000)), 2, "they have gone");
    let seats: Vec<_> = (1..=60_000).map(|number| room.live.sit(number)).collect();
    let told = [Some(900_000), Some(150)].map(|ahead| asks_again(&room, State::Waiting, ahead));
    assert_eq!(told, [4, 2], "whoever is in front is in time, however many are on live connections");
    drop(seats);
}

#[test]
fn where_nothing_is_known_of_the_line_a_crowd_asks_every_ten_seconds() {
    let clock = Clock::manual(START_MS);
    let room = room_on(Embedded::open(None, clock.clone()).unwrap(), &fresh_room(), clock);
    (1..=300_000).for_each(|number| room.presence.poll((1, number), 0, 1_000));
    assert_eq!(asks_again(&room, State::Waiting, None), 11);
    assert_eq!(asks_again(&room, State::Closed, None), 11);
}

#[tokio::test]
async fn a_newcomer_who_is_told_to_come_later_is_here_until_then() {
    let clock = Clock::manual(START_MS);
    let room = room_on(Embedded::open(None, clock.clone()).unwrap(), &fresh_room(), clock);
    room.expect_newcomer_back((1, 7), 2);
    assert_eq!(room.presence.count(), 0, "whoever is to come back at once counts as here for a moment anyway");
    room.expect_newcomer_back((1, 7), 60);
    room.presence.expire(96_999);
    assert_eq!(room.presence.count(), 1);
    room.presence.expire(97_000);
    assert_eq!(room.presence.count(), 0);
}
