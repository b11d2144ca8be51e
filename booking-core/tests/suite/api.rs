//! The API over a real socket: the whole way, the headers for the gateway, and nonsense in every field.

use std::sync::Arc;
use std::time::Duration;

use booking_core::clock::{Clock, ManualClock, SystemClock};
use booking_core::domain::moment::Moment;
use booking_core::provider::signature::sign;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::database::{Database, on_both};
use crate::world::{NOON, PATIENCE, SECRET, Site, row, site_config};

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{problem}");
        let name = problem["type"].as_str().unwrap().trim_start_matches("/problems/").to_owned();
        (self.status.as_u16(), name)
    }
}

impl Site {
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        self.send_to(&self.base, method, path, headers, body).await
    }

    pub async fn send_to(
        &self,
        base: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{base}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let answer = client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub async fn hold(&self, key: &str, quantity: u32) -> Answer {
        let body = json!({"inventory": row(), "quantity": quantity}).to_string();
        self.send(Method::POST, &format!("/api/holds?inventory={}", row()), &[("idempotency-key", key)], body).await
    }

    pub async fn pay(&self, hold: &Value, key: &str, method: &str) -> Answer {
        let path = format!("/api/holds/{}/payments", hold["id"].as_str().unwrap());
        let body = json!({"method": method}).to_string();
        self.send(Method::POST, &path, &[("idempotency-key", key)], body).await
    }
}

pub async fn site(db: &Database, seats: u32) -> Site {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOON));
    Site::open(site_config(db, seats), clock).await
}

on_both! {
    async fn somebody_searches_holds_pays_and_has_a_booking(db: Database) {
        let site = site(&db, 5).await;
        let found = site.get("/api/trains?from=MMCT&to=NDLS&date=2026-11-23").await.json();
        let train = found["trains"].as_array().unwrap().iter().find(|t| t["number"] == "12951").unwrap().clone();
        let class = train["classes"].as_array().unwrap().iter().find(|c| c["class"] == "3A").unwrap().clone();
        assert_eq!((&class["inventory"], &class["available"]), (&json!(row()), &json!(5)));
        assert_eq!(class["as_of"], json!(NOON.as_ms()));

        let answer = site.hold("k1", 2).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        assert_eq!(answer.header("vestibule-stock"), Some("12951:2026-11-23:3A=3"));
        assert_eq!(answer.header("vestibule-sold-out"), None);
        assert_eq!(answer.header("vestibule-renew-session"), Some("1"), "who has to pay is to stay inside");
        let held = answer.json();
        assert_eq!((&held["status"], &held["quantity"]), (&json!("held"), &json!(2)));
        assert_eq!((&held["train"]["number"], &held["train"]["name"]), (&json!("12951"), &train["name"]));
        assert_eq!(held["expires_at"].as_i64().unwrap() - held["now"].as_i64().unwrap(), 300_000);
        let again = site.hold("k1", 2).await;
        assert_eq!((again.status, again.header("idempotency-hit")), (StatusCode::CREATED, Some("true")));
        assert_eq!(again.json()["id"], held["id"]);

        assert_eq!(site.pay(&held, "p1", "sim_declined").await.problem(), (402, "payment_declined".to_owned()));
        let paid = site.pay(&held, "p2", "sim_ok").await;
        assert_eq!(paid.status, StatusCode::CREATED, "{}", paid.text);
        let replay = site.pay(&held, "p2", "sim_ok").await;
        assert_eq!((replay.status, replay.header("idempotency-hit")), (StatusCode::CREATED, Some("true")));
        let reference = paid.json()["booking"].as_str().unwrap().to_owned();
        let booking = site.get(&format!("/api/bookings/{reference}")).await.json();
        assert_eq!((&booking["status"], &booking["quantity"]), (&json!("confirmed"), &json!(2)));
        let read = site.get(&format!("/api/holds/{}", held["id"].as_str().unwrap())).await.json();
        assert_eq!((&read["status"], &read["booking"]), (&json!("confirmed"), &json!(reference)));
        let payment = site.get(&format!("/api/payments/{}", paid.json()["id"].as_str().unwrap())).await.json();
        assert_eq!(payment["status"], "kept");
        assert_eq!(site.service.store().books().await.unwrap().faults(), Vec::<String>::new());
        site.close().await;
    }
}

