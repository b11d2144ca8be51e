//! Gateways without their listeners, on one store: rooms that tick and take joins as they do in the program, the
//! visitors who hold what they gave, and what must be so after any fault.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vestibule::adaptive::Tolerance;
use vestibule::clock::Clock;
use vestibule::gate::QueueingMethod;
use vestibule::line::redis::{RedisLine, TIMEOUT};
use vestibule::line::{GatewayId, LineStore, Roll, RoomName, Standing};
use vestibule::metrics::Metrics;
use vestibule::room::{JoinFault, Place, Room, RoomRules, Shared};
use vestibule::ticker;
use vestibule::token::{KeyRing, PassVerifier};

use super::limits;
use crate::gateway::stand::eventually;

/// The gateways, and everyone who was given a place.
pub struct Crew {
    pub gateways: Vec<Gateway>,
    holders: Vec<Holder>,
}

/// One gateway's room.
pub struct Gateway {
    pub room: Arc<Room>,
    joining: JoinHandle<()>,
    ticking: Option<(JoinHandle<()>, CancellationToken)>,
}

#[derive(Clone, Copy, Debug)]
struct Holder {
    place: Place,
    was_called: bool,
}

impl Crew {
    /// Starts as many gateways on a store, in a room that lets `rate` a second in.
    pub async fn start(url: &str, room: &RoomName, count: usize, rate: f64) -> Self {
        let mut gateways = Vec::new();
        for _ in 0..count {
            gateways.push(Gateway::start(url, room, rate).await);
        }
        Self { gateways, holders: Vec::new() }
    }

    /// Kills every gateway and starts as many anew, which know nothing.
    pub async fn replace(&mut self, url: &str, room: &RoomName, rate: f64) {
        let count = self.gateways.len();
        self.gateways.clear();
        self.gateways = Self::start(url, room, count, rate).await.gateways;
    }

    /// Gives places at one of the gateways; returns their numbers.
    pub async fn join(&mut self, gateway: usize, count: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(self.try_joining(gateway).await.unwrap_or_else(|fault| panic!("a join: {fault}")));
        }
        numbers
    }

    /// Asks for one place.
    pub async fn try_joining(&mut self, gateway: usize) -> Result<u64, JoinFault> {
        let place = self.gateways[gateway].room.join(None).await?;
        self.holders.push(Holder { place, was_called: place.ends_s.is_some() });
        Ok(place.number)
    }

    /// Everyone's page asks for its status, at every gateway.
    pub fn ask(&self) {
        for room in self.gateways.iter().map(|gateway| &gateway.room) {
            let steady_ms = room.shared.clock.steady_ms();
            for Holder { place, .. } in &self.holders {
                let standing = standing(room, place);
                room.take_back(place.number, standing);
                if !matches!(standing, Standing::Called { .. } | Standing::Over) {
                    room.presence.poll((place.epoch, place.number), steady_ms, 5_000);
                }
            }
        }
    }

    /// Waits until every gateway has heard of all that was done.
    pub async fn in_step(&self) {
        eventually("the mirrors agree", async || self.agreed()).await;
    }

    /// Waits until all is as it should be: the store answers, joins succeed, and everyone has the place that they
    /// had. Says how long that took.
    pub async fn heal(&mut self, fault: &str) {
        let begun = Instant::now();
        let joined = eventually("a join", async || self.gateways[0].room.join(None).await.ok()).await;
        println!("{fault}: a join after {:?}", begun.elapsed());
        self.holders.push(Holder { place: joined, was_called: joined.ends_s.is_some() });
        self.come_back(fault).await;
    }

    /// Waits until everyone has the place that they had.
    pub async fn come_back(&mut self, fault: &str) {
        let begun = Instant::now();
        eventually("everyone's place", async || {
            self.ask();
            (self.is_up() && self.strangers().is_empty()).then_some(())
        })
        .await;
        println!("{fault}: every place after {:?}", begun.elapsed());
        self.check().await;
    }

    /// Stops a gateway's ticker, so that it hears and tells nothing.
    pub async fn silence(&mut self, gateway: usize) {
        if let Some((ticking, stop)) = self.gateways[gateway].ticking.take() {
            stop.cancel();
            ticking.await.expect("it stops");
        }
    }

    /// Lets it tick again.
    pub fn wake(&mut self, gateway: usize) {
        let gateway = &mut self.gateways[gateway];
        gateway.ticking = Some(tick(&gateway.room));
    }

    /// What must be so at any time: no number has two holders, all gateways see the same line, everyone who was
    /// called stays called, with one session each, and nobody is called before a lower number.
    pub async fn check(&mut self) {
        let numbers: BTreeSet<u64> = self.holders.iter().map(|holder| holder.place.number).collect();
        assert_eq!(numbers.len(), self.holders.len(), "a number has two holders");
        let rolls = eventually("the mirrors agree", async || self.agreed()).await;
        let roll = &rolls[0];
        for other in &rolls[1..] {
            assert_eq!((&other.waiting, &other.called, &other.over), (&roll.waiting, &roll.called, &roll.over));
        }
        for holder in &mut self.holders {
            let is_called = matches!(of(roll, &holder.place), Standing::Called { .. });
            assert!(is_called || !holder.was_called, "{holder:?} is called no more");
            holder.was_called = is_called;
        }
        let waiting = self.holders.iter().filter(|holder| !holder.was_called).map(|holder| holder.place.number).min();
        let last_called = self.called().into_iter().max();
        assert!(waiting.is_none() || last_called < waiting, "{last_called:?} was called before {waiting:?}");
        assert_eq!(roll.active(0), roll.called.count(), "a slot for each who was called, and no more");
    }

    /// Who has been called, of those who hold a place.
    pub fn called(&self) -> Vec<u64> {
        self.holders.iter().filter(|holder| holder.was_called).map(|holder| holder.place.number).collect()
    }

    /// Forgets those who hold these numbers: they were told to join anew.
    pub fn dismiss(&mut self, numbers: &[u64]) {
        self.holders.retain(|holder| !numbers.contains(&holder.place.number));
    }

    /// The line as all gateways see it, if they do.
    fn agreed(&self) -> Option<Vec<Roll>> {
        let rolls: Vec<Roll> = self.gateways.iter().map(|gateway| gateway.room.mirror.read(Roll::clone)).collect();
        let known = rolls[0].known();
        (self.is_up() && rolls.iter().all(|roll| roll.known() == known)).then_some(rolls)
    }

    fn is_up(&self) -> bool {
        self.gateways.iter().all(|gateway| gateway.room.store_is_up())
    }

    /// Those whom some gateway does not know, or not yet.
    fn strangers(&self) -> Vec<Place> {
        let is_known = |place: &Place| {
            let rooms = self.gateways.iter().map(|gateway| &gateway.room);
            rooms
                .map(|room| standing(room, place))
                .all(|s| matches!(s, Standing::Waiting { .. } | Standing::Called { .. }))
        };
        self.holders.iter().map(|holder| holder.place).filter(|place| !is_known(place)).collect()
    }
}

