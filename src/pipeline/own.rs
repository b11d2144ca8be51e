//! The gateway's own paths, below `/.vestibule/`.

mod asked;
mod bypass;
mod device;
mod proof;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::header::HeaderMap;
use hyper::{Method, Request};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use super::renewing::with_renewal;
use super::{Asker, Handling, OWN_PREFIX, Pipeline, Proved, Visit, sign};
use crate::gate::{self, Decision};
use crate::line::draw::Pending;
use crate::line::{Number, Roll, Standing};
use crate::proxy::{Target, VisitorBody};
use crate::respond::{self, Answer, Reads, Refused};
use crate::room::Room;
use crate::status::{State, Status};
use crate::telemetry;
use crate::token::Ticket;
use crate::visitor::{self, CookieKind};
use crate::waiting::Language;
use crate::websocket;

/// The longest body that these paths read.
const BODY_CAP_BYTES: usize = 4_096;

/// For how long it is waited for.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The body of a join, and of a leave by a program.
#[derive(Deserialize)]
struct RoomBody {
    room: Option<String>,
    /// A solution of what was asked for before, where the room asks.
    altcha: Option<String>,
}

impl Pipeline {
    pub(super) fn own(self: &Arc<Self>, visit: Visit) -> Handling {
        let Visit { request, target, asker } = &visit;
        let path = target.path().strip_prefix(OWN_PREFIX).unwrap_or_default();
        telemetry::route(&asker.span, request.method(), own_route(path));
        let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
        let is_post = request.method() == Method::POST;
        let answer = match path {
            "status" if is_get => return self.with_room(request, target, asker, Self::status),
            "receipt" if is_get => return self.with_room(request, target, asker, Self::receipt),
            "draw" if is_get => return self.with_room(request, target, asker, Self::draw),
            "live" if is_get => return self.live(visit).into(),
            "jwks.json" if is_get => self.jwks(asker),
            "language" if is_get => self.choose_language(request, target),
            "link" if is_post => self.make_link(request, target, asker),
            "continue" if is_get => self.offer_link(target, asker),
            "bypass" if is_get => self.offer_bypass(target, asker),
            "join" if is_post => return self.later(visit, Self::join_app),
            // Whatever the method: some proxies ask with that of the request they ask about.
            "verify" => return self.later(visit, Self::verify),
            "continue" if is_post => return self.later(visit, Self::use_link),
            "bypass" if is_post => return self.later(visit, Self::use_bypass),
            "proof" if is_get || is_post => return self.later(visit, Self::prove),
            "leave" if is_post => return self.later(visit, Self::leave),
            "status" | "receipt" | "live" | "jwks.json" | "draw" | "language" => {
                self.refuse(asker.reads, &Refused::Method("GET"))
            }
            "continue" | "bypass" | "proof" => self.refuse(asker.reads, &Refused::Method("GET, POST")),
            "join" | "leave" | "link" => self.refuse(asker.reads, &Refused::Method("POST")),
            _ => self.refuse(asker.reads, &Refused::NotFound),
        };
        answer.into()
    }

    fn with_room<A: Into<Handling>>(
        &self,
        request: &Request<VisitorBody>,
        target: &Target,
        asker: &Asker,
        answer: fn(&Self, &Request<VisitorBody>, &Arc<Room>, &Asker) -> A,
    ) -> Handling {
        match self.named_room(target, None) {
            Ok(room) => answer(self, request, room, asker).into(),
            Err(why) => self.refuse(asker.reads, &Refused::Nonsense(&why)).into(),
        }
    }

    /// One step of a poll.
    fn status(&self, request: &Request<VisitorBody>, room: &Arc<Room>, asker: &Asker) -> Handling {
        let (headers, now_ms) = (request.headers(), room.shared.clock.now_ms());
        if self.polls_too_often(asker) {
            return self.refuse_poll(room, self.ticket(headers, room, asker).as_ref()).into();
        }
        let credentials = self.credentials(headers, room, asker);
        let decision = room.view(|view| gate::decide(&credentials, view, now_ms));
        let renewal = self.renewal(headers, room, decision.ticket());
        Handling::from(respond::tell_status(&self.status_of(decision, headers, room, asker))).renewing(renewal)
    }

