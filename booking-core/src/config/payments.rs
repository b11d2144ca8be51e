//! How money is taken: the part of the configuration about the provider.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::provider::simulated::bank::Tempo;
use crate::secret;

/// Says how money is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaymentRules {
    /// Who takes the money.
    pub provider: ProviderKind,
    /// Where the provider is: for the simulated one, a bank in this process when it is missing; for Stripe, Stripe.
    pub provider_url: Option<String>,
    /// The secret key calls to the provider carry.
    #[serde(deserialize_with = "secret::option")]
    pub provider_key: Option<String>,
    /// The secret the provider signs its webhooks with; a random one each start when it is missing and the bank is in
    /// this process.
    #[serde(deserialize_with = "secret::option")]
    pub webhook_secret: Option<String>,
    /// Where a buyer comes back to from a page at the bank, with `{hold}` for the hold's id.
    pub return_url: Option<String>,
    /// How long the provider may take to answer.
    pub provider_timeout_ms: u64,
    /// After how long a payment the provider does not know counts as failed.
    pub pending_seconds: u32,
    /// How long `sim_slow` takes.
    pub simulated_slow_ms: u64,
    /// After how long `sim_late` takes the money.
    pub simulated_late_ms: u64,
    /// The file in which the simulated bank in this process remembers its charges; in memory only when it is missing.
    pub simulated_state: Option<PathBuf>,
}

/// Names a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// A bank that takes no money, to try everything on.
    #[default]
    Simulated,
    /// Stripe.
    Stripe,
}

impl Default for PaymentRules {
    fn default() -> Self {
        Self {
            provider: ProviderKind::Simulated,
            provider_url: None,
            provider_key: None,
            webhook_secret: None,
            return_url: None,
            provider_timeout_ms: 8_000,
            pending_seconds: 120,
            simulated_slow_ms: 2_000,
            simulated_late_ms: 12_000,
            simulated_state: None,
        }
    }
}

impl PaymentRules {
    pub(crate) const fn tempo(&self) -> Tempo {
        Tempo {
            slow: Duration::from_millis(self.simulated_slow_ms),
            late: Duration::from_millis(self.simulated_late_ms),
        }
    }

    /// Tells whether the bank is to run in this process.
    #[must_use]
    pub fn bank_is_here(&self) -> bool {
        self.provider == ProviderKind::Simulated && self.provider_url.is_none()
    }

    /// Lists what does not make sense, in words.
    pub(super) fn problems(&self) -> Vec<String> {
        let stripe = self.provider == ProviderKind::Stripe;
        let page = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        let wrong = [
            (
                stripe && self.provider_key.is_none(),
                "payments.provider_key is missing; give Stripe's secret key (sk_…)",
            ),
            (
                !self.bank_is_here() && self.webhook_secret.as_ref().is_none_or(String::is_empty),
                "payments.webhook_secret is missing; give the secret the provider signs its webhooks with",
            ),
            (
                self.return_url.as_ref().is_some_and(|url| !page(url)),
                "payments.return_url must begin with https:// or http://, for example https://tickets.example/hold/{hold}",
            ),
        ];
        wrong.into_iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, words)| words.to_owned()).collect()
    }
}
