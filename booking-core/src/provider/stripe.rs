//! Stripe: payment intents with manual capture, refunds, and webhooks with Stripe's signature.
//!
//! It is a client of a few calls on the HTTP client this project has anyway; a binding of Stripe's whole API would be
//! the largest dependency in the house. The buyer's page makes the payment method with Stripe's own script and sends us
//! its id (`pm_…`), so card data never come here.
//!
//! Everything we make carries our payment's id and the name of this installation in its metadata. What does not is not
//! ours: a Stripe account may serve other shops, or a second installation to try things on, and their money is not
//! touched.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hyper::{Method, StatusCode};
use serde_json::Value;

use super::wire::{Answer, BadAddress, Call, Wire};
use super::{
    BadNews, ChargeOrder, ChargePage, ChargeState, Charged, GivenBack, LetGo, MOST_PAGES, News, Provider,
    ProviderFault, RefundOrder, Taken, signature,
};
use crate::domain::moment::Moment;
use crate::domain::payment::ChargeId;

mod intent;

mod refund;

use intent::{Intent, MARK, SITE};
use refund::SpentKeys;

/// Where Stripe is.
pub const ADDRESS: &str = "https://api.stripe.com";

/// The header its signature travels in.
pub const SIGNATURE_HEADER: &str = "stripe-signature";

const CURRENCY: &str = "inr";
const FORM: &str = "application/x-www-form-urlencoded";
/// Keys of one refund that are found spent at most before it is put off; the next time it is begun where they ended.
const MOST_KEYS: u32 = 8;
/// The most Stripe gives at once.
const PAGE: usize = 100;

/// Speaks to Stripe, or to something that speaks like it.
#[derive(Clone, Debug)]
pub struct StripeProvider {
    wire: Wire,
    webhook_secret: Vec<u8>,
    /// Names this installation among all that use the same account.
    site: String,
    spent: Arc<SpentKeys>,
}

impl StripeProvider {
    /// Opens the adapter; `key` is the secret key (`sk_…`), `webhook_secret` that of the webhook endpoint (`whsec_…`),
    /// `site` the name of this installation.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn new(
        base: &str,
        key: &str,
        (webhook_secret, site): (Vec<u8>, String),
        patience: Duration,
    ) -> Result<Self, BadAddress> {
        Ok(Self { wire: Wire::new(base, Some(key), patience)?, webhook_secret, site, spent: Arc::default() })
    }

    async fn post(
        &self,
        path: &str,
        key: Option<String>,
        form: &[(&str, &str)],
    ) -> Result<(StatusCode, Value), ProviderFault> {
        self.wire.call(filled_in(path, key, form)).await
    }

    /// Does something to an intent. What Stripe refuses because of the intent's state is answered with that state.
    ///
    /// There is no idempotency key: the state already keeps anything from being done twice, while under a key Stripe
    /// would repeat its first answer for a day, a fault of its own included.
    async fn act(&self, charge: &ChargeId, verb: &str) -> Result<Intent, ProviderFault> {
        let path = intent_path(charge)?;
        let (status, answer) = self.post(&format!("{path}/{verb}"), None, &[]).await?;
        if status.is_success() {
            return intent::read(answer);
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(refused(status, &answer));
        }
        let (status, answer) = self.wire.call(Call::get(path)).await?;
        if status.is_success() { intent::read(answer) } else { Err(refused(status, &answer)) }
    }

    /// Returns how a refund stands by Stripe's list; `None` when it was never made. Stripe forgets idempotency keys after a
    /// day, and we may have to ask again after a longer one.
    async fn listed_refund(&self, order: &RefundOrder) -> Result<Option<GivenBack>, ProviderFault> {
        let (mut found, mut from) = (None, None);
        for _ in 0..MOST_PAGES {
            let page = self.refunds(order, from.as_deref()).await?;
            found = refund::best(found, page.stands);
            from = page.next;
            if from.is_none() {
                return Ok(found);
            }
        }
        Err(ProviderFault("Stripe's list of refunds has no end".to_owned()))
    }

    async fn refunds(&self, order: &RefundOrder, from: Option<&str>) -> Result<refund::Page, ProviderFault> {
        let from = from.map(|from| format!("&starting_after={from}")).unwrap_or_default();
        let path = format!("/v1/refunds?payment_intent={}&limit={PAGE}{from}", order.charge.0);
        let (status, answer) = self.wire.call(Call::get(path)).await?;
        if status.is_success() { refund::page(order, &answer) } else { Err(refused(status, &answer)) }
    }

    /// Asks for a refund under its first key, or a later one if Stripe only repeats the faults it answered under those
    /// before. Such a fault is over when it is repeated, so the list, read once more, tells whether the refund was made.
    async fn ask_for_refund(&self, order: &RefundOrder, spent: u32) -> Result<Answer, ProviderFault> {
        let form = refund::form(order, &self.site);
        let form: Vec<_> = form.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let key = refund::key(order, spent);
        self.wire.ask(filled_in("/v1/refunds", Some(key), &form), &[]).await
    }
}

