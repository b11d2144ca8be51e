//! What is asked of Stripe a second time, against a Stripe of our own that keeps to the letter of its idempotency keys:
//! the first answer under a key is its answer for good, a fault of its own included.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Json;
use axum::routing::{get, post};
use booking_core::clock::ManualClock;
use booking_core::domain::booking::Reference;
use booking_core::domain::money::Paise;
use booking_core::domain::payment::{ChargeId, PaymentId, PaymentStatus};
use booking_core::metrics::Metrics;
use booking_core::outbox;
use booking_core::provider::signature::sign;
use booking_core::provider::stripe::StripeProvider;
use booking_core::provider::{GivenBack, Provider, Taken};
use booking_core::service::Service;
use booking_core::strategy::Strategy;
use booking_core::teller::Teller;
use serde_json::{Value, json};

use crate::database::on_both;
use crate::world::{self, LIMITS, NOON, PATIENCE, SECRET, hold, pay};

type Answer = (StatusCode, Json<Value>);

#[derive(Default)]
struct Books {
    answers: HashMap<String, Answer>,
    intent: Value,
    refunds: Vec<Value>,
    /// How the next refunds come out, the last first.
    fates: Vec<&'static str>,
    /// Answers with a fault of its own so often.
    faults: u32,
}

impl Books {
    /// Answers under a key what it answered first.
    fn once(&mut self, headers: &HeaderMap, answer: impl FnOnce(&mut Self) -> Answer) -> Answer {
        let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
        if let Some(answer) = key.as_ref().and_then(|key| self.answers.get(key)) {
            return answer.clone();
        }
        let answer = answer(self);
        self.answers.extend(key.map(|key| (key, answer.clone())));
        answer
    }
}

#[derive(Clone, Default)]
struct Stripe(Arc<Mutex<Books>>);

fn fields(body: &str) -> HashMap<String, String> {
    form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

fn metadata(form: &HashMap<String, String>) -> Value {
    let name = |key: &str| Some(key.strip_prefix("metadata[")?.strip_suffix(']')?.to_owned());
    form.iter().filter_map(|(key, value)| Some((name(key)?, json!(value)))).collect()
}

async fn order(State(Stripe(books)): State<Stripe>, headers: HeaderMap, body: String) -> Answer {
    books.lock().unwrap().once(&headers, |books| {
        let form = fields(&body);
        let amount: i64 = form["amount"].parse().unwrap();
        books.intent = json!({"id": "pi_1", "amount": amount, "created": NOON.as_ms() / 1000,
                              "status": "requires_capture", "metadata": metadata(&form)});
        (StatusCode::OK, Json(books.intent.clone()))
    })
}

async fn capture(State(Stripe(books)): State<Stripe>, Path(_id): Path<String>, headers: HeaderMap) -> Answer {
    books.lock().unwrap().once(&headers, |books| {
        if books.faults > 0 {
            books.faults -= 1;
            return (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({})));
        }
        if books.intent["status"] != "requires_capture" {
            return (StatusCode::BAD_REQUEST, Json(json!({"error": {"message": "it is captured"}})));
        }
        books.intent["status"] = json!("succeeded");
        (StatusCode::OK, Json(books.intent.clone()))
    })
}

async fn give_back(State(Stripe(books)): State<Stripe>, headers: HeaderMap, body: String) -> Answer {
    books.lock().unwrap().once(&headers, |books| {
        let status = books.fates.pop().expect("no more refunds than fates");
        let refund = json!({"object": "refund", "status": status, "metadata": metadata(&fields(&body))});
        books.refunds.push(refund.clone());
        (StatusCode::OK, Json(refund))
    })
}

