use hyper::header::{AUTHORIZATION, HeaderValue};
use jsonwebtoken::{EncodingKey, Header};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::*;
use crate::token::key_ring::KeyKind;

const NOW_MS: u64 = 1_795_000_000_000;
const NOW_S: u64 = NOW_MS / 1_000;

/// Key pairs made for these tests alone.
const ED_PRIVATE: &str = include_str!("tests/ed25519.pem");
const ED_PUBLIC: &str = include_str!("tests/ed25519.pub.pem");
const EC_PRIVATE: &str = include_str!("tests/p256.pem");
const EC_PUBLIC: &str = include_str!("tests/p256.pub.pem");
const SECRET: &str = "a secret of the site's own, 32 bytes long at least\n";

fn ring() -> KeyRing {
    KeyRing::generate(NOW_MS, &mut StdRng::seed_from_u64(1))
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn rule(source: Source) -> PersonRule {
    PersonRule { source, required: true, sign_in: None }
}

fn by_header() -> PersonRule {
    rule(Source::Header(HeaderName::from_static("x-user")))
}

fn identify(rule: &PersonRule, headers: &HeaderMap, peer_is_trusted: bool) -> Option<PersonId> {
    rule.identify(Shown { headers, peer_is_trusted }, "sale", &ring(), NOW_MS)
}

#[test]
fn a_header_counts_from_a_trusted_proxy_only_and_once() {
    let asha = headers(&[("x-user", "asha")]);
    let known = identify(&by_header(), &asha, true);
    assert!(known.is_some());
    assert_eq!(identify(&by_header(), &headers(&[("x-user", " asha ")]), true), known);
    assert_ne!(identify(&by_header(), &headers(&[("x-user", "ashb")]), true), known);
    assert_eq!(identify(&by_header(), &asha, false), None, "anybody can write a header");
    for shown in [headers(&[]), headers(&[("x-user", "")]), headers(&[("x-user", "asha"), ("x-user", "bina")])] {
        assert_eq!(identify(&by_header(), &shown, true), None, "{shown:?}");
    }
    assert_eq!(identify(&by_header(), &headers(&[("x-user", &"a".repeat(1_025))]), true), None);
}

#[test]
fn an_id_is_of_one_room_and_one_key_and_outlives_a_rotation() {
    let id = |room: &str, ring: &KeyRing| {
        let headers = headers(&[("x-user", "asha")]);
        by_header().identify(Shown { headers: &headers, peer_is_trusted: true }, room, ring, NOW_MS).unwrap()
    };
    let mut ring = ring();
    let before = id("sale", &ring);
    assert_ne!(id("other", &ring), before);
    assert_ne!(id("sale", &KeyRing::generate(NOW_MS, &mut StdRng::seed_from_u64(2))), before);
    for kind in [KeyKind::Ticket, KeyKind::Pass] {
        ring.rotate(kind, NOW_MS, 1_000, &mut StdRng::seed_from_u64(3)).unwrap();
    }
    ring.prune(NOW_MS + 1_000_000);
    let ring = KeyRing::from_toml(&ring.to_toml().unwrap()).unwrap();
    assert_eq!(id("sale", &ring), before);
}

#[test]
fn a_ring_of_old_knows_nobody_until_it_is_rotated() {
    let text = ring().to_toml().unwrap();
    let old: Vec<&str> = text.lines().filter(|line| !line.starts_with("root")).collect();
    let mut ring = KeyRing::from_toml(&old.join("\n")).unwrap();
    assert_eq!((are_known_to(&ring), identify_with(&ring)), (false, None));
    let rotate = |ring: &mut KeyRing, seed| {
        ring.rotate(KeyKind::Ticket, NOW_MS, 1_000, &mut StdRng::seed_from_u64(seed)).unwrap();
    };
    rotate(&mut ring, 4);
    let first = identify_with(&ring);
    rotate(&mut ring, 5);
    assert!(are_known_to(&ring) && first.is_some() && identify_with(&ring) == first, "made once");
}

fn identify_with(ring: &KeyRing) -> Option<PersonId> {
    let headers = headers(&[("x-user", "asha")]);
    by_header().identify(Shown { headers: &headers, peer_is_trusted: true }, "sale", ring, NOW_MS)
}

#[test]
fn a_persons_ticket_is_told_from_anybodys() {
    let person = identify_with(&ring()).unwrap();
    assert_eq!(holder(ticket_of(person)), Some(person));
    assert_eq!(holder(ticket_of_anybody(u128::MAX)), None);
}

fn sign(algorithm: jsonwebtoken::Algorithm, key: &EncodingKey, claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, key).unwrap()
}

