//! The way up: an admitted request goes to its room's upstream, and what the upstream says is heard.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Body as _;

use super::{Asker, Entry, Handling, Pipeline, Visit, now_s};
use crate::proxy::{Outgoing, Passage, Proxy, ProxyFault, Target, UpstreamWord, UpstreamWords, VisitorBody};
use crate::respond::{self, Answer, Refused};
use crate::room::Room;
use crate::telemetry;
use crate::visitor::CookieKind;

/// A body of so many bytes comes along with its head.
const SMALL_BODY_BYTES: u64 = 16 * 1024;

/// What a log calls the room of requests that are of none.
const NO_ROOM: &str = "none";

impl Pipeline {
    pub(super) async fn forward(&self, i: usize, visit: Visit, entry: Option<Entry>) -> Answer {
        let room = &self.site.rooms[i];
        let Visit { request, target, asker } = visit;
        let visitor = entry.as_ref().map(|entry| entry.ticket.id.to_string());
        let passage = Passage {
            room: room.rules.name.as_str(),
            visitor: visitor.as_deref(),
            pass: entry.as_ref().map(|entry| entry.pass.as_str()),
            ..self.passage(&asker)
        };
        let age_s = entry.as_ref().map(|entry| now_s(room).saturating_sub(entry.since_s));
        let timer = room.counts.proxy_duration.start_timer();
        let is_upload = is_upload(&request);
        let mut outgoing = self.proxies[i].prepare(request, &target, &passage);
        if let Some(Entry { ticket, ends_s, .. }) = &entry {
            let (ticket, ends_s) = (*ticket, *ends_s);
            outgoing.while_inside(|| {
                let room = Arc::clone(room);
                Box::new(move || room.stay(&ticket, ends_s))
            });
        }
        let answer = self.ask(i, outgoing, age_s, is_upload).await;
        timer.observe_duration();
        let mut answer = self.answered_by(i, answer, &asker);
        room.counts.forwarded(answer.status().as_u16());
        if entry.is_some() {
            respond::keep_from_shared_caches(&mut answer);
        }
        if let Some(cookie) = entry.as_ref().and_then(|entry| entry.cookie.as_deref()) {
            respond::set_cookie(&mut answer, cookie);
        }
        self.hear(room, &target, entry.as_ref(), &mut answer);
        answer
    }

    /// Forwards what needs no pass, whoever asks.
    pub(super) fn bypass(self: &Arc<Self>, i: usize, visit: Visit) -> Handling {
        self.later(visit, async move |pipeline, visit| pipeline.forward_without_entry(i, visit).await)
    }

    /// Forwards what needs a pass for somebody who needs none: what a cache kept of it, everybody could have.
    pub(super) fn exempt(self: &Arc<Self>, i: usize, visit: Visit) -> Handling {
        self.later(visit, async move |pipeline, visit| {
            let mut answer = pipeline.forward_without_entry(i, visit).await;
            respond::keep_from_shared_caches(&mut answer);
            answer
        })
    }

    async fn forward_without_entry(&self, i: usize, visit: Visit) -> Answer {
        let Visit { request, target, asker } = visit;
        let is_upload = is_upload(&request);
        let outgoing = self.proxies[i].prepare(request, &target, &self.passage(&asker));
        let answer = self.ask(i, outgoing, None, is_upload).await;
        let mut answer = self.answered_by(i, answer, &asker);
        self.hear(&self.site.rooms[i], &target, None, &mut answer);
        answer
    }

    /// Forwards a request to a room's upstream, and notes how that does.
    async fn ask(
        &self,
        i: usize,
        outgoing: Outgoing,
        age_s: Option<u64>,
        is_upload: bool,
    ) -> Result<Answer, ProxyFault> {
        let asked = self.site.rooms[i].health.ask(age_s, is_upload);
        let answer = self.proxies[i].send(outgoing).await;
        match &answer {
            Ok(answer) => asked.answered(answer.status()),
            Err(fault) => asked.failed(fault),
        }
        answer
    }

    /// Forwards a request that belongs to no room.
    pub(super) fn forward_plain(self: &Arc<Self>, visit: Visit) -> Handling {
        let Visit { request, target, asker } = visit;
        let Some(proxy) = &self.open else { return self.refuse(asker.reads, &Refused::NotFound).into() };
        let outgoing = proxy.prepare(request, &target, &self.passage(&asker));
        let (pipeline, proxy) = (Arc::clone(self), Arc::clone(proxy));
        Handling::Later(Box::pin(async move {
            let answer = proxy.send(outgoing).await;
            pipeline.answered(answer, &asker, (NO_ROOM, &proxy))
        }))
    }

    fn answered_by(&self, i: usize, answer: Result<Answer, ProxyFault>, asker: &Asker) -> Answer {
        self.answered(answer, asker, (self.site.rooms[i].rules.name.as_str(), &self.proxies[i]))
    }

    fn answered(&self, answer: Result<Answer, ProxyFault>, asker: &Asker, (room, proxy): (&str, &Proxy)) -> Answer {
        let mut answer = answer.unwrap_or_else(|fault| {
            let upstream = proxy.addresses();
            let request = asker.id;
            tracing::warn!(%fault, %request, %room, %upstream, "a request was not answered by the upstream");
            self.refuse(asker.reads, &Refused::Upstream(&fault))
        });
        telemetry::answered(&asker.span, answer.status(), true);
        respond::name_request(&mut answer, asker.id);
        answer
    }

    /// Takes in what the upstream says to the gateway.
    fn hear(&self, room: &Room, target: &Target, entry: Option<&Entry>, answer: &mut Answer) {
        let Some(UpstreamWords(words)) = answer.extensions_mut().remove::<UpstreamWords>() else { return };
        let or_path = |key: Option<String>| key.unwrap_or_else(|| target.path().to_owned());
        let now_ms = room.board_ms();
        let is_of_this_line =
            |entry: &&Entry| room.mirror.read(|roll| roll.covers(entry.ticket.epoch, entry.ticket.number));
        for word in words {
            match word {
                UpstreamWord::SoldOut { key, ttl_seconds, version } => {
                    room.sold_out.mark(&or_path(key), Some(u64::from(ttl_seconds) * 1_000), version, now_ms);
                }
                UpstreamWord::OnSale { key, version } => {
                    room.sold_out.clear(&or_path(key), version, now_ms);
                }
                UpstreamWord::Stock { key, available } => room.sold_out.set_stock(&or_path(key), available),
                UpstreamWord::EndSession => {
                    if let Some(entry) = entry.filter(is_of_this_line) {
                        room.end_session(entry.ticket.number, entry.ends_s);
                        respond::set_cookie(answer, &self.cookie(room, CookieKind::Pass, "", 0));
                    }
                }
                // Until the line says that the session goes on, no pass does.
                UpstreamWord::RenewSession => {
                    if let Some(entry) = entry.filter(is_of_this_line) {
                        room.renew_session(entry.ticket.number);
                    }
                }
            }
        }
    }
}

/// Tells whether the body is so large that sending it takes the visitor a while.
fn is_upload(request: &Request<VisitorBody>) -> bool {
    request.body().size_hint().upper().is_none_or(|bytes| bytes > SMALL_BODY_BYTES)
}
