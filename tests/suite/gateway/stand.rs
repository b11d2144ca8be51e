//! A gateway in this process before an upstream that records what it gets.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;
use vestibule::clock::Clock;
use vestibule::config::{Config, Environment};
use vestibule::gateway::Gateway;

use super::upstream::Upstream;
use super::visitor::Visitor;
use crate::proxy::wire::{Message, Wire, within};

pub const TOKEN: &str = "the-operators-own-token";

/// A manual clock starts here.
pub const START_MS: u64 = 1_800_000_000_000;

/// What a gateway is started with.
#[derive(Clone)]
pub struct Setup {
    top: String,
    rooms: String,
    config: fn(Config) -> Config,
    pub clock: Clock,
}

impl Setup {
    /// One room, `sale`, with these keys; nothing is kept.
    pub fn room(keys: &str) -> Self {
        Self::rooms(&format!("[room.sale]\nupstream = \"http://UPSTREAM\"\n{keys}\n"))
    }

    /// These tables of rooms; `UPSTREAM` in them is the upstream's address.
    pub fn rooms(tables: &str) -> Self {
        let top = "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nworkers = 1\ndrain = \"2s\"\n";
        let top = format!("{top}admin_token = \"{TOKEN}\"\n");
        Self { top, rooms: tables.to_owned(), config: in_memory, clock: Clock::system() }
    }

    /// More keys above the rooms.
    pub fn top(self, keys: &str) -> Self {
        Self { top: format!("{}{keys}\n", self.top), ..self }
    }

    /// Keeps everything in a folder.
    pub fn data(self, folder: &Path) -> Self {
        Self { config: |config| config, ..self }.top(&format!("data = \"{}\"", folder.display()))
    }

    /// Visitors come to this port.
    pub fn listen(self, port: u16) -> Self {
        Self {
            top: self.top.replacen("listen = \"127.0.0.1:0\"", &format!("listen = \"127.0.0.1:{port}\""), 1),
            ..self
        }
    }

    /// Time stands still until the test turns it.
    pub fn manual(self) -> Self {
        Self { clock: Clock::manual(START_MS), ..self }
    }

    /// The file's text, for a process of its own.
    pub fn text(&self, upstream: SocketAddr) -> String {
        format!("{}{}", self.top, self.rooms).replace("UPSTREAM", &upstream.to_string())
    }

    pub async fn start(self) -> Stand {
        self.start_before(Upstream::start().await).await
    }

    pub async fn start_before(self, upstream: Upstream) -> Stand {
        let config = Config::parse(&self.text(upstream.address), &Environment::new()).unwrap_or_else(|e| panic!("{e}"));
        let config = (self.config)(config);
        let gateway = Gateway::start(&config, self.clock.clone()).await.unwrap_or_else(|fault| panic!("{fault}"));
        let operator = Operator { address: gateway.admin_address };
        Stand { gateway, upstream, clock: self.clock, operator }
    }
}

fn in_memory(config: Config) -> Config {
    Config { data: None, ..config }
}

pub struct Stand {
    pub gateway: Gateway,
    pub upstream: Upstream,
    pub clock: Clock,
    pub operator: Operator,
}

impl Stand {
    /// Somebody with a browser of their own.
    pub fn visitor(&self) -> Visitor {
        Visitor::new(self.gateway.address)
    }

    /// As many visitors, in line in this order.
    pub async fn waiting(&self, count: usize) -> Vec<Visitor> {
        let mut visitors = Vec::new();
        for _ in 0..count {
            let mut visitor = self.visitor();
            let page = visitor.get("/").await;
            assert!(page.text().contains("status"), "a waiting page: {page:?}");
            visitors.push(visitor);
        }
        visitors
    }

    /// Somebody who has been let in by the operator; nobody else waits.
    pub async fn admitted(&self) -> Visitor {
        let mut visitor = self.waiting(1).await.remove(0);
        self.operator.act("admit", r#"{"count":1}"#).await;
        visitor.until_state("called").await;
        assert_eq!(visitor.get("/enter").await.status(), 200);
        visitor
    }

    /// Stops the gateway and hands back its upstream.
    pub async fn stop(self) -> Upstream {
        within(self.gateway.stop()).await;
        self.upstream
    }
}

/// Who holds the admin token.
pub struct Operator {
    pub address: SocketAddr,
}

impl Operator {
    pub async fn ask(&self, method: &str, path: &str, body: &str) -> Message {
        let token = format!("Authorization: Bearer {TOKEN}\r\nVestibule-Operator: asha\r\n");
        self.ask_with(&token, method, path, body).await
    }

    pub async fn ask_with(&self, headers: &str, method: &str, path: &str, body: &str) -> Message {
        let length = body.len();
        let raw = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        exchange(self.address, &raw).await
    }

    /// Does an action in the room `sale`, which must succeed.
    pub async fn act(&self, action: &str, body: &str) -> Value {
        let answer = self.ask("POST", &format!("/api/rooms/sale/{action}"), body).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        json(&answer)
    }

    /// Changes the limits of the room `sale`.
    pub async fn limit(&self, body: &str) -> Value {
        let answer = self.ask("PATCH", "/api/rooms/sale", body).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        json(&answer)
    }

    pub async fn room(&self) -> Value {
        json(&self.ask("GET", "/api/rooms/sale", "").await)
    }

    pub async fn text(&self, path: &str) -> String {
        self.ask("GET", path, "").await.text()
    }

    /// Waits until the room shows this.
    pub async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || Some(self.room().await).filter(&holds)).await
    }

    /// Waits until the room has ticked twice from now on, so that the second began after this call.
    pub async fn ticks(&self) {
        let count = async || {
            let text = self.text("/metrics").await;
            let line = text.lines().find(|line| line.starts_with("vestibule_store_call_seconds_count{verb=\"tick\"}"));
            line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).unwrap()
        };
        let before = count().await;
        eventually("two ticks", async || (count().await >= before + 2).then_some(())).await;
    }

    /// Reads one metric, summed over its labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.text("/metrics").await;
        let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// Sends one request on a connection of its own and reads the answer.
pub async fn exchange(address: SocketAddr, raw: &str) -> Message {
    let work = async {
        let mut wire = Wire::new(TcpStream::connect(address).await?);
        wire.send(raw).await?;
        wire.message(raw.starts_with("HEAD")).await
    };
    within(work).await.unwrap_or_else(|fault| panic!("{fault} after {raw}"))
}

pub fn json(answer: &Message) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", answer.text()))
}

/// Looks again and again until there is something to see; a failure after 20 seconds.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking).await.unwrap_or_else(|_| panic!("never seen: {what}"))
}
