//! The keys of tickets and passes, and how they are rotated.

use std::fmt;

use jsonwebtoken::{DecodingKey, EncodingKey};
use rand::CryptoRng;
use serde_json::json;
use thiserror::Error;

mod key;
mod pair;
mod revoked;

mod form;

pub use key::{KeyCard, KeyKind, KeyState, Kid};
pub use pair::{BadAlgorithm, PassAlgorithm};
pub use revoked::{MAX_REVOKED, Revocation};

use super::bypass_link::LinkId;
use super::ticket::TicketId;
use key::{Key, Secret};
use revoked::Revoked;

/// The most keys of one kind a ring holds; rotation beyond it asks for retired keys to be forgotten first.
pub const MAX_KEYS: usize = 16;

/// Says why a key ring cannot be read or changed. None of these carries a secret.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyRingFault {
    /// The text is not a key ring at all.
    #[error("the key ring cannot be read: {0}")]
    Unreadable(String),
    /// A kind of key has none or several active keys, or several announced ones, so that signing would be ambiguous.
    #[error("a key ring needs exactly one active {0} key, and at most one that is announced")]
    NotOneActive(&'static str),
    /// Two keys share one name.
    #[error("key {0} stands in the ring twice")]
    Twice(Kid),
    /// A usable key has no secret, or one that is not 32 bytes in base64.
    #[error("key {0} has no secret of 32 bytes in base64")]
    BadSecret(Kid),
    /// The root secret is not 32 bytes in base64.
    #[error("`root` is not 32 bytes in base64")]
    BadRoot,
    /// There are more keys than a ring may hold.
    #[error("a key ring holds at most {MAX_KEYS} keys of a kind; forget the retired ones")]
    Full,
    /// More is revoked than a ring may hold.
    #[error("at most {MAX_REVOKED} visitors, rooms or links can be revoked at a time; retire the key instead")]
    TooManyRevoked,
    /// There is no key of this name.
    #[error("there is no key {0} in the ring")]
    Unknown(Kid),
    /// The key signs new texts; it can be rotated, not retired.
    #[error("key {0} is active; rotate it before retiring it")]
    Active(Kid),
    /// Another key of its kind is to be the next.
    #[error("key {0} is announced as the next, with another algorithm; rotate to put it in use, or retire it")]
    Announced(Kid),
}

/// What the verifier of a pass needs of its key.
pub(crate) struct PassKey<'a> {
    pub(crate) verifying: &'a DecodingKey,
    pub(crate) algorithm: PassAlgorithm,
    /// The last millisecond at which the key verifies anything.
    pub(crate) until_ms: u64,
}

/// Holds every key a gateway signs with or still honours.
///
/// It does no I/O: [`to_toml`](Self::to_toml) and [`from_toml`](Self::from_toml) are its one serialised
/// form. `Debug` shows names and states, never a secret.
///
/// # Invariants
///
/// Exactly one key of each kind is active, and at most one announced; names are unique; a retired key has no secret.
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<Key>,
    /// What is derived from it has to come out the same for as long as a sale lasts, so it is never rotated. `None`
    /// in a file that was made before there was one.
    root: Option<Secret>,
    revoked: Revoked,
    /// Changes with every change of what verifies; see [`KeyRing::generation`].
    generation: u64,
}

impl KeyRing {
    /// Makes a ring with one fresh key of each kind; passes are signed with EdDSA.
    pub fn generate<R: CryptoRng + ?Sized>(now_ms: u64, rng: &mut R) -> Self {
        Self::generate_for(PassAlgorithm::EdDsa, now_ms, rng)
    }

    /// Makes a ring with one fresh key of each kind; passes are signed with `algorithm`.
    pub fn generate_for<R: CryptoRng + ?Sized>(algorithm: PassAlgorithm, now_ms: u64, rng: &mut R) -> Self {
        let (root, revoked) = (Some(Secret::random(rng)), Revoked::default());
        let mut ring = Self { keys: Vec::new(), root, revoked, generation: 0 };
        for (kind, algorithm) in [(KeyKind::Ticket, None), (KeyKind::Pass, Some(algorithm))] {
            ring.add(kind, algorithm, KeyState::Active, now_ms, rng);
        }
        ring.seal_generation();
        ring
    }

    /// Adds a fresh key that verifies and does not sign yet. Where several gateways sign, each has to know a key before
    /// the first of them signs with it; the next rotation puts it in use. One that is announced already stays the one.
    ///
    /// # Errors
    ///
    /// [`KeyRingFault::Announced`] when one of another algorithm is announced, [`KeyRingFault::Full`] when the ring has no
    /// room for another.
    pub fn announce<R: CryptoRng + ?Sized>(
        &mut self,
        kind: KeyKind,
        algorithm: Option<PassAlgorithm>,
        now_ms: u64,
        rng: &mut R,
    ) -> Result<Kid, KeyRingFault> {
        if let Some(card) = self.announced(kind, algorithm)? {
            return Ok(card.kid);
        }
        self.check_room(kind)?;
        let algorithm = algorithm.or(self.active(kind).card.algorithm);
        let kid = self.add(kind, algorithm, KeyState::Announced, now_ms, rng);
        self.seal_generation();
        Ok(kid)
    }

