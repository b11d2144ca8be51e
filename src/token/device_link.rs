//! A link that takes a place along to another device: sealed, for a few minutes, to be used once.
//!
//! It carries what is in the ticket, but not the ticket's seal, so that nobody can make a ticket of it without a gateway,
//! which has the line's store look whether it was used. The text is 100 characters of base64url over 75 bytes, big-endian: version 1 (1 byte),
//! hash of the room's name (8), epoch (4), number (8), ticket's id (16), when the ticket was issued (6), a random id (10),
//! until when the link is good (6), and the first half of a hash with a key that is derived from the ring's root (16).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::{KeyRing, RoomHash, Ticket, TicketId};

/// For how long a link is good, in milliseconds.
pub const LINK_LIFETIME_MS: u64 = 300_000;

const PURPOSE: &str = "vestibule 2026 link to another device v1";
const VERSION: u8 = 1;
const FIELDS_BYTES: usize = 59;
const TAG_BYTES: usize = 16;

/// A place on its way to another device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceLink {
    /// The place.
    pub ticket: Ticket,
    /// Tells two links of one ticket apart.
    pub id: [u8; 10],
    /// The last millisecond at which it is good, since the Unix epoch.
    pub until_ms: u64,
}

impl DeviceLink {
    /// Seals it; `None` with a ring that has no root, which one rotation gives it.
    #[must_use]
    pub fn seal(&self, ring: &KeyRing) -> Option<String> {
        let fields = self.fields();
        let tag = ring.derive(PURPOSE, &fields)?;
        Some(URL_SAFE_NO_PAD.encode([&fields[..], &tag[..TAG_BYTES]].concat()))
    }

    /// Opens a text that claims to be a link of `room`; anything but a sound one that is still good is `None` (T1).
    #[must_use]
    pub fn open(text: &str, room: RoomHash, ring: &KeyRing, now_ms: u64) -> Option<Self> {
        let mut sealed = [0; FIELDS_BYTES + TAG_BYTES];
        let is_whole = text.len() == 100 && URL_SAFE_NO_PAD.decode_slice(text, &mut sealed) == Ok(sealed.len());
        let (fields, tag) = sealed.split_at(FIELDS_BYTES);
        let wanted = ring.derive(PURPOSE, fields).filter(|_| is_whole)?;
        let genuine: bool = wanted[..TAG_BYTES].ct_eq(tag).into();
        let link = Self::of_fields(fields).filter(|_| genuine)?;
        (link.ticket.room == room && now_ms <= link.until_ms).then_some(link)
    }

    fn fields(&self) -> Vec<u8> {
        let Self { ticket, id, until_ms } = self;
        let [issued, until] = [ticket.issued_ms, *until_ms].map(|ms| ms.to_be_bytes()[2..].to_vec());
        let parts = [
            &[VERSION][..],
            &ticket.room.bits().to_be_bytes(),
            &ticket.epoch.to_be_bytes(),
            &ticket.number.to_be_bytes(),
            &ticket.id.0.to_be_bytes(),
            &issued,
            id,
            &until,
        ];
        parts.concat()
    }

    fn of_fields(fields: &[u8]) -> Option<Self> {
        let (&[version], rest) = fields.split_first_chunk()?;
        let (room, rest) = rest.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (ticket_id, rest) = rest.split_first_chunk()?;
        let (&[a, b, c, d, e, f], rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let &[u, v, w, x, y, z] = rest.first_chunk()?;
        let ticket = Ticket {
            room: RoomHash::from_bits(u64::from_be_bytes(*room)),
            epoch: u32::from_be_bytes(*epoch),
            number: u64::from_be_bytes(*number),
            id: TicketId(u128::from_be_bytes(*ticket_id)),
            issued_ms: u64::from_be_bytes([0, 0, a, b, c, d, e, f]),
        };
        let until_ms = u64::from_be_bytes([0, 0, u, v, w, x, y, z]);
        (version == VERSION).then_some(Self { ticket, id: *id, until_ms })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    const NOW_MS: u64 = 1_795_000_000_000;

    fn ring() -> KeyRing {
        KeyRing::generate(NOW_MS, &mut StdRng::seed_from_u64(1))
    }

    fn link() -> DeviceLink {
        let room = RoomHash::of("sale");
        let ticket = Ticket { room, epoch: 3, number: 4_182, id: TicketId(0x1234 << 90), issued_ms: NOW_MS - 5 };
        DeviceLink { ticket, id: *b"0123456789", until_ms: NOW_MS + LINK_LIFETIME_MS }
    }

    #[test]
    fn it_brings_the_very_place_until_its_time_is_over() {
        let ring = ring();
        let text = link().seal(&ring).unwrap();
        let open = |room, now_ms| DeviceLink::open(&text, RoomHash::of(room), &ring, now_ms);
        assert_eq!(open("sale", NOW_MS + LINK_LIFETIME_MS), Some(link()));
        assert_eq!(open("sale", NOW_MS + LINK_LIFETIME_MS + 1), None);
        assert_eq!(open("other", NOW_MS), None);
    }

    #[test]
    fn a_link_is_no_ticket_and_a_ticket_no_link() {
        let ring = ring();
        let (text, ticket) = (link().seal(&ring).unwrap(), link().ticket.seal(&ring));
        let room = RoomHash::of("sale");
        assert_eq!(Ticket::open(&text, room, &ring, NOW_MS, u64::MAX), None);
        assert_eq!(Ticket::open(&text[..84], room, &ring, NOW_MS, u64::MAX), None);
        assert_eq!(DeviceLink::open(&ticket, room, &ring, NOW_MS), None);
    }

    proptest! {
        #[test]
        fn no_bit_may_flip(bit in 0..(FIELDS_BYTES + TAG_BYTES) * 8) {
            let ring = ring();
            let mut sealed = URL_SAFE_NO_PAD.decode(link().seal(&ring).unwrap()).unwrap();
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(DeviceLink::open(&URL_SAFE_NO_PAD.encode(sealed), link().ticket.room, &ring, NOW_MS), None);
        }
    }
}
