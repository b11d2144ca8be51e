//! `verify` decides as the gateway itself would: by room, bypass, stock and person.

use super::stand::{Setup, json};
use super::visitor::Visitor;

const ROOMS: &str = "[room.sale]\nupstream = \"http://UPSTREAM\"\npaths = [\"/book/*\"]\nbypass = [\"/book/help\"]\n\
                     items = [\"/book/{key}\"]\nadmissions_per_second = 0\n\
                     [room.orders]\nupstream = \"http://UPSTREAM\"\npaths = [\"/book/*\"]\nmethods = [\"POST\"]\n\
                     queueing_method = \"passthrough\"\n";

fn asked(visitor: Visitor, uri: &str, method: &str) -> Visitor {
    visitor.with("X-Original-URI", uri).with("X-Original-Method", method)
}

#[tokio::test]
async fn the_header_that_the_question_names_finds_room_and_bypass() {
    let stand = Setup::rooms(ROOMS).start().await;
    let ask = async |uri: &str, method: &str, question: &str| {
        asked(stand.visitor(), uri, method).get(&format!("/.vestibule/verify?{question}")).await.status()
    };
    let named = "uri=x-original-uri";
    assert_eq!(ask("/book/1", "GET", named).await, 401);
    assert_eq!(ask("/book/1", "POST", named).await, 200, "a room of its own, which lets everyone through");
    assert_eq!(ask("/book/help", "GET", named).await, 200, "a bypass");
    assert_eq!(ask("/about", "GET", named).await, 200, "of no room");
    assert_eq!(ask("/book/help", "GET", "room=sale").await, 401, "a visitor may have written this header");
    assert_eq!(ask("/book/help", "GET", "").await, 401, "and this one");
    let forged = asked(stand.visitor(), "/book/1", "GET").with("X-Forwarded-Method", "POST");
    assert_eq!(forged.clone().get("/.vestibule/verify?uri=x-original-uri").await.status(), 400, "two methods are none");
    let twice = asked(stand.visitor(), "/book/1", "GET").with("X-Original-URI", "/book/help");
    assert_eq!(twice.clone().get("/.vestibule/verify?uri=x-original-uri").await.status(), 400, "two paths are none");
    stand.stop().await;
}

#[tokio::test]
async fn what_is_sold_out_is_told_with_a_pass_too() {
    let stand =
        Setup::room("paths = [\"/book/*\"]\nitems = [\"/book/{key}\"]\nadmissions_per_second = 0").start().await;
    let mut owner = stand.visitor();
    owner.get("/book/2").await;
    stand.operator.act("admit", r#"{"count":1}"#).await;
    owner.until_state("called").await;
    stand.operator.act("sold-out", r#"{"key":"7"}"#).await;
    let ask = async |visitor: Visitor, uri: &str, more: &str| {
        asked(visitor, uri, "GET").get(&format!("/.vestibule/verify?room=sale{more}")).await
    };
    assert_eq!(ask(owner.clone(), "/book/2", "").await.status(), 200);
    assert_eq!(ask(owner.clone(), "/book/7", "").await.status(), 403, "what every proxy takes for a no");
    let page = ask(owner.clone(), "/book/7", "&page=1").await;
    assert!(page.status() == 410 && page.text().contains("Sold out"), "{}", page.text());
    let mut newcomer = asked(stand.visitor(), "/book/7", "GET");
    assert_eq!(newcomer.get("/.vestibule/verify?room=sale&page=1").await.status(), 410);
    assert_eq!(newcomer.ticket(), "", "no place for what is not there");
    stand.operator.act("sold-out", "{}").await;
    assert_eq!(
        stand.visitor().get("/.vestibule/verify?room=sale").await.status(),
        403,
        "everything, whatever is asked for"
    );
    assert_eq!(
        owner.get("/.vestibule/verify?room=sale").await.status(),
        200,
        "who was called may have a hold to pay for"
    );
    stand.stop().await;
}

#[tokio::test]
async fn addresses_that_need_no_pass_are_let_pass() {
    let room = Setup::room("admissions_per_second = 0\nbypass_addresses = [\"203.0.113.0/24\"]");
    let stand = room.top("trusted_proxies = [\"127.0.0.1\"]").start().await;
    let ask = async |address: &str| {
        stand.visitor().with("X-Forwarded-For", address).get("/.vestibule/verify?room=sale").await.status()
    };
    assert_eq!((ask("203.0.113.9").await, ask("203.0.114.9").await), (200, 401));
    stand.stop().await;
}

#[tokio::test]
async fn who_has_to_sign_in_comes_back_to_what_was_asked_for() {
    let keys = "admissions_per_second = 0\n[room.sale.person]\nheader = \"X-User\"\nsign_in = \
                \"https://id.example/?next={return}\"";
    let stand = Setup::room(keys).top("trusted_proxies = [\"127.0.0.1\"]").start().await;
    let link = async |visitor: Visitor| {
        let problem = visitor.program().get("/.vestibule/verify?room=sale&page=1").await;
        assert_eq!(problem.status(), 401);
        json(&problem)["sign_in"].clone()
    };
    let asked = asked(stand.visitor(), "/book?seat=1", "GET");
    assert_eq!(link(asked).await, "https://id.example/?next=%2Fbook%3Fseat%3D1");
    assert_eq!(link(stand.visitor()).await, "https://id.example/?next=%2F", "never back to the gateway's own path");
    stand.stop().await;
}