impl Gateway {
    async fn start(url: &str, name: &RoomName, rate: f64) -> Self {
        let store = RedisLine::connect(url, TIMEOUT).await.unwrap_or_else(|fault| panic!("{fault}"));
        let room = Arc::new(room_on(store, name, Clock::system()));
        ticker::tick(&room).await;
        room.configure(limits(rate, 1)).await.expect("a room");
        ticker::tick(&room).await;
        let joining = tokio::spawn({
            let room = Arc::clone(&room);
            async move { room.run_joining().await }
        });
        Self { ticking: Some(tick(&room)), room, joining }
    }
}

/// A room as a gateway has it that has just started.
pub fn room_on(store: impl LineStore + 'static, name: &RoomName, clock: Clock) -> Room {
    let rules = RoomRules {
        name: name.clone(),
        title: String::new(),
        method: QueueingMethod::Fifo,
        public_value: None,
        person: None,
        work: None,
        tolerance: Tolerance::default(),
        max_waiting: 10_000,
        queueing_status: 200,
        updates_per_second: 20_000,
        items: Vec::new(),
        item: None,
    };
    let shared = Shared {
        clock,
        store: Arc::new(store),
        metrics: Metrics::new(),
        ring: Arc::new(ArcSwap::from_pointee(KeyRing::generate(0, &mut rand::rng()))),
        verifier: Arc::new(PassVerifier::new("vestibule", 10)),
        gateway: GatewayId(rand::random()),
    };
    Room::new(rules, shared)
}

impl Drop for Gateway {
    /// As a process that is killed.
    fn drop(&mut self) {
        self.joining.abort();
        if let Some((ticking, _)) = &self.ticking {
            ticking.abort();
        }
    }
}

fn tick(room: &Arc<Room>) -> (JoinHandle<()>, CancellationToken) {
    let stop = CancellationToken::new();
    (tokio::spawn(ticker::run(Arc::clone(room), stop.clone())), stop)
}

/// Where a place stands at a gateway.
pub fn standing(room: &Room, place: &Place) -> Standing {
    room.mirror.read(|roll| of(roll, place))
}

fn of(roll: &Roll, place: &Place) -> Standing {
    let now_s = Clock::system().now_ms() / 1_000;
    roll.standing(place.epoch, place.number, now_s)
}

/// The time that a test gives to what must not happen meanwhile.
pub const MOMENT: Duration = Duration::from_millis(300);
