//! The layer: a request with a sound pass goes on, with the claims among its extensions; any other is answered here.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use crate::passes::{Passes, Unsound};

/// The header that the gateway, or the proxy that asked it, puts the pass in.
const HEADER: &str = "vestibule-pass";

/// Puts a check of the pass before a service.
#[derive(Clone)]
pub struct RequirePass {
    passes: Arc<Passes>,
}

impl RequirePass {
    /// Checks with `passes`, whose keys may be replaced meanwhile.
    #[must_use]
    pub const fn new(passes: Arc<Passes>) -> Self {
        Self { passes }
    }
}

impl<S> Layer<S> for RequirePass {
    type Service = PassService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        PassService { inner, passes: Arc::clone(&self.passes) }
    }
}

/// A service that only requests with a sound pass reach.
#[derive(Clone)]
pub struct PassService<S> {
    inner: S,
    passes: Arc<Passes>,
}

impl<S, Sent, Answered> Service<Request<Sent>> for PassService<S>
where
    S: Service<Request<Sent>, Response = Response<Answered>>,
    Answered: From<String>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Self::Response, Self::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Sent>) -> Self::Future {
        match self.check(&request) {
            Ok(claims) => {
                request.extensions_mut().insert(claims);
                Either::Left(self.inner.call(request))
            }
            Err(why) => Either::Right(ready(Ok(refusal(why)))),
        }
    }
}

impl<S> PassService<S> {
    fn check<Sent>(&self, request: &Request<Sent>) -> Result<crate::Claims, Unsound> {
        let mut shown = request.headers().get_all(HEADER).iter();
        match (shown.next().and_then(|pass| pass.to_str().ok()), shown.next()) {
            (Some(pass), None) => self.passes.check(pass),
            _ => Err(Unsound::NoPass),
        }
    }
}

fn refusal<Answered: From<String>>(why: Unsound) -> Response<Answered> {
    let body = format!(r#"{{"type":"/problems/no_pass","title":"No valid pass","status":401,"detail":"{why}"}}"#);
    let mut answer = Response::new(Answered::from(body));
    *answer.status_mut() = StatusCode::UNAUTHORIZED;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
