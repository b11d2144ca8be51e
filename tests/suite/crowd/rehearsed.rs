//! What was foretold beside what comes of it, at a real gateway.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use serde_json::Value;

use crate::gateway::stand::Setup;
use crate::gateway::upstream::Upstream;
use crate::program::{Process, text, told, told_with_files};

/// Runs `vestibule rehearse` for a crowd of sixty; returns how it ended, what it said and what it wrote.
async fn rehearse(folder: &Path, config: &Path, more: &[&str]) -> (Option<i32>, String, Value) {
    rehearse_by(folder, config, more, told).await
}

/// The same, by `told`.
async fn rehearse_by(
    folder: &Path,
    config: &Path,
    more: &[&str],
    told: impl FnOnce(&[&str]) -> (Option<i32>, String) + Send + 'static,
) -> (Option<i32>, String, Value) {
    let json: PathBuf = folder.join("rehearsal.json");
    let words =
        ["rehearse", "--config", text(config), "--visitors", "60", "--over", "1", "--seed", "4", "--json", text(&json)];
    let words: Vec<String> = words.iter().chain(more).map(|word| (*word).to_owned()).collect();
    let ran = tokio::task::spawn_blocking(move || told(&words.iter().map(String::as_str).collect::<Vec<_>>()));
    let (code, said) = ran.await.unwrap();
    let written = std::fs::read_to_string(json).map(|text| serde_json::from_str(&text).unwrap());
    (code, said, written.unwrap_or_default())
}

#[tokio::test]
async fn what_was_foretold_stands_beside_what_came() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let setup = Setup::room("admissions_per_second = 30").data(&folder.path().join("data"));
    let process = Process::serve(&setup, upstream.address, folder.path());
    let url = format!("http://{}/", process.gateway());
    let config = folder.path().join("vestibule.toml");
    let (code, said, written) =
        rehearse(folder.path(), &config, &["--curve", "poisson", "--behave", "app=0.2", "--run", &url]).await;
    assert_eq!(code, Some(0), "{said}");
    let compared = written["compared"].as_array().unwrap();
    let called = compared.iter().find(|one| one["figure"] == "called").unwrap();
    assert_eq!((called["foretold"].as_f64(), called["seen"].as_f64()), (Some(60.0), Some(60.0)), "{said}");
    let never_sooner = compared.iter().find(|one| one["figure"] == "the last is called after, s").unwrap();
    let (foretold, seen) = (never_sooner["foretold"].as_f64().unwrap(), never_sooner["seen"].as_f64().unwrap());
    assert!(seen > foretold - 0.5, "no line drains faster than its limit: {said}");
    assert!(said.contains("foretold") && said.contains("Every check held"), "{said}");
}

#[tokio::test]
async fn a_site_is_asked_step_by_step_and_limits_are_recommended() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let config = folder.path().join("vestibule.toml");
    let keys = "admissions_per_second = 30\ntotal_active_users = 5\nmax_waiting = 50";
    std::fs::write(&config, Setup::room(keys).text(upstream.address)).unwrap();
    let url = format!("http://{}/", upstream.address);
    let steps = ["--step", &url, "--step-from", "20", "--step-to", "40", "--step-seconds", "0.2", "--requests", "2"];
    let (code, said, written) = rehearse(folder.path(), &config, &steps).await;
    assert_eq!(code, Some(0), "{said}");
    let bearing = &written["bearing"];
    assert!(bearing["per_second"].as_f64().is_some_and(|rate| (20.0..=40.0).contains(&rate)), "{bearing}");
    assert!(bearing["steps"].as_array().is_some_and(|steps| steps.len() > 1 && steps[0]["errors"] == 0.0), "{bearing}");
    for words in ["[room.sale]", "admissions_per_second = ", "total_active_users = ", "max_waiting = 72"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(upstream.count("/") > 10, "the site was asked");
}

/// The site answers late, and well, so that the files for so many connections are used up first.
#[tokio::test]
async fn a_machine_that_runs_out_of_connections_is_not_taken_for_the_site() {
    let folder = tempfile::tempdir().unwrap();
    let late = async || tokio::time::sleep(Duration::from_millis(400)).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let site = Router::new().route("/", get(late));
    tokio::spawn(async move { axum::serve(listener, site).await });
    let config = folder.path().join("vestibule.toml");
    std::fs::write(&config, Setup::room("").text(address)).unwrap();
    let url = format!("http://{address}/");
    let steps = |from| ["--step", &url, "--step-from", from, "--step-to", "2000", "--step-seconds", "0.2"];
    let with_few_files = |arguments: &[&str]| told_with_files(64, arguments);
    let (code, said, written) = rehearse_by(folder.path(), &config, &steps("100"), with_few_files).await;
    let bearing = &written["bearing"];
    assert_eq!((code, &bearing["is_at_least"]), (Some(0), &Value::Bool(true)), "{said}");
    let steps_taken = bearing["steps"].as_array().unwrap();
    assert!(steps_taken.iter().all(|step| step["errors"] == 0.0), "{said}");
    let unasked: Vec<bool> = steps_taken.iter().map(|step| step["unasked"] != 0).collect();
    assert!(unasked.len() > 1 && unasked.iter().position(|unasked| *unasked) == Some(unasked.len() - 1), "{said}");
    assert!(said.contains(" not asked") && said.contains("no files or ports left"), "{said}");
    let (code, said, _) = rehearse_by(folder.path(), &config, &steps("1000"), with_few_files).await;
    assert!(code == Some(2) && said.contains("at 1000 a second already, this machine has no files"), "{said}");
}

#[tokio::test]
async fn what_cannot_be_rehearsed_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let config = folder.path().join("vestibule.toml");
    std::fs::write(&config, Setup::room("").text(nowhere)).unwrap();
    let url = format!("http://{nowhere}/");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = format!("http://{}/gone", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new()).await });
    let report = folder.path().join("none.json");
    for (more, words) in [
        (["--room", "hall"], "there is no room `hall`; there are sale"),
        (
            ["--step", url.as_str()],
            "does not answer: cannot connect: Connection refused (os error 111); is it running?",
        ),
        (["--step", gone.as_str()], "/gone answers with HTTP 404; give --step a page that the site has"),
        (["--step", "http://192.0.2.7/"], "is not this machine"),
        (["--against", text(&report)], "is no report of a crowd"),
    ] {
        let (code, said, _) = rehearse(folder.path(), &config, &[&more[..], &["--step-seconds", "0.3"]].concat()).await;
        assert!(code == Some(2) && said.contains(words), "{words}: {said}");
    }
}
