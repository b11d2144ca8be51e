//! Taking a place along to another device: a link is made where somebody waits, and used once, elsewhere.
//!
//! The other device gets the very same ticket. So there is still one place, one call, one session and one name for the
//! upstream, whatever number of devices looks on; a pass goes on counting beside its ticket only (T3).

use std::sync::Arc;

use hyper::Request;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

use super::super::{Asker, Pipeline, Visit};
use super::{destination, parameter};
use crate::line::{Kind, Mark, Standing};
use crate::proxy::{Target, VisitorBody};
use crate::respond::{self, Answer, Offer, Refused};
use crate::room::{JoinFault, Room};
use crate::token::Ticket;
use crate::token::device_link::{DeviceLink, LINK_LIFETIME_MS};
use crate::{visitor, websocket};

/// All but letters, digits and what a path is made of.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

impl Pipeline {
    /// Makes a link for the bearer of a place.
    pub(super) fn make_link(&self, request: &Request<VisitorBody>, target: &Target, asker: &Asker) -> Answer {
        if !websocket::is_same_origin(request, target.host()) {
            return self.refuse(asker.reads, &Refused::Origin);
        }
        let room = match self.named_room(target, None) {
            Ok(room) => room,
            Err(why) => return self.refuse(asker.reads, &Refused::Nonsense(&why)),
        };
        let Some(ticket) = self.ticket(request.headers(), room, asker).filter(|ticket| self.is_held(room, ticket))
        else {
            return self.refuse(asker.reads, &Refused::NoPass);
        };
        let until_ms = room.shared.clock.now_ms() + LINK_LIFETIME_MS;
        let Some(text) = DeviceLink { ticket, id: rand::random(), until_ms }.seal(&room.shared.ring.load()) else {
            tracing::error!("the key ring has no root; rotate a key with `vestibule keys rotate` to give it one");
            return self.refuse(asker.reads, &Refused::LinkOver);
        };
        let back = visitor::came_from(request.headers(), target.host()).unwrap_or("/");
        let back = utf8_percent_encode(back, RESERVED);
        let path = format!("/.vestibule/continue?room={}&link={text}&to={back}", room.rules.name);
        let link = format!("{}://{}{path}", self.scheme(), target.host());
        let picture = picture(&link);
        respond::show_link(&self.site.pages, asker.reads, &link, &picture, LINK_LIFETIME_MS / 1_000)
    }

    /// Asks whether to continue here. It uses nothing up: programs look at links that are sent to people.
    pub(super) fn offer_link(&self, target: &Target, asker: &Asker) -> Answer {
        match self.link_of(target) {
            Some(_) => {
                let form = format!("{}?{}", target.path(), target.query().unwrap_or_default());
                respond::offer(&self.site.pages, asker.reads, Offer::Continue, &form)
            }
            None => self.refuse(asker.reads, &Refused::LinkOver),
        }
    }

    /// Uses a link: the asker now has its place, and none of its own.
    pub(super) async fn use_link(self: Arc<Self>, Visit { request, target, asker }: Visit) -> Answer {
        let (request, target, asker) = (&request, &target, &asker);
        if !websocket::is_same_origin(request, target.host()) {
            return self.refuse(asker.reads, &Refused::Origin);
        }
        let Some((room, link)) = self.link_of(target) else {
            return self.refuse(asker.reads, &Refused::LinkOver);
        };
        match room.use_once(&Mark::of(Kind::DeviceLink, &link.id, link.until_ms)).await {
            Ok(true) => {}
            Ok(false) => return self.refuse(asker.reads, &Refused::LinkOver),
            Err(fault) => return self.refuse(asker.reads, &Refused::Join(&JoinFault::Store(fault))),
        }
        let own = self.ticket(request.headers(), room, asker);
        if let Some(own) = own.filter(|own| own.number != link.ticket.number && self.is_waiting(room, own)) {
            room.leave(own.number);
        }
        let mut answer = respond::go_back(&destination(target));
        respond::set_cookie(&mut answer, &self.ticket_cookie(room, &link.ticket));
        answer
    }

    fn link_of(&self, target: &Target) -> Option<(&Room, DeviceLink)> {
        let room = self.named_room(target, None).ok()?;
        let now_ms = room.shared.clock.now_ms();
        let link = DeviceLink::open(parameter(target, "link")?, room.hash, &room.shared.ring.load(), now_ms)?;
        self.is_held(room, &link.ticket).then_some((room, link))
    }

    fn is_held(&self, room: &Room, ticket: &Ticket) -> bool {
        self.is_waiting(room, ticket) || matches!(self.standing(room, ticket), Standing::Called { .. })
    }

    fn is_waiting(&self, room: &Room, ticket: &Ticket) -> bool {
        let standing = self.standing(room, ticket);
        matches!(standing, Standing::Waiting { .. } | Standing::Unseen | Standing::Unheard | Standing::Bygone)
    }
}

/// Draws a link as a QR code, an SVG in black on white, which every camera reads; nothing for a link that is too long.
fn picture(link: &str) -> String {
    let code = QrCode::with_error_correction_level(link, EcLevel::L).ok();
    let drawn = code.map(|code| code.render::<svg::Color<'_>>().min_dimensions(200, 200).build());
    let drawn = drawn.unwrap_or_default();
    // What stands before the element is for files of their own.
    drawn.find("<svg").map(|at| drawn[at..].to_owned()).unwrap_or_default()
}
