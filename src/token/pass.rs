//! The admission: a JWT that upstreams can check with any standard library.
//!
//! The algorithm is pinned by the key, never read from the text: a pass key verifies its own algorithm and nothing
//! else. Times are checked against the caller's clock, so the library's own checks are off.

use std::sync::Arc;

use jsonwebtoken::{Header, Validation};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::CLOCK_SKEW_MS;
use super::key_ring::{KeyRing, Kid, PassAlgorithm};
use super::ticket::TicketId;

/// The `typ` of every pass, so that a JWT made for another purpose is not one (RFC 8725, section 3.11).
pub const TYP: &str = "vestibule-pass+jwt";

/// The default issuer.
pub const ISSUER: &str = "vestibule";

/// The longest text that is looked at, in bytes; ours have some 350 and a long room name.
const MAX_TEXT_BYTES: usize = 2048;

/// What a pass says. The names are those of RFC 7519.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// The room it admits to.
    pub aud: String,
    /// The id of the ticket it was earned with, as 32 hexadecimal digits.
    pub sub: String,
    /// Its own id, as 32 hexadecimal digits.
    pub jti: String,
    /// When it was issued, in seconds since the Unix epoch.
    pub iat: u64,
    /// The second at which it stops admitting.
    pub exp: u64,
    /// The number its holder had in the line.
    pub num: u64,
}

impl Claims {
    /// Returns the id of the ticket, or `None` when an issuer of ours wrote something else there.
    #[must_use]
    pub fn ticket(&self) -> Option<TicketId> {
        self.sub.parse().ok()
    }

    const fn is_current(&self, now_ms: u64) -> bool {
        let issued_ms = self.iat.saturating_mul(1000);
        issued_ms <= now_ms.saturating_add(CLOCK_SKEW_MS) && now_ms < self.exp.saturating_mul(1000)
    }
}

/// Says that a pass could not be signed: a fault of the gateway's keys, not of the visitor.
#[derive(Debug, Error)]
#[error("the pass could not be signed")]
pub struct SigningFault(#[from] jsonwebtoken::errors::Error);

/// An admission about to be signed.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a> {
    /// Who issues it; see [`ISSUER`].
    pub issuer: &'a str,
    /// The room it admits to.
    pub room: &'a str,
    /// The ticket it was earned with.
    pub ticket: TicketId,
    /// The number its holder had in the line.
    pub number: u64,
    /// 128 random bits that name this pass.
    pub id: u128,
    /// When it is issued, in milliseconds since the Unix epoch.
    pub issued_ms: u64,
    /// How long it admits, in milliseconds, rounded up to whole seconds.
    pub lifetime_ms: u64,
}

impl Pass<'_> {
    /// Signs the pass with the ring's active key.
    ///
    /// # Errors
    ///
    /// [`SigningFault`] when the key does not sign, which a ring that was read or made here excludes.
    pub fn sign(&self, ring: &KeyRing) -> Result<String, SigningFault> {
        let (kid, key) = ring.pass_signer();
        Ok(jsonwebtoken::encode(&header(kid, ring.pass_algorithm()), &self.claims(), key)?)
    }

    fn claims(&self) -> Claims {
        let expires_ms = self.issued_ms.saturating_add(self.lifetime_ms);
        Claims {
            iss: self.issuer.to_owned(),
            aud: self.room.to_owned(),
            sub: self.ticket.to_string(),
            jti: TicketId(self.id).to_string(),
            iat: self.issued_ms / 1000,
            exp: expires_ms.div_ceil(1000),
            num: self.number,
        }
    }
}

fn header(kid: Kid, algorithm: PassAlgorithm) -> Header {
    let mut header = Header::new(algorithm.jwa());
    header.typ = Some(TYP.to_owned());
    header.kid = Some(kid.to_string());
    header
}

/// A pass whose signature was checked, and how long the key that signed it is honoured.
#[derive(Clone)]
struct Verified {
    claims: Arc<Claims>,
    key_until_ms: u64,
}

/// Verifies passes and remembers, in a bounded cache, which texts had a good signature.
///
/// Only the signature is remembered. Room, issuer, times and what was revoked are checked at every call, and the cache is keyed
/// by the ring's generation, so that no entry outlives its pass or its key.
pub struct PassVerifier {
    issuer: String,
    /// Keyed by the hash of generation and text, so that no pass lies in memory as it could be used.
    verified: Cache<[u8; 32], Verified>,
}

impl PassVerifier {
    /// Makes a verifier of one issuer's passes that remembers at most about `capacity` of them.
    #[must_use]
    pub fn new(issuer: &str, capacity: usize) -> Self {
        Self { issuer: issuer.to_owned(), verified: Cache::new(capacity) }
    }

    /// Returns the claims of a sound pass for `room`, and `None` for anything else (T1).
    #[must_use]
    pub fn verify(&self, text: &str, room: &str, ring: &KeyRing, now_ms: u64) -> Option<Arc<Claims>> {
        if text.len() > MAX_TEXT_BYTES {
            return None;
        }
        let key = cache_key(text, ring.generation());
        let known = self.verified.get(&key);
        let fresh = known.is_none();
        let verified = known.or_else(|| self.check_signature(text, ring))?;
        let claims = &verified.claims;
        let sound = now_ms <= verified.key_until_ms
            && claims.iss == self.issuer
            && claims.aud == room
            && claims.is_current(now_ms)
            && !ring.revokes_pass(room, claims.iat)
            && !claims.ticket().is_some_and(|id| ring.revokes_visitor(id));
        if !sound {
            return None;
        }
        if fresh {
            self.verified.insert(key, verified.clone());
        }
        Some(verified.claims)
    }

    fn check_signature(&self, text: &str, ring: &KeyRing) -> Option<Verified> {
        let told = jsonwebtoken::decode_header(text).ok()?;
        let kid: Kid = told.kid.as_deref()?.parse().ok()?;
        let key = ring.pass_key(kid)?;
        // Not a field more than we write: no embedded key, no key address, no critical extension.
        if told != header(kid, key.algorithm) {
            return None;
        }
        let token = jsonwebtoken::decode::<Claims>(text, key.verifying, &signature_only(key.algorithm)).ok()?;
        Some(Verified { claims: Arc::new(token.claims), key_until_ms: key.until_ms })
    }
}

fn signature_only(algorithm: PassAlgorithm) -> Validation {
    let mut validation = Validation::new(algorithm.jwa());
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}

fn cache_key(text: &str, generation: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&generation.to_be_bytes());
    hasher.update(text.as_bytes());
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests;
