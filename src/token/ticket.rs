//! A place in line, sealed.
//!
//! The sealed text is 84 characters of base64url over 63 bytes, big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 4 | name of the key |
//! | 8 | hash of the room's name |
//! | 4 | epoch of the line |
//! | 8 | number in the line |
//! | 16 | id: random, or that of a person |
//! | 6 | when it was issued or renewed, milliseconds since the Unix epoch |
//! | 16 | the first half of keyed BLAKE3 over all before |
//!
//! 63 is a multiple of 3, so that the text has no padding bits that could be changed unseen.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use super::key_ring::{KeyRing, Kid};
use super::{CLOCK_SKEW_MS, RoomHash};

const VERSION: u8 = 1;
const FIELDS_BYTES: usize = 47;
const TAG_BYTES: usize = 16;
const SEALED_BYTES: usize = FIELDS_BYTES + TAG_BYTES;
const ISSUED_MAX_MS: u64 = (1 << 48) - 1;

/// The length of every sealed ticket, in bytes of text.
pub const TEXT_BYTES: usize = SEALED_BYTES / 3 * 4;

/// Names a ticket outside the gateway: 128 bits, random or the keyed hash of a person, written as 32 hexadecimal digits.
///
/// It may be shown and forwarded, for it opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TicketId(pub u128);

impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 32];
        hex::encode_to_slice(self.0.to_be_bytes(), &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for TicketId {
    type Err = ();

    /// Reads exactly what [`Display`](fmt::Display) writes: one id has one spelling.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 16];
        let is_plain = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        let read = is_plain.then(|| hex::decode_to_slice(text, &mut bytes).ok()).flatten();
        read.map(|()| Self(u128::from_be_bytes(bytes))).ok_or(())
    }
}

/// A place in a room's line. It says nothing about being called: that is the mirror's to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The room whose line it is.
    pub room: RoomHash,
    /// The epoch of the line; everyone of an older epoch stands before everyone of a newer one.
    pub epoch: u32,
    /// The number in the line, dense in its room and epoch.
    pub number: u64,
    /// Tells two holders of one number apart, should a store ever have given it twice.
    pub id: TicketId,
    /// When it was issued, or last renewed, in milliseconds since the Unix epoch; at most 48 bits are kept.
    pub issued_ms: u64,
}