impl Stripe {
    async fn open(&self) -> StripeProvider {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/v1/payment_intents", post(order))
            .route(
                "/v1/payment_intents/{id}",
                get(async |State(Stripe(books)): State<Self>| Json(books.lock().unwrap().intent.clone())),
            )
            .route("/v1/payment_intents/{id}/capture", post(capture))
            .route(
                "/v1/refunds",
                get(async |State(Stripe(books)): State<Self>| Json(json!({"data": books.lock().unwrap().refunds})))
                    .post(give_back),
            )
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        StripeProvider::new(&base, "sk_test", (SECRET.into(), "here".to_owned()), PATIENCE).unwrap()
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.0.lock().unwrap()
    }
}

fn intent(status: &str) -> Value {
    json!({"id": "pi_1", "amount": 700, "created": 0, "status": status})
}

#[tokio::test]
async fn a_capture_that_failed_once_is_not_answered_with_that_for_good() {
    let stripe = Stripe::default();
    let provider = stripe.open().await;
    stripe.books().intent = intent("requires_capture");
    stripe.books().faults = 1;
    let charge = ChargeId("pi_1".to_owned());
    assert!(provider.capture(&charge).await.is_err());
    assert_eq!(provider.capture(&charge).await, Ok(Taken::Captured));
    assert_eq!(provider.capture(&charge).await, Ok(Taken::Captured), "twice is once");
}

#[tokio::test]
async fn a_refund_that_failed_is_made_again_and_one_under_way_is_not() {
    let stripe = Stripe::default();
    let provider = stripe.open().await;
    stripe.books().intent = intent("succeeded");
    stripe.books().fates = vec!["pending", "failed"];
    let (charge, payment) = (ChargeId("pi_1".to_owned()), PaymentId::from_bytes([1; 16]));
    let refund = async || provider.refund(&charge, payment, Paise::new(700)).await;
    assert!(refund().await.is_err());
    assert_eq!(refund().await, Ok(GivenBack::UnderWay));
    assert_eq!(refund().await, Ok(GivenBack::UnderWay));
    stripe.books().refunds[1]["status"] = json!("succeeded");
    assert_eq!(refund().await, Ok(GivenBack::Done));
    assert_eq!(stripe.books().refunds.len(), 2);
}

on_both! {
    async fn a_refund_under_way_is_not_done_until_stripe_says_so(db: Database) {
        let (stripe, clock) = (Stripe::default(), Arc::new(ManualClock::at(NOON)));
        let (bank, _inbox) = world::provider(&clock);
        let (store, metrics) = (db.open().await, Metrics::new());
        let teller = Teller::new(Arc::clone(&store) as _, metrics.clone(), Strategy::Teller, LIMITS);
        let mut parts = world::parts(store, teller, metrics, &bank, &clock, 5);
        parts.provider = Arc::new(stripe.open().await);
        let service = Service::new(parts);
        let held = hold(&service, "h", 1).await.unwrap();
        let paid = pay(&service, &held, "p", "pm_card").await.unwrap().payment;
        assert_eq!(paid.state.status(), PaymentStatus::Kept);
        service.cancel_booking(Reference::of(held.hold.id)).await.unwrap();
        let status = async || service.find_payment(paid.id, false).await.unwrap().payment.state.status();
        stripe.books().fates = vec!["pending"];
        assert_eq!(outbox::pass(&service).await.unwrap().done, 0);
        assert_eq!(status().await, PaymentStatus::Refunding);
        stripe.books().refunds[0]["status"] = json!("succeeded");
        outbox::pass(&service).await.unwrap();
        assert_eq!(status().await, PaymentStatus::Refunding, "it is put off");
        let event = json!({"type": "refund.updated", "data": {"object": stripe.books().refunds[0]}}).to_string();
        service.webhook(&sign(SECRET.as_bytes(), NOON, event.as_bytes()), event.as_bytes()).await.unwrap();
        assert_eq!(outbox::pass(&service).await.unwrap().done, 1, "until news comes");
        assert_eq!(status().await, PaymentStatus::Refunded);
        assert_eq!(service.metrics().refunds.get(), 1);
    }
}
