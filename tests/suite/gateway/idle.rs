//! A room where nobody waits: everyone goes straight in, with a place and a pass all the same.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use super::stand::{Setup, json};
use super::visitor::set_cookies;

#[tokio::test]
async fn an_idle_room_admits_at_once_with_a_pass() {
    let stand = Setup::room("").start().await;
    let mut visitor = stand.visitor();
    visitor.jar.insert("lang".to_owned(), "en".to_owned());
    let first = visitor.get("/seats?class=3A").await;
    assert_eq!((first.status(), first.text()), (200, "the site at /seats".to_owned()));
    for cookie in set_cookies(&first) {
        assert!(cookie.contains("; HttpOnly; SameSite=Lax") && cookie.contains("; Path=/;"), "{cookie}");
    }
    visitor.get("/seats").await;

    let seen = stand.upstream.seen();
    assert_eq!(seen[0].uri, "/seats?class=3A");
    for seen in &seen {
        assert_eq!(seen.header("vestibule-room"), Some("sale"));
        assert_eq!(seen.header("vestibule-pass"), Some(visitor.pass().as_str()));
        assert_eq!(seen.header("cookie"), Some("lang=en"), "the gateway's cookies stay with the gateway");
    }
    assert_eq!(seen[0].header("vestibule-visitor"), seen[1].header("vestibule-visitor"));

    let claims = verified(&visitor.pass(), &json(&visitor.get("/.vestibule/jwks.json").await));
    assert_eq!(claims["sub"].as_str(), seen[0].header("vestibule-visitor"));
    assert_eq!((&claims["num"], &claims["aud"]), (&1.into(), &"sale".into()));
    assert_eq!(visitor.status().await["state"], "admitted");
    stand.stop().await;
}

#[tokio::test]
async fn no_shared_cache_keeps_an_answer_with_somebodys_pass() {
    let stand = Setup::room("").start().await;
    stand.upstream.say("/news", &[("cache-control", "public, max-age=600"), ("surrogate-control", "max-age=600")]);
    let mut visitor = stand.visitor();
    let first = visitor.get("/news").await;
    assert_eq!((first.header("cache-control"), first.header("surrogate-control")), (Some("no-store"), None));
    let second = visitor.get("/news").await;
    assert_eq!(second.header("cache-control"), Some("max-age=600, private"), "a browser may keep it, nobody else");
    let told = ["cdn-cache-control", "surrogate-control"].map(|name| second.header(name));
    assert_eq!(told, [Some("no-store"); 2], "a cache in front would let everybody in");
    stand.stop().await;
}

/// Reads a pass with nothing but the published keys.
fn verified(pass: &str, jwks: &Value) -> Value {
    let keys: JwkSet = serde_json::from_value(jwks.clone()).unwrap();
    let head = decode_header(pass).unwrap();
    assert_eq!(head.typ.as_deref(), Some("vestibule-pass+jwt"));
    let key = DecodingKey::from_jwk(keys.find(&head.kid.unwrap()).unwrap()).unwrap();
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_audience(&["sale"]);
    rules.set_issuer(&["vestibule"]);
    decode(pass, &key, &rules).unwrap().claims
}

#[tokio::test]
async fn reloading_keeps_the_one_ticket() {
    let stand = Setup::room("").start().await;
    let mut visitor = stand.visitor();
    visitor.get("/").await;
    let (ticket, pass) = (visitor.ticket(), visitor.pass());
    let reloads = (0..25).map(|_| {
        let mut tab = visitor.clone();
        async move {
            let page = tab.get("/").await;
            (page.status(), set_cookies(&page).len())
        }
    });
    for reload in futures_util::future::join_all(reloads).await {
        assert_eq!(reload, (200, 0), "no new cookie");
    }
    visitor.get("/").await;
    assert_eq!((visitor.ticket(), visitor.pass()), (ticket, pass));
    assert_eq!(stand.operator.until("the join", |room| room["issued"] == 1).await["called"], 1);
    assert_eq!(stand.upstream.seen().len(), 27);
    stand.stop().await;
}

#[tokio::test]
async fn sessions_stay_within_the_active_limit_and_end() {
    let stand = Setup::room("total_active_users = 1\nsession_duration = \"60s\"").manual().start().await;
    let (mut first, mut second) = (stand.visitor(), stand.visitor());
    assert_eq!(first.get("/").await.text(), "the site at /");
    second.get("/").await;
    assert_eq!((second.pass(), second.position().await), (String::new(), Some(1)), "the one session is in use");
    stand.clock.advance_ms(59_000);
    assert_eq!(second.position().await, Some(1));
    stand.clock.advance_ms(2_000);
    second.until_state("called").await;
    assert_eq!(second.get("/").await.text(), "the site at /");
    let old = first.ticket();
    assert!(first.get("/").await.text().contains("<html"), "the session is over, and so is the pass");
    assert_ne!(first.ticket(), old);
    assert_eq!(stand.operator.room().await["active_sessions"], 1);
    stand.stop().await;
}
