//! The shapes of a booking, and of the money that goes back of it.

use serde::Serialize;

use super::{CURRENCY, PracticeView, TrainView};
use crate::api::seats::ItemView;
use crate::domain::booking::Reference;
use crate::domain::hold::{HoldId, Line};
use crate::domain::inventory::{Class, InventoryId};
use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::payment::PaymentStatus;
use crate::domain::refund::{Refund, RefundNumber, Refunds};
use crate::service::Service;
use crate::service::cancelling::BookingAnswer;

/// A booking.
#[derive(Debug, Serialize)]
pub struct BookingView<'a> {
    reference: Reference,
    status: &'static str,
    inventory: InventoryId,
    train: Option<TrainView<'a>>,
    practice: Option<PracticeView<'a>>,
    date: String,
    class: Class,
    class_name: &'static str,
    /// Seats of all items.
    quantity: u32,
    amount_paise: Paise,
    currency: &'static str,
    /// What was bought, row by row; train, date and class above are the first one's.
    items: Vec<BookedView>,
    hold: HoldId,
    created_at: Moment,
    cancelled_at: Option<Moment>,
    /// What comes back if it is cancelled now; `null` when it cannot be.
    refund_if_cancelled_paise: Option<Paise>,
    /// What goes or went back in all, once it is cancelled or a part was given back.
    refund: Option<RefundView>,
    /// The same one by one.
    refunds: Vec<PartView>,
    now: Moment,
}

/// What a booking has of one row.
#[derive(Debug, Serialize)]
pub struct BookedView {
    #[serde(flatten)]
    item: ItemView,
    /// What comes back for each seat that is given back now; `null` when it is too late.
    refund_each_paise: Option<Paise>,
}

impl BookedView {
    fn of(service: &Service, answer: &BookingAnswer) -> Vec<Self> {
        let held = answer.booking.lines.iter().zip(&answer.refund_each).filter(|(line, _)| line.quantity > 0);
        let view = |(line, refund): (&Line, &Option<Paise>)| Self {
            item: ItemView::new(service.numbering(line.inventory), line),
            refund_each_paise: *refund,
        };
        held.map(view).collect()
    }
}

/// Money on its way back.
#[derive(Debug, Serialize)]
pub struct RefundView {
    amount_paise: Paise,
    /// `refunding` or `refunded`.
    status: PaymentStatus,
}

impl RefundView {
    fn of(refunds: &Refunds) -> Option<Self> {
        let over = refunds.under_way().next().is_none();
        let status = if over { PaymentStatus::Refunded } else { PaymentStatus::Refunding };
        Some(Self { amount_paise: refunds.due()?, status })
    }
}

/// One refund.
#[derive(Debug, Serialize)]
pub struct PartView {
    number: RefundNumber,
    amount_paise: Paise,
    /// What was kept of what was given back.
    charge_paise: Paise,
    /// `under_way`, `done`, or `failed`: then the next one with this amount stands in for it.
    status: &'static str,
    /// Since when.
    since: Moment,
}

impl From<&Refund> for PartView {
    fn from(refund: &Refund) -> Self {
        Self {
            number: refund.number,
            amount_paise: refund.amount,
            charge_paise: refund.charge,
            status: refund.state.word(),
            since: refund.changed_at,
        }
    }
}

impl<'a> BookingView<'a> {
    pub(in crate::api) fn new(service: &'a Service, answer: &BookingAnswer) -> Self {
        let booking = &answer.booking;
        let (catalogue, inventory) = (service.catalogue(), booking.first().inventory);
        let refunds = answer.payment.as_ref().map(|payment| &payment.refunds);
        Self {
            reference: booking.reference,
            status: if booking.cancelled_at.is_some() { "cancelled" } else { "confirmed" },
            inventory,
            train: TrainView::of(catalogue, inventory),
            practice: PracticeView::of(catalogue, inventory),
            date: inventory.date.to_string(),
            class: inventory.class,
            class_name: inventory.class.title(),
            quantity: booking.lines.iter().map(|line| line.quantity).sum(),
            amount_paise: booking.amount,
            currency: CURRENCY,
            items: BookedView::of(service, answer),
            hold: booking.hold,
            created_at: booking.created_at,
            cancelled_at: booking.cancelled_at,
            refund_if_cancelled_paise: answer.refund,
            refund: refunds.and_then(RefundView::of),
            refunds: refunds.map(|refunds| refunds.all().iter().map(PartView::from).collect()).unwrap_or_default(),
            now: service.now(),
        }
    }
}
