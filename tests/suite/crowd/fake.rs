//! A tiny gateway with a booking API behind it, that keeps its promises or breaks a chosen one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use vestibule::clock::Clock;

const CAPACITY: u64 = 3;
/// The first visitor is called so long after the scout came, the next a tenth of a second later each.
const FIRST_CALL_MS: u64 = 2_000;
const PACE_MS: u64 = 100;

/// What becomes of the promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    Good,
    NoSockets,
    Overtakes,
    Regresses,
    Lapses,
    Renumbers,
    Rushes,
    Oversells,
    KeepsMoney,
    NeverCalls,
    StraysTabs,
    Unguarded,
    IsDown,
}

/// A running gateway; dropping it ends every connection.
pub struct Fake {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Fake {
    pub async fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let house = Arc::new(House { manners, clock: Clock::system(), books: Mutex::default() });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut guests = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let house = Arc::clone(&house);
                guests.spawn(async move { drop(house.receive(stream).await) });
            }
        });
        Self { address, _tasks: tasks }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

struct House {
    manners: Manners,
    clock: Clock,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    opened_ms: u64,
    issued: u64,
    held: u64,
    left: Vec<u64>,
}

struct Asked {
    method: String,
    path: String,
    number: Option<u64>,
    accepts_html: bool,
    websocket_key: Option<String>,
}

