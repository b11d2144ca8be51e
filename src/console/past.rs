//! The last minutes of each room, so that a console that is opened in the middle of a sale shows what was before.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::Console;
use super::views::{Shares, UpstreamView, no_room};
use crate::admission::Limits;
use crate::room::Room;

/// How often each room is looked at.
const EVERY: Duration = Duration::from_secs(2);

/// How many looks are kept of a room: those of five minutes, some 25 KB.
const KEPT: usize = 150;

/// What was seen of the rooms of one gateway, the oldest first. Lives as long as the process.
#[derive(Debug, Default)]
pub struct Past(Mutex<HashMap<String, VecDeque<Sample>>>);

/// A room at one moment, under the names that its view has.
#[derive(Clone, Debug, Serialize)]
struct Sample {
    as_of: u64,
    waiting: u64,
    present: u64,
    active_sessions: u64,
    total_active_users: Option<u64>,
    called: u64,
    left: u64,
    lapsed: u64,
    admissions_per_second_now: Option<f64>,
    arrivals_per_second: Option<f64>,
    admitted_per_second: Option<f64>,
    waited_seconds: Option<Shares>,
    upstream: UpstreamView,
}

impl Sample {
    fn of(room: &Room) -> Self {
        let (steady_s, line_now_s) = (room.shared.clock.steady_s(), room.line_now().latest_s());
        room.mirror.read(|roll| {
            let limits = roll.limits();
            Self {
                as_of: room.shared.clock.now_ms(),
                waiting: roll.waiting.count(),
                present: room.present(),
                active_sessions: roll.active(line_now_s),
                total_active_users: limits.as_ref().and_then(|limits| limits.total_active_users),
                called: roll.tally.called,
                left: roll.tally.left,
                lapsed: roll.tally.lapsed,
                admissions_per_second_now: limits.as_ref().and_then(Limits::admissions_per_second),
                arrivals_per_second: room.mirror.pace(|pace| pace.came_per_second(line_now_s)),
                admitted_per_second: room.mirror.pace(|pace| pace.called_per_second(line_now_s)),
                waited_seconds: Shares::of(&room.waits, steady_s),
                upstream: UpstreamView::of(&room.pacing.sample()),
            }
        })
    }
}

impl Past {
    fn note(&self, room: &Room) {
        let sample = Sample::of(room);
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = rooms.entry(room.rules.name.to_string()).or_default();
        samples.push_back(sample);
        if samples.len() > KEPT {
            samples.pop_front();
        }
    }

    fn of(&self, room: &str) -> Vec<Sample> {
        let rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.get(room).map(|samples| samples.iter().cloned().collect()).unwrap_or_default()
    }
}

impl Console {
    /// Looks at every room, every two seconds, and remembers the last five minutes.
    pub async fn remember(self: Arc<Self>) {
        let mut beat = interval(EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            for room in &self.rooms {
                self.past.note(room);
                tokio::task::yield_now().await;
            }
        }
    }
}

pub(super) async fn past(State(console): State<Arc<Console>>, Path(name): Path<String>) -> Response {
    match console.find(&name) {
        Some(_) => Json(json!({"samples": console.past.of(&name)})).into_response(),
        None => no_room(&name),
    }
}
