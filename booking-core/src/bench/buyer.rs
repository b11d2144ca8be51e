//! A client of a bench: asks for one seat after another.

use std::sync::Arc;
use std::time::Duration;

use super::http::Visit;
use crate::clock::Clock;
use crate::domain::inventory::InventoryId;
use crate::domain::payment::PaymentStatus;
use crate::service::Service;
use crate::service::holding::HoldOrder;
use crate::service::paying::PaymentOrder;

/// Is where a client asks.
pub(super) enum Counter {
    /// The service itself.
    Service(Arc<Service>),
    /// The API over a connection of its own.
    Http(Box<Visit>),
    /// The service itself, and the till.
    Purchase(Arc<Service>),
}

impl Counter {
    /// Asks once; tells whether it was granted.
    async fn ask(&mut self, row: InventoryId, key: String) -> bool {
        match self {
            Self::Service(service) => service.hold(HoldOrder::new(row, 1, key)).await.is_ok(),
            Self::Http(visit) => visit.hold(row, &key).await,
            Self::Purchase(service) => purchase(service, row, key).await,
        }
    }
}

async fn purchase(service: &Arc<Service>, row: InventoryId, key: String) -> bool {
    let Ok(held) = service.hold(HoldOrder::new(row, 1, key.clone())).await else {
        return false;
    };
    let order = PaymentOrder { hold: held.hold.id, method: "sim_ok".to_owned(), key };
    service.pay(order).await.is_ok_and(|paid| paid.payment.state.status() == PaymentStatus::Kept)
}

/// Is what one client came home with.
#[derive(Default)]
pub(super) struct Bought {
    /// How long each granted request took, in microseconds.
    pub(super) waits_us: Vec<u64>,
    pub(super) failed: u64,
}

pub(super) struct Buyer {
    pub(super) client: usize,
    pub(super) row: InventoryId,
    /// When to stop, on the stopwatch.
    pub(super) ends: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counter: Counter,
}

impl Buyer {
    pub(super) async fn buy(mut self) -> Bought {
        let (mut bought, name) = (Bought::default(), format!("bench-{}-{}-", self.row, self.client));
        for turn in 0_u64.. {
            let asked = self.clock.stopwatch();
            if asked >= self.ends {
                break;
            }
            let key = format!("{name}{turn}");
            if self.counter.ask(self.row, key).await {
                let wait = self.clock.stopwatch().saturating_sub(asked);
                bought.waits_us.push(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX));
            } else {
                bought.failed += 1;
            }
        }
        bought
    }
}
