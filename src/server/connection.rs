//! The life of one connection: who it is from, what it speaks, and its requests one after the other or together.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper::{Request, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fast_path::{self, Rest};
use super::turns::{InTurn, Turns, Verdict};
use super::{Door, announced};
use crate::limit::Slot;
use crate::patience::{Patient, READER_TIMEOUT};
use crate::pipeline::{Handling, Pipeline};
use crate::proxy::{OwnedTasks, VisitorBody};
use crate::respond::Answer;
use crate::tls;

/// A request's head has to be there within this time of its first byte, which has to come within the same after the answer
/// before, and so has all that comes before the first.
pub(super) const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of a head is read: beyond it the request is refused. So is one of more than 100 headers, which is hyper's own
/// bound: to name it would cost every request an allocation.
const HEAD_CAP_BYTES: usize = 64 << 10;

/// The requests that one connection of HTTP/2 may have under way.
const STREAMS_CAP: u32 = 64;

/// How many of them may be taken back before they are looked at, and how many may break the rules.
const RESETS_CAP: usize = 32;

/// What may be kept of an answer that its reader does not take, in bytes, for each request.
const SEND_CAP_BYTES: usize = 64 << 10;

/// What a visitor may send ahead in one request, in bytes.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;

/// What a visitor may send ahead in all requests of a connection, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// How often the streams of a connection are looked at.
const BEAT: Duration = Duration::from_secs(5);

/// After so many beats without a request a connection of HTTP/2 is told to end, and after twice as many it is cut.
const IDLE_BEATS: u64 = 12;

/// How often a silent peer is asked whether it lives, and how long it may take to answer.
const PING: Duration = Duration::from_secs(20);

/// What begins a connection of HTTP/2 where nothing has agreed on one before.
const PREFACE: &[u8] = b"PRI * HT";

/// What serves one connection.
pub(super) struct Reception {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) door: Arc<Door>,
    pub(super) tasks: TaskTracker,
    pub(super) slot: Arc<Slot>,
}

/// A stream whose peer has shown that it can be spoken to.
enum Greeted {
    Plain(Patient, Protocol),
    Tls(Box<tokio_rustls::server::TlsStream<Patient>>, Protocol),
}

#[derive(Clone, Copy)]
enum Protocol {
    Http1,
    Http2,
}

impl Reception {
    /// Serves a connection from `peer` to its end.
    pub(super) async fn serve(self, stream: TcpStream, peer: IpAddr) {
        let soft = self.door.stopping.soft.clone();
        let greeting = timeout(HEADER_TIMEOUT, self.greet(stream, peer));
        let greeted = soft.run_until_cancelled(greeting).await;
        // Whoever cannot say what they want in time, or at all, is not told why.
        let Some(Ok(Some((greeted, peer)))) = greeted else { return };
        match greeted {
            Greeted::Plain(stream, Protocol::Http1) => self.http1(stream, peer).await,
            Greeted::Plain(stream, Protocol::Http2) => self.http2(stream, peer).await,
            Greeted::Tls(stream, Protocol::Http1) => self.http1(*stream, peer).await,
            Greeted::Tls(stream, Protocol::Http2) => self.http2(*stream, peer).await,
        }
    }

    /// Finds out whom the connection is from and what it speaks; `None` where that cannot be.
    async fn greet(&self, mut stream: TcpStream, peer: IpAddr) -> Option<(Greeted, IpAddr)> {
        let peer = match &self.door.announcers {
            Some(announcers) if announcers.contains(peer) => {
                let read = announced::read(&mut stream).await;
                read.inspect_err(|_| self.refuse("unannounced")).ok()?.unwrap_or(peer)
            }
            Some(_) => {
                self.refuse("unannounced");
                return None;
            }
            None => peer,
        };
        let Some(acceptor) = &self.door.tls else {
            let protocol = spoken(&stream).await?;
            return Some((Greeted::Plain(Patient::new(stream), protocol), peer));
        };
        let stream = acceptor.accept(Patient::new(stream)).await.inspect_err(|_| self.refuse("handshake")).ok()?;
        let agreed = stream.get_ref().1.alpn_protocol();
        if tls::is_look(agreed) {
            return None;
        }
        let is_http2 = tls::is_http2(agreed);
        let protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
        Some((Greeted::Tls(Box::new(stream), protocol), peer))
    }

    fn refuse(&self, reason: &str) {
        self.door.metrics.refused.with_label_values(&[reason]).inc();
    }

