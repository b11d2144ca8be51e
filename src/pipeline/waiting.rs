//! What somebody in line is told, and how often one address may ask.

use super::{Asker, Pipeline};
use crate::line::Standing;
use crate::respond::{self, Answer, Draft, POLL_AGAIN_S, Reads, Refused};
use crate::room::Room;
use crate::status::Status;
use crate::token::Ticket;

impl Pipeline {
    pub(super) fn wait(&self, room: &Room, ticket: &Ticket, standing: Standing, asker: &Asker) -> Draft {
        room.take_back(ticket.number, standing);
        room.introduce(ticket);
        let status = told(room, ticket, asker.reads);
        room.expect_back((ticket.epoch, ticket.number), status.next_update_seconds);
        respond::wait(&self.site.pages, asker.reads, room, &status, &support_code(ticket))
    }

    /// Shows a place that was just given.
    pub(super) fn show_waiting(&self, room: &Room, ticket: &Ticket, asker: &Asker) -> Answer {
        let status = told(room, ticket, asker.reads);
        room.expect_newcomer_back((ticket.epoch, ticket.number), status.next_update_seconds);
        respond::wait(&self.site.pages, asker.reads, room, &status, &support_code(ticket)).answer()
    }

    /// Counts a poll; tells whether its address has asked more often than it may.
    pub(super) fn polls_too_often(&self, asker: &Asker) -> bool {
        !self.site.poll_limit.allows(asker.address)
    }

    /// Refuses a poll. Whoever sent it is here all the same: nobody is to lose a place to somebody else at the same address.
    pub(super) fn refuse_poll(&self, room: &Room, ticket: Option<&Ticket>) -> Answer {
        if let Some(ticket) = ticket {
            room.expect_back((ticket.epoch, ticket.number), POLL_AGAIN_S);
        }
        self.refuse(Reads::Json, &Refused::TooManyPolls)
    }
}

/// Tells where somebody stands. A page will have a live connection; a program asks again.
fn told(room: &Room, ticket: &Ticket, reads: Reads) -> Status {
    let status = Status::of(room, ticket);
    if reads == Reads::Json { status.for_a_poll(room) } else { status }
}

/// A short text that names a ticket to the operator and gives nothing away.
fn support_code(ticket: &Ticket) -> String {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    let digit = |at: u32| char::from(DIGITS[(ticket.id.0 >> (124 - 4 * at)) as usize & 15]);
    let mut code = String::with_capacity(9);
    code.extend((0..4).map(digit));
    code.push('-');
    code.extend((4..8).map(digit));
    code
}