impl House {
    async fn receive(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some(asked) = hear(&mut stream).await? {
            if let Some(key) = asked.websocket_key.as_ref().filter(|_| self.manners != Manners::NoSockets) {
                let accept = derive_accept_key(key.as_bytes());
                let head = format!(
                    "HTTP/1.1 101 x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await?;
                self.talk(stream.into_inner(), asked.number.unwrap_or(0)).await;
                return Ok(());
            }
            let (code, cookies, body) = self.answer(&asked);
            let is_page = asked.accepts_html && body["state"].is_string();
            let (code, body) = if is_page { (200, page(&body)) } else { (code, body.to_string()) };
            let head = format!("HTTP/1.1 {code} x\r\n{cookies}content-length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await?;
        }
        Ok(())
    }

    async fn talk(&self, stream: TcpStream, number: u64) {
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        for frame in 0.. {
            tokio::select! {
                _ = ticks.tick() => {
                    let text = self.status(number, frame).to_string();
                    if socket.send(Message::text(text)).await.is_err() { return }
                }
                heard = socket.next() => if !matches!(heard, Some(Ok(Message::Pong(_)))) { return },
            }
        }
    }

    fn answer(&self, asked: &Asked) -> (u16, String, Value) {
        let path = asked.path.split('?').next().unwrap_or_default();
        match (asked.method.as_str(), path) {
            (_, "/") => self.door(asked.number),
            ("POST", "/.vestibule/join") => self.join(),
            ("POST", "/.vestibule/leave") => self.leave(asked.number),
            (_, "/look") => (200, String::new(), json!("a page")),
            (_, "/.vestibule/status") => (200, String::new(), self.status(asked.number.unwrap_or(0), 0)),
            (_, "/.vestibule/live") => (503, String::new(), json!({})),
            (_, "/api/inventory/12951:2026-11-23:3A") => (200, String::new(), json!({"capacity": CAPACITY})),
            ("POST", "/api/holds") => self.hold(),
            ("POST", _) => (201, String::new(), json!({"id": "p-1", "status": "pending"})),
            _ if self.manners == Manners::KeepsMoney => (200, String::new(), json!({"status": "paid"})),
            _ => (200, String::new(), json!({"status": "confirmed"})),
        }
    }

    fn door(&self, number: Option<u64>) -> (u16, String, Value) {
        match self.manners {
            Manners::Unguarded => return (200, String::new(), json!({})),
            Manners::IsDown => return (503, String::new(), json!({})),
            _ => {}
        }
        let known =
            number.filter(|number| self.manners != Manners::StraysTabs || self.status(*number, 0)["state"] == "called");
        let number = known.unwrap_or_else(|| self.issue());
        let ticket = format!("set-cookie: vestibule-ticket-hall={number}; Path=/\r\n");
        let status = self.status(number, 0);
        if status["state"] == "called" {
            (200, ticket + "set-cookie: vestibule-pass-hall=p; Path=/\r\n", json!("welcome"))
        } else {
            (429, ticket, status)
        }
    }

    fn join(&self) -> (u16, String, Value) {
        let number = self.issue();
        let body = json!({"ticket": number.to_string(), "pass": null, "status": self.status(number, 0)});
        (200, String::new(), body)
    }

    fn leave(&self, number: Option<u64>) -> (u16, String, Value) {
        self.books.lock().unwrap().left.extend(number);
        (200, String::new(), json!({"state": "none"}))
    }

    fn issue(&self) -> u64 {
        let mut books = self.books.lock().unwrap();
        books.issued += 1;
        if books.issued == 1 {
            books.opened_ms = self.clock.now_ms();
        }
        books.issued
    }

    /// Number 1 is the scout, who is in at once.
    fn called_at(&self, number: u64) -> u64 {
        let opened_ms = self.books.lock().unwrap().opened_ms;
        let late_ms = match self.manners {
            Manners::Overtakes if number == 3 => 2_500,
            Manners::NeverCalls => 1 << 40,
            _ => 0,
        };
        let pace_ms = if self.manners == Manners::Rushes { 1 } else { PACE_MS };
        opened_ms + if number == 1 { 0 } else { FIRST_CALL_MS + number * pace_ms + late_ms }
    }

    fn status(&self, number: u64, frame: u64) -> Value {
        let now_ms = self.clock.now_ms();
        let called_at = self.called_at(number);
        let left = self.books.lock().unwrap().left.clone();
        let is_ahead = |other: &u64| self.called_at(*other) > now_ms && !left.contains(other);
        let ahead = (2..number).filter(is_ahead).count() as u64;
        let mut status = json!({"room": "hall", "state": "waiting", "number": number, "position": ahead + 1,
            "eta_seconds": {"low": 1, "high": 3}, "admissions_per_second": 10.0, "burst": 1, "grace_seconds": 2,
            "as_of": now_ms, "next_update_seconds": 1});
        match self.manners {
            _ if called_at <= now_ms => {
                status["state"] = "called".into();
                status["called_at"] = called_at.into();
                status["position"] = Value::Null;
            }
            Manners::Regresses if number == 4 && frame % 2 == 1 => status["position"] = (ahead + 5).into(),
            Manners::Lapses if number == 4 && frame == 3 => status["state"] = "lapsed".into(),
            Manners::Renumbers if number == 4 && frame == 3 => status["number"] = 99.into(),
            _ => {}
        }
        status
    }

    fn hold(&self) -> (u16, String, Value) {
        let mut books = self.books.lock().unwrap();
        if books.held >= CAPACITY && self.manners != Manners::Oversells {
            return (409, String::new(), json!({"type": "/problems/sold_out"}));
        }
        books.held += 1;
        (201, String::new(), json!({"id": format!("h-{}", books.held), "status": "held"}))
    }
}

/// The page of a browser without scripts.
fn page(status: &Value) -> String {
    let state = status["state"].as_str().unwrap();
    format!(r#"<noscript><meta http-equiv="refresh" content="0.2"></noscript><body data-state="{state}">"#)
}

/// Reads one request; `None` when the visitor has gone.
async fn hear(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Asked>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut asked = Asked { method, path, number: None, accepts_html: false, websocket_key: None };
    let mut body_bytes = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "cookie" => asked.number = number_in(value),
            "vestibule-ticket" => asked.number = value.parse().ok(),
            "accept" => asked.accepts_html = value == "text/html",
            "sec-websocket-key" => asked.websocket_key = Some(value.to_owned()),
            "content-length" => body_bytes = value.parse().unwrap(),
            _ => {}
        }
    }
    stream.read_exact(&mut vec![0; body_bytes]).await?;
    Ok(Some(asked))
}

fn number_in(cookies: &str) -> Option<u64> {
    cookies.split("; ").find_map(|cookie| cookie.strip_prefix("vestibule-ticket-hall=")?.parse().ok())
}
