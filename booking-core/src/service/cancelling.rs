//! Cancelling a booking: the seats are on sale again at once, and the money goes back as the rules say.

use std::sync::Arc;

use super::{Denied, Service};
use crate::domain::booking::{Booking, Reference, refund_percent};
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
    /// Whether it had been cancelled before.
    pub replayed: bool,
    /// Seats left on sale, of each row, if it was cancelled just now.
    pub stock: Vec<(InventoryId, u32)>,
}

impl Service {
    /// Reads a booking with its payment.
    ///
    /// # Errors
    /// [`Denied::NoSuchBooking`], [`Denied::Fault`].
    pub async fn find_booking(&self, reference: Reference) -> Result<BookingAnswer, Denied> {
        let booking = self.booking(reference).await?;
        let payment = self.store().payment(booking.payment).await?;
        let refund = self.refund_of(&booking);
        Ok(BookingAnswer { booking, payment, refund, replayed: false, stock: Vec::new() })
    }

    /// Returns what comes back if a booking is cancelled now.
    fn refund_of(&self, booking: &Booking) -> Option<Paise> {
        let first = booking.lines.iter().map(|line| line.inventory.date).min()?;
        let travel = Moment::beginning_in_india(first);
        let percent = refund_percent(&self.parts.terms.cancellation, travel, self.now())?;
        booking.cancelled_at.is_none().then(|| booking.amount.percent(percent))
    }

    /// Cancels a booking; saying so twice changes nothing.
    ///
    /// # Errors
    /// [`Denied::NoSuchBooking`], [`Stop::TooLateToCancel`], [`Denied::Fault`].
    pub async fn cancel_booking(self: &Arc<Self>, reference: Reference) -> Result<BookingAnswer, Denied> {
        let service = Arc::clone(self);
        self.detach(async move { service.cancel_booking_to_the_end(reference).await }).await
    }

    async fn cancel_booking_to_the_end(&self, reference: Reference) -> Result<BookingAnswer, Denied> {
        let known = self.find_booking(reference).await?;
        if known.booking.cancelled_at.is_some() {
            return Ok(BookingAnswer { replayed: true, ..known });
        }
        let refund = known.refund.ok_or(Stop::TooLateToCancel)?;
        let (booking, now) = (known.booking, self.now());
        let subject = Subject::Opening(booking.hold, booking.payment);
        let decide: Decide = Arc::new(move |loaded| order::cancel_booking(loaded, &booking, refund, now));
        let outcome = match self.parts.store.transact(subject, decide).await? {
            Ok(outcome) => outcome,
            Err(Stop::Already) => return Ok(BookingAnswer { replayed: true, ..self.find_booking(reference).await? }),
            Err(stop) => return Err(stop.into()),
        };
        self.after(&outcome);
        if let Some(hold) = &outcome.hold {
            self.unlock_hold(hold).await;
        }
        Ok(BookingAnswer { stock: outcome.stock(), ..self.find_booking(reference).await? })
    }
}
