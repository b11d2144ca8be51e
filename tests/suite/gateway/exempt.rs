//! Rooms by method and header, and who needs no place: crawlers, and whoever has a link past the line.

use serde_json::{Value, json};
use tempfile::TempDir;
use vestibule::config::{Config, Environment};

use super::stand::{Operator, Setup, Stand, json as read};
use super::visitor::{Visitor, set_cookies};

const ROOMS: &str = "[room.sale]\nupstream = \"http://UPSTREAM\"\nadmissions_per_second = 0\n\
                     [room.fair]\nupstream = \"http://UPSTREAM\"\npaths = [\"/fair/*\"]\nadmissions_per_second = 0\n\
                     [room.other]\nupstream = \"http://UPSTREAM\"\npaths = [\"/other/*\"]\nadmissions_per_second = 0\n";

#[tokio::test]
async fn a_method_or_a_header_makes_another_room() {
    let rooms = "[room.orders]\nupstream = \"http://UPSTREAM\"\nmethods = [\"POST\"]\nadmissions_per_second = 0\n\
                 [room.partners]\nupstream = \"http://UPSTREAM\"\nheaders = [\"x-partner: 7\"]\n\
                 queueing_method = \"passthrough\"\n";
    let stand = Setup::rooms(rooms).top("upstream = \"http://UPSTREAM\"").start().await;
    assert_eq!(stand.visitor().get("/a").await.text(), "the site at /a");
    let mut buyer = stand.visitor().with("X-HTTP-Method-Override", "POST");
    assert!(buyer.post("/a", "").await.text().contains("<html"), "a waiting page");
    assert!(buyer.jar.contains_key("vestibule-ticket-orders"));
    assert_eq!(buyer.get("/b").await.text(), "the site at /b");
    assert_eq!(stand.visitor().with("X-Partner", "7").get("/c").await.text(), "the site at /c");
    let seen = stand.upstream.seen();
    assert_eq!(seen[1].header("x-http-method-override"), None, "or the site would take it for the guarded method");
    assert_eq!(seen[2].header("vestibule-room"), Some("partners"));
    stand.stop().await;
}

#[tokio::test]
async fn no_spelling_of_a_method_or_a_path_leads_around_a_room() {
    let rooms = "[room.sale]\nupstream = \"http://UPSTREAM\"\npaths = [\"/api/1:A/*\", \"/one\"]\n\
                 methods = [\"POST\"]\nadmissions_per_second = 0\n";
    let stand = Setup::rooms(rooms).top("upstream = \"http://UPSTREAM\"").start().await;
    for (method, path) in [
        ("POST", "/api/1:A/7"),
        ("post", "/api/1:A/7"),
        ("POST", "/API/1:a/7"),
        ("POST", "/api/1%3AA/7"),
        ("POST", "/api;x/%31%3a%41/;y/7"),
        ("POST", "/One/"),
    ] {
        let answer = stand.visitor().ask(method, path).await;
        assert!(answer.text().contains("<html"), "{method} {path}: {}", answer.text());
    }
    let mut looking = stand.visitor().with("X-Original-URL", "/one").with("X-Rewrite-URL", "/one");
    assert_eq!(looking.get("/two").await.text(), "the site at /two");
    let seen = stand.upstream.seen();
    let told = ["x-original-url", "x-rewrite-url"].map(|name| seen[0].header(name).map(str::to_owned));
    assert_eq!((seen.len(), told), (1, [None, None]), "or the site would take it for the guarded path");
    stand.stop().await;
}

#[tokio::test]
async fn what_the_site_says_to_those_who_need_no_pass_is_heard_and_kept_from_caches() {
    let room = "admissions_per_second = 0\npaths = [\"/book/*\"]\nbypass = [\"/book/hook\"]\n\
                bypass_addresses = [\"203.0.113.0/24\"]";
    let stand = Setup::room(room).top("trusted_proxies = [\"127.0.0.1\"]").start().await;
    let cached = ("cache-control", "public, max-age=600");
    stand.upstream.say("/book/hook", &[("vestibule-sold-out", "/book/7; ttl=600"), cached]);
    stand.upstream.say("/book/8", &[("vestibule-sold-out", "; ttl=600"), cached]);
    let hook = stand.visitor().get("/book/hook").await;
    assert_eq!((hook.status(), hook.header("vestibule-sold-out")), (200, None));
    assert_eq!(hook.header("cache-control"), Some("public, max-age=600"), "everybody may have it anyway");
    assert_eq!(stand.visitor().get("/book/7").await.status(), 410);
    let office = stand.visitor().with("X-Forwarded-For", "203.0.113.9").get("/book/8").await;
    assert_eq!(office.status(), 200);
    assert_eq!(office.header("cache-control"), Some("max-age=600, private"), "a copy would let everybody in");
    assert_eq!(stand.visitor().get("/book/8").await.status(), 410);
    stand.stop().await;
}

