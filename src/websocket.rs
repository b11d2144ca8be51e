//! One live connection: the visitor hears the status at once, and after every change.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;

use crate::limit::Slot;
use crate::live::Seat;
use crate::proxy::headers::asks_for_websocket;
use crate::room::Room;
use crate::status::{State, Status};
use crate::token::Ticket;

/// The same status is said again after this long: a page that hears nothing for three updates and
/// five seconds takes its connection for dead.
const REPEAT: Duration = Duration::from_secs(5);

/// How often the visitor is pinged.
const PING: Duration = Duration::from_secs(15);

/// A visitor who has not been heard of for this long, pings included, is gone.
const SILENCE: Duration = Duration::from_secs(45);

/// For how long somebody counts as here who was asked to connect again, in milliseconds.
const COMING_AGAIN_MS: u64 = 10_000;

/// A reader that takes longer than this for one frame is cut.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest message that a visitor may send; none is expected.
const MESSAGE_CAP_BYTES: usize = 1_024;

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// What a handshake asks for, if it is one.
#[must_use]
pub fn accept_key(request: &Request<Incoming>) -> Option<String> {
    let headers = request.headers();
    let version = headers.get(header::SEC_WEBSOCKET_VERSION)?;
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    (asks_for_websocket(request) && version == "13").then(|| derive_accept_key(key.as_bytes()))
}

/// Tells whether a browser asked from one of the host's own pages. A program sends no origin.
#[must_use]
pub fn is_same_origin(request: &Request<Incoming>, host: &str) -> bool {
    let Some(origin) = request.headers().get(header::ORIGIN) else { return true };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// Serves the connection until the visitor goes, is called or falls silent, or until `stop`.
pub async fn serve(mut request: Request<Incoming>, room: Arc<Room>, ticket: Ticket, stop: CancellationToken) {
    // The connection counts as open for as long as this lives; hyper has let go of it by then.
    let _slot = request.extensions_mut().remove::<Arc<Slot>>();
    let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
    let config = WebSocketConfig::default()
        .read_buffer_size(1_024)
        .write_buffer_size(0)
        .max_write_buffer_size(64 << 10)
        .max_message_size(Some(MESSAGE_CAP_BYTES))
        .max_frame_size(Some(MESSAGE_CAP_BYTES));
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let Some(seat) = room.live.sit(ticket.number) else {
        // Whether the goodbye arrives or not, the connection ends here.
        let _ = timeout(SEND_TIMEOUT, socket.close(Some(goodbye(CloseCode::Again)))).await;
        return;
    };
    room.presence.connect(ticket.number);
    let now = Instant::now();
    let mut talk = Talk { socket, room: &room, ticket, said: None, said_at: now, pinged_at: now, heard_at: now };
    // Whatever ends the talk, there is nobody to tell it to.
    let _ = talk.hold(&seat, &stop).await;
    drop(seat);
    room.presence.disconnect(ticket.number, room.shared.clock.steady_ms());
}

fn goodbye(code: CloseCode) -> CloseFrame {
    CloseFrame { code, reason: "".into() }
}

struct Talk<'a> {
    socket: Socket,
    room: &'a Room,
    ticket: Ticket,
    said: Option<Status>,
    said_at: Instant,
    pinged_at: Instant,
    heard_at: Instant,
}

impl Talk<'_> {
    async fn hold(&mut self, seat: &Seat, stop: &CancellationToken) -> Result<(), Error> {
        self.say_news().await?;
        loop {
            tokio::select! {
                heard = self.socket.next() => match heard {
                    Some(Ok(Message::Close(_))) | None => return Ok(()),
                    Some(heard) => { heard?; self.heard_at = Instant::now(); }
                },
                () = seat.nudged() => {
                    self.say_news().await?;
                    if self.room.renewed(&self.ticket).is_some() {
                        return self.ask_to_come_again().await;
                    }
                }
                () = stop.cancelled() => return self.close(CloseCode::Restart).await,
            }
            if self.heard_at.elapsed() > SILENCE {
                return self.close(CloseCode::Away).await;
            }
        }
    }

    async fn say_news(&mut self) -> Result<(), Error> {
        if self.pinged_at.elapsed() > PING {
            self.send(Message::Ping(Vec::new().into())).await?;
            self.pinged_at = Instant::now();
        }
        self.room.introduce(&self.ticket);
        let status = Status::of(self.room, &self.ticket);
        let is_news = self.said.as_ref().is_none_or(|said| !said.says_as(&status));
        if !is_news && self.said_at.elapsed() < REPEAT {
            return Ok(());
        }
        let text = serde_json::to_string(&status).unwrap_or_default();
        self.send(Message::text(text)).await?;
        let label = [self.room.rules.name.as_str()];
        self.room.shared.metrics.live_frames.with_label_values(&label).inc();
        self.said_at = Instant::now();
        if matches!(status.state, State::Lapsed | State::None) {
            self.close(CloseCode::Normal).await?;
        }
        self.said = Some(status);
        Ok(())
    }

    /// Ends the connection because its ticket is getting old: the handshake of the next hands out another one. Until then
    /// the visitor counts as here.
    async fn ask_to_come_again(&mut self) -> Result<(), Error> {
        self.room.presence.poll(self.ticket.number, self.room.shared.clock.steady_ms(), COMING_AGAIN_MS);
        self.close(CloseCode::Restart).await
    }

    async fn close(&mut self, code: CloseCode) -> Result<(), Error> {
        timeout(SEND_TIMEOUT, self.socket.close(Some(goodbye(code)))).await.unwrap_or(Err(Error::ConnectionClosed))
    }

    async fn send(&mut self, message: Message) -> Result<(), Error> {
        timeout(SEND_TIMEOUT, self.socket.send(message)).await.unwrap_or(Err(Error::ConnectionClosed))
    }
}