/// Returns an intent's path; an id that is not one never becomes part of an address.
fn intent_path(charge: &ChargeId) -> Result<String, ProviderFault> {
    let id = &charge.0;
    let sound = id.starts_with("pi_") && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    sound
        .then(|| format!("/v1/payment_intents/{id}"))
        .ok_or_else(|| ProviderFault("that is no intent of Stripe's".to_owned()))
}

fn filled_in<'a>(path: &str, key: Option<String>, form: &[(&str, &str)]) -> Call<'a> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish().into_bytes();
    Call { method: Method::POST, path: path.to_owned(), key, content_type: FORM, body }
}

fn refused(status: StatusCode, answer: &Value) -> ProviderFault {
    let words = answer["error"]["message"].as_str().unwrap_or("no reason given");
    ProviderFault(format!("Stripe answered {status}: {words}"))
}

/// Reads the answer to an order that was not taken up.
fn declined(status: StatusCode, answer: &Value) -> Result<Charged, ProviderFault> {
    match status {
        StatusCode::PAYMENT_REQUIRED => {
            let reason = answer["error"]["message"].as_str().unwrap_or("the bank refused this payment");
            Ok(Charged::Declined(reason.trim_end_matches('.').to_owned()))
        }
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => {
            tracing::warn!(fault = %refused(status, answer), "a payment method was not taken");
            Ok(Charged::Declined("this way to pay was not accepted".to_owned()))
        }
        _ => Err(refused(status, answer)),
    }
}

fn charged(intent: Intent) -> Result<Charged, ProviderFault> {
    let id = ChargeId(intent.id.clone());
    match intent.state() {
        ChargeState::Authorized => Ok(Charged::Authorized(id)),
        ChargeState::Captured => Ok(Charged::Captured(id)),
        ChargeState::Voided => Ok(Charged::Declined("the payment was withdrawn".to_owned())),
        ChargeState::Failed => Ok(Charged::Declined(intent.failure())),
        ChargeState::Open => match intent.challenge() {
            Some(challenge) => Ok(Charged::Challenged(id, challenge)),
            None => Err(ProviderFault("the bank has not answered Stripe yet".to_owned())),
        },
    }
}

#[async_trait]
impl Provider for StripeProvider {
    fn accepts(&self, method: &str) -> bool {
        let sound = method.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        method.starts_with("pm_") && method.len() <= 255 && sound
    }

    async fn authorize(&self, order: &ChargeOrder) -> Result<Charged, ProviderFault> {
        let (payment, amount) = (order.payment.to_string(), order.amount.get().to_string());
        let (mark, site) = (format!("metadata[{MARK}]"), format!("metadata[{SITE}]"));
        let mut form = vec![
            ("amount", amount.as_str()),
            ("currency", CURRENCY),
            ("capture_method", "manual"),
            ("confirm", "true"),
            ("payment_method", order.method.as_str()),
            ("payment_method_types[]", "card"),
            (&mark, &payment),
            (&site, &self.site),
        ];
        form.extend(order.return_url.as_deref().map(|back| ("return_url", back)));
        let key = if order.attempt == 0 { payment.clone() } else { format!("{payment} {}", order.attempt) };
        let (status, answer) = self.post("/v1/payment_intents", Some(key), &form).await?;
        if status.is_success() { charged(intent::read(answer)?) } else { declined(status, &answer) }
    }

