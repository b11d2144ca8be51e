//! Which caches may keep an answer.

use hyper::header::{self, HeaderName, HeaderValue};

use super::Answer;

/// Where caches in front are told apart from the visitor's own: RFC 9213, and what was there before it.
pub(super) const FOR_SHARED: [HeaderName; 2] =
    [HeaderName::from_static("cdn-cache-control"), HeaderName::from_static("surrogate-control")];

/// Lets only the visitor's own browser keep an answer: a cache in front that shared it would let everybody past the line.
pub fn keep_from_shared_caches(answer: &mut Answer) {
    let headers = answer.headers_mut();
    let told = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let kept: Vec<&str> = told.flat_map(|line| line.split(',')).filter(|one| !is_for_all(one)).collect();
    let value = if kept.is_empty() { HeaderValue::from_static("private") } else { private(&kept.join(",")) };
    headers.insert(header::CACHE_CONTROL, value);
    for name in FOR_SHARED {
        headers.insert(name, HeaderValue::from_static("no-store"));
    }
}

/// Tells whether a directive of `Cache-Control` is about shared caches, or empty.
fn is_for_all(directive: &str) -> bool {
    let name = directive.trim().split('=').next().unwrap_or_default();
    ["", "public", "private", "s-maxage", "proxy-revalidate"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn private(directives: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("{}, private", directives.trim())).unwrap_or(HeaderValue::from_static("private"))
}
