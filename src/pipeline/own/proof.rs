//! What newcomers show before they get a place, in rooms that ask for it: work, or patience.

use std::sync::Arc;

use hyper::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::super::{Asker, OWN_PREFIX, Pipeline, Proved, Visit, sign};
use super::{destination, parameter};
use crate::gate::{self, Decision};
use crate::line::{Kind, Mark};
use crate::proxy::Target;
use crate::respond::{self, Answer, ProofAsked, Refused};
use crate::room::{JoinFault, Room};
use crate::token::proof::{self, Challenge, Shown, WorkRule};
use crate::visitor::CookieKind;
use crate::websocket;

/// All but letters, digits and what a path is made of.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

impl Pipeline {
    /// Takes what a page has found out, or the patience of somebody without a script, and gives a place for it.
    pub(super) async fn prove(self: Arc<Self>, Visit { request, target, asker }: Visit) -> Answer {
        let (target, asker) = (&target, &asker);
        if request.method() == hyper::Method::POST && !websocket::is_same_origin(&request, target.host()) {
            return self.refuse(asker.reads, &Refused::Origin);
        }
        let (parts, body) = request.into_parts();
        let room = match self.named_room(target, None) {
            Ok(room) => room,
            Err(why) => return self.refuse(asker.reads, &Refused::Nonsense(&why)),
        };
        let found = match self.read_body(body).await {
            Ok(form) => solution_of(&form),
            Err(why) => return self.refuse(asker.reads, &Refused::Nonsense(&why)),
        };
        let now_ms = room.shared.clock.now_ms();
        let credentials = self.credentials(&parts.headers, room, asker);
        let decision = room.view(|view| gate::decide(&credentials, view, now_ms));
        if !matches!(decision, Decision::Join) || self.is_sold_out(room, &decision, target, room.board_ms()) {
            // Whatever is to be said is said there.
            return respond::go_back(&destination(target));
        }
        let patience = parameter(target, "patience").filter(|_| self.site.patience_limit.allows(asker.address));
        match self.proved(room, found.as_deref(), patience).await {
            Ok(true) => self.place_after_proof(room, &parts.headers, target, asker).await,
            Ok(false) => self.ask_for_proof(room, target, asker),
            Err(fault) => self.refuse(asker.reads, &Refused::Join(&fault)),
        }
    }

    /// Tells whether a room asks for nothing, or what was shown is enough; then it is used.
    pub(super) async fn proved(
        &self,
        room: &Room,
        work: Option<&str>,
        patience: Option<&str>,
    ) -> Result<bool, JoinFault> {
        let Some(rule) = &room.rules.work else { return Ok(true) };
        let Some(shown) = check(room, rule, work, patience) else { return Ok(false) };
        let mark = Mark::of(Kind::Proof, &shown.id, shown.until_ms);
        room.use_once(&mark).await.map_err(JoinFault::Store)
    }

    /// Asks for a proof, and to come back with it to what was asked for.
    pub(in crate::pipeline) fn ask_for_proof(&self, room: &Room, target: &Target, asker: &Asker) -> Answer {
        let Some(rule) = &room.rules.work else { return self.refuse(asker.reads, &Refused::NoPass) };
        let (name, ring, now_ms) = (room.rules.name.as_str(), room.shared.ring.load(), room.shared.clock.now_ms());
        let challenge = Challenge::new(name, rule.difficulty, &ring, now_ms, &mut rand::rng());
        let patience = proof::ask_patience(name, rule.patience_s, &ring, now_ms, &mut rand::rng());
        let Some((challenge, patience)) = challenge.zip(patience) else {
            tracing::error!("the key ring has no root; rotate a key with `vestibule keys rotate` to give it one");
            return self.refuse(asker.reads, &Refused::NoPass);
        };
        let form = format!("{OWN_PREFIX}proof?room={name}&to={}", back_to(target));
        let patience = format!("{form}&patience={patience}");
        let asked = ProofAsked { challenge: &challenge, form: &form, patience: (&patience, rule.patience_s) };
        room.shared.metrics.refused.with_label_values(&[Refused::Proof.reason()]).inc();
        respond::ask_for_proof(&self.site.pages, asker.reads, &asked)
    }

    async fn place_after_proof(&self, room: &Room, headers: &HeaderMap, target: &Target, asker: &Asker) -> Answer {
        let (ticket, ends_s) = match self.place(room, headers, target, asker, Proved::Yes).await {
            Ok(place) => place,
            Err(refusal) => return refusal,
        };
        let mut answer = respond::go_back(&destination(target));
        respond::set_cookie(&mut answer, &self.ticket_cookie(room, &ticket));
        if let Some((pass, ends_s)) = ends_s.and_then(|ends_s| Some((sign(room, &ticket, ends_s)?, ends_s))) {
            let max_age_s = ends_s.saturating_sub(super::super::now_s(room));
            respond::set_cookie(&mut answer, &self.cookie(room, CookieKind::Pass, &pass, max_age_s));
        }
        answer
    }
}

fn check(room: &Room, rule: &WorkRule, work: Option<&str>, patience: Option<&str>) -> Option<Shown> {
    let (name, ring, now_ms) = (room.rules.name.as_str(), room.shared.ring.load(), room.shared.clock.now_ms());
    let worked = work.and_then(|text| proof::worked(text, name, rule.difficulty, &ring, now_ms));
    worked.or_else(|| proof::waited(patience?, name, &ring, now_ms))
}

/// Reads the solution from a page's form.
fn solution_of(form: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(form).ok()?.strip_prefix("altcha=")?;
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// Says in a query where to go on: to what was asked for, or, for a question to the gateway itself, to where that says.
fn back_to(target: &Target) -> String {
    let path = if target.path().starts_with(OWN_PREFIX) {
        destination(target)
    } else {
        let query = target.query().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{query}", target.path())
    };
    utf8_percent_encode(&path, RESERVED).to_string()
}
