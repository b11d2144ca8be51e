//! What is to be sent, and whether it may be sent again.

use std::sync::Arc;

use hyper::{HeaderMap, Method, Request};
use tracing::Span;

use crate::proxy::request_body::{RequestBody, Upload};
use crate::proxy::text::Text;
use crate::telemetry;

/// What an upstream is asked, and how that does.
pub(in crate::proxy) struct Errand {
    /// Gone once it was sent; back if that failed and it may be sent again.
    pub(in crate::proxy) message: Option<Message>,
    /// How its body does, where it has one that is not at hand.
    pub(in crate::proxy) upload: Option<Arc<Upload>>,
    /// Whether it asks for another protocol, which HTTP/1.1 alone can do.
    pub(in crate::proxy) is_upgrade: bool,
}

/// A request for the upstream.
pub(in crate::proxy) enum Message {
    /// As a wire sends it.
    Text(Text),
    /// As hyper does. In a box, for else each of the many hands it goes through would move all of it.
    Request(Box<Request<RequestBody>>),
}

impl Message {
    pub(in crate::proxy) fn method(&self) -> &Method {
        match self {
            Self::Text(text) => text.method(),
            Self::Request(request) => request.method(),
        }
    }

    /// Says of which trace it is part, where a span is part of one.
    pub(in crate::proxy) fn belong(&mut self, span: &Span) {
        match self {
            _ if span.is_disabled() => {}
            Self::Text(text) => {
                let mut trace = HeaderMap::new();
                if telemetry::pass_on(span, &mut trace) {
                    text.retell(&trace);
                }
            }
            Self::Request(request) => drop(telemetry::pass_on(span, request.headers_mut())),
        }
    }
}

pub(super) const fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

pub(super) fn copy_head(request: &Request<RequestBody>) -> Box<Request<RequestBody>> {
    let mut copy = Box::new(Request::new(RequestBody::empty()));
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    *copy.version_mut() = request.version();
    copy
}
