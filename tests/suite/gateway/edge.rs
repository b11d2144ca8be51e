//! The way through the gateway: what is forwarded, what is not, and what either end hears.

use tokio::net::TcpStream;

use super::stand::{Setup, Stand, eventually, json};
use super::upstream::Upstream;
use super::visitor::Visitor;
use crate::proxy::wire::Message;
use crate::proxy::wire::{Wire, within};

#[tokio::test]
async fn bodies_stream_both_ways() {
    let stand = Setup::room("").start().await;
    let mut visitor = stand.visitor();
    visitor.get("/").await;
    let mut wire = Wire::new(TcpStream::connect(visitor.gateway).await.unwrap());
    let head = visitor.head("POST", "/echo") + "Transfer-Encoding: chunked\r\n\r\n";
    let talk = async {
        wire.send(head).await.unwrap();
        wire.send("5\r\nfirst\r\n").await.unwrap();
        assert!(wire.head().await.unwrap().starts_with("HTTP/1.1 200"));
        assert_eq!(wire.chunk().await.unwrap().unwrap(), b"first", "before the second was sent");
        wire.send("6\r\nsecond\r\n0\r\n\r\n").await.unwrap();
        assert_eq!(wire.chunk().await.unwrap().unwrap(), b"second");
        assert_eq!(wire.chunk().await.unwrap(), None);
    };
    within(talk).await;
    stand.stop().await;
}

#[tokio::test]
async fn a_websocket_goes_through_with_a_pass_only() {
    let stand = Setup::room("admissions_per_second = 0").start().await;
    let owner = stand.admitted().await;
    let mut socket = owner.socket("/socket").await.unwrap();
    socket.say("hello").await;
    assert_eq!(socket.text().await.as_deref(), Some("hello"));
    assert_eq!(stand.visitor().refused_socket("/socket").await, 429);
    assert_eq!(stand.upstream.count("/socket"), 1);
    stand.stop().await;
}

#[tokio::test]
async fn a_websocket_lasts_as_long_as_the_session() {
    let stand = Setup::room("session_duration = \"60s\"").manual().start().await;
    stand.upstream.say("/pay", &[("vestibule-renew-session", "1")]);
    stand.upstream.say("/done", &[("vestibule-end-session", "1")]);
    let (mut renewed, mut other) = (stand.visitor(), stand.visitor());
    for visitor in [&mut renewed, &mut other] {
        visitor.get("/").await;
    }
    let (mut stays, mut goes) = (renewed.socket("/socket").await.unwrap(), other.socket("/socket").await.unwrap());
    let ends_at = renewed.status().await["session_ends_at"].as_u64();
    stand.clock.advance_ms(40_000);
    renewed.get("/pay").await;
    renewed.until("the renewal", |status| status["session_ends_at"].as_u64() > ends_at).await;
    for socket in [&mut stays, &mut goes] {
        socket.say("hello").await;
        assert_eq!(socket.text().await.as_deref(), Some("hello"));
    }
    stand.clock.advance_ms(30_000);
    assert_eq!(goes.text().await, None, "the session has run out");
    stays.say("still here").await;
    assert_eq!(stays.text().await.as_deref(), Some("still here"));
    renewed.get("/done").await;
    assert_eq!(stays.text().await, None, "the site has ended the session");
    stand.stop().await;
}

#[tokio::test]
async fn what_belongs_to_no_room_is_not_there() {
    let rooms = "[room.sale]\nupstream = \"http://UPSTREAM\"\nhosts = [\"shop.example\"]\npaths = [\"/book/*\"]\n\
                 bypass = [\"/book/assets/*\"]\nadmissions_per_second = 0\n";
    let stand = Setup::rooms(rooms).start().await;
    let mut shop = stand.visitor().at("shop.example");
    for (host, path) in [("shop.example", "/"), ("other.example", "/book/1"), ("shop.example", "/bookings")] {
        let answer = stand.visitor().program().at(host).get(path).await;
        assert_eq!((answer.status(), &json(&answer)["type"]), (404, &"/problems/not_found".into()), "{host}{path}");
    }
    assert_eq!(shop.get("/book/assets/style.css").await.text(), "the site at /book/assets/style.css");
    assert_eq!(shop.ticket(), "", "a bypass takes no place");
    let seen = stand.upstream.seen();
    assert_eq!((seen.len(), seen[0].header("host"), seen[0].header("vestibule-pass")), (1, Some("shop.example"), None));
    assert!(shop.get("/book/1").await.text().contains("<html"));
    assert_eq!(shop.get("/.vestibule/nothing").await.status(), 404);
    assert_eq!(stand.upstream.seen().len(), 1);
    stand.stop().await;
}

