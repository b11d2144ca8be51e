//! The waiting page over real sockets: languages, links to another device, the forecast, previews, themes.

use std::io::Read as _;

use serde_json::Value;

use super::stand::{Setup, Stand, json};
use super::visitor::{Visitor, set_cookies};

/// Nobody is let in unless the operator does it.
const SHUT: &str = "admissions_per_second = 0";

fn asking(stand: &Stand, language: &str) -> Visitor {
    stand.visitor().with("Accept-Language", language)
}

#[tokio::test]
async fn the_page_speaks_the_visitors_language_and_a_choice_by_hand_wins() {
    let stand = Setup::room(SHUT).start().await;
    let mut visitor = asking(&stand, "nl,ta;q=0.9,en;q=0.8");
    let page = visitor.get("/").await;
    assert!(page.text().contains("<html lang=\"ta\" dir=\"ltr\">"), "{}", page.text());
    assert!(page.header("vary").unwrap().contains("Accept-Language"));

    let referer = format!("http://{}/book/7?a=1", visitor.host);
    let mut chooser = visitor.clone().with("Referer", &referer);
    let chosen = chooser.get("/.vestibule/language?lang=ur").await;
    assert_eq!((chosen.status(), chosen.header("location")), (303, Some("/book/7?a=1")));
    visitor.jar = chooser.jar;
    assert!(visitor.get("/").await.text().contains("<html lang=\"ur\" dir=\"rtl\">"));
    assert_eq!(visitor.number().await, 1, "the place is the same");
    stand.stop().await;
}

#[tokio::test]
async fn a_page_is_packed_for_those_who_accept_it() {
    let stand = Setup::room(SHUT).start().await;
    let visitor = stand.visitor();
    for (accepts, is_packed) in [("gzip, br", true), ("gzip;q=0, *;q=0.1", false), ("identity", false), ("", false)] {
        let answer = visitor.clone().with("Accept-Encoding", accepts).get("/").await;
        assert_eq!(answer.header("content-encoding"), is_packed.then_some("gzip"), "{accepts}");
        assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
        assert!(answer.header("vary").unwrap().contains("Accept-Encoding"));
        let page = if is_packed { unpacked(&answer.body) } else { answer.text() };
        assert!(page.contains("You are in line") && page.ends_with("</html>"), "{accepts}");
        assert!(!is_packed || answer.body.len() < 14 * 1024);
    }
    let plain = visitor.clone().get("/").await;
    assert_eq!(plain.header("content-encoding"), None, "who asks for nothing gets the page as it is");
    let head = visitor.clone().with("Accept-Encoding", "gzip").ask("HEAD", "/").await;
    assert_eq!((head.header("content-encoding"), head.body.len()), (Some("gzip"), 0));
    assert!((1..14 * 1024).contains(&head.header("content-length").unwrap().parse::<usize>().unwrap()));
    let program = visitor.clone().program().with("Accept-Encoding", "gzip").get("/").await;
    assert_eq!((program.header("content-encoding"), program.status()), (None, 429));
    stand.operator.act("close", "{}").await;
    let notice = visitor.with("Accept-Encoding", "gzip").get("/").await;
    assert_eq!(notice.header("content-encoding"), Some("gzip"));
    assert!(unpacked(&notice.body).contains("The room is closed"));
    stand.stop().await;
}

