//! The Stripe adapter against localstripe, which was written by others from Stripe's documentation: the whole way, its
//! webhooks, and every way back.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use booking_core::app::App;
use booking_core::clock::SystemClock;
use booking_core::config::{Config, ProviderKind, SaleRow};
use booking_core::domain::moment::Moment;
use booking_core::domain::money::Paise;
use booking_core::domain::payment::{ChargeId, PaymentId};
use booking_core::provider::stripe::StripeProvider;
use booking_core::provider::{Charge, ChargeOrder, ChargeState, Charged, LetGo, Provider, RefundOrder, Taken};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::database::{Database, on_both};
use crate::world::row_in_a_month;

const KEY: &str = "sk_test_12345";
const WEBHOOK_SECRET: &str = "whsec_abcdef";
const GOOD_CARD: &str = "4242424242424242";
const DECLINED_CARD: &str = "4000000000000341";
const CHALLENGED_CARD: &str = "4000002500003155";

static STRIPE: LazyLock<LocalStripe> = LazyLock::new(LocalStripe::start);

/// One localstripe for all tests of this process.
struct LocalStripe {
    base: String,
    /// Ends with us: its standard input is ours.
    _child: Child,
}

impl LocalStripe {
    fn start() -> Self {
        let mut child = Command::new(python())
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/localstripe_on_loopback.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { base: format!("http://127.0.0.1:{}", port.trim()), _child: child }
    }
}

/// Returns a Python that has localstripe, in a folder that outlives the test.
fn python() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("localstripe");
    std::fs::create_dir_all(&folder).unwrap();
    let (program, installed) = (folder.join("venv/bin/python"), folder.join("installed"));
    if !installed.exists() {
        run("python3", &["-m", "venv", "--clear", "venv"], &folder);
        run(&program, &["-m", "pip", "install", "--quiet", "localstripe>=1.15,<2"], &folder);
        std::fs::write(installed, "").unwrap();
    }
    program
}

fn run(program: impl AsRef<Path>, arguments: &[&str], inside: &Path) {
    let outcome = Command::new(program.as_ref()).args(arguments).current_dir(inside).output().unwrap();
    assert!(outcome.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&outcome.stderr));
}

/// Asks as a shop or a page would ask Stripe itself.
async fn ask(method: Method, url: &str, body: Value) -> Value {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .header("idempotency-key", url);
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let answer = client.request(request.body(Full::new(body)).unwrap()).await.unwrap();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap_or(Value::Null)
}