#[tokio::test]
async fn what_is_of_no_room_may_have_an_upstream_of_its_own() {
    let stand = Setup::room("paths = [\"/book/*\"]\nadmissions_per_second = 0");
    let stand = stand.top("upstream = \"http://UPSTREAM\"").start().await;
    assert_eq!(stand.visitor().get("/about").await.text(), "the site at /about");
    assert!(stand.visitor().get("/book/1").await.text().contains("<html"));
    stand.stop().await;
}

#[tokio::test]
async fn two_hosts_are_two_rooms() {
    let other = Upstream::start().await;
    let rooms = format!(
        "[room.sale]\nupstream = \"http://UPSTREAM\"\nhosts = [\"sale.example\"]\n\
         [room.fair]\nupstream = \"http://{}\"\nhosts = [\"*.fair.example\"]\n",
        other.address
    );
    let stand = Setup::rooms(&rooms).start().await;
    let mut visitor = stand.visitor().at("sale.example:80");
    visitor.get("/").await;
    visitor = visitor.at("north.fair.example");
    visitor.get("/").await;
    assert_eq!((stand.upstream.seen().len(), other.seen().len()), (1, 1));
    assert_eq!(other.seen()[0].header("vestibule-room"), Some("fair"));
    assert_eq!(visitor.jar.len(), 4, "a ticket and a pass of each room");
    assert_ne!(stand.upstream.seen()[0].header("vestibule-visitor"), other.seen()[0].header("vestibule-visitor"));
    assert_eq!(visitor.get("/.vestibule/status").await.status(), 400, "which of the two?");

    let swapped = visitor.jar["vestibule-ticket-sale"].clone();
    let mut cheat = stand.visitor().at("north.fair.example");
    cheat.jar.insert("vestibule-ticket-fair".to_owned(), swapped.clone());
    cheat.jar.insert("vestibule-pass-fair".to_owned(), visitor.jar["vestibule-pass-sale"].clone());
    cheat.get("/").await;
    assert_ne!(cheat.jar["vestibule-ticket-fair"], swapped, "a ticket of one room is none of the other");
    stand.stop().await;
}

#[tokio::test]
async fn an_upstream_that_is_down_is_told_and_costs_no_place() {
    let stand = Setup::room("").start().await;
    let mut visitor = stand.visitor();
    visitor.get("/").await;
    let ticket = visitor.ticket();
    let gone = Setup::room("").start_before(Upstream::start_and_leave().await).await;
    let page = gone.visitor().get("/").await;
    assert_eq!((page.status(), page.header("retry-after")), (502, Some("5")));
    assert!(page.text().contains("places already given are kept"), "also true for who has none: {}", page.text());
    assert!(page.text().contains("does not answer") && page.header("content-security-policy").is_some());
    let mut program = gone.visitor().program();
    let problem = program.get("/").await;
    assert_eq!((problem.status(), &json(&problem)["type"]), (502, &"/problems/upstream_down".into()));
    assert_ne!(program.ticket(), "", "the place was given and is kept");
    assert_eq!(visitor.ticket(), ticket);
    gone.stop().await;
    stand.stop().await;
}

#[tokio::test]
async fn nothing_follows_a_request_that_can_be_read_in_two_ways() {
    let stand = Setup::room("").start().await;
    let mut visitor = stand.visitor();
    visitor.get("/").await;
    let good = visitor.head("GET", "/after") + "\r\n";
    for bad in [
        visitor.head("GET", "/a/../b") + "\r\n",
        visitor.head("GET", "/a/%2e%2E/b") + "\r\n",
        visitor.head("GET", "/a\\b") + "\r\n",
        visitor.head("GET", "/a") + "Host: other\r\n\r\n",
        visitor.head("TRACE", "/") + "\r\n",
        visitor.head("GET", "http://elsewhere/") + "\r\n",
        visitor.head("POST", "/") + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        visitor.head("POST", "/") + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ] {
        let mut wire = Wire::new(TcpStream::connect(visitor.gateway).await.unwrap());
        wire.send(format!("{bad}{good}")).await.unwrap();
        let answer = within(wire.message(false)).await.unwrap();
        assert_eq!((answer.status(), answer.header("connection")), (400, Some("close")), "{bad}{}", answer.head);
        assert_eq!(within(wire.rest()).await, b"", "{bad}");
    }
    assert_eq!(stand.upstream.seen().len(), 1);
    stand.stop().await;
}

