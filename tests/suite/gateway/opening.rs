//! Sales that open, start and end by a schedule, and draws that anyone can check.

use std::process::Command;

use serde_json::{Value, json as value};
use vestibule::audit;
use vestibule::line::Steering;

use super::stand::{START_MS, Setup, Stand, eventually, json};
use super::visitor::Visitor;

/// The manual clock starts at 2027-01-15 08:00 UTC.
const TIMES: &str = "time_zone = \"Asia/Kolkata\"\nopens_at = 2027-01-15T13:30:10\n\
                     starts_at = 2027-01-15T13:30:20\nends_at = \"2027-01-15T08:00:40Z\"\n";

const DRAW: &str = "queueing_method = \"draw\"\nstarts_at = 2027-01-15T08:00:20Z\nadmissions_per_second = 1\n";

async fn published(stand: &Stand) -> Value {
    json(&stand.visitor().program().get("/.vestibule/draw").await)
}

#[tokio::test]
async fn a_sale_opens_starts_and_ends() {
    let stand = Setup::room(TIMES).manual().start().await;
    let mut early = stand.visitor();
    assert!(early.get("/").await.text().contains("It has not opened yet"));
    assert_eq!(early.ticket(), "", "nobody has a place");
    let status = early.status().await;
    assert_eq!((&status["state"], &status["opens_at"]), (&value!("pre_queue"), &value!(START_MS + 10_000)));
    assert_eq!(stand.visitor().program().post("/.vestibule/join", "").await.status(), 429);

    stand.clock.advance_ms(10_000);
    early.until("the opening", |status| status["state"] == "none").await;
    assert!(early.get("/").await.text().contains("You are in line"));
    let status = early.until_state("pre_queue").await;
    assert_eq!((&status["position"], &status["opens_at"]), (&value!(1), &value!(START_MS + 20_000)));

    stand.clock.advance_ms(10_000);
    early.until_state("called").await;
    assert_eq!(early.get("/").await.text(), "the site at /");
    let mut late = stand.visitor();
    stand.operator.act("pause", "").await;
    late.get("/").await;
    stand.clock.advance_ms(20_000);
    assert_eq!(late.until_state("closed").await["position"], 1, "the place is kept, should the end be moved");
    stand.operator.act("resume", "").await;
    assert_eq!(stand.visitor().program().get("/").await.status(), 503);
    stand.operator.limit(&format!(r#"{{"ends_at":{}}}"#, START_MS + 90_000)).await;
    late.until_state("called").await;
    stand.stop().await;
}

#[tokio::test]
async fn an_operator_moves_the_start() {
    let stand = Setup::room("starts_at = 2027-01-15T08:01:00Z").manual().start().await;
    let mut visitor = stand.waiting(1).await.remove(0);
    visitor.until_state("pre_queue").await;
    let wrong = stand.operator.ask("PATCH", "/api/rooms/sale", &format!(r#"{{"ends_at":{START_MS}}}"#)).await;
    assert_eq!(wrong.status(), 422, "{}", wrong.text());
    let room = stand.operator.limit(r#"{"starts_at":null}"#).await;
    assert_eq!((&room["starts_at"], &room["stage"]), (&Value::Null, &value!("running")));
    visitor.until_state("called").await;
    stand.stop().await;
}

#[tokio::test]
async fn lots_are_drawn_at_the_start_and_anyone_can_check_them() {
    let stand = Setup::room(DRAW).manual().start().await;
    let before = published(&stand).await;
    assert_eq!(
        (&before["state"], &before["entries"]),
        (&value!("open"), &value!(0)),
        "promised before the first entry"
    );
    let mut line = stand.waiting(12).await;
    let status = line[3].until_state("pre_queue").await;
    assert_eq!((&status["draw"], &status["position"]), (&value!("open"), &Value::Null));
    assert!(line[3].get("/").await.text().contains("You are in the draw"));
    assert_eq!(stand.operator.ask("POST", "/api/rooms/sale/draw", "").await.status(), 422, "too early");
    let mut here = Vec::new();
    for visitor in &line {
        here.push(visitor.live().await);
    }
    stand.operator.until("all of them", |room| room["present"] == 12).await;

    stand.clock.advance_ms(20_000);
    line[0].until("the draw", |status| status["draw"].is_null()).await;
    let mut late = stand.visitor();
    late.get("/").await;
    let after = published(&stand).await;
    assert_eq!((&after["state"], &after["entries"]), (&value!("drawn"), &value!(12)));
    assert_eq!(after["commitment"], before["commitment"]);
    let computed = recomputed(&after);
    let mut shown = Vec::new();
    for visitor in &mut line {
        let own = json(&visitor.get("/.vestibule/draw").await);
        let number = own["number"].as_u64().expect("a number");
        assert_eq!(own["place"].as_u64(), Some(computed[number as usize - 1]), "{own}");
        shown.push(own["place"].as_u64().expect("a place"));
    }
    assert_ne!(shown, (1..=12).collect::<Vec<_>>(), "the seed would have to be one in 479 million");
    called_by_place(&stand, &mut line, &shown).await;
    late.until_state("called").await;

    let log = stand.operator.text("/api/rooms/sale/log").await;
    let (summary, findings) = audit::verify(log.lines());
    assert_eq!((findings, summary.draws.len()), (vec![], 1));
    let said = run_page("passed_over", &log);
    assert!(said.contains("13 called") && said.contains("no fault"), "{said}");
    stand.stop().await;
}

/// All are called, the lowest place first, and their receipts say so.
async fn called_by_place(stand: &Stand, line: &mut [Visitor], places: &[u64]) {
    for place in 1..=line.len() as u64 {
        let i = places.iter().position(|drawn| *drawn == place).expect("every place is drawn once");
        line[i].until_state("called").await;
        let receipt = json(&line[i].get("/.vestibule/receipt").await);
        assert_eq!((receipt["place"].as_u64(), receipt["number"].as_u64()), (Some(place), Some(i as u64 + 1)));
        assert!(receipt["entry"]["called"].is_string(), "{receipt}");
        stand.clock.advance_ms(1_000);
    }
}

/// What the page of Python in the documentation makes of a published draw, by number.
fn recomputed(draw: &Value) -> Vec<u64> {
    let ran = run_page("def place(", &draw.to_string());
    ran.lines().map(|line| line.split_once(' ').expect("two words").1.parse().expect("a place")).collect()
}

/// Runs the page of Python in the documentation that holds `mark` on a file with this text.
fn run_page(mark: &str, text: &str) -> String {
    let document = include_str!("../../../docs/fairness.md");
    let pages = document.split("```python\n").skip(1).filter_map(|block| block.split("```").next());
    let folder = tempfile::tempdir().expect("a folder");
    let (mut script, file) = (None, folder.path().join("file"));
    for page in pages {
        let path = folder.path().join(if page.contains("def place(") { "draw.py" } else { "check.py" });
        std::fs::write(&path, page).expect("a script");
        script = script.or(page.contains(mark).then_some(path));
    }
    std::fs::write(&file, text).expect("a file");
    let output = Command::new("python3").arg(script.expect("the page")).arg(&file).output().expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test]
async fn a_public_value_is_waited_for() {
    let keys = format!("{DRAW}draw_public_value = \"closing value of the index on 15 January\"\n");
    let stand = Setup::room(&keys).manual().start().await;
    let mut line = stand.waiting(5).await;
    assert_eq!(published(&stand).await["public_value_of"], "closing value of the index on 15 January");
    stand.clock.advance_ms(20_000);
    line[0].until("the close", |status| status["draw"] == "awaiting_public_value").await;
    let mut late = stand.visitor();
    assert!(late.get("/").await.text().contains("Lots are drawn soon"));
    assert_eq!(published(&stand).await["last"], 5, "whoever comes now is not in it");
    let without = stand.operator.ask("POST", "/api/rooms/sale/draw", "").await;
    assert!(without.status() == 422 && without.text().contains("closing value"), "{}", without.text());
    stand.operator.act("draw", r#"{"public_value":"85,123.45"}"#).await;
    let after = published(&stand).await;
    assert_eq!((&after["state"], &after["public_value"]), (&value!("drawn"), &value!("85,123.45")));
    assert_eq!(recomputed(&after).len(), 5);
    stand.stop().await;
}

#[tokio::test]
async fn a_promised_draw_outlives_a_restart_and_is_forgone_with_its_method() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = async |keys: &str, clock| {
        let mut setup = Setup::room(keys).data(folder.path());
        setup.clock = clock;
        setup.start().await
    };
    let stand = start(DRAW, vestibule::clock::Clock::manual(START_MS)).await;
    let mut line = stand.waiting(3).await;
    let before = published(&stand).await;
    let clock = stand.clock.clone();
    stand.stop().await;

    let stand = start(DRAW, clock).await;
    line.iter_mut().for_each(|visitor| visitor.gateway = stand.gateway.address);
    assert_eq!(published(&stand).await["commitment"], before["commitment"]);
    for visitor in &mut line {
        visitor.until_state("pre_queue").await;
    }
    stand.clock.advance_ms(20_000);
    let mut places = Vec::new();
    for visitor in &mut line {
        let status = visitor.until("a place", |status| status["draw"].is_null()).await;
        places.push(status["position"].as_u64().unwrap_or(0));
    }
    assert_eq!(published(&stand).await["commitment"], before["commitment"]);
    assert!(places.iter().all(|place| *place <= 3), "{places:?}");
    let clock = stand.clock.clone();
    stand.stop().await;

    let later = DRAW.replace("08:00:20", "08:10:00");
    let stand = start(&later, clock.clone()).await;
    assert_eq!(published(&stand).await["state"], "open", "the next sale has a draw of its own");
    stand.stop().await;
    let stand = start(&later.replace("\"draw\"", "\"fifo\""), clock).await;
    assert_eq!(published(&stand).await["state"], "drawn", "no draw is to come any more");
    stand.stop().await;
}

#[tokio::test]
async fn a_promise_that_was_lost_with_the_store_is_given_again() {
    let stand = Setup::room(DRAW).manual().start().await;
    let first = published(&stand).await["commitment"].clone();
    assert!(first.is_string(), "{first}");
    let room = &stand.gateway.rooms()[0];
    room.shared.store.steer(&room.rules.name, &Steering::Forgo).await.unwrap();
    let again =
        async || Some(published(&stand).await["commitment"].clone()).filter(|now| now.is_string() && *now != first);
    eventually("another promise", again).await;
    stand.waiting(2).await;
    stand.clock.advance_ms(20_000);
    eventually("the draw", async || Some(published(&stand).await).filter(|told| told["seed"].is_string())).await;
    stand.stop().await;
}
