//! What is to be sent, and whether it may be sent again.

use std::sync::Arc;

use hyper::{Method, Request};

use crate::proxy::request_body::{RequestBody, Upload};

/// A request for the upstream, on its way through many hands: in a box, for else each would move all of it.
pub(in crate::proxy) struct Errand {
    /// Gone once it was sent; back if that failed and it may be sent again.
    pub(in crate::proxy) request: Option<Box<Request<RequestBody>>>,
    /// How its body does, where it has one.
    pub(in crate::proxy) upload: Option<Arc<Upload>>,
    /// Whether it asks for another protocol, which HTTP/1.1 alone can do.
    pub(in crate::proxy) is_upgrade: bool,
}

impl Errand {
    /// Says whether it can be written as a whole, and nothing but an answer comes of it.
    pub(super) fn is_plain(&self) -> bool {
        let body = self.request.as_ref().and_then(|request| request.body().at_hand());
        !self.is_upgrade && body.is_some()
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