impl Ticket {
    /// Seals the ticket with the ring's active key into [`TEXT_BYTES`] URL-safe characters.
    #[must_use]
    pub fn seal(&self, ring: &KeyRing) -> String {
        let (kid, key) = ring.ticket_signer();
        let mut sealed = [0; SEALED_BYTES];
        let (fields, tag) = sealed.split_at_mut(FIELDS_BYTES);
        fields.copy_from_slice(&self.to_fields(kid));
        tag.copy_from_slice(&tag_of(key, fields));
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Opens a text that claims to be a ticket of `room`; anything but a sound one is `None` (T1).
    ///
    /// Refused are texts of another length or alphabet, another version, an unknown or retired key, a
    /// wrong tag, another room, a revoked visitor, an issue time more than [`CLOCK_SKEW_MS`] ahead, and an age over `lifetime_ms`.
    /// The tag is compared in constant time. Nothing is allocated.
    #[must_use]
    pub fn open(text: &str, room: RoomHash, ring: &KeyRing, now_ms: u64, lifetime_ms: u64) -> Option<Self> {
        let sealed = decode(text)?;
        let (fields, tag) = sealed.split_at(FIELDS_BYTES);
        let (kid, ticket) = Self::from_fields(fields)?;
        let key = ring.ticket_key(kid, now_ms)?;
        let genuine: bool = tag_of(key, fields).ct_eq(tag).into();
        let is_revoked = ring.revokes_visitor(ticket.id);
        (genuine && ticket.room == room && ticket.is_current(now_ms, lifetime_ms) && !is_revoked).then_some(ticket)
    }

    /// Returns the same place with its life begun anew at `now_ms`, once a quarter of `lifetime_ms` is over, or up to half of
    /// it: that depends on the id, so that those who came in one second do not all come again in one.
    #[must_use]
    pub fn renewed(self, now_ms: u64, lifetime_ms: u64) -> Option<Self> {
        let quarter_ms = (lifetime_ms / 4).max(1);
        let due_ms = quarter_ms + self.id.0 as u64 % quarter_ms;
        (now_ms.saturating_sub(self.issued_ms) >= due_ms).then_some(Self { issued_ms: now_ms, ..self })
    }

    const fn is_current(&self, now_ms: u64, lifetime_ms: u64) -> bool {
        let from_future = self.issued_ms > now_ms.saturating_add(CLOCK_SKEW_MS);
        !from_future && now_ms.saturating_sub(self.issued_ms) <= lifetime_ms
    }

    fn to_fields(self, kid: Kid) -> [u8; FIELDS_BYTES] {
        let mut fields = [0; FIELDS_BYTES];
        let issued_ms = self.issued_ms.min(ISSUED_MAX_MS).to_be_bytes();
        fields[0] = VERSION;
        fields[1..5].copy_from_slice(&kid.bits().to_be_bytes());
        fields[5..13].copy_from_slice(&self.room.bits().to_be_bytes());
        fields[13..17].copy_from_slice(&self.epoch.to_be_bytes());
        fields[17..25].copy_from_slice(&self.number.to_be_bytes());
        fields[25..41].copy_from_slice(&self.id.0.to_be_bytes());
        fields[41..47].copy_from_slice(&issued_ms[2..]);
        fields
    }

    fn from_fields(fields: &[u8]) -> Option<(Kid, Self)> {
        let (&[version], rest) = fields.split_first_chunk()?;
        let (kid, rest) = rest.split_first_chunk()?;
        let (room, rest) = rest.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let &[a, b, c, d, e, f] = rest.first_chunk()?;
        let ticket = Self {
            room: RoomHash::from_bits(u64::from_be_bytes(*room)),
            epoch: u32::from_be_bytes(*epoch),
            number: u64::from_be_bytes(*number),
            id: TicketId(u128::from_be_bytes(*id)),
            issued_ms: u64::from_be_bytes([0, 0, a, b, c, d, e, f]),
        };
        (version == VERSION).then(|| (Kid::from_bits(u32::from_be_bytes(*kid)), ticket))
    }
}

fn decode(text: &str) -> Option<[u8; SEALED_BYTES]> {
    if text.len() != TEXT_BYTES {
        return None;
    }
    let mut sealed = [0; SEALED_BYTES];
    let written = URL_SAFE_NO_PAD.decode_slice(text, &mut sealed).ok()?;
    (written == SEALED_BYTES).then_some(sealed)
}

fn tag_of(key: &[u8; 32], fields: &[u8]) -> [u8; TAG_BYTES] {
    let hash = blake3::keyed_hash(key, fields);
    let (tag, _) = hash.as_bytes().split_first_chunk().expect("a BLAKE3 hash has 32 bytes");
    *tag
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::super::key_ring::KeyKind;
    use super::*;

    const NOW_MS: u64 = 1_795_000_000_000;
    const HOUR_MS: u64 = 3_600_000;
    const DAY_MS: u64 = 24 * HOUR_MS;

    fn ring(seed: u64) -> KeyRing {
        KeyRing::generate(NOW_MS, &mut StdRng::seed_from_u64(seed))
    }

    fn ticket() -> Ticket {
        let room = RoomHash::of("tatkal");
        Ticket { room, epoch: 3, number: 4182, id: TicketId(0x1234 << 90), issued_ms: NOW_MS }
    }

    fn open(text: &str, ring: &KeyRing, now_ms: u64) -> Option<Ticket> {
        Ticket::open(text, RoomHash::of("tatkal"), ring, now_ms, DAY_MS)
    }

    #[test]
    fn opens_what_it_sealed() {
        let ring = ring(1);
        let text = ticket().seal(&ring);
        assert_eq!(text.len(), TEXT_BYTES);
        assert_eq!(open(&text, &ring, NOW_MS), Some(ticket()));
    }

    #[test]
    fn refuses_another_room_or_ring() {
        let (ours, theirs) = (ring(1), ring(2));
        let text = ticket().seal(&ours);
        assert_eq!(Ticket::open(&text, RoomHash::of("other"), &ours, NOW_MS, DAY_MS), None);
        assert_eq!(open(&text, &theirs, NOW_MS), None);
    }

    #[test]
    fn refuses_the_future_and_the_long_past() {
        let ring = ring(1);
        let text = ticket().seal(&ring);
        assert!(open(&text, &ring, NOW_MS - CLOCK_SKEW_MS).is_some());
        assert_eq!(open(&text, &ring, NOW_MS - CLOCK_SKEW_MS - 1), None);
        assert!(open(&text, &ring, NOW_MS + DAY_MS).is_some());
        assert_eq!(open(&text, &ring, NOW_MS + DAY_MS + 1), None);
    }

    #[test]
    fn it_is_renewed_before_half_its_life_is_over_and_stays_the_same_place() {
        let at =
            |id: u128, hours: u64| Ticket { id: TicketId(id), ..ticket() }.renewed(NOW_MS + hours * HOUR_MS, DAY_MS);
        assert_eq!(
            (at(0, 5), at(0, 6)),
            (None, Some(Ticket { issued_ms: NOW_MS + 6 * HOUR_MS, id: TicketId(0), ..ticket() }))
        );
        let last = u128::from(6 * HOUR_MS - 1);
        assert!(at(last, 11).is_none() && at(last, 12).is_some());
        assert_eq!(ticket().renewed(NOW_MS - HOUR_MS, DAY_MS), None, "from the future");
    }

    #[test]
    fn survives_a_rotation_until_its_key_has_had_its_time() {
        let mut ring = ring(1);
        let text = ticket().seal(&ring);
        let (old, _) = ring.ticket_signer();
        let mut rng = StdRng::seed_from_u64(9);
        ring.rotate(KeyKind::Ticket, NOW_MS, DAY_MS, &mut rng).unwrap();
        assert_ne!(ticket().seal(&ring), text, "new tickets carry the new key");
        assert!(open(&text, &ring, NOW_MS + DAY_MS).is_some());
        let after_ms = NOW_MS + DAY_MS + CLOCK_SKEW_MS + 1;
        assert_eq!(Ticket::open(&text, ticket().room, &ring, after_ms, u64::MAX), None);
        ring.retire(old).unwrap();
        assert_eq!(open(&text, &ring, NOW_MS), None);
    }

    #[test]
    fn an_id_has_one_spelling() {
        let id = TicketId(0xabc);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse::<TicketId>(), Err(()));
        assert_eq!("+0000000000000000000000000000abc".parse::<TicketId>(), Err(()));
    }

