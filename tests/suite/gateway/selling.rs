//! Sold out from memory, and sessions that end before their time.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::stand::{Setup, json};
use super::visitor::set_cookies;

const SHUT: &str = r#"admissions_per_second = 0
items = ["/api/inventory/{key}", "/api/holds?inventory={key}"]"#;

#[tokio::test]
async fn the_upstreams_word_is_remembered_for_its_time() {
    let stand = Setup::room(SHUT).manual().start().await;
    let mut buyer = stand.admitted().await;
    let item = "/api/inventory/12951:2026-11-23:3A";
    stand.upstream.say(item, &[("vestibule-sold-out", "12951:2026-11-23:3A; ttl=30")]);
    let said = buyer.get(item).await;
    assert_eq!((said.status(), said.header("vestibule-sold-out")), (200, None), "the word is for the gateway");

    let before = stand.upstream.seen().len();
    let mut passer = stand.visitor().program();
    for path in [item, "/api/holds?inventory=12951%3A2026-11-23%3A3A"] {
        let told = buyer.get(path).await;
        assert_eq!((told.status(), told.header("retry-after")), (410, Some("5")), "{path}");
        let told = passer.get(path).await;
        assert_eq!((told.status(), &json(&told)["type"]), (410, &"/problems/sold_out".into()));
    }
    assert_eq!(passer.ticket(), "", "nobody stands in line for what is sold out");
    assert_eq!(stand.upstream.seen().len(), before, "the upstream hears nothing of it");
    assert_eq!(buyer.get("/api/inventory/12951:2026-11-23:SL").await.status(), 200, "another item");
    assert_eq!(stand.operator.metric("vestibule_sold_out_responses_total").await, 4.0);

    stand.clock.advance_ms(30_000);
    stand.upstream.say(item, &[]);
    assert_eq!(buyer.get(item).await.status(), 200, "its time has passed");
    assert_eq!(stand.upstream.count(item), 2);
    stand.stop().await;
}

#[tokio::test]
async fn a_word_without_a_key_is_about_the_path_and_is_taken_back_by_word() {
    let stand = Setup::room(SHUT).start().await;
    let mut buyer = stand.admitted().await;
    stand.upstream.say("/train", &[("vestibule-sold-out", "; ttl=600")]);
    stand.upstream.say("/returned", &[("vestibule-on-sale", "/train"), ("vestibule-stock", "/train=3")]);
    buyer.get("/train").await;
    assert_eq!(buyer.get("/train").await.status(), 410);
    assert_eq!(stand.operator.room().await["sold_out"], serde_json::json!(["/train"]));
    buyer.get("/returned").await;
    stand.upstream.say("/train", &[]);
    assert_eq!(buyer.get("/train").await.status(), 200);
    assert_eq!(stand.operator.room().await["stock"], serde_json::json!({"/train": 3}));
    assert_eq!(stand.upstream.count("/train"), 2);
    stand.stop().await;
}

