//! Seats as people name them: `B2-14` in a coach, `7` for a ticket.

use serde::Serialize;

use crate::domain::coach::{Place, Plan};
use crate::domain::hold::Line;
use crate::domain::inventory::InventoryId;
use crate::domain::money::Paise;
use crate::domain::seat::{MOST_NUMBERS, Numbering, SeatNumber};
use crate::service::Service;
use crate::service::seating::SeatMap;

/// Returns the label of a seat in a coach.
pub(super) fn label(row: InventoryId, seat: SeatNumber) -> String {
    Plan::of(row.class).map_or_else(|| seat.to_string(), |plan| plan.label(seat))
}

/// Returns the labels of seats in coaches.
pub(super) fn labels(row: InventoryId, seats: &[SeatNumber]) -> Vec<String> {
    seats.iter().map(|&seat| label(row, seat)).collect()
}

/// Reads the label of a seat in a coach. Whether the row has so many seats is for the service to say.
pub(super) fn read(row: InventoryId, label: &str) -> Option<SeatNumber> {
    Plan::of(row.class)?.seat(label, MOST_NUMBERS)
}

/// What a hold or booking has of one row.
#[derive(Debug, Serialize)]
pub struct ItemView {
    inventory: InventoryId,
    quantity: u32,
    amount_paise: Paise,
    /// The labels of its seats or the numbers of its tickets; `null` where there are none.
    seats: Option<Vec<String>>,
}

impl ItemView {
    pub(super) fn of(service: &Service, lines: &[Line]) -> Vec<Self> {
        let held = lines.iter().filter(|line| line.quantity > 0);
        held.map(|line| Self::new(service.numbering(line.inventory), line)).collect()
    }

    pub(super) fn new(numbering: Numbering, line: &Line) -> Self {
        let named = || match numbering {
            Numbering::Tickets => line.seats.iter().map(SeatNumber::to_string).collect(),
            _ => labels(line.inventory, &line.seats),
        };
        Self {
            inventory: line.inventory,
            quantity: line.quantity,
            amount_paise: line.amount,
            seats: (!line.seats.is_empty()).then(named),
        }
    }
}

/// Which seats of a row are free, coach by coach.
#[derive(Debug, Serialize)]
pub struct SeatMapView {
    /// The seats of one bay in the order of their numbers; every coach repeats it.
    bay: &'static [Place],
    coaches: Vec<CoachView>,
}

/// One coach.
#[derive(Debug, Serialize)]
struct CoachView {
    coach: String,
    /// One character for each seat, from seat 1: `1` free, `0` taken.
    free: String,
}

impl SeatMapView {
    pub(super) fn new(map: &SeatMap) -> Self {
        let coach = |coach: u32| CoachView {
            coach: map.plan.coach_name(coach + 1),
            free: (coach * map.plan.seats + 1..=((coach + 1) * map.plan.seats).min(map.capacity))
                .map(|number| if map.free.has(SeatNumber::new(number)) { '1' } else { '0' })
                .collect(),
        };
        Self { bay: map.plan.bay, coaches: (0..map.plan.coaches(map.capacity)).map(coach).collect() }
    }
}
