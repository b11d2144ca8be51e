//! Who needs no place: crawlers, and whoever has used a link past the line.

use hyper::{HeaderMap, Method};

use super::{Asker, Pipeline};
use crate::room::Room;
use crate::token::{BypassLink, Carrier};
use crate::visitor;

impl Pipeline {
    /// Tells whether a request without a pass goes to the room's upstream all the same. A crawler looks, and does
    /// nothing else.
    pub(super) fn is_exempt(&self, i: usize, method: &Method, headers: &HeaderMap, asker: &Asker) -> bool {
        let looks = matches!(*method, Method::GET | Method::HEAD);
        (looks && self.site.crawlers[i].have(asker.address)) || self.has_used_link(headers, &self.site.rooms[i])
    }

    fn has_used_link(&self, headers: &HeaderMap, room: &Room) -> bool {
        let Some(text) = visitor::bypass(headers, self.site.is_tls) else { return false };
        let (ring, now_ms) = (room.shared.ring.load(), room.shared.clock.now_ms());
        let link = BypassLink::open(Carrier::Cookie, text, &ring, now_ms);
        link.is_some_and(|link| link.opens(room.hash))
    }
}
