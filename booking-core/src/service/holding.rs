//! Holding seats and giving them back.

use std::sync::Arc;

use super::{Denied, Service, SoldOut, request_hash};
use crate::domain::hold::{Hold, HoldId, RequestHash};
use crate::domain::inventory::{InventoryId, Offer};
use crate::domain::money::Paise;
use crate::domain::order::{self, Stop};
use crate::store::{StoreError, Subject, TakeAnswer, TakeRequest};
use crate::teller::{Served, TellerError};

/// Is what a buyer wants to hold.
#[derive(Clone, Debug)]
pub struct HoldOrder {
    /// The row.
    pub inventory: InventoryId,
    /// How many seats.
    pub quantity: u32,
    /// The buyer's idempotency key.
    pub key: String,
}

impl HoldOrder {
    fn hash(&self) -> RequestHash {
        request_hash(&[&self.inventory.to_string(), &self.quantity.to_string()])
    }
}

/// Is a hold as it is now.
#[derive(Clone, Debug)]
pub struct HoldAnswer {
    /// The hold.
    pub hold: Hold,
    /// Whether an earlier request under the same key had made it.
    pub replayed: bool,
    /// Seats left on sale, if that is known.
    pub available: Option<u32>,
}

impl Service {
    /// Holds seats.
    ///
    /// The same key with the same order returns the same hold; nothing is taken twice.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn hold(self: &Arc<Self>, order: HoldOrder) -> Result<HoldAnswer, Denied> {
        let started = self.parts.clock.stopwatch();
        let service = Arc::clone(self);
        let outcome = self.detach(async move { service.hold_to_the_end(order).await }).await;
        let seconds = self.parts.clock.stopwatch().saturating_sub(started).as_secs_f64();
        self.parts.metrics.hold_seconds.observe(seconds);
        self.parts.metrics.holds.with_label_values(&[hold_result(&outcome)]).inc();
        outcome
    }

    async fn hold_to_the_end(&self, order: HoldOrder) -> Result<HoldAnswer, Denied> {
        let (offer, amount) = match self.judge(&order) {
            Ok(judged) => judged,
            Err(denied) => return self.known_or(&order, denied).await,
        };
        let now = self.now();
        let request = TakeRequest {
            hold: self.ids.hold(&order.key),
            request_hash: order.hash(),
            quantity: order.quantity,
            amount,
            created_at: now,
            expires_at: now.plus_ms(self.parts.terms.hold_ms),
        };
        let served = self.take(offer, request).await?;
        self.changed(order.inventory, served.available, false);
        self.answer(order.inventory, served).await
    }

    /// Judges an order by today's rules; returns what is offered and what it costs.
    fn judge(&self, order: &HoldOrder) -> Result<(Offer, Paise), Denied> {
        let offer = self.offer(order.inventory)?;
        let most = self.parts.terms.most_seats;
        let amount = offer.price.times(order.quantity);
        match amount.filter(|_| (1..=most).contains(&order.quantity)) {
            Some(amount) => Ok((offer, amount)),
            None => Err(Denied::Quantity { most }),
        }
    }

    /// Answers an order that today's rules refuse as it was answered before, if its key was.
    async fn known_or(&self, order: &HoldOrder, denied: Denied) -> Result<HoldAnswer, Denied> {
        match self.store().hold(self.ids.hold(&order.key)).await? {
            Some(hold) if hold.request_hash == order.hash() => Ok(HoldAnswer { hold, replayed: true, available: None }),
            Some(_) => Err(Stop::KeyReused.into()),
            None => Err(denied),
        }
    }

    /// Takes seats, and creates the row if it turns out that somebody has emptied the database meanwhile.
    async fn take(&self, offer: Offer, request: TakeRequest) -> Result<Served, Denied> {
        self.ensure(offer).await?;
        match self.parts.teller.take(offer.inventory, request.clone()).await {
            Err(TellerError::Store(error)) if matches!(*error, StoreError::UnknownInventory(_)) => {
                self.parts.store.ensure(&[offer]).await?;
                Ok(self.parts.teller.take(offer.inventory, request).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    async fn answer(&self, inventory: InventoryId, served: Served) -> Result<HoldAnswer, Denied> {
        let available = served.available;
        match served.answer {
            TakeAnswer::Granted(hold) => Ok(HoldAnswer { hold, replayed: false, available: Some(available) }),
            TakeAnswer::Replayed(hold) => Ok(HoldAnswer { hold, replayed: true, available: Some(available) }),
            TakeAnswer::KeyReused => Err(Stop::KeyReused.into()),
            TakeAnswer::SoldOut => {
                let ttl_seconds = self.sold_out_ttl(inventory).await;
                Err(Denied::SoldOut(SoldOut { inventory, available, ttl_seconds }))
            }
        }
    }

    /// Reads a hold.
    ///
    /// # Errors
    /// [`Stop::NoSuchHold`], [`Denied::Fault`].
    pub async fn find_hold(&self, id: HoldId) -> Result<Hold, Denied> {
        self.store().hold(id).await?.ok_or_else(|| Stop::NoSuchHold.into())
    }

    /// Gives a hold's seats back; saying so twice changes nothing.
    ///
    /// # Errors
    /// [`Denied::State`] when it is paid for or ran out, [`Denied::Fault`].
    pub async fn cancel(self: &Arc<Self>, id: HoldId) -> Result<HoldAnswer, Denied> {
        let service = Arc::clone(self);
        self.detach(async move {
            let now = service.now();
            service.change_hold(id, Arc::new(move |loaded| order::cancel(loaded, now))).await
        })
        .await
    }

    /// Puts off the end of a hold for the `number`-th time; saying so twice changes nothing.
    ///
    /// # Errors
    /// [`Denied::State`] when it is paid for, ran out or was put off as often as it may be; [`Denied::Fault`].
    pub async fn extend(self: &Arc<Self>, id: HoldId, number: u32) -> Result<HoldAnswer, Denied> {
        let service = Arc::clone(self);
        self.detach(async move {
            let (now, rule) = (service.now(), service.parts.terms.extensions);
            let decide = Arc::new(move |loaded: &order::Loaded| order::extend(loaded, number, rule, now));
            service.change_hold(id, decide).await
        })
        .await
    }

    /// Lets a hold lapse whose time is over; `false` when there was nothing to do.
    ///
    /// # Errors
    /// [`Denied::Fault`].
    pub async fn expire(&self, id: HoldId) -> Result<bool, Denied> {
        let now = self.now();
        match self.change_hold(id, Arc::new(move |loaded| order::expire(loaded, now))).await {
            Ok(answer) => Ok(!answer.replayed),
            Err(Denied::State(_)) => Ok(false),
            Err(denied) => Err(denied),
        }
    }

    async fn change_hold(&self, id: HoldId, decide: crate::store::Decide) -> Result<HoldAnswer, Denied> {
        let outcome = match self.parts.store.transact(Subject::Hold(id), decide).await? {
            Ok(outcome) => outcome,
            Err(Stop::Already) => {
                let hold = self.find_hold(id).await?;
                return Ok(HoldAnswer { hold, replayed: true, available: None });
            }
            Err(stop) => return Err(stop.into()),
        };
        let hold = outcome.hold.ok_or(Stop::NoSuchHold)?;
        if let Some((inventory, available)) = outcome.available {
            self.changed(inventory, available, available == hold.quantity);
        }
        Ok(HoldAnswer { hold, replayed: false, available: outcome.available.map(|(_, available)| available) })
    }
}

const fn hold_result(outcome: &Result<HoldAnswer, Denied>) -> &'static str {
    match outcome {
        Ok(answer) if answer.replayed => "replayed",
        Ok(_) => "granted",
        Err(Denied::SoldOut(_)) => "sold_out",
        Err(Denied::Busy) => "busy",
        Err(Denied::Fault(_) | Denied::Closing) => "failed",
        Err(_) => "refused",
    }
}
