//! What is asked of Stripe a second time, against a Stripe of our own that keeps to the letter of its idempotency keys:
//! the first answer under a key is its answer for good, a fault of its own included.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Json;
use axum::routing::{get, post};
use booking_core::clock::ManualClock;
use booking_core::domain::booking::Reference;
use booking_core::domain::money::Paise;
use booking_core::domain::payment::{ChargeId, PaymentId, PaymentState, PaymentStatus};
use booking_core::metrics::Metrics;
use booking_core::provider::signature::sign;
use booking_core::provider::stripe::StripeProvider;
use booking_core::provider::{GivenBack, Provider, ProviderFault, RefundOrder, Taken};
use booking_core::service::Service;
use booking_core::strategy::Strategy;
use booking_core::teller::Teller;
use booking_core::{auditor, outbox, reconciler};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::database::{Database, on_both};
use crate::world::{self, LIMITS, NOON, PATIENCE, SECRET, hold, pay};

type Answer = (StatusCode, [(&'static str, &'static str); 1], Json<Value>);

fn answer(status: StatusCode, body: Value) -> Answer {
    (status, [("idempotent-replayed", "false")], Json(body))
}

fn broken() -> Answer {
    answer(StatusCode::INTERNAL_SERVER_ERROR, json!({}))
}

/// What Stripe gives of a list at once, at most.
const PAGE: usize = 100;

#[derive(Default)]
struct Books {
    answers: HashMap<String, Answer>,
    intent: Value,
    refunds: Vec<Value>,
    /// How the next refunds come out, the last first.
    fates: Vec<&'static str>,
    /// Answers with a fault of its own so often.
    faults: u32,
    /// Orders a charge is made for before such a fault, from the next on.
    made_all_the_same: u32,
    /// Charges that were made.
    intents: u32,
    /// How a charge comes out, if not set aside at once.
    waits: bool,
    /// Orders a refund is made for, or not, before a fault in place of its answer; the last first.
    broken_refunds: Vec<bool>,
    /// Orders for a refund that came.
    asked_for_refunds: u32,
    /// Says of every refund that it repeats an answer, as a proxy may that knows no better.
    always_repeats: bool,
}

impl Books {
    /// Answers under a key what it answered first.
    fn once(&mut self, headers: &HeaderMap, answer: impl FnOnce(&mut Self) -> Answer) -> Answer {
        let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
        if let Some((status, _, body)) = key.as_ref().and_then(|key| self.answers.get(key)) {
            return (*status, [("idempotent-replayed", "true")], body.clone());
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
        let is_broken = books.faults > 0;
        books.faults = books.faults.saturating_sub(1);
        if is_broken && books.made_all_the_same == 0 {
            return broken();
        }
        let form = fields(&body);
        let amount: i64 = form["amount"].parse().unwrap();
        books.intents += 1;
        books.intent = json!({"id": "pi_1", "amount": amount, "created": NOON.as_ms() / 1000,
                              "status": "requires_capture", "metadata": metadata(&form)});
        if books.waits {
            books.intent["status"] = json!("requires_action");
            books.intent["next_action"] = json!({"redirect_to_url": {"url": "https://bank.example/confirm"}});
        }
        if is_broken {
            books.made_all_the_same -= 1;
            return broken();
        }
        answer(StatusCode::OK, books.intent.clone())
    })
}

async fn list(State(Stripe(books)): State<Stripe>) -> Json<Value> {
    let intent = books.lock().unwrap().intent.clone();
    Json(json!({"data": if intent.is_null() { vec![] } else { vec![intent] }, "has_more": false}))
}

async fn capture(State(Stripe(books)): State<Stripe>, Path(_id): Path<String>, headers: HeaderMap) -> Answer {
    books.lock().unwrap().once(&headers, |books| {
        if books.faults > 0 {
            books.faults -= 1;
            return broken();
        }
        if books.intent["status"] != "requires_capture" {
            return answer(StatusCode::BAD_REQUEST, json!({"error": {"message": "it is captured"}}));
        }
        books.intent["status"] = json!("succeeded");
        answer(StatusCode::OK, books.intent.clone())
    })
}

