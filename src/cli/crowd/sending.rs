//! Sends visitors at their time and gathers their notes.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::args::CrowdArgs;
use super::carriers::Carriers;
use super::curve::{CurveError, Share};
use super::notes::Note;
use super::plan::Plan;
use super::tally::Tally;
use super::target::{Target, TargetError};
use super::visitor::{self, Scene};
use crate::clock::Clock;

/// How long a visit may take to end once it was told to.
const FAREWELL: Duration = Duration::from_secs(5);

/// What those who set out have to know, all of them or a troop.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct March {
    /// What the command was given.
    pub args: CrowdArgs,
    /// The room's name.
    pub room: String,
    /// What is bought, if anything.
    pub inventory: Option<String>,
    /// The seed.
    pub seed: u64,
    /// Tells this run's idempotency keys from any other's.
    pub run: String,
    /// When the arrivals begin, in microseconds since the Unix epoch.
    pub starts_us: u64,
    /// Which troop this is, from 0.
    pub troop: u64,
    /// How many there are.
    pub troops: u64,
}

impl March {
    /// Throws the plans of this troop's visitors.
    ///
    /// # Errors
    /// When the curve cannot be followed.
    pub fn plans(&self) -> Result<impl Iterator<Item = Plan> + use<>, CurveError> {
        self.args.expected.plans(self.seed, Share { first: self.troop, every: self.troops })
    }

    /// Makes what this troop's visitors share.
    ///
    /// # Errors
    /// When a gateway's name leads nowhere, or to another machine.
    pub async fn scene(&self, clock: &Clock) -> Result<Scene, TargetError> {
        let args = &self.args;
        let started = Instant::now() + Duration::from_micros(self.starts_us.saturating_sub(clock.now_us()));
        let carriers = |all: u32| Arc::new(Carriers::new(all.div_ceil(self.troops as u32)));
        Ok(Scene {
            targets: find_targets(args).await?,
            room: self.room.clone(),
            status_path: format!("/.vestibule/status?room={}", self.room),
            inventory: self.inventory.clone(),
            quantity: args.expected.quantity,
            pages: args.pages.clone(),
            think: Duration::from_secs_f64(args.think),
            visitors: args.expected.visitors,
            run: self.run.clone(),
            through: args.through.map(carriers),
            clock: clock.clone(),
            started,
            started_us: self.starts_us,
            deadline: started + Duration::from_secs_f64(args.lasting.unwrap_or(args.expected.over + 600.0)),
            settling: Duration::from_secs_f64(args.settle),
            stop: CancellationToken::new(),
            tally: Arc::new(Tally::new()),
        })
    }
}

/// Finds the gateways.
///
/// # Errors
/// See [`TargetError`].
pub async fn find_targets(args: &CrowdArgs) -> Result<Vec<Target>, TargetError> {
    let mut targets = Vec::with_capacity(1 + args.gateways.len());
    for url in std::iter::once(&args.url).chain(&args.gateways) {
        targets.push(Target::find(url, args.allowed()).await?);
    }
    Ok(targets)
}

/// Sends everyone at their time and gathers the notes; the tasks live in a set that ends them when it is dropped.
/// Meanwhile `beside` runs, which never returns.
pub async fn send(
    scene: &Arc<Scene>,
    plans: impl Iterator<Item = Plan>,
    beside: impl Future<Output = ()>,
) -> Vec<Note> {
    let mut notes = Vec::new();
    tokio::select! {
        () = live_through(scene, plans, &mut notes) => {}
        () = beside => {}
        () = sleep_until(scene.deadline + FAREWELL) => scene.tally.error("visits_cut_off"),
    }
    notes
}

async fn live_through(scene: &Arc<Scene>, plans: impl Iterator<Item = Plan>, notes: &mut Vec<Note>) {
    let mut visits = JoinSet::new();
    let mut gather = |done: Result<Note, JoinError>| match done {
        Ok(note) => notes.push(note),
        Err(_) => scene.tally.error("visit_failed"),
    };
    for plan in plans {
        let arrives = scene.started + Duration::from_micros(plan.arrives_us);
        let arrival = sleep_until(arrives.min(scene.deadline));
        if scene.stop.run_until_cancelled(arrival).await.is_none() || arrives >= scene.deadline {
            break;
        }
        let scene = Arc::clone(scene);
        visits.spawn(async move { visitor::visit(&scene, plan).await });
        while let Some(done) = visits.try_join_next() {
            gather(done);
        }
    }
    while let Some(done) = visits.join_next().await {
        gather(done);
    }
}