#[tokio::test]
async fn an_answer_does_not_wait_for_the_rest_of_the_next_request() {
    let stand = Setup::room("").start().await;
    let mut visitor = stand.visitor();
    visitor.get("/").await;
    let mut wire = Wire::new(TcpStream::connect(visitor.gateway).await.unwrap());
    let (first, second) = (visitor.head("GET", "/first") + "\r\n", visitor.head("GET", "/second") + "\r\n");
    let (begun, rest) = second.split_at(10);
    wire.send(format!("{first}{begun}")).await.unwrap();
    assert_eq!(within(wire.message(false)).await.unwrap().text(), "the site at /first");
    wire.send(rest).await.unwrap();
    assert_eq!(within(wire.message(false)).await.unwrap().text(), "the site at /second");
    stand.stop().await;
}

#[tokio::test]
async fn requests_of_all_kinds_follow_each_other_on_one_connection() {
    let stand = Setup::room("admissions_per_second = 0\nbypass = [\"/assets/*\"]").start().await;
    let mut visitor = stand.waiting(1).await.remove(0);
    let status = visitor.head("GET", "/.vestibule/status") + "\r\n";
    let of_a_place = "\"position\":1";
    let asked = [
        (status.clone(), of_a_place),
        (visitor.head("POST", "/.vestibule/join") + "Content-Length: 15\r\n\r\n{\"room\":\"sale\"}", of_a_place),
        (visitor.head("GET", "/book") + "Accept: text/html\r\n\r\n", "<html"),
        (visitor.head("HEAD", "/.vestibule/status") + "\r\n", ""),
        (status.clone(), of_a_place),
        (visitor.head("GET", "/assets/a.css") + "\r\n", "the site at /assets/a.css"),
        (
            visitor.head("POST", "/.vestibule/join") + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            of_a_place,
        ),
        (status, of_a_place),
    ];
    for first in 0..asked.len() {
        let asked = &asked[first..];
        let open = async || Wire::new(TcpStream::connect(visitor.gateway).await.unwrap());
        let (mut together, mut in_turn) = (open().await, open().await);
        together.send(asked.iter().map(|(request, _)| request.as_str()).collect::<String>()).await.unwrap();
        for (request, expected) in asked {
            in_turn.send(request).await.unwrap();
            for wire in [&mut together, &mut in_turn] {
                let answer = within(wire.message(request.starts_with("HEAD"))).await.unwrap();
                assert!(answer.text().contains(expected), "{request}{}{}", answer.head, answer.text());
            }
        }
    }
    assert_eq!(visitor.position().await, Some(1));
    assert_eq!(stand.operator.room().await["issued"], 1);
    stand.stop().await;
}

#[tokio::test]
async fn whoever_waits_for_the_site_when_the_gateway_stops_is_answered() {
    const MANY: usize = 20;
    let Stand { gateway, upstream, .. } = Setup::room("queueing_method = \"passthrough\"").start().await;
    let request = format!("POST /slow HTTP/1.1\r\nHost: {}\r\nContent-Length: 1\r\n\r\nx", gateway.address);
    let mut wires = Vec::new();
    for _ in 0..MANY {
        let mut wire = Wire::new(TcpStream::connect(gateway.address).await.unwrap());
        wire.send(&request).await.unwrap();
        wires.push(wire);
    }
    eventually("all at the site", async || (upstream.count("/slow") == MANY).then_some(())).await;
    let address = gateway.address;
    let answered = async {
        eventually("the doors to close", async || TcpStream::connect(address).await.is_err().then_some(())).await;
        (0..MANY).for_each(|_| upstream.release());
        for wire in &mut wires {
            let answer = within(wire.message(false)).await.unwrap();
            assert_eq!((answer.text().as_str(), answer.header("connection")), ("the site at /slow", Some("close")));
        }
    };
    tokio::join!(within(gateway.stop()), answered);
    assert_eq!(upstream.count("/slow"), MANY);
}

