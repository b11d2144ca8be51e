//! Cancelling a booking, or giving back a part of it: the seats are on sale again at once, and the money goes back as the
//! rules say.

use std::sync::Arc;

use super::{Denied, Item, Service};
use crate::domain::booking::{Booking, CancellationRule, Reference, refund_of};
use crate::domain::hold::{Hold, HoldState, Line};
use crate::domain::inventory::InventoryId;
use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::order::{self, Stop};
use crate::domain::payment::Payment;
use crate::store::{Decide, Subject};

/// Is a booking as it is now, with what was paid for it.
#[derive(Clone, Debug)]
pub struct BookingAnswer {
    /// The booking.
    pub booking: Booking,
    /// The payment that bought it.
    pub payment: Option<Payment>,
    /// What would come back if it were cancelled now; `None` when it is too late or it is cancelled already.
    pub refund: Option<Paise>,
    /// What would come back for one seat of each line; `None` as above, and where it has none.
    pub refund_each: Vec<Option<Paise>>,
    /// Whether it had been cancelled, or the part given back, before.
    pub replayed: bool,
    /// What was given back just now, row by row.
    pub given_back: Vec<GivenBack>,
}

/// Says what was given back of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenBack {
    /// Which row.
    pub inventory: InventoryId,
    /// Seats left on sale of it.
    pub available: u32,
    /// Whether there were none before.
    pub was_sold_out: bool,
}

impl Service {
    /// Reads a booking with its payment.
    ///
    /// # Errors
    /// [`Denied::NoSuchBooking`], [`Denied::Fault`].
    pub async fn find_booking(&self, reference: Reference) -> Result<BookingAnswer, Denied> {
        let booking = self.booking(reference).await?;
        let payment = self.store().payment(booking.payment).await?;
        let now = self.now();
        let back = |lines: &[Line]| {
            let back = refund_of(&self.parts.terms.cancellation, lines, now);
            back.filter(|_| booking.cancelled_at.is_none())
        };
        let (refund, refund_each) =
            (back(&booking.lines), booking.lines.iter().map(|line| back(&[line.one()])).collect());
        Ok(BookingAnswer { booking, payment, refund, refund_each, replayed: false, given_back: Vec::new() })
    }

    /// Cancels a booking; saying so twice changes nothing.
    ///
    /// # Errors
    /// [`Denied::NoSuchBooking`], [`Stop::TooLateToCancel`], [`Denied::Fault`].
    pub async fn cancel_booking(self: &Arc<Self>, reference: Reference) -> Result<BookingAnswer, Denied> {
        let service = Arc::clone(self);
        self.detach(async move {
            let (booking, rules, now) = service.undoing(reference).await?;
            let known = booking.clone();
            let decide: Decide = Arc::new(move |loaded| order::cancel_booking(loaded, &known, &rules, now));
            service.undo(&booking, decide).await
        })
        .await
    }

    /// Gives back what a traveller does not keep of one row of a booking; saying so twice changes nothing.
    ///
    /// # Errors
    /// [`Denied::NoSuchBooking`]; [`Denied::State`] when it was cancelled, has not so much to keep, nothing would be left of
    /// it, or it is too late; [`Denied::Fault`].
    pub async fn give_back_part(self: &Arc<Self>, reference: Reference, item: Item) -> Result<BookingAnswer, Denied> {
        let service = Arc::clone(self);
        self.detach(async move {
            let (row, keep) = (item.inventory, item.keep()?);
            let (booking, rules, now) = service.undoing(reference).await?;
            let known = booking.clone();
            let decide: Decide =
                Arc::new(move |loaded| order::give_back_part(loaded, &known, (row, &keep), &rules, now));
            service.undo(&booking, decide).await
        })
        .await
    }

    /// Returns what a decision about undoing a booking is made of.
    async fn undoing(&self, reference: Reference) -> Result<(Booking, Vec<CancellationRule>, Moment), Denied> {
        Ok((self.booking(reference).await?, self.parts.terms.cancellation.clone(), self.now()))
    }

    /// Has a decision about a booking written down, and tells whoever must know.
    async fn undo(&self, booking: &Booking, decide: Decide) -> Result<BookingAnswer, Denied> {
        let (subject, reference) = (Subject::Opening(booking.hold, booking.payment), booking.reference);
        let before = self.store().hold(booking.hold).await?;
        let outcome = match self.parts.store.transact(subject, decide).await? {
            Ok(outcome) => outcome,
            Err(Stop::Already) => return Ok(BookingAnswer { replayed: true, ..self.find_booking(reference).await? }),
            Err(stop) => return Err(stop.into()),
        };
        self.after(&outcome);
        self.return_nudge.ring();
        if let (Some(before), Some(now)) = (before, &outcome.hold) {
            self.unlock_given_back(&before, now).await;
        }
        let given_back = outcome.left.iter().map(|left| GivenBack {
            inventory: left.inventory,
            available: left.available,
            was_sold_out: left.was_zero,
        });
        Ok(BookingAnswer { given_back: given_back.collect(), ..self.find_booking(reference).await? })
    }

    async fn unlock_given_back(&self, before: &Hold, now: &Hold) {
        if matches!(now.state, HoldState::Confirmed { .. }) {
            self.unlock_what_went(before, now).await;
        } else {
            self.unlock_hold(now).await;
        }
    }
}
