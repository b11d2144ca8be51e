//! A claim in a token (JWT, RFC 7519) that the site signs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hyper::header::{HeaderMap, HeaderName};
use jsonwebtoken::{DecodingKey, Validation};
use quick_cache::sync::Cache;
use serde_json::{Map, Value};

use super::{find_cookie, sole};

/// The longest token that is looked at, in bytes.
const TEXT_CAP_BYTES: usize = 8_192;

/// How far the site's clock may be off, in seconds.
const SKEW_S: u64 = 60;

/// How many tokens with a good signature are remembered.
const KNOWN_CAP: usize = 100_000;

/// The shortest secret of HS256, in bytes (RFC 7518, section 3.2).
const SECRET_MIN_BYTES: usize = 32;

/// What the PEM of a public key of each curve begins with: the curve's name in DER, in base64.
const ED25519_PEM: &str = "MCowBQYDK2VwAyEA";
const P256_PEM: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";

/// How the site signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// HMAC with SHA-256.
    Hs256,
}

/// Says that a text names no algorithm that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is none of EdDSA, ES256 and HS256")]
pub struct BadAlgorithm;

impl FromStr for Algorithm {
    type Err = BadAlgorithm;

    fn from_str(text: &str) -> Result<Self, BadAlgorithm> {
        match text {
            "EdDSA" => Ok(Self::EdDsa),
            "ES256" => Ok(Self::Es256),
            "HS256" => Ok(Self::Hs256),
            _ => Err(BadAlgorithm),
        }
    }
}

/// Says what is wrong with a key. It quotes nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Not an Ed25519 public key.
    #[error("EdDSA needs the public Ed25519 key in PEM: -----BEGIN PUBLIC KEY-----")]
    EdDsa,
    /// Not a P-256 public key.
    #[error("ES256 needs the public P-256 key in PEM: -----BEGIN PUBLIC KEY-----")]
    Es256,
    /// Too short a secret.
    #[error("HS256 needs a secret of at least {SECRET_MIN_BYTES} bytes")]
    Hs256,
}

/// Which token, which claim in it, and how it is signed.
pub struct SignedClaim {
    place: Place,
    claim: String,
    issuer: Option<String>,
    audience: Option<String>,
    key: DecodingKey,
    validation: Validation,
    /// Whose signature was good, by the hash of the token, so that none lies in memory as it could be used.
    known: Cache<[u8; 32], Arc<Told>>,
}

/// Where a token stands in a request.
#[derive(Clone, Debug)]
enum Place {
    Header(HeaderName),
    Cookie(String),
}

/// What a token with a good signature says.
struct Told {
    name: String,
    from_s: u64,
    until_s: u64,
}