    /// Puts the announced key in the place of the active one, or else a fresh one. The old one goes on verifying for
    /// `lifetime_ms` more: the longest life of what it signed, so that nobody loses a ticket or a pass by a rotation (T2).
    ///
    /// # Errors
    ///
    /// [`KeyRingFault::Full`] when the ring has no room for another key of this kind.
    pub fn rotate<R: CryptoRng + ?Sized>(
        &mut self,
        kind: KeyKind,
        now_ms: u64,
        lifetime_ms: u64,
        rng: &mut R,
    ) -> Result<Kid, KeyRingFault> {
        self.rotate_in(kind, None, now_ms, lifetime_ms, rng)
    }

    /// Does the same with the key of passes, which are signed with `algorithm` from then on.
    ///
    /// # Errors
    ///
    /// [`KeyRingFault::Full`] when the ring has no room for another key of passes, [`KeyRingFault::Announced`] when
    /// one of another algorithm is announced.
    pub fn rotate_passes_to<R: CryptoRng + ?Sized>(
        &mut self,
        algorithm: PassAlgorithm,
        now_ms: u64,
        lifetime_ms: u64,
        rng: &mut R,
    ) -> Result<Kid, KeyRingFault> {
        self.rotate_in(KeyKind::Pass, Some(algorithm), now_ms, lifetime_ms, rng)
    }

    fn rotate_in<R: CryptoRng + ?Sized>(
        &mut self,
        kind: KeyKind,
        algorithm: Option<PassAlgorithm>,
        now_ms: u64,
        lifetime_ms: u64,
        rng: &mut R,
    ) -> Result<Kid, KeyRingFault> {
        let announced = self.announced(kind, algorithm)?;
        if announced.is_none() {
            self.check_room(kind)?;
        }
        let algorithm = algorithm.or(self.active(kind).card.algorithm);
        let until_ms = now_ms.saturating_add(lifetime_ms).saturating_add(super::CLOCK_SKEW_MS);
        for key in self.keys.iter_mut().filter(|key| key.card.kind == kind) {
            key.card.state = match key.card.state {
                KeyState::Active => KeyState::Verifying { until_ms },
                KeyState::Announced => KeyState::Active,
                other => other,
            };
        }
        let add = || self.add(kind, algorithm, KeyState::Active, now_ms, rng);
        let kid = announced.map_or_else(add, |card| card.kid);
        self.root.get_or_insert_with(|| Secret::random(rng));
        self.seal_generation();
        Ok(kid)
    }

    /// Takes a rotated-out key from use at once, and everything it signed with it.
    ///
    /// # Errors
    ///
    /// [`KeyRingFault::Unknown`] for a name not in the ring, [`KeyRingFault::Active`] for a key that signs.
    pub fn retire(&mut self, kid: Kid) -> Result<(), KeyRingFault> {
        let key = self.keys.iter_mut().find(|key| key.card.kid == kid);
        let key = key.ok_or(KeyRingFault::Unknown(kid))?;
        if key.card.state == KeyState::Active {
            return Err(KeyRingFault::Active(kid));
        }
        key.retire();
        self.seal_generation();
        Ok(())
    }

    /// Takes the tickets and passes of a visitor, or the passes of a room, from use before their time.
    ///
    /// # Errors
    ///
    /// [`KeyRingFault::TooManyRevoked`] when no more can be remembered.
    pub fn revoke(&mut self, revocation: Revocation) -> Result<(), KeyRingFault> {
        self.revoked.add(revocation)
    }

    /// Lists what was revoked and is remembered.
    #[must_use]
    pub fn revocations(&self) -> Vec<Revocation> {
        self.revoked.list()
    }

    pub(crate) fn revokes_visitor(&self, id: TicketId) -> bool {
        self.revoked.has_visitor(id)
    }

    pub(crate) fn revokes_link(&self, id: LinkId) -> bool {
        self.revoked.has_link(id)
    }

    pub(crate) fn revokes_pass(&self, room: &str, issued_s: u64) -> bool {
        self.revoked.has_pass(room, issued_s)
    }

    /// Retires every rotated-out key whose last text has expired, and forgets those retired before.
    pub fn prune(&mut self, now_ms: u64) {
        self.keys.retain(|key| key.card.state != KeyState::Retired);
        self.revoked.prune(now_ms);
        for key in &mut self.keys {
            if key.verifies_until() < now_ms {
                key.retire();
            }
        }
        self.seal_generation();
    }

