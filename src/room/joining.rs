//! Joining: all who arrive while the last call to the store is in flight share the next one.

use tokio::sync::{Mutex, mpsc, oneshot};

use super::{Room, timed};
use crate::line::{Epoch, JOIN_LIMIT, Joined, Number, StoreFault};

/// How many may wait for a number; beyond it a visitor is asked to try again.
const DOOR_CAP: usize = 65_536;

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

type Answer = oneshot::Sender<Result<Place, StoreFault>>;

/// The door of one room.
#[derive(Debug)]
pub struct Joining {
    door: mpsc::Sender<Answer>,
    arrivals: Mutex<mpsc::Receiver<Answer>>,
}

impl Joining {
    pub(super) fn new() -> Self {
        let (door, arrivals) = mpsc::channel(DOOR_CAP);
        Self { door, arrivals: Mutex::new(arrivals) }
    }

    pub(super) async fn join(&self) -> Result<Place, JoinFault> {
        let (answer, place) = oneshot::channel();
        self.door.try_send(answer).map_err(|_| JoinFault::Overloaded)?;
        Ok(place.await.map_err(|_| JoinFault::Stopping)??)
    }

    pub(super) async fn run(&self, room: &Room) {
        let mut arrivals = self.arrivals.lock().await;
        let mut batch = Vec::new();
        while arrivals.recv_many(&mut batch, JOIN_LIMIT as usize).await > 0 {
            batch.retain(|answer| !answer.is_closed());
            if !batch.is_empty() {
                serve(room, &mut batch).await;
            }
        }
    }
}

async fn serve(room: &Room, batch: &mut Vec<Answer>) {
    let shared = &room.shared;
    let call = shared.store.join(&room.rules.name, batch.len() as u64);
    match timed(&shared.metrics, "join", call).await {
        Ok(joined) => {
            room.mirror.note(&joined);
            let now_ms = shared.clock.now_ms();
            for (answer, place) in batch.drain(..).zip(places(joined)) {
                // Whoever went away meanwhile lapses, as anyone who does not come back.
                let _ = answer.send(Ok(place));
                if place.ends_s.is_none() {
                    room.presence.poll(place.number, now_ms, ARRIVAL_LEASE_MS);
                }
            }
        }
        Err(fault) => {
            room.set_store_up(false);
            batch.drain(..).for_each(|answer| drop(answer.send(Err(fault.clone()))));
        }
    }
}

/// For how long someone who has just joined counts as here, in milliseconds: time to open the
/// page and connect.
const ARRIVAL_LEASE_MS: u64 = 5_000;

fn places(joined: Joined) -> impl Iterator<Item = Place> {
    (0..joined.count).map(move |i| Place {
        epoch: joined.epoch,
        number: joined.first + i,
        ends_s: (i < joined.admitted).then_some(joined.ends_s),
    })
}