#[tokio::test]
async fn a_body_sent_to_a_waiting_room_goes_nowhere() {
    let stand = Setup::room("admissions_per_second = 0").start().await;
    let mut program = stand.visitor().program();
    let body = "GET /inner HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    let answer = program.post("/hold", &body).await;
    assert_eq!((answer.status(), &json(&answer)["position"]), (429, &1.into()));
    let mut wire = Wire::new(TcpStream::connect(program.gateway).await.unwrap());
    let head = program.head("POST", "/hold") + "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    wire.send(head).await.unwrap();
    assert_eq!(within(wire.message(false)).await.unwrap().status(), 429, "and is not asked for");
    assert_eq!((stand.upstream.seen().len(), &stand.operator.room().await["issued"]), (0, &1.into()));
    stand.stop().await;
}

#[tokio::test]
async fn a_room_that_lets_everyone_through_counts_nobody() {
    let stand = Setup::room("queueing_method = \"passthrough\"").start().await;
    let mut visitor = stand.visitor();
    assert_eq!(visitor.get("/").await.text(), "the site at /");
    assert!(visitor.jar.is_empty());
    let seen = stand.upstream.seen();
    assert_eq!((seen[0].header("vestibule-room"), seen[0].header("vestibule-pass")), (Some("sale"), None));
    assert_eq!(visitor.get("/.vestibule/verify").await.status(), 200);
    assert_eq!(visitor.status().await["state"], "admitted");
    assert_eq!(stand.operator.room().await["issued"], 0);
    stand.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_counted() {
    let stand = Setup::room("").top("max_connections = 2").start().await;
    let visitor = stand.visitor();
    let open = async || Wire::new(TcpStream::connect(visitor.gateway).await.unwrap());
    let request = visitor.head("GET", "/") + "\r\n";
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut wire = open().await;
        wire.send(&request).await.unwrap();
        assert_eq!(within(wire.message(false)).await.unwrap().status(), 200);
        kept.push(wire);
    }
    assert_eq!(within(open().await.rest()).await, b"");
    assert_eq!(stand.operator.metric("vestibule_refused_total").await, 1.0);
    kept[0].send(&request).await.unwrap();
    assert_eq!(within(kept[0].message(false)).await.unwrap().status(), 200, "the others are served");
    kept.truncate(1);
    let again = async || {
        let mut wire = open().await;
        wire.send(&request).await.ok()?;
        wire.message(false).await.ok().filter(|answer| answer.status() == 200)
    };
    super::stand::eventually("a place for one more", again).await;
    stand.stop().await;
}

/// An address that is documented as nobody's, as a proxy in front would tell it.
fn from_afar(visitor: Visitor, address: &str) -> Visitor {
    visitor.with("X-Forwarded-For", address)
}

#[tokio::test]
async fn a_forged_address_is_believed_of_trusted_proxies_only() {
    let stand = Setup::room("").top("joins_per_minute = 2").start().await;
    from_afar(stand.visitor(), "203.0.113.7").get("/").await;
    let seen = stand.upstream.seen();
    assert_eq!(seen[0].header("x-forwarded-for"), Some("127.0.0.1"));
    assert!(!format!("{:?}", seen[0].headers).contains("203.0.113.7"));
    stand.stop().await;

    let trusting = Setup::room("").top("trusted_proxies = [\"127.0.0.1\"]").start().await;
    from_afar(trusting.visitor(), "198.51.100.1, 203.0.113.7").get("/").await;
    let told = trusting.upstream.seen()[0].header("x-forwarded-for").unwrap().to_owned();
    assert_eq!(told, "198.51.100.1, 203.0.113.7, 127.0.0.1");
    trusting.stop().await;
}

#[tokio::test]
async fn one_address_joins_so_often_and_no_more() {
    let setup = Setup::room("admissions_per_second = 0");
    let stand = setup.top("joins_per_minute = 3\ntrusted_proxies = [\"127.0.0.1\"]").start().await;
    let mut known = from_afar(stand.visitor(), "203.0.113.7");
    known.get("/").await;
    for _ in 0..2 {
        // What stands before the last hop anybody may have written.
        let mut next = from_afar(stand.visitor(), "192.0.2.1, 203.0.113.7").program();
        assert_ne!((next.get("/").await.status(), next.ticket()), (429, String::new()));
    }
    let mut fourth = from_afar(stand.visitor(), "192.0.2.2, 203.0.113.7").program();
    let refused = fourth.get("/").await;
    assert_eq!((refused.status(), &json(&refused)["type"]), (429, &"/problems/too_many_joins".into()));
    assert_eq!((refused.header("retry-after"), fourth.ticket()), (Some("60"), String::new()));
    assert_eq!(fourth.post("/.vestibule/join", "").await.status(), 429, "nor as an app");
    assert_eq!(known.get("/").await.status(), 200, "whoever has a place keeps it");
    let mut other = from_afar(stand.visitor(), "203.0.113.8");
    other.get("/").await;
    assert_eq!(other.position().await, Some(4));
    assert_eq!(stand.operator.metric("vestibule_refused_total").await, 2.0);
    stand.stop().await;
}