#[tokio::test]
async fn a_sold_out_that_comes_late_does_not_undo_the_on_sale_after_it() {
    let stand = Setup::room(SHUT).start().await;
    let mut buyer = stand.admitted().await;
    stand.upstream.say("/late", &[("vestibule-sold-out", "/train; ttl=600; version=7")]);
    stand.operator.act("on-sale", r#"{"key":"/train","version":8}"#).await;
    buyer.get("/late").await;
    assert_eq!(buyer.get("/train").await.status(), 200, "it was sold out before that");
    stand.upstream.say("/late", &[("vestibule-sold-out", "/train; ttl=600; version=9")]);
    buyer.get("/late").await;
    assert_eq!(buyer.get("/train").await.status(), 410);
    stand.operator.act("on-sale", r#"{"key":"/train","version":8}"#).await;
    assert_eq!(buyer.get("/train").await.status(), 410, "and so does a late word over the admin listener");
    stand.stop().await;
}

#[tokio::test]
async fn an_operator_says_so_and_takes_it_back() {
    let stand = Setup::room(SHUT).start().await;
    let mut buyer = stand.admitted().await;
    let mut waiting = stand.waiting(1).await.remove(0);
    let mut live = waiting.live().await;
    let before = stand.upstream.seen().len();
    stand.operator.act("sold-out", r#"{"key":"x"}"#).await;
    assert_eq!(buyer.get("/api/inventory/x").await.status(), 410);
    stand.operator.act("sold-out", "").await;
    assert_eq!(stand.visitor().get("/anything").await.status(), 410);
    let app = stand.visitor().post("/.vestibule/join", r#"{"room":"sale"}"#).await;
    assert_eq!((app.status(), set_cookies(&app).len()), (410, 0), "nor has an app a place for what is gone");
    live.until(|status| status["state"] == "sold_out").await;
    assert!(waiting.get("/anything").await.text().contains("\"position\":1"), "the place is kept");
    assert_eq!(stand.upstream.seen().len(), before);
    assert_eq!(buyer.post("/api/holds/1/payments", "").await.status(), 200, "what is held is paid for");

    stand.operator.act("on-sale", "").await;
    live.until(|status| status["state"] == "waiting").await;
    assert!(stand.visitor().get("/anything").await.text().contains("\"position\":2"));
    assert_eq!(buyer.get("/api/inventory/x").await.status(), 410, "this one still is");
    stand.operator.act("on-sale", r#"{"key":"x"}"#).await;
    assert_eq!(buyer.get("/api/inventory/x").await.status(), 200);
    stand.stop().await;
}

#[tokio::test]
async fn a_waiting_visitor_hears_what_is_left() {
    let stand = Setup::room(&format!("{SHUT}\nitem = \"train\"")).start().await;
    let mut waiting = stand.waiting(1).await.remove(0);
    assert_eq!(waiting.status().await["stock"], serde_json::Value::Null);
    stand.operator.act("stock", r#"{"key":"train","available":812}"#).await;
    assert_eq!(waiting.status().await["stock"]["available"], 812);
    stand.operator.act("sold-out", r#"{"key":"train"}"#).await;
    assert_eq!(waiting.status().await["state"], "sold_out");
    stand.stop().await;
}

#[tokio::test]
async fn an_ended_session_frees_its_slot_and_voids_the_pass() {
    let stand = Setup::room("total_active_users = 1").start().await;
    stand.upstream.say("/done", &[("vestibule-end-session", "1")]);
    let mut first = stand.visitor();
    assert_eq!(first.get("/").await.text(), "the site at /");
    let mut second = stand.waiting(1).await.remove(0);
    let kept = first.clone();
    let done = first.get("/done").await;
    assert_eq!(
        (done.text(), first.pass()),
        ("the site at /done".to_owned(), String::new()),
        "the cookie is taken away"
    );
    second.until_state("called").await;
    assert_eq!(second.get("/").await.text(), "the site at /");
    let mut thief = kept;
    let old = thief.ticket();
    assert!(thief.get("/").await.text().contains("<html"), "the pass is void");
    assert_ne!(thief.ticket(), old);
    stand.stop().await;
}

#[tokio::test]
async fn a_renewed_session_goes_on_in_its_slot() {
    let stand = Setup::room("total_active_users = 1\nsession_duration = \"60s\"").manual().start().await;
    stand.upstream.say("/pay", &[("vestibule-renew-session", "1")]);
    let mut first = stand.visitor();
    assert_eq!(first.get("/").await.text(), "the site at /");
    let mut second = stand.waiting(1).await.remove(0);
    let (pass, ends_at) = (first.pass(), first.status().await["session_ends_at"].as_u64().unwrap());
    assert_eq!(exp_of(&pass) * 1_000, ends_at);

    stand.clock.advance_ms(40_000);
    let paid = first.get("/pay").await;
    assert_eq!((paid.text(), paid.header("vestibule-renew-session")), ("the site at /pay".to_owned(), None));
    let is_renewed = |status: &serde_json::Value| status["session_ends_at"].as_u64() >= Some(ends_at + 39_000);
    let renewed = first.until("the renewal", is_renewed).await;
    assert_eq!(renewed["state"], "admitted");
    assert_eq!(first.pass(), pass, "no poll earns another");
    let app = json(&first.clone().post("/.vestibule/join", r#"{"room":"sale"}"#).await);
    let renewed_s = renewed["session_ends_at"].as_u64().unwrap() / 1_000;
    assert_eq!(exp_of(app["pass"].as_str().unwrap()), renewed_s, "an app gets a pass that is as good");

    let mut late = first.clone();
    assert_eq!(first.get("/").await.text(), "the site at /");
    assert_eq!(exp_of(&first.pass()), renewed_s, "the next request does");
    stand.clock.advance_ms(30_000);
    assert_eq!(late.get("/").await.text(), "the site at /", "the pass is over, and the session is not");
    assert_eq!(exp_of(&late.pass()), renewed_s);
    assert_eq!(first.get("/").await.text(), "the site at /");
    assert_eq!(second.status().await["state"], "waiting", "the slot is taken");

    stand.upstream.say("/done", &[("vestibule-end-session", "1"), ("vestibule-renew-session", "1")]);
    first.get("/done").await;
    second.until_state("called").await;
    assert!(first.get("/").await.text().contains("<html"), "an end is the last word");
    stand.stop().await;
}

#[tokio::test]
async fn a_renewed_session_runs_out_too() {
    let stand = Setup::room("total_active_users = 1\nsession_duration = \"60s\"").manual().start().await;
    stand.upstream.say("/pay", &[("vestibule-renew-session", "1")]);
    let mut first = stand.visitor();
    first.get("/pay").await;
    let ends_at = first.status().await["session_ends_at"].as_u64();
    stand.clock.advance_ms(5_000);
    first.get("/pay").await;
    stand.operator.ticks().await;
    assert_eq!(first.status().await["session_ends_at"].as_u64(), ends_at, "less than a tenth would be gained");
    let mut second = stand.waiting(1).await.remove(0);
    stand.clock.advance_ms(25_000);
    first.get("/pay").await;
    first.until("the renewal", |status| status["session_ends_at"].as_u64() > ends_at).await;
    stand.clock.advance_ms(61_000);
    second.until_state("called").await;
    assert!(first.get("/").await.text().contains("<html"));
    stand.stop().await;
}

/// Reads from a pass when it ends, in seconds since the Unix epoch.
fn exp_of(pass: &str) -> u64 {
    let payload = BASE64_URL_SAFE_NO_PAD.decode(pass.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    claims["exp"].as_u64().unwrap()
}

#[tokio::test]
async fn a_session_may_end_with_its_very_first_answer() {
    let stand = Setup::room("total_active_users = 1").start().await;
    stand.upstream.say("/done", &[("vestibule-end-session", "1")]);
    let mut visitor = stand.visitor();
    let done = visitor.get("/done").await;
    assert_eq!(visitor.pass(), "", "the last word about the cookie counts: {:?}", set_cookies(&done));
    stand.operator.until("the free slot", |room| room["active_sessions"] == 0).await;
    stand.stop().await;
}
