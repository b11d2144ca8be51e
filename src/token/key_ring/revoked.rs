//! What counts no more before its time: all tickets and passes of one visitor, all passes of a room up to an
//! instant, or a link past the line.
//!
//! It lies in the key ring, which every gateway has at hand, so that no request asks a store for it.

use std::collections::HashMap;

use super::KeyRingFault;
use crate::token::{LinkId, TicketId};

/// The most visitors, the most rooms, and the most links that are kept.
pub const MAX_REVOKED: usize = 10_000;

/// One thing that counts no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Every ticket and pass with this id.
    Visitor {
        /// The id, as upstreams know it from `Vestibule-Visitor`.
        id: TicketId,
        /// Until when it is remembered, in milliseconds since the Unix epoch: the end of the longest of their lives.
        until_ms: u64,
    },
    /// Every pass of a room that was issued before an instant. Who was called gets a new one.
    Passes {
        /// The room's name.
        room: String,
        /// The instant, in milliseconds since the Unix epoch.
        before_ms: u64,
    },
    /// A link past the line, and the cookie that it left.
    Link {
        /// The link's name.
        id: LinkId,
        /// Until when it is remembered, in milliseconds since the Unix epoch: the end of the longest life of a link.
        until_ms: u64,
    },
}

/// All that counts no more.
#[derive(Clone, Debug, Default)]
pub(super) struct Revoked {
    visitors: HashMap<TicketId, u64>,
    rooms: HashMap<String, u64>,
    links: HashMap<LinkId, u64>,
}

impl Revoked {
    /// Adds one; of two that say the same, the later holds.
    pub(super) fn add(&mut self, revocation: Revocation) -> Result<(), KeyRingFault> {
        let (at, latest) = match revocation {
            Revocation::Visitor { id, until_ms } => (self.visitors.entry(id).or_default(), until_ms),
            Revocation::Passes { room, before_ms } => (self.rooms.entry(room).or_default(), before_ms),
            Revocation::Link { id, until_ms } => (self.links.entry(id).or_default(), until_ms),
        };
        *at = latest.max(*at);
        let most = self.visitors.len().max(self.rooms.len()).max(self.links.len());
        if most > MAX_REVOKED { Err(KeyRingFault::TooManyRevoked) } else { Ok(()) }
    }

    /// Forgets visitors whose tickets and passes have all expired, and links that have.
    pub(super) fn prune(&mut self, now_ms: u64) {
        self.visitors.retain(|_, until_ms| *until_ms >= now_ms);
        self.links.retain(|_, until_ms| *until_ms >= now_ms);
    }

    pub(super) fn has_visitor(&self, id: TicketId) -> bool {
        self.visitors.contains_key(&id)
    }

    pub(super) fn has_link(&self, id: LinkId) -> bool {
        self.links.contains_key(&id)
    }

    /// Tells whether a pass of this room, issued in this second, was revoked.
    pub(super) fn has_pass(&self, room: &str, issued_s: u64) -> bool {
        self.rooms.get(room).is_some_and(|before_ms| issued_s.saturating_mul(1_000) < *before_ms)
    }

    /// Lists everything, in an order that does not change.
    pub(super) fn list(&self) -> Vec<Revocation> {
        let mut visitors: Vec<_> = self.visitors.iter().collect();
        visitors.sort_by_key(|(id, _)| id.0);
        let mut rooms: Vec<_> = self.rooms.iter().collect();
        rooms.sort();
        let visitor = |(id, until_ms): (&TicketId, &u64)| Revocation::Visitor { id: *id, until_ms: *until_ms };
        let passes =
            |(room, before_ms): (&String, &u64)| Revocation::Passes { room: room.clone(), before_ms: *before_ms };
        let mut links: Vec<_> = self.links.iter().collect();
        links.sort();
        let link = |(id, until_ms): (&LinkId, &u64)| Revocation::Link { id: *id, until_ms: *until_ms };
        let of_rooms = rooms.into_iter().map(passes);
        visitors.into_iter().map(visitor).chain(of_rooms).chain(links.into_iter().map(link)).collect()
    }
}
