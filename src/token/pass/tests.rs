use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::super::key_ring::{KeyKind, Revocation};
use super::*;

const NOW_MS: u64 = 1_795_000_000_000;
const HOUR_MS: u64 = 3_600_000;

fn ring(seed: u64) -> KeyRing {
    KeyRing::generate(NOW_MS, &mut StdRng::seed_from_u64(seed))
}

fn pass() -> Pass<'static> {
    Pass {
        issuer: ISSUER,
        room: "tatkal",
        ticket: TicketId(77),
        number: 12,
        id: 99,
        issued_ms: NOW_MS,
        lifetime_ms: HOUR_MS,
    }
}

fn verifier() -> PassVerifier {
    PassVerifier::new(ISSUER, 100)
}

fn opens(text: &str, ring: &KeyRing) -> bool {
    verifier().verify(text, "tatkal", ring, NOW_MS).is_some()
}

/// Signs any header and claims with the ring's own key: what an attacker with a good signature over another
/// meaning would have.
fn signed(ring: &KeyRing, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let (_, key) = ring.pass_signer();
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, Algorithm::EdDSA).unwrap();
    format!("{message}.{signature}")
}

fn good_header(ring: &KeyRing) -> Value {
    json!({"typ": TYP, "alg": "EdDSA", "kid": ring.pass_signer().0.to_string()})
}

fn good_claims() -> Value {
    serde_json::to_value(pass().claims()).unwrap()
}

fn with(mut value: Value, name: &str, to: Value) -> Value {
    value[name] = to;
    value
}

#[test]
fn verifies_what_it_signed() {
    let ring = ring(1);
    let claims = verifier().verify(&pass().sign(&ring).unwrap(), "tatkal", &ring, NOW_MS).unwrap();
    assert_eq!(*claims, pass().claims());
    assert_eq!(claims.ticket(), Some(TicketId(77)));
    assert!(opens(&signed(&ring, &good_header(&ring), &good_claims()), &ring), "the forger's tool works");
}

#[test]
fn the_key_pins_the_header() {
    let ring = ring(1);
    let good = good_header(&ring);
    let bad = [
        with(good.clone(), "typ", json!("JWT")),
        with(good.clone(), "alg", json!("none")),
        with(good.clone(), "alg", json!("HS256")),
        with(good.clone(), "alg", json!("ES256")),
        with(good.clone(), "kid", json!("00000000")),
        with(good.clone(), "kid", json!("../../etc/passwd")),
        with(good.clone(), "kid", json!(ring.pass_signer().0.to_string().to_uppercase() + " ")),
        with(good.clone(), "kid", json!(ring.ticket_signer().0.to_string())),
        with(good.clone(), "kid", Value::Null),
        with(good.clone(), "jku", json!("https://evil.example/jwks.json")),
        with(good.clone(), "jwk", ring.jwks()["keys"][0].clone()),
        with(good.clone(), "crit", json!(["exp"])),
        with(good, "b64", json!(false)),
    ];
    for header in bad {
        assert!(!opens(&signed(&ring, &header, &good_claims()), &ring), "{header}");
    }
}

#[test]
fn the_claims_must_be_ours_and_current() {
    let ring = ring(1);
    let now = NOW_MS / 1000;
    let bad = [
        ("iss", json!("someone")),
        ("aud", json!("other")),
        ("aud", json!(["tatkal"])),
        ("exp", json!(now)),
        ("exp", json!("9999999999")),
        ("exp", Value::Null),
        ("iat", json!(now + 61)),
        ("iat", json!(-1)),
        ("num", json!(-1)),
    ];
    for (name, value) in bad {
        let claims = with(good_claims(), name, value);
        assert!(!opens(&signed(&ring, &good_header(&ring), &claims), &ring), "{claims}");
    }
    let soon = with(good_claims(), "iat", json!(now + 60));
    assert!(opens(&signed(&ring, &good_header(&ring), &soon), &ring), "a little skew is forgiven");
}

#[test]
fn the_public_key_is_no_hmac_secret() {
    let ring = ring(1);
    let jwks = ring.jwks();
    let public = URL_SAFE_NO_PAD.decode(jwks["keys"][0]["x"].as_str().unwrap()).unwrap();
    let mut swapped = header(ring.pass_signer().0, PassAlgorithm::EdDsa);
    swapped.alg = Algorithm::HS256;
    let secret = EncodingKey::from_secret(&public);
    let text = jsonwebtoken::encode(&swapped, &pass().claims(), &secret).unwrap();
    assert!(!opens(&text, &ring));
}

#[test]
fn an_unsigned_pass_is_none() {
    let ring = ring(1);
    let text = pass().sign(&ring).unwrap();
    let (message, _) = text.rsplit_once('.').unwrap();
    assert!(!opens(message, &ring));
    assert!(!opens(&format!("{message}."), &ring));
    assert!(!opens(&format!("{text}.{text}"), &ring));
}

#[test]
fn a_remembered_pass_still_expires_and_still_has_one_room() {
    let (ring, verifier) = (ring(1), verifier());
    let text = pass().sign(&ring).unwrap();
    let opens = |room, now_ms| verifier.verify(&text, room, &ring, now_ms).is_some();
    assert!(opens("tatkal", NOW_MS));
    assert_eq!(verifier.verified.len(), 1);
    assert!(opens("tatkal", NOW_MS + HOUR_MS - 1));
    assert!(!opens("tatkal", NOW_MS + HOUR_MS));
    assert!(!opens("tatkal", NOW_MS - CLOCK_SKEW_MS - 1000));
    assert!(!opens("other", NOW_MS));
}

