//! A visitor as a browser or an app is one: cookies, pages, a live connection.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

use super::stand::{eventually, exchange, json};
use crate::proxy::wire::{Message, within};

#[derive(Clone)]
pub struct Visitor {
    pub gateway: SocketAddr,
    pub host: String,
    /// Sent with every request, besides cookies.
    pub headers: Vec<(&'static str, String)>,
    pub jar: BTreeMap<String, String>,
    pub accept: &'static str,
}

impl Visitor {
    pub fn new(gateway: SocketAddr) -> Self {
        let host = gateway.to_string();
        Self { gateway, host, headers: Vec::new(), jar: BTreeMap::new(), accept: "text/html,*/*;q=0.8" }
    }

    /// The same visitor, as a program that reads JSON.
    pub fn program(mut self) -> Self {
        self.accept = "application/json";
        self
    }

    /// The same visitor at another host name.
    pub fn at(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The request's text up to its empty line.
    pub fn head(&self, method: &str, path: &str) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nAccept: {}\r\n", self.host, self.accept);
        self.fields().into_iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        head
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let pairs: Vec<String> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = (!pairs.is_empty()).then(|| ("Cookie", pairs.join("; ")));
        self.headers.iter().cloned().chain(cookies).collect()
    }

    pub async fn get(&mut self, path: &str) -> Message {
        self.send("GET", path, None).await
    }

    /// Sends a request of some other method, without a body.
    pub async fn ask(&mut self, method: &str, path: &str) -> Message {
        self.send(method, path, None).await
    }

    pub async fn post(&mut self, path: &str, body: &str) -> Message {
        self.send("POST", path, Some(body)).await
    }

    async fn send(&mut self, method: &str, path: &str, body: Option<&str>) -> Message {
        let body = body.map(|body| format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        let raw = self.head(method, path) + body.as_deref().unwrap_or("\r\n");
        let answer = exchange(self.gateway, &raw).await;
        self.take_cookies(&answer);
        answer
    }

    fn take_cookies(&mut self, answer: &Message) {
        set_cookies(answer).into_iter().for_each(|cookie| self.take_cookie(cookie));
    }

    fn take_cookie(&mut self, cookie: &str) {
        let (pair, attributes) = cookie.split_once(';').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        if attributes.contains("Max-Age=0") {
            self.jar.remove(name);
        } else {
            self.jar.insert(name.to_owned(), value.to_owned());
        }
    }

    pub fn ticket(&self) -> String {
        self.jar.get("vestibule-ticket-sale").cloned().unwrap_or_default()
    }

    pub fn pass(&self) -> String {
        self.jar.get("vestibule-pass-sale").cloned().unwrap_or_default()
    }

    /// One step of a poll.
    pub async fn status(&mut self) -> Value {
        let answer = self.get("/.vestibule/status?room=sale").await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        json(&answer)
    }

    /// Polls until the state is this one.
    pub async fn until_state(&mut self, state: &str) -> Value {
        self.until(state, |status| status["state"] == state).await
    }

    /// Polls until the status is like this.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || Some(self.status().await).filter(&holds)).await
    }

    pub async fn position(&mut self) -> Option<u64> {
        self.status().await["position"].as_u64()
    }

    pub async fn number(&mut self) -> u64 {
        self.status().await["number"].as_u64().unwrap()
    }

    /// Opens the live connection that the waiting page opens.
    pub async fn live(&self) -> Live {
        self.socket("/.vestibule/live?room=sale").await.unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// Opens it and takes the cookies that come with it, as a browser does.
    pub async fn live_with_cookies(&mut self) -> Live {
        let (live, answer) =
            self.shake_hands("/.vestibule/live?room=sale").await.unwrap_or_else(|fault| panic!("{fault}"));
        let cookies = answer.headers().get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
        cookies.for_each(|cookie| self.take_cookie(cookie));
        live
    }

    /// Opens a WebSocket.
    pub async fn socket(&self, path: &str) -> Result<Live, Error> {
        Ok(self.shake_hands(path).await?.0)
    }

    async fn shake_hands(&self, path: &str) -> Result<(Live, Response), Error> {
        let mut request = format!("ws://{}{path}", self.host).into_client_request()?;
        for (name, value) in self.fields() {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, HeaderValue::from_str(&value).unwrap());
        }
        let stream = TcpStream::connect(self.gateway).await?;
        let (socket, answer) = within(tokio_tungstenite::client_async(request, stream)).await?;
        Ok((Live(socket), answer))
    }

    /// The status code with which a WebSocket is refused.
    pub async fn refused_socket(&self, path: &str) -> u16 {
        match self.socket(path).await {
            Err(Error::Http(answer)) => answer.status().as_u16(),
            Err(fault) => panic!("{fault}"),
            Ok(_) => 101,
        }
    }
}

/// The `Set-Cookie` lines of an answer.
pub fn set_cookies(answer: &Message) -> Vec<&str> {
    let fields = answer.head.lines().filter_map(|line| line.split_once(": "));
    fields.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).map(|(_, value)| value).collect()
}

/// A visitor's end of a WebSocket.
#[derive(Debug)]
pub struct Live(WebSocketStream<TcpStream>);

impl Live {
    /// The next text; `None` when the connection has ended.
    pub async fn text(&mut self) -> Option<String> {
        loop {
            match within(self.0.next()).await {
                Some(Ok(Frame::Text(text))) => return Some(text.as_str().to_owned()),
                Some(Ok(Frame::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    pub async fn status(&mut self) -> Value {
        serde_json::from_str(&self.text().await.expect("a frame")).unwrap()
    }

    /// Reads frames until one is like this; says how many came.
    pub async fn until(&mut self, holds: impl Fn(&Value) -> bool) -> (usize, Value) {
        let reading = async {
            let mut count = 1;
            loop {
                let status = self.status().await;
                if holds(&status) {
                    return (count, status);
                }
                count += 1;
            }
        };
        within(reading).await
    }

    pub async fn say(&mut self, text: &str) {
        self.0.send(Frame::text(text.to_owned())).await.unwrap();
    }
}