fn unpacked(packed: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn a_choice_of_language_leads_nowhere_else() {
    let stand = Setup::room(SHUT).start().await;
    for referer in ["https://evil.example/", "http://HOST//evil.example", "http://HOST/\\evil.example", "nonsense"] {
        let mut visitor = stand.visitor();
        let referer = referer.replace("HOST", &visitor.host);
        visitor = visitor.with("Referer", &referer);
        let answer = visitor.get("/.vestibule/language?lang=de").await;
        assert_eq!((answer.status(), answer.header("location")), (303, Some("/")), "{referer}");
    }
    let unknown = stand.visitor().get("/.vestibule/language?lang=xx%0d%0aa:b").await;
    assert_eq!((unknown.status(), set_cookies(&unknown).len()), (303, 0));
    stand.stop().await;
}

#[tokio::test]
async fn a_notice_speaks_the_visitors_language_too() {
    let stand = Setup::room(SHUT).start().await;
    stand.operator.act("close", "{}").await;
    let notice = asking(&stand, "de-AT").get("/").await;
    assert_eq!(notice.status(), 503);
    assert!(notice.text().contains("<html lang=\"de\"") && notice.text().contains("Der Raum ist geschlossen"));
    let program = asking(&stand, "de").program().get("/").await;
    assert_eq!(json(&program)["title"], "The room is closed", "programs read one language");
    stand.stop().await;
}

/// Makes a link, and returns its path.
async fn link(visitor: &Visitor) -> String {
    let mut maker = visitor.clone().program().with("Referer", &format!("http://{}/book/7", visitor.host));
    let made = maker.post("/.vestibule/link?room=sale", "").await;
    assert_eq!(made.status(), 200, "{}", made.text());
    let made: Value = json(&made);
    assert!(made["qr"].as_str().unwrap().starts_with("<svg"));
    assert_eq!(made["expires_in_seconds"], 300);
    let link = made["link"].as_str().unwrap();
    link.strip_prefix(&format!("http://{}", visitor.host)).unwrap().to_owned()
}

#[tokio::test]
async fn a_link_takes_the_place_to_one_other_device() {
    let stand = Setup::room(SHUT).start().await;
    let mut line = stand.waiting(3).await;
    let path = link(&line[1]).await;
    let (mut phone, mut thief) = (stand.visitor(), stand.visitor());
    for _ in 0..2 {
        let asks = phone.get(&path).await;
        assert!(asks.status() == 200 && asks.text().contains("<form method=\"post\""), "looking uses nothing up");
    }
    assert_eq!(phone.ticket(), "");
    let used = phone.post(&path, "").await;
    assert_eq!((used.status(), used.header("location")), (303, Some("/book/7")));
    assert_eq!((phone.ticket(), phone.number().await), (line[1].ticket(), 2), "the very same ticket");
    assert_eq!(thief.post(&path, "").await.status(), 410, "it was used");
    assert_eq!(thief.ticket(), "");
    assert_eq!(line[0].status().await["waiting"], 3, "nobody has two places");

    // The pass that either earns counts beside that ticket, and beside no other (T3).
    stand.operator.act("admit", r#"{"count":2}"#).await;
    phone.until_state("called").await;
    assert_eq!(phone.get("/enter").await.text(), "the site at /enter");
    let mut other = line[2].clone();
    other.jar.insert("vestibule-pass-sale".to_owned(), phone.pass());
    assert!(other.get("/enter").await.text().contains("<html"), "a pass without its ticket is nothing");
    assert_eq!(stand.operator.room().await["active_sessions"], 2, "one session for both devices");
    stand.stop().await;
}

#[tokio::test]
async fn whoever_takes_a_place_over_gives_the_own_one_up() {
    let stand = Setup::room(SHUT).start().await;
    let mut line = stand.waiting(2).await;
    let path = link(&line[0]).await;
    let mut second = line.remove(1);
    assert_eq!(second.post(&path, "").await.status(), 303);
    assert_eq!(second.number().await, 1);
    stand.operator.until("one place", |room| room["waiting"] == 1).await;
    stand.stop().await;
}

#[tokio::test]
async fn a_link_is_for_a_few_minutes_and_for_ones_own_place() {
    let stand = Setup::room(SHUT).manual().start().await;
    let line = stand.waiting(1).await;
    let path = link(&line[0]).await;
    assert_eq!(stand.visitor().program().post("/.vestibule/link?room=sale", "").await.status(), 401, "no place");
    let mut foreign = line[0].clone().with("Origin", "https://evil.example");
    assert_eq!(foreign.post("/.vestibule/link?room=sale", "").await.status(), 403);
    assert_eq!(foreign.post(&path, "").await.status(), 403);
    let elsewhere = path.replace("&to=/book/7", "&to=//evil.example");
    let used = stand.visitor().post(&elsewhere, "").await;
    assert_eq!((used.status(), used.header("location")), (303, Some("/")));
    let late = link(&line[0]).await;
    stand.clock.advance_ms(301_000);
    let mut phone = stand.visitor();
    assert_eq!((phone.get(&late).await.status(), phone.post(&late, "").await.status()), (410, 410));
    stand.stop().await;
}

#[tokio::test]
async fn the_forecast_is_told_once_it_is_known() {
    let keys = format!("{SHUT}\nitem = \"final\"");
    let stand = Setup::room(&keys).manual().start().await;
    let mut line = stand.waiting(60).await;
    let (mut last, mut near) = (line.remove(59), line.remove(29));
    let stock = async |left: u64| {
        stand.operator.act("stock", &format!(r#"{{"key":"final","available":{left}}}"#)).await;
        stand.clock.advance_ms(1_000);
        stand.operator.ticks().await;
    };
    stock(401).await;
    assert_eq!(last.status().await["forecast"], Value::Null, "nothing is known yet");
    assert!(last.get("/").await.text().contains("too early to say whether it will last"));
    stock(400).await;
    for left in [280, 160] {
        stand.operator.act("admit", r#"{"count":12}"#).await;
        stock(left).await;
    }
    // Each takes ten: the five before one visitor leave 110, the 35 before another would need 350.
    let status = near.until("it lasts", |status| status["forecast"] == "likely_enough").await;
    assert_eq!((&status["ahead"], &status["stock"]["available"]), (&Value::from(5), &Value::from(160)));
    let status = last.until("it does not last", |status| status["forecast"] == "likely_sold_out").await;
    assert_eq!(status["ahead"], 35);
    let mut live = last.live().await;
    assert_eq!(live.status().await["forecast"], "likely_sold_out", "the same on every channel");
    assert!(last.get("/").await.text().contains("data-forecast=\"likely_sold_out\""));
    stand.stop().await;
}

#[tokio::test]
async fn an_operator_sees_the_page_in_every_state() {
    let stand = Setup::room("title = \"The final\"\n[room.sale.theme]\naccent = \"#8a1538\"").start().await;
    let preview = async |query: &str| stand.operator.ask("GET", &format!("/api/rooms/sale/preview{query}"), "").await;
    for state in ["waiting", "called", "sold_out", "awaiting_public_value", "lapsed"] {
        let page = preview(&format!("?state={state}&lang=ar&message=hello")).await;
        assert_eq!((page.status(), page.header("content-type")), (200, Some("text/html; charset=utf-8")), "{state}");
        let text = page.text();
        assert!(text.contains("dir=\"rtl\"") && text.contains("The final") && text.contains("--key:#8a1538"));
        assert!(text.contains("hello") && text.contains("data-live=\"\""), "there is nothing behind it");
        let nonce = text.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(page.header("content-security-policy").unwrap().contains(&format!("script-src 'nonce-{nonce}'")));
    }
    let lost = preview("?state=disconnected").await.text();
    assert!(lost.contains("No news for 40 seconds.") && lost.contains("Updated 40 seconds ago"), "{lost}");
    assert!(lost.contains("data-row=\"trouble\">"), "it is shown");
    let kept = preview("?state=closed_in_line").await.text();
    assert!(kept.contains("Updated just now") && kept.contains("data-row=\"trouble\" hidden"), "{kept}");
    assert!(preview("?state=nonsense").await.text().contains("awaiting_public_value"));
    assert_eq!(preview("?lang=xx").await.status(), 400);
    let stranger = stand.operator.ask_with("", "GET", "/api/rooms/sale/preview", "").await;
    assert_eq!(stranger.status(), 401);
    stand.stop().await;
}

#[tokio::test]
async fn a_message_is_heard_within_a_second_by_everybody() {
    let stand = Setup::room(SHUT).start().await;
    let line = stand.waiting(40).await;
    let mut live = Vec::new();
    for visitor in &line {
        let mut socket = visitor.live().await;
        socket.status().await;
        live.push(socket);
    }
    stand.operator.act("message", r#"{"text":"Doors open at ten."}"#).await;
    for socket in &mut live {
        let (frames, status) = socket.until(|status| status["message"] == "Doors open at ten.").await;
        assert!(frames <= 3, "{frames} frames came before it");
        assert!(status["as_of"].is_u64());
    }
    stand.stop().await;
}
