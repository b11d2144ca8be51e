use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

fn ring() -> KeyRing {
    KeyRing::generate(1_000, &mut rng())
}

fn spelled(ring: &KeyRing) -> String {
    ring.to_toml().unwrap()
}

#[test]
fn comes_back_from_toml_as_it_was() {
    let mut ring = ring();
    let mut rng = StdRng::seed_from_u64(8);
    ring.rotate(KeyKind::Pass, 2_000, 500, &mut rng).unwrap();
    let old = ring.rotate(KeyKind::Ticket, 2_000, 500, &mut rng).unwrap();
    ring.rotate(KeyKind::Ticket, 3_000, 500, &mut rng).unwrap();
    ring.retire(old).unwrap();
    let read = KeyRing::from_toml(&spelled(&ring)).unwrap();
    assert_eq!(spelled(&read), spelled(&ring));
    assert_eq!(read.jwks(), ring.jwks());
    assert_eq!(read.ticket_signer(), ring.ticket_signer());
    let again = KeyRing::from_toml(&spelled(&read)).unwrap();
    assert_eq!(read.generation(), again.generation(), "one document, one generation, on every gateway");
}

#[test]
fn shows_no_secret() {
    let ring = ring();
    let (_, secret) = ring.ticket_signer();
    for shown in [format!("{ring:?}"), format!("{:?}", ring.keys), ring.jwks().to_string()] {
        assert!(!shown.contains(&format!("{}, {}", secret[0], secret[1])), "{shown}");
        let text = spelled(&ring);
        let secrets = text.lines().filter_map(|line| line.strip_prefix("secret = "));
        assert!(secrets.clone().count() == 2);
        for secret in secrets {
            assert!(!shown.contains(secret.trim_matches('"')));
        }
    }
}

#[test]
fn a_fault_does_not_quote_the_document() {
    let text = spelled(&ring()).replace("secret = \"", "secret = \"\\q");
    let fault = KeyRing::from_toml(&text).unwrap_err();
    assert_eq!(fault, KeyRingFault::Unreadable("line 7 is not what a key ring holds there".into()));
}

#[test]
fn refuses_rings_it_could_not_sign_with() {
    let good = spelled(&ring());
    let keys = &good[good.find("[[ticket]]").unwrap()..];
    let (ticket, pass) = keys.split_at(keys.find("[[pass]]").unwrap());
    let kid = ring().ticket_signer().0;
    let refused = |text: &str| KeyRing::from_toml(text).unwrap_err();
    assert_eq!(refused(""), KeyRingFault::NotOneActive("ticket"));
    assert_eq!(refused(ticket), KeyRingFault::NotOneActive("pass"));
    assert_eq!(refused(&format!("{ticket}{ticket}{pass}")), KeyRingFault::NotOneActive("ticket"));
    let renamed = pass.replace(&ring().pass_signer().0.to_string(), &kid.to_string());
    assert_eq!(refused(&format!("{ticket}{renamed}")), KeyRingFault::Twice(kid));
    let short = good.replacen("secret = \"", "secret = \"AA", 1);
    assert_eq!(refused(&short), KeyRingFault::BadSecret(kid));
    assert_eq!(refused(&format!("{}{pass}", ticket.repeat(17))), KeyRingFault::Full);
    assert_eq!(refused(&good.replacen("root = \"", "root = \"AA", 1)), KeyRingFault::BadRoot);
    for broken in [format!("{good}\ncolour = 1"), good.replacen("kid = \"", "kid = \"x", 1)] {
        assert!(matches!(refused(&broken), KeyRingFault::Unreadable(_)));
    }
}

#[test]
fn rotation_is_bounded_and_pruning_makes_room() {
    let (mut ring, mut rng) = (ring(), rng());
    for at in 1..16 {
        ring.rotate(KeyKind::Pass, at, 10, &mut rng).unwrap();
    }
    assert_eq!(ring.rotate(KeyKind::Pass, 99, 10, &mut rng), Err(KeyRingFault::Full));
    assert_eq!(ring.jwks()["keys"].as_array().unwrap().len(), 16);
    let long_after_ms = 1_000_000;
    ring.prune(long_after_ms);
    assert_eq!(ring.jwks()["keys"].as_array().unwrap().len(), 1);
    ring.prune(long_after_ms);
    assert_eq!(ring.list().count(), 2);
    assert!(ring.rotate(KeyKind::Pass, long_after_ms, 10, &mut rng).is_ok());
}

#[test]
fn an_announced_key_verifies_everywhere_before_it_signs() {
    let (mut ring, mut rng) = (ring(), rng());
    let before = ring.generation();
    let ticket = ring.announce(KeyKind::Ticket, None, 1, &mut rng).unwrap();
    let pass = ring.announce(KeyKind::Pass, Some(PassAlgorithm::Es256), 1, &mut rng).unwrap();
    assert_eq!(ring.announce(KeyKind::Pass, None, 2, &mut rng), Ok(pass), "once");
    let other = ring.announce(KeyKind::Pass, Some(PassAlgorithm::Hs256), 2, &mut rng);
    assert_eq!(other, Err(KeyRingFault::Announced(pass)));
    assert!(ring.ticket_signer().0 != ticket && ring.pass_signer().0 != pass && ring.generation() != before);
    assert_eq!(ring.jwks()["keys"].as_array().unwrap().len(), 2, "programs can know it too");
    let other = KeyRing::from_toml(&ring.to_toml().unwrap()).unwrap();
    let eddsa = PassAlgorithm::EdDsa;
    assert_eq!(ring.rotate_passes_to(eddsa, 3, 10, &mut rng), Err(KeyRingFault::Announced(pass)));
    assert_eq!(ring.rotate(KeyKind::Ticket, 3, 10, &mut rng), Ok(ticket));
    assert_eq!(ring.rotate(KeyKind::Pass, 3, 10, &mut rng), Ok(pass));
    assert_eq!((ring.ticket_signer().0, ring.pass_signer().0), (ticket, pass));
    assert!(
        other.ticket_key(ticket, 4).is_some() && other.pass_key(pass).is_some(),
        "a gateway that has not heard yet"
    );
    assert!(ring.ticket_key(other.ticket_signer().0, 4).is_some(), "and what it signs meanwhile");
    assert_eq!(ring.list().count(), 4);
}

#[test]
fn an_active_key_is_not_retired() {
    let mut ring = ring();
    let (kid, _) = ring.pass_signer();
    assert_eq!(ring.retire(kid), Err(KeyRingFault::Active(kid)));
    assert_eq!(ring.retire(Kid::from_bits(0)), Err(KeyRingFault::Unknown(Kid::from_bits(0))));
}

#[test]
fn every_change_of_what_verifies_is_another_generation() {
    let (mut ring, mut rng) = (ring(), StdRng::seed_from_u64(8));
    let mut seen = vec![ring.generation()];
    let (old, _) = ring.pass_signer();
    ring.rotate(KeyKind::Pass, 2_000, 500, &mut rng).unwrap();
    seen.push(ring.generation());
    ring.retire(old).unwrap();
    seen.push(ring.generation());
    seen.dedup();
    assert_eq!(seen.len(), 3);
}
