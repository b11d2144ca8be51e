//! The same request as HTTP/1.1 and as HTTP/2 write it.

use std::error::Error as _;

use hyper::header::{self, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme as UriScheme, Uri};
use hyper::{Request, Version};

use super::address::Scheme;

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dress {
    /// With a `Host`, and its target in origin form.
    Http1,
    /// With `:scheme` and `:authority`.
    Http2(Scheme),
}

impl Dress {
    /// Writes a request this way, whichever way it was written before.
    pub(super) fn put_on<B>(self, request: &mut Request<B>) {
        if self == Self::Http1 && request.version() == Version::HTTP_11 && request.uri().authority().is_none() {
            return name_te(request);
        }
        let host = match (request.headers_mut().remove(header::HOST), request.uri().authority()) {
            (Some(host), _) => Some(host),
            (None, Some(authority)) => HeaderValue::from_str(authority.as_str()).ok(),
            (None, None) => None,
        };
        let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        let authority = || host.as_ref()?.to_str().ok()?.parse::<Authority>().ok();
        match (self, &host) {
            (Self::Http2(scheme), _) => {
                *request.uri_mut() = absolute(scheme, authority(), path);
                *request.version_mut() = Version::HTTP_2;
                request.headers_mut().remove(header::CONNECTION);
            }
            (Self::Http1, host) => {
                *request.uri_mut() = Uri::from(path);
                *request.version_mut() = Version::HTTP_11;
                if let Some(host) = host {
                    request.headers_mut().insert(header::HOST, host.clone());
                }
                name_te(request);
            }
        }
    }
}

/// Names `TE` in `Connection`, as what is said of one hop only has to be (RFC 9110, section 10.1.4).
fn name_te<B>(request: &mut Request<B>) {
    if request.headers().contains_key(header::TE) {
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
}

fn absolute(scheme: Scheme, authority: Option<Authority>, path: PathAndQuery) -> Uri {
    let scheme = if scheme == Scheme::Https { UriScheme::HTTPS } else { UriScheme::HTTP };
    let Some(authority) = authority else { return Uri::from(path) };
    let built = Uri::builder().scheme(scheme).authority(authority).path_and_query(path.clone()).build();
    built.unwrap_or_else(|_| Uri::from(path))
}

/// Tells whether the upstream said that it has not looked at the request (RFC 9113, section 8.7).
pub(super) fn was_refused_unseen(error: &hyper::Error) -> bool {
    let told = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    told.is_some_and(|told| told.is_remote() && told.reason() == Some(h2::Reason::REFUSED_STREAM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written_both_ways_and_back() {
        let request = Request::get("/a?b=c").header(header::HOST, "shop.example:81");
        let mut request = request.header(header::TE, "trailers").body(()).unwrap();
        Dress::Http2(Scheme::Https).put_on(&mut request);
        assert_eq!(request.uri(), "https://shop.example:81/a?b=c");
        assert_eq!((request.headers().get(header::HOST), request.version()), (None, Version::HTTP_2));
        Dress::Http2(Scheme::H2c).put_on(&mut request);
        assert_eq!(request.uri(), "http://shop.example:81/a?b=c");
        Dress::Http1.put_on(&mut request);
        assert_eq!(request.headers()[header::CONNECTION], "te");
        Dress::Http2(Scheme::H2c).put_on(&mut request);
        assert!(!request.headers().contains_key(header::CONNECTION));
        Dress::Http1.put_on(&mut request);
        assert_eq!((request.uri().to_string().as_str(), request.version()), ("/a?b=c", Version::HTTP_11));
        assert_eq!(request.headers()[header::HOST], "shop.example:81");
    }
}