on_both! {
    async fn the_gateway_is_told_what_is_sold_out_and_what_came_back(db: Database) {
        let site = site(&db, 3).await;
        let last = site.hold("k1", 3).await;
        assert_eq!(last.header("vestibule-sold-out"), Some("12951:2026-11-23:3A; ttl=30; version=1"));
        let refused = site.hold("k2", 1).await;
        assert_eq!(refused.problem(), (409, "sold_out".to_owned()));
        assert_eq!(refused.header("vestibule-sold-out"), Some("12951:2026-11-23:3A; ttl=30; version=1"));
        assert_eq!(refused.header("vestibule-stock"), Some("12951:2026-11-23:3A=0"));
        let shown = site.get(&format!("/api/inventory/{}", row())).await;
        assert_eq!((&shown.json()["available"], &shown.json()["capacity"]), (&json!(0), &json!(3)));
        assert_eq!(shown.header("vestibule-sold-out"), Some("12951:2026-11-23:3A; ttl=30; version=1"));
        let id = last.json()["id"].as_str().unwrap().to_owned();
        let cancelled = site.send(Method::DELETE, &format!("/api/holds/{id}"), &[], "").await;
        assert_eq!((cancelled.status, &cancelled.json()["status"]), (StatusCode::OK, &json!("cancelled")));
        assert_eq!(cancelled.header("vestibule-on-sale"), Some("12951:2026-11-23:3A; version=2"));
        assert_eq!(cancelled.header("vestibule-stock"), Some("12951:2026-11-23:3A=3"));
        let again = site.send(Method::DELETE, &format!("/api/holds/{id}"), &[], "").await;
        assert_eq!((again.status, again.header("vestibule-on-sale")), (StatusCode::OK, None));
        let replayed = site.hold("k1", 3).await;
        assert_eq!(replayed.header("vestibule-renew-session"), None, "nothing is held any more: {}", replayed.text);
        let few = site.hold("k3", 2).await;
        assert_eq!(few.status, StatusCode::CREATED);
        let more = site.hold("k4", 2).await;
        assert_eq!(more.problem(), (409, "sold_out".to_owned()));
        assert_eq!(more.header("vestibule-sold-out"), None, "one seat is left, so others may still ask");
        site.close().await;
    }
}