#[test]
fn what_cannot_be_a_condition_is_told() {
    let text = "[room.a]\nupstream = \"http://127.0.0.1:1\"\nmethods = [\"get\", \"TRACE\"]\nheaders = [\"a b\"]\n\
                crawlers = [\"/nowhere.json\"]\n\
                [room.b]\nupstream = \"http://127.0.0.1:1\"\nmethods = [\"POST\"]\n\
                [room.c]\nupstream = \"http://127.0.0.1:1\"\nmethods = [\"PUT\", \"POST\"]\n";
    let problems = Config::parse(text, &Environment::new()).unwrap_err().to_string();
    for part in [
        "line 3: room.a.methods: `get` is not `GET`",
        "line 3: room.a.methods: TRACE is never forwarded",
        "line 4: room.a.headers: `a b` is no header pattern",
        "line 5: room.a.crawlers: cannot read /nowhere.json",
    ] {
        assert!(problems.contains(part), "{part} in {problems}");
    }
    let text = text.replace("\"get\", \"TRACE\"", "\"GET\"").replace("a b", "a").replace("\"/nowhere.json\"", "");
    let problems = Config::parse(&text, &Environment::new()).unwrap_err().to_string();
    assert!(problems.contains("rooms `b` and `c` both claim POST */*"), "{problems}");
}

#[tokio::test]
async fn crawlers_are_known_by_their_addresses_and_only_look() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("google.json");
    std::fs::write(&list, r#"{"prefixes":[{"ipv4Prefix":"203.0.113.0/24"}]}"#).unwrap();
    let room = Setup::room(&format!("admissions_per_second = 0\ncrawlers = [\"{}\"]", list.display()));
    let stand = room.top("trusted_proxies = [\"127.0.0.1\"]").start().await;
    let from = |address: &str| stand.visitor().with("X-Forwarded-For", address).with("User-Agent", "Googlebot/2.1");
    assert_eq!(from("203.0.113.9").get("/a").await.text(), "the site at /a");
    assert!(from("198.51.100.9").get("/a").await.text().contains("<html"), "a name is no address");
    assert!(from("203.0.113.9").post("/a", "").await.text().contains("<html"), "a crawler buys nothing");
    assert_eq!(stand.upstream.count("/a"), 1);
    stand.stop().await;
}

async fn make(operator: &Operator, body: &Value) -> Value {
    let answer = operator.ask("POST", "/api/bypass-links", &body.to_string()).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    read(&answer)
}

fn wish() -> Value {
    json!({"rooms": ["sale", "fair"], "lifetime_seconds": 60, "note": "for the press"})
}

/// A browser that has used this link.
async fn guest(stand: &Stand, made: &Value) -> Visitor {
    let mut guest = stand.visitor();
    let answer = guest.post(&format!("{}&to=/fair/1", made["path"].as_str().unwrap()), "").await;
    assert_eq!((answer.status(), answer.header("location")), (303, Some("/fair/1")), "{}", answer.text());
    let cookie = set_cookies(&answer)[0];
    assert!(
        cookie.starts_with("vestibule-bypass=") && cookie.ends_with("; Path=/; Max-Age=60; HttpOnly; SameSite=Lax")
    );
    guest
}

