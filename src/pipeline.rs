//! One request's life. Read this first: everything else is a step of it.
//!
//! ```text
//! target ─ route ─ gate ──► Admit, Enter ─► sold out? ─► proxy ─► upstream
//!                   ├─► Join, Wait ─► waiting page or status
//!                   └─► Reject ─► notice
//! ```

mod exempt;
mod forwarding;
mod handling;
mod own;
mod placing;
mod renewing;
mod waiting;

use std::net::IpAddr;
use std::sync::Arc;

use hyper::{HeaderMap, Request};
use tokio_util::task::TaskTracker;
use tracing::Span;

use crate::crawlers::Crawlers;
use crate::gate::{self, Credentials, Decision, Refusal};
use crate::limit::{AddressLimit, Slot};
use crate::line::PersonId;
use crate::networks::Networks;
use crate::person::{self, Shown};
use crate::proxy::headers::visitor_address;
use crate::proxy::{ChainHeader, Passage, Proxy, Target, VisitorBody};
use crate::respond::{self, Answer, Reads, Refused};
use crate::room::{Room, TICKET_LIFETIME_MS};
use crate::route::{Route, Routes};
use crate::status::{State, Status};
use crate::telemetry::{self, RequestId};
use crate::token::{Pass, Ticket};
use crate::visitor::{self, CookieKind};
use crate::waiting::Pages;
use crate::websocket::Farewell;
pub use handling::Handling;
use placing::Proved;

/// The paths that are the gateway's own and never forwarded.
pub const OWN_PREFIX: &str = "/.vestibule/";

/// The issuer of the passes.
pub const ISSUER: &str = "vestibule";

/// What all threads that serve visitors share.
pub struct Site {
    /// The rooms, in the order of the routes.
    pub rooms: Vec<Arc<Room>>,
    /// Which request belongs to which room.
    pub routes: Routes,
    /// The gateway's own pages.
    pub pages: Arc<Pages>,
    /// How often one address may join.
    pub join_limit: AddressLimit,
    /// How often one address may ask for positions.
    pub poll_limit: AddressLimit,
    /// How often one address may wait in the place of work.
    pub patience_limit: AddressLimit,
    /// The crawlers of each room, in the order of the rooms.
    pub crawlers: Vec<Crawlers>,
    /// Proxies in front.
    pub trusted_proxies: Networks,
    /// In which header they say who came.
    pub chain: ChainHeader,
    /// Whether visitors come over TLS.
    pub is_tls: bool,
}

/// What serves the requests of one thread.
pub struct Pipeline {
    /// What it shares with the others.
    pub site: Arc<Site>,
    /// The way to each room's upstream, in the order of the rooms.
    pub proxies: Vec<Arc<Proxy>>,
    /// The way for requests of no room.
    pub open: Option<Arc<Proxy>>,
    /// Owns the live connections.
    pub tasks: TaskTracker,
    /// Ends them.
    pub farewell: Farewell,
}

/// One request's asker, as far as it is known.
struct Asker {
    peer: IpAddr,
    address: IpAddr,
    reads: Reads,
    id: RequestId,
    span: Span,
    /// The connection's place among those that may be open.
    slot: Arc<Slot>,
}

/// A request, what it is for, and who asks.
struct Visit {
    /// In a box, for it goes through many hands.
    request: Box<Request<VisitorBody>>,
    target: Target,
    asker: Asker,
}

impl Pipeline {
    /// Answers a request that came from `peer` over a connection with this slot.
    pub fn handle(self: &Arc<Self>, request: Box<Request<VisitorBody>>, peer: IpAddr, slot: &Arc<Slot>) -> Handling {
        let span = telemetry::request(&request, self.scheme(), || self.site.trusted_proxies.contains(peer));
        let handling = span.in_scope(|| self.answer(request, peer, &span, slot));
        handling.traced(span)
    }

