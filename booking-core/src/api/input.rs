//! Reading what people send, and saying which part of it is wrong.

use axum::body::Bytes;
use axum::extract::Query;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use super::problem::Problem;

/// What the extractor of a body returns.
pub(super) type Body = Result<Bytes, BytesRejection>;
/// What the extractor of a query returns; pairs, so that a key given twice is seen.
pub(super) type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

const KEY_HEADER: &str = "idempotency-key";

/// Returns the body, or says why there is none.
pub(super) fn bytes(body: Body) -> Result<Bytes, Problem> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
        _ => Problem::malformed("the body ended early; send it again"),
    })
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

/// Reads the idempotency key, which must be there, once.
pub(super) fn key(headers: &HeaderMap) -> Result<String, Problem> {
    let mut values = headers.get_all(KEY_HEADER).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Problem::key_required());
    };
    let text = value.to_str().ok().map(str::trim).filter(|text| (1..=255).contains(&text.len()));
    let visible = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    visible.map(str::to_owned).ok_or_else(Problem::key_required)
}