async fn give_back(State(Stripe(books)): State<Stripe>, headers: HeaderMap, body: String) -> Answer {
    let mut books = books.lock().unwrap();
    books.asked_for_refunds += 1;
    if books.always_repeats {
        return (StatusCode::BAD_GATEWAY, [("idempotent-replayed", "true")], Json(json!({})));
    }
    books.once(&headers, |books| {
        let is_broken = books.broken_refunds.pop();
        if is_broken == Some(false) {
            return broken();
        }
        let (status, id) =
            (books.fates.pop().expect("no more refunds than fates"), format!("re_{}", books.refunds.len()));
        let refund = json!({"object": "refund", "id": id, "status": status, "metadata": metadata(&fields(&body))});
        books.refunds.push(refund.clone());
        if is_broken.is_some() { broken() } else { answer(StatusCode::OK, refund) }
    })
}

#[derive(Deserialize)]
struct From {
    starting_after: Option<String>,
}

async fn refunds(State(Stripe(books)): State<Stripe>, Query(from): Query<From>) -> Json<Value> {
    let refunds = &books.lock().unwrap().refunds;
    let begin = from.starting_after.map_or(0, |id| 1 + refunds.iter().position(|refund| refund["id"] == id).unwrap());
    let end = refunds.len().min(begin + PAGE);
    Json(json!({"data": refunds[begin..end], "has_more": end < refunds.len()}))
}