fn hs256(claims: &Value) -> String {
    sign(jsonwebtoken::Algorithm::HS256, &EncodingKey::from_secret(SECRET.trim_end().as_bytes()), claims)
}

fn in_cookie(algorithm: Algorithm, key: &str) -> PersonRule {
    let claim = SignedClaim::in_cookie("session".into(), "sub".into(), algorithm, key.as_bytes()).unwrap();
    rule(Source::Signed(Arc::new(claim)))
}

fn of_cookie(rule: &PersonRule, token: &str) -> Option<PersonId> {
    identify(rule, &headers(&[("cookie", &format!("a=b; session={token}"))]), false)
}

#[test]
fn a_claim_counts_in_each_algorithm_and_in_no_other() {
    let claims = json!({"sub": "asha", "exp": NOW_S + 60});
    let tokens = [
        sign(jsonwebtoken::Algorithm::EdDSA, &EncodingKey::from_ed_pem(ED_PRIVATE.as_bytes()).unwrap(), &claims),
        sign(jsonwebtoken::Algorithm::ES256, &EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).unwrap(), &claims),
        hs256(&claims),
    ];
    let rules = [
        in_cookie(Algorithm::EdDsa, ED_PUBLIC),
        in_cookie(Algorithm::Es256, EC_PUBLIC),
        in_cookie(Algorithm::Hs256, SECRET),
    ];
    for (i, rule) in rules.iter().enumerate() {
        for (j, token) in tokens.iter().enumerate() {
            assert_eq!(of_cookie(rule, token).is_some(), i == j, "{i} {j}");
            assert_eq!(of_cookie(rule, token).is_some(), i == j, "and again, from memory");
        }
    }
    assert_eq!(of_cookie(&rules[0], &tokens[0]), of_cookie(&rules[2], &tokens[2]), "one person, however it is signed");
}

#[test]
fn forged_expired_and_foreign_are_as_absent() {
    let rule = in_cookie(Algorithm::Hs256, SECRET);
    let good = hs256(&json!({"sub": "asha"}));
    assert!(of_cookie(&rule, &good).is_some());
    let (head, body) = good.rsplit_once('.').unwrap().0.split_once('.').unwrap();
    let with_body = |body: &Value| {
        use base64::Engine as _;
        let body = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(body.to_string());
        format!("{head}.{body}.{}", good.rsplit_once('.').unwrap().1)
    };
    // alg none, and HS256 with the public key of another algorithm as its secret.
    let none = format!("eyJhbGciOiJub25lIn0.{body}.");
    let swapped = {
        let key = EncodingKey::from_secret(ED_PUBLIC.trim_end().as_bytes());
        sign(jsonwebtoken::Algorithm::HS256, &key, &json!({"sub": "asha"}))
    };
    let mut critical = Header::new(jsonwebtoken::Algorithm::HS256);
    critical.crit = Some(vec!["exp".into()]);
    let critical = {
        let key = EncodingKey::from_secret(SECRET.trim_end().as_bytes());
        jsonwebtoken::encode(&critical, &json!({"sub": "asha"}), &key).unwrap()
    };
    for bad in [
        String::new(),
        "x".into(),
        "a.b.c".into(),
        none,
        swapped.clone(),
        critical,
        with_body(&json!({"sub": "bina"})),
        hs256(&json!({"sub": "asha", "exp": NOW_S})),
        hs256(&json!({"sub": "asha", "exp": "never"})),
        hs256(&json!({"sub": "asha", "nbf": NOW_S + 61})),
        hs256(&json!({"sub": ""})),
        hs256(&json!({"sub": ["asha"]})),
        hs256(&json!({"name": "asha"})),
        hs256(&json!({"sub": "a".repeat(9_000)})),
    ] {
        assert_eq!(of_cookie(&rule, &bad), None, "{bad}");
    }
    assert_eq!(of_cookie(&in_cookie(Algorithm::EdDsa, ED_PUBLIC), &swapped), None);
    assert!(of_cookie(&rule, &hs256(&json!({"sub": 4711}))).is_some(), "a customer's number is a name");
}

