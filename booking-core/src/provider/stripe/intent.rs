//! A payment intent as Stripe writes it, and what it means here.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::payment::{Challenge, ChargeId, PaymentId};
use crate::provider::{Charge, ChargeState, News, ProviderFault};

/// The key in Stripe's metadata under which our payment's id stands.
pub(super) const MARK: &str = "vestibule_payment";
/// The key under which the installation stands.
pub(super) const SITE: &str = "vestibule_site";

/// Is a payment intent; what we do not use is not read.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    amount: i64,
    /// Seconds since the Unix epoch.
    created: i64,
    status: String,
    #[serde(default)]
    metadata: HashMap<String, Value>,
    client_secret: Option<String>,
    next_action: Option<Value>,
    last_payment_error: Option<Value>,
    latest_charge: Option<Value>,
}

pub(super) fn read(answer: Value) -> Result<Intent, ProviderFault> {
    serde_json::from_value(answer).map_err(|error| ProviderFault(format!("that is no payment intent: {error}")))
}

impl Intent {
    pub(super) fn state(&self) -> ChargeState {
        match self.status.as_str() {
            "requires_capture" => ChargeState::Authorized,
            "succeeded" => ChargeState::Captured,
            "canceled" => ChargeState::Voided,
            "requires_payment_method" => ChargeState::Failed,
            _ => ChargeState::Open,
        }
    }

    pub(super) const fn created_at(&self) -> Moment {
        Moment::from_ms(self.created.saturating_mul(1000))
    }

    /// Returns our payment it was made for; `None` when it is somebody else's.
    fn payment(&self, site: &str) -> Option<PaymentId> {
        let ours = self.metadata.get(SITE)?.as_str()? == site;
        ours.then_some(self.metadata.get(MARK)?.as_str()?.parse().ok()).flatten()
    }

    /// Returns what the buyer must do: go to a page, or let Stripe's script in our page go on.
    pub(super) fn challenge(&self) -> Option<Challenge> {
        let action = self.next_action.as_ref()?;
        let page = action["redirect_to_url"]["url"].as_str();
        page.or(self.client_secret.as_deref()).map(|what| Challenge(what.to_owned()))
    }

    /// Returns why it failed, in the words Stripe has for the buyer.
    pub(super) fn failure(&self) -> String {
        let words = self.last_payment_error.as_ref().and_then(|error| error["message"].as_str());
        words.unwrap_or("the bank refused this payment").trim_end_matches('.').to_owned()
    }

    pub(super) fn charge(&self, site: &str) -> Option<Charge> {
        let refunded = self.latest_charge.as_ref().and_then(|charge| charge["amount_refunded"].as_i64());
        Some(Charge {
            id: ChargeId(self.id.clone()),
            payment: self.payment(site)?,
            amount: Paise::from_i64(self.amount)?,
            refunded: Paise::from_i64(refunded.unwrap_or_default())?,
            created_at: self.created_at(),
            state: self.state(),
        })
    }

    /// Returns what an event says; its kind matters only where the state alone does not tell.
    pub(super) fn news(&self, site: &str, kind: &str) -> News {
        let Some(payment) = self.payment(site) else { return News::Other };
        let (charge, amount) = (ChargeId(self.id.clone()), self.amount);
        match self.state() {
            ChargeState::Authorized => News::Authorized { payment, charge, amount },
            ChargeState::Captured => News::Captured { payment, charge, amount },
            ChargeState::Voided => News::Voided { payment, charge },
            _ if kind == "payment_intent.payment_failed" => News::Failed { payment, charge, reason: self.failure() },
            _ => News::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OURS: &str = "01010101-0101-0101-0101-010101010101";

    fn intent(status: &str, more: &Value) -> Intent {
        let mut value = json!({
            "id": "pi_1", "object": "payment_intent", "amount": 700, "currency": "inr", "created": 1_795_242_600,
            "status": status, "metadata": {MARK: OURS, SITE: "here"}, "client_secret": "pi_1_secret_x", "next_action": null,
            "last_payment_error": null, "latest_charge": "ch_1", "unknown": {"to": "us"},
        });
        let more = more.as_object().unwrap().clone();
        value.as_object_mut().unwrap().extend(more);
        read(value).unwrap()
    }

    #[test]
    fn every_status_means_something() {
        for (status, state) in [
            ("requires_payment_method", ChargeState::Failed),
            ("requires_confirmation", ChargeState::Open),
            ("requires_action", ChargeState::Open),
            ("processing", ChargeState::Open),
            ("requires_capture", ChargeState::Authorized),
            ("succeeded", ChargeState::Captured),
            ("canceled", ChargeState::Voided),
            ("something_new", ChargeState::Open),
        ] {
            assert_eq!(intent(status, &json!({})).state(), state, "{status}");
        }
    }

    #[test]
    fn what_the_buyer_must_do_is_a_page_or_stripes_script() {
        let redirect =
            json!({"next_action": {"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank/3ds"}}});
        let challenge = intent("requires_action", &redirect).challenge().unwrap();
        assert_eq!(challenge.page(), Some("https://bank/3ds"));
        let script = json!({"next_action": {"type": "use_stripe_sdk", "use_stripe_sdk": {}}});
        let challenge = intent("requires_action", &script).challenge().unwrap();
        assert_eq!((challenge.page(), challenge.0.as_str()), (None, "pi_1_secret_x"));
    }

    #[test]
    fn money_of_another_shop_is_not_seen() {
        for metadata in
            [json!({}), json!({MARK: "no uuid", SITE: "here"}), json!({MARK: OURS}), json!({MARK: OURS, SITE: "x"})]
        {
            let foreign = intent("succeeded", &json!({"metadata": metadata}));
            assert_eq!((foreign.charge("here"), foreign.news("here", "payment_intent.succeeded")), (None, News::Other));
        }
        let ours = intent("succeeded", &json!({"latest_charge": {"amount_refunded": 300}})).charge("here").unwrap();
        assert_eq!((ours.amount, ours.refunded), (Paise::new(700), Paise::new(300)));
    }
}
