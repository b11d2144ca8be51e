//! A refund as Stripe writes it, and what it means here.

use serde_json::Value;

use super::intent::{MARK, SITE};
use crate::domain::refund::RefundNumber;
use crate::provider::{GivenBack, News, ProviderFault, RefundOrder};

/// What Stripe tells of refunds; the first two by its present names, the last by an older one.
pub(super) const EVENTS: [&str; 3] = ["refund.updated", "refund.failed", "charge.refund.updated"];

/// The key in Stripe's metadata under which the number of the refund stands. One without it is the first.
pub(super) const NUMBER: &str = "vestibule_refund";

/// Says how a refund stands by Stripe's list; `None` when it is not there. Where the list has several under one number,
/// the best of them counts: no more can be given back than was taken.
///
/// # Errors
/// When it is not a list: then nothing tells that there is no refund.
pub(super) fn listed(order: &RefundOrder, answer: &Value) -> Result<Option<GivenBack>, ProviderFault> {
    let list = answer["data"].as_array().ok_or_else(|| ProviderFault("Stripe's list is not a list".to_owned()))?;
    let id = order.payment.to_string();
    let ours = |refund: &&Value| refund["metadata"][MARK] == id.as_str() && number(refund) == Some(order.number);
    let rank = |stands: &GivenBack| match stands {
        GivenBack::Done => 0,
        GivenBack::UnderWay => 1,
        GivenBack::Failed => 2,
    };
    Ok(list.iter().filter(ours).filter_map(standing).min_by_key(rank))
}

fn number(refund: &Value) -> Option<RefundNumber> {
    match &refund["metadata"][NUMBER] {
        Value::Null => Some(1),
        number => number.as_str()?.parse().ok(),
    }
}

/// Says how a refund stands; `None` when it is none. A status we do not know is one that may still change.
pub(super) fn standing(refund: &Value) -> Option<GivenBack> {
    Some(match refund["status"].as_str()? {
        "succeeded" => GivenBack::Done,
        "failed" | "canceled" => GivenBack::Failed,
        _ => GivenBack::UnderWay,
    })
}

/// Returns what an event about a refund says to the installation `site`.
pub(super) fn news(site: &str, refund: &Value) -> News {
    let metadata = &refund["metadata"];
    let payment = metadata[MARK].as_str().and_then(|id| id.parse().ok());
    match (payment, number(refund)) {
        (Some(payment), Some(number)) if metadata[SITE] == site => {
            News::RefundMoved { payment, number, failed: standing(refund) == Some(GivenBack::Failed) }
        }
        _ => News::Other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::money::Paise;
    use crate::domain::payment::ChargeId;

    const OURS: &str = "01010101-0101-0101-0101-010101010101";

    fn refund(status: &str, number: Option<&str>) -> Value {
        let mut metadata = json!({MARK: OURS, SITE: "here"});
        if let Some(number) = number {
            metadata[NUMBER] = number.into();
        }
        json!({"object": "refund", "status": status, "metadata": metadata})
    }

    fn order(number: RefundNumber) -> RefundOrder {
        let (charge, payment) = (ChargeId("pi_1".to_owned()), OURS.parse().unwrap());
        RefundOrder { charge, payment, number, amount: Paise::new(1) }
    }

    fn first(statuses: &[&str]) -> Option<GivenBack> {
        let list: Vec<Value> = statuses.iter().map(|status| refund(status, None)).collect();
        listed(&order(1), &json!({"data": list})).unwrap()
    }

    #[test]
    fn the_best_of_one_number_stands_for_all() {
        for (statuses, stands) in [
            (&[][..], None),
            (&["failed", "canceled"], Some(GivenBack::Failed)),
            (&["pending", "failed"], Some(GivenBack::UnderWay)),
            (&["requires_action"], Some(GivenBack::UnderWay)),
            (&["pending", "succeeded"], Some(GivenBack::Done)),
        ] {
            assert_eq!(first(statuses), stands, "{statuses:?}");
        }
        let foreign = json!({"data": [{"status": "succeeded", "metadata": {}}]});
        assert_eq!(listed(&order(1), &foreign), Ok(None));
        assert!(listed(&order(1), &json!({"error": "?"})).is_err());
    }

    #[test]
    fn each_number_stands_for_itself() {
        let list =
            json!({"data": [refund("succeeded", None), refund("failed", Some("2")), refund("pending", Some("x"))]});
        let stands = [1, 2, 3].map(|number| listed(&order(number), &list).unwrap());
        assert_eq!(stands, [Some(GivenBack::Done), Some(GivenBack::Failed), None]);
    }

    #[test]
    fn only_a_refund_of_this_installation_is_news() {
        let payment = OURS.parse().unwrap();
        let moved = |number, failed| News::RefundMoved { payment, number, failed };
        assert_eq!(news("here", &refund("pending", None)), moved(1, false));
        assert_eq!(news("here", &refund("failed", Some("2"))), moved(2, true));
        assert_eq!(news("elsewhere", &refund("failed", None)), News::Other);
        assert_eq!(news("here", &json!({"status": "failed"})), News::Other);
    }
}
