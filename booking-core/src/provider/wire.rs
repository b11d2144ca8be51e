//! A small HTTP client for providers: bounded answers, a deadline for each call, and JSON.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use thiserror::Error;
use tracing::Instrument as _;
use vestibule_telemetry::{answered as answered_with, failed, pass_on};

use super::ProviderFault;
use crate::telemetry;

/// The most an answer may have; a page of a list is the longest.
const ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// The header by which Stripe tells that it repeats an answer.
const REPEATED: &str = "idempotent-replayed";

/// Connections that are kept for the next call. A crowd that pays makes its calls at once, and opening a connection costs
/// more than a call.
const IDLE: usize = 256;

/// Says what is wrong with a provider's address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadAddress {
    /// It is not a base URL.
    #[error("payments.provider_url {0:?}: write it as https://HOST or http://HOST:PORT, without a path")]
    Url(String),
    /// The key has characters that no header may have.
    #[error("payments.provider_key has characters that a header cannot carry")]
    Key,
    /// The system has no certificates to check a provider's by.
    #[error(
        "this system has no certificate store to check the provider's certificate by: {0}; install ca-certificates"
    )]
    Certificates(String),
}

/// Calls one provider. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Wire {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    key: Option<String>,
    patience: Duration,
}

/// Is one call.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The method.
    pub method: Method,
    /// The path and query.
    pub path: String,
    /// Its idempotency key.
    pub key: Option<String>,
    /// What the body is.
    pub content_type: &'a str,
    /// The body.
    pub body: Vec<u8>,
}

impl Call<'_> {
    /// Makes a call without a body.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), key: None, content_type: "", body: Vec::new() }
    }
}

/// Is an answer as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    status: StatusCode,
    /// Whether it is what was answered first under the same key, and nothing was done now.
    is_repeated: bool,
    /// What was asked.
    what: String,
    body: Bytes,
}

impl Answer {
    /// Returns the status and the answer, which must be JSON.
    ///
    /// # Errors
    /// [`ProviderFault`] when it is not JSON, or the provider's own fault (5xx).
    pub fn believed(self) -> Result<(StatusCode, Value), ProviderFault> {
        let Self { status, what, body, .. } = self;
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(ProviderFault(format!("{what}: it answered {status}")));
        }
        let json = serde_json::from_slice(&body);
        Ok((status, json.map_err(|_| ProviderFault(format!("{what}: an answer that is not JSON")))?))
    }

    /// Tells whether the provider repeats a fault it had before: it will do so for as long as it remembers the key.
    #[must_use]
    pub fn repeats_a_fault(&self) -> bool {
        self.is_repeated && self.status.is_server_error()
    }
}

impl Wire {
    /// Opens a client for a base URL; `key` goes with every call as a bearer token, and no call waits longer than
    /// `patience`.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn new(base: &str, key: Option<&str>, patience: Duration) -> Result<Self, BadAddress> {
        let base = base.trim_end_matches('/');
        let bad = || BadAddress::Url(base.to_owned());
        let uri: Uri = base.parse().map_err(|_| bad())?;
        let known = matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some();
        if !known || uri.path() != "/" || uri.query().is_some() {
            return Err(bad());
        }
        if key.is_some_and(|key| key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(BadAddress::Key);
        }
        let connector = connector(uri.scheme_str() == Some("https"))?;
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(IDLE).build(connector);
        Ok(Self { client, base: base.to_owned(), key: key.map(str::to_owned), patience })
    }

    /// Makes a call; returns the status and the answer, which must be JSON.
    ///
    /// # Errors
    /// [`ProviderFault`] when there is no answer in time, it is too long, not JSON, or the provider's own fault (5xx).
    pub async fn call(&self, call: Call<'_>) -> Result<(StatusCode, Value), ProviderFault> {
        self.call_with(call, &[]).await
    }

    /// As [`Wire::call`], with more headers.
    ///
    /// # Errors
    /// As [`Wire::call`].
    pub async fn call_with(
        &self,
        call: Call<'_>,
        headers: &[(&str, &str)],
    ) -> Result<(StatusCode, Value), ProviderFault> {
        self.ask(call, headers).await?.believed()
    }

    /// Makes a call, and returns the answer as it came.
    ///
    /// # Errors
    /// [`ProviderFault`] when there is no answer in time, or it is too long.
    pub async fn ask(&self, call: Call<'_>, headers: &[(&str, &str)]) -> Result<Answer, ProviderFault> {
        let what = format!("{} {}", call.method, call.path.split('?').next().unwrap_or_default());
        let fault = |detail: &dyn std::fmt::Display| ProviderFault(format!("{what}: {detail}"));
        let mut request = self.request(call, headers).map_err(|error| fault(&error))?;
        let span = telemetry::call(request.method(), request.uri().host().unwrap_or_default());
        pass_on(&span, request.headers_mut());
        let exchange = tokio::time::timeout(self.patience, self.exchange(request)).instrument(span.clone());
        let answered = exchange.await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        let answer = answered.inspect_err(|detail| failed(&span, detail)).map_err(|detail| fault(&detail))?;
        let (status, is_repeated, body) = answer;
        answered_with(&span, status, true);
        Ok(Answer { status, is_repeated, what, body })
    }

    fn request(&self, call: Call<'_>, headers: &[(&str, &str)]) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let mut request = Request::builder().method(call.method).uri(format!("{}{}", self.base, call.path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key);
        }
        if !call.content_type.is_empty() {
            request = request.header(CONTENT_TYPE, call.content_type);
        }
        request.body(Full::from(call.body))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, bool, Bytes), String> {
        let answer = self.client.request(request).await.map_err(|error| error.to_string())?;
        let (status, is_repeated) =
            (answer.status(), answer.headers().get(REPEATED).is_some_and(|value| value == "true"));
        let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await.map_err(|error| error.to_string())?;
        Ok((status, is_repeated, body.to_bytes()))
    }
}

/// Returns a connector; the system's certificates are only read when they are needed.
fn connector(encrypted: bool) -> Result<HttpsConnector<HttpConnector>, BadAddress> {
    let broken = |error: &dyn std::fmt::Display| BadAddress::Certificates(error.to_string());
    let builder = HttpsConnectorBuilder::new();
    let cryptography = rustls::crypto::aws_lc_rs::default_provider();
    if encrypted {
        let trusting = builder.with_provider_and_native_roots(cryptography).map_err(|error| broken(&error))?;
        return Ok(trusting.https_only().enable_http1().build());
    }
    let plain = ClientConfig::builder_with_provider(Arc::new(cryptography))
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(&error))?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Ok(builder.with_tls_config(plain).https_or_http().enable_http1().build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_base_and_nothing_more() {
        let new = |base| Wire::new(base, None, Duration::from_secs(1)).map(drop);
        for good in ["http://127.0.0.1:1", "http://127.0.0.1:1/", "http://bank.example"] {
            assert_eq!(new(good), Ok(()), "{good}");
        }
        for bad in ["", "bank.example", "ftp://bank.example", "http://bank.example/v1", "http://bank.example/?a=b"] {
            assert!(matches!(new(bad), Err(BadAddress::Url(_))), "{bad}");
        }
        let keyed = Wire::new("http://127.0.0.1:1", Some("a\nb"), Duration::from_secs(1)).map(drop);
        assert_eq!(keyed, Err(BadAddress::Key));
    }
}
