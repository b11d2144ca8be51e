//! What a run is like: drawn from its seed before anything happens.

use vestibule::admission::Limits;
use vestibule::schedule::Schedule;

use super::chance::Chance;

/// One second, in microseconds.
pub const SECOND: u64 = 1_000_000;

/// Of so many runs with a draw, one loses what the store knows: a hundred thousand forgotten numbers are then drawn,
/// which takes a second.
const LOSING_DRAWS: u64 = 12;

/// A run's frame. Each kind of fault is left out of about half of the runs, so that some are strict and each
/// meets the others in every combination.
#[derive(Clone, Debug)]
pub struct Plan {
    pub gateways: usize,
    pub visitors: usize,
    /// How long there are faults, in microseconds.
    pub storm_us: u64,
    /// The time between two ticks of a gateway, in microseconds.
    pub beat_us: u64,
    /// What the configuration says.
    pub limits: Limits,
    pub wire: Weather,
    pub trouble: Vec<Trouble>,
    pub steers: bool,
    /// Whether one person holds one place.
    pub knows_persons: bool,
    /// Whether lots are drawn among those who come before the start.
    pub draws: bool,
    /// Whether the next fault may come before the last is healed.
    pub overlaps: bool,
}

/// How the wire between gateways and store behaves, in thousandths of all calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    pub lost_requests: u64,
    pub lost_replies: u64,
    /// Ticks that are cut in the middle.
    pub cut: u64,
    /// Calls that reach the store when nobody waits for them any more.
    pub late: u64,
    /// Answers that are long under way, some for longer than anybody waits.
    pub slow_replies: u64,
    /// The longest way in one direction, in microseconds.
    pub slowest_us: u64,
}

/// What else may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    GatewayCrashes,
    AllGatewaysCrash,
    GatewayPauses,
    GatewayIsCutOff,
    GatewayClockJumps,
    StoreIsAway,
    StoreHangs,
    StoreFailsOver,
    StoreLosesAll,
    /// The store and every gateway: only tickets are left.
    EverythingIsLost,
    StoreClockSteps,
    StoreClockJumps,
    KeysAreRotated,
    UpstreamFails,
}

pub const TROUBLE: [Trouble; 14] = [
    Trouble::GatewayCrashes,
    Trouble::AllGatewaysCrash,
    Trouble::GatewayPauses,
    Trouble::GatewayIsCutOff,
    Trouble::GatewayClockJumps,
    Trouble::StoreIsAway,
    Trouble::StoreHangs,
    Trouble::StoreFailsOver,
    Trouble::StoreLosesAll,
    Trouble::EverythingIsLost,
    Trouble::StoreClockSteps,
    Trouble::StoreClockJumps,
    Trouble::KeysAreRotated,
    Trouble::UpstreamFails,
];

impl Plan {
    pub fn draw(chance: &mut Chance, now_us: u64) -> Self {
        let overlaps = chance.one_in(3);
        let trouble = TROUBLE.into_iter().filter(|trouble| overlaps || *trouble != Trouble::EverythingIsLost);
        let mut trouble: Vec<Trouble> = trouble.filter(|_| chance.one_in(3)).collect();
        let mut limits = limits(chance, now_us);
        let draws = chance.one_in(6);
        if draws {
            limits.schedule = gathering(chance, now_us);
            if !chance.one_in(LOSING_DRAWS) {
                trouble.retain(|trouble| !trouble.begins_an_epoch());
            }
        }
        let crowd = if chance.one_in(16) { 120 } else { 25 };
        Self {
            gateways: chance.between(1, 4) as usize,
            visitors: chance.between(3, crowd) as usize,
            storm_us: chance.between(10, 45) * SECOND,
            beat_us: chance.between(3, 12) * 100_000,
            limits,
            wire: Weather::draw(chance),
            trouble,
            steers: chance.one_in(2),
            knows_persons: chance.one_in(3),
            draws,
            overlaps,
        }
    }
}

impl Trouble {
    /// Tells whether the line begins an epoch for it.
    fn begins_an_epoch(self) -> bool {
        matches!(self, Self::StoreFailsOver | Self::StoreLosesAll | Self::EverythingIsLost)
    }
}

impl Weather {
    /// Nothing is lost, and a call takes a few milliseconds.
    pub fn fair() -> Self {
        Self { slowest_us: 5_000, ..Self::default() }
    }

    fn draw(chance: &mut Chance) -> Self {
        let mut some = |most| if chance.one_in(2) { 0 } else { chance.below(most) };
        let (lost_requests, lost_replies, cut, late, slow_replies) = (some(80), some(80), some(40), some(20), some(30));
        let slowest_us = *chance.pick(&[2_000, 50_000, 900_000]);
        Self { lost_requests, lost_replies, cut, late, slow_replies, slowest_us }
    }
}

/// Draws the instants of a sale that is to open, start and end about now, if it has them.
fn schedule(chance: &mut Chance, now_us: u64) -> Schedule {
    if !chance.one_in(4) {
        return Schedule::ALWAYS;
    }
    let mut instant = |from_s: u64, to_s: u64| {
        let at_ms = now_us / 1_000 + chance.between(from_s * 1_000, to_s * 1_000);
        chance.one_in(2).then_some(at_ms)
    };
    Schedule { opens_ms: instant(0, 8), starts_ms: instant(8, 16), ends_ms: instant(17, 40) }
}

/// Draws the instants of a sale that collects entries first.
fn gathering(chance: &mut Chance, now_us: u64) -> Schedule {
    let at_ms =
        |chance: &mut Chance, from_s: u64, to_s: u64| now_us / 1_000 + chance.between(from_s * 1_000, to_s * 1_000);
    let opens_ms = chance.one_in(2).then(|| at_ms(chance, 0, 5));
    Schedule { opens_ms, starts_ms: Some(at_ms(chance, 6, 14)), ends_ms: None }
}

/// Draws limits under which a run of a minute has something to do.
pub fn limits(chance: &mut Chance, now_us: u64) -> Limits {
    let interval_us = match chance.below(8) {
        0 => 0,
        1 => Limits::interval_us(0.0),
        _ => chance.between(20, 2_000) * 1_000,
    };
    Limits {
        interval_us,
        burst: chance.between(1, 5),
        total_active_users: chance.one_in(2).then(|| chance.between(1, 12)),
        session_duration_s: chance.between(5, 40),
        grace_ms: 30_000,
        schedule: schedule(chance, now_us),
        floor_interval_us: chance.one_in(3).then(|| interval_us * chance.between(2, 8)),
    }
}
