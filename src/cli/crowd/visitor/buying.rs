//! Holding, paying, and waiting for the booking.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::super::notes::{End, Purchase};
use super::super::wire::{Answer, Ask};
use super::{ERRORS_MAX, Visitor};

impl Visitor<'_> {
    /// Holds seats of `inventory`, pays if it is one to pay, and waits for the booking.
    pub(super) async fn buy(&mut self, inventory: &str) -> End {
        let path = format!("/api/holds?inventory={inventory}");
        let json = serde_json::json!({ "inventory": inventory, "quantity": self.scene.quantity }).to_string();
        let Some(answer) = self.insist(Ask::post(&path, json).once(self.key("hold"))).await else { return End::Served };
        match hold_of(&answer) {
            Ok(hold) => self.keep(&hold).await,
            Err(Refusal::SoldOut) => return self.be_told(),
            Err(Refusal::Other(kind)) => self.scene.tally.error(&kind),
        }
        End::Served
    }

    async fn keep(&mut self, hold: &str) {
        let _holding = self.scene.tally.holding.during();
        self.note.purchase = Purchase::Held;
        if !self.plan.pays {
            return;
        }
        let path = format!("/api/holds/{hold}/payments");
        let ask = Ask::post(&path, r#"{"method":"sim_ok"}"#.to_owned()).once(self.key("pay"));
        let answer = self.insist(ask).await;
        if let Some(answer) = answer.as_ref().filter(|answer| !answer.status.is_success()) {
            return self.scene.tally.error(&format!("payment_{}", answer.status.as_u16()));
        }
        // Without an answer the money may or may not have gone: only the hold can tell.
        self.note.purchase = Purchase::Paid;
        let payment = answer.and_then(|answer| id_in(&serde_json::from_slice(&answer.body).ok()?));
        self.settle(hold, payment.as_deref()).await;
    }

    /// Asks for the hold, and for the payment, until it ends in a booking or the money is back.
    async fn settle(&mut self, hold: &str, payment: Option<&str>) {
        let hold = format!("/api/holds/{hold}");
        let payment = payment.map(|id| format!("/api/payments/{id}"));
        let until = Instant::now() + self.scene.settling;
        let mut wait_ms = 100;
        while Instant::now() < until {
            let mut seen = self.look(&hold).await;
            if let (Purchase::Paid, Some(payment)) = (seen, &payment) {
                seen = self.look(payment).await;
            }
            match seen {
                Purchase::Booked => return self.book(),
                Purchase::Undone => {
                    self.scene.tally.error("payment_undone");
                    self.note.purchase = Purchase::Undone;
                    return;
                }
                _ => sleep(Duration::from_millis(wait_ms)).await,
            }
            wait_ms = (wait_ms * 2).min(2_000);
        }
    }

    async fn look(&mut self, path: &str) -> Purchase {
        let answer = self.insist(Ask::get(path)).await;
        answer.map_or(Purchase::Paid, |answer| settled(&answer.body))
    }

    fn book(&mut self) {
        self.note.purchase = Purchase::Booked;
        self.note.booked_ms = Some(self.now_ms());
        self.scene.tally.sold.up();
    }

    /// Asks until there is an answer that is not a passing failure; the key makes that safe.
    async fn insist(&mut self, ask: Ask<'_>) -> Option<Answer> {
        for attempt in 0..ERRORS_MAX {
            match self.ask(ask.clone()).await {
                Ok(answer) if !is_passing(answer.status) => return Some(answer),
                Ok(answer) => self.scene.tally.error(&format!("http_{}", answer.status.as_u16())),
                Err(fault) => {
                    self.scene.tally.error(fault.kind());
                    self.move_on();
                }
            }
            let backoff = 200 << attempt.min(4);
            self.pause(backoff, backoff * 2).await;
        }
        None
    }

    fn key(&self, step: &str) -> String {
        format!("crowd-{}-{}-{step}", self.scene.run, self.plan.index)
    }
}

/// A 429 is the line again, for a pass that has ended; it passes too.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    SoldOut,
    Other(String),
}

/// Reads the answer to a hold: its id, or why there is none.
fn hold_of(answer: &Answer) -> Result<String, Refusal> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let kind = body["type"].as_str().unwrap_or_default().replace('-', "_");
    if answer.status == StatusCode::GONE || (answer.status == StatusCode::CONFLICT && kind.contains("sold_out")) {
        return Err(Refusal::SoldOut);
    }
    let id = id_in(&body).filter(|_| answer.status.is_success());
    id.ok_or_else(|| Refusal::Other(format!("hold_{}", answer.status.as_u16())))
}

/// Returns the id of a hold or a payment, if a path can carry it as it is.
fn id_in(body: &Value) -> Option<String> {
    let sound = |id: &&str| id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    body["id"].as_str().filter(sound).map(str::to_owned)
}

/// Reads from a hold how its payment ended; `Paid` when that is open.
fn settled(body: &[u8]) -> Purchase {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut words = Vec::new();
    gather(&body, 0, &mut words);
    if words.contains(&"confirmed") {
        Purchase::Booked
    } else if words.iter().any(|word| matches!(*word, "refunded" | "voided" | "failed")) {
        Purchase::Undone
    } else {
        Purchase::Paid
    }
}

/// Gathers the words under `status` and `state`, of the hold itself and of the payment and booking in it.
fn gather<'a>(value: &'a Value, depth: u32, words: &mut Vec<&'a str>) {
    let Some(fields) = value.as_object().filter(|_| depth < 4) else {
        let items = value.as_array().into_iter().flatten();
        return items.take(16).for_each(|item| gather(item, depth + 1, words));
    };
    for (name, value) in fields {
        match value.as_str() {
            Some(word) if name == "status" || name == "state" => words.push(word),
            _ => gather(value, depth + 1, words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use hyper::HeaderMap;

    fn answer(code: u16, body: &'static str) -> Answer {
        let status = StatusCode::from_u16(code).unwrap();
        Answer { status, headers: HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn a_hold_is_an_id_or_a_reason() {
        assert_eq!(hold_of(&answer(201, r#"{"id":"a-1","status":"held"}"#)), Ok("a-1".to_owned()));
        assert_eq!(hold_of(&answer(409, r#"{"type":"/problems/sold_out"}"#)), Err(Refusal::SoldOut));
        assert_eq!(hold_of(&answer(410, "")), Err(Refusal::SoldOut));
        let taken = hold_of(&answer(409, r#"{"type":"/problems/seat_taken"}"#));
        assert_eq!(taken, Err(Refusal::Other("hold_409".to_owned())));
        assert_eq!(hold_of(&answer(201, r#"{"id":"../x"}"#)), Err(Refusal::Other("hold_201".to_owned())));
    }

    #[test]
    fn a_payment_is_settled_by_a_booking_or_a_refund() {
        assert_eq!(settled(br#"{"status":"paid"}"#), Purchase::Paid);
        assert_eq!(settled(br#"{"status":"confirmed","booking":"ABC"}"#), Purchase::Booked);
        assert_eq!(settled(br#"{"status":"expired","payment":{"state":"refunded"}}"#), Purchase::Undone);
        assert_eq!(settled(br#"{"status":"voided","hold_status":"expired"}"#), Purchase::Undone);
        assert_eq!(settled(b"nonsense"), Purchase::Paid);
    }
}
