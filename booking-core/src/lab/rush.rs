//! A thousand people and ten seats, at full speed, on as many connections as a pool has; what came of it is read from
//! the tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Refusal;
use super::asking::Asking;
use super::board::micros;
use super::ground::{CONNECTIONS, Ground, Plot, Trouble};
use super::lease::{Leases, Names};
use super::race::read;
use super::step::Step;
use super::way::{Buyer, Ending, Heard, Next, Way};
use crate::clock::Clock;

/// How many people come.
pub const PEOPLE: u32 = 1_000;

/// How many seats there are.
pub const SEATS: u32 = 10;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says what came of a rush.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Holds in the table.
    pub sold: u64,
    /// Holds in the table beyond the seats there are.
    pub oversold: u64,
    /// Seats left, as the row says.
    pub left: i64,
    /// People who were told that there is none.
    pub refused: u32,
    /// People whom Redis turned away before the database was asked.
    pub turned_away: u32,
    /// People who tried as often as one tries, in vain.
    pub gave_up: u32,
    /// People to whom the database reported an error.
    pub failed: u32,
    /// What the database said with one of those errors.
    pub error: Option<String>,
    /// How often somebody had to begin again.
    pub retries: u32,
    /// Transactions that were committed, those of a single statement among them.
    pub commits: u64,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// What one connection has seen.
#[derive(Default)]
struct Tally {
    refused: u32,
    turned_away: u32,
    gave_up: u32,
    failed: u32,
    error: Option<String>,
    retries: u32,
    commits: u64,
}

/// Runs a rush on one way and reads what came of it.
pub(super) async fn run(
    ground: &Ground,
    leases: Option<Leases>,
    way: Way,
    clock: &Arc<dyn Clock>,
) -> Result<Outcome, Refusal> {
    let plot = ground.plot(SEATS).await?;
    let outcome = tokio::time::timeout(PATIENCE, on(&plot, ground, leases, way, clock)).await;
    plot.clear().await;
    outcome.unwrap_or_else(|_| Err(Trouble("it took more than a minute and was given up".to_owned()).into()))
}

async fn on(
    plot: &Plot,
    ground: &Ground,
    leases: Option<Leases>,
    way: Way,
    clock: &Arc<dyn Clock>,
) -> Result<Outcome, Refusal> {
    let names = Names(uuid::Uuid::new_v4().simple().to_string()[..8].to_owned());
    let (next, start) = (Arc::new(AtomicU32::new(0)), Arc::new(Barrier::new(CONNECTIONS + 1)));
    let mut crowd = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let asking = Asking {
            connection: plot.connect().await?,
            leases: leases.clone().filter(|_| way == Way::SeatLock),
            names: names.clone(),
            engine: ground.engine(),
            row: plot.row,
        };
        crowd.spawn(serve(asking, way, Arc::clone(&next), Arc::clone(&start)));
    }
    start.wait().await;
    let began = clock.stopwatch();
    let mut outcome = Outcome::default();
    while let Some(tally) = crowd.join_next().await {
        outcome.add(tally.map_err(|error| Trouble(error.to_string()))?);
    }
    outcome.took_us = micros(clock.stopwatch().saturating_sub(began));
    if let Some(leases) = leases.filter(|_| way == Way::SeatLock) {
        for seat in 1..=SEATS {
            let _ends_by_itself_otherwise = leases.end(&names.key(seat.into())).await;
        }
    }
    let table = read(&mut plot.connect().await?, plot.row).await?;
    outcome.sold = table.holds.len() as u64;
    outcome.oversold = u64::try_from(table.oversold()).unwrap_or_default();
    outcome.left = table.available;
    Ok(outcome)
}

/// Serves one person after the other on one connection, until all have come.
async fn serve(mut asking: Asking, way: Way, next: Arc<AtomicU32>, start: Arc<Barrier>) -> Tally {
    let mut tally = Tally::default();
    start.wait().await;
    loop {
        let person = next.fetch_add(1, Ordering::Relaxed);
        if person >= PEOPLE {
            return tally;
        }
        let wants = i64::from(person % SEATS) + 1;
        let mut buyer = Buyer::new(way, wants, SEATS.into());
        let mut error = None;
        let ending = loop {
            match buyer.next() {
                Next::Over(ending) => break ending,
                Next::Do(step) => {
                    tally.commits += u64::from(step == Step::Commit || (step.writes() && !buyer.inside()));
                    let answer = asking.ask(step, person + 1).await;
                    buyer.hear(&answer.heard);
                    error = Some(answer.words).filter(|_| answer.heard == Heard::Failed).or(error);
                }
            }
        };
        tally.count(ending, buyer.retries());
        tally.error = tally.error.or(error.filter(|_| ending == Ending::Failed));
    }
}

impl Tally {
    const fn count(&mut self, ending: Ending, retries: u32) {
        self.retries += retries;
        match ending {
            Ending::Sold | Ending::Left => {}
            Ending::Refused => self.refused += 1,
            Ending::TurnedAway => self.turned_away += 1,
            Ending::GaveUp => self.gave_up += 1,
            Ending::Failed => self.failed += 1,
        }
    }
}

impl Outcome {
    fn add(&mut self, tally: Tally) {
        self.refused += tally.refused;
        self.turned_away += tally.turned_away;
        self.gave_up += tally.gave_up;
        self.failed += tally.failed;
        self.error = self.error.take().or(tally.error);
        self.retries += tally.retries;
        self.commits += tally.commits;
    }
}
