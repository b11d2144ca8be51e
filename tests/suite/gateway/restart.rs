//! What a gateway on a data folder keeps when it stops, and when it is killed.

use std::collections::BTreeSet;

use super::stand::{Setup, eventually};
use super::upstream::Upstream;
use super::visitor::Visitor;
use crate::program::Process;

const SHUT: &str = "admissions_per_second = 0";

async fn numbers(line: &mut [Visitor]) -> Vec<u64> {
    let mut numbers = Vec::new();
    for visitor in line {
        numbers.push(visitor.number().await);
    }
    numbers
}

#[tokio::test]
async fn a_stop_and_a_start_keep_every_place_and_pass() {
    let folder = tempfile::tempdir().unwrap();
    let before = Setup::room(SHUT).data(folder.path()).start().await;
    let mut owner = before.admitted().await;
    let mut line = before.waiting(5).await;
    line[1].post("/.vestibule/leave", "").await;
    before.operator.until("the leave", |room| room["left"] == 1).await;
    before.operator.act("message", r#"{"text":"kept"}"#).await;
    before.operator.limit(r#"{"burst":9}"#).await;
    before.stop().await;

    let after = Setup::room(SHUT).data(folder.path()).start().await;
    line.remove(1);
    for (i, visitor) in line.iter_mut().enumerate() {
        visitor.gateway = after.gateway.address;
        assert_eq!(visitor.position().await, Some(i as u64 + 1));
    }
    owner.gateway = after.gateway.address;
    assert_eq!(owner.get("/seats").await.text(), "the site at /seats", "the pass is of the same keys");
    let mut late = after.waiting(1).await;
    let mut given = numbers(&mut line).await;
    given.extend(numbers(&mut late).await);
    assert!(given.is_sorted() && given.windows(2).all(|pair| pair[0] != pair[1]), "{given:?}");
    let room = after.operator.room().await;
    assert_eq!(
        (&room["message"], &room["burst"]),
        (&"kept".into(), &9.into()),
        "what the operator set outlives a restart"
    );
    after.operator.act("admit", r#"{"count":1}"#).await;
    line[0].until_state("called").await;
    after.stop().await;
}

#[tokio::test]
async fn a_killed_process_gives_no_number_twice_and_loses_no_place() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let setup = Setup::room(SHUT).data(folder.path());
    let mut line = Vec::new();
    let mut seen = BTreeSet::new();
    let mut called = Vec::new();
    for life in 0..3 {
        let mut process = Process::serve(&setup, upstream.address, folder.path());
        for visitor in line.iter_mut().chain(&mut called) {
            let visitor: &mut Visitor = visitor;
            visitor.gateway = process.gateway();
            let ticket = visitor.ticket();
            visitor.get("/").await;
            assert_eq!(visitor.ticket(), ticket, "the same ticket in life {life}");
        }
        let count = line.len();
        for (i, visitor) in line.iter_mut().enumerate() {
            // Who came after a kill has others ahead who may yet come back whom the process had forgotten.
            let is_known = life == 1 || i < 7;
            let position = is_known.then_some(i as u64 + 1);
            visitor
                .until("the place", |status| status["waiting"] == count && status["position"].as_u64() == position)
                .await;
        }
        for visitor in &mut called {
            assert!(visitor.get("/seats").await.text().contains("the site"), "who was called stays called");
        }
        for _ in 0..10 {
            let mut visitor = process.visitor();
            visitor.get("/").await;
            assert!(seen.insert(visitor.number().await), "no number twice");
            line.push(visitor);
        }
        process.operator().act("admit", r#"{"count":2}"#).await;
        for mut visitor in line.drain(..2) {
            visitor.until_state("called").await;
            called.push(visitor);
        }
        // The last join is answered, and so is nothing after it.
        let mut last = process.visitor();
        last.get("/").await;
        process.kill();
        line.push(last);
        let last = line.last_mut().unwrap();
        assert_ne!(last.ticket(), "");
    }
    let process = Process::serve(&setup, upstream.address, folder.path());
    let last = line.last_mut().unwrap();
    last.gateway = process.gateway();
    last.until("a place", |status| status["state"] == "waiting" && status["number"].is_u64()).await;
    assert!(seen.insert(last.number().await));
    let room = eventually("the room", async || Some(process.operator().room().await)).await;
    assert_eq!(room["called"], 6);
}