#[tokio::test]
async fn one_address_asks_so_often_and_keeps_its_places() {
    let setup = Setup::room("admissions_per_second = 0\ngrace = \"20s\"").manual();
    let stand = setup.top("polls_per_minute = 4\ntrusted_proxies = [\"127.0.0.1\"]").start().await;
    let mut eager = from_afar(stand.visitor(), "2001:db8::1").program();
    eager.get("/").await;
    let mut neighbour = from_afar(stand.visitor(), "2001:db8::2").program();
    neighbour.get("/").await;
    for _ in 0..4 {
        eager.status().await;
    }
    let is_refused = |answer: &Message| {
        assert_eq!((answer.status(), &json(answer)["type"]), (429, &"/problems/too_many_polls".into()));
        assert_eq!(answer.header("retry-after"), Some("10"));
    };
    is_refused(&eager.get("/.vestibule/status?room=sale").await);
    is_refused(&neighbour.get("/.vestibule/status?room=sale").await);
    is_refused(&neighbour.get("/").await);
    is_refused(&neighbour.post("/.vestibule/join", r#"{"room":"sale"}"#).await);
    assert_eq!(neighbour.refused_socket("/.vestibule/live?room=sale").await, 429);
    assert_eq!(from_afar(stand.visitor(), "2001:db8:0:1::1").status().await["state"], "none", "another address");
    let mut page = from_afar(stand.visitor(), "2001:db8::2");
    page.jar = neighbour.jar.clone();
    assert_eq!(page.get("/").await.status(), 200, "pages come as ever");

    // Both ask as they are told for a minute, three times as long as the grace period, and are refused.
    for _ in 0..6 {
        stand.clock.advance_ms(10_000);
        is_refused(&eager.get("/.vestibule/status?room=sale").await);
        is_refused(&neighbour.get("/.vestibule/status?room=sale").await);
        stand.operator.ticks().await;
    }
    assert_eq!(stand.operator.room().await["waiting"], 2);
    stand.stop().await;
}

#[tokio::test]
async fn a_proxy_that_asks_is_told_who_may_pass() {
    let stand = Setup::room("admissions_per_second = 0").start().await;
    let mut owner = stand.admitted().await;
    let pass = owner.pass();
    let verified = owner.get("/.vestibule/verify").await;
    assert_eq!((verified.status(), verified.header("vestibule-pass")), (200, Some(pass.as_str())));
    assert_eq!(verified.header("vestibule-room"), Some("sale"));
    let mut stranger = stand.visitor();
    assert_eq!(stranger.get("/.vestibule/verify").await.status(), 401);
    assert_eq!(stranger.ticket(), "", "a question takes no place");
    let page = stranger.get("/.vestibule/verify?page=1").await;
    assert!(page.status() == 429 && page.text().contains("\"position\":1"), "a 2xx would let it pass");
    assert_eq!(stranger.get("/.vestibule/verify").await.status(), 401, "waiting is not passing");
    let posted = stranger.post("/.vestibule/verify?page=1", "").await;
    assert_eq!(posted.status(), 429, "some proxies ask with the method of what they ask about");
    stand.operator.act("close", "").await;
    assert_eq!(stand.visitor().get("/.vestibule/verify?page=1").await.status(), 503, "told why there is no place");
    stand.stop().await;
}

#[tokio::test]
async fn a_proxy_asks_for_nobody_a_place_who_would_not_get_one_here() {
    let stand = Setup::room("admissions_per_second = 0").start().await;
    for (name, value) in
        [("X-Forwarded-Method", "OPTIONS"), ("X-Original-Method", "OPTIONS"), ("Sec-Fetch-Mode", "no-cors")]
    {
        let mut visitor = stand.visitor().with(name, value);
        assert_eq!(visitor.get("/.vestibule/verify?page=1").await.status(), 401, "{name}: {value}");
        assert_eq!(visitor.ticket(), "", "{name}: {value}");
    }
    stand.stop().await;
}

#[tokio::test]
async fn a_proxy_that_asks_shows_its_page_once_to_somebody_who_is_let_in_at_once() {
    let stand = Setup::room("admissions_per_second = 1000\nburst = 10").start().await;
    let mut visitor = stand.visitor();
    let page = visitor.get("/.vestibule/verify?page=1").await;
    assert!(page.status() == 429 && !visitor.ticket().is_empty() && !visitor.pass().is_empty(), "{}", page.text());
    assert_eq!(visitor.get("/.vestibule/verify?page=1").await.status(), 200);
    stand.stop().await;
}

#[tokio::test]
async fn a_visitor_cannot_choose_the_room_that_a_proxy_asks_about() {
    let rooms = "[room.easy]\nupstream = \"http://UPSTREAM\"\npaths = [\"/easy/*\"]\nqueueing_method = \"passthrough\"\n\
                 [room.hard]\nupstream = \"http://UPSTREAM\"\npaths = [\"/hard/*\"]\nadmissions_per_second = 0\n";
    let stand = Setup::rooms(rooms).start().await;
    let verify = async |headers: &[(&'static str, &str)]| {
        let visitor = headers.iter().fold(stand.visitor(), |visitor, (name, value)| visitor.with(name, value));
        visitor.clone().get("/.vestibule/verify").await.status()
    };
    assert_eq!(verify(&[("X-Forwarded-Uri", "/easy/1")]).await, 200);
    assert_eq!(verify(&[("X-Forwarded-Uri", "/hard/1")]).await, 401);
    assert_eq!(verify(&[("X-Forwarded-Uri", "/hard/1"), ("X-Original-URI", "/easy/1")]).await, 400, "which one?");
    assert_eq!(verify(&[("X-Forwarded-Uri", "/easy/%2e%2e/hard/1")]).await, 400, "it has no one meaning");
    stand.stop().await;
}

#[tokio::test]
async fn a_live_connection_counts_as_an_open_one() {
    let stand = Setup::room("admissions_per_second = 0").top("max_connections = 6").start().await;
    let mut visitor = stand.waiting(1).await.remove(0);
    let mut live = Vec::new();
    for _ in 0..4 {
        let mut connection = visitor.live().await;
        connection.status().await;
        live.push(connection);
    }
    assert_eq!(stand.operator.metric("vestibule_connections").await, 4.0);
    live.clear();
    eventually("the slots to be free", async || {
        (stand.operator.metric("vestibule_connections").await == 0.0).then_some(())
    })
    .await;
    assert_eq!(visitor.position().await, Some(1));
    stand.stop().await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let stand = Setup::room("").top("max_body_bytes = 1000").start().await;
    let mut visitor = stand.visitor();
    visitor.get("/").await;
    assert_eq!(visitor.post("/hold", &"x".repeat(1_000)).await.status(), 200);
    let seen = &stand.upstream.seen()[1];
    assert_eq!((seen.method.as_str(), seen.body.len()), ("POST", 1_000));
    assert_eq!(visitor.post("/hold", &"x".repeat(1_001)).await.status(), 413);
    assert_eq!(stand.upstream.count("/hold"), 1);
    stand.stop().await;
}

#[tokio::test]
async fn some_addresses_need_no_pass() {
    let room = Setup::room("admissions_per_second = 0\nbypass_addresses = [\"203.0.113.0/24\"]");
    let stand = room.top("trusted_proxies = [\"127.0.0.1\"]").start().await;
    let mut monitor = from_afar(stand.visitor(), "203.0.113.9");
    assert_eq!(monitor.get("/a").await.text(), "the site at /a");
    assert_eq!(monitor.ticket(), "", "and take no place");
    assert!(from_afar(stand.visitor(), "203.0.114.9").get("/a").await.text().contains("<html"));
    let untrusting = Setup::room("admissions_per_second = 0\nbypass_addresses = [\"203.0.113.0/24\"]").start().await;
    assert!(
        from_afar(untrusting.visitor(), "203.0.113.9").get("/a").await.text().contains("<html"),
        "anybody can say so"
    );
    assert_eq!((stand.upstream.count("/a"), untrusting.upstream.count("/a")), (1, 0));
    stand.stop().await;
    untrusting.stop().await;
}
