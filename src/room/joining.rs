//! Joining: all who arrive while the last call to the store is in flight share the next one. Where one person holds
//! one place, whoever has one already gets that.

use std::pin::pin;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;
use tracing::{Instrument as _, Span};

use super::{Room, STORE_TIMEOUT, timed};
use crate::line::{Arrival, CLAIM_LIMIT, Epoch, JOIN_LIMIT, Joined, Known, Number, PersonId, Standing, StoreFault};
use crate::telemetry;

/// How many may wait for a number; beyond it a visitor is asked to try again.
const DOOR_CAP: usize = 65_536;

/// How many ticks are waited for where the store has lost the room: one may be under way already, the next
/// restores.
const RESTORING_TICKS: usize = 3;

/// A place in line, just given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The epoch of the number.
    pub epoch: Epoch,
    /// The number.
    pub number: Number,
    /// When the session ends, in seconds since the Unix epoch, for someone who was called at once.
    pub ends_s: Option<u64>,
}

/// Says why no place was given. All of these pass.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum JoinFault {
    /// More people are at the door than can be held.
    #[error("too many are joining at this moment")]
    Overloaded,
    /// The store gave no number.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
}

/// Somebody at the door, and where the answer goes.
#[derive(Debug)]
struct Guest {
    person: Option<PersonId>,
    answer: oneshot::Sender<Result<Place, StoreFault>>,
    /// Of the wait for an answer.
    span: Span,
}

/// The door of one room.
#[derive(Debug)]
pub struct Joining {
    door: mpsc::Sender<Guest>,
    arrivals: Mutex<mpsc::Receiver<Guest>>,
}

impl Joining {
    pub(super) fn new() -> Self {
        let (door, arrivals) = mpsc::channel(DOOR_CAP);
        Self { door, arrivals: Mutex::new(arrivals) }
    }

    pub(super) async fn join(&self, person: Option<PersonId>) -> Result<Place, JoinFault> {
        let (answer, place) = oneshot::channel();
        let span = telemetry::door();
        self.door.try_send(Guest { person, answer, span }).map_err(|_| JoinFault::Overloaded)?;
        Ok(place.await.map_err(|_| JoinFault::Stopping)??)
    }

    pub(super) async fn run(&self, room: &Room) {
        let mut arrivals = self.arrivals.lock().await;
        let mut batch = Vec::new();
        let most = if room.rules.person.is_some() { CLAIM_LIMIT } else { JOIN_LIMIT as usize };
        while arrivals.recv_many(&mut batch, most).await > 0 {
            batch.retain(|guest| !guest.answer.is_closed());
            if !batch.is_empty() {
                let guests = batch.iter().map(|guest| &guest.span);
                let span = telemetry::together(guests, |first| telemetry::joining(first, batch.len()));
                serve(room, &mut batch).instrument(span).await;
            }
        }
    }
}

async fn serve(room: &Room, batch: &mut Vec<Guest>) {
    let is_known = |guest: &Guest| guest.person.is_some();
    let places = if batch.iter().any(is_known) { claim(room, batch).await } else { join(room, batch.len()).await };
    match places {
        Ok(places) => {
            let steady_ms = room.shared.clock.steady_ms();
            for (guest, place) in batch.drain(..).zip(places) {
                // Whoever went away meanwhile lapses, as anyone who does not come back.
                let _ = guest.answer.send(Ok(place));
                if place.ends_s.is_none() {
                    room.presence.poll((place.epoch, place.number), steady_ms, ARRIVAL_LEASE_MS);
                }
            }
        }
        Err(fault) => {
            room.set_store_up(false);
            batch.drain(..).for_each(|guest| drop(guest.answer.send(Err(fault.clone()))));
        }
    }
}

async fn join(room: &Room, count: usize) -> Result<Vec<Place>, StoreFault> {
    let ask = || {
        let known = room.mirror.known();
        let call = room.shared.store.join(&room.rules.name, count as u64);
        async move { unless_given_before(timed(&room.shared.metrics, "join", call).await?, known) }
    };
    let joined = until_restored(room, ask).await?;
    room.mirror.note(&joined);
    Ok(places(joined).collect())
}