impl Stripe {
    async fn open(&self) -> StripeProvider {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/v1/payment_intents", post(order).get(list))
            .route(
                "/v1/payment_intents/{id}",
                get(async |State(Stripe(books)): State<Self>| Json(books.lock().unwrap().intent.clone())),
            )
            .route("/v1/payment_intents/{id}/capture", post(capture))
            .route("/v1/refunds", get(refunds).post(give_back))
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
async fn a_refund_is_asked_for_once_for_each_number_however_it_stands() {
    let stripe = Stripe::default();
    let provider = stripe.open().await;
    stripe.books().intent = intent("succeeded");
    stripe.books().fates = vec!["pending", "failed"];
    let (charge, payment) = (ChargeId("pi_1".to_owned()), PaymentId::from_bytes([1; 16]));
    let refund = async |number| {
        let order = RefundOrder { charge: charge.clone(), payment, number, amount: Paise::new(700) };
        provider.refund(&order).await
    };
    assert_eq!(refund(1).await, Ok(GivenBack::Failed));
    assert_eq!(refund(1).await, Ok(GivenBack::Failed));
    assert_eq!(refund(2).await, Ok(GivenBack::UnderWay));
    assert_eq!(refund(2).await, Ok(GivenBack::UnderWay));
    stripe.books().refunds[1]["status"] = json!("succeeded");
    assert_eq!(refund(2).await, Ok(GivenBack::Done));
    assert_eq!(stripe.books().refunds.len(), 2);
}

async fn refund(provider: &StripeProvider, number: u16) -> Result<GivenBack, ProviderFault> {
    let (charge, payment) = (ChargeId("pi_1".to_owned()), PaymentId::from_bytes([1; 16]));
    provider.refund(&RefundOrder { charge, payment, number, amount: Paise::new(1) }).await
}

#[tokio::test]
async fn a_refund_that_was_answered_with_a_fault_is_asked_for_under_another_key() {
    for was_made in [false, true] {
        let stripe = Stripe::default();
        let provider = stripe.open().await;
        stripe.books().fates = vec!["succeeded"];
        stripe.books().broken_refunds = vec![was_made, false, false];
        for _ in 0..3 {
            refund(&provider, 1).await.expect_err("nobody knows whether it was made");
        }
        assert_eq!(refund(&provider, 1).await, Ok(GivenBack::Done));
        assert_eq!(stripe.books().refunds.len(), 1, "once, whether or not a fault was the answer to it");
    }
}

#[tokio::test]
async fn a_process_that_has_forgotten_which_keys_are_spent_finds_out() {
    let stripe = Stripe::default();
    stripe.books().fates = vec!["succeeded"];
    stripe.books().broken_refunds = vec![false; 3];
    for _ in 0..3 {
        refund(&stripe.open().await, 1).await.expect_err("a fault");
    }
    assert_eq!(refund(&stripe.open().await, 1).await, Ok(GivenBack::Done));
}

#[tokio::test]
async fn who_repeats_faults_without_end_is_left_alone_for_a_while() {
    let stripe = Stripe::default();
    let provider = stripe.open().await;
    stripe.books().always_repeats = true;
    for rounds in [8, 16] {
        refund(&provider, 1).await.expect_err("it only repeats faults");
        assert_eq!(stripe.books().asked_for_refunds, rounds);
    }
}

#[tokio::test]
async fn a_refund_far_down_the_list_is_not_made_again() {
    let stripe = Stripe::default();
    let provider = stripe.open().await;
    let many = 2 * PAGE as u16 + 1;
    stripe.books().fates = vec!["succeeded"; usize::from(many)];
    for number in 1..=many {
        refund(&provider, number).await.unwrap();
    }
    // Stripe forgets its idempotency keys after a day.
    stripe.books().answers.clear();
    assert_eq!(refund(&provider, many).await, Ok(GivenBack::Done));
    assert_eq!(stripe.books().refunds.len(), usize::from(many));
}

/// A sale that is paid with this Stripe.
struct Sale {
    stripe: Stripe,
    service: Arc<Service>,
    clock: Arc<ManualClock>,
}

impl Sale {
    async fn open(db: &Database) -> Self {
        let (stripe, clock) = (Stripe::default(), Arc::new(ManualClock::at(NOON)));
        let (bank, _inbox) = world::provider(&clock);
        let (store, metrics) = (db.open().await, Metrics::new());
        let teller = Teller::new(Arc::clone(&store) as _, metrics.clone(), Strategy::Teller, LIMITS);
        let mut parts = world::parts(store, teller, metrics, &bank, &clock, 5);
        parts.provider = Arc::new(stripe.open().await);
        Self { stripe, service: Service::new(parts), clock }
    }

    async fn hear(&self, refund: usize) {
        let event =
            json!({"type": "refund.updated", "data": {"object": self.stripe.books().refunds[refund]}}).to_string();
        let signature = sign(SECRET.as_bytes(), NOON, event.as_bytes());
        self.service.webhook(&signature, event.as_bytes()).await.unwrap();
    }

    async fn status(&self, id: PaymentId) -> PaymentStatus {
        self.service.find_payment(id, false).await.unwrap().payment.state.status()
    }

    /// Waits until no answer can come any more, by the clock.
    fn pass_patience(&self) {
        self.clock.advance_ms(i64::try_from(PATIENCE.as_millis()).unwrap() + 1);
    }
}

on_both! {
    async fn an_order_that_was_answered_with_a_fault_is_not_answered_with_that_for_good(db: Database) {
        for made_all_the_same in [0, 1] {
            let sale = Sale::open(&db.another().await).await;
            sale.stripe.books().faults = 1;
            sale.stripe.books().made_all_the_same = made_all_the_same;
            let held = hold(&sale.service, &format!("h{made_all_the_same}"), 1).await.unwrap();
            let asked = async || pay(&sale.service, &held, "p", "pm_card").await.unwrap();
            assert_eq!(asked().await.payment.state.status(), PaymentStatus::Pending, "nobody knows");
            assert_eq!(asked().await.payment.state.status(), PaymentStatus::Pending, "the answer may still come");
            sale.pass_patience();
            let again = asked().await;
            assert_eq!((again.payment.state.status(), again.replayed), (PaymentStatus::Kept, true));
            assert_eq!(sale.stripe.books().intents, 1, "one charge, whether or not the first answer told of it");
            assert_eq!(asked().await.payment, again.payment, "and this answer stands");
        }
    }
}

on_both! {
    async fn a_charge_that_waits_for_the_buyer_is_found_under_whichever_key_it_was_made(db: Database) {
        let sale = Sale::open(&db).await;
        sale.stripe.books().waits = true;
        // The first order makes nothing. The second makes the charge, and its answer is lost.
        sale.stripe.books().faults = 2;
        let held = hold(&sale.service, "h", 1).await.unwrap();
        let asked = async || pay(&sale.service, &held, "p", "pm_card").await.unwrap().payment;
        assert_eq!(asked().await.state.status(), PaymentStatus::Pending);
        sale.pass_patience();
        sale.stripe.books().made_all_the_same = 1;
        assert_eq!(asked().await.state.status(), PaymentStatus::Pending);
        sale.pass_patience();
        let PaymentState::Challenged { challenge, .. } = asked().await.state else { panic!("the buyer must confirm") };
        assert_eq!(challenge.page(), Some("https://bank.example/confirm"));
        assert_eq!(sale.stripe.books().intents, 1);
    }
}

on_both! {
    async fn an_order_nobody_ever_took_is_given_up_and_the_hold_is_free_for_another(db: Database) {
        let sale = Sale::open(&db).await;
        sale.stripe.books().faults = u32::MAX;
        let held = hold(&sale.service, "h", 1).await.unwrap();
        let pending = pay(&sale.service, &held, "p", "pm_card").await.unwrap().payment;
        sale.pass_patience();
        let again = pay(&sale.service, &held, "p", "pm_card").await.unwrap();
        assert_eq!(again.payment.state.status(), PaymentStatus::Pending);
        sale.clock.advance_ms(120_000);
        reconciler::pass(&sale.service).await.unwrap();
        assert_eq!(sale.status(pending.id).await, PaymentStatus::Failed);
        sale.stripe.books().faults = 0;
        let other = pay(&sale.service, &held, "q", "pm_card").await.unwrap();
        assert_eq!(other.payment.state.status(), PaymentStatus::Kept);
        let first = pay(&sale.service, &held, "p", "pm_card").await.unwrap();
        assert_eq!((first.payment.state.status(), first.replayed), (PaymentStatus::Failed, true), "the answer stands");
    }
}

on_both! {
    async fn a_refund_under_way_is_not_done_until_stripe_says_so(db: Database) {
        let sale = Sale::open(&db).await;
        let (stripe, service) = (&sale.stripe, &sale.service);
        let held = hold(service, "h", 1).await.unwrap();
        let paid = pay(service, &held, "p", "pm_card").await.unwrap().payment;
        assert_eq!(paid.state.status(), PaymentStatus::Kept);
        service.cancel_booking(Reference::of(held.hold.id)).await.unwrap();
        stripe.books().fates = vec!["pending"];
        assert_eq!(outbox::pass(service).await.unwrap().done, 0);
        assert_eq!(sale.status(paid.id).await, PaymentStatus::Refunding);
        stripe.books().refunds[0]["status"] = json!("succeeded");
        outbox::pass(service).await.unwrap();
        assert_eq!(sale.status(paid.id).await, PaymentStatus::Refunding, "it is put off");
        sale.hear(0).await;
        assert_eq!(outbox::pass(service).await.unwrap().done, 1, "until news comes");
        assert_eq!(sale.status(paid.id).await, PaymentStatus::Refunded);
        assert_eq!(service.metrics().refunds.get(), 1);
        // A month later the buyer's bank sends it back: the card is no more.
        stripe.books().refunds[0]["status"] = json!("failed");
        stripe.books().fates = vec!["succeeded"];
        sale.hear(0).await;
        assert_eq!(sale.status(paid.id).await, PaymentStatus::Refunding);
        outbox::pass(service).await.unwrap();
        sale.hear(0).await;
        assert_eq!(sale.status(paid.id).await, PaymentStatus::Refunded, "old news changes nothing");
        assert_eq!((service.metrics().refunds.get(), service.metrics().refunds_failed.get()), (2, 1));
        assert_eq!(stripe.books().refunds.len(), 2);
        assert_eq!(auditor::audit(service.store()).await.unwrap().words, Vec::<String>::new());
    }
}
