//! A room where people wait: one page, one place, and nothing gets past it.

use serde_json::json as value;

use super::stand::{Setup, json};
use super::visitor::set_cookies;
use vestibule::token::{KeyRing, Revocation};

/// Nobody is called but by the operator.
const SHUT: &str = "admissions_per_second = 0";

#[tokio::test]
async fn the_waiting_page_is_guarded_and_tells_the_place() {
    let stand = Setup::room(SHUT).start().await;
    let mut first = stand.visitor();
    let page = first.get("/seats").await;
    assert_eq!((page.status(), page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    let html = page.text();
    assert!(html.contains(r#""position":1,"#), "{html}");
    assert_eq!(
        html.matches("<script").count(),
        html.matches("<script type=\"module\"").count() + html.matches("<script type=\"application/json\"").count()
    );
    let cookies = set_cookies(&page);
    assert!(cookies.len() == 1 && cookies[0].contains("; HttpOnly; SameSite=Lax"), "{cookies:?}");
    assert!(!html.contains(&first.ticket()), "the ticket is in its cookie only");

    let again = stand.visitor().get("/seats").await;
    assert_eq!(again.header("content-security-policy").unwrap(), policy);
    assert!(again.text().contains(r#""position":2,"#));
    assert_eq!(stand.upstream.seen().len(), 0);
    stand.stop().await;
}

#[tokio::test]
async fn a_program_reads_the_same_as_json() {
    let stand = Setup::room(SHUT).start().await;
    let mut program = stand.visitor().program();
    let answer = program.get("/api/seats").await;
    assert_eq!((answer.status(), answer.header("content-type")), (429, Some("application/json")));
    let status = json(&answer);
    assert_eq!(answer.header("retry-after").unwrap(), status["next_update_seconds"].to_string());
    assert_eq!((&status["room"], &status["state"]), (&value!("sale"), &value!("waiting")));
    assert_eq!((&status["position"], &status["ahead"], &status["waiting"]), (&value!(1), &value!(0), &value!(1)));
    for key in ["eta_seconds", "admissions_per_second", "forecast", "stock", "message", "opens_at", "as_of"] {
        assert!(status.get(key).is_some(), "{key} is told, if only as null");
    }
    assert_eq!(status["eta_seconds"], value!(null), "nobody is called: unknown, not a guess");
    stand.stop().await;
}

#[tokio::test]
async fn the_line_moves_in_order_and_the_called_come_in() {
    let stand = Setup::room(SHUT).start().await;
    let mut line = stand.waiting(4).await;
    stand.operator.act("admit", r#"{"count":1}"#).await;
    line[0].until_state("called").await;
    for (i, visitor) in line.iter_mut().enumerate().skip(1) {
        assert_eq!(visitor.position().await, Some(i as u64));
    }
    stand.operator.act("admit", r#"{"count":2}"#).await;
    line[2].until_state("called").await;
    assert_eq!(line[1].status().await["state"], "called");
    assert_eq!(line[3].position().await, Some(1));

    assert_eq!(stand.upstream.seen().len(), 0);
    assert_eq!(line[1].get("/seats").await.text(), "the site at /seats");
    assert!(!line[1].pass().is_empty());
    assert!(line[3].get("/seats").await.text().contains("<html"));
    assert_eq!(stand.upstream.seen().len(), 1);
    stand.stop().await;
}

#[tokio::test]
async fn a_copied_pass_lets_nobody_else_in() {
    let stand = Setup::room(SHUT).start().await;
    let owner = stand.admitted().await;
    let before = stand.upstream.seen().len();

    let mut bare = stand.visitor();
    bare.jar.insert("vestibule-pass-sale".to_owned(), owner.pass());
    assert!(bare.get("/").await.text().contains("<html"), "a pass without its ticket");
    let mut other = stand.waiting(1).await.remove(0);
    other.jar.insert("vestibule-pass-sale".to_owned(), owner.pass());
    assert!(other.get("/").await.text().contains("<html"), "a pass beside another ticket");
    let mut app = stand.visitor().with("Vestibule-Pass", &owner.pass());
    assert!(app.get("/").await.text().contains("<html"), "a pass in a header");
    assert_eq!(app.get("/.vestibule/verify").await.status(), 401);
    assert_eq!(stand.upstream.seen().len(), before);
    assert_eq!(owner.clone().get("/").await.status(), 200);
    assert_eq!(stand.upstream.seen().len(), before + 1, "its owner goes on");
    stand.stop().await;
}

#[tokio::test]
async fn forged_foreign_and_expired_tickets_join_anew() {
    let stand = Setup::room(SHUT).manual().start().await;
    let foreign = Setup::room(SHUT).manual().start().await;
    let mut owner = stand.waiting(1).await.remove(0);
    let ticket = owner.ticket();
    let flipped = if ticket.ends_with('A') { "B" } else { "A" };
    let forged = format!("{}{flipped}", &ticket[..ticket.len() - 1]);
    let other = foreign.waiting(1).await.remove(0).ticket();
    for (i, bad) in [forged, other, "nonsense".to_owned(), String::new()].into_iter().enumerate() {
        let mut visitor = stand.visitor();
        visitor.jar.insert("vestibule-ticket-sale".to_owned(), bad.clone());
        visitor.get("/").await;
        assert_ne!(visitor.ticket(), bad);
        assert_eq!(visitor.number().await, i as u64 + 2, "a place of its own, at the end");
    }
    assert!(set_cookies(&owner.get("/").await).is_empty(), "a sound ticket is kept");
    stand.clock.advance_ms(24 * 3_600_000 + 1_000);
    owner.get("/").await;
    assert_ne!(owner.ticket(), ticket, "a day old");
    foreign.stop().await;
    stand.stop().await;
}

#[tokio::test]
async fn a_revoked_visitor_is_out_and_nobody_else() {
    let stand = Setup::room(SHUT).start().await;
    let (mut one, mut other) = (stand.admitted().await, stand.admitted().await);
    let id = stand.upstream.seen()[0].header("vestibule-visitor").unwrap().parse().unwrap();
    let shared = &stand.gateway.rooms()[0].shared;
    let revoke = |what| {
        let mut ring = KeyRing::clone(&shared.ring.load());
        ring.revoke(what).unwrap();
        shared.ring.store(std::sync::Arc::new(ring));
    };
    let (mut cut, mut kept) = (one.socket("/socket").await.unwrap(), other.socket("/socket").await.unwrap());
    revoke(Revocation::Visitor { id, until_ms: u64::MAX });
    assert_eq!(cut.text().await, None, "the WebSocket goes too");
    kept.say("hello").await;
    assert_eq!(kept.text().await.as_deref(), Some("hello"));
    assert!(one.get("/a").await.text().contains("<html"), "at the end of the line");
    assert_eq!(other.get("/a").await.text(), "the site at /a");
    let pass = other.pass();
    revoke(Revocation::Passes { room: "sale".to_owned(), before_ms: stand.clock.now_ms() + 1_000 });
    assert_eq!(other.get("/b").await.text(), "the site at /b", "who was called gets a new one");
    assert_ne!(other.pass(), pass);
    assert_eq!(stand.upstream.count("/a"), 1);
    stand.stop().await;
}

#[tokio::test]
async fn a_ticket_of_a_retired_key_joins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let stand = Setup::room(SHUT).data(folder.path()).start().await;
    let mut visitor = stand.waiting(1).await.remove(0);
    let ticket = visitor.ticket();
    let ring = KeyRing::generate(stand.clock.now_ms(), &mut rand::rng());
    stand.gateway.rooms()[0].shared.ring.store(std::sync::Arc::new(ring));
    visitor.get("/").await;
    assert_ne!(visitor.ticket(), ticket);
    stand.stop().await;
}

#[tokio::test]
async fn what_a_page_brings_along_takes_no_place() {
    let stand = Setup::room(SHUT).start().await;
    let mut picture = stand.visitor().with("Sec-Fetch-Mode", "no-cors");
    let answer = picture.get("/logo.png").await;
    assert_eq!((answer.status(), picture.ticket()), (429, String::new()));
    stand.waiting(1).await;
    assert_eq!(stand.operator.until("the page's join", |room| room["issued"] != 0).await["issued"], 1);
    stand.stop().await;
}

#[tokio::test]
async fn an_app_joins_once_and_shows_its_ticket_in_a_header() {
    let stand = Setup::room(SHUT).start().await;
    let joined = json(&stand.visitor().program().post("/.vestibule/join", r#"{"room":"sale"}"#).await);
    assert_eq!((&joined["status"]["position"], &joined["pass"]), (&value!(1), &value!(null)));
    let mut app = stand.visitor().program().with("Vestibule-Ticket", joined["ticket"].as_str().unwrap());
    for _ in 0..5 {
        let again = json(&app.post("/.vestibule/join", r#"{"room":"sale"}"#).await);
        assert_eq!(again["status"]["number"], 1, "the answer to a join may be lost; the place is not");
    }
    stand.operator.act("admit", r#"{"count":1}"#).await;
    app.until_state("called").await;
    let called = json(&app.post("/.vestibule/join", "").await);
    let mut admitted = app.with("Vestibule-Pass", called["pass"].as_str().unwrap());
    assert_eq!(admitted.get("/api").await.text(), "the site at /api");
    assert_eq!(stand.visitor().post("/.vestibule/join", r#"{"room":"none"}"#).await.status(), 400);
    assert_eq!(stand.visitor().get("/.vestibule/join").await.header("allow"), Some("POST"));
    stand.stop().await;
}

#[tokio::test]
async fn a_full_room_and_a_reserved_one_say_so() {
    let full = Setup::room("admissions_per_second = 0\nmax_waiting = 2\nqueueing_status = 503").start().await;
    let mut waiting = full.waiting(2).await;
    let late = full.visitor().program().get("/").await;
    assert_eq!((late.status(), &json(&late)["type"]), (503, &value!("/problems/full")));
    assert_eq!(waiting[1].get("/").await.status(), 503, "the page's status is the operator's choice");
    assert_eq!(waiting[1].position().await, Some(2));
    full.stop().await;
    let reserved = Setup::room("queueing_method = \"reject\"").start().await;
    let refused = reserved.visitor().get("/").await;
    assert_eq!((refused.status(), refused.header("retry-after")), (503, Some("30")));
    assert_eq!(reserved.upstream.seen().len(), 0);
    reserved.stop().await;
}

#[tokio::test]
async fn a_receipt_shows_the_entry_that_called() {
    let stand = Setup::room(SHUT).start().await;
    let mut visitor = stand.waiting(1).await.remove(0);
    let receipt = json(&visitor.get("/.vestibule/receipt").await);
    assert_eq!((&receipt["number"], &receipt["entry"]), (&value!(1), &value!(null)));
    stand.operator.act("admit", r#"{"count":1}"#).await;
    visitor.until_state("called").await;
    let receipt = json(&visitor.get("/.vestibule/receipt").await);
    let log = stand.operator.text("/api/rooms/sale/log").await;
    let line = log.lines().find(|line| line.contains("\"called\"")).unwrap();
    assert_eq!(receipt["entry"], serde_json::from_str::<serde_json::Value>(line).unwrap());
    stand.upstream.say("/done", &[("vestibule-end-session", "1")]);
    visitor.get("/").await;
    visitor.get("/done").await;
    stand.operator.until("the session's end", |room| room["active_sessions"] == 0).await;
    let after = json(&visitor.get("/.vestibule/receipt").await);
    assert_eq!((&after["entry"], &after["called_at"]), (&receipt["entry"], &receipt["called_at"]));
    assert_eq!(stand.visitor().get("/.vestibule/receipt").await.status(), 400);
    stand.stop().await;
}
