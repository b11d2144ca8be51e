//! Ids and hashes that follow from what a caller sent.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::domain::hold::{HoldId, RequestHash};
use crate::domain::payment::PaymentId;
use crate::domain::placement::ShardNumber;
use crate::provider::Charge;

/// Derives ids from idempotency keys, so that one key can only ever name one thing, and nobody without the secret can
/// guess another's.
pub(super) struct Ids {
    /// Begun with the secret, for every id to go on from.
    keyed: Hmac<Sha256>,
}

impl Ids {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let keyed = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
        Self { keyed }
    }

    fn derive(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = self.keyed.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let tag = mac.finalize().into_bytes();
        std::array::from_fn(|index| tag[index])
    }

    /// Names the hold of a key, on a shard if there are several. The shard is more than a mark on the same name: should one
    /// key be used on two shards at the same time, neither the names nor the references for travellers are mistaken.
    pub(super) fn hold(&self, key: &str, shard: Option<ShardNumber>) -> HoldId {
        let derive = |parts: &[&[u8]]| HoldId::from_bytes(self.derive(parts));
        match shard {
            None => derive(&[b"hold", key.as_bytes()]),
            Some(shard) => shard.name(derive(&[b"hold", key.as_bytes(), &[u8::from(shard)]])),
        }
    }

    pub(super) fn payment(&self, hold: HoldId, key: &str) -> PaymentId {
        let id = PaymentId::from_bytes(self.derive(&[b"payment", hold.as_bytes(), key.as_bytes()]));
        ShardNumber::of_hold(hold).name_payment(id)
    }

    /// Names money nobody knows; it lies where the payment would lie that the provider took it for.
    pub(super) fn orphan(&self, charge: &Charge) -> PaymentId {
        let id = PaymentId::from_bytes(self.derive(&[b"orphan", charge.id.0.as_bytes()]));
        ShardNumber::of_payment(charge.payment).name_payment(id)
    }
}

/// Hashes what a request asks for.
pub(super) fn request_hash(parts: &[&str]) -> RequestHash {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}
