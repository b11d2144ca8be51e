//! A real Prometheus before a real demo with a crowd in it: every query of every dashboard, and everything that a rule
//! looks at, has something to show.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;

use serde_json::Value;

use crate::gateway::stand::{eventually, exchange, json};
use crate::program::{Process, text, write};
use crate::redis_server::{free_port, guarded, stop, until_ready};

/// A Prometheus with a folder of its own.
struct Prometheus {
    address: SocketAddr,
    guard: Child,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Starts one that looks at these two every second, with our rules.
    fn start(gateway: SocketAddr, booking: SocketAddr) -> Self {
        (0..20).find_map(|_| Self::try_start(gateway, booking)).expect("prometheus starts on a free port")
    }

    fn try_start(gateway: SocketAddr, booking: SocketAddr) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let rules = root("deploy/prometheus/alerts.yml");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{}]\nscrape_configs:\n\
             - {{job_name: vestibule, static_configs: [{{targets: [\"{gateway}\"]}}]}}\n\
             - {{job_name: booking-api, static_configs: [{{targets: [\"{booking}\"]}}]}}\n",
            rules.display()
        );
        let file = write(folder.path(), "prometheus.yml", &config);
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        // It says on standard error that it is ready.
        let mut command = guarded("sh");
        command.args(["-c", r#"exec "$@" 2>&1"#, "sh", "prometheus"]);
        command.arg(format!("--config.file={}", text(&file)));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let guard = until_ready(command, "Server is ready to receive web requests")?;
        Some(Self { address, guard, _folder: folder })
    }

    async fn ask(&self, path: &str) -> Value {
        let answer = exchange(self.address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
        json(&answer)
    }

    /// Waits until the query has a number to show.
    async fn until_shown(&self, query: &str) {
        let path = format!("/api/v1/query?query={}", encoded(query));
        let is_number = |sample: &Value| sample["value"][1].as_str()?.parse::<f64>().ok()?.is_finite().then_some(());
        let shown = async || self.ask(&path).await["data"]["result"].as_array()?.iter().find_map(is_number);
        eventually(query, shown).await;
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        stop(&mut self.guard);
    }
}

fn encoded(query: &str) -> String {
    query.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The queries of all dashboards, their annotations too, as they are for one room and all gateways.
fn queries() -> Vec<String> {
    let mut queries = Vec::new();
    for file in std::fs::read_dir(root("deploy/grafana/dashboards")).unwrap() {
        let dashboard: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        let targets =
            dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap());
        let asked = targets.chain(dashboard["annotations"]["list"].as_array().unwrap()).map(|part| &part["expr"]);
        queries
            .extend(asked.map(|query| query.as_str().unwrap().replace("$room", "tatkal").replace("$instance", ".*")));
    }
    queries
}

/// The series that a rule looks at: a rule itself has nothing to show as long as all is well.
fn selectors(rule: &str) -> impl Iterator<Item = &str> {
    let starts = rule.match_indices(|c: char| c.is_ascii_lowercase()).map(|(i, _)| i);
    starts.filter_map(|i| {
        let is_start = !rule[..i].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '"' | '|'));
        let name = rule[i..].split(|c: char| !c.is_ascii_lowercase() && c != '_').next()?;
        let is_metric =
            ["vestibule_", "booking_", "process_"].iter().any(|prefix| name.starts_with(prefix)) || name == "up";
        let rest = &rule[i + name.len()..];
        let labels = if rest.starts_with('{') { rest.find('}')? + 1 } else { 0 };
        (is_start && is_metric).then(|| &rule[i..i + name.len() + labels])
    })
}

#[tokio::test]
async fn every_dashboard_and_every_rule_has_something_to_show() {
    let any = "127.0.0.1:0";
    let words = ["demo", "--listen", any, "--admin", any, "--booking", any, "--data", ":memory:", "--rate", "40"];
    let demo = Process::start(&words, 5);
    let booking = demo.address("booking");
    let operator = demo.operator();
    let prometheus = Prometheus::start(operator.address, booking);
    prometheus.until_shown(r#"sum(up{job=~"vestibule|booking-api"}) == 2"#).await;

    let url = format!("http://{}/", demo.gateway());
    let crowd =
        Process::start(&["crowd", &url, "--visitors", "1600", "--over", "25", "--drop", "0.1", "--seed", "3"], 0);
    let token = format!("Authorization: Bearer {}\r\n", demo.said("token"));
    let room = "/api/rooms/tatkal";
    let changed = operator.ask_with(&token, "PATCH", room, r#"{"adaptive_floor":20}"#).await;
    assert_eq!(changed.status(), 200, "{}", changed.text());
    let told = operator.ask_with(&token, "POST", &format!("{room}/message"), r#"{"text":"Welcome"}"#).await;
    assert_eq!(told.status(), 200, "{}", told.text());

    let queries = queries();
    assert!(queries.len() > 50, "{}", queries.len());
    for query in &queries {
        prometheus.until_shown(query).await;
    }
    let rules = prometheus.ask("/api/v1/rules").await;
    let groups = rules["data"]["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() > 15, "{rules:?}");
    for rule in rules {
        let query = rule["query"].as_str().unwrap();
        assert!(selectors(query).count() > 0, "{query}");
        for selector in selectors(query) {
            prometheus.until_shown(selector).await;
        }
        assert_ne!(rule["health"], "err", "{rule}");
    }
    drop(crowd);
}
