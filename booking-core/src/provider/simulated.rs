//! A payment provider to try everything on: a bank of its own, behind its own HTTP listener, and the adapter that speaks
//! to it. What it does is chosen by the payment method, or by a script of faults (see [`faults`]).
//!
//! | method | what the bank does |
//! |---|---|
//! | `sim_ok` | sets the money aside, takes it when asked |
//! | `sim_instant` | takes the money at once, as some ways to pay do |
//! | `sim_challenge` | asks the buyer to confirm on a page of its own first |
//! | `sim_declined` | refuses |
//! | `sim_slow` | does it, after a while |
//! | `sim_hang` | never answers, never does it |
//! | `sim_late` | does not answer; does it later and says so by webhook |
//! | `sim_silent` | does not answer; does it later and tells nobody |
//! | `sim_repeat` | as `sim_ok`, with ten webhooks for each piece of news |
//! | `sim_error` | does it and then answers with garbage |

use std::time::Duration;

use async_trait::async_trait;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::wire::{BadAddress, Call, Wire};
use super::{
    BadNews, Charge, ChargeOrder, ChargePage, ChargeState, Charged, GivenBack, LetGo, News, Provider, ProviderFault,
    RefundOrder, Taken, signature,
};
use crate::domain::moment::Moment;
use crate::domain::payment::{Challenge, ChargeId};

pub mod account;

pub mod faults;

pub mod journal;

pub mod bank;

pub mod courier;

pub mod server;

pub mod house;

use account::{Account, Status, Telling};
use faults::Manner;

/// The header the signature travels in.
pub const SIGNATURE_HEADER: &str = "vestibule-provider-signature";

/// Speaks to a simulated bank over HTTP.
#[derive(Clone, Debug)]
pub struct SimulatedProvider {
    wire: Wire,
    secret: Vec<u8>,
}

impl SimulatedProvider {
    /// Opens the adapter for the bank at a base URL, which signs its webhooks with `secret`.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn new(base: &str, key: Option<&str>, secret: Vec<u8>, patience: Duration) -> Result<Self, BadAddress> {
        Ok(Self { wire: Wire::new(base, key, patience)?, secret })
    }

    async fn post(&self, path: String, key: String, body: Value) -> Result<(StatusCode, Account), ProviderFault> {
        let body = body.to_string().into_bytes();
        let call = Call { method: Method::POST, path, key: Some(key), content_type: "application/json", body };
        let (status, answer) = self.wire.call(call).await?;
        Ok((status, read_account(status, &answer)?))
    }
}

fn read_account(status: StatusCode, answer: &Value) -> Result<Account, ProviderFault> {
    Account::deserialize(answer).map_err(|_| ProviderFault(format!("it answered {status}: {}", answer["error"])))
}

/// Is a part of the bank's list on the wire.
#[derive(Deserialize)]
struct ListPage {
    charges: Vec<Account>,
    next: Option<String>,
}

impl Status {
    const fn state(self) -> ChargeState {
        match self {
            Self::Open => ChargeState::Open,
            Self::Authorized => ChargeState::Authorized,
            Self::Captured => ChargeState::Captured,
            Self::Voided => ChargeState::Voided,
            Self::Failed => ChargeState::Failed,
        }
    }
}

impl From<Account> for Charged {
    fn from(account: Account) -> Self {
        match account.status {
            Status::Authorized => Self::Authorized(account.id),
            Status::Captured => Self::Captured(account.id),
            Status::Open => Self::Challenged(account.id, Challenge(account.challenge.unwrap_or_default())),
            Status::Voided | Status::Failed => Self::Declined(account.reason.unwrap_or_default()),
        }
    }
}

impl From<Account> for Charge {
    fn from(account: Account) -> Self {
        Self {
            id: account.id,
            payment: account.payment,
            amount: account.amount_paise,
            refunded: account.refunded_paise,
            created_at: account.created_at,
            state: account.status.state(),
        }
    }
}

