//! One key: its name, its place in life, and its halves.

use std::fmt;
use std::str::FromStr;

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use rand::CryptoRng;

use super::KeyRingFault;

/// What a PKCS#8 document of an Ed25519 seed begins with (RFC 8410, section 7).
const PKCS8_ED25519_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Names one key: 32 random bits, written as eight hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kid(u32);

impl Kid {
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Says that a text is no name of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key's name is eight hexadecimal digits in lower case")]
pub struct BadKid;

impl FromStr for Kid {
    type Err = BadKid;

    /// Reads exactly what [`Display`](fmt::Display) writes: one name has one spelling.
    fn from_str(text: &str) -> Result<Self, BadKid> {
        let plain = text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let bits = plain.then(|| u32::from_str_radix(text, 16).ok()).flatten();
        bits.map(Self).ok_or(BadKid)
    }
}

/// Where a key stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Signs and verifies; exactly one of each kind.
    Active,
    /// Rotated out; verifies what it signed until the last of it has expired.
    Verifying {
        /// The last millisecond at which it verifies.
        until_ms: u64,
    },
    /// Verifies nothing; its secret is gone and only its name is remembered.
    Retired,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Symmetric, for tickets.
    Ticket,
    /// Ed25519, for passes.
    Pass,
}

impl KeyKind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Pass => "pass",
        }
    }
}

/// One line of [`KeyRing::list`]: everything about a key but its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCard {
    /// What the key is for.
    pub kind: KeyKind,
    /// Its name.
    pub kid: Kid,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Where it stands in its life.
    pub state: KeyState,
}

/// 32 secret bytes that no `Debug` output shows.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub(super) [u8; 32]);

impl Secret {
    pub(super) fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// One key of either kind; a pass key also carries its derived halves.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) card: KeyCard,
    /// `None` once retired.
    pub(super) secret: Option<Secret>,
    /// The halves of a usable pass key, derived once because parsing costs as much as signing.
    pub(super) pair: Option<PassPair>,
}

/// The private and the public half of a pass key in the shape the JWT library wants.
#[derive(Debug, Clone)]
pub(super) struct PassPair {
    pub(super) signing: EncodingKey,
    pub(super) verifying: DecodingKey,
    /// The public key in base64url, as a JWK shows it.
    pub(super) x: String,
}

impl PassPair {
    fn derive(secret: &Secret) -> Option<Self> {
        let pkcs8 = [PKCS8_ED25519_PREFIX.as_slice(), secret.0.as_slice()].concat();
        let signing = EncodingKey::from_ed_der(&pkcs8);
        let jwk = Jwk::from_encoding_key(&signing, Algorithm::EdDSA).ok()?;
        let AlgorithmParameters::OctetKeyPair(public) = jwk.algorithm else {
            return None;
        };
        let verifying = DecodingKey::from_ed_components(&public.x).ok()?;
        Some(Self { signing, verifying, x: public.x })
    }
}

impl Key {
    pub(super) fn new(card: KeyCard, secret: Option<Secret>) -> Result<Self, KeyRingFault> {
        let bad = KeyRingFault::BadSecret(card.kid);
        let usable = card.state != KeyState::Retired;
        let secret = if usable { Some(secret.ok_or(bad)?) } else { None };
        let pair = match (&secret, card.kind) {
            (Some(secret), KeyKind::Pass) => Some(PassPair::derive(secret).ok_or(KeyRingFault::BadSecret(card.kid))?),
            _ => None,
        };
        Ok(Self { card, secret, pair })
    }

    pub(super) fn verifies_until(&self) -> u64 {
        match self.card.state {
            KeyState::Active => u64::MAX,
            KeyState::Verifying { until_ms } => until_ms,
            KeyState::Retired => 0,
        }
    }

    pub(super) fn retire(&mut self) {
        self.card.state = KeyState::Retired;
        self.secret = None;
        self.pair = None;
    }
}
