//! A place in line for whoever may have one.

use hyper::HeaderMap;

use super::{Asker, OWN_PREFIX, Pipeline};
use crate::line::PersonId;
use crate::person;
use crate::proxy::Target;
use crate::respond::{Answer, Refused};
use crate::room::{Place, Room};
use crate::telemetry;
use crate::token::Ticket;

/// Whether a newcomer has shown what the room asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proved {
    Yes,
    No,
}

impl Pipeline {
    /// Gives a place in line, and the end of the session to someone who is let in at once.
    pub(super) async fn place(
        &self,
        room: &Room,
        headers: &HeaderMap,
        target: &Target,
        asker: &Asker,
        proved: Proved,
    ) -> Result<(Ticket, Option<u64>), Answer> {
        let person = self.person(headers, room, asker);
        if let Some(rule) = room.rules.person.as_ref().filter(|rule| rule.required && person.is_none()) {
            let is_own = target.path().starts_with(OWN_PREFIX);
            let link = if is_own { rule.sign_in("/", None) } else { rule.sign_in(target.path(), target.query()) };
            return Err(self.refuse(asker.reads, &Refused::SignIn(link.as_deref())));
        }
        if proved == Proved::No && room.rules.work.is_some() {
            return Err(self.ask_for_proof(room, target, asker));
        }
        if !self.site.join_limit.allows(asker.address) {
            return Err(self.refuse(asker.reads, &Refused::TooManyJoins));
        }
        // A person would come back with the very id that was revoked.
        if person.is_some_and(|person| room.shared.ring.load().revokes_visitor(person::ticket_of(person))) {
            return Err(self.refuse(asker.reads, &Refused::NoPass));
        }
        let joined = room.join(person).await;
        let joined = joined.inspect_err(|fault| telemetry::failed(&asker.span, fault));
        let place = joined.map_err(|fault| self.refuse(asker.reads, &Refused::Join(&fault)))?;
        Ok((ticket_of(room, &place, person), place.ends_s))
    }

    /// Finds the place of a person who comes with another device to a room that gives out none: it is theirs.
    pub(super) async fn held(&self, room: &Room, headers: &HeaderMap, asker: &Asker) -> Option<(Ticket, Option<u64>)> {
        let person = self.person(headers, room, asker).filter(|_| self.site.join_limit.allows(asker.address))?;
        let place = room.find(person).await.ok()??;
        Some((ticket_of(room, &place, Some(person)), place.ends_s))
    }
}

/// Makes the ticket of a place: a person's on every device the very same, but for when it was issued.
fn ticket_of(room: &Room, place: &Place, person: Option<PersonId>) -> Ticket {
    Ticket {
        room: room.hash,
        epoch: place.epoch,
        number: place.number,
        id: person.map_or_else(|| person::ticket_of_anybody(rand::random()), person::ticket_of),
        issued_ms: room.issue_ms(),
    }
}