#[async_trait]
impl Provider for SimulatedProvider {
    fn accepts(&self, method: &str) -> bool {
        Manner::of(method).is_some()
    }

    async fn authorize(&self, order: &ChargeOrder) -> Result<Charged, ProviderFault> {
        let ChargeOrder { payment, amount, method, return_url, .. } = order;
        let body = json!({"payment": payment, "amount_paise": amount, "method": method, "return_url": return_url});
        let (_, made) = self.post("/charges".to_owned(), payment.to_string(), body).await?;
        Ok(made.into())
    }

    async fn look(&self, charge: &ChargeId) -> Result<Charged, ProviderFault> {
        let (status, answer) = self.wire.call(Call::get(format!("/charges/{}", charge.0))).await?;
        read_account(status, &answer).map(Charged::from)
    }

    async fn capture(&self, charge: &ChargeId) -> Result<Taken, ProviderFault> {
        let (_, made) = self.post(format!("/charges/{}/capture", charge.0), charge.0.clone(), json!({})).await?;
        match made.status {
            Status::Captured => Ok(Taken::Captured),
            Status::Voided | Status::Failed => Ok(Taken::Lost),
            other => Err(ProviderFault(format!("a capture left the charge {other:?}"))),
        }
    }

    async fn void(&self, charge: &ChargeId) -> Result<LetGo, ProviderFault> {
        let (_, made) = self.post(format!("/charges/{}/void", charge.0), charge.0.clone(), json!({})).await?;
        match made.status {
            Status::Voided | Status::Failed => Ok(LetGo::Voided),
            Status::Captured => Ok(LetGo::Captured),
            other => Err(ProviderFault(format!("a void left the charge {other:?}"))),
        }
    }

    async fn refund(&self, order: &RefundOrder) -> Result<GivenBack, ProviderFault> {
        let RefundOrder { charge, payment, number, amount } = order;
        let path = format!("/charges/{}/refunds", charge.0);
        let body = json!({"payment": payment, "amount_paise": amount, "number": number});
        let (_, made) = self.post(path, format!("refund {number} of {payment}"), body).await?;
        match made.refunds.iter().find(|refund| (refund.payment, refund.number) == (*payment, *number)) {
            Some(refund) if refund.failed => Ok(GivenBack::Failed),
            Some(_) => Ok(GivenBack::Done),
            None => Err(ProviderFault(format!("it knows nothing of refund {number} it was asked for"))),
        }
    }

    async fn list(&self, since: Moment, from: Option<&str>) -> Result<ChargePage, ProviderFault> {
        let from = from.map(|from| format!("&after={from}")).unwrap_or_default();
        let (_, answer) = self.wire.call(Call::get(format!("/charges?since={}{from}", since.as_ms()))).await?;
        let page: ListPage = serde_json::from_value(answer)
            .map_err(|error| ProviderFault(format!("its list cannot be read: {error}")))?;
        Ok(ChargePage { charges: page.charges.into_iter().map(Charge::from).collect(), next: page.next })
    }

    fn signature_header(&self) -> &'static str {
        SIGNATURE_HEADER
    }

    fn read_news(&self, now: Moment, header: &str, body: &[u8]) -> Result<News, BadNews> {
        signature::verify(&self.secret, now, header, body)?;
        let told: Telling = serde_json::from_slice(body).map_err(|error| BadNews::Body(error.to_string()))?;
        Ok(match told {
            Telling::Authorized { payment, charge, amount_paise } => {
                News::Authorized { payment, charge, amount: amount_paise }
            }
            Telling::Captured { payment, charge, amount_paise } => {
                News::Captured { payment, charge, amount: amount_paise }
            }
            Telling::Failed { payment, charge, reason } => News::Failed { payment, charge, reason },
            Telling::Voided { payment, charge } => News::Voided { payment, charge },
            Telling::RefundFailed { payment, number, .. } => News::RefundMoved { payment, number, failed: true },
        })
    }
}