/// Gives persons the places they have. The store does not look when a session runs out; this gateway knows, and then
/// asks again.
async fn claim(room: &Room, guests: &[Guest]) -> Result<Vec<Place>, StoreFault> {
    let arrival = |guest: &Guest| match guest.person {
        Some(id) => Arrival::Person { id, over: None },
        None => Arrival::Anybody,
    };
    let mut places = claim_once(room, &guests.iter().map(arrival).collect::<Vec<_>>()).await?;
    let again: Vec<(usize, Arrival)> = over(room, guests, &places);
    if !again.is_empty() {
        let arrivals: Vec<Arrival> = again.iter().map(|(_, arrival)| *arrival).collect();
        for ((i, _), place) in again.into_iter().zip(claim_once(room, &arrivals).await?) {
            places[i] = place;
        }
    }
    Ok(places)
}

async fn claim_once(room: &Room, arrivals: &[Arrival]) -> Result<Vec<Place>, StoreFault> {
    let shared = &room.shared;
    let ask = || {
        let call = shared.store.claim(&room.rules.name, arrivals, room.mirror.known());
        async move { timed(&shared.metrics, "claim", call).await?.ok_or(StoreFault::NotMade) }
    };
    let claimed = until_restored(room, ask).await?;
    room.mirror.note(&claimed.joined);
    let (now_s, joined) = (room.line_now().latest_s(), claimed.joined);
    let admitted = joined.first..joined.first + joined.admitted;
    let ends_s = |epoch, number| match room.mirror.read(|roll| roll.standing(epoch, number, now_s)) {
        _ if admitted.contains(&number) => Some(joined.ends_s),
        Standing::Called { ends_s, .. } => Some(ends_s),
        standing => {
            room.take_back(number, standing);
            None
        }
    };
    let place = |(epoch, number)| Place { epoch, number, ends_s: ends_s(epoch, number) };
    Ok(claimed.numbers.into_iter().map(place).collect())
}

/// Finds the persons who have got a place whose session has surely run out: as long as it may still run, elsewhere a pass
/// of theirs may be good.
fn over(room: &Room, guests: &[Guest], places: &[Place]) -> Vec<(usize, Arrival)> {
    let now_s = room.line_now().earliest_ms / 1_000;
    let over = |(i, (guest, place)): (usize, (&Guest, &Place))| {
        let standing = room.mirror.read(|roll| roll.standing(place.epoch, place.number, now_s));
        let id = guest.person.filter(|_| standing == Standing::Over)?;
        Some((i, Arrival::Person { id, over: Some(place.number) }))
    };
    guests.iter().zip(places).enumerate().filter_map(over).collect()
}

/// Asks the store; where it has lost the room, or some of it, asks again when a tick has restored it.
async fn until_restored<A, F>(room: &Room, ask: impl Fn() -> F) -> Result<A, StoreFault>
where
    F: Future<Output = Result<A, StoreFault>>,
{
    for _ in 0..RESTORING_TICKS {
        match ask().await {
            Err(StoreFault::NotMade) => {}
            answer => return answer,
        }
        let mut ticked = pin!(room.ticked.notified());
        ticked.as_mut().enable();
        room.nudge.notify_one();
        // If nothing ticks, the next attempt tells why.
        let _ = timeout(STORE_TIMEOUT, ticked).await;
    }
    ask().await
}

/// Refuses numbers that were given before, as this gateway `known` it when it asked: the store has lost
/// them. They have holders; the next tick makes good what is lost.
fn unless_given_before(joined: Joined, known: Known) -> Result<Joined, StoreFault> {
    if (joined.epoch, joined.first) > (known.epoch, known.issued) { Ok(joined) } else { Err(StoreFault::NotMade) }
}

/// For how long someone who has just joined counts as here, in milliseconds: time to open the
/// page and connect.
pub(super) const ARRIVAL_LEASE_MS: u64 = 5_000;

