//! Holding seats and giving them back.

use std::sync::Arc;

use super::seating::Wished;
use super::wanted::Wanted;
use super::{BadOrder, Denied, Item, SeatsTaken, Service, SoldOut, Want};
use crate::domain::hold::{Hold, HoldId, HoldState};
use crate::domain::inventory::{InventoryId, Offer};
use crate::domain::money::Paise;
use crate::domain::order::{self, Stop};
use crate::domain::seat::Numbering;
use crate::store::{OrderRequest, StoreError, Subject, TakeAnswer, TakeRequest};
use crate::teller::TellerError;

/// Is what a buyer wants to hold.
#[derive(Clone, Debug)]
pub struct HoldOrder {
    /// What, all of it or nothing.
    pub items: Vec<Item>,
    /// The buyer's idempotency key.
    pub key: String,
}

impl HoldOrder {
    /// Asks for so many seats of one row.
    #[must_use]
    pub fn new(inventory: InventoryId, quantity: u32, key: impl Into<String>) -> Self {
        Self { items: vec![Item { inventory, want: Want::Any(quantity) }], key: key.into() }
    }
}

/// Is a hold as it is now.
#[derive(Clone, Debug)]
pub struct HoldAnswer {
    /// The hold.
    pub hold: Hold,
    /// Whether an earlier request under the same key had made it.
    pub replayed: bool,
    /// Seats left on sale, of each row for which that is known.
    pub stock: Vec<(InventoryId, u32)>,
}

/// Is an order that today's rules allow: each line with what is offered.
type Judged = Vec<(Offer, TakeRequest)>;

/// Is an answer with what is left of each row it is about.
type Answered = (TakeAnswer, Vec<(InventoryId, u32)>);

