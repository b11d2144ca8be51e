//! One live connection: the visitor hears the status at once, and after every change.

pub mod wire;

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
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
use crate::proxy::VisitorBody;
use crate::proxy::headers::asks_for_websocket;
use crate::resumed::Resumed;
use crate::room::Room;
use crate::status::{State, Status};
use crate::token::Ticket;

/// The same status is said again after this long: a page that hears nothing for three updates and
/// five seconds takes its connection for dead.
const REPEAT: Duration = Duration::from_secs(5);

/// How often the visitor is pinged.
const PING: Duration = Duration::from_secs(15);

/// A visitor who is pinged once more after leaving so many pings unanswered is gone. No time is set for it: where very many
/// wait, a connection's turn to be told and pinged comes seldom.
const UNANSWERED_MAX: u8 = 2;

/// For how long somebody counts as here who was asked to connect again, in milliseconds.
const COMING_AGAIN_MS: u64 = 10_000;

/// What a handshake asks for, if it is one.
#[must_use]
pub fn accept_key(request: &Request<VisitorBody>) -> Option<String> {
    let headers = request.headers();
    let version = headers.get(header::SEC_WEBSOCKET_VERSION)?;
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    (asks_for_websocket(request) && version == "13").then(|| derive_accept_key(key.as_bytes()))
}

/// Tells whether a browser asked from one of the host's own pages. A program sends no origin.
#[must_use]
pub fn is_same_origin(request: &Request<VisitorBody>, host: &str) -> bool {
    let Some(origin) = request.headers().get(header::ORIGIN) else { return true };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// Serves the connection until the visitor goes, is called or falls silent, or until it is time to say farewell.
/// The connection counts as open for as long as its slot lives; hyper has let go of it by then.
///
/// Not an `async fn`: that would keep the space of the request for as long as the connection lives.
pub fn serve(
    request: Request<VisitorBody>,
    slot: Arc<Slot>,
    room: Arc<Room>,
    ticket: Ticket,
    farewell: Farewell,
) -> impl Future<Output = ()> {
    let upgrading = hyper::upgrade::on(request);
    async move {
        let Ok(upgraded) = upgrading.await else { return };
        Talk::new(of(upgraded), &room, &ticket).run(&farewell).await;
        drop(slot);
    }
}

/// A live connection's stream: what comes without TLS is spoken to with nothing in between, which would cost each
/// connection its space. A frame has its own time to be taken.
type Stream = Either<TcpStream, TokioIo<Upgraded>>;

fn of(upgraded: Upgraded) -> Wire<Stream> {
    match upgraded.downcast::<TokioIo<Resumed<Patient>>>() {
        Ok(parts) => {
            let (unread, stream) = parts.io.into_inner().into_parts();
            Wire::begun(Either::Left(stream.into_inner()), &[parts.read_buf, unread].concat())
        }
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

/// What happens next on a connection.
enum Next {
    Heard(Heard),
    /// There may be news.
    Nudge,
}

struct Talk<'a> {
    wire: Wire<Stream>,
    room: &'a Room,
    ticket: &'a Ticket,
    /// The gist of what was said last.
    said: u64,
    said_at: Instant,
    pinged_at: Instant,
    /// How many pings there were since the visitor was heard of.
    unanswered: u8,
}

impl<'a> Talk<'a> {
    fn new(wire: Wire<Stream>, room: &'a Room, ticket: &'a Ticket) -> Self {
        let now = Instant::now();
        Self { wire, room, ticket, said: 0, said_at: now, pinged_at: now, unanswered: 0 }
    }

    async fn run(mut self, farewell: &Farewell) {
        let holder = (self.ticket.epoch, self.ticket.number);
        let Some(seat) = self.room.live.sit(self.ticket.number) else {
            return self.wire.close(CloseCode::Again).await;
        };
        self.room.presence.connect(holder);
        if let Err(Ended::Over(code)) = self.go_on(&seat, farewell).await {
            self.wire.close(code).await;
        }
        drop(seat);
        self.room.presence.disconnect(holder, self.room.shared.clock.steady_ms());
    }

    async fn go_on(&mut self, seat: &Seat, farewell: &Farewell) -> Result<Infallible, Ended> {
        let mut turn = None;
        self.say_news_to(seat).await?;
        loop {
            let next = self.next(seat, farewell, &mut turn).await?;
            match next {
                Next::Nudge => self.say_news_to(seat).await?,
                Next::Heard(heard) => self.answer(heard).await?,
            }
        }
    }

    async fn answer(&mut self, heard: Heard) -> Result<(), Ended> {
        self.unanswered = 0;
        match heard {
            Heard::Ping(payload) => self.wire.pong(&payload).await,
            Heard::Goodbye => Err(Ended::Over(CloseCode::Normal)),
            Heard::Sign => Ok(()),
        }
    }

    async fn next(&mut self, seat: &Seat, farewell: &Farewell, turn: &mut Turn) -> Result<Next, Ended> {
        tokio::select! {
            heard = self.wire.hear() => heard.map(Next::Heard),
            () = seat.nudged() => Ok(Next::Nudge),
            () = farewell.due(turn) => Err(Ended::Over(CloseCode::Restart)),
        }
    }

    /// Says the news, and whether that is all: because the ticket is getting old, of which the handshake of the next
    /// connection hands out another one, and until then the visitor counts as here; or because nobody answers.
    async fn say_news_to(&mut self, seat: &Seat) -> Result<(), Ended> {
        seat.telling(pin!(self.say_news())).await?;
        if self.room.renewed(self.ticket).is_some() {
            self.room.presence.poll(
                (self.ticket.epoch, self.ticket.number),
                self.room.shared.clock.steady_ms(),
                COMING_AGAIN_MS,
            );
            return Err(Ended::Over(CloseCode::Restart));
        }
        if self.unanswered > UNANSWERED_MAX {
            return Err(Ended::Over(CloseCode::Away));
        }
        Ok(())
    }

    async fn say_news(&mut self) -> Result<(), Ended> {
        if self.pinged_at.elapsed() > PING {
            self.wire.ping().await?;
            self.pinged_at = Instant::now();
            self.unanswered += 1;
        }
        self.room.introduce(self.ticket);
        let (state, text) = self.status();
        if let Some(text) = text {
            self.wire.tell(&text).await?;
            self.room.counts.live_frames.inc();
            self.said_at = Instant::now();
        }
        if matches!(state, State::Lapsed | State::None) { Err(Ended::Over(CloseCode::Normal)) } else { Ok(()) }
    }

    /// Returns where the visitor stands, and what to say of it if that is news or was said long ago. Not kept: between two
    /// words a connection holds no status.
    fn status(&mut self) -> (State, Option<String>) {
        let status = Status::of(self.room, self.ticket);
        let (text, gist) = status.written();
        let is_news = gist != self.said || self.said_at.elapsed() >= REPEAT;
        self.said = gist;
        (status.state, is_news.then_some(text))
    }
}
