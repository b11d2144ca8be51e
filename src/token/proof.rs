//! What somebody shows before a place is given: that a machine worked a little, or that somebody waited a little.
//!
//! **Work** is ALTCHA's scheme, version 1: find the number that, after `salt`, has the SHA-256 `challenge`. The salt ends
//! with `&`, so that no digit of the number can be taken for a part of the salt and the other way around. Where ALTCHA's
//! servers sign with HMAC, the signature here is a hash with a key derived from the ring's root; only gateways read it.
//!
//! **Patience** is for those who have no script: a sealed text that counts from a later second on.
//!
//! Neither needs memory to be handed out. That each is used once, the store sees to, by the id.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rand::{CryptoRng, RngExt as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::KeyRing;

/// For how long a proof is taken, in milliseconds, from when it could first be there.
pub const PROOF_LIFETIME_MS: u64 = 120_000;

/// The longest text of a solution that is looked at, in bytes.
const SOLUTION_CAP_BYTES: usize = 1_024;

const WORK: &str = "vestibule 2026 proof of work v1";
const PATIENCE: &str = "vestibule 2026 proof of patience v1";
const ALGORITHM: &str = "SHA-256";

/// What a room asks for before it gives a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkRule {
    /// The number that is looked for is from 0 to this, so half of it are tried on average.
    pub difficulty: u64,
    /// How long those wait instead who have no script, in seconds.
    pub patience_s: u64,
}

/// What a machine is asked to find out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Challenge {
    /// By which hash: always SHA-256.
    pub algorithm: &'static str,
    /// The hash, in hexadecimal digits.
    pub challenge: String,
    /// The number is from 0 to this.
    pub maxnumber: u64,
    /// What stands before the number.
    pub salt: String,
    /// The gateway's own, to be sent back.
    pub signature: String,
}

/// What was found out, as a program sends it back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Solution {
    algorithm: String,
    challenge: String,
    number: u64,
    salt: String,
    signature: String,
}

/// Something that was shown, and may be used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its name.
    pub id: [u8; 10],
    /// Until when it counts, in milliseconds since the Unix epoch.
    pub until_ms: u64,
}

impl Challenge {
    /// Makes one for a room, whose number is from 0 to `difficulty`; `None` with a ring that has no root.
    #[must_use]
    pub fn new<R: CryptoRng + ?Sized>(
        room: &str,
        difficulty: u64,
        ring: &KeyRing,
        now_ms: u64,
        rng: &mut R,
    ) -> Option<Self> {
        let (id, number): ([u8; 10], u64) = (rng.random(), rng.random_range(0..=difficulty));
        let until_s = (now_ms + PROOF_LIFETIME_MS) / 1_000;
        let salt = format!("{}?expires={until_s}&room={room}&max={difficulty}&", hex::encode(id));
        let challenge = hashed(&salt, number);
        let signature = hex::encode(ring.derive(WORK, challenge.as_bytes())?);
        Some(Self { algorithm: ALGORITHM, challenge, maxnumber: difficulty, salt, signature })
    }
}

/// Checks a solution, JSON in base64 as ALTCHA's programs send it; anything but a sound one for this room, of this
/// difficulty and still in time is `None`.
#[must_use]
pub fn worked(text: &str, room: &str, difficulty: u64, ring: &KeyRing, now_ms: u64) -> Option<Shown> {
    let json =
        Some(text).filter(|text| text.len() <= SOLUTION_CAP_BYTES).and_then(|text| STANDARD.decode(text).ok())?;
    let solution: Solution = serde_json::from_slice(&json).ok()?;
    let wanted = hex::encode(ring.derive(WORK, solution.challenge.as_bytes())?);
    let is_signed: bool = wanted.as_bytes().ct_eq(solution.signature.as_bytes()).into();
    let is_found = is_signed && hashed(&solution.salt, solution.number) == solution.challenge;
    let (id, asked) = solution.salt.split_once('?').filter(|_| is_found && solution.algorithm == ALGORITHM)?;
    let asked = asked.strip_suffix(&format!("&room={room}&max={difficulty}&"))?;
    let until_s: u64 = asked.strip_prefix("expires=")?.parse().ok()?;
    shown(id, until_s * 1_000, now_ms)
}

/// Seals a text that counts for a room from `wait_s` seconds on; `None` with a ring that has no root.
#[must_use]
pub fn ask_patience<R: CryptoRng + ?Sized>(
    room: &str,
    wait_s: u64,
    ring: &KeyRing,
    now_ms: u64,
    rng: &mut R,
) -> Option<String> {
    let id: [u8; 10] = rng.random();
    let fields = format!("{}.{}", hex::encode(id), now_ms / 1_000 + wait_s);
    let tag = ring.derive(PATIENCE, format!("{room}.{fields}").as_bytes())?;
    Some(format!("{fields}.{}", URL_SAFE_NO_PAD.encode(&tag[..16])))
}

