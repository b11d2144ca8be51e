//! Reading what people send, and saying which part of it is wrong.

use axum::body::{Bytes, HttpBody as _};
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value};

use super::problem::Problem;

/// The most a request's body may have.
const BODY_BYTES: usize = 16 * 1024;

/// What the extractor of a body returns.
pub(super) type Body = Result<Sent, Problem>;
/// What the extractor of a query returns; pairs, so that a key given twice is seen.
pub(super) type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

const KEY_HEADER: &str = "idempotency-key";

/// A body that came to its end, and was not too long.
pub(super) struct Sent(Bytes);

impl<S: Sync> FromRequest<S> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let body = request.into_body();
        if body.size_hint().lower() > BODY_BYTES as u64 {
            return Err(Problem::too_large());
        }
        match Limited::new(body, BODY_BYTES).collect().await {
            Ok(whole) => Ok(Self(whole.to_bytes())),
            Err(fault) if fault.is::<LengthLimitError>() => Err(Problem::too_large()),
            Err(_) => Err(Problem::malformed("the body ended early; send it again")),
        }
    }
}

/// The idempotency key, which must be there, once.
pub(super) struct Key(pub(super) String);

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        key(&parts.headers).map(Self)
    }
}

/// Returns the body, or says why there is none.
pub(super) fn bytes(body: Body) -> Result<Bytes, Problem> {
    body.map(|Sent(bytes)| bytes)
}

/// Reads a JSON object that has no fields but the known ones.
pub(super) fn object(body: Body, known: &[&str]) -> Result<Map<String, Value>, Problem> {
    let bytes = bytes(body)?;
    let value =
        serde_json::from_slice(&bytes).map_err(|error| Problem::malformed(format!("the body is not JSON: {error}")))?;
    let Value::Object(object) = value else {
        return Err(Problem::malformed("the body must be a JSON object"));
    };
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => {
            let short: String = unknown.chars().take(40).collect();
            Err(Problem::malformed(format!("unknown field {short:?}; known are {}", known.join(", "))))
        }
        None => Ok(object),
    }
}

/// Reads a field that must be text.
pub(super) fn text<'a>(object: &'a Map<String, Value>, field: &'static str) -> Result<&'a str, Problem> {
    match object.get(field) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Problem::field(field, "must be a string")),
        None => Err(Problem::field(field, "is missing")),
    }
}

/// Reads a query that has no keys but the known ones, each at most once.
pub(super) fn query(pairs: Pairs, known: &[&'static str]) -> Result<Map<String, Value>, Problem> {
    let Query(pairs) = pairs.map_err(|_| Problem::malformed("the query cannot be read; percent-encode it"))?;
    let mut read = Map::new();
    for (key, value) in pairs {
        let Some(&name) = known.iter().find(|&&name| name == key) else {
            return Err(Problem::malformed(format!("unknown query parameter; known are {}", known.join(", "))));
        };
        if read.insert(key, Value::String(value)).is_some() {
            return Err(Problem::field(name, "is given twice"));
        }
    }
    Ok(read)
}

fn key(headers: &HeaderMap) -> Result<String, Problem> {
    let mut values = headers.get_all(KEY_HEADER).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Problem::key_required());
    };
    let text = value.to_str().ok().map(str::trim).filter(|text| (1..=255).contains(&text.len()));
    let visible = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    visible.map(str::to_owned).ok_or_else(Problem::key_required)
}
