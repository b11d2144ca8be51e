//! The answer to a proxy that asks whether a request may pass (`auth_request`, `forwardAuth`, `ext_authz`).

use std::sync::Arc;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};

use super::super::renewing::with_renewal;
use super::super::{Asker, Pipeline, Proved, Visit, now_s, sign};
use super::parameter;
use crate::gate::{self, Decision};
use crate::proxy::{Target, VisitorBody};
use crate::respond::{self, Answer, Refused};
use crate::room::Room;
use crate::route::Route;
use crate::token::Ticket;
use crate::visitor::{self, CookieKind};

/// The request that a proxy asks about, as far as the proxy says.
struct Original {
    target: Target,
    method: Method,
    /// Whether the question names the header that says it, so that a visitor's own cannot.
    is_told: bool,
}

/// Names of the headers in which proxies say what was asked for.
const URI_HEADERS: [&str; 2] = ["x-original-uri", "x-forwarded-uri"];
const METHOD_HEADERS: [&str; 2] = ["x-original-method", "x-forwarded-method"];

impl Pipeline {
    /// For proxies that ask whether a request may pass: they name it in `X-Original-*` or `X-Forwarded-*`
    /// headers, or its room in the query.
    pub(super) async fn verify(self: Arc<Self>, Visit { request, target, asker }: Visit) -> Answer {
        let (request, target, asker) = (&request, &target, &asker);
        let original = self.original(request, target, asker);
        let route = original.as_ref().map(|original| self.route_of(original, request.headers()));
        let is_told = original.as_ref().is_some_and(|original| original.is_told);
        if is_told && matches!(route, Some(Route::Bypass(_) | Route::Open)) {
            return respond::verified(HeaderMap::new());
        }
        let of_route = match route {
            Some(Route::Guarded(i) | Route::Bypass(i)) => Some(self.site.rooms[i].rules.name.to_string()),
            _ => None,
        };
        match self.named_room(target, of_route) {
            Ok(room) => self.verify_in(room, original.as_ref(), request, target, asker).await,
            Err(why) => self.refuse(asker.reads, &Refused::Nonsense(&why)),
        }
    }

    /// Decides as the proxy of this gateway would, and in its order.
    async fn verify_in(
        &self,
        room: &Arc<Room>,
        original: Option<&Original>,
        request: &Request<VisitorBody>,
        target: &Target,
        asker: &Asker,
    ) -> Answer {
        let headers = request.headers();
        let method = &asked_method(request).unwrap_or_else(|| request.method().clone());
        let i = self.site.rooms.iter().position(|other| Arc::ptr_eq(other, room)).unwrap_or_default();
        if self.site.routes.lets_pass(i, asker.address) {
            return respond::verified(HeaderMap::new());
        }
        let now_ms = room.shared.clock.now_ms();
        let credentials = self.credentials(headers, room, asker);
        let shows_page = parameter(target, "page") == Some("1");
        let asked_for = original.map_or(target, |original| &original.target);
        let decision = room.view(|view| gate::decide(&credentials, view, now_ms));
        let renewal = self.renewal(headers, room, decision.ticket());
        let answer = match decision {
            Decision::Wait(..) | Decision::Join | Decision::Reject(_) if self.is_exempt(i, method, headers, asker) => {
                respond::verified(HeaderMap::new())
            }
            decision if self.is_sold_out(room, &decision, asked_for, room.board_ms()) => {
                let answer = self.sold_out(room, asker).answer().await;
                if shows_page { answer } else { respond::denied(answer) }
            }
            Decision::Admit(ticket, _) => respond::verified(passed(room, &ticket, credentials.pass)),
            Decision::Enter { ticket, ends_s } => self.verified_entering(room, &ticket, ends_s),
            Decision::Pass => respond::verified(HeaderMap::new()),
            held_up if shows_page => {
                respond::withheld(self.show_why_not(room, held_up, (request, method), asked_for, asker).await)
            }
            _ => self.refuse(asker.reads, &Refused::NoPass),
        };
        with_renewal(answer, renewal)
    }

    /// Shows what the visitor would see here who may not go on, and gives a place to whoever has none.
    async fn show_why_not(
        &self,
        room: &Room,
        held_up: Decision,
        (request, method): (&Request<VisitorBody>, &Method),
        asked_for: &Target,
        asker: &Asker,
    ) -> Answer {
        match held_up {
            Decision::Wait(ticket, standing) => self.wait(room, &ticket, standing, asker).answer(),
            Decision::Join if visitor::can_join(method, request.headers()) => {
                match self.place(room, request.headers(), asked_for, asker, Proved::No).await {
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

    fn route_of(&self, original: &Original, headers: &HeaderMap) -> Route {
        self.site.routes.find(original.target.host(), original.target.path(), &original.method, headers)
    }

    /// Reads what a proxy asks about. What names it must come from the proxy alone: of two headers that differ neither
    /// counts, where the question names one only that does, and a host counts from a trusted proxy only.
    fn original(&self, request: &Request<VisitorBody>, target: &Target, asker: &Asker) -> Option<Original> {
        let headers = request.headers();
        let named = parameter(target, "uri");
        let uri = match named {
            Some(name) => sole(headers, &[name])??,
            None => sole(headers, &URI_HEADERS)??,
        };
        let method = asked_method(request)?;
        let is_trusted = self.site.trusted_proxies.contains(asker.peer);
        let forwarded = headers.get("x-forwarded-host").filter(|_| is_trusted).and_then(|host| host.to_str().ok());
        let host = forwarded.unwrap_or(target.host());
        let described = Request::builder().method(method.clone()).uri(uri).header(header::HOST, host).body(()).ok()?;
        let target = Target::parse(&described, self.scheme()).ok()?;
        Some(Original { target, method, is_told: named.is_some() })
    }
}

/// Reads the method of the request that a proxy asks about, which may be that of the question; `None` where it is told in two
/// ways.
fn asked_method(request: &Request<VisitorBody>) -> Option<Method> {
    sole(request.headers(), &METHOD_HEADERS)?.map_or(Some(request.method().clone()), |name| name.parse().ok())
}

/// Reads what all headers of some names agree on: `None` where they differ or cannot be read, `Some(None)` where there is
/// none.
fn sole<'a>(headers: &'a HeaderMap, names: &[&str]) -> Option<Option<&'a str>> {
    let mut values = names.iter().flat_map(|name| headers.get_all(*name)).map(|value| value.to_str().ok());
    let Some(first) = values.next() else { return Some(None) };
    let is_agreed = first.is_some() && values.all(|other| other == first);
    is_agreed.then_some(first)
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
