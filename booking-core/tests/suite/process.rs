//! The real `booking-api` in a process of its own, to be killed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::database::Database;
use crate::world::{SECRET, TestBank, row_in_a_month};

/// A `booking-api` that runs.
pub struct Process {
    pub base: String,
    child: Child,
    folder: TempDir,
}

/// What a request came to: status and body, or nothing when the process died over it.
pub type Heard = Option<(u16, Value)>;

/// The configuration of a small sale, in which what was left behind is soon seen to.
pub fn configuration(database: &Database, seats: u32, bank: Option<&TestBank>) -> String {
    let bank = bank.map(|bank| format!("provider_url = '{}'\n", bank.url())).unwrap_or_default();
    format!(
        "listen = '127.0.0.1:0'\ndatabase = '{}'\n[payments]\nwebhook_secret = {SECRET:?}\nprovider_timeout_ms = 300\n\
         {bank}pending_seconds = 60\n[[sale]]\ninventory = '{}'\ncapacity = {seats}\n",
        database.url,
        row_in_a_month()
    )
}

impl Process {
    /// Starts one and waits until it serves. `before` goes before the program on a shell's line.
    pub fn start(configuration: &str, before: &str, die_at: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (config, log) = (folder.path().join("booking.toml"), folder.path().join("log"));
        std::fs::write(&config, configuration).unwrap();
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{before} exec \"$0\" \"$@\"")).arg(env!("CARGO_BIN_EXE_booking-api"));
        command.arg("--config").arg(&config).args(die_at.map(|point| format!("--die-at={point}")));
        let mut child = command.stdout(Stdio::piped()).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let base = line.trim().strip_prefix("booking ").map(str::to_owned);
        let base = base.unwrap_or_else(|| panic!("it did not start:\n{}", std::fs::read_to_string(&log).unwrap()));
        Self { base, child, folder }
    }

    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Value) -> Heard {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        self.send(method, path, headers, body).await
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Heard {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let answer = client.request(request.body(Full::new(body)).unwrap()).await.ok()?;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.ok()?.to_bytes();
        Some((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    /// Reads a page that is no JSON.
    pub async fn text(&self, path: &str) -> String {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let answer = client.get(format!("{}{path}", self.base).parse().unwrap()).await.unwrap();
        String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    pub async fn hold(&self, key: &str, quantity: u32) -> Heard {
        let body = json!({"inventory": row_in_a_month(), "quantity": quantity});
        self.ask(Method::POST, "/api/holds", &[("idempotency-key", key)], body).await
    }

    pub async fn pay(&self, hold: &str, key: &str, method: &str) -> Heard {
        let path = format!("/api/holds/{hold}/payments");
        self.ask(Method::POST, &path, &[("idempotency-key", key)], json!({"method": method})).await
    }

    /// Tells it to end, waits until it has, and returns what it logged.
    pub fn end(&mut self) -> String {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(told.success() && self.child.wait().unwrap().success());
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub fn is_dead(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _it_may_be_dead = self.child.kill();
        let _reaped = self.child.wait();
    }
}
