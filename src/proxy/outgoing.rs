//! What is to go up: a visitor's request as the upstream may see it, as text where it can be, else for hyper.

use std::sync::Arc;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper::{HeaderMap, Request, Version};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::headers::{self, HEADERS_ADDED, Passage};
use super::pool::{Errand, Message};
use super::request_body::{RequestBody, Upload};
use super::text::Text;
use super::{Proxy, ProxyFault, Target, VisitorBody, trace};

/// A request made ready for the upstream, or what is wrong with it.
#[must_use = "it has yet to be sent"]
pub struct Outgoing(pub(super) Result<Ready, ProxyFault>);

pub(super) struct Ready {
    pub(super) errand: Errand,
    pub(super) asked: Option<Asked>,
    /// When its answer has to be over.
    pub(super) deadline: Option<Instant>,
}

/// Tells for how long a visitor may go on, as far as is known now; `None` when that is over.
pub type Stay = Box<dyn Fn() -> Option<Duration> + Send + Sync>;

/// The visitor's half of a WebSocket that was asked for, and its place among the tunnels.
pub(super) struct Asked {
    pub(super) down: OnUpgrade,
    pub(super) slot: OwnedSemaphorePermit,
    pub(super) stay: Option<Stay>,
}

impl Outgoing {
    /// Lets the WebSocket, if the request asks for one, last no longer than the visitor's stay.
    pub fn while_inside(&mut self, stay: impl FnOnce() -> Stay) {
        if let Ok(Ready { asked: Some(asked), .. }) = &mut self.0 {
            asked.stay = Some(stay());
        }
    }
}

impl Proxy {
    /// Makes an admitted request ready for the upstream. From now on its time runs, and nothing else is needed of it: who
    /// waits for the answer keeps no more than that.
    pub fn prepare(&self, request: Box<Request<VisitorBody>>, target: &Target, passage: &Passage<'_>) -> Outgoing {
        Outgoing(self.ready(request, target, passage))
    }

    fn ready(
        &self,
        mut request: Box<Request<VisitorBody>>,
        target: &Target,
        passage: &Passage<'_>,
    ) -> Result<Ready, ProxyFault> {
        let deadline = self.limits.whole_timeout.map(|whole| Instant::now() + whole);
        let asked = self.asked(&mut request)?;
        headers::drop_nominated(request.headers_mut());
        let (message, upload) = match request.body().at_hand() {
            Some(body) if self.takes_text && asked.is_none() => {
                if body.len() as u64 > self.limits.max_body_bytes {
                    return Err(ProxyFault::BodyTooLarge);
                }
                (Message::Text(Text::of(&request, body, target, passage, self.limits.trace_sampling)), None)
            }
            _ => self.message(*request, target, passage, asked.is_some())?,
        };
        let errand = Errand { message: Some(message), upload, is_upgrade: asked.is_some() };
        Ok(Ready { errand, asked, deadline })
    }

    /// Makes ready what is to go by hyper.
    fn message(
        &self,
        request: Request<VisitorBody>,
        target: &Target,
        passage: &Passage<'_>,
        websocket: bool,
    ) -> Result<(Message, Option<Arc<Upload>>), ProxyFault> {
        let (mut parts, body) = request.into_parts();
        let (body, upload) = RequestBody::new(body, self.limits.max_body_bytes)?;
        let mut up = HeaderMap::with_capacity(parts.headers.len() + HEADERS_ADDED);
        headers::pass_up(&parts.headers, target, passage, websocket, &mut up);
        trace::keep_or_begin(&parts.headers, self.limits.trace_sampling, rand::random, &mut up);
        (parts.headers, parts.uri, parts.version) = (up, target.to_uri(), Version::HTTP_11);
        parts.extensions.clear();
        Ok((Message::Request(Box::new(Request::from_parts(parts, body))), upload))
    }

    fn asked(&self, request: &mut Request<VisitorBody>) -> Result<Option<Asked>, ProxyFault> {
        if !headers::asks_for_websocket(request) {
            return Ok(None);
        }
        let slot = Arc::clone(&self.tunnels).try_acquire_owned().map_err(|_| ProxyFault::Overloaded)?;
        Ok(Some(Asked { down: hyper::upgrade::on(request), slot, stay: None }))
    }
}
