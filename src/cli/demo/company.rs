//! Some company in the demo's line, so that somebody who is alone at the machine sees it move.
//!
//! They are visitors like any other: they join, are present, are called in their turn, and end
//! their session at once. When enough others wait, no more of them come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::line::{Number, Standing};
use crate::room::{Place, Room};

/// How often the company looks at the line.
const BEAT: Duration = Duration::from_millis(500);

/// How many come at one beat, but for the first.
const AT_ONCE: u64 = 2;

/// The company, until it is stopped.
pub struct Company {
    end: CancellationToken,
    task: JoinHandle<()>,
}

impl Company {
    /// Keeps about `wanted` visitors in the line of the first room.
    #[must_use]
    pub fn start(rooms: &[Arc<Room>], wanted: u64) -> Self {
        let end = CancellationToken::new();
        let (room, until) = (rooms.first().cloned(), end.clone());
        let task = tokio::spawn(async move {
            if let Some(room) = room.filter(|_| wanted > 0) {
                keep(&room, wanted, &until).await;
            }
        });
        Self { end, task }
    }

    /// Takes the company out of the line.
    pub async fn stop(self) {
        self.end.cancel();
        // It ends at its next beat; a panic in it is no reason not to stop.
        let _ = self.task.await;
    }
}

async fn keep(room: &Room, wanted: u64, end: &CancellationToken) {
    let mut members: BTreeMap<Number, Place> = BTreeMap::new();
    let mut beat = tokio::time::interval(BEAT);
    let mut at_once = wanted;
    while end.run_until_cancelled(beat.tick()).await.is_some() {
        members.retain(|_, place| still_waits(room, place));
        for _ in 0..wanting(room, wanted).min(at_once) {
            let Ok(place) = room.join(None).await else { break };
            room.presence.connect((place.epoch, place.number));
            members.insert(place.number, place);
        }
        at_once = AT_ONCE;
    }
    let steady_ms = room.shared.clock.steady_ms();
    for place in members.into_values() {
        room.presence.disconnect((place.epoch, place.number), steady_ms);
        room.leave(place.number);
    }
}

/// Tells how many are wanting in a room that gives places.
fn wanting(room: &Room, wanted: u64) -> u64 {
    room.mirror.read(|roll| match &roll.settings {
        Some(settings) if settings.phase.joins() => wanted.saturating_sub(roll.waiting.count()),
        _ => 0,
    })
}

fn still_waits(room: &Room, place: &Place) -> bool {
    let now_s = room.line_now().latest_s();
    match room.mirror.read(|roll| roll.standing(place.epoch, place.number, now_s)) {
        Standing::Waiting { .. } | Standing::Unseen | Standing::Unheard | Standing::Bygone => return true,
        Standing::Called { ends_s, .. } => room.end_session(place.number, ends_s),
        Standing::Over | Standing::Foreign => {}
    }
    room.presence.disconnect((place.epoch, place.number), room.shared.clock.steady_ms());
    false
}
