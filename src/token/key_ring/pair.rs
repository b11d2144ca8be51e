//! The two halves of a pass key, made from its 32 secret bytes, in the shape the JWT library wants.

use std::fmt;
use std::str::FromStr;

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde_json::{Value, json};

use super::key::{Kid, Secret};

/// What a PKCS#8 document of an Ed25519 seed begins with (RFC 8410, section 7).
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// What a PKCS#8 document of a scalar of P-256 without its public point begins with (RFC 5208, RFC 5915).
const PKCS8_P256: [u8; 35] = [
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20,
];

/// How a pass is signed. It belongs to the key: a text has no say in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PassAlgorithm {
    /// Ed25519, small and quick.
    #[default]
    EdDsa,
    /// ECDSA with P-256, for API gateways and libraries that know no Ed25519.
    Es256,
    /// HMAC with SHA-256: whoever verifies has the secret, and could sign. There is no public half.
    Hs256,
}

impl PassAlgorithm {
    const ALL: [Self; 3] = [Self::EdDsa, Self::Es256, Self::Hs256];

    /// Returns its name in a JWT.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Hs256 => "HS256",
        }
    }

    pub(crate) const fn jwa(self) -> Algorithm {
        match self {
            Self::EdDsa => Algorithm::EdDSA,
            Self::Es256 => Algorithm::ES256,
            Self::Hs256 => Algorithm::HS256,
        }
    }
}

impl fmt::Display for PassAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Says that a text is no algorithm of passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("passes are signed with EdDSA, ES256 or HS256")]
pub struct BadAlgorithm;

impl FromStr for PassAlgorithm {
    type Err = BadAlgorithm;

    fn from_str(text: &str) -> Result<Self, BadAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == text).ok_or(BadAlgorithm)
    }
}

/// The private and the public half of a pass key.
#[derive(Clone)]
pub(super) struct PassPair {
    pub(super) algorithm: PassAlgorithm,
    pub(super) signing: EncodingKey,
    pub(super) verifying: DecodingKey,
    /// The public half as a JWK shows it; `None` where there is none.
    public: Option<Value>,
}

impl PassPair {
    /// Derives the halves; `None` where the bytes are no key of this algorithm, as almost none are.
    pub(super) fn derive(secret: &Secret, algorithm: PassAlgorithm) -> Option<Self> {
        let document = |prefix: &[u8]| [prefix, &secret.0].concat();
        let signing = match algorithm {
            PassAlgorithm::EdDsa => EncodingKey::from_ed_der(&document(&PKCS8_ED25519)),
            PassAlgorithm::Es256 => EncodingKey::from_ec_der(&document(&PKCS8_P256)),
            PassAlgorithm::Hs256 => {
                let (signing, verifying) = (EncodingKey::from_secret(&secret.0), DecodingKey::from_secret(&secret.0));
                return Some(Self { algorithm, signing, verifying, public: None });
            }
        };
        let (verifying, public) = match Jwk::from_encoding_key(&signing, algorithm.jwa()).ok()?.algorithm {
            AlgorithmParameters::OctetKeyPair(public) => {
                let shown = json!({"kty": "OKP", "crv": "Ed25519", "x": public.x});
                (DecodingKey::from_ed_components(&public.x).ok()?, shown)
            }
            AlgorithmParameters::EllipticCurve(public) => {
                let shown = json!({"kty": "EC", "crv": "P-256", "x": public.x, "y": public.y});
                (DecodingKey::from_ec_components(&public.x, &public.y).ok()?, shown)
            }
            _ => return None,
        };
        Some(Self { algorithm, signing, verifying, public: Some(public) })
    }

    /// Shows the public half as a JWK (RFC 7517, RFC 8037).
    pub(super) fn jwk(&self, kid: Kid) -> Option<Value> {
        let mut jwk = self.public.clone()?;
        for (name, value) in [("alg", self.algorithm.name()), ("use", "sig"), ("kid", &kid.to_string())] {
            jwk[name] = value.into();
        }
        Some(jwk)
    }

    /// What tells the public halves of two keys apart.
    pub(super) fn mark(&self) -> &[u8] {
        self.public.as_ref().and_then(|public| public["x"].as_str()).unwrap_or_default().as_bytes()
    }
}

impl fmt::Debug for PassPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassPair").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
