//! A refund as Stripe writes it, and what it means here.

use serde_json::Value;

use super::intent::{MARK, SITE};
use crate::domain::payment::PaymentId;
use crate::provider::{GivenBack, News, ProviderFault};

/// What Stripe tells of refunds; the first two by its present names, the last by an older one.
pub(super) const EVENTS: [&str; 3] = ["refund.updated", "refund.failed", "charge.refund.updated"];

/// Sums up the refunds that were made for one payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refunds {
    /// How the one stands that did not fail, if there is one.
    pub(super) standing: Option<GivenBack>,
    /// How many failed.
    pub(super) failed: usize,
}

impl Refunds {
    /// Reads Stripe's list.
    ///
    /// # Errors
    /// When it is not a list: then nothing tells that there is no refund.
    pub(super) fn of(payment: PaymentId, answer: &Value) -> Result<Self, ProviderFault> {
        let list = answer["data"].as_array().ok_or_else(|| ProviderFault("Stripe's list is not a list".to_owned()))?;
        let id = payment.to_string();
        let ours = || list.iter().filter(|refund| refund["metadata"][MARK] == id.as_str());
        let standing = ours().filter_map(standing).min_by_key(|standing| *standing != GivenBack::Done);
        Ok(Self { standing, failed: ours().filter(|refund| has_failed(refund)).count() })
    }
}

fn has_failed(refund: &Value) -> bool {
    matches!(refund["status"].as_str(), Some("failed" | "canceled"))
}

/// Says how a refund stands; `None` when it failed, or is none. A status we do not know is one that may still change.
pub(super) fn standing(refund: &Value) -> Option<GivenBack> {
    match refund["status"].as_str()? {
        "succeeded" => Some(GivenBack::Done),
        _ if has_failed(refund) => None,
        _ => Some(GivenBack::UnderWay),
    }
}

/// Returns what an event about a refund says to the installation `site`.
pub(super) fn news(site: &str, refund: &Value) -> News {
    let metadata = &refund["metadata"];
    let payment = metadata[MARK].as_str().and_then(|id| id.parse().ok());
    match payment {
        Some(payment) if metadata[SITE] == site => News::RefundMoved { payment, failed: has_failed(refund) },
        _ => News::Other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OURS: &str = "01010101-0101-0101-0101-010101010101";

    fn refund(status: &str) -> Value {
        json!({"object": "refund", "status": status, "metadata": {MARK: OURS, SITE: "here"}})
    }

    fn refunds(statuses: &[&str]) -> Refunds {
        let list: Vec<Value> = statuses.iter().map(|status| refund(status)).collect();
        Refunds::of(OURS.parse().unwrap(), &json!({"data": list})).unwrap()
    }

    #[test]
    fn one_that_did_not_fail_stands_for_all() {
        for (statuses, standing, failed) in [
            (&[][..], None, 0),
            (&["failed", "canceled"], None, 2),
            (&["pending", "failed"], Some(GivenBack::UnderWay), 1),
            (&["requires_action"], Some(GivenBack::UnderWay), 0),
            (&["pending", "succeeded"], Some(GivenBack::Done), 0),
        ] {
            assert_eq!(refunds(statuses), Refunds { standing, failed }, "{statuses:?}");
        }
        let foreign = json!({"data": [{"status": "succeeded", "metadata": {}}]});
        assert_eq!(Refunds::of(OURS.parse().unwrap(), &foreign).unwrap(), Refunds { standing: None, failed: 0 });
        assert!(Refunds::of(OURS.parse().unwrap(), &json!({"error": "?"})).is_err());
    }

    #[test]
    fn only_a_refund_of_this_installation_is_news() {
        let payment = OURS.parse().unwrap();
        assert_eq!(news("here", &refund("pending")), News::RefundMoved { payment, failed: false });
        assert_eq!(news("here", &refund("failed")), News::RefundMoved { payment, failed: true });
        assert_eq!(news("elsewhere", &refund("failed")), News::Other);
        assert_eq!(news("here", &json!({"status": "failed"})), News::Other);
    }
}