impl SignedClaim {
    /// Takes the `claim` of a token signed with `algorithm` and the key in `key`; the token stands in a cookie.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn in_cookie(cookie: String, claim: String, algorithm: Algorithm, key: &[u8]) -> Result<Self, BadKey> {
        Self::new(Place::Cookie(cookie), claim, algorithm, key)
    }

    /// The same, with the token in a header, with or without `Bearer` before it.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn in_header(header: HeaderName, claim: String, algorithm: Algorithm, key: &[u8]) -> Result<Self, BadKey> {
        Self::new(Place::Header(header), claim, algorithm, key)
    }

    fn new(place: Place, claim: String, algorithm: Algorithm, key: &[u8]) -> Result<Self, BadKey> {
        let key = read_key(algorithm, key)?;
        let known = Cache::new(KNOWN_CAP);
        Ok(Self { place, claim, issuer: None, audience: None, key, validation: signature_only(algorithm), known })
    }

    /// Takes only tokens of this issuer (`iss`) and for this audience (`aud`), where one is given.
    #[must_use]
    pub fn only(self, issuer: Option<String>, audience: Option<String>) -> Self {
        Self { issuer, audience, ..self }
    }

    /// Reads the claim of a sound token in a request, `None` for anything else.
    pub(super) fn read(&self, headers: &HeaderMap, now_ms: u64) -> Option<String> {
        let text = self.text(headers).filter(|text| text.len() <= TEXT_CAP_BYTES)?;
        let hash = *blake3::hash(text.as_bytes()).as_bytes();
        let told = match self.known.get(&hash) {
            Some(told) => told,
            None => {
                let told = Arc::new(self.verify(text)?);
                self.known.insert(hash, Arc::clone(&told));
                told
            }
        };
        let now_s = now_ms / 1_000;
        let is_current = told.from_s <= now_s.saturating_add(SKEW_S) && now_s < told.until_s;
        is_current.then(|| told.name.clone())
    }

    fn text<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        match &self.place {
            Place::Cookie(name) => find_cookie(headers, name),
            Place::Header(name) => {
                let value = sole(headers, name)?;
                let (scheme, token) = value.split_once(' ').unwrap_or(("", value));
                (scheme.is_empty() || scheme.eq_ignore_ascii_case("bearer")).then_some(token.trim())
            }
        }
    }

    fn verify(&self, text: &str) -> Option<Told> {
        // What a token calls critical nobody here understands.
        if jsonwebtoken::decode_header(text).ok()?.crit.is_some() {
            return None;
        }
        let claims = jsonwebtoken::decode::<Map<String, Value>>(text, &self.key, &self.validation).ok()?.claims;
        let is_of_issuer = self.issuer.as_ref().is_none_or(|issuer| claims.get("iss") == Some(&issuer.as_str().into()));
        let is_for_us = self.audience.as_ref().is_none_or(|audience| is_for(claims.get("aud"), audience));
        let name = name_of(claims.get(&self.claim)?).filter(|_| is_of_issuer && is_for_us)?;
        Some(Told { name, from_s: instant(&claims, "nbf", 0)?, until_s: instant(&claims, "exp", u64::MAX)? })
    }
}

impl fmt::Debug for SignedClaim {
    /// Leaves the key out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, claim, issuer, audience, .. } = self;
        write!(f, "SignedClaim({place:?}, {claim}, {issuer:?}, {audience:?})")
    }
}

fn read_key(algorithm: Algorithm, key: &[u8]) -> Result<DecodingKey, BadKey> {
    let holds = |head: &str| {
        let text: String = String::from_utf8_lossy(key).split_whitespace().collect();
        text.contains(&format!("-----BEGINPUBLICKEY-----{head}"))
    };
    match algorithm {
        Algorithm::EdDsa if holds(ED25519_PEM) => DecodingKey::from_ed_pem(key).map_err(|_| BadKey::EdDsa),
        Algorithm::EdDsa => Err(BadKey::EdDsa),
        Algorithm::Es256 if holds(P256_PEM) => DecodingKey::from_ec_pem(key).map_err(|_| BadKey::Es256),
        Algorithm::Es256 => Err(BadKey::Es256),
        Algorithm::Hs256 => match key.trim_ascii_end() {
            // A public key is no secret: whoever has it could sign.
            secret if secret.len() >= SECRET_MIN_BYTES && !secret.starts_with(b"-----BEGIN") => {
                Ok(DecodingKey::from_secret(secret))
            }
            _ => Err(BadKey::Hs256),
        },
    }
}

/// Checks the signature alone: times, issuer and audience are checked here, against the gateway's own clock.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(match algorithm {
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
    });
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}

fn is_for(claim: Option<&Value>, audience: &str) -> bool {
    match claim {
        Some(Value::Array(several)) => several.iter().any(|one| one == audience),
        Some(one) => one == audience,
        None => false,
    }
}

/// Reads a name: a text, or a whole number as some sites count their customers.
fn name_of(claim: &Value) -> Option<String> {
    match claim {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// Reads an instant in seconds since the Unix epoch, maybe with a fraction; `None` for what is none.
fn instant(claims: &Map<String, Value>, name: &str, absent: u64) -> Option<u64> {
    match claims.get(name) {
        None => Some(absent),
        Some(value) => value.as_f64().filter(|seconds| *seconds >= 0.0).map(|seconds| seconds as u64),
    }
}