#[tokio::test]
async fn a_lapsed_hold_is_on_sale_again_with_the_reapers_next_pass() {
    assert!(booking_core::reaper::PERIOD <= Duration::from_millis(500), "two passes fit into a second");
    let db = Database::sqlite();
    let clock = Arc::new(ManualClock::at(NOON));
    let site = Site::open(site_config(&db, 1), Arc::clone(&clock) as _).await;
    let held = site.hold("k1", 1).await.json();
    clock.advance_ms(300_000 - 12_000);
    assert_eq!(site.hold("k2", 1).await.header("vestibule-sold-out"), Some("12951:2026-11-23:3A; ttl=12; version=1"));
    clock.advance_ms(12_000);
    let came_back = async {
        while site.hold("k2", 1).await.status != StatusCode::CREATED {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, came_back).await.expect("the reaper passes by");
    let read = site.get(&format!("/api/holds/{}", held["id"].as_str().unwrap())).await.json();
    assert_eq!(read["status"], "expired");
    assert_eq!(site.pay(&held, "p", "sim_ok").await.problem(), (409, "hold_expired".to_owned()));
    site.close().await;
}

#[tokio::test]
async fn a_webhook_is_believed_only_when_it_is_signed() {
    let db = Database::sqlite();
    let site = site(&db, 1).await;
    let body =
        r#"{"type":"payment.failed","payment":"00000000-0000-0000-0000-000000000001","charge":"ch_1","reason":"x"}"#;
    let post = async |signature: &str| {
        let headers = [("vestibule-provider-signature", signature)];
        site.send(Method::POST, "/api/payments/webhook", &headers, body).await.problem()
    };
    assert_eq!(post("").await, (401, "webhook_refused".to_owned()));
    assert_eq!(post(&sign(b"wrong", NOON, body.as_bytes())).await, (401, "webhook_refused".to_owned()));
    let old = Moment::from_ms(NOON.as_ms() - 400_000);
    assert_eq!(post(&sign(SECRET.as_bytes(), old, body.as_bytes())).await, (401, "webhook_refused".to_owned()));
    assert_eq!(post(&sign(SECRET.as_bytes(), NOON, body.as_bytes())).await, (404, "not_found".to_owned()));
    site.close().await;
}

#[tokio::test]
async fn nonsense_in_every_field_is_answered_with_what_would_be_right() {
    let db = Database::sqlite();
    let site = site(&db, 5).await;
    let long = "x".repeat(300);
    let holds: Vec<(&str, String, u16, &str)> = [
        ("", 400, "malformed"),
        ("[]", 400, "malformed"),
        ("{", 400, "malformed"),
        ("\u{0}", 400, "malformed"),
        (r#"{"inventory":"12951:2026-11-23:3A","quantity":1,"discount":100}"#, 400, "malformed"),
        (r#"{"quantity":1}"#, 422, "invalid_field"),
        (r#"{"inventory":"12951:2026-11-23:3A"}"#, 422, "invalid_field"),
        (r#"{"inventory":17,"quantity":1}"#, 422, "invalid_field"),
        (r#"{"inventory":"12951","quantity":1}"#, 422, "invalid_field"),
        (r#"{"inventory":"12951:2026-02-30:3A","quantity":1}"#, 422, "invalid_field"),
        (r#"{"inventory":"12951:2026-11-23:9Z","quantity":1}"#, 422, "invalid_field"),
        (r#"{"inventory":"12951:2026-11-23:3A","quantity":0}"#, 422, "invalid_field"),
        (r#"{"inventory":"12951:2026-11-23:3A","quantity":-1}"#, 422, "invalid_field"),
        (r#"{"inventory":"12951:2026-11-23:3A","quantity":1.5}"#, 422, "invalid_field"),
        (r#"{"inventory":"12951:2026-11-23:3A","quantity":"2"}"#, 422, "invalid_field"),
        (r#"{"inventory":"12951:2026-11-23:3A","quantity":7}"#, 422, "invalid_field"),
        (r#"{"inventory":"12951:2026-11-23:3A","quantity":4294967295}"#, 422, "invalid_field"),
        (r#"{"inventory":"12951:2026-11-23:3A","quantity":1e30}"#, 422, "invalid_field"),
        (r#"{"inventory":"12951:2026-11-23:3A","seats":["B2-14"]}"#, 422, "invalid_field"),
        (r#"{"inventory":"99999:2026-11-23:3A","quantity":1}"#, 404, "not_on_sale"),
        (r#"{"inventory":"12951:2026-11-23:SL","quantity":1}"#, 404, "not_on_sale"),
        (r#"{"inventory":"12951:2026-11-20:3A","quantity":1}"#, 422, "not_on_sale"),
        (r#"{"inventory":"12951:2027-11-20:3A","quantity":1}"#, 422, "not_on_sale"),
        (r#"{"inventory":"22436:2026-11-23:CC","quantity":1}"#, 422, "not_on_sale"),
    ]
    .map(|(body, status, name)| ("/api/holds", body.to_owned(), status, name))
    .into();
    let good = r#"{"inventory":"12951:2026-11-23:3A","quantity":1}"#.to_owned();
    let nobody = "/api/holds/00000000-0000-0000-0000-000000000000/payments";
    let more = [
        ("/api/holds?inventory=12951:2026-11-24:3A", good.clone(), 422, "invalid_field"),
        ("/api/holds?inventory=a&inventory=b", good.clone(), 422, "invalid_field"),
        ("/api/holds?nonsense=1", good.clone(), 400, "malformed"),
        ("/api/holds", format!("{{\"inventory\":\"{}\"}}", "x".repeat(20_000)), 413, "too_large"),
        (nobody, r#"{"method":"sim_ok"}"#.to_owned(), 404, "not_found"),
        (nobody, r#"{"method":"gold"}"#.to_owned(), 422, "invalid_field"),
        (nobody, r#"{"method":1}"#.to_owned(), 422, "invalid_field"),
        (nobody, "{}".to_owned(), 422, "invalid_field"),
        ("/api/holds/not-an-id/payments", r#"{"method":"sim_ok"}"#.to_owned(), 404, "not_found"),
    ];
    for (path, body, status, name) in holds.into_iter().chain(more) {
        let answer = site.send(Method::POST, path, &[("idempotency-key", "k")], body.clone()).await;
        assert_eq!(answer.problem(), (status, name.to_owned()), "{path} {body:.80} {}", answer.text);
    }
    for key in [None, Some(""), Some("with space"), Some(long.as_str())] {
        let headers: Vec<(&str, &str)> = key.iter().map(|key| ("idempotency-key", *key)).collect();
        let answer = site.send(Method::POST, "/api/holds", &headers, good.clone()).await;
        assert_eq!(answer.problem(), (400, "idempotency_key_required".to_owned()), "{key:?}");
    }
    assert_eq!(site.service.store().books().await.unwrap().open_holds, 0, "none of it held a seat");
    site.close().await;
}

#[tokio::test]
async fn addresses_that_lead_nowhere_say_so() {
    let db = Database::sqlite();
    let site = site(&db, 5).await;
    for (path, status, name) in [
        ("/api/trains", 422, "invalid_field"),
        ("/api/trains?from=ZZQQ&to=NDLS&date=2026-11-23", 422, "invalid_field"),
        ("/api/trains?from=NDLS&to=NDLS&date=2026-11-23", 422, "invalid_field"),
        ("/api/trains?from=MMCT&to=NDLS&date=tomorrow", 422, "invalid_field"),
        ("/api/trains?from=MMCT&to=NDLS&date=2026-11-20", 422, "not_on_sale"),
        ("/api/trains?from=MMCT&to=NDLS&date=2028-01-01", 422, "not_on_sale"),
        ("/api/trains?from=%FF&to=NDLS&date=2026-11-23", 422, "invalid_field"),
        ("/api/stations", 422, "invalid_field"),
        ("/api/stations?q=", 422, "invalid_field"),
        ("/api/inventory/nonsense", 404, "not_found"),
        ("/api/inventory/99999:2026-11-23:3A", 404, "not_on_sale"),
        ("/api/holds/nonsense", 404, "not_found"),
        ("/api/holds/00000000-0000-0000-0000-000000000000", 404, "not_found"),
        ("/api/payments/nonsense", 404, "not_found"),
        ("/api/bookings/nonsense", 404, "not_found"),
        ("/api/bookings/0123456789", 404, "not_found"),
        ("/api/nothing", 404, "not_found"),
        ("/api", 404, "not_found"),
        ("/missing.css", 404, "not_found"),
        ("/.gitkeep", 404, "not_found"),
        ("/..%2f..%2fetc/passwd.txt", 404, "not_found"),
    ] {
        let answer = site.get(path).await;
        assert_eq!(answer.problem(), (status, name.to_owned()), "{path}");
    }
    let answer = site.send(Method::PUT, "/api/holds", &[], "").await;
    assert_eq!(answer.problem(), (405, "method_not_allowed".to_owned()));
    site.close().await;
}

#[tokio::test]
async fn stations_metrics_health_and_the_description_are_served() {
    let db = Database::sqlite();
    let site = Site::open(site_config(&db, 5), Arc::new(SystemClock::new())).await;
    let stations = site.get("/api/stations?q=new%20delhi").await.json();
    assert_eq!(stations["stations"][0]["code"], "NDLS");
    site.hold("k", 1).await;
    let metrics = site.get("/metrics").await.text;
    assert!(metrics.contains("booking_holds_total{result=\"granted\"} 1"), "{metrics}");
    assert!(metrics.contains("booking_available{inventory=\"12951:2026-11-23:3A\"} 4"), "{metrics}");
    assert!(metrics.contains("booking_batch_size_sum 1"), "{metrics}");
    assert_eq!(site.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(site.get("/readyz").await.text, "ready\n");
    let described = site.get("/api/openapi.json").await.json();
    for path in ["/api/trains", "/api/holds", "/api/holds/{id}/payments", "/api/bookings/{reference}", "/metrics"] {
        assert!(described["paths"][path].is_object(), "{path}");
    }
    let api = site.get("/api/stations?q=a").await;
    assert_eq!(api.header("cache-control"), Some("no-store"));
    site.close().await;
}

#[tokio::test]
async fn requests_under_way_are_finished_before_the_end() {
    let db = Database::sqlite();
    let mut config = site_config(&db, 5);
    config.payments.simulated_slow_ms = 300;
    let site = Site::open(config, Arc::new(ManualClock::at(NOON))).await;
    let held = site.hold("k", 1).await.json();
    let (provider, service) = (site.bank.clone(), Arc::clone(&site.service));
    let path = format!("{}/api/holds/{}/payments", site.base, held["id"].as_str().unwrap());
    let paying = tokio::spawn(async move {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let request =
            Request::post(path).header("idempotency-key", "p").body(Full::new(r#"{"method":"sim_slow"}"#.into()));
        client.request(request.unwrap()).await.unwrap().status()
    });
    let begun = async {
        while service.store().books().await.unwrap().pending == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), begun).await.unwrap();
    drop(service);
    site.close().await;
    assert_eq!(paying.await.unwrap(), StatusCode::CREATED);
    assert_eq!(provider.kept().len(), 1);
}

/// The site's files are another house's; whatever is there must be served rightly.
#[tokio::test]
async fn the_site_is_served_with_its_types_and_tags() {
    let db = Database::sqlite();
    let site = site(&db, 5).await;
    let page = site.get("/").await;
    if page.status == StatusCode::OK {
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(page.header("cache-control"), Some("no-cache"));
        let tag = page.header("etag").unwrap().to_owned();
        let known = site.send(Method::GET, "/", &[("if-none-match", &tag)], "").await;
        assert_eq!((known.status, known.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
        assert_eq!(site.get("/booking/ABC").await.text, page.text);
        assert!(!page.text.contains("/lab/") && page.text.ends_with("</html>\n"), "there is none");
        let mut config = site_config(&db, 5);
        config.lab.enabled = true;
        let other = Site::open(config, Arc::new(ManualClock::at(NOON))).await;
        let leading = other.send(Method::GET, "/", &[("if-none-match", &tag)], "").await;
        assert_eq!(leading.status, StatusCode::OK, "it is another page");
        assert!(leading.text.contains("<a href=\"/lab/\""));
        assert_eq!(other.get("/lab/").await.status, StatusCode::OK);
        other.close().await;
    } else {
        assert_eq!(page.problem().0, 404, "a build without the site says so");
    }
    site.close().await;
}