    /// Lists the keys without their secrets, in the order they were made.
    pub fn list(&self) -> impl Iterator<Item = KeyCard> + '_ {
        self.keys.iter().map(|key| key.card)
    }

    /// Returns a number that differs between any two rings that verify differently, on every gateway alike:
    /// caches of what was verified are keyed by it, so that retiring a key empties them.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Shows the public halves of all pass keys in use as a JWK set (RFC 7517, RFC 8037).
    #[must_use]
    pub fn jwks(&self) -> serde_json::Value {
        let pairs = self.keys.iter().filter_map(|key| Some((key.card.kid, key.pair.as_ref()?)));
        let keys = pairs.filter_map(|(kid, pair)| pair.jwk(kid));
        json!({ "keys": keys.collect::<Vec<_>>() })
    }

    /// Derives 32 secret bytes from the root, the same on every gateway and for as long as the ring lives, and other
    /// ones for each purpose and each `about`; `None` where the ring has no root.
    #[must_use]
    pub fn derive(&self, purpose: &str, about: &[u8]) -> Option<[u8; 32]> {
        let key = blake3::derive_key(purpose, &self.root.as_ref()?.0);
        Some(*blake3::keyed_hash(&key, about).as_bytes())
    }

    pub(crate) fn ticket_signer(&self) -> (Kid, &[u8; 32]) {
        let key = self.active(KeyKind::Ticket);
        let secret = key.secret.as_ref().expect("an active key has its secret, by construction");
        (key.card.kid, &secret.0)
    }

    pub(crate) fn ticket_key(&self, kid: Kid, now_ms: u64) -> Option<&[u8; 32]> {
        let key = self.find(KeyKind::Ticket, kid)?;
        let usable = now_ms <= key.verifies_until();
        key.secret.as_ref().filter(|_| usable).map(|secret| &secret.0)
    }

    pub(crate) fn pass_signer(&self) -> (Kid, &EncodingKey) {
        let key = self.active(KeyKind::Pass);
        let pair = key.pair.as_ref().expect("an active pass key has its halves, by construction");
        (key.card.kid, &pair.signing)
    }

    pub(crate) fn pass_algorithm(&self) -> PassAlgorithm {
        self.active(KeyKind::Pass).card.algorithm.unwrap_or_default()
    }

    pub(crate) fn pass_key(&self, kid: Kid) -> Option<PassKey<'_>> {
        let key = self.find(KeyKind::Pass, kid)?;
        let pair = key.pair.as_ref()?;
        Some(PassKey { verifying: &pair.verifying, algorithm: pair.algorithm, until_ms: key.verifies_until() })
    }

    fn find(&self, kind: KeyKind, kid: Kid) -> Option<&Key> {
        self.of_kind(kind).find(|key| key.card.kid == kid)
    }

    fn of_kind(&self, kind: KeyKind) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| key.card.kind == kind)
    }

    fn active(&self, kind: KeyKind) -> &Key {
        let mut keys = self.of_kind(kind);
        let active = keys.find(|key| key.card.state == KeyState::Active);
        active.expect("a ring has one active key of each kind, checked when it is made or read")
    }

    /// Finds the key that is announced, which has to be of the `algorithm` that is wished for, if one is.
    fn announced(&self, kind: KeyKind, algorithm: Option<PassAlgorithm>) -> Result<Option<KeyCard>, KeyRingFault> {
        let found = self.of_kind(kind).map(|key| key.card).find(|card| card.state == KeyState::Announced);
        match found {
            Some(card) if algorithm.is_some() && algorithm != card.algorithm => Err(KeyRingFault::Announced(card.kid)),
            found => Ok(found),
        }
    }

    fn check_room(&self, kind: KeyKind) -> Result<(), KeyRingFault> {
        if self.of_kind(kind).count() < MAX_KEYS { Ok(()) } else { Err(KeyRingFault::Full) }
    }

    fn add<R: CryptoRng + ?Sized>(
        &mut self,
        kind: KeyKind,
        algorithm: Option<PassAlgorithm>,
        state: KeyState,
        now_ms: u64,
        rng: &mut R,
    ) -> Kid {
        let kid = self.fresh_kid(rng);
        let card = KeyCard { kind, kid, created_ms: now_ms, state, algorithm };
        // One in some four thousand million texts of 32 bytes is no scalar of P-256.
        let key = std::iter::repeat_with(|| Key::new(card, Some(Secret::random(rng)))).find_map(Result::ok);
        self.keys.extend(key);
        kid
    }

    fn fresh_kid<R: CryptoRng + ?Sized>(&self, rng: &mut R) -> Kid {
        loop {
            let kid = Kid::from_bits(rng.next_u32());
            if self.keys.iter().all(|key| key.card.kid != kid) {
                return kid;
            }
        }
    }

    fn seal_generation(&mut self) {
        let mut hasher = blake3::Hasher::new();
        for key in &self.keys {
            hasher.update(&key.card.kid.bits().to_be_bytes());
            hasher.update(&key.verifies_until().to_be_bytes());
            hasher.update(key.pair.as_ref().map_or(&[], |pair| pair.mark()));
        }
        let hash = hasher.finalize();
        let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
        self.generation = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

#[cfg(test)]
mod tests;
