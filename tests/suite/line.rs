//! The stores of the line: what each must do, and that they do the same.

mod board;
mod conformance;
mod crew;
mod drawing;
mod healing;
mod lost_answers;
mod model;
mod months;
mod persons;
mod polling;
mod redis_faults;
mod redis_tls;
mod spending;

use std::sync::atomic::{AtomicU64, Ordering};

use vestibule::admission::Limits;
use vestibule::line::{GatewayId, RoomName, Tick};
use vestibule::schedule::Schedule;

/// When the manual clocks of these tests begin, in milliseconds.
const START_MS: u64 = 1_795_000_000_000;

fn limits(rate: f64, burst: u64) -> Limits {
    Limits {
        interval_us: Limits::interval_us(rate),
        burst,
        total_active_users: None,
        session_duration_s: 60,
        grace_ms: 30_000,
        floor_interval_us: None,
        schedule: Schedule::ALWAYS,
    }
}

/// By so much later than any tick that was overtaken.
const LATER: u64 = 1 << 40;

/// A tick that says nothing, later than all before.
fn tick(gateway: u64) -> Tick {
    static SERIAL: AtomicU64 = AtomicU64::new(LATER);
    Tick { serial: SERIAL.fetch_add(1, Ordering::Relaxed), ..Tick::silent(GatewayId(gateway)) }
}

/// A room that no other test of this process uses.
fn fresh_room() -> RoomName {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    RoomName::new(&format!("r{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))).expect("a name")
}
