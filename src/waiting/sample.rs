//! A status in every state, to see the page by without a sale.

use crate::forecast::Forecast;
use crate::mirror::Seconds;
use crate::status::{DrawStage, State, Status, Stock};

/// The names of the samples.
pub const SAMPLES: [&str; 17] = [
    "waiting",
    "front",
    "pre_queue",
    "gathering",
    "draw",
    "drawing",
    "awaiting_public_value",
    "called",
    "paused",
    "sold_out",
    "full",
    "closed",
    "closed_in_line",
    "lapsed",
    "none",
    "store_down",
    "disconnected",
];

/// For how long whoever is disconnected has heard nothing, in milliseconds.
const SILENT_MS: u64 = 40_000;

/// Makes the sample of a name in a room, as of a moment; `None` for a name that is none of [`SAMPLES`].
#[must_use]
pub fn sample(name: &str, room: &str, now_ms: u64) -> Option<Status> {
    let placed = placed(room, now_ms);
    let nobody = |state| Status { state, stock: None, ..nobody(room, now_ms) };
    let soon = Some(now_ms + 754_000);
    let unplaced = || Status { position: None, ahead: None, eta_seconds: None, forecast: None, ..placed.clone() };
    let in_draw =
        |stage, opens_at| Status { state: State::PreQueue, draw: Some(stage), place: None, opens_at, ..unplaced() };
    Some(match name {
        "waiting" => placed,
        "front" => Status {
            position: Some(1),
            ahead: Some(0),
            eta_seconds: Some(Seconds { low: 0, high: 1 }),
            forecast: Some(Forecast::LikelyEnough),
            ..placed
        },
        "pre_queue" => Status { opens_at: soon, ..nobody(State::PreQueue) },
        "gathering" => Status { state: State::PreQueue, eta_seconds: None, forecast: None, opens_at: soon, ..placed },
        "draw" => in_draw(DrawStage::Open, soon),
        "drawing" => in_draw(DrawStage::Drawing, None),
        "awaiting_public_value" => in_draw(DrawStage::AwaitingPublicValue, None),
        "called" => {
            let (called_at, session_ends_at) = (Some(now_ms), Some(now_ms + 600_000));
            Status { state: State::Called, called_at, session_ends_at, ..unplaced() }
        }
        "paused" => Status { state: State::Paused, eta_seconds: None, ..placed },
        "sold_out" => Status {
            state: State::SoldOut,
            stock: Some(Stock { available: 0 }),
            eta_seconds: None,
            forecast: None,
            ..placed
        },
        "full" => nobody(State::Full),
        "closed" => nobody(State::Closed),
        "closed_in_line" => Status { state: State::Closed, eta_seconds: None, forecast: None, ..placed },
        "lapsed" => nobody(State::Lapsed),
        "none" => nobody(State::None),
        "store_down" => Status { store_up: false, eta_seconds: None, ..placed },
        "disconnected" => Status { as_of: now_ms.saturating_sub(SILENT_MS), ..placed },
        _ => return None,
    })
}

fn placed(room: &str, now_ms: u64) -> Status {
    Status {
        state: State::Waiting,
        number: Some(4_211),
        place: Some(4_211),
        epoch: Some(1),
        position: Some(4_182),
        ahead: Some(4_181),
        eta_seconds: Some(Seconds { low: 70, high: 95 }),
        forecast: Some(Forecast::LikelySoldOut),
        stock: Some(Stock { available: 812 }),
        ..nobody(room, now_ms)
    }
}

fn nobody(room: &str, now_ms: u64) -> Status {
    Status {
        room: room.to_owned(),
        state: State::None,
        number: None,
        place: None,
        epoch: None,
        position: None,
        ahead: None,
        waiting: 90_311,
        eta_seconds: None,
        admissions_per_second: Some(50.0),
        burst: Some(10),
        forecast: None,
        stock: None,
        message: None,
        grace_seconds: Some(300),
        opens_at: None,
        draw: None,
        called_at: None,
        session_ends_at: None,
        as_of: now_ms,
        store_up: true,
        next_update_seconds: 2,
    }
}