    proptest! {
        #[test]
        fn no_bit_may_flip(bit in 0..SEALED_BYTES * 8) {
            let ring = ring(1);
            let mut sealed = decode(&ticket().seal(&ring)).unwrap();
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(open(&URL_SAFE_NO_PAD.encode(sealed), &ring, NOW_MS), None);
        }

        #[test]
        fn no_character_may_change(at in 0..TEXT_BYTES, to in "[ -~]") {
            let ring = ring(1);
            let mut text = ticket().seal(&ring);
            prop_assume!(text[at..=at] != to);
            text.replace_range(at..=at, &to);
            prop_assert_eq!(open(&text, &ring, NOW_MS), None);
        }

        #[test]
        fn no_text_opens_by_chance(text in "\\PC*", long in "[A-Za-z0-9_-]{84}") {
            let ring = ring(1);
            prop_assert_eq!(open(&text, &ring, NOW_MS), None);
            prop_assert_eq!(open(&long, &ring, NOW_MS), None);
        }

        #[test]
        fn every_ticket_comes_back(epoch: u32, number: u64, id: u128, issued_ms in 0..=ISSUED_MAX_MS) {
            let ring = ring(1);
            let ticket = Ticket { epoch, number, id: TicketId(id), issued_ms, ..ticket() };
            let opened = Ticket::open(&ticket.seal(&ring), ticket.room, &ring, issued_ms, 0);
            prop_assert_eq!(opened, Some(ticket));
        }
    }
}