#[test]
fn refused_passes_are_not_remembered() {
    let (ring, verifier) = (ring(1), verifier());
    let text = pass().sign(&ring).unwrap();
    assert!(verifier.verify(&text, "other", &ring, NOW_MS).is_none());
    assert!(verifier.verified.is_empty());
}

#[test]
fn a_rotated_key_verifies_its_last_pass_and_a_retired_one_nothing() {
    let (mut ring, verifier) = (ring(1), verifier());
    let text = Pass { lifetime_ms: 10 * HOUR_MS, ..pass() }.sign(&ring).unwrap();
    let (old, _) = ring.pass_signer();
    let opens = |ring: &KeyRing, now_ms| verifier.verify(&text, "tatkal", ring, now_ms).is_some();
    assert!(opens(&ring, NOW_MS));
    ring.rotate(KeyKind::Pass, NOW_MS, HOUR_MS, &mut StdRng::seed_from_u64(5)).unwrap();
    assert_ne!(ring.pass_signer().0, old);
    assert!(opens(&ring, NOW_MS + HOUR_MS));
    assert!(!opens(&ring, NOW_MS + HOUR_MS + CLOCK_SKEW_MS + 1), "remembered, yet its key had its time");
    ring.retire(old).unwrap();
    assert!(!opens(&ring, NOW_MS), "remembered, yet its key is retired");
}

#[test]
fn another_ring_does_not_verify() {
    assert!(!opens(&pass().sign(&ring(1)).unwrap(), &ring(2)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_character_may_change(at: prop::sample::Index, to in "[A-Za-z0-9_.-]") {
        let ring = ring(1);
        let mut text = pass().sign(&ring).unwrap();
        let at = at.index(text.len());
        prop_assume!(text[at..=at] != to);
        text.replace_range(at..=at, &to);
        prop_assert!(!opens(&text, &ring));
    }

    #[test]
    fn no_text_opens_by_chance(text in "\\PC*") {
        prop_assert!(!opens(&text, &ring(1)));
    }
}

#[test]
fn each_algorithm_signs_what_its_own_key_verifies_and_no_other() {
    let mut rng = StdRng::seed_from_u64(11);
    for (algorithm, public) in [(PassAlgorithm::EdDsa, 1), (PassAlgorithm::Es256, 1), (PassAlgorithm::Hs256, 0)] {
        let ring = KeyRing::generate_for(algorithm, NOW_MS, &mut rng);
        let text = pass().sign(&ring).unwrap();
        assert!(opens(&text, &ring), "{algorithm}");
        assert_eq!(jsonwebtoken::decode_header(&text).unwrap().alg, algorithm.jwa());
        assert_eq!(ring.jwks()["keys"].as_array().unwrap().len(), public, "a secret is shown to nobody");
        assert!(!ring.jwks().to_string().contains("\"d\""));
        let (kid, key) = ring.pass_signer();
        for other in [PassAlgorithm::EdDsa, PassAlgorithm::Es256, PassAlgorithm::Hs256] {
            let told = URL_SAFE_NO_PAD.encode(serde_json::to_string(&header(kid, other)).unwrap());
            let message = format!("{told}.{}", URL_SAFE_NO_PAD.encode(good_claims().to_string()));
            let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm.jwa()).unwrap();
            assert_eq!(opens(&format!("{message}.{signature}"), &ring), other == algorithm, "{algorithm} as {other}");
        }
        let read = KeyRing::from_toml(&ring.to_toml().unwrap()).unwrap();
        assert!(opens(&text, &read), "{algorithm} from its file");
    }
}

#[test]
fn a_change_of_the_algorithm_signs_nobody_out() {
    let (mut ring, mut rng) = (ring(1), StdRng::seed_from_u64(12));
    let before = pass().sign(&ring).unwrap();
    ring.rotate_passes_to(PassAlgorithm::Es256, NOW_MS, HOUR_MS, &mut rng).unwrap();
    let after = pass().sign(&ring).unwrap();
    assert!(opens(&before, &ring) && opens(&after, &ring));
    ring.rotate(KeyKind::Pass, NOW_MS, HOUR_MS, &mut rng).unwrap();
    let last = pass().sign(&ring).unwrap();
    assert_eq!(jsonwebtoken::decode_header(&last).unwrap().alg, Algorithm::ES256, "a rotation keeps it");
}

#[test]
fn what_is_revoked_is_as_absent_though_it_was_verified_before() {
    let (mut ring, verifier) = (ring(1), verifier());
    let other = Pass { ticket: TicketId(78), ..pass() };
    let later = Pass { issued_ms: NOW_MS + 2_000, ..pass() };
    let [mine, theirs, later] = [pass(), other, later].map(|pass| pass.sign(&ring).unwrap());
    let is_good = |text: &str, ring: &KeyRing| verifier.verify(text, "tatkal", ring, NOW_MS + 3_000).is_some();
    assert!(is_good(&mine, &ring) && is_good(&theirs, &ring) && is_good(&later, &ring));
    ring.revoke(Revocation::Passes { room: "other".to_owned(), before_ms: NOW_MS + 9_000 }).unwrap();
    assert!(is_good(&mine, &ring));
    ring.revoke(Revocation::Passes { room: "tatkal".to_owned(), before_ms: NOW_MS + 1_000 }).unwrap();
    assert_eq!([&mine, &theirs, &later].map(|text| is_good(text, &ring)), [false, false, true]);
    ring.revoke(Revocation::Visitor { id: TicketId(77), until_ms: NOW_MS + HOUR_MS }).unwrap();
    assert!(!is_good(&later, &ring));
    let read = KeyRing::from_toml(&ring.to_toml().unwrap()).unwrap();
    assert_eq!(read.revocations(), ring.revocations());
    ring.prune(NOW_MS + HOUR_MS + 1);
    assert_eq!(ring.revocations().len(), 2, "the visitor's all have expired");
}
