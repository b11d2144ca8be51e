//! The concurrency lab: two people and one seat, statement by statement, on real stores; then a thousand people and ten
//! seats. It teaches by being true: what it shows was read from the stores.
//!
//! Everything here is on ground of its own ([`ground`]) and bounded: so many races at once, so long a wait for a click,
//! one rush at a time. The broken way to sell a seat lives here and nowhere else in the product.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::config::Database;

mod step;

pub mod way;

mod board;

mod connection;

mod sqlite;

mod postgres;

mod ground;

mod lease;

mod asking;

mod person;

mod race;

mod rush;

mod selling;

pub use board::{Line, Order, Standing};
pub use ground::{CONNECTIONS, Trouble};
pub use lease::{BadRedis, Lease};
pub use person::{PATIENCE_S, Pace};
pub use race::{InRedis, RaceView, Table};
pub use rush::{Outcome, PEOPLE, SEATS};
pub use step::Engine;

use ground::Ground;
use lease::Leases;
use race::Race;
use way::Way;

/// How many races may go on at once; each has three connections.
pub const MOST_RACES: usize = 8;

/// Says why the lab does not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// There is no such race, or it was cleared away.
    #[error("there is no such race any more; begin another")]
    NoSuchRace,
    /// As many races go on as may.
    #[error("{MOST_RACES} races are going on, which is as many as there may be; try again in a minute")]
    Full,
    /// Another rush is under way.
    #[error("another rush is under way; try again when it is over")]
    Rushing,
    /// The person waits for a store.
    #[error("this person waits for the database")]
    Waiting,
    /// The person has come to an end.
    #[error("this person has come to an end; begin another race")]
    Over,
    /// The way needs a Redis.
    #[error("this way needs a Redis; set seat_lock.redis, or start the demo with --redis")]
    NoRedis,
    /// There is no lease to end.
    #[error("no lease is part of this race")]
    NoLease,
    /// Redis failed.
    #[error("Redis says: {0}")]
    Redis(String),
    /// The database failed.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

/// Says what the lab can do here.
#[derive(Clone, Debug, Serialize)]
pub struct Equipment {
    /// Which database.
    pub engine: Engine,
    /// Whether there is a Redis.
    pub redis: bool,
    /// Every way.
    pub ways: [Way; 8],
    /// How many come to a rush.
    pub people: u32,
    /// For how many seats.
    pub seats: u32,
    /// On how many connections.
    pub connections: usize,
    /// How long a person waits for a click, in seconds.
    pub patience_s: u64,
}

/// Is the lab.
pub struct Lab {
    ground: Ground,
    leases: Option<Leases>,
    clock: Arc<dyn Clock>,
    races: Mutex<HashMap<String, Arc<Race>>>,
    rushing: Semaphore,
}

impl Lab {
    /// Makes a lab beside a database; nothing is opened before it is used.
    ///
    /// # Errors
    /// When the address of the Redis is malformed.
    pub fn new(database: &Database, redis: Option<&str>, clock: Arc<dyn Clock>) -> Result<Self, BadRedis> {
        Ok(Self {
            ground: Ground::new(database),
            leases: redis.map(Leases::new).transpose()?,
            clock,
            races: Mutex::new(HashMap::new()),
            rushing: Semaphore::new(1),
        })
    }

    /// Tells what can be done here.
    #[must_use]
    pub fn equipment(&self) -> Equipment {
        Equipment {
            engine: self.ground.engine(),
            redis: self.leases.is_some(),
            ways: Way::ALL,
            people: PEOPLE,
            seats: SEATS,
            connections: CONNECTIONS,
            patience_s: PATIENCE_S,
        }
    }

    fn check(&self, way: Way) -> Result<(), Refusal> {
        if way == Way::SeatLock && self.leases.is_none() { Err(Refusal::NoRedis) } else { Ok(()) }
    }

