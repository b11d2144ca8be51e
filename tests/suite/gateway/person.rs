//! One person, one place: on two devices, with a header or a signed token, over two gateways and a restart.

use std::path::Path;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::stand::{Setup, Stand, eventually, json as body};
use super::upstream::Upstream;
use super::visitor::Visitor;
use crate::program::Process;
use crate::redis_server::RedisServer;

const SECRET: &str = "a secret of the site's own, 32 bytes long at least";

/// A room that knows persons by what a proxy on this machine says.
const BY_HEADER: &str = "admissions_per_second = 0\nbypass = [\"/login\"]\n[room.sale.person]\nheader = \"X-User\"\n\
                         sign_in = \"/login?next={return}\"\n";

fn by_header(keys: &str) -> Setup {
    Setup::room(&format!("{BY_HEADER}{keys}")).top("trusted_proxies = [\"127.0.0.1\"]")
}

/// A room that knows persons by a token in a cookie.
fn by_token(folder: &Path, keys: &str) -> Setup {
    let file = folder.join("secret");
    std::fs::write(&file, SECRET).unwrap();
    let file = file.display();
    Setup::room(&format!(
        "admissions_per_second = 0\n[room.sale.person]\ncookie = \"session\"\nclaim = \"sub\"\nalgorithm = \"HS256\"\n\
         key_file = \"{file}\"\n{keys}"
    ))
}

