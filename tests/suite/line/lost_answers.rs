//! A store that does what it is told and whose answers are lost, as those of a server that hung and wakes up to what was
//! asked of it long ago.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use vestibule::clock::Clock;
use vestibule::line::embedded::Embedded;
use vestibule::line::{Arrival, Claimed, Joined, Known, LineStore, Page, Roll, RoomName, Steering, StoreFault, Tick};
use vestibule::room::LEASE_MS;
use vestibule::ticker;

use super::crew::room_on;
use super::{START_MS, fresh_room, limits, tick};

/// A wire to a store; what it answers to a tick can be kept from being heard.
struct Wire {
    store: Embedded,
    is_deaf: Arc<AtomicBool>,
}

#[async_trait]
impl LineStore for Wire {
    async fn join(&self, room: &RoomName, count: u64) -> Result<Joined, StoreFault> {
        self.store.join(room, count).await
    }

    async fn claim(&self, room: &RoomName, arrivals: &[Arrival], known: Known) -> Result<Option<Claimed>, StoreFault> {
        self.store.claim(room, arrivals, known).await
    }

    async fn tick(&self, room: &RoomName, tick: &Tick) -> Result<Page, StoreFault> {
        let answer = self.store.tick(room, tick).await;
        let is_lost = self.is_deaf.load(Ordering::Relaxed);
        if is_lost { Err(StoreFault::Unreachable("the answer is lost".to_owned())) } else { answer }
    }

    async fn steer(&self, room: &RoomName, steering: &Steering) -> Result<(), StoreFault> {
        self.store.steer(room, steering).await
    }

    async fn restore(&self, room: &RoomName, offered: &Roll) -> Result<Roll, StoreFault> {
        self.store.restore(room, offered).await
    }
}

#[tokio::test]
async fn who_is_here_is_said_again_where_it_was_not_heard_that_the_lease_ran_out() {
    let (clock, is_deaf, name) = (Clock::manual(START_MS), Arc::new(AtomicBool::new(false)), fresh_room());
    let store = Embedded::open(None, clock.clone()).expect("a store");
    let room = room_on(Wire { store, is_deaf: Arc::clone(&is_deaf) }, &name, clock.clone());
    ticker::tick(&room).await;
    room.configure(limits(0.0, 1)).await.expect("a room");
    room.shared.store.join(&name, 3).await.expect("places");
    let epoch = room.mirror.known().epoch;
    (1..=3).for_each(|number| room.presence.connect((epoch, number)));
    ticker::tick(&room).await;
    assert_eq!(room.present(), 3);
    clock.advance_ms(LEASE_MS + 1);
    // Another gateway comes first, sees that the lease has run out, and so a muster begins, which it has answered.
    let (other, store) = (Tick { known: room.mirror.known(), ..tick(2) }, &room.shared.store);
    store.tick(&name, &Tick { all_here: true, ..other.clone() }).await.expect("a tick");
    is_deaf.store(true, Ordering::Relaxed);
    ticker::tick(&room).await;
    assert!(!room.store_is_up(), "nothing was heard");
    is_deaf.store(false, Ordering::Relaxed);
    // For as long as the muster may last; then whoever was not named in it is away.
    for _ in 0..10 {
        clock.advance_ms(1_000);
        store.tick(&name, &other).await.expect("a tick");
        ticker::tick(&room).await;
    }
    assert_eq!(room.present(), 3, "they have stayed on their live connections all the time");
}