    fn status_of(&self, decision: Decision, headers: &HeaderMap, room: &Room, asker: &Asker) -> Status {
        match decision {
            Decision::Admit(ticket, claims) => {
                let session_ends_at = Some(room.session_end((ticket.epoch, ticket.number), claims.exp) * 1_000);
                Status { state: State::Admitted, session_ends_at, ..Status::of(room, &ticket) }
            }
            Decision::Enter { ticket, .. } => Status::of(room, &ticket),
            Decision::Wait(ticket, standing) => {
                room.take_back(ticket.number, standing);
                room.introduce(&ticket);
                let status = Status::of(room, &ticket).for_a_poll(room);
                room.expect_back((ticket.epoch, ticket.number), status.next_update_seconds);
                status
            }
            Decision::Pass => Status::of_nobody(room, State::Admitted),
            Decision::Reject(gate::Refusal::Closed | gate::Refusal::Draining) => Status::of_nobody(room, State::Closed),
            Decision::Reject(gate::Refusal::Early) => Status::of_nobody(room, State::PreQueue),
            Decision::Reject(gate::Refusal::Full) => Status::of_nobody(room, State::Full),
            Decision::Join => match self.ticket(headers, room, asker) {
                Some(ticket) => Status::of(room, &ticket),
                None => Status::of_nobody(room, State::None),
            },
        }
    }

    /// The bearer's own ticket, and the log entry that says when it was called.
    fn receipt(&self, request: &Request<VisitorBody>, room: &Arc<Room>, asker: &Asker) -> Answer {
        let Some(ticket) = self.ticket(request.headers(), room, asker) else {
            return self.refuse(asker.reads, &Refused::Nonsense("Show the ticket whose receipt you want."));
        };
        let standing = self.standing(room, &ticket);
        let was_called = matches!(standing, Standing::Called { .. } | Standing::Over);
        let entry = was_called.then(|| room.mirror.call_of(ticket.number)).flatten();
        let called_us = match standing {
            Standing::Called { at_us, .. } => Some(at_us),
            _ => entry.as_ref().map(|logged| logged.entry.at_us),
        };
        respond::tell(&json!({
            "room": room.rules.name,
            "ticket": ticket.id.to_string(),
            "epoch": ticket.epoch,
            "number": ticket.number,
            "place": Status::of(room, &ticket).place,
            "issued_at": ticket.issued_ms,
            "called_at": called_us.map(|us| us / 1_000),
            "entry": entry,
        }))
    }

    /// What is published of the room's draw, and, to whoever shows a ticket that was in it, the own place.
    fn draw(&self, request: &Request<VisitorBody>, room: &Arc<Room>, asker: &Asker) -> Answer {
        let ticket = self.ticket(request.headers(), room, asker);
        let told = room.mirror.read(|roll| {
            let number = ticket.filter(|ticket| roll.covers(ticket.epoch, ticket.number)).map(|ticket| ticket.number);
            draw_view(room, roll, number)
        });
        match told {
            Some(told) => respond::tell(&told),
            None => {
                self.refuse(asker.reads, &Refused::Nonsense("This room draws no lots: it is first come, first served."))
            }
        }
    }

    fn live(&self, Visit { request, target, asker }: Visit) -> Answer {
        let (target, asker) = (&target, &asker);
        let room = match self.named_room(target, None) {
            Ok(room) => Arc::clone(room),
            Err(why) => return self.refuse(Reads::Json, &Refused::Nonsense(&why)),
        };
        if !websocket::is_same_origin(&request, target.host()) {
            return self.refuse(Reads::Json, &Refused::Origin);
        }
        let Some(accept) = websocket::accept_key(&request) else {
            return self.refuse(asker.reads, &Refused::Nonsense("A live connection is a WebSocket, version 13."));
        };
        let Some(ticket) = self.ticket(request.headers(), &room, asker) else {
            return self.refuse(Reads::Json, &Refused::NoPass);
        };
        if self.polls_too_often(asker) {
            return self.refuse_poll(&room, Some(&ticket));
        }
        match self.standing(&room, &ticket) {
            Standing::Foreign => return self.refuse(Reads::Json, &Refused::NoPass),
            standing => room.take_back(ticket.number, standing),
        }
        let renewal = self.renewal(request.headers(), &room, Some(&ticket));
        let ticket = room.renewed(&ticket).unwrap_or(ticket);
        self.tasks.spawn(websocket::serve(*request, Arc::clone(&asker.slot), room, ticket, self.farewell.clone()));
        with_renewal(respond::switch_to_websocket(&accept), renewal)
    }