impl Service {
    /// Holds seats, of one row or of several, all or nothing.
    ///
    /// The same key with the same order returns the same hold; nothing is taken twice.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn hold(self: &Arc<Self>, order: HoldOrder) -> Result<HoldAnswer, Denied> {
        let started = self.parts.clock.stopwatch();
        let outcome = if self.must_follow_up() {
            let service = Arc::clone(self);
            self.detach(async move { service.hold_to_the_end(order).await }).await
        } else {
            self.hold_to_the_end(order).await
        };
        let seconds = self.parts.clock.stopwatch().saturating_sub(started).as_secs_f64();
        self.parts.metrics.hold_seconds.observe(seconds);
        self.parts.metrics.holds.with_label_values(&[hold_result(&outcome)]).inc();
        outcome
    }

    /// Tells whether something must be done after seats were taken, even if nobody waits for the answer any more. The teller
    /// goes on by itself.
    fn must_follow_up(&self) -> bool {
        self.parts.seat_lock.is_some() || !self.store().databases().is_empty()
    }

    async fn hold_to_the_end(&self, order: HoldOrder) -> Result<HoldAnswer, Denied> {
        let wanted = Wanted::of(&order.items)?;
        let id = self.hold_id(&wanted, &order.key)?;
        let judged = match self.judge(&wanted, id) {
            Ok(judged) => judged,
            Err(denied) => return self.known_or(&wanted, id, denied).await,
        };
        let (answer, stock) = self.take_locked(&judged).await?;
        if self.belongs_elsewhere(&answer, &order.key).await {
            return Err(Stop::KeyReused.into());
        }
        self.answer(answer, stock).await
    }

    /// Judges an order by today's rules; returns what is offered and what is asked of each row.
    fn judge(&self, wanted: &Wanted, hold: HoldId) -> Result<Judged, Denied> {
        let most = self.parts.terms.most_seats;
        let too_many = wanted.quantity() > most;
        let (now, request_hash) = (self.now(), wanted.hash());
        let line = |item: &Item| {
            let (offer, quantity) = (self.offer(item.inventory)?, item.want.quantity());
            check_seats(&offer, &item.want)?;
            let amount = offer.price.times(quantity).filter(|_| quantity > 0 && !too_many);
            let amount = amount.ok_or(Denied::Quantity { most })?;
            let (wish, expires_at) = (item.want.wish(), now.plus_ms(self.parts.terms.hold_ms));
            Ok((offer, TakeRequest { hold, request_hash, quantity, wish, amount, created_at: now, expires_at }))
        };
        let judged = wanted.lines().iter().map(line).collect::<Result<Judged, Denied>>()?;
        let sum = judged.iter().try_fold(Paise::default(), |sum, (_, request)| sum.plus(request.amount));
        sum.map(|_| judged).ok_or(Denied::Quantity { most })
    }

    /// Names the hold that an order becomes: by its key, on the shard of its rows.
    ///
    /// So a key names one order on each shard; that it names only one on all of them is for [`super::elsewhere`] to see to.
    fn hold_id(&self, wanted: &Wanted, key: &str) -> Result<HoldId, BadOrder> {
        let mut places = wanted.lines().iter().map(|item| (item.inventory, self.store().place(item.inventory)));
        let (first, shard) = places.next().ok_or(BadOrder::Empty)?;
        match places.find(|(_, place)| *place != shard) {
            Some((other, _)) => Err(BadOrder::Apart(first, other)),
            None => Ok(self.ids.hold(key, shard)),
        }
    }

    /// Answers an order that today's rules refuse as it was answered before, if its key was.
    async fn known_or(&self, wanted: &Wanted, id: HoldId, denied: Denied) -> Result<HoldAnswer, Denied> {
        match self.store().hold(id).await? {
            Some(hold) if hold.request_hash == wanted.hash() => {
                Ok(HoldAnswer { hold, replayed: true, stock: Vec::new() })
            }
            Some(_) => Err(Stop::KeyReused.into()),
            None => Err(denied),
        }
    }

    /// Takes seats. Those that are chosen are locked first where the strategy says so, and stay locked if they are held.
    async fn take_locked(&self, judged: &Judged) -> Result<Answered, Denied> {
        let wished: Vec<Wished<'_>> = judged.iter().map(|(offer, request)| (offer.inventory, request)).collect();
        if let Some((row, others)) = self.lock_seats(&wished).await {
            let stock = self.listing(row).await.map(|listing| vec![(row, listing.seen.available)]);
            return Ok((TakeAnswer::SeatTaken(others), stock?));
        }
        let taken = self.take(judged).await;
        if !may_keep_seats(&taken) {
            self.unlock_seats(&wished).await;
        }
        let (answer, stock) = taken?;
        if let TakeAnswer::Granted(hold) = &answer {
            hold.lines.iter().for_each(|line| self.seat_maps.strike(line.inventory, &line.seats));
        }
        Ok((answer, stock))
    }

    /// Takes seats, and creates the rows if it turns out that somebody has emptied the database meanwhile.
    async fn take(&self, judged: &Judged) -> Result<Answered, Denied> {
        for (offer, _) in judged {
            self.ensure(*offer).await?;
        }
        match self.ask_teller(judged).await {
            Err(TellerError::Store(error)) if matches!(*error, StoreError::UnknownInventory(_)) => {
                let offers: Vec<Offer> = judged.iter().map(|(offer, _)| *offer).collect();
                self.parts.store.ensure(&offers).await?;
                Ok(self.ask_teller(judged).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    async fn ask_teller(&self, judged: &Judged) -> Result<Answered, TellerError> {
        if let [(offer, request)] = judged.as_slice() {
            let served = self.parts.teller.take(offer.inventory, request.clone()).await?;
            return Ok((served.answer, vec![(offer.inventory, served.available)]));
        }
        let lines = judged.iter().map(|(offer, request)| (offer.inventory, request.clone())).collect();
        let taken = self.parts.teller.take_order(OrderRequest { lines }).await?;
        Ok((taken.answer, taken.available))
    }

    async fn answer(&self, answer: TakeAnswer, stock: Vec<(InventoryId, u32)>) -> Result<HoldAnswer, Denied> {
        match (answer, stock.first().copied()) {
            (TakeAnswer::Granted(hold), _) => Ok(HoldAnswer { hold, replayed: false, stock }),
            (TakeAnswer::Replayed(hold), _) => Ok(HoldAnswer { hold, replayed: true, stock }),
            (TakeAnswer::KeyReused, _) => Err(Stop::KeyReused.into()),
            (TakeAnswer::SoldOut, Some((inventory, available))) => {
                let word = if available == 0 { self.sold_out_word(inventory).await } else { None };
                Err(Denied::SoldOut(SoldOut { inventory, available, word }))
            }
            (TakeAnswer::SeatTaken(taken), Some((inventory, available))) => {
                let free_nearby = self.free_nearby(inventory, &taken).await?;
                Err(Denied::SeatTaken(SeatsTaken { inventory, taken, free_nearby, available }))
            }
            (TakeAnswer::Contended | TakeAnswer::SoldOut | TakeAnswer::SeatTaken(_), _) => Err(Denied::Busy),
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

    /// Gives back what a buyer does not keep of one row of a hold; saying so twice changes nothing.
    ///
    /// # Errors
    /// [`Denied::State`] when it has not so much to keep, is being paid for or ran out; [`Denied::Fault`].
    pub async fn shrink(self: &Arc<Self>, id: HoldId, item: Item) -> Result<HoldAnswer, Denied> {
        let service = Arc::clone(self);
        self.detach(async move { service.shrink_to_the_end(id, item).await }).await
    }

    async fn shrink_to_the_end(&self, id: HoldId, item: Item) -> Result<HoldAnswer, Denied> {
        let (now, row, keep) = (self.now(), item.inventory, item.keep()?);
        let before = self.find_hold(id).await?;
        let decide = Arc::new(move |loaded: &order::Loaded| order::shrink(loaded, row, &keep, now));
        let outcome = match self.parts.store.transact(Subject::Hold(id), decide).await? {
            Ok(outcome) => outcome,
            Err(Stop::Already) => return Ok(HoldAnswer { hold: before, replayed: true, stock: Vec::new() }),
            Err(stop) => return Err(stop.into()),
        };
        outcome.left.iter().for_each(|left| self.changed(*left));
        let stock = outcome.stock();
        let hold = outcome.hold.ok_or(Stop::NoSuchHold)?;
        self.unlock_what_went(&before, &hold).await;
        Ok(HoldAnswer { hold, replayed: false, stock })
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

    pub(super) async fn change_hold(&self, id: HoldId, decide: crate::store::Decide) -> Result<HoldAnswer, Denied> {
        let outcome = match self.clerk.transact(Subject::Hold(id), decide).await? {
            Ok(outcome) => outcome,
            Err(Stop::Already) => {
                let hold = self.find_hold(id).await?;
                return Ok(HoldAnswer { hold, replayed: true, stock: Vec::new() });
            }
            Err(stop) => return Err(stop.into()),
        };
        outcome.left.iter().for_each(|left| self.changed(*left));
        let stock = outcome.stock();
        let hold = outcome.hold.ok_or(Stop::NoSuchHold)?;
        if !hold.state.keeps_seats() {
            self.unlock_hold(&hold).await;
        }
        Ok(HoldAnswer { hold, replayed: false, stock })
    }
}

/// Tells whether the seats asked for are the hold's now, or may be because nobody knows what became of the commit.
const fn may_keep_seats(taken: &Result<Answered, Denied>) -> bool {
    match taken {
        Ok((TakeAnswer::Granted(_), _)) | Err(Denied::Fault(_)) => true,
        Ok((TakeAnswer::Replayed(hold), _)) => {
            hold.state.keeps_seats() || matches!(hold.state, HoldState::Confirmed { .. })
        }
        _ => false,
    }
}

/// Checks that chosen seats are such as can be chosen.
fn check_seats(offer: &Offer, want: &Want) -> Result<(), BadOrder> {
    let Want::Seats(seats) = want else { return Ok(()) };
    if offer.numbering != Numbering::Seats {
        return Err(BadOrder::NotNumbered(offer.inventory));
    }
    let there = seats.iter().all(|seat| (1..=offer.capacity).contains(&seat.get()));
    there.then_some(()).ok_or(BadOrder::NoSuchSeat(offer.inventory))
}

const fn hold_result(outcome: &Result<HoldAnswer, Denied>) -> &'static str {
    match outcome {
        Ok(answer) if answer.replayed => "replayed",
        Ok(_) => "granted",
        Err(Denied::SoldOut(_)) => "sold_out",
        Err(Denied::SeatTaken(_)) => "seat_taken",
        Err(Denied::Busy) => "busy",
        Err(Denied::Fault(_) | Denied::Closing) => "failed",
        Err(_) => "refused",
    }
}