/// Checks such a text; anything but a sound one for this room whose time has come and is not over is `None`.
#[must_use]
pub fn waited(text: &str, room: &str, ring: &KeyRing, now_ms: u64) -> Option<Shown> {
    let (fields, tag) = text.rsplit_once('.')?;
    let wanted = ring.derive(PATIENCE, format!("{room}.{fields}").as_bytes())?;
    let wanted = URL_SAFE_NO_PAD.encode(&wanted[..16]);
    let is_sealed: bool = wanted.as_bytes().ct_eq(tag.as_bytes()).into();
    let (id, after_s) = fields.split_once('.').filter(|_| is_sealed)?;
    let after_ms = after_s.parse::<u64>().ok()? * 1_000;
    if now_ms < after_ms { None } else { shown(id, after_ms + PROOF_LIFETIME_MS, now_ms) }
}

fn shown(id: &str, until_ms: u64, now_ms: u64) -> Option<Shown> {
    let mut shown = Shown { id: [0; 10], until_ms };
    hex::decode_to_slice(id, &mut shown.id).ok()?;
    (now_ms <= until_ms).then_some(shown)
}

fn hashed(salt: &str, number: u64) -> String {
    hex::encode(Sha256::digest(format!("{salt}{number}")))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use serde_json::{Value, json};

    use super::*;

    const NOW_MS: u64 = 1_795_000_000_500;
    const DIFFICULTY: u64 = 500;

    fn ring() -> KeyRing {
        KeyRing::generate(NOW_MS, &mut StdRng::seed_from_u64(1))
    }

    fn challenge(ring: &KeyRing) -> Challenge {
        Challenge::new("sale", DIFFICULTY, ring, NOW_MS, &mut StdRng::seed_from_u64(2)).unwrap()
    }

    fn solve(challenge: &Challenge) -> Value {
        let number = (0..=challenge.maxnumber).find(|n| hashed(&challenge.salt, *n) == challenge.challenge);
        let mut solution = serde_json::to_value(challenge).unwrap();
        solution["number"] = json!(number.unwrap());
        solution
    }

    fn text(solution: &Value) -> String {
        STANDARD.encode(solution.to_string())
    }

    #[test]
    fn the_number_that_was_found_is_taken_for_its_room_and_time() {
        let ring = ring();
        let solution = text(&solve(&challenge(&ring)));
        let check = |room, difficulty, now_ms| worked(&solution, room, difficulty, &ring, now_ms);
        let shown = check("sale", DIFFICULTY, NOW_MS).unwrap();
        assert_eq!(shown.until_ms, 1_795_000_120_000);
        assert_eq!(check("sale", DIFFICULTY, shown.until_ms), Some(shown));
        assert_eq!(check("sale", DIFFICULTY, shown.until_ms + 1), None, "too late");
        assert_eq!(check("fair", DIFFICULTY, NOW_MS), None, "of another room");
        assert_eq!(check("sale", DIFFICULTY * 10, NOW_MS), None, "too easy now");
        let other = KeyRing::generate(NOW_MS, &mut StdRng::seed_from_u64(9));
        assert_eq!(worked(&solution, "sale", DIFFICULTY, &other, NOW_MS), None, "of another line");
    }

    #[test]
    fn nothing_of_a_solution_can_be_changed() {
        let ring = ring();
        let good = solve(&challenge(&ring));
        let salt = good["salt"].as_str().unwrap();
        let later = salt.replace("expires=1795000120", "expires=1995000120");
        let number = good["number"].as_u64().unwrap();
        for (key, value) in [
            ("number", json!(number + 1)),
            ("salt", json!(later)),
            ("salt", json!(salt.replace("max=500", "max=5"))),
            ("salt", json!(format!("{salt}{}", number / 10))),
            ("challenge", json!(hashed(&later, number))),
            ("signature", json!("")),
            ("algorithm", json!("SHA-1")),
        ] {
            let mut forged = good.clone();
            forged[key] = value;
            assert_eq!(worked(&text(&forged), "sale", DIFFICULTY, &ring, NOW_MS), None, "{key}");
        }
        for text in ["", "!", "e30=", &"A".repeat(2_000)] {
            assert_eq!(worked(text, "sale", DIFFICULTY, &ring, NOW_MS), None);
        }
    }

    #[test]
    fn patience_counts_after_its_time_and_not_for_ever() {
        let ring = ring();
        let text = ask_patience("sale", 15, &ring, NOW_MS, &mut StdRng::seed_from_u64(3)).unwrap();
        let check = |room, now_ms| waited(&text, room, &ring, now_ms);
        let from_ms = 1_795_000_015_000;
        assert_eq!(check("sale", from_ms - 1), None, "not yet");
        assert_eq!(check("sale", from_ms).unwrap().until_ms, from_ms + PROOF_LIFETIME_MS);
        assert_eq!(check("sale", from_ms + PROOF_LIFETIME_MS + 1), None, "no more");
        assert_eq!(check("fair", from_ms), None);
        let sooner = text.replace("1795000015", "1795000000");
        assert_eq!(waited(&sooner, "sale", &ring, from_ms), None);
        assert_eq!(waited("..", "sale", &ring, from_ms), None);
    }
}
