//! Hands out a new ticket beside the answer, where the one that was shown is getting old.

use hyper::HeaderMap;
use hyper::header::{self, HeaderName};

use super::Pipeline;
use crate::respond::{self, Answer};
use crate::room::Room;
use crate::token::Ticket;
use crate::visitor;

/// A ticket to be shown from now on: a cookie, or a header for those who keep none.
pub(super) struct Renewal {
    name: HeaderName,
    value: String,
}

impl Pipeline {
    /// Renews a ticket that came with these headers, if it is time for that; it goes back the way it came. Scripts of a
    /// page never see it, for a browser shows a cookie.
    pub(super) fn renewal(&self, headers: &HeaderMap, room: &Room, ticket: Option<&Ticket>) -> Option<Renewal> {
        let renewed = room.renewed(ticket?)?;
        Some(match visitor::keeps_no_cookie(headers, room.rules.name.as_str(), self.site.is_tls) {
            true => Renewal { name: visitor::TICKET_HEADER.clone(), value: renewed.seal(&room.shared.ring.load()) },
            false => Renewal { name: header::SET_COOKIE, value: self.ticket_cookie(room, &renewed) },
        })
    }
}

/// Adds a renewed ticket, if there is one.
pub(super) fn with_renewal(mut answer: Answer, renewal: Option<Renewal>) -> Answer {
    if let Some(Renewal { name, value }) = renewal {
        respond::set_secret(&mut answer, name, &value);
    }
    answer
}
