//! One live connection: the visitor hears the status at once, and after every change.

pub mod wire;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use self::wire::{Ended, Heard, Wire};
use crate::limit::Slot;
use crate::live::Seat;
use crate::patience::Patient;
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

/// Serves the connection until the visitor goes, is called or falls silent, or until it is time to say farewell.
/// The connection counts as open for as long as its slot lives; hyper has let go of it by then.
pub async fn serve(request: Request<Incoming>, _slot: Arc<Slot>, room: Arc<Room>, ticket: Ticket, farewell: Farewell) {
    let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
    let mut wire = of(upgraded);
    let Some(seat) = room.live.sit(ticket.number) else {
        // Whether the goodbye arrives or not, the connection ends here.
        let _ = wire.close(CloseCode::Again).await;
        return;
    };
    room.presence.connect(ticket.number);
    let now = Instant::now();
    let mut talk = Talk { wire, room: &room, ticket, said: 0, said_at: now, pinged_at: now, heard_at: now };
    // Whatever ends the talk, there is nobody to tell it to.
    let _ = talk.hold(&seat, &farewell).await;
    drop(seat);
    room.presence.disconnect(ticket.number, room.shared.clock.steady_ms());
}

/// A live connection's stream: what comes without TLS is spoken to with nothing in between, which would cost each
/// connection its space. A frame has its own time to be taken.
type Stream = Either<TcpStream, TokioIo<Upgraded>>;

fn of(upgraded: Upgraded) -> Wire<Stream> {
    match upgraded.downcast::<TokioIo<Patient>>() {
        Ok(parts) => Wire::begun(Either::Left(parts.io.into_inner().into_inner()), &parts.read_buf),
        Err(upgraded) => Wire::begun(Either::Right(TokioIo::new(upgraded)), &[]),
    }
}

/// How live connections end when the gateway stops: not all at once, for their visitors come back at once elsewhere.
#[derive(Clone, Debug)]
pub struct Farewell {
    /// The gateway stops.
    pub stop: CancellationToken,
    /// Within this time everybody is told.
    pub within: Duration,
}

/// When a connection is told, once the gateway stops. In a box, for else every connection would have the space for it.
type Turn = Option<Pin<Box<Sleep>>>;

impl Farewell {
    /// Waits for the stop, and then for one's turn, which it draws. May be dropped anywhere and asked again.
    async fn due(&self, turn: &mut Turn) {
        self.stop.cancelled().await;
        let draw = || Box::pin(sleep(self.within.mul_f64(rand::random())));
        turn.get_or_insert_with(draw).await;
    }
}

struct Talk<'a> {
    wire: Wire<Stream>,
    room: &'a Room,
    ticket: Ticket,
    /// The gist of what was said last.
    said: u64,
    said_at: Instant,
    pinged_at: Instant,
    heard_at: Instant,
}

impl Talk<'_> {
    async fn hold(&mut self, seat: &Seat, farewell: &Farewell) -> Result<(), Ended> {
        match self.go_on(seat, farewell).await {
            Err(Ended::Rude(code)) => self.wire.close(code).await,
            ended => ended,
        }
    }

    async fn go_on(&mut self, seat: &Seat, farewell: &Farewell) -> Result<(), Ended> {
        let mut turn = None;
        seat.telling(self.say_news()).await?;
        loop {
            tokio::select! {
                heard = self.wire.hear() => match heard? {
                    Heard::Goodbye => return self.wire.close(CloseCode::Normal).await,
                    Heard::Ping(payload) => self.wire.pong(&payload).await?,
                    Heard::Sign => {}
                },
                () = seat.nudged() => {
                    seat.telling(self.say_news()).await?;
                    if self.room.renewed(&self.ticket).is_some() {
                        return self.ask_to_come_again().await;
                    }
                    if self.heard_at.elapsed() <= SILENCE {
                        continue;
                    }
                    return self.wire.close(CloseCode::Away).await;
                }
                () = farewell.due(&mut turn) => return self.wire.close(CloseCode::Restart).await,
            }
            self.heard_at = Instant::now();
        }
    }

    async fn say_news(&mut self) -> Result<(), Ended> {
        if self.pinged_at.elapsed() > PING {
            self.wire.ping().await?;
            self.pinged_at = Instant::now();
        }
        self.room.introduce(&self.ticket);
        let (state, text) = self.status();
        if let Some(text) = text {
            self.wire.tell(&text).await?;
            self.room.counts.live_frames.inc();
            self.said_at = Instant::now();
        }
        if matches!(state, State::Lapsed | State::None) {
            self.wire.close(CloseCode::Normal).await?;
            return Err(Ended::Gone);
        }
        Ok(())
    }

    /// Ends the connection because its ticket is getting old: the handshake of the next hands out another one. Until then
    /// the visitor counts as here.
    async fn ask_to_come_again(&mut self) -> Result<(), Ended> {
        self.room.presence.poll(self.ticket.number, self.room.shared.clock.steady_ms(), COMING_AGAIN_MS);
        self.wire.close(CloseCode::Restart).await
    }

    /// Returns where the visitor stands, and what to say of it if that is news or was said long ago. Not kept: between two
    /// words a connection holds no status.
    fn status(&mut self) -> (State, Option<String>) {
        let status = Status::of(self.room, &self.ticket);
        let (text, gist) = status.written();
        let is_news = gist != self.said || self.said_at.elapsed() >= REPEAT;
        self.said = gist;
        (status.state, is_news.then_some(text))
    }
}
