//! One key: its name, its place in life, and its halves.

use std::fmt;
use std::str::FromStr;

use rand::CryptoRng;

use super::KeyRingFault;
use super::pair::{PassAlgorithm, PassPair};

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
    /// Verifies, and signs from the next rotation on: every gateway can know it by then. At most one of each kind.
    Announced,
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
    /// For passes, of the key's own algorithm.
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
    /// How it signs, if it is for passes.
    pub algorithm: Option<PassAlgorithm>,
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

impl Key {
    pub(super) fn new(card: KeyCard, secret: Option<Secret>) -> Result<Self, KeyRingFault> {
        let bad = KeyRingFault::BadSecret(card.kid);
        let usable = card.state != KeyState::Retired;
        let secret = if usable { Some(secret.ok_or(bad)?) } else { None };
        let derive = |(secret, algorithm)| PassPair::derive(secret, algorithm).ok_or(KeyRingFault::BadSecret(card.kid));
        let pair = secret.as_ref().zip(card.algorithm).map(derive).transpose()?;
        Ok(Self { card, secret, pair })
    }

    pub(super) fn verifies_until(&self) -> u64 {
        match self.card.state {
            KeyState::Announced | KeyState::Active => u64::MAX,
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