    /// Begins a race of two people for one seat.
    ///
    /// # Errors
    /// [`Refusal::Full`], [`Refusal::NoRedis`], [`Refusal::Trouble`].
    pub async fn begin(&self, way: Way) -> Result<RaceView, Refusal> {
        self.check(way)?;
        self.make_room().await?;
        let race = Arc::new(Race::begin(&self.ground, self.leases.clone(), way, &self.clock).await?);
        let view = race.view().await?;
        self.races().insert(race.id().to_owned(), Arc::clone(&race));
        Ok(view)
    }

    /// Clears away what is over, if there is no room.
    async fn make_room(&self) -> Result<(), Refusal> {
        let over: Vec<Arc<Race>> = {
            let mut races = self.races();
            if races.len() < MOST_RACES {
                return Ok(());
            }
            races.extract_if(|_, race| race.over()).map(|(_, race)| race).collect()
        };
        for race in &over {
            race.close().await;
        }
        if over.is_empty() { Err(Refusal::Full) } else { Ok(()) }
    }

    fn races(&self) -> MutexGuard<'_, HashMap<String, Arc<Race>>> {
        self.races.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn race(&self, id: &str) -> Result<Arc<Race>, Refusal> {
        self.races().get(id).cloned().ok_or(Refusal::NoSuchRace)
    }

    /// Shows a race as it is now.
    ///
    /// # Errors
    /// [`Refusal::NoSuchRace`], [`Refusal::Trouble`].
    pub async fn view(&self, id: &str) -> Result<RaceView, Refusal> {
        self.race(id)?.view().await
    }

    /// Lets one person, 1 or 2, go on.
    ///
    /// # Errors
    /// [`Refusal::NoSuchRace`], [`Refusal::Waiting`], [`Refusal::Over`], [`Refusal::Trouble`].
    pub async fn click(&self, id: &str, person: usize, pace: Pace) -> Result<RaceView, Refusal> {
        let race = self.race(id)?;
        race.click(person.clamp(1, 2) - 1, pace).await?;
        race.view().await
    }

    /// Lets both go on at once, to the end.
    ///
    /// # Errors
    /// As [`Lab::click`].
    pub async fn run(&self, id: &str) -> Result<RaceView, Refusal> {
        let race = self.race(id)?;
        race.run().await?;
        race.view().await
    }

    /// Ends the lease on the seat before its time, which Redis may do to anyone.
    ///
    /// # Errors
    /// [`Refusal::NoSuchRace`], [`Refusal::NoLease`], [`Refusal::Redis`], [`Refusal::Trouble`].
    pub async fn end_lease(&self, id: &str) -> Result<RaceView, Refusal> {
        let race = self.race(id)?;
        race.end_lease().await?;
        race.view().await
    }

    /// Ends a race and removes what it has left; one that is gone already is no fault.
    pub async fn close(&self, id: &str) {
        let race = self.races().remove(id);
        if let Some(race) = race {
            race.close().await;
        }
    }

    /// Sends a thousand people for ten seats.
    ///
    /// # Errors
    /// [`Refusal::Rushing`], [`Refusal::NoRedis`], [`Refusal::Trouble`].
    pub async fn rush(&self, way: Way) -> Result<Outcome, Refusal> {
        self.check(way)?;
        let _one_at_a_time = self.rushing.try_acquire().map_err(|_| Refusal::Rushing)?;
        rush::run(&self.ground, self.leases.clone(), way, &self.clock).await
    }

    /// Sends the thousand to the teller that really sells, on a database of the lab's own.
    ///
    /// # Errors
    /// [`Refusal::Rushing`], [`Refusal::Trouble`].
    pub async fn rush_the_teller(&self) -> Result<Outcome, Refusal> {
        let _one_at_a_time = self.rushing.try_acquire().map_err(|_| Refusal::Rushing)?;
        selling::run(&self.ground, &self.clock).await
    }

    /// Ends every race.
    pub async fn stop(&self) {
        let races: Vec<Arc<Race>> = self.races().drain().map(|(_, race)| race).collect();
        for race in races {
            race.close().await;
        }
    }
}
