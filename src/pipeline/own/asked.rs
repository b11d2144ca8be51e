//! The answer to a proxy that asks whether a request may pass (`auth_request`, `forwardAuth`, `ext_authz`).

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::super::renewing::with_renewal;
use super::super::{Asker, Pipeline, now_s, sign};
use crate::gate::{self, Decision};
use crate::proxy::Target;
use crate::respond::{self, Answer, Refused};
use crate::room::Room;
use crate::route::Route;
use crate::token::Ticket;
use crate::visitor::{self, CookieKind};

impl Pipeline {
    /// For proxies that ask whether a request may pass: they name it in `X-Original-*` or `X-Forwarded-*`
    /// headers, or its room in the query.
    pub(super) async fn verify(&self, request: &Request<Incoming>, target: &Target, asker: &Asker) -> Answer {
        let room = match self.named_room(target, self.original_room(request.headers(), target, asker)) {
            Ok(room) => room,
            Err(why) => return self.refuse(asker.reads, &Refused::Nonsense(&why)),
        };
        let now_ms = room.shared.clock.now_ms();
        let credentials = self.credentials(request.headers(), room, asker);
        let shows_page = target.query().is_some_and(|query| query.split('&').any(|pair| pair == "page=1"));
        let decision = room.view(|view| gate::decide(&credentials, view, now_ms));
        let renewal = self.renewal(request.headers(), room, decision.ticket());
        let answer = match decision {
            Decision::Admit(ticket, _) => respond::verified(passed(room, &ticket, credentials.pass)),
            Decision::Enter { ticket, ends_s } => self.verified_entering(room, &ticket, ends_s),
            Decision::Pass => respond::verified(HeaderMap::new()),
            held_up if shows_page => respond::withheld(self.show_why_not(room, held_up, request, target, asker).await),
            _ => self.refuse(asker.reads, &Refused::NoPass),
        };
        with_renewal(answer, renewal)
    }

    /// Shows what the visitor would see here who may not go on, and gives a place to whoever has none.
    async fn show_why_not(
        &self,
        room: &Room,
        held_up: Decision,
        request: &Request<Incoming>,
        target: &Target,
        asker: &Asker,
    ) -> Answer {
        match held_up {
            Decision::Wait(ticket, standing) => self.wait(room, &ticket, standing, asker),
            Decision::Join if visitor::can_join_through_proxy(request) => {
                match self.place(room, request.headers(), target, asker).await {
                    Ok(place) => self.show_place(room, place, asker),
                    Err(refusal) => refusal,
                }
            }
            Decision::Reject(refusal) => match self.held(room, request.headers(), asker).await {
                Some(place) => self.show_place(room, place, asker),
                None => self.turn_away(room, refusal, asker.reads),
            },
            _ => self.refuse(asker.reads, &Refused::NoPass),
        }
    }

    /// Shows a place that was just given, with its ticket.
    fn show_place(&self, room: &Room, (ticket, ends_s): (Ticket, Option<u64>), asker: &Asker) -> Answer {
        let mut answer = match ends_s {
            Some(ends_s) => self.show_entering(room, &ticket, ends_s, asker),
            None => self.show_waiting(room, &ticket, asker),
        };
        respond::set_cookie(&mut answer, &self.ticket_cookie(room, &ticket));
        answer
    }

    fn verified_entering(&self, room: &Room, ticket: &Ticket, ends_s: u64) -> Answer {
        let pass = sign(room, ticket, ends_s);
        let answer = respond::verified(passed(room, ticket, pass.as_deref()));
        self.with_pass(answer, room, pass.as_deref(), ends_s)
    }

    /// Shows the page that says "it is your turn" and goes on by itself, now with a pass.
    fn show_entering(&self, room: &Room, ticket: &Ticket, ends_s: u64, asker: &Asker) -> Answer {
        let pass = sign(room, ticket, ends_s);
        self.with_pass(self.show_waiting(room, ticket, asker), room, pass.as_deref(), ends_s)
    }

    fn with_pass(&self, mut answer: Answer, room: &Room, pass: Option<&str>, ends_s: u64) -> Answer {
        if let Some(pass) = pass {
            let max_age_s = ends_s.saturating_sub(now_s(room));
            respond::set_cookie(&mut answer, &self.cookie(room, CookieKind::Pass, pass, max_age_s));
        }
        answer
    }

    /// Finds the room of the request that a proxy asks about. What names it must come from the proxy
    /// alone: two that differ name nothing, and a host counts from a trusted proxy only.
    fn original_room(&self, headers: &HeaderMap, target: &Target, asker: &Asker) -> Option<String> {
        let names = ["x-original-uri", "x-forwarded-uri"];
        let mut uris = names.iter().flat_map(|name| headers.get_all(*name)).map(|value| value.to_str().ok());
        let uri = uris.next()??;
        if uris.any(|other| other != Some(uri)) {
            return None;
        }
        let is_trusted = self.site.trusted_proxies.contains(asker.peer);
        let forwarded = headers.get("x-forwarded-host").filter(|_| is_trusted).and_then(|host| host.to_str().ok());
        let host = forwarded.unwrap_or(target.host());
        let (parts, ()) = Request::builder().uri(uri).header(header::HOST, host).body(()).ok()?.into_parts();
        let original = Target::parse(&parts, self.scheme()).ok()?;
        match self.site.routes.find(original.host(), original.path()) {
            Route::Guarded(i) | Route::Bypass(i) => Some(self.site.rooms[i].rules.name.to_string()),
            Route::Open => None,
        }
    }
}

/// What a proxy may copy onto the request that it lets pass.
fn passed(room: &Room, ticket: &Ticket, pass: Option<&str>) -> HeaderMap {
    let id = ticket.id.to_string();
    let pairs = [
        ("vestibule-room", Some(room.rules.name.as_str())),
        ("vestibule-visitor", Some(id.as_str())),
        ("vestibule-pass", pass),
    ];
    let value = |text: &str| HeaderValue::from_str(text).ok();
    let mut headers: HeaderMap =
        pairs.into_iter().filter_map(|(name, text)| Some((HeaderName::from_static(name), value(text?)?))).collect();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers
}