    async fn http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S, peer: IpAddr) {
        let (stopping, caller) = (self.door.stopping.clone(), self.caller(peer));
        let Some(Rest { stream, first }) = fast_path::serve(stream, &caller, &stopping.soft).await else { return };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(HEAD_CAP_BYTES)
            .serve_connection(TokioIo::new(stream), caller.service(first))
            .with_upgrades();
        let mut connection = pin!(connection);
        tokio::select! {
            // First of all it reads what was read before: told to end without that, it would end without an answer.
            biased;
            // A visitor who breaks off is no fault of ours.
            _ = connection.as_mut() => {}
            () = stopping.soft.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    _ = connection => {}
                    () = stopping.hard.cancelled() => {}
                }
            }
        }
    }

    async fn http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S, peer: IpAddr) {
        let (stopping, turns) = (self.door.stopping.clone(), Arc::<Turns>::default());
        let mut builder = http2::Builder::new(OwnedTasks(self.tasks.clone()));
        bound(&mut builder);
        let (noted, service) = (Arc::clone(&turns), self.caller(peer).service(None));
        let service = service_fn(move |request| {
            let (turns, turn) = (Arc::clone(&noted), noted.begin());
            let answer = service.call(request);
            async move { answer.await.map(|answer| answer.map(|body| InTurn::new(body, turns, turn))) }
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut is_asked_to_end, mut idle_beats) = (false, 0);
        loop {
            tokio::select! {
                _ = connection.as_mut() => return,
                () = stopping.hard.cancelled() => return,
                () = stopping.soft.cancelled(), if !is_asked_to_end => {
                    connection.as_mut().graceful_shutdown();
                    is_asked_to_end = true;
                }
                _ = beat.tick() => match turns.beat(READER_TIMEOUT.as_secs() / BEAT.as_secs(), IDLE_BEATS) {
                    Verdict::GoesOn => idle_beats = 0,
                    Verdict::Idle if idle_beats < IDLE_BEATS => {
                        connection.as_mut().graceful_shutdown();
                        idle_beats += 1;
                    }
                    Verdict::Idle | Verdict::Stalled => return,
                }
            }
        }
    }

    fn caller(self, peer: IpAddr) -> Caller {
        let Self { pipeline, slot, door, .. } = self;
        Caller { pipeline, slot, notice: door.stopping.notice.clone(), peer }
    }
}

/// Whose requests come over a connection.
pub(super) struct Caller {
    pipeline: Arc<Pipeline>,
    slot: Arc<Slot>,
    notice: CancellationToken,
    peer: IpAddr,
}

impl Caller {
    /// Answers one of them.
    pub(super) fn handle(&self, request: Box<Request<VisitorBody>>) -> Handling {
        self.pipeline.handle(request, self.peer, &self.slot)
    }

    /// Tells whether this gateway stops, so that no connection is to stay.
    pub(super) fn is_to_leave(&self) -> bool {
        self.notice.is_cancelled()
    }

    /// Answers all that come, the first as has been begun already.
    fn service(
        self,
        first: Option<Handling>,
    ) -> impl Service<Request<Incoming>, Response = Answer, Error = Infallible, Future: Send + 'static> + Send + 'static
    {
        let first = Cell::new(first);
        service_fn(move |request: Request<Incoming>| {
            let is_http2 = request.version() == Version::HTTP_2;
            let handling = first.take().unwrap_or_else(|| self.handle(Box::new(request.map(VisitorBody::from))));
            let notice = self.notice.clone();
            async move {
                let mut answer = handling.answer().await;
                if !is_http2 && notice.is_cancelled() {
                    ask_to_leave(&mut answer);
                }
                Ok::<_, Infallible>(answer)
            }
        })
    }
}

/// Has the connection end with this answer, unless it goes on as another protocol.
fn ask_to_leave(answer: &mut Answer) {
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Everything in HTTP/2 that a peer could have grow without end.
fn bound(builder: &mut http2::Builder<OwnedTasks>) {
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_CAP)
        .max_pending_accept_reset_streams(RESETS_CAP)
        .max_local_error_reset_streams(RESETS_CAP)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_CAP_BYTES)
        .max_header_list_size(HEAD_CAP_BYTES as u32)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
}

/// Waits for the first bytes and tells what they are the beginning of. It is HTTP/1.1 that says what is wrong with
/// anything else.
async fn spoken(stream: &TcpStream) -> Option<Protocol> {
    let mut first = [0; PREFACE.len()];
    let seen = stream.peek(&mut first).await.ok().filter(|seen| *seen > 0)?;
    Some(if &first[..seen] == PREFACE { Protocol::Http2 } else { Protocol::Http1 })
}
