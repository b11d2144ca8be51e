//! A refund as Stripe writes it, and what it means here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::intent::{MARK, SITE};
use crate::domain::payment::PaymentId;
use crate::domain::refund::RefundNumber;
use crate::provider::{GivenBack, News, ProviderFault, RefundOrder};

/// What Stripe tells of refunds; the first two by its present names, the last by an older one.
pub(super) const EVENTS: [&str; 3] = ["refund.updated", "refund.failed", "charge.refund.updated"];

/// The key in Stripe's metadata under which the number of the refund stands. One without it is the first.
pub(super) const NUMBER: &str = "vestibule_refund";

/// How many refunds are remembered whose first keys are spent; when there are more, all are forgotten.
const SPENT: usize = 1_000;

/// Is what a part of Stripe's list says of one refund.
pub(super) struct Page {
    /// How it stands; `None` when it is not there.
    pub(super) stands: Option<GivenBack>,
    /// Where the list goes on; `None` at its end.
    pub(super) next: Option<String>,
}

/// Reads a part of the list.
///
/// # Errors
/// When it is not a list: then nothing tells that there is no refund.
pub(super) fn page(order: &RefundOrder, answer: &Value) -> Result<Page, ProviderFault> {
    let list = answer["data"].as_array().ok_or_else(|| ProviderFault("Stripe's list is not a list".to_owned()))?;
    let id = order.payment.to_string();
    let ours = |refund: &&Value| refund["metadata"][MARK] == id.as_str() && number(refund) == Some(order.number);
    let stands = list.iter().filter(ours).map(standing).fold(None, best);
    let last = list.last().filter(|_| answer["has_more"] == true);
    let next = last.map(|last| last["id"].as_str().map(str::to_owned));
    let nameless = || ProviderFault("Stripe's list has a refund without a name".to_owned());
    Ok(Page { stands, next: next.map(|next| next.ok_or_else(nameless)).transpose()? })
}

/// Returns the better of two: where the list has several under one number, the best of them counts, for no more can be
/// given back than was taken.
pub(super) fn best(one: Option<GivenBack>, other: Option<GivenBack>) -> Option<GivenBack> {
    let rank = |stands: &GivenBack| match stands {
        GivenBack::Done => 0,
        GivenBack::UnderWay => 1,
        GivenBack::Failed => 2,
    };
    one.into_iter().chain(other).min_by_key(rank)
}

/// Says what is asked for, in the words of Stripe's form.
pub(super) fn form(order: &RefundOrder, site: &str) -> [(String, String); 5] {
    let marked = |key: &str, value: &str| (format!("metadata[{key}]"), value.to_owned());
    [
        ("payment_intent".to_owned(), order.charge.0.clone()),
        ("amount".to_owned(), order.amount.get().to_string()),
        marked(MARK, &order.payment.to_string()),
        marked(SITE, site),
        marked(NUMBER, &order.number.to_string()),
    ]
}

/// Returns the idempotency key under which a refund is asked for when so many before it are spent.
pub(super) fn key(order: &RefundOrder, spent: u32) -> String {
    let RefundOrder { payment, number, .. } = order;
    let again = if spent == 0 { String::new() } else { format!(", again {spent}") };
    format!("refund {number} of {payment}{again}")
}

/// Remembers how many keys of a refund are spent: Stripe answered under each with a fault of its own, and repeats that. It
/// saves asking for them one by one the next time; a process that has forgotten it does so.
#[derive(Debug, Default)]
pub(super) struct SpentKeys(Mutex<HashMap<(PaymentId, RefundNumber), u32>>);

impl SpentKeys {
    pub(super) fn of(&self, order: &RefundOrder) -> u32 {
        let spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spent.get(&(order.payment, order.number)).copied().unwrap_or_default()
    }

    /// Takes note that the first `count` are. Two who find the same key spent at the same time note the same.
    pub(super) fn note(&self, order: &RefundOrder, count: u32) {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.len() >= SPENT {
            spent.clear();
        }
        let known = spent.entry((order.payment, order.number)).or_default();
        *known = (*known).max(count);
    }
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
        page(&order(1), &json!({"data": list})).unwrap().stands
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
        assert_eq!(page(&order(1), &foreign).unwrap().stands, None);
        assert!(page(&order(1), &json!({"error": "?"})).is_err());
        assert!(
            page(&order(1), &json!({"data": [{}], "has_more": true})).is_err(),
            "an end that cannot be gone on from"
        );
    }

    #[test]
    fn a_key_that_two_find_spent_is_one_key() {
        let spent = SpentKeys::default();
        for (noted, known) in [(1, 1), (1, 1), (2, 2), (1, 2)] {
            spent.note(&order(1), noted);
            assert_eq!((spent.of(&order(1)), spent.of(&order(2))), (known, 0));
        }
        assert_ne!(key(&order(1), 0), key(&order(1), 1));
    }

    #[test]
    fn each_number_stands_for_itself() {
        let list =
            json!({"data": [refund("succeeded", None), refund("failed", Some("2")), refund("pending", Some("x"))]});
        let stands = [1, 2, 3].map(|number| page(&order(number), &list).unwrap().stands);
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
