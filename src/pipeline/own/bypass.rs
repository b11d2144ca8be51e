//! Links past the line: used once, they leave a cookie in one browser.

use std::sync::Arc;

use super::super::{Asker, Pipeline, Visit};
use super::{destination, parameter};
use crate::line::{Kind, Mark};
use crate::proxy::Target;
use crate::respond::{self, Answer, Offer, Refused};
use crate::room::{JoinFault, Room};
use crate::token::{BypassLink, Carrier};
use crate::{visitor, websocket};

impl Pipeline {
    /// Asks whether to go past the line here. It uses nothing up: programs look at links that are sent to people.
    pub(super) fn offer_bypass(&self, target: &Target, asker: &Asker) -> Answer {
        match self.bypass_of(target) {
            Some(_) => {
                let form = format!("{}?{}", target.path(), target.query().unwrap_or_default());
                respond::offer(&self.site.pages, asker.reads, Offer::Bypass, &form)
            }
            None => self.refuse(asker.reads, &Refused::BypassOver),
        }
    }

    /// Uses a link: this browser now needs no place in its rooms, and no other browser can use it.
    pub(super) async fn use_bypass(self: Arc<Self>, Visit { request, target, asker }: Visit) -> Answer {
        let (request, target, asker) = (&request, &target, &asker);
        if !websocket::is_same_origin(request, target.host()) {
            return self.refuse(asker.reads, &Refused::Origin);
        }
        let Some((room, link)) = self.bypass_of(target) else {
            return self.refuse(asker.reads, &Refused::BypassOver);
        };
        let mark = Mark::of(Kind::BypassLink, &link.id.0, link.until_ms);
        match room.use_once(&mark).await {
            Ok(true) => self.bypassing(room, &link, target, asker),
            Ok(false) => self.refuse(asker.reads, &Refused::BypassOver),
            Err(fault) => self.refuse(asker.reads, &Refused::Join(&JoinFault::Store(fault))),
        }
    }

    fn bypassing(&self, room: &Room, link: &BypassLink, target: &Target, asker: &Asker) -> Answer {
        let Some(text) = link.seal(Carrier::Cookie, &room.shared.ring.load()) else {
            return self.refuse(asker.reads, &Refused::BypassOver);
        };
        let max_age_s = link.until_ms.saturating_sub(room.shared.clock.now_ms()) / 1_000;
        let mut answer = respond::go_back(&destination(target));
        respond::set_cookie(&mut answer, &visitor::bypass_cookie(self.site.is_tls, &text, max_age_s));
        answer
    }

    /// Finds the link of a request, and the first by name of this site's rooms that it opens: there its use is noted, in
    /// whichever order another gateway has the rooms.
    fn bypass_of(&self, target: &Target) -> Option<(&Room, BypassLink)> {
        let shared = &self.site.rooms.first()?.shared;
        let text = parameter(target, "link")?;
        let link = BypassLink::open(Carrier::Link, text, &shared.ring.load(), shared.clock.now_ms())?;
        let opened = |room: &&std::sync::Arc<Room>| link.opens(room.hash);
        let room = self.site.rooms.iter().filter(opened).min_by_key(|room| room.rules.name.as_str())?;
        Some((room, link))
    }
}
