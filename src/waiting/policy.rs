//! What a page of ours may load and do (Content Security Policy, level 3): nothing from elsewhere, and only its own styles and
//! scripts. Those of a page that many get alike are named by their hashes, so that the policy is the same for all of them;
//! those of any other page by a word that is in this one only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// A word that nobody can guess, in hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub struct Nonce([u8; 32]);

impl Nonce {
    /// Makes one of 128 random bits.
    #[must_use]
    pub fn random() -> Self {
        let mut digits = [0; 32];
        hex::encode_to_slice(rand::random::<[u8; 16]>(), &mut digits).expect("two digits for each byte");
        Self(digits)
    }

    /// Returns its digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("digits are a text")
    }
}

/// Returns the policy of a page whose styles and scripts have this nonce.
#[must_use]
pub fn by_nonce(nonce: &str) -> String {
    let source = ["nonce-", nonce].concat();
    policy(&source, &source)
}

/// Returns the policy of a page with this one style and this one script, each the whole text of its element.
pub(super) fn by_hash(style: &str, script: &str) -> String {
    let source = |text: &str| ["sha256-", &STANDARD.encode(Sha256::digest(text))].concat();
    policy(&source(style), &source(script))
}

fn policy(style: &str, script: &str) -> String {
    let before = "default-src 'none'; style-src '";
    let behind =
        "'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    [before, style, "'; script-src '", script, behind].concat()
}