    /// Keeps a choice of language, and goes back to the page where it was made.
    fn choose_language(&self, request: &Request<VisitorBody>, target: &Target) -> Answer {
        let back = visitor::came_from(request.headers(), target.host()).unwrap_or("/");
        let mut answer = respond::go_back(back);
        if let Some(language) = parameter(target, "lang").and_then(Language::of_tag) {
            respond::set_cookie(&mut answer, &visitor::language_cookie(language, self.site.is_tls));
        }
        answer
    }

    fn jwks(&self, asker: &Asker) -> Answer {
        match self.site.rooms.first() {
            Some(room) => respond::tell(&room.shared.ring.load().jwks()),
            None => self.refuse(asker.reads, &Refused::NotFound),
        }
    }

    /// A place for an app: the ticket in JSON, to be sent back as `Vestibule-Ticket`.
    async fn join_app(self: Arc<Self>, Visit { request, target, asker }: Visit) -> Answer {
        let ((parts, body), target, asker) = (request.into_parts(), &target, &asker);
        let (room, altcha) = match self.asked_room(body, target).await {
            Ok(asked) => asked,
            Err(why) => return self.refuse(Reads::Json, &Refused::Nonsense(&why)),
        };
        let now_ms = room.shared.clock.now_ms();
        let credentials = self.credentials(&parts.headers, room, asker);
        let (ticket, ends_s) = match room.view(|view| gate::decide(&credentials, view, now_ms)) {
            Decision::Admit(ticket, claims) => {
                (ticket, Some(room.session_end((ticket.epoch, ticket.number), claims.exp)))
            }
            Decision::Enter { ticket, ends_s } => (ticket, Some(ends_s)),
            Decision::Wait(ticket, _) if self.polls_too_often(asker) => return self.refuse_poll(room, Some(&ticket)),
            Decision::Wait(ticket, _) => (ticket, None),
            Decision::Reject(refusal) => match self.held(room, &parts.headers, asker).await {
                Some(place) => place,
                None => return self.turn_away(room, refusal, Reads::Json),
            },
            Decision::Join if room.sold_out.holds_everything(room.board_ms()) => {
                room.counts.sold_out_responses.inc();
                return self.refuse(Reads::Json, &Refused::SoldOut);
            }
            Decision::Join | Decision::Pass => {
                let proved = match self.proved(room, altcha.as_deref(), None).await {
                    Ok(true) => Proved::Yes,
                    Ok(false) => Proved::No,
                    Err(fault) => return self.refuse(Reads::Json, &Refused::Join(&fault)),
                };
                match self.place(room, &parts.headers, target, asker, proved).await {
                    Ok(place) => place,
                    Err(refusal) => return refusal,
                }
            }
        };
        let ticket = room.renewed(&ticket).unwrap_or(ticket);
        let sealed = ticket.seal(&room.shared.ring.load());
        let pass = ends_s.and_then(|ends_s| sign(room, &ticket, ends_s));
        let status = Status::of(room, &ticket).for_a_poll(room);
        if pass.is_none() {
            room.expect_newcomer_back((ticket.epoch, ticket.number), status.next_update_seconds);
        }
        respond::tell_place(&sealed, pass.as_deref(), &status)
    }

    async fn leave(self: Arc<Self>, Visit { request, target, asker }: Visit) -> Answer {
        let (target, asker) = (&target, &asker);
        if !websocket::is_same_origin(&request, target.host()) {
            return self.refuse(asker.reads, &Refused::Origin);
        }
        let (parts, body) = request.into_parts();
        let room = match self.room_of(body, target).await {
            Ok(room) => room,
            Err(why) => return self.refuse(asker.reads, &Refused::Nonsense(&why)),
        };
        if let Some(ticket) = self.ticket(&parts.headers, room, asker) {
            match self.standing(room, &ticket) {
                Standing::Waiting { .. } | Standing::Unseen | Standing::Unheard => room.leave(ticket.number),
                Standing::Called { .. } | Standing::Over | Standing::Bygone | Standing::Foreign => {}
            }
        }
        let status = Status::of_nobody(room, State::None);
        let mut answer = respond::goodbye(&self.site.pages, asker.reads, &status);
        respond::set_cookie(&mut answer, &self.cookie(room, CookieKind::Ticket, "", 0));
        answer
    }

    fn ticket(&self, headers: &HeaderMap, room: &Room, asker: &Asker) -> Option<Ticket> {
        let credentials = self.credentials(headers, room, asker);
        let now_ms = room.shared.clock.now_ms();
        room.view(|view| gate::ticket(&credentials, view, now_ms))
    }

