//! Whether a text is a sound pass of one room.

use std::collections::HashMap;

use arc_swap::ArcSwap;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation};
use serde::Deserialize;
use thiserror::Error;

/// Who issues passes.
const ISSUER: &str = "vestibule";

/// What a pass says that it is, so that no other JWT of the same keys is one.
const TYPE: &str = "vestibule-pass+jwt";

/// No pass is longer than this.
const TEXT_CAP_BYTES: usize = 2_048;

/// What a pass says.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claims {
    /// The room.
    pub aud: String,
    /// The id of the ticket it was earned with, 32 hexadecimal digits: the visitor, as far as is known.
    pub sub: String,
    /// The pass's own id.
    pub jti: String,
    /// When it was signed, in seconds since the Unix epoch.
    pub iat: u64,
    /// When the session ends, in seconds since the Unix epoch; where it was renewed since, another pass says it.
    pub exp: u64,
    /// The number in line.
    pub num: u64,
}

/// Says why a text is no sound pass. All of these are the visitor's fault, but for [`Unsound::UnknownKey`], which may
/// also mean that the keys here are old.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unsound {
    /// It is no pass, or of another issuer.
    #[error("this is no pass")]
    NoPass,
    /// It names a key that is not among those at hand.
    #[error("this pass names a key that is not known here")]
    UnknownKey,
    /// It was changed, is of another room, or over.
    #[error("this pass is forged, of another room, or over")]
    Refused,
}

/// Says that a text is no JWK Set with a key of a pass.
#[derive(Debug, Error)]
pub enum BadKeys {
    /// It cannot be read.
    #[error("this is no JWK Set: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// Nothing could be verified with it. Passes signed with HS256 have no public key: sign them with `EdDSA` or `ES256`.
    #[error("there is no Ed25519 and no P-256 key in this JWK Set")]
    NoKey,
}

type Keys = HashMap<String, (Algorithm, DecodingKey)>;

/// Checks the passes of one room with the gateway's public keys.
pub struct Passes {
    room: String,
    keys: ArcSwap<Keys>,
}

impl Passes {
    /// Checks passes of `room` with the keys in `jwks`, the text of `/.vestibule/jwks.json`.
    ///
    /// # Errors
    /// [`BadKeys`]
    pub fn new(room: &str, jwks: &str) -> Result<Self, BadKeys> {
        Ok(Self { room: room.to_owned(), keys: ArcSwap::from_pointee(read(jwks)?) })
    }

    /// Takes newer keys, after a rotation. Those at hand stay if these are none.
    ///
    /// # Errors
    /// [`BadKeys`]
    pub fn replace_keys(&self, jwks: &str) -> Result<(), BadKeys> {
        self.keys.store(read(jwks)?.into());
        Ok(())
    }

    /// Returns what a sound pass says.
    ///
    /// # Errors
    /// [`Unsound`] for anything else.
    pub fn check(&self, text: &str) -> Result<Claims, Unsound> {
        if text.len() > TEXT_CAP_BYTES {
            return Err(Unsound::NoPass);
        }
        let header = jsonwebtoken::decode_header(text).map_err(|_| Unsound::NoPass)?;
        if header.typ.as_deref() != Some(TYPE) {
            return Err(Unsound::NoPass);
        }
        let keys = self.keys.load();
        let key = header.kid.and_then(|kid| keys.get(&kid));
        let (algorithm, key) = key.ok_or(Unsound::UnknownKey)?;
        let told = jsonwebtoken::decode(text, key, &self.validation(*algorithm));
        told.map(|token: TokenData<Claims>| token.claims).map_err(|_| Unsound::Refused)
    }

    /// The algorithm is the key's, whatever the pass says.
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = 0;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[&self.room]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        validation
    }
}

fn read(jwks: &str) -> Result<Keys, BadKeys> {
    let set: JwkSet = serde_json::from_str(jwks)?;
    let keys: Keys = set.keys.iter().filter_map(key).collect();
    if keys.is_empty() { Err(BadKeys::NoKey) } else { Ok(keys) }
}

fn key(jwk: &Jwk) -> Option<(String, (Algorithm, DecodingKey))> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(_) => Algorithm::EdDSA,
        AlgorithmParameters::EllipticCurve(_) => Algorithm::ES256,
        _ => return None,
    };
    Some((jwk.common.key_id.clone()?, (algorithm, DecodingKey::from_jwk(jwk).ok()?)))
}