fn places(joined: Joined) -> impl Iterator<Item = Place> {
    (0..joined.count).map(move |i| Place {
        epoch: joined.epoch,
        number: joined.first + i,
        ends_s: (i < joined.admitted).then_some(joined.ends_s),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use arc_swap::ArcSwap;
    use async_trait::async_trait;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::admission::Limits;
    use crate::clock::Clock;
    use crate::gate::QueueingMethod;
    use crate::line::embedded::Embedded;
    use crate::line::{Claimed, GatewayId, LineStore, Page, Roll, RoomName, Steering, Tick};
    use crate::metrics::Metrics;
    use crate::room::{RoomRules, Shared};
    use crate::schedule::Schedule;
    use crate::token::{KeyRing, PassVerifier};

    /// The embedded store, behind a gate that lets one join through for each permit.
    struct Gated {
        store: Embedded,
        gate: Semaphore,
        joins: AtomicUsize,
        claims: AtomicUsize,
    }

    #[async_trait]
    impl LineStore for Gated {
        async fn join(&self, room: &RoomName, count: u64) -> Result<Joined, StoreFault> {
            self.joins.fetch_add(1, Ordering::SeqCst);
            self.gate.acquire().await.unwrap().forget();
            self.store.join(room, count).await
        }

        async fn claim(
            &self,
            room: &RoomName,
            arrivals: &[Arrival],
            known: Known,
        ) -> Result<Option<Claimed>, StoreFault> {
            self.claims.fetch_add(1, Ordering::SeqCst);
            self.store.claim(room, arrivals, known).await
        }

        async fn tick(&self, room: &RoomName, tick: &Tick) -> Result<Page, StoreFault> {
            self.store.tick(room, tick).await
        }

        async fn steer(&self, room: &RoomName, steering: &Steering) -> Result<(), StoreFault> {
            self.store.steer(room, steering).await
        }

        async fn restore(&self, room: &RoomName, offered: &Roll) -> Result<Roll, StoreFault> {
            self.store.restore(room, offered).await
        }
    }

    fn room(store: Arc<Gated>) -> Arc<Room> {
        let rules = RoomRules {
            name: RoomName::new("sale").unwrap(),
            title: String::new(),
            method: QueueingMethod::Fifo,
            public_value: None,
            max_waiting: 10_000,
            queueing_status: 200,
            updates_per_second: 20_000,
            items: Vec::new(),
            item: None,
            tolerance: crate::adaptive::Tolerance::default(),
            person: None,
            work: None,
        };
        let shared = Shared {
            clock: Clock::system(),
            store,
            metrics: Metrics::new(),
            ring: Arc::new(ArcSwap::from_pointee(KeyRing::generate(0, &mut rand::rng()))),
            verifier: Arc::new(PassVerifier::new("vestibule", 10)),
            gateway: GatewayId(1),
        };
        Arc::new(Room::new(rules, shared))
    }

    #[tokio::test]
    async fn a_burst_shares_calls_to_the_store() {
        let store = Embedded::open(None, Clock::system()).unwrap();
        let gated =
            Arc::new(Gated { store, gate: Semaphore::new(0), joins: AtomicUsize::new(0), claims: AtomicUsize::new(0) });
        let room = room(Arc::clone(&gated));
        make(&room).await;
        let serving = tokio::spawn({
            let room = Arc::clone(&room);
            async move { room.run_joining().await }
        });
        let mut visitors = tokio::task::JoinSet::new();
        for _ in 0..1_000 {
            let room = Arc::clone(&room);
            visitors.spawn(async move { room.join(None).await.unwrap().number });
        }
        while gated.joins.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        gated.gate.add_permits(1_000);
        let mut numbers = visitors.join_all().await;
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=1_000).collect::<Vec<_>>(), "a number each");
        assert!(gated.joins.load(Ordering::SeqCst) <= 2, "the first alone at most, then all who came meanwhile");
        serving.abort();
    }

    #[tokio::test]
    async fn persons_and_anybody_share_calls_and_a_person_has_one_number() {
        let gated = open_gate();
        let room = room(Arc::clone(&gated));
        make(&room).await;
        let serving = tokio::spawn({
            let room = Arc::clone(&room);
            async move { room.run_joining().await }
        });
        let come = |person: Option<u128>| {
            let room = Arc::clone(&room);
            async move { room.join(person.map(PersonId)).await.unwrap().number }
        };
        let arrivals = [Some(7), None, Some(8), Some(7), None];
        let numbers = futures_util::future::join_all(arrivals.map(come)).await;
        assert_eq!(numbers, [1, 2, 3, 1, 4]);
        assert_eq!((gated.claims.load(Ordering::SeqCst), gated.joins.load(Ordering::SeqCst)), (1, 0));
        serving.abort();
    }

    fn open_gate() -> Arc<Gated> {
        let store = Embedded::open(None, Clock::system()).unwrap();
        Arc::new(Gated { store, gate: Semaphore::new(1_000), joins: AtomicUsize::new(0), claims: AtomicUsize::new(0) })
    }

    async fn make(room: &Room) {
        let limits = Limits {
            interval_us: 1_000_000,
            burst: 1,
            total_active_users: None,
            session_duration_s: 60,
            grace_ms: 60_000,
            schedule: Schedule::ALWAYS,
            floor_interval_us: None,
        };
        room.shared.store.steer(&room.rules.name, &Steering::Configure(limits)).await.unwrap();
    }

    /// Joins while the room ticks as often as it is nudged.
    async fn join_and_tick(room: &Room) -> Result<Place, JoinFault> {
        let tick = async || {
            loop {
                room.nudge.notified().await;
                crate::ticker::tick(room).await;
                room.ticked.notify_waiters();
            }
        };
        tokio::select! {
            place = room.join(None) => place,
            () = room.run_joining() => panic!("the room is open"),
            () = tick() => unreachable!("it goes on"),
        }
    }

    #[tokio::test]
    async fn nobody_is_numbered_before_a_lost_room_is_restored() {
        let old = room(open_gate());
        make(&old).await;
        let first = join_and_tick(&old).await.unwrap();
        crate::ticker::tick(&old).await;

        let emptied = room(open_gate());
        emptied.mirror.replace(old.mirror.read(Roll::clone));
        let place = join_and_tick(&emptied).await.unwrap();
        assert!(place.epoch > first.epoch && place.number > 100_000, "{place:?}");
        let stranger = room(open_gate());
        let refused = join_and_tick(&stranger).await;
        assert_eq!(refused, Err(JoinFault::Store(StoreFault::NotMade)), "nobody has made it");
    }

    #[tokio::test]
    async fn a_number_that_the_store_gave_and_lost_is_not_given_again() {
        let room = room(open_gate());
        make(&room).await;
        let roll = room.shared.store.restore(&room.rules.name, &Roll::default()).await.unwrap();
        let epoch = roll.epoch();
        room.mirror.replace(roll);
        room.mirror.note(&Joined { epoch, first: 1, count: 10, admitted: 0, ends_s: 0, at_us: 0 });
        let place = join_and_tick(&room).await.unwrap();
        assert!(room.mirror.known().epoch > epoch, "what was lost is restored");
        assert!(place.epoch > epoch && place.number > 100_000, "{place:?}");
    }

    #[tokio::test]
    async fn a_join_that_fails_hides_nobody_from_the_next_tick() {
        let room = room(open_gate());
        make(&room).await;
        let place = join_and_tick(&room).await.unwrap();
        crate::ticker::tick(&room).await;
        room.presence.connect((place.epoch, place.number));
        room.set_store_up(false);
        assert!(room.take_tick().here.contains(place.number), "the store has answered the last tick");
        room.put_back(room.take_tick());
        room.note_heard(false);
        assert!(!room.take_tick().all_here, "until it answers again, nobody is gathered");
        crate::ticker::tick(&room).await;
        assert!(room.take_tick().all_here);
    }

    #[test]
    fn numbers_are_given_before_only_in_the_same_epoch_or_an_older() {
        let known = Known { epoch: 5, seq: 9, issued: 20 };
        let is_new = |epoch, first| {
            let joined = Joined { epoch, first, count: 1, admitted: 0, ends_s: 0, at_us: 0 };
            unless_given_before(joined, known).is_ok()
        };
        assert!(is_new(5, 21) && is_new(5, 30) && is_new(6, 1));
        assert!(!is_new(5, 20) && !is_new(5, 1) && !is_new(4, 30));
    }
}
