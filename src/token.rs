//! The two things a visitor carries: a **ticket** (a place in line) and a **pass** (the admission).
//!
//! A ticket is checked on every poll, by us alone, so it carries a symmetric keyed-BLAKE3 tag. A pass is
//! checked by upstreams as well, so it is a JWT with a public key. Both draw their keys from one
//! [`KeyRing`]. Everything here is pure: time and randomness come in as arguments.
//!
//! # Invariants
//!
//! (T1) A forged, foreign, expired or future text opens to `None`, the same as an absent one.
//! (T2) A key that was rotated out verifies until the last text it signed has expired, and not longer.

pub mod bypass_link;
pub mod device_link;
pub mod key_ring;
pub mod pass;
pub mod proof;
pub mod ticket;

pub use bypass_link::{BypassLink, Carrier, LinkId};
pub use key_ring::{KeyRing, KeyRingFault, Kid, PassAlgorithm, Revocation};
pub use pass::{Claims, Pass, PassVerifier};
pub use ticket::{Ticket, TicketId};

/// How far a clock of another gateway may run ahead of ours before its texts count as future, in milliseconds.
pub const CLOCK_SKEW_MS: u64 = 60_000;

const ROOM_CONTEXT: &str = "vestibule 2026 room name to ticket field v1";

/// Names a room in eight bytes, the same on every gateway and in every release.
///
/// It is a BLAKE3 derivation of the room's name, so that two rooms share one only by a collision of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RoomHash(u64);

impl RoomHash {
    /// Derives the hash of a room's name; worth keeping beside the room, for it costs more than a ticket check.
    #[must_use]
    pub fn of(room: &str) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = blake3::derive_key(ROOM_CONTEXT, room.as_bytes());
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the eight bytes as a number.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}