#[test]
fn a_token_that_runs_out_counts_no_more_though_it_was_verified() {
    let rule = in_cookie(Algorithm::Hs256, SECRET);
    let headers = headers(&[("cookie", &format!("session={}", hs256(&json!({"sub": "asha", "exp": NOW_S + 5}))))]);
    let at = |now_ms| rule.identify(Shown { headers: &headers, peer_is_trusted: false }, "sale", &ring(), now_ms);
    assert!(at(NOW_MS).is_some() && at(NOW_MS + 4_999).is_some());
    assert_eq!(at(NOW_MS + 5_000), None);
}

#[test]
fn issuer_and_audience_count_where_they_are_named() {
    let claim = SignedClaim::in_header(AUTHORIZATION, "sub".into(), Algorithm::Hs256, SECRET.as_bytes()).unwrap();
    let rule = rule(Source::Signed(Arc::new(claim.only(Some("shop".into()), Some("sale".into())))));
    let of = |scheme: &str, claims: Value| {
        let value = format!("{scheme}{}", hs256(&claims));
        identify(&rule, &headers(&[("authorization", &value)]), false).is_some()
    };
    assert!(of("Bearer ", json!({"sub": "asha", "iss": "shop", "aud": "sale"})));
    assert!(of("bearer ", json!({"sub": "asha", "iss": "shop", "aud": ["x", "sale"]})));
    assert!(of("", json!({"sub": "asha", "iss": "shop", "aud": "sale"})));
    assert!(!of("Basic ", json!({"sub": "asha", "iss": "shop", "aud": "sale"})));
    assert!(!of("Bearer ", json!({"sub": "asha", "iss": "else", "aud": "sale"})));
    assert!(!of("Bearer ", json!({"sub": "asha", "iss": "shop"})));
    assert!(!of("Bearer ", json!({"sub": "asha", "aud": "sale"})));
}

#[test]
fn a_key_that_does_not_fit_is_told_without_quoting_it() {
    let new = |algorithm, key: &str| {
        SignedClaim::in_cookie("s".into(), "sub".into(), algorithm, key.as_bytes()).map(drop).unwrap_err()
    };
    assert_eq!(new(Algorithm::EdDsa, EC_PUBLIC), BadKey::EdDsa);
    assert_eq!(new(Algorithm::EdDsa, ED_PRIVATE), BadKey::EdDsa, "a private key has no business here");
    assert_eq!(new(Algorithm::Es256, ED_PUBLIC), BadKey::Es256);
    assert_eq!(new(Algorithm::Hs256, "short"), BadKey::Hs256);
    assert_eq!(new(Algorithm::Hs256, ED_PUBLIC), BadKey::Hs256, "a public key is no secret");
    let shown = format!("{:?}", in_cookie(Algorithm::Hs256, SECRET));
    assert!(!shown.contains("secret of"), "{shown}");
}

#[test]
fn the_way_to_sign_in_leads_back_and_nowhere_else() {
    let rule = PersonRule { sign_in: Some("/login?next={return}".into()), ..by_header() };
    for (path, query, back) in [
        ("/book/1", None, "%2Fbook%2F1"),
        ("/book", Some("seat=2&a=b c"), "%2Fbook%3Fseat%3D2%26a%3Db%20c"),
        ("//evil.example/x", None, "%2F"),
        ("/\\evil.example", Some("x"), "%2F"),
        ("/a\r\nb", None, "%2Fa%0D%0Ab"),
    ] {
        assert_eq!(rule.sign_in(path, query), Some(format!("/login?next={back}")), "{path}");
    }
    assert_eq!(by_header().sign_in("/", None), None);
}
