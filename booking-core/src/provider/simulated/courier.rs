//! Carries the bank's news to the merchant, signed, and again when it is not taken.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::SIGNATURE_HEADER;
use super::bank::Delivery;
use crate::clock::Clock;
use crate::provider::signature::sign;
use crate::provider::wire::{Call, Wire};

/// Deliveries under way at once.
const ABREAST: usize = 64;
/// How often one is tried.
const TRIES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Says where webhooks go.
#[derive(Clone, Debug)]
pub struct Address {
    /// The merchant.
    pub wire: Wire,
    /// The path there.
    pub path: String,
    /// What they are signed with.
    pub secret: Vec<u8>,
}

/// Carries news until stopped or until there is no more.
pub async fn run(mut inbox: mpsc::Receiver<Delivery>, to: Address, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let (to, tasks, places) = (Arc::new(to), TaskTracker::new(), Arc::new(Semaphore::new(ABREAST)));
    loop {
        let delivery = tokio::select! {
            () = stop.cancelled() => break,
            delivery = inbox.recv() => delivery,
        };
        let (Some(delivery), Ok(place)) = (delivery, Arc::clone(&places).acquire_owned().await) else { break };
        let (to, clock, stop) = (Arc::clone(&to), Arc::clone(&clock), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = carry(&to, delivery, &*clock) => {}
                () = stop.cancelled() => {}
            }
            drop(place);
        });
    }
    tasks.close();
    tasks.wait().await;
}

async fn carry(to: &Address, delivery: Delivery, clock: &dyn Clock) {
    tokio::time::sleep(delivery.delay).await;
    for attempt in 0..TRIES {
        match hand_over(to, &delivery.body, clock).await {
            Ok(()) => return,
            Err(reason) => tracing::debug!(reason, attempt, "a webhook was not taken"),
        }
        tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(attempt)).await;
    }
    tracing::warn!("a webhook was given up; the merchant will find it in the list");
}

/// Signs with the present time, each time anew: the merchant refuses what is old.
async fn hand_over(to: &Address, body: &[u8], clock: &dyn Clock) -> Result<(), String> {
    let signature = sign(&to.secret, clock.wall(), body);
    let call = Call {
        method: Method::POST,
        path: to.path.clone(),
        key: None,
        content_type: "application/json",
        body: body.to_vec(),
    };
    let answered =
        to.wire.call_with(call, &[(SIGNATURE_HEADER, &signature)]).await.map_err(|fault| fault.to_string())?;
    if answered.0.is_success() { Ok(()) } else { Err(format!("it answered {}", answered.0)) }
}
