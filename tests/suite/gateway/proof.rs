//! A proof of work, or of patience, before a place is given.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::stand::{Setup, Stand, json as read};
use super::visitor::Visitor;
use crate::redis_server::RedisServer;

const WORK: &str = "admissions_per_second = 0\n[room.sale.work]\ndifficulty = 1_000\npatience = \"5s\"\n";

/// The task that a program gets.
async fn task(stand: &Stand) -> Value {
    let problem = stand.visitor().program().get("/").await;
    assert_eq!((problem.status(), &read(&problem)["type"]), (428, &"/problems/proof".into()), "{}", problem.text());
    read(&problem)["challenge"].clone()
}

/// Does the work by hand, as any program of ALTCHA's would.
fn solve(task: &Value) -> Value {
    let hash = |number: &u64| hex::encode(Sha256::digest(format!("{}{number}", task["salt"].as_str().unwrap())));
    let number = (0..=task["maxnumber"].as_u64().unwrap()).find(|number| task["challenge"] == hash(number));
    let mut solution = task.clone();
    solution["number"] = number.unwrap().into();
    solution
}

fn text(solution: &Value) -> String {
    STANDARD.encode(solution.to_string())
}

async fn join(stand: &Stand, solution: &Value) -> (u16, Value) {
    let body = json!({"room": "sale", "altcha": text(solution)}).to_string();
    let answer = stand.visitor().program().post("/.vestibule/join", &body).await;
    (answer.status(), read(&answer))
}

#[tokio::test]
async fn a_program_gets_a_place_for_its_work_once() {
    let stand = Setup::room(WORK).start().await;
    let bare = stand.visitor().program().post("/.vestibule/join", r#"{"room":"sale"}"#).await;
    assert_eq!(bare.status(), 428, "no place for nothing");
    let solution = solve(&task(&stand).await);
    let (status, joined) = join(&stand, &solution).await;
    assert_eq!((status, &joined["status"]["position"]), (200, &1.into()), "{joined}");
    let (status, again) = join(&stand, &solution).await;
    assert_eq!((status, &again["type"]), (428, &"/problems/proof".into()), "the same work buys one place");
    assert!(again["challenge"]["salt"].is_string(), "and a new task comes along");
    let mut guessed = solve(&task(&stand).await);
    guessed["number"] = json!((guessed["number"].as_u64().unwrap() + 1) % 1_000);
    assert_eq!(join(&stand, &guessed).await.0, 428, "work that was not done");
    assert_eq!(stand.operator.room().await["issued"], 1);
    stand.stop().await;
}

#[tokio::test]
async fn work_of_another_difficulty_or_line_buys_nothing() {
    let (stand, easy) = (Setup::room(WORK), Setup::room(&WORK.replace("1_000", "1_001")));
    let keys = tempfile::tempdir().unwrap();
    let keys = format!("keys = \"{}\"", keys.path().join("keys.toml").display());
    let (stand, easy) = (stand.top(&keys).start().await, easy.top(&keys).start().await);
    let other = Setup::room(WORK).start().await;
    for elsewhere in [&easy, &other] {
        assert_eq!(join(&stand, &solve(&task(elsewhere).await)).await.0, 428);
    }
    assert_eq!(join(&stand, &solve(&task(&stand).await)).await.0, 200);
    for stand in [stand, easy, other] {
        stand.stop().await;
    }
}

#[tokio::test]
async fn two_gateways_take_a_solution_once_between_them() {
    let (redis, folder) = (RedisServer::start(&[]), tempfile::tempdir().unwrap());
    let tables = format!("[store]\nurl = \"{}\"\n[room.sale]\nupstream = \"http://UPSTREAM\"\n{WORK}", redis.url());
    let setup = Setup::rooms(&tables).top(&format!("keys = \"{}\"", folder.path().join("keys.toml").display()));
    let (a, b) = (setup.clone().start().await, setup.start().await);
    for _ in 0..5 {
        let solution = solve(&task(&a).await);
        let (one, other) = tokio::join!(join(&a, &solution), join(&b, &solution));
        let mut told = [one.0, other.0];
        told.sort_unstable();
        assert_eq!(told, [200, 428]);
    }
    a.stop().await;
    b.stop().await;
}

/// The text of an attribute of the page.
fn attribute<'a>(page: &'a str, name: &str) -> &'a str {
    page.split_once(&format!("{name}=\"")).unwrap().1.split('"').next().unwrap()
}

fn plain(text: &str) -> String {
    text.replace("&amp;", "&").replace("&#x2f;", "/").replace("&#x3d;", "=").replace("&#x3f;", "?")
}

async fn page(stand: &Stand, visitor: &mut Visitor) -> (String, Value) {
    let page = visitor.get("/book?seat=1").await;
    assert_eq!((page.status(), visitor.ticket().as_str()), (428, ""), "{}", page.text());
    assert!(page.header("content-security-policy").unwrap().ends_with("; worker-src blob:"));
    assert_eq!(stand.upstream.seen().len(), 0);
    let text = page.text();
    let task = text.split_once("id=\"challenge\">").unwrap().1.split_once("</script>").unwrap().0.to_owned();
    (text, serde_json::from_str(&task).unwrap())
}

#[tokio::test]
async fn a_page_does_the_work_and_goes_back_to_what_was_asked_for() {
    let stand = Setup::room(WORK).start().await;
    let mut visitor = stand.visitor();
    let (text, task) = page(&stand, &mut visitor).await;
    let form = plain(attribute(&text, "action"));
    let solution = self::text(&solve(&task)).replace('+', "%2B").replace('=', "%3D").replace('/', "%2F");
    let foreign =
        stand.visitor().with("Origin", "https://evil.example").post(&form, &format!("altcha={solution}")).await;
    assert_eq!(foreign.status(), 403);
    let answer = visitor.post(&form, &format!("altcha={solution}")).await;
    assert_eq!((answer.status(), answer.header("location")), (303, Some("/book?seat=1")), "{}", answer.text());
    assert!(visitor.get("/book?seat=1").await.text().contains("\"position\":1"));
    assert_eq!(stand.visitor().post(&form, &format!("altcha={solution}")).await.status(), 428, "used");
    let evil = form.replace("%2Fbook%3Fseat%3D1", "%2F%2Fevil.example").replace("/book%3Fseat%3D1", "//evil.example");
    assert_eq!(visitor.post(&evil, "").await.header("location"), Some("/"), "back to this site only");
    stand.stop().await;
}

#[tokio::test]
async fn who_has_no_script_waits_instead_and_not_less() {
    let stand = Setup::room(WORK).manual().start().await;
    let mut visitor = stand.visitor();
    let (text, _) = page(&stand, &mut visitor).await;
    let link = plain(attribute(&text, "data-patience"));
    assert!(plain(&text).contains(&format!("content=\"5; url={link}\"")), "{text}");
    assert_eq!(visitor.get(&link).await.status(), 428, "too soon");
    stand.clock.advance_ms(5_000);
    assert_eq!(visitor.get(&link).await.status(), 303);
    assert!(visitor.get("/book?seat=1").await.text().contains("\"position\":1"));
    assert_eq!(stand.visitor().get(&link).await.status(), 428, "once");
    stand.stop().await;
}

#[tokio::test]
async fn a_proxy_that_asks_is_asked_for_work_too() {
    let stand = Setup::room(WORK).start().await;
    let page = stand.visitor().with("X-Original-URI", "/book?seat=1").get("/.vestibule/verify?page=1").await;
    assert!(page.status() == 428 && plain(&page.text()).contains("to=/book%3Fseat%3D1"), "{}", page.text());
    stand.stop().await;
}