    fn standing(&self, room: &Room, ticket: &Ticket) -> Standing {
        let now_s = room.line_now().latest_s();
        room.mirror.read(|roll| roll.standing(ticket.epoch, ticket.number, now_s))
    }

    /// Reads the room's name from a JSON body; a form's body names nothing, its query does.
    async fn room_of(&self, body: VisitorBody, target: &Target) -> Result<&Arc<Room>, String> {
        self.asked_room(body, target).await.map(|(room, _)| room)
    }

    /// Does the same, and reads the solution that a program brings along.
    async fn asked_room(&self, body: VisitorBody, target: &Target) -> Result<(&Arc<Room>, Option<String>), String> {
        let asked = serde_json::from_slice::<RoomBody>(&self.read_body(body).await?).ok();
        let (named, altcha) = asked.map_or((None, None), |asked| (asked.room, asked.altcha));
        Ok((self.named_room(target, named)?, altcha))
    }

    async fn read_body(&self, body: VisitorBody) -> Result<Bytes, String> {
        let too_long = |_| format!("The body is longer than {BODY_CAP_BYTES} bytes or broke off.");
        let read = timeout(BODY_TIMEOUT, Limited::new(body, BODY_CAP_BYTES).collect()).await;
        Ok(read.map_err(|_| "The body did not come in time.".to_owned())?.map_err(too_long)?.to_bytes())
    }

    /// Finds a room by `?room=`, by a name from elsewhere, or as the only one there is.
    fn named_room(&self, target: &Target, named: Option<String>) -> Result<&Arc<Room>, String> {
        let in_query = parameter(target, "room");
        let rooms = &self.site.rooms;
        match in_query.or(named.as_deref()) {
            Some(name) => {
                let found = rooms.iter().find(|room| room.rules.name.as_str() == name);
                found.ok_or_else(|| "There is no room of this name.".to_owned())
            }
            None if rooms.len() == 1 => Ok(&rooms[0]),
            None => Err("There are several rooms: name one, as in ?room=NAME.".to_owned()),
        }
    }
}

/// Finds a parameter of the query, as it stands there.
fn parameter<'a>(target: &'a Target, name: &str) -> Option<&'a str> {
    let mut pairs = target.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Reads from `to` where to go on: a path of this site, else its first page.
fn destination(target: &Target) -> String {
    let to = parameter(target, "to").map(|to| percent_decode_str(to).decode_utf8_lossy().into_owned());
    to.filter(|to| visitor::is_local(to)).unwrap_or_else(|| "/".to_owned())
}

/// Names a path of the gateway's own, and all that are none alike.
fn own_route(path: &str) -> &'static str {
    const ROUTES: [&str; 13] = [
        "/.vestibule/status",
        "/.vestibule/receipt",
        "/.vestibule/verify",
        "/.vestibule/live",
        "/.vestibule/jwks.json",
        "/.vestibule/language",
        "/.vestibule/draw",
        "/.vestibule/join",
        "/.vestibule/link",
        "/.vestibule/continue",
        "/.vestibule/bypass",
        "/.vestibule/leave",
        "/.vestibule/proof",
    ];
    let is_it = |route: &&&str| route.strip_prefix(OWN_PREFIX) == Some(path);
    ROUTES.iter().find(is_it).copied().unwrap_or("/.vestibule/*")
}

/// Tells of the draw that is to come, else of the last that was made.
fn draw_view(room: &Room, roll: &Roll, number: Option<Number>) -> Option<serde_json::Value> {
    if let Some(Pending { promise, above, closed }) = &roll.pending {
        let entries = closed.unwrap_or(roll.issued) - above;
        return Some(json!({
            "room": room.rules.name, "state": if closed.is_some() { "closed" } else { "open" }, "entries": entries,
            "commitment": hex::encode(promise.commitment), "public_value_of": promise.public_value,
            "first": above + 1, "last": closed, "number": number,
        }));
    }
    let made = roll.draws.last()?;
    let number = number.filter(|number| made.covers(*number));
    Some(json!({
        "room": room.rules.name, "state": "drawn", "entries": made.last + 1 - made.first,
        "commitment": hex::encode(made.reveal.commitment()), "seed": hex::encode(made.reveal.seed),
        "public_value": made.reveal.public_value, "first": made.first, "last": made.last,
        "number": number, "place": number.map(|number| roll.place(number)),
    }))
}
