//! What the booking API tells of itself at its most talkative: no secret, and the id of the request in each line.

use hyper::Method;
use serde_json::{Value, json};
use vestibule_telemetry::collector::Collector;

use crate::database::{Database, on_both};
use crate::process::Process;
use crate::world::row;

const PASSWORD: &str = "canary-database-password-1f";
const PROVIDER_KEY: &str = "sk_live_canary2e";
const WEBHOOK_SECRET: &str = "whsec_canary3d";
const SIGNATURE: &str = "canary-signature-4c";
const BEARER: &str = "canary-bearer-5b";
const COOKIE: &str = "canary-cookie-6a";
const KEY: &str = "canary-idempotency-key-79";
const CARD: &str = "4111111111111111";
const QUERY: &str = "canary-query-88";
/// As a gateway gives it.
const ID: &str = "00c0ffee00c0ffee00c0ffee00c0ffee";

/// A provider that nobody reaches, so that its failures are told too.
fn configuration(database: &Database, collector: &Collector) -> String {
    format!(
        "listen = '127.0.0.1:0'\ndatabase = '{}'\nlog = 'json'\n\
         [payments]\nprovider = 'stripe'\nprovider_url = 'http://127.0.0.1:9'\nprovider_key = '{PROVIDER_KEY}'\n\
         webhook_secret = '{WEBHOOK_SECRET}'\nprovider_timeout_ms = 300\n[[sale]]\ninventory = '{}'\ncapacity = 5\n\
         [traces]\nendpoint = '{}'\nsample_ratio = 1.0\n",
        database.url.replace("booking@", &format!("booking:{PASSWORD}@")),
        row(),
        collector.endpoint()
    )
}

on_both! {
    async fn no_secret_is_in_logs_traces_or_metrics(db: Database) {
        let collector = Collector::start().await.unwrap();
        let mut process = Process::start(&configuration(&db, &collector), "RUST_LOG=debug", None);
        let bearer = format!("Bearer {BEARER}");
        let headers = [
            ("authorization", bearer.as_str()), ("cookie", COOKIE), ("idempotency-key", KEY), ("x-request-id", ID),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ];
        let hold = json!({"inventory": row(), "quantity": 1});
        let (status, hold) = process.ask(Method::POST, "/api/holds", &headers, hold).await.unwrap();
        assert_eq!(status, 201, "{hold}");
        let pay = format!("/api/holds/{}/payments?q={QUERY}", hold["id"].as_str().unwrap());
        let method = json!({"method": format!("pm_{CARD}")});
        let (status, payment) = process.ask(Method::POST, &pay, &headers, method).await.unwrap();
        assert_eq!(status, 202, "the provider is away: {payment}");
        let signed = [("stripe-signature", SIGNATURE)];
        let (status, _) = process.ask(Method::POST, "/api/payments/webhook", &signed, json!({"card": CARD})).await.unwrap();
        assert!(status >= 400);
        let metrics = process.text("/metrics").await;
        let logs = process.end();

        let spans = collector.spans();
        let taken = spans.iter().find(|span| span.name == "take seats").unwrap();
        assert_eq!(taken.trace, "4bf92f3577b34da6a3ce929d0e0e4736", "the gateway's trace goes on");
        assert!(spans.iter().any(|span| span.kind == 3 && span.is_failed), "the call to the provider: {spans:?}");
        let pending = logs.lines().find(|line| line.contains("a payment is pending")).unwrap();
        let pending: Value = serde_json::from_str(pending).unwrap();
        assert_eq!(pending["spans"][0]["request_id"], ID, "{pending}");

        let traces = String::from_utf8_lossy(&collector.bytes()).into_owned();
        let secrets = [PASSWORD, PROVIDER_KEY, WEBHOOK_SECRET, SIGNATURE, BEARER, COOKIE, KEY, CARD, QUERY];
        for (name, source) in [("logs", &logs), ("traces", &traces), ("metrics", &metrics)] {
            let found = secrets.iter().find(|secret| source.contains(**secret));
            let line = found.and_then(|secret| source.lines().find(|line| line.contains(*secret)));
            assert_eq!(found, None, "in the {name}: {line:?}");
        }
    }
}
