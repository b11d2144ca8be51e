//! The booking site and the lab's page, embedded: plain files, and one page for every address of the site itself.

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "../waiting-room-ui/booking-site"]
struct Files;

#[derive(RustEmbed)]
#[folder = "../waiting-room-ui/lab"]
struct LabFiles;

const INDEX: &str = "index.html";
const POLICY: &str =
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Between these stands what the site's page says of the lab.
const OF_THE_LAB: [&str; 2] = ["<!--lab-->", "<!--/lab-->"];

/// Returns a file of the site, or its one page for an address without a file extension; `None` when there is neither. The
/// page leads to the lab where there is one.
#[must_use]
pub fn answer(path: &str, headers: &HeaderMap, has_lab: bool) -> Option<Response<Body>> {
    let (name, mut file) = find(path.trim_start_matches('/'))?;
    let mut kind = "";
    if name == INDEX && !has_lab {
        (file.data, kind) = (without_lab(&String::from_utf8_lossy(&file.data)).into_bytes().into(), "-");
    }
    Some(respond(name, file, kind, headers))
}

fn without_lab(page: &str) -> String {
    let [begin, end] = OF_THE_LAB.map(|mark| page.find(mark).unwrap_or(page.len()));
    [&page[..begin], &page[end.max(begin)..]].concat()
}

/// Returns a file of the lab, which is below `/lab/`; `None` when there is no such file.
#[must_use]
pub fn lab(path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let wanted = path.trim_start_matches("/lab/");
    let name = if wanted.is_empty() { INDEX } else { wanted };
    Some(respond(name, LabFiles::get(name)?, "", headers))
}

/// Makes the answer; `kind` sets apart what is made of one file.
fn respond(name: &str, file: EmbeddedFile, kind: &str, headers: &HeaderMap) -> Response<Body> {
    let tag = format!("\"{}{kind}\"", hex::encode(&file.metadata.sha256_hash()[..12]));
    let known = headers.get(IF_NONE_MATCH).is_some_and(|seen| seen.as_bytes() == tag.as_bytes());
    let (status, body) = if known {
        (StatusCode::NOT_MODIFIED, Body::empty())
    } else {
        (StatusCode::OK, Body::from(file.data.into_owned()))
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    response
}

fn find(wanted: &str) -> Option<(&str, EmbeddedFile)> {
    let hidden = wanted.split('/').any(|part| part.starts_with('.'));
    if hidden {
        return None;
    }
    if let Some(file) = Files::get(wanted) {
        return Some((wanted, file));
    }
    let last = wanted.rsplit('/').next().unwrap_or_default();
    if last.contains('.') {
        return None;
    }
    Files::get(INDEX).map(|file| (INDEX, file))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json" | "webmanifest") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