fn token(claims: &Value, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

/// Another device of this person.
fn device(stand: &Stand, who: &str) -> Visitor {
    stand.visitor().with("X-User", who)
}

/// The room, the number and the id of a visitor's ticket.
async fn place(visitor: &mut Visitor) -> (u64, String) {
    let receipt = body(&visitor.get("/.vestibule/receipt?room=sale").await);
    (receipt["number"].as_u64().unwrap(), receipt["ticket"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn two_devices_hold_one_place() {
    let stand = by_header("").start().await;
    let (mut phone, mut laptop) = (device(&stand, "asha"), device(&stand, "asha"));
    let mut other = device(&stand, "bina");
    phone.get("/").await;
    other.get("/").await;
    laptop.get("/").await;
    assert_eq!(place(&mut phone).await, place(&mut laptop).await, "the very same ticket");
    assert_eq!((place(&mut phone).await.0, place(&mut other).await.0), (1, 2));
    let room = stand.operator.until("both persons", |room| room["waiting"] == 2 && room["present"] == 2).await;
    assert_eq!(room["issued"], 2, "{room}");

    let mut live = laptop.live().await;
    live.until(|status| status["position"] == 1).await;
    stand.operator.act("admit", r#"{"count":1}"#).await;
    live.until(|status| status["state"] == "called").await;
    for device in [&mut phone, &mut laptop] {
        device.until_state("called").await;
        assert_eq!(device.get("/").await.text(), "the site at /");
        assert_eq!(device.status().await["state"], "admitted");
    }
    let active = stand.operator.room().await["active_sessions"].clone();
    assert_eq!(active, 1, "one person, one session");
    let visitors: Vec<String> =
        stand.upstream.seen().iter().map(|seen| seen.header("vestibule-visitor").unwrap().to_owned()).collect();
    assert!(visitors.len() == 2 && visitors[0] == visitors[1], "{visitors:?}");
    let mut third = device(&stand, "asha");
    assert_eq!(third.get("/").await.text(), "the site at /", "in on one device, in on all");
    stand.stop().await;
}

#[tokio::test]
async fn a_second_device_has_its_persons_place_though_nobody_else_gets_one() {
    let keys = format!("max_waiting = 2\n{BY_HEADER}");
    let stand = Setup::room(&keys).top("trusted_proxies = [\"127.0.0.1\"]").start().await;
    let mut phone = device(&stand, "asha");
    phone.get("/").await;
    device(&stand, "bina").get("/").await;
    stand.operator.until("two in line", |room| room["waiting"] == 2).await;
    for (closing, word) in [(false, "full"), (true, "closed")] {
        if closing {
            stand.operator.act("close", "").await;
        }
        let stranger = device(&stand, "chandra").get("/").await;
        assert!(stranger.status() == 503, "{word}: {}", stranger.text());
        let mut laptop = device(&stand, "asha");
        assert_eq!(laptop.get("/").await.status(), 200, "{word}");
        assert_eq!(place(&mut laptop).await, place(&mut phone).await, "{word}: the very same ticket");
        let app = device(&stand, "asha").post("/.vestibule/join", r#"{"room":"sale"}"#).await;
        assert_eq!(body(&app)["status"]["state"], if closing { "closed" } else { "waiting" }, "{}", app.text());
        let page = device(&stand, "asha").get("/.vestibule/verify?room=sale&page=1").await;
        assert_eq!(page.status(), 429, "{word}: {}", page.text());
    }
    assert_eq!(stand.operator.room().await["issued"], 2, "nobody got a new number");
    stand.stop().await;
}

#[tokio::test]
async fn who_leaves_on_one_device_has_left_on_both() {
    let stand = by_header("").start().await;
    let (mut phone, mut laptop) = (device(&stand, "asha"), device(&stand, "asha"));
    phone.get("/").await;
    laptop.get("/").await;
    let mut live = laptop.live().await;
    phone.post("/.vestibule/leave", "").await;
    live.until(|status| status["state"] == "lapsed").await;
    stand.operator.until("the leave", |room| room["waiting"] == 0 && room["left"] == 1).await;
    laptop.get("/").await;
    phone.get("/").await;
    assert_eq!((place(&mut laptop).await.0, place(&mut phone).await.0), (2, 2), "a new place, the same on both");
    stand.stop().await;
}

#[tokio::test]
async fn either_device_keeps_the_place() {
    let stand = by_header("").manual().start().await;
    stand.operator.limit(r#"{"grace_seconds":30}"#).await;
    let (mut phone, mut laptop) = (device(&stand, "asha"), device(&stand, "asha"));
    let mut away = device(&stand, "bina");
    phone.get("/").await;
    away.get("/").await;
    laptop.get("/").await;
    let live = laptop.live().await;
    stand.operator.until("the laptop", |room| room["present"].as_u64() >= Some(1)).await;
    for _ in 0..16 {
        stand.clock.advance_ms(5_000);
        stand.operator.ticks().await;
    }
    stand.operator.until("a lapse", |room| room["lapsed"] == 1).await;
    assert_eq!(phone.status().await["position"], 1, "the laptop was here all the time");
    drop(live);
    stand.stop().await;
}

#[tokio::test]
async fn who_is_nobody_is_told_to_sign_in() {
    let stand = by_header("").start().await;
    let mut nobody = stand.visitor();
    let page = nobody.get("/book?seat=1").await;
    assert_eq!((page.status(), nobody.ticket().as_str()), (401, ""));
    assert!(page.text().contains("Sign in first"), "{}", page.text());
    let link = "/login?next=%2Fbook%3Fseat%3D1";
    assert!(page.text().replace("&#x2f;", "/").contains(&format!("href=\"{link}\"")), "{}", page.text());
    assert_eq!(nobody.get("/login?next=%2F").await.text(), "the site at /login", "there one gets in");
    let problem = stand.visitor().program().get("/book?seat=1").await;
    assert_eq!(problem.status(), 401);
    let problem = body(&problem);
    assert_eq!((&problem["type"], &problem["sign_in"]), (&"/problems/sign_in".into(), &link.into()));
    let joined = stand.visitor().program().post("/.vestibule/join", r#"{"room":"sale"}"#).await;
    assert_eq!((joined.status(), &body(&joined)["type"]), (401, &"/problems/sign_in".into()));
    let evil = body(&stand.visitor().program().get("//evil.example/x").await);
    assert_eq!(evil["sign_in"], "/login?next=%2Fevil.example%2Fx", "back to a path of this site");
    stand.operator.until("nobody", |room| room["issued"] == 0).await;
    stand.stop().await;
}

#[tokio::test]
async fn a_header_that_no_proxy_vouches_for_is_none() {
    let stand = Setup::room(BY_HEADER).top("trusted_proxies = [\"192.0.2.1\"]").start().await;
    let answer = device(&stand, "asha").program().get("/").await;
    assert_eq!((answer.status(), &body(&answer)["type"]), (401, &"/problems/sign_in".into()));
    stand.stop().await;
}

#[tokio::test]
async fn a_signed_token_tells_and_a_forged_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let stand = by_token(folder.path(), "required = false\n").start().await;
    let good = token(&json!({"sub": "asha", "exp": 4_000_000_000_u64}), SECRET);
    let with = |token: &str| {
        let mut visitor = stand.visitor();
        visitor.jar.insert("session".into(), token.into());
        visitor
    };
    let (mut phone, mut laptop) = (with(&good), with(&good));
    phone.get("/").await;
    laptop.get("/").await;
    assert_eq!(place(&mut phone).await, place(&mut laptop).await);
    let forged = [
        token(&json!({"sub": "asha"}), "another secret than the site's own, as long"),
        token(&json!({"sub": "asha", "exp": 1_000}), SECRET),
        format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap()),
        "nonsense".to_owned(),
    ];
    for (i, forged) in forged.iter().enumerate() {
        let mut visitor = with(forged);
        visitor.get("/").await;
        assert_eq!(place(&mut visitor).await.0, i as u64 + 2, "a place as anybody's: {forged}");
    }
    // Whoever signs in later keeps the place; a ticket of asha's is none in bina's hands.
    let bina = token(&json!({"sub": "bina"}), SECRET);
    phone.jar.insert("session".into(), bina);
    phone.get("/").await;
    assert_eq!(place(&mut phone).await.0, 6, "bina at asha's phone");
    assert_eq!(place(&mut laptop).await.0, 1);
    stand.stop().await;
}

#[tokio::test]
async fn who_is_in_twice_comes_again_after_the_visit() {
    let setup = by_header("").manual();
    let stand = setup.start().await;
    let (mut phone, mut laptop) = (device(&stand, "asha"), device(&stand, "asha"));
    phone.get("/").await;
    stand.operator.act("admit", r#"{"count":1}"#).await;
    phone.until_state("called").await;
    phone.get("/").await;
    let old_pass = phone.pass();
    stand.clock.advance_ms(601_000);
    laptop.get("/").await;
    assert_eq!(place(&mut laptop).await.0, 2, "the visit is over: a new place, at the end");
    phone.get("/").await;
    assert_eq!(place(&mut phone).await.0, 2, "the same on the other device");
    laptop.jar.insert("vestibule-pass-sale".into(), old_pass);
    assert_ne!(laptop.get("/").await.text(), "the site at /", "an old pass does not open for a new place");
    stand.stop().await;
}

#[tokio::test]
async fn an_old_pass_does_not_open_for_a_new_place_of_the_same_person() {
    let stand = by_header("").start().await;
    let mut phone = device(&stand, "asha");
    phone.get("/").await;
    stand.operator.act("admit", r#"{"count":1}"#).await;
    phone.until_state("called").await;
    stand.upstream.say("/bye", &[("vestibule-end-session", "1")]);
    phone.get("/").await;
    let old_pass = phone.pass();
    phone.get("/bye").await;
    stand.operator.ticks().await;
    phone.get("/").await;
    assert_eq!(place(&mut phone).await.0, 2);
    phone.jar.insert("vestibule-pass-sale".into(), old_pass);
    assert_ne!(phone.get("/").await.text(), "the site at /", "it was earned with number 1");
    stand.stop().await;
}

#[tokio::test]
async fn no_name_is_logged_stored_or_shown() {
    let redis = RedisServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let stand = on(&redis, folder.path()).start().await;
    let mut phone = device(&stand, "asha-who-is-not-to-be-found");
    let page = phone.get("/").await;
    let mut shown = vec![page.text(), page.head.clone()];
    for path in ["/metrics", "/api/rooms", "/api/rooms/sale", "/api/rooms/sale/log"] {
        shown.push(stand.operator.text(path).await);
    }
    let mut connection = redis.connection();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    assert!(keys.iter().any(|key| key.contains(":person:")), "{keys:?}");
    for key in &keys {
        let dump: Vec<u8> = redis::cmd("DUMP").arg(key).query(&mut connection).unwrap();
        shown.push(String::from_utf8_lossy(&dump).into_owned());
    }
    shown.extend(keys);
    assert!(shown.iter().all(|text| !text.contains("not-to-be-found")));
    stand.stop().await;
}

fn on(redis: &RedisServer, keys: &Path) -> Setup {
    let store = format!("\n[store]\nurl = \"{}\"\n", redis.url());
    let room = format!("{store}\n[room.sale]\nupstream = \"http://UPSTREAM\"\n{BY_HEADER}");
    let top = format!("trusted_proxies = [\"127.0.0.1\"]\nkeys = \"{}\"", keys.join("keys.toml").display());
    Setup::rooms(&room).top(&top)
}

#[tokio::test]
async fn a_restart_keeps_persons() {
    let folder = tempfile::tempdir().unwrap();
    let before = by_header("").data(folder.path()).start().await;
    let mut phone = device(&before, "asha");
    device(&before, "bina").get("/").await;
    phone.get("/").await;
    let kept = place(&mut phone).await;
    before.stop().await;
    let after = by_header("").data(folder.path()).start().await;
    let mut laptop = device(&after, "asha");
    laptop.get("/").await;
    assert_eq!(place(&mut laptop).await, kept);
    after.stop().await;
}

#[tokio::test]
async fn a_killed_process_forgets_no_person() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let setup = by_header("").data(&folder.path().join("data"));
    let mut process = Process::serve(&setup, upstream.address, folder.path());
    let mut phone = process.visitor().with("X-User", "asha");
    phone.get("/").await;
    let kept = place(&mut phone).await;
    process.kill();
    let process = Process::serve(&setup, upstream.address, folder.path());
    let mut laptop = process.visitor().with("X-User", "asha");
    laptop.get("/").await;
    assert_eq!(place(&mut laptop).await, kept, "though the number itself was not written down");
    laptop.until("the place", |status| status["position"] == 1 && status["waiting"] == 1).await;
}

#[tokio::test]
async fn two_devices_that_come_at_once_to_two_gateways_get_one_place() {
    let redis = RedisServer::start(&[]);
    let keys = tempfile::tempdir().unwrap();
    let (a, b) = (on(&redis, keys.path()).start().await, on(&redis, keys.path()).start().await);
    let persons: Vec<String> = (0..40).map(|i| format!("person {i}")).collect();
    let come = |stand: &Stand| {
        let devices = persons.iter().map(|who| device(stand, who)).collect::<Vec<_>>();
        futures_util::future::join_all(devices.into_iter().map(async |mut device| {
            device.get("/").await;
            place(&mut device).await
        }))
    };
    let (at_a, at_b) = tokio::join!(come(&a), come(&b));
    assert_eq!(at_a, at_b);
    for stand in [&a, &b] {
        stand.operator.until("one place each", |room| room["waiting"] == 40 && room["issued"] == 40).await;
        stand.operator.until("each counted once", |room| room["present"] == 40).await;
    }
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn after_the_store_is_lost_a_returning_ticket_brings_the_person_back() {
    let mut redis = RedisServer::start(&[]);
    let keys = tempfile::tempdir().unwrap();
    let (a, b) = (on(&redis, keys.path()).start().await, on(&redis, keys.path()).start().await);
    let (mut phone, mut other) = (device(&a, "asha"), device(&a, "bina"));
    phone.get("/").await;
    other.get("/").await;
    let (kept, others) = (place(&mut phone).await, place(&mut other).await);
    let mut live = phone.live().await;
    live.status().await;
    redis.replace();
    for stand in [&a, &b] {
        stand.operator.until("the line", |room| room["store_up"] == true && room["waiting"] == 2).await;
    }
    let epoch = phone.status().await["epoch"].clone();
    // The one with a live connection, and one who only asks now and then: both are told to the store.
    other.status().await;
    let mut connection = redis.connection();
    eventually("both persons", async || {
        let keys: Vec<String> = redis::cmd("KEYS").arg("*:person:*").query(&mut connection).unwrap();
        (keys.len() == 2).then_some(())
    })
    .await;
    for (who, place_before) in [("asha", &kept), ("bina", &others)] {
        let mut laptop = device(&b, who);
        laptop.get("/").await;
        assert_eq!(&place(&mut laptop).await, place_before, "{who}");
        assert_eq!(laptop.status().await["epoch"], epoch);
    }
    let room = b.operator.until("two places", |room| room["waiting"] == 2).await;
    assert_eq!(room["left"], 0, "{room}");
    a.stop().await;
    b.stop().await;
}
