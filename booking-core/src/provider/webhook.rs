//! What the provider tells us on its own, signed so that nobody else can.
//!
//! The header `Vestibule-Provider-Signature` reads `t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA256 of `SECONDS.BODY`
//! under the shared secret. A signature older or newer than five minutes is refused.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;

use crate::domain::moment::Moment;
use crate::domain::payment::{ChargeId, PaymentId};

/// The header the signature travels in.
pub const SIGNATURE_HEADER: &str = "vestibule-provider-signature";

const TOLERANCE_SECONDS: i64 = 300;

/// Is what the provider tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum ProviderNews {
    /// It took the money.
    #[serde(rename = "payment.captured")]
    Captured {
        /// For which payment.
        payment: PaymentId,
        /// Its charge.
        charge: ChargeId,
        /// How much.
        amount_paise: i64,
    },
    /// It refused.
    #[serde(rename = "payment.failed")]
    Failed {
        /// Which payment.
        payment: PaymentId,
        /// Why, in words for the buyer.
        reason: String,
    },
}

/// Says why news is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadNews {
    /// The signature is missing, malformed, of another body or under another secret.
    #[error("the signature does not match; sign `SECONDS.BODY` with HMAC-SHA256 under the shared secret")]
    Signature,
    /// The signature is right but old, or from the future.
    #[error("the signature is more than five minutes off; check the clocks")]
    Stale,
    /// The body is not what the provider may tell.
    #[error("the body is not an event this API knows: {0}")]
    Body(String),
}

fn mac(secret: &[u8], seconds: i64, body: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

/// Signs a body; returns the header's value.
#[must_use]
pub fn sign(secret: &[u8], now: Moment, body: &[u8]) -> String {
    let seconds = now.as_ms().div_euclid(1000);
    let tag = mac(secret, seconds, body).finalize().into_bytes();
    format!("t={seconds},v1={}", hex::encode(tag))
}

/// Believes a body or says why not. The comparison takes the same time for every wrong signature.
///
/// # Errors
/// [`BadNews`].
pub fn verify(secret: &[u8], now: Moment, header: &str, body: &[u8]) -> Result<ProviderNews, BadNews> {
    let (seconds, tag) = parse(header).ok_or(BadNews::Signature)?;
    mac(secret, seconds, body).verify_slice(&tag).map_err(|_| BadNews::Signature)?;
    let age = now.as_ms().div_euclid(1000).saturating_sub(seconds);
    if age.saturating_abs() > TOLERANCE_SECONDS {
        return Err(BadNews::Stale);
    }
    serde_json::from_slice(body).map_err(|error| BadNews::Body(error.to_string()))
}

fn parse(header: &str) -> Option<(i64, Vec<u8>)> {
    let (time, tag) = header.split_once(',')?;
    let seconds = time.strip_prefix("t=")?.parse().ok()?;
    Some((seconds, hex::decode(tag.strip_prefix("v1=")?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_ms(1_795_255_200_123);

    fn news() -> (ProviderNews, Vec<u8>) {
        let payment = PaymentId::from_bytes([1; 16]);
        let news = ProviderNews::Captured { payment, charge: ChargeId("ch_1".to_owned()), amount_paise: 5 };
        let body = serde_json::to_vec(&news).unwrap();
        (news, body)
    }

    #[test]
    fn believes_what_is_signed_and_nothing_else() {
        let (news, body) = news();
        let header = sign(b"secret", NOW, &body);
        assert_eq!(verify(b"secret", NOW, &header, &body), Ok(news));
        assert_eq!(verify(b"other", NOW, &header, &body), Err(BadNews::Signature));
        assert_eq!(verify(b"secret", NOW, &header, b"{}"), Err(BadNews::Signature));
        for bad in ["", "t=1", "t=x,v1=00", "t=1,v1=zz", "v1=00,t=1", "t=1795255200,v1="] {
            assert_eq!(verify(b"secret", NOW, bad, &body), Err(BadNews::Signature), "{bad:?}");
        }
    }

    #[test]
    fn refuses_an_old_signature() {
        let (_, body) = news();
        let header = sign(b"secret", NOW, &body);
        assert_eq!(verify(b"secret", NOW.plus_ms(301_000), &header, &body), Err(BadNews::Stale));
        assert_eq!(verify(b"secret", NOW.plus_ms(-301_000), &header, &body), Err(BadNews::Stale));
    }

    #[test]
    fn a_signed_unknown_event_is_refused_as_such() {
        let body = br#"{"type":"payment.exploded"}"#;
        let header = sign(b"secret", NOW, body);
        assert!(matches!(verify(b"secret", NOW, &header, body), Err(BadNews::Body(_))));
    }
}
