//! The names of things: each in sixteen bytes or ten letters, each derived, none counted up.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps sixteen bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Returns the sixteen bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }
    };
}
uuid_id! {
    /// Names a hold. It is derived from the buyer's idempotency key, so one key can only ever name one hold.
    HoldId
}

impl HoldId {
    /// Returns the name of the row that keeps a further line of this hold; the first line is kept under the hold's own.
    #[must_use]
    pub const fn of_line(self, line: usize) -> Self {
        Self::from_bytes(u128::from_be_bytes(*self.as_bytes()).wrapping_add(line as u128).to_be_bytes())
    }
}

uuid_id! {
    /// Names a payment. It is derived from the hold and the buyer's idempotency key, and is the idempotency key
    /// towards the provider.
    PaymentId
}

/// Is the SHA-256 of what a request asked for; tells a replay from a key used twice for different things.
pub type RequestHash = [u8; 32];

/// Letters and digits that are not mistaken for one another when read aloud.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 10;

/// Names a booking in ten characters (50 bits), for a traveller to copy by hand.
///
/// It follows from the hold's id, so confirming twice can only ever name the same booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "String")]
pub struct Reference([u8; LENGTH]);

impl Reference {
    /// Derives the reference of the booking that a hold becomes.
    #[must_use]
    pub fn of(hold: HoldId) -> Self {
        let mut bits = u128::from_be_bytes(*hold.as_bytes());
        Self(std::array::from_fn(|_| {
            let letter = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
            letter
        }))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| write!(f, "{}", char::from(byte)))
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl FromStr for Reference {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let upper = text.to_ascii_uppercase();
        let bytes: [u8; LENGTH] = upper.as_bytes().try_into().map_err(|_| BadReference)?;
        let known = bytes.iter().all(|byte| ALPHABET.contains(byte));
        known.then_some(Self(bytes)).ok_or(BadReference)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The text is not a booking reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a booking reference has ten letters and digits")]
pub struct BadReference;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_reads_back_in_any_case() {
        let reference = Reference::of(HoldId::from_bytes([7; 16]));
        assert_eq!(reference.to_string().to_lowercase().parse(), Ok(reference));
        assert_eq!("short".parse::<Reference>(), Err(BadReference));
        assert_eq!("ILOU000000".parse::<Reference>(), Err(BadReference));
    }
}