    fn answer(
        self: &Arc<Self>,
        request: Box<Request<VisitorBody>>,
        peer: IpAddr,
        span: &Span,
        slot: &Arc<Slot>,
    ) -> Handling {
        let target = Target::parse(&request, self.scheme());
        let headers = request.headers();
        let address = visitor_address(headers, peer, self.site.chain, |ip| self.site.trusted_proxies.contains(ip));
        let id = RequestId::of(span, rand::random);
        span.record("request_id", tracing::field::display(id));
        let (span, slot) = (span.clone(), Arc::clone(slot));
        let asker = Asker { peer, address, reads: visitor::reads(headers), id, span, slot };
        match target {
            Err(bad) => self.refuse(asker.reads, &Refused::Target(bad)).into(),
            Ok(target) if target.path().starts_with(OWN_PREFIX) => self.own(Visit { request, target, asker }),
            Ok(target) => self.route(Visit { request, target, asker }),
        }
    }

    /// Does what takes its time, on this thread and in a box of its own.
    fn later<F>(self: &Arc<Self>, visit: Visit, work: impl FnOnce(Arc<Self>, Visit) -> F) -> Handling
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Handling::Later(Box::pin(work(Arc::clone(self), visit)))
    }

    /// Lets go of connections to the upstreams that are of no use any more.
    pub fn sweep(&self) {
        for proxy in self.proxies.iter().chain(&self.open) {
            let _depth = proxy.sweep();
        }
    }

    /// Lets go of what is kept for requests to come: there will be fewer of them.
    pub fn retire(&self) {
        self.proxies.iter().chain(&self.open).for_each(|proxy| proxy.retire());
    }

    fn route(self: &Arc<Self>, visit: Visit) -> Handling {
        let Visit { request, target, asker } = &visit;
        match self.site.routes.find(target.host(), target.path(), request.method(), request.headers()) {
            Route::Guarded(i) if self.site.routes.lets_pass(i, asker.address) => self.exempt(i, visit),
            Route::Guarded(i) => self.guarded(i, visit),
            Route::Bypass(i) => self.bypass(i, visit),
            Route::Open => self.forward_plain(visit),
        }
    }

    fn guarded(self: &Arc<Self>, i: usize, visit: Visit) -> Handling {
        let room = &self.site.rooms[i];
        let Visit { request, target, asker } = &visit;
        let now_ms = room.shared.clock.now_ms();
        let credentials = self.credentials(request.headers(), room, asker);
        let (decision, line_now) = room.view(|view| (gate::decide(&credentials, view, now_ms), view.line_now));
        telemetry::decided(&asker.span, room.rules.name.as_str(), decision.word());
        let has_leave = matches!(decision, Decision::Admit(..) | Decision::Enter { .. } | Decision::Pass);
        if !has_leave && self.is_exempt(i, request.method(), request.headers(), asker) {
            return self.exempt(i, visit);
        }
        if self.is_sold_out(room, &decision, target, line_now.latest_ms) {
            return self.sold_out(room, asker);
        }
        let renewal = self.renewal(request.headers(), room, decision.ticket());
        let handling = match decision {
            Decision::Admit(ticket, claims) => match room.renewed_session((ticket.epoch, ticket.number)) {
                // The line says that the session goes on after the pass: another takes its place.
                Some((ends_s, _)) if claims.exp < ends_s => {
                    self.later(visit, async move |pipeline, visit| pipeline.enter(i, visit, ticket, ends_s).await)
                }
                renewed => {
                    let pass = credentials.pass.unwrap_or_default().to_owned();
                    let since_s = renewed.map_or(claims.iat, |(_, called_s)| called_s);
                    let entry = Entry { ticket, pass, since_s, ends_s: claims.exp, cookie: None };
                    self.later(visit, async move |pipeline, visit| pipeline.forward(i, visit, Some(entry)).await)
                }
            },
            Decision::Enter { ticket, ends_s } => {
                self.later(visit, async move |pipeline, visit| pipeline.enter(i, visit, ticket, ends_s).await)
            }
            Decision::Pass => self.later(visit, async move |pipeline, visit| pipeline.forward(i, visit, None).await),
            Decision::Join => self.later(visit, async move |pipeline, visit| pipeline.join(i, visit).await),
            Decision::Wait(ticket, _) if asker.reads == Reads::Json && self.polls_too_often(asker) => {
                self.refuse_poll(room, Some(&ticket)).into()
            }
            Decision::Wait(ticket, standing) => self.wait(room, &ticket, standing, asker).into(),
            Decision::Reject(refusal) => {
                self.later(visit, async move |pipeline, visit| pipeline.reject(i, visit, refusal).await)
            }
        };
        handling.renewing(renewal)
    }

    /// Turns somebody away, unless it is a person who has a place already, from another device.
    async fn reject(&self, i: usize, visit: Visit, refusal: Refusal) -> Answer {
        let room = &self.site.rooms[i];
        match self.held(room, visit.request.headers(), &visit.asker).await {
            Some(place) => self.seat(i, visit, place).await,
            None => self.turn_away(room, refusal, visit.asker.reads),
        }
    }

    /// Lets in someone who was called: signs a pass and takes it along to the upstream.
    async fn enter(&self, i: usize, visit: Visit, ticket: Ticket, ends_s: u64) -> Answer {
        let room = &self.site.rooms[i];
        let Some(pass) = sign(room, &ticket, ends_s) else {
            telemetry::failed(&visit.asker.span, &"a pass could not be signed");
            return self.refuse(visit.asker.reads, &Refused::NotFound);
        };
        let cookie = self.cookie(room, CookieKind::Pass, &pass, ends_s.saturating_sub(now_s(room)));
        let renewed = room.renewed_session((ticket.epoch, ticket.number));
        let since_s = renewed.map_or_else(|| now_s(room), |(_, called_s)| called_s);
        let entry = Entry { ticket, pass, since_s, ends_s, cookie: Some(cookie) };
        self.forward(i, visit, Some(entry)).await
    }

    async fn join(&self, i: usize, visit: Visit) -> Answer {
        let room = &self.site.rooms[i];
        if !visitor::can_join(visit.request.method(), visit.request.headers()) {
            let status = Status::of_nobody(room, State::None);
            return respond::wait(&self.site.pages, Reads::Json, room, &status, "").answer();
        }
        match self.place(room, visit.request.headers(), &visit.target, &visit.asker, Proved::No).await {
            Ok(place) => self.seat(i, visit, place).await,
            Err(refusal) => refusal,
        }
    }

    /// Gives somebody the ticket of a place, and lets them in or has them wait.
    async fn seat(&self, i: usize, visit: Visit, (ticket, ends_s): (Ticket, Option<u64>)) -> Answer {
        let room = &self.site.rooms[i];
        let cookie = self.ticket_cookie(room, &ticket);
        let mut answer = match ends_s {
            // In a box, for else everybody at the door would have the space for it.
            Some(ends_s) => Box::pin(self.enter(i, visit, ticket, ends_s)).await,
            None => self.show_waiting(room, &ticket, &visit.asker),
        };
        respond::set_cookie(&mut answer, &cookie);
        answer
    }

    /// Tells somebody without a place that there is none to be had.
    fn turn_away(&self, room: &Room, refusal: Refusal, reads: Reads) -> Answer {
        match refusal {
            Refusal::Closed => self.refuse(reads, &Refused::Closed),
            Refusal::Draining => self.refuse(reads, &Refused::Draining),
            Refusal::Full => self.refuse(reads, &Refused::Full),
            // Nobody has a place yet; the page asks for one when the sale opens.
            Refusal::Early => {
                let status = Status::of_nobody(room, State::PreQueue);
                respond::wait(&self.site.pages, reads, room, &status, "").answer()
            }
        }
    }

    /// Tells whether somebody is told at `now_ms`, by the board's clock, that it is sold out: not who waits for what comes
    /// back. Who was called may have a hold to pay for, or a booking, so that "everything" is everything but that.
    fn is_sold_out(&self, room: &Room, decision: &Decision, target: &Target, now_ms: u64) -> bool {
        if matches!(decision, Decision::Wait(..)) {
            return false;
        }
        let was_called = matches!(decision, Decision::Admit(..) | Decision::Enter { .. });
        let mut keys = room.rules.items.iter().filter_map(|item| item.key(target.path(), target.query()));
        (!was_called && room.sold_out.holds_everything(now_ms))
            || room.sold_out.holds(target.path(), now_ms)
            || keys.any(|key| room.sold_out.holds(&key, now_ms))
    }

    fn sold_out(&self, room: &Room, asker: &Asker) -> Handling {
        room.counts.sold_out_responses.inc();
        match respond::ready(asker.reads, &Refused::SoldOut) {
            Some(ready) => Handling::Ready(ready),
            None => respond::refuse(&self.site.pages, asker.reads, &Refused::SoldOut).into(),
        }
    }

    fn refuse(&self, reads: Reads, refused: &Refused<'_>) -> Answer {
        if let Some(room) = self.site.rooms.first() {
            room.shared.metrics.refused.with_label_values(&[refused.reason()]).inc();
        }
        respond::refuse(&self.site.pages, reads, refused)
    }

    /// Reads what a request brings along. One person's ticket in another person's hands is as none.
    fn credentials<'a>(&self, headers: &'a HeaderMap, room: &Room, asker: &Asker) -> Credentials<'a> {
        let shown = visitor::credentials(headers, room.rules.name.as_str(), self.site.is_tls);
        if room.rules.person.is_none() || shown.ticket.is_none() {
            return shown;
        }
        let now_ms = room.shared.clock.now_ms();
        let holder = room.view(|view| gate::ticket(&shown, view, now_ms)).and_then(|ticket| person::holder(ticket.id));
        match (holder, self.person(headers, room, asker)) {
            (Some(holder), Some(person)) if holder != person => Credentials::default(),
            _ => shown,
        }
    }

    /// Finds out who asks, where the room wants to know.
    fn person(&self, headers: &HeaderMap, room: &Room, asker: &Asker) -> Option<PersonId> {
        let shown = Shown { headers, peer_is_trusted: self.site.trusted_proxies.contains(asker.peer) };
        let (name, now_ms) = (room.rules.name.as_str(), room.shared.clock.now_ms());
        room.rules.person.as_ref()?.identify(shown, name, &room.shared.ring.load(), now_ms)
    }

    fn passage(&self, asker: &Asker) -> Passage<'static> {
        Passage {
            room: "",
            visitor: None,
            pass: None,
            request: asker.id,
            peer: asker.peer,
            peer_is_trusted: self.site.trusted_proxies.contains(asker.peer),
            chain: self.site.chain,
            scheme: self.scheme(),
            method_decides: self.site.routes.tell_methods_apart(),
        }
    }

    fn ticket_cookie(&self, room: &Room, ticket: &Ticket) -> String {
        let sealed = ticket.seal(&room.shared.ring.load());
        self.cookie(room, CookieKind::Ticket, &sealed, TICKET_LIFETIME_MS / 1_000)
    }

    fn cookie(&self, room: &Room, kind: CookieKind, value: &str, max_age_s: u64) -> String {
        visitor::cookie(kind, room.rules.name.as_str(), self.site.is_tls, value, max_age_s)
    }

    fn scheme(&self) -> &'static str {
        if self.site.is_tls { "https" } else { "http" }
    }
}

/// What an admitted request carries.
struct Entry {
    ticket: Ticket,
    pass: String,
    /// When its holder came in, in seconds since the Unix epoch.
    since_s: u64,
    ends_s: u64,
    /// The pass's cookie, when it is new. It is set before the upstream is heard, which may end the session at once.
    cookie: Option<String>,
}

/// Signs the pass of a called ticket, good until the session ends by the clock of the line, and no later.
fn sign(room: &Room, ticket: &Ticket, ends_s: u64) -> Option<String> {
    let issued_ms = room.line_now().latest_ms.min(ends_s * 1_000);
    let pass = Pass {
        issuer: ISSUER,
        room: room.rules.name.as_str(),
        ticket: ticket.id,
        number: ticket.number,
        id: rand::random(),
        issued_ms,
        lifetime_ms: ends_s * 1_000 - issued_ms,
    };
    let signed = pass.sign(&room.shared.ring.load());
    signed.inspect_err(|fault| tracing::error!(%fault, "a pass could not be signed")).ok()
}

/// Returns the second by which sessions begin and end.
fn now_s(room: &Room) -> u64 {
    room.line_now().latest_s()
}
