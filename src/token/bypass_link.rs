//! A link past the line: whoever opens it needs no place in the rooms that it names, in one browser, until its end.
//!
//! The link itself is used once. It leaves a cookie that says the same under another key, so that neither can stand in
//! for the other. The text of both is base64url over version 1 (1 byte), id (10), end (6, milliseconds since the Unix
//! epoch), the hash of each room's name (8 each), and the first half of a hash (16) with a key that is derived from the
//! ring's root; big-endian.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::{KeyRing, RoomHash};

/// For how long a link may be good at the most, in milliseconds: thirty days.
pub const MAX_LIFETIME_MS: u64 = 30 * 86_400_000;

/// The most rooms that one link opens.
pub const MAX_ROOMS: usize = 16;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 17;
const TAG_BYTES: usize = 16;
const MOST_BYTES: usize = HEAD_BYTES + 8 * MAX_ROOMS + TAG_BYTES;

/// Names a link, in the audit trail and to revoke it; it opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub [u8; 10]);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for LinkId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_lower = text.bytes().all(|byte| !byte.is_ascii_uppercase());
        let mut id = [0; 10];
        hex::decode_to_slice(text, &mut id).ok().filter(|()| is_lower).map(|()| Self(id)).ok_or(())
    }
}

/// In which form it is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// In a link, to be used once.
    Link,
    /// In the cookie of the browser that used it.
    Cookie,
}

impl Carrier {
    const fn purpose(self) -> &'static str {
        match self {
            Self::Link => "vestibule 2026 link past the line v1",
            Self::Cookie => "vestibule 2026 cookie past the line v1",
        }
    }
}

/// Leave to go past the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BypassLink {
    /// Its name.
    pub id: LinkId,
    /// The last millisecond at which it counts, since the Unix epoch.
    pub until_ms: u64,
    /// The rooms, one to [`MAX_ROOMS`].
    pub rooms: Vec<RoomHash>,
}

impl BypassLink {
    /// Seals it; `None` with a ring that has no root, which one rotation gives it.
    #[must_use]
    pub fn seal(&self, carrier: Carrier, ring: &KeyRing) -> Option<String> {
        let mut sealed = vec![VERSION];
        sealed.extend(self.id.0);
        sealed.extend(&self.until_ms.to_be_bytes()[2..]);
        self.rooms.iter().for_each(|room| sealed.extend(room.bits().to_be_bytes()));
        let tag = ring.derive(carrier.purpose(), &sealed)?;
        sealed.extend(&tag[..TAG_BYTES]);
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a text that claims to be one; anything but a sound one that is still good and was not revoked is `None` (T1).
    #[must_use]
    pub fn open(carrier: Carrier, text: &str, ring: &KeyRing, now_ms: u64) -> Option<Self> {
        let mut sealed = [0; MOST_BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut sealed).ok()?;
        let (fields, tag) = sealed[..length].split_at_checked(length.checked_sub(TAG_BYTES)?)?;
        let wanted = ring.derive(carrier.purpose(), fields)?;
        let is_genuine: bool = wanted[..TAG_BYTES].ct_eq(tag).into();
        let link = Self::of_fields(fields).filter(|_| is_genuine)?;
        (now_ms <= link.until_ms && !ring.revokes_link(link.id)).then_some(link)
    }

    /// Returns the path that it leads to, below the site's address; `None` with a ring that has no root.
    #[must_use]
    pub fn path(&self, ring: &KeyRing) -> Option<String> {
        self.seal(Carrier::Link, ring).map(|text| format!("/.vestibule/bypass?link={text}"))
    }

    /// Tells whether it counts in a room.
    #[must_use]
    pub fn opens(&self, room: RoomHash) -> bool {
        self.rooms.contains(&room)
    }

    fn of_fields(fields: &[u8]) -> Option<Self> {
        let (&[version], rest) = fields.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (&[a, b, c, d, e, f], rest) = rest.split_first_chunk()?;
        let (rooms, []) = rest.as_chunks() else { return None };
        let rooms = rooms.iter().map(|bits| RoomHash::from_bits(u64::from_be_bytes(*bits))).collect();
        let until_ms = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        (version == VERSION).then_some(Self { id: LinkId(*id), until_ms, rooms })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::token::Revocation;

    const NOW_MS: u64 = 1_795_000_000_000;

    fn ring() -> KeyRing {
        KeyRing::generate(NOW_MS, &mut StdRng::seed_from_u64(1))
    }

    fn link() -> BypassLink {
        let rooms = ["sale", "fair"].map(RoomHash::of).to_vec();
        BypassLink { id: LinkId(*b"0123456789"), until_ms: NOW_MS + 60_000, rooms }
    }

    #[test]
    fn it_opens_its_rooms_until_its_end() {
        let ring = ring();
        for carrier in [Carrier::Link, Carrier::Cookie] {
            let text = link().seal(carrier, &ring).unwrap();
            let open = |now_ms| BypassLink::open(carrier, &text, &ring, now_ms);
            assert_eq!(open(NOW_MS + 60_000), Some(link()));
            assert_eq!(open(NOW_MS + 60_001), None);
        }
        assert!(link().opens(RoomHash::of("fair")) && !link().opens(RoomHash::of("other")));
        let most = BypassLink { rooms: vec![RoomHash::of("sale"); MAX_ROOMS], ..link() };
        let text = most.seal(Carrier::Link, &ring).unwrap();
        assert_eq!(BypassLink::open(Carrier::Link, &text, &ring, NOW_MS), Some(most));
    }

    #[test]
    fn a_cookie_is_no_link_and_a_link_no_cookie() {
        let ring = ring();
        let sealed = |carrier| link().seal(carrier, &ring).unwrap();
        assert_eq!(BypassLink::open(Carrier::Link, &sealed(Carrier::Cookie), &ring, NOW_MS), None);
        assert_eq!(BypassLink::open(Carrier::Cookie, &sealed(Carrier::Link), &ring, NOW_MS), None);
    }

    #[test]
    fn a_revoked_one_counts_no_more_in_either_form() {
        let mut ring = ring();
        let texts = [Carrier::Link, Carrier::Cookie].map(|carrier| (carrier, link().seal(carrier, &ring).unwrap()));
        ring.revoke(Revocation::Link { id: link().id, until_ms: link().until_ms }).unwrap();
        let read = KeyRing::from_toml(&ring.to_toml().unwrap()).unwrap();
        for (carrier, text) in texts {
            assert_eq!(BypassLink::open(carrier, &text, &read, NOW_MS), None);
        }
        ring.prune(link().until_ms + 1);
        assert!(ring.revocations().is_empty(), "it is forgotten when it has run out");
    }

    proptest! {
        #[test]
        fn no_bit_may_flip(bit in 0..(HEAD_BYTES + 16 + TAG_BYTES) * 8) {
            let ring = ring();
            let mut sealed = URL_SAFE_NO_PAD.decode(link().seal(Carrier::Link, &ring).unwrap()).unwrap();
            sealed[bit / 8] ^= 1 << (bit % 8);
            let text = URL_SAFE_NO_PAD.encode(sealed);
            prop_assert_eq!(BypassLink::open(Carrier::Link, &text, &ring, NOW_MS), None);
        }

        #[test]
        fn nothing_else_opens(text in "[A-Za-z0-9_-]{0,300}") {
            prop_assert_eq!(BypassLink::open(Carrier::Link, &text, &ring(), NOW_MS), None);
        }
    }
}