#[tokio::test]
async fn a_link_lets_one_browser_past_the_lines_that_it_names() {
    let stand = Setup::rooms(ROOMS).manual().start().await;
    let made = make(&stand.operator, &wish()).await;
    let path = made["path"].as_str().unwrap();
    let looked = stand.visitor().get(path).await;
    assert!(looked.status() == 200 && looked.text().contains("Go past the line?"), "{}", looked.text());
    let mut guest = guest(&stand, &made).await;
    assert_eq!(guest.get("/a").await.text(), "the site at /a");
    assert_eq!(guest.get("/fair/1").await.text(), "the site at /fair/1");
    assert!(guest.get("/other/1").await.text().contains("<html"), "a room that it does not name");
    assert_eq!(guest.get("/.vestibule/verify?room=sale").await.status(), 200);
    assert_eq!(stand.upstream.seen()[0].header("cookie"), None, "it is ours");
    assert_eq!(stand.visitor().post(path, "").await.status(), 410, "once");

    let link = path.split_once('=').unwrap().1;
    let mut forger = stand.visitor();
    forger.jar.insert("vestibule-bypass".to_owned(), link.to_owned());
    assert!(forger.get("/a").await.text().contains("<html"), "a link is no cookie");
    stand.clock.advance_ms(60_001);
    assert!(guest.get("/a").await.text().contains("<html"), "its time is over");
    stand.stop().await;
}

#[tokio::test]
async fn links_are_in_the_audit_trail_and_what_makes_no_sense_is_none() {
    let stand = Setup::rooms(ROOMS).start().await;
    let made = make(&stand.operator, &wish()).await;
    let trail = read(&stand.operator.ask("GET", "/api/audit", "").await).to_string();
    let link = made["path"].as_str().unwrap().split_once('=').unwrap().1;
    for part in [made["id"].as_str().unwrap(), "bypass-link", "sale,fair", "for the press", "asha"] {
        assert!(trail.contains(part), "{part} in {trail}");
    }
    assert!(!trail.contains(link), "whoever reads the trail gets in nowhere");
    for (key, value) in [("rooms", json!(["none"])), ("rooms", json!([])), ("lifetime_seconds", json!(3_000_000))] {
        let mut wish = wish();
        wish[key] = value;
        let answer = stand.operator.ask("POST", "/api/bypass-links", &wish.to_string()).await;
        assert_eq!(answer.status(), 422, "{wish}");
    }
    let stranger = stand.operator.ask_with("", "POST", "/api/bypass-links", &wish().to_string()).await;
    assert_eq!(stranger.status(), 401);
    stand.stop().await;
}

/// What the command line says, and the configuration that it was asked with.
fn command(folder: &TempDir, words: &[&str]) -> (Option<i32>, String) {
    let config = folder.path().join("vestibule.toml");
    let words = [&["bypass"], words, &["--config", config.to_str().unwrap()]].concat();
    crate::program::told(&words)
}

#[tokio::test]
async fn a_link_is_made_and_revoked_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::rooms(ROOMS).data(folder.path());
    let stand = setup.clone().start().await;
    let text = setup.text(stand.upstream.address);
    std::fs::write(folder.path().join("vestibule.toml"), &text).unwrap();
    let (code, said) = command(&folder, &["new", "--room", "sale", "--for", "1h", "--site", "https://shop.example/"]);
    assert_eq!(code, Some(0), "{said}");
    let [id, link] = said.lines().take(2).collect::<Vec<_>>()[..] else { panic!("{said}") };
    let path = link.strip_prefix("https://shop.example").unwrap();
    let mut guest = stand.visitor();
    assert_eq!(guest.post(path, "").await.status(), 303);
    assert_eq!(guest.get("/a").await.text(), "the site at /a");

    let (code, said) = command(&folder, &["revoke", id]);
    assert_eq!(code, Some(0), "{said}");
    let config = Config::parse(&text, &Environment::new()).unwrap();
    stand.gateway.reconfigure(&config).await.unwrap();
    assert!(guest.get("/a").await.text().contains("<html"), "revoked");
    let trail = std::fs::read_to_string(folder.path().join("audit.jsonl")).unwrap();
    assert!(trail.contains("bypass-link-revoked") && trail.matches(id).count() == 2, "{trail}");
    assert_eq!(command(&folder, &["new", "--room", "none", "--for", "1h"]).0, Some(2));
    assert_eq!(command(&folder, &["new", "--room", "sale", "--for", "31d"]).0, Some(2));
    stand.stop().await;
}