/// Makes a payment method as Stripe's script in the buyer's page does.
async fn card(number: &str) -> String {
    let card = json!({"number": number, "exp_month": 12, "exp_year": 2034, "cvc": "123"});
    let url = format!("{}/v1/payment_methods", STRIPE.base);
    let made = ask(Method::POST, &url, json!({"type": "card", "card": card})).await;
    made["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

fn adapter() -> StripeProvider {
    StripeProvider::new(&STRIPE.base, KEY, (WEBHOOK_SECRET.into(), "adapter".to_owned()), Duration::from_secs(20))
        .unwrap()
}

async fn order(number: u8, card_number: &str) -> ChargeOrder {
    let payment = PaymentId::from_bytes([number; 16]);
    ChargeOrder { payment, amount: Paise::new(50_000), method: card(card_number).await, return_url: None, attempt: 0 }
}

async fn set_aside(stripe: &StripeProvider, order: &ChargeOrder) -> ChargeId {
    match stripe.authorize(order).await.unwrap() {
        Charged::Authorized(charge) => charge,
        other => panic!("{other:?}"),
    }
}

async fn listed(stripe: &StripeProvider, charge: &ChargeId) -> Charge {
    let (mut from, mut found) = (None, None);
    loop {
        let page = stripe.list(Moment::from_ms(0), from.as_deref()).await.unwrap();
        found = found.or(page.charges.into_iter().find(|other| other.id == *charge));
        from = page.next;
        if from.is_none() {
            return found.expect("it is listed");
        }
    }
}

#[tokio::test]
async fn money_is_set_aside_then_taken_then_given_back_once() {
    let (stripe, order) = (adapter(), order(101, GOOD_CARD).await);
    assert!(stripe.accepts(&order.method) && !stripe.accepts("sim_ok") && !stripe.accepts("pm_1&amount=0"));
    let charge = set_aside(&stripe, &order).await;
    assert_eq!(listed(&stripe, &charge).await.state, ChargeState::Authorized);
    assert_eq!(stripe.capture(&charge).await, Ok(Taken::Captured));
    assert_eq!(stripe.capture(&charge).await, Ok(Taken::Captured), "twice is once");
    assert_eq!(stripe.void(&charge).await, Ok(LetGo::Captured), "too late to let go");
    for _ in 0..2 {
        let amount = Paise::new(20_000);
        stripe
            .refund(&RefundOrder { charge: charge.clone(), payment: order.payment, number: 1, amount })
            .await
            .unwrap();
    }
    let seen = listed(&stripe, &charge).await;
    assert_eq!((seen.payment, seen.state), (order.payment, ChargeState::Captured));
    assert_eq!((seen.amount, seen.refunded), (Paise::new(50_000), Paise::new(20_000)), "twice is once");
    let rest = RefundOrder { charge: charge.clone(), payment: order.payment, number: 2, amount: Paise::new(30_000) };
    stripe.refund(&rest).await.unwrap();
    stripe.refund(&rest).await.unwrap();
    assert_eq!(listed(&stripe, &charge).await.refunded, Paise::new(50_000), "the rest is another refund, once too");
}

#[tokio::test]
async fn money_is_set_aside_then_let_go() {
    let (stripe, order) = (adapter(), order(102, GOOD_CARD).await);
    let charge = set_aside(&stripe, &order).await;
    assert_eq!(stripe.void(&charge).await, Ok(LetGo::Voided));
    assert_eq!(stripe.void(&charge).await, Ok(LetGo::Voided), "twice is once");
    assert_eq!(stripe.capture(&charge).await, Ok(Taken::Lost), "there is nothing left to take");
    assert_eq!(listed(&stripe, &charge).await.state, ChargeState::Voided);
}

#[tokio::test]
async fn what_cannot_be_charged_is_declined_in_words() {
    let stripe = adapter();
    let declined = stripe.authorize(&order(103, DECLINED_CARD).await).await.unwrap();
    assert_eq!(declined, Charged::Declined("Your card was declined".to_owned()));
    let unknown = ChargeOrder { method: "pm_nobody".to_owned(), ..order(104, GOOD_CARD).await };
    assert!(matches!(stripe.authorize(&unknown).await.unwrap(), Charged::Declined(_)));
    let wrong_key =
        StripeProvider::new(&STRIPE.base, "pk_wrong", (Vec::new(), "adapter".to_owned()), Duration::from_secs(20))
            .unwrap();
    assert!(wrong_key.authorize(&order(105, GOOD_CARD).await).await.is_err(), "our own fault is not the buyer's");
    assert!(stripe.capture(&ChargeId("pi_1/../../v1/refunds".to_owned())).await.is_err());
}

#[tokio::test]
async fn a_card_that_wants_its_owner_is_challenged() {
    let (stripe, order) = (adapter(), order(106, CHALLENGED_CARD).await);
    let Charged::Challenged(charge, challenge) = stripe.authorize(&order).await.unwrap() else { panic!() };
    assert_eq!(listed(&stripe, &charge).await.state, ChargeState::Open);
    let url = format!("{}/v1/payment_intents/{}/_authenticate", STRIPE.base, charge.0);
    ask(Method::POST, &url, json!({"client_secret": challenge.0, "success": true})).await;
    assert_eq!(listed(&stripe, &charge).await.state, ChargeState::Authorized);
    assert_eq!(stripe.void(&charge).await, Ok(LetGo::Voided));
}

/// The API on real workers and a clock that runs, with Stripe as its provider.
struct Shop {
    base: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Shop {
    async fn open(db: &Database, name: &str) -> Self {
        let mut config = Config { sale: vec![SaleRow { inventory: row_in_a_month(), capacity: 3 }], ..db.config() };
        config.payments.provider = ProviderKind::Stripe;
        config.payments.provider_url = Some(STRIPE.base.clone());
        config.payments.provider_key = Some(KEY.to_owned());
        config.payments.webhook_secret = Some(WEBHOOK_SECRET.to_owned());
        let app = App::start(config, Arc::new(SystemClock::new())).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let hook = json!({"url": format!("{base}/api/payments/webhook"), "secret": WEBHOOK_SECRET});
        ask(Method::POST, &format!("{}/_config/webhooks/{name}", STRIPE.base), hook).await;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(app.serve(listener, async {
            let _asked_or_dropped = stopped.await;
        }));
        Self { base, stop: Some(stop), serving }
    }

    async fn hold(&self) -> String {
        let body = json!({"inventory": row_in_a_month(), "quantity": 1});
        let held = ask(Method::POST, &format!("{}/api/holds", self.base), body).await;
        held["id"].as_str().unwrap_or_else(|| panic!("{held}")).to_owned()
    }

    async fn until(&self, path: &str, came_true: impl Fn(&Value) -> bool) -> Value {
        let waiting = async {
            loop {
                let seen = ask(Method::GET, &format!("{}{path}", self.base), Value::Null).await;
                if came_true(&seen) {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(40), waiting).await.expect("it comes true")
    }

    async fn close(mut self) {
        drop(self.stop.take());
        self.serving.await.unwrap().unwrap();
    }
}

on_both! {
    async fn a_buyer_pays_with_stripe_hears_by_webhook_and_cancels(db: Database) {
        let shop = Shop::open(&db, if db.url.starts_with("sqlite") { "sqlite" } else { "postgres" }).await;
        let hold = shop.hold().await;
        let pay = format!("{}/api/holds/{hold}/payments", shop.base);
        let paid = ask(Method::POST, &pay, json!({"method": card(GOOD_CARD).await})).await;
        assert_eq!(paid["status"], "kept", "{paid}");
        let reference = paid["booking"].as_str().unwrap().to_owned();
        let url = format!("{}/api/bookings/{reference}/cancellation", shop.base);
        let cancelled = ask(Method::POST, &url, Value::Null).await;
        assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
        let seen = shop.until(&format!("/api/bookings/{reference}"), |seen| seen["refund"]["status"] == "refunded").await;
        assert_eq!(seen["refund"]["amount_paise"], seen["amount_paise"]);
        shop.close().await;
    }
}

/// Nobody here asks Stripe again: what the buyer confirmed there comes by webhook, as localstripe signs and sends it.
#[tokio::test]
async fn what_the_buyer_confirms_at_the_bank_becomes_a_booking() {
    let db = Database::sqlite();
    let shop = Shop::open(&db, "challenge").await;
    let hold = shop.hold().await;
    let pay = format!("{}/api/holds/{hold}/payments", shop.base);
    let waits = ask(Method::POST, &pay, json!({"method": card(CHALLENGED_CARD).await})).await;
    assert_eq!(waits["status"], "challenged", "{waits}");
    let secret = waits["challenge"]["client_secret"].as_str().unwrap();
    let intent = secret.split("_secret_").next().unwrap();
    let url = format!("{}/v1/payment_intents/{intent}/_authenticate", STRIPE.base);
    ask(Method::POST, &url, json!({"client_secret": secret, "success": true})).await;
    // localstripe says nothing when money is set aside, only when it is taken; so the shop's owner takes it by hand.
    ask(Method::POST, &format!("{}/v1/payment_intents/{intent}/capture", STRIPE.base), Value::Null).await;
    let booked = shop.until(&format!("/api/holds/{hold}"), |seen| seen["status"] == "confirmed").await;
    assert!(booked["booking"].is_string());
    shop.close().await;
}
