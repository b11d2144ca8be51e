//! The signature of a webhook, so that nobody but the provider can send one.
//!
//! The header reads `t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA256 of `SECONDS.BODY` under the shared secret; while a
//! secret is being changed there may be several `v1`. A signature more than five minutes off is refused, so that what
//! was overheard cannot be sent again later.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::BadNews;
use crate::domain::moment::Moment;

const TOLERANCE_SECONDS: i64 = 300;
/// More signatures than that in one header are not looked at.
const MOST_TAGS: usize = 8;

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
/// [`BadNews::Signature`], [`BadNews::Stale`].
pub fn verify(secret: &[u8], now: Moment, header: &str, body: &[u8]) -> Result<(), BadNews> {
    let (seconds, tags) = parse(header).ok_or(BadNews::Signature)?;
    let signed = |tag: &Vec<u8>| mac(secret, seconds, body).verify_slice(tag).is_ok();
    if !tags.iter().any(signed) {
        return Err(BadNews::Signature);
    }
    let age = now.as_ms().div_euclid(1000).saturating_sub(seconds);
    if age.saturating_abs() > TOLERANCE_SECONDS {
        return Err(BadNews::Stale);
    }
    Ok(())
}

/// Reads the moment and the tags; parts of other versions are passed over.
fn parse(header: &str) -> Option<(i64, Vec<Vec<u8>>)> {
    let parts = || header.split(',').filter_map(|part| part.split_once('='));
    let seconds = parts().find(|(name, _)| *name == "t")?.1.parse().ok()?;
    let tags = parts().filter(|(name, _)| *name == "v1").take(MOST_TAGS).filter_map(|(_, tag)| hex::decode(tag).ok());
    Some((seconds, tags.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_ms(1_795_255_200_123);
    const BODY: &[u8] = b"{}";

    #[test]
    fn believes_what_is_signed_and_nothing_else() {
        let header = sign(b"secret", NOW, BODY);
        assert_eq!(verify(b"secret", NOW, &header, BODY), Ok(()));
        assert_eq!(verify(b"other", NOW, &header, BODY), Err(BadNews::Signature));
        assert_eq!(verify(b"secret", NOW, &header, b"{ }"), Err(BadNews::Signature));
        for bad in ["", "t=1", "t=x,v1=00", "t=1,v1=zz", "v1=00,t=1", "t=1795255200,v1="] {
            assert_eq!(verify(b"secret", NOW, bad, BODY), Err(BadNews::Signature), "{bad:?}");
        }
    }

    #[test]
    fn one_right_signature_among_several_is_enough() {
        let (_, right) =
            sign(b"secret", NOW, BODY).split_once(',').map(|(t, v1)| (t.to_owned(), v1.to_owned())).unwrap();
        let header = format!("t=1795255200,v0=00,v1=00,{right}");
        assert_eq!(verify(b"secret", NOW, &header, BODY), Ok(()));
        let tenth = format!("t=1795255200,{}{right}", "v1=00,".repeat(MOST_TAGS));
        assert_eq!(verify(b"secret", NOW, &tenth, BODY), Err(BadNews::Signature));
    }

    #[test]
    fn refuses_an_old_signature() {
        let header = sign(b"secret", NOW, BODY);
        assert_eq!(verify(b"secret", NOW.plus_ms(301_000), &header, BODY), Err(BadNews::Stale));
        assert_eq!(verify(b"secret", NOW.plus_ms(-301_000), &header, BODY), Err(BadNews::Stale));
    }
}