    async fn look(&self, charge: &ChargeId) -> Result<Charged, ProviderFault> {
        let (status, answer) = self.wire.call(Call::get(intent_path(charge)?)).await?;
        if status.is_success() { charged(intent::read(answer)?) } else { Err(refused(status, &answer)) }
    }

    async fn capture(&self, charge: &ChargeId) -> Result<Taken, ProviderFault> {
        match self.act(charge, "capture").await?.state() {
            ChargeState::Captured => Ok(Taken::Captured),
            ChargeState::Voided | ChargeState::Failed => Ok(Taken::Lost),
            other => Err(ProviderFault(format!("a capture left the intent {other:?}"))),
        }
    }

    async fn void(&self, charge: &ChargeId) -> Result<LetGo, ProviderFault> {
        match self.act(charge, "cancel").await?.state() {
            ChargeState::Voided | ChargeState::Failed => Ok(LetGo::Voided),
            ChargeState::Captured => Ok(LetGo::Captured),
            other => Err(ProviderFault(format!("a cancellation left the intent {other:?}"))),
        }
    }

    async fn refund(&self, order: &RefundOrder) -> Result<GivenBack, ProviderFault> {
        intent_path(&order.charge)?;
        for _ in 0..MOST_KEYS {
            if let Some(stands) = self.listed_refund(order).await? {
                return Ok(stands);
            }
            let spent = self.spent.of(order);
            let answer = self.ask_for_refund(order, spent).await?;
            if !answer.repeats_a_fault() {
                let (status, answer) = answer.believed()?;
                let made = status.is_success().then(|| refund::standing(&answer)).flatten();
                return made.ok_or_else(|| refused(status, &answer));
            }
            self.spent.note(order, spent + 1);
        }
        Err(ProviderFault("Stripe repeats one fault after the other".to_owned()))
    }

    /// Stripe lists the youngest first, so what is older than `since` ends the list.
    async fn list(&self, since: Moment, from: Option<&str>) -> Result<ChargePage, ProviderFault> {
        let from = from.map(|from| format!("&starting_after={from}")).unwrap_or_default();
        let path = format!("/v1/payment_intents?limit={PAGE}&expand[]=data.latest_charge{from}");
        let (status, mut answer) = self.wire.call(Call::get(path.replace("[]", "%5B%5D"))).await?;
        if !status.is_success() {
            return Err(refused(status, &answer));
        }
        let Value::Array(data) = answer["data"].take() else {
            return Err(ProviderFault("Stripe's list is not a list".to_owned()));
        };
        let intents: Vec<Intent> = data.into_iter().map(intent::read).collect::<Result<_, _>>()?;
        let last = intents.last().filter(|last| answer["has_more"] == true && last.created_at() >= since);
        let next = last.map(|last| last.id.clone());
        let young = intents.iter().filter(|intent| intent.created_at() >= since);
        Ok(ChargePage { charges: young.filter_map(|intent| intent.charge(&self.site)).collect(), next })
    }

    fn signature_header(&self) -> &'static str {
        SIGNATURE_HEADER
    }

    fn read_news(&self, now: Moment, header: &str, body: &[u8]) -> Result<News, BadNews> {
        signature::verify(&self.webhook_secret, now, header, body)?;
        let event: Value = serde_json::from_slice(body).map_err(|error| BadNews::Body(error.to_string()))?;
        let kind = event["type"].as_str().ok_or_else(|| BadNews::Body("it has no type".to_owned()))?;
        if refund::EVENTS.contains(&kind) {
            return Ok(refund::news(&self.site, &event["data"]["object"]));
        }
        if !kind.starts_with("payment_intent.") {
            return Ok(News::Other);
        }
        let intent = intent::read(event["data"]["object"].clone()).map_err(|fault| BadNews::Body(fault.0))?;
        Ok(intent.news(&self.site, kind))
    }
}
