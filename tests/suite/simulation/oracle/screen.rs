//! (L4): what one visitor's screen shows of the place in line.

use std::collections::BTreeMap;

use vestibule::line::{Epoch, Number};
use vestibule::room::Room;
use vestibule::status::Status;
use vestibule::token::Ticket;

/// What somebody in line is told, and by which gateway.
pub struct Told<'a> {
    /// The gateway's index, the same in all its lives.
    pub gateway: usize,
    pub room: &'a Room,
    pub ticket: &'a Ticket,
    pub status: &'a Status,
}

/// What a visitor was told last, by each gateway that told something.
#[derive(Clone, Debug, Default)]
pub struct Screen {
    number: Number,
    told: BTreeMap<usize, Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    life: u64,
    epoch: Epoch,
    position: u64,
}

impl Screen {
    /// Takes in a position: on one gateway none ever rises, whatever is lost and whoever returns; nor on one that has
    /// started again in the same epoch. (Of two gateways one may be a tick behind; the page shows the lower of what
    /// they say.)
    pub fn show(&mut self, told: &Told<'_>, position: u64) -> Result<(), String> {
        let number = told.ticket.number;
        if self.number != number {
            *self = Self { number, told: BTreeMap::new() };
        }
        let now = Place { life: told.room.shared.gateway.0, epoch: told.room.mirror.known().epoch, position };
        match self.told.insert(told.gateway, now) {
            Some(before) if before.is_kept_by(&now) && before.position < position => {
                Err(format!("(L4) {number} moved from {} to {position}", before.position))
            }
            _ => Ok(()),
        }
    }
}

impl Place {
    fn is_kept_by(&self, later: &Self) -> bool {
        self.life == later.life || self.epoch == later.epoch
    }
}
