//! Every way back: what was set aside is let go, what was taken is given back, and a booking is cancelled.

use super::paying::{freed, moved};
use super::{Loaded, Step, Stop, Task, TaskKind, Verdict};
use crate::domain::booking::{Booking, CancellationRule, refund_of};
use crate::domain::hold::{Hold, HoldState};
use crate::domain::inventory::StockMove;
use crate::domain::ledger::{Cause, Transfer};
use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::payment::{ChargeId, Payment, PaymentId, PaymentState};
use crate::domain::refund::{RefundNumber, RefundState, Refunds};

/// Decides that money which found no seats goes the way back it can: let go if it is set aside, given back if it is
/// taken.
///
/// # Errors
/// [`Stop::Already`] when it was decided before.
pub fn give_up(loaded: &Loaded, now: Moment) -> Verdict {
    match loaded.payment.as_ref().map(|payment| &payment.state) {
        Some(PaymentState::Captured { .. }) => refund(loaded, now),
        Some(PaymentState::Authorized { .. }) => void(loaded, now),
        Some(_) => Err(Stop::Already),
        None => Err(Stop::NoSuchPayment),
    }
}

/// Decides that what is set aside is let go.
///
/// # Errors
/// [`Stop::Already`] when it was decided before, or the seats are secured.
pub fn void(loaded: &Loaded, now: Moment) -> Verdict {
    let payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    let PaymentState::Authorized { charge } = payment.state.clone() else {
        return Err(Stop::Already);
    };
    let transfers = vec![released(&payment)];
    Ok(Step { transfers, ..let_go(loaded, payment, charge, now) })
}

/// Decides that nothing will be set aside for a charge that waits for a buyer who does not come. The answer that named the
/// charge may have been lost, and the payment be pending still.
///
/// # Errors
/// [`Stop::Already`] when it was decided before, the buyer came after all, or the charge is not this payment's.
pub fn abandon(loaded: &Loaded, charge: &ChargeId, now: Moment) -> Verdict {
    let payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    if payment.state.knows_another(charge) {
        return Err(Stop::Already);
    }
    match payment.state {
        PaymentState::Pending | PaymentState::Challenged { .. } => Ok(let_go(loaded, payment, charge.clone(), now)),
        _ => Err(Stop::Already),
    }
}

fn let_go(loaded: &Loaded, payment: Payment, charge: ChargeId, now: Moment) -> Step {
    Step {
        hold: freed(loaded, payment.id),
        enqueue: Some((Task { kind: TaskKind::Void, payment: payment.id }, now)),
        complete: Some(Task { kind: TaskKind::Settle, payment: payment.id }),
        payment: Some(moved(payment, PaymentState::Voiding { charge }, now)),
        ..Step::default()
    }
}

const fn released(payment: &Payment) -> Transfer {
    Transfer::of_payment(Cause::Released, payment.amount)
}

/// Records that the provider let go what was set aside, as it was asked to.
///
/// # Errors
/// [`Stop::Already`] when it was not being let go.
pub fn voided(loaded: &Loaded, now: Moment) -> Verdict {
    let payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    let PaymentState::Voiding { charge } = payment.state.clone() else {
        return Err(Stop::Already);
    };
    Ok(Step {
        complete: Some(Task { kind: TaskKind::Void, payment: payment.id }),
        payment: Some(moved(payment, PaymentState::Voided { charge }, now)),
        ..Step::default()
    })
}

/// Records that what was set aside is gone, though nobody here asked for that: it ran out at the bank, or the bank would
/// not give it after all. Seats that were secured for it go back on sale.
///
/// # Errors
/// [`Stop::Already`] when nothing was set aside any more, or the charge is not this payment's.
pub fn lost(loaded: &Loaded, charge: &ChargeId, now: Moment) -> Verdict {
    let payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    if payment.state.knows_another(charge) {
        return Err(Stop::Already);
    }
    let (charge, kind) = match payment.state.clone() {
        PaymentState::Voiding { .. } => return voided(loaded, now),
        PaymentState::Authorized { charge } => (charge, TaskKind::Settle),
        PaymentState::Capturing { charge } => (charge, TaskKind::Capture),
        _ => return Err(Stop::Already),
    };
    let unsecured = unsecured(loaded, payment.id, now);
    Ok(Step {
        complete: Some(Task { kind, payment: payment.id }),
        transfers: vec![released(&payment)],
        payment: Some(moved(payment, PaymentState::Voided { charge }, now)),
        ..unsecured
    })
}

/// Gives back the seats that were secured for a payment, if any were.
fn unsecured(loaded: &Loaded, payment: PaymentId, now: Moment) -> Step {
    let secured = |hold: &Hold| matches!(hold.state, HoldState::Paid { payment: by, .. } if by == payment);
    let hold = loaded.hold.clone().filter(secured);
    Step {
        stock: hold.as_ref().map(|hold| hold.moves(StockMove::release)).unwrap_or_default(),
        hold: hold.map(|hold| Hold { state: HoldState::Cancelled { at: now }, ..hold }),
        ..Step::default()
    }
}

/// Decides that captured money goes back.
///
/// # Errors
/// [`Stop::Already`] when it was decided before.
pub fn refund(loaded: &Loaded, now: Moment) -> Verdict {
    let payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    match payment.state.clone() {
        PaymentState::Captured { charge } => Ok(send_back(payment, charge, now)),
        _ => Err(Stop::Already),
    }
}

/// Decides that money which the provider has taken goes back though there were seats for it: the booking cannot be written,
/// for another has its reference. The seats go back on sale.
///
/// # Errors
/// [`Stop::Already`] when it was decided before.
pub fn refuse(loaded: &Loaded, now: Moment) -> Verdict {
    let payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    let (charge, causes, kind) = match payment.state.clone() {
        PaymentState::Captured { charge } => (charge, &[][..], TaskKind::Settle),
        // That it was taken is not written down yet.
        PaymentState::Capturing { charge } => (charge, &[Cause::Released, Cause::Captured][..], TaskKind::Capture),
        _ => return Err(Stop::Already),
    };
    let Step { hold, stock, .. } = unsecured(loaded, payment.id, now);
    let complete = Some(Task { kind, payment: payment.id });
    let taken: Vec<_> = causes.iter().map(|&cause| Transfer::of_payment(cause, payment.amount)).collect();
    let mut step = Step { hold, stock, complete, ..send_back(payment, charge, now) };
    step.transfers.splice(0..0, taken);
    Ok(step)
}

/// Sends all that was taken back to the buyer, who gets nothing for it.
pub(super) fn send_back(mut payment: Payment, charge: ChargeId, now: Moment) -> Step {
    let (id, amount) = (payment.id, payment.amount);
    let number = payment.refunds.begin(amount, Paise::default(), now);
    Step {
        enqueue: Some((refund_task(id), now)),
        complete: Some(Task { kind: TaskKind::Settle, payment: id }),
        transfers: vec![Transfer::of_refund(number, Cause::Owed, amount)],
        payment: Some(moved(payment, PaymentState::Refunding { charge }, now)),
        ..Step::default()
    }
}

const fn refund_task(payment: PaymentId) -> Task {
    Task { kind: TaskKind::Refund, payment }
}

/// Records that the provider gave the money of one refund back.
///
/// # Errors
/// [`Stop::Already`] when that refund is not under way.
pub fn refunded(loaded: &Loaded, number: RefundNumber, now: Moment) -> Verdict {
    let mut payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    let refund = payment.refunds.finish(number, now).ok_or(Stop::Already)?;
    let over = payment.refunds.under_way().next().is_none();
    let state = match payment.state.clone() {
        PaymentState::Refunding { charge } if over => PaymentState::Refunded { charge },
        state => state,
    };
    Ok(Step {
        complete: over.then_some(refund_task(payment.id)),
        transfers: vec![Transfer::of_refund(number, Cause::Refunded, refund.amount)],
        payment: Some(moved(payment, state, now)),
        ..Step::default()
    })
}

/// Records that a refund failed, be it that the provider would not make it or that the buyer's bank sent the money back
/// after it was done, and begins another in its place. What was decided about the booking stays decided.
///
/// # Errors
/// [`Stop::Already`] when that was recorded before, or so many have failed that only a person can help.
pub fn refund_failed(loaded: &Loaded, number: RefundNumber, now: Moment) -> Verdict {
    let mut payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    if !payment.refunds.has_room() {
        return Err(Stop::Already);
    }
    let before = payment.refunds.fail(number, now).ok_or(Stop::Already)?;
    payment.refunds.begin(before.amount, Paise::default(), now);
    let (was_done, bounced) =
        (before.state == RefundState::Done, Transfer::of_refund(number, Cause::Bounced, before.amount));
    let state = match payment.state.clone() {
        PaymentState::Refunded { charge } => PaymentState::Refunding { charge },
        state => state,
    };
    Ok(Step {
        // While one is under way there is the task that asks for it, which will ask for the next: later and later.
        enqueue: was_done.then_some((refund_task(payment.id), now)),
        transfers: was_done.then_some(bounced).into_iter().collect(),
        payment: Some(moved(payment, state, now)),
        ..Step::default()
    })
}

/// Cancels a booking: its seats are on sale again at once, and of its money goes back what the rules say.
///
/// # Errors
/// [`Stop::Already`] when it was cancelled before, [`Stop::TooLateToCancel`], and [`Stop::NotBooked`] when hold, payment
/// and booking are not of one piece.
pub fn cancel_booking(loaded: &Loaded, booking: &Booking, rules: &[CancellationRule], now: Moment) -> Verdict {
    let (hold, mut payment, charge) = booked(loaded, booking).map_err(|stop| match stop {
        Stop::BookingCancelled => Stop::Already,
        stop => stop,
    })?;
    let refund = refund_of(rules, &hold.lines, now).ok_or(Stop::TooLateToCancel)?;
    let transfers = begin_return(&mut payment, hold.amount(), refund, now);
    Ok(Step {
        stock: hold.moves(StockMove::take_back),
        hold: Some(Hold { state: HoldState::Cancelled { at: now }, ..hold }),
        booking: Some(Booking { cancelled_at: Some(now), ..booking.clone() }),
        enqueue: Some((refund_task(payment.id), now)),
        transfers,
        payment: Some(moved(payment, PaymentState::Refunding { charge }, now)),
        complete: None,
        shrunk: None,
    })
}

/// Returns the hold and the payment of a booking that stands, and the payment's charge.
///
/// # Errors
/// [`Stop::BookingCancelled`], or [`Stop::NotBooked`] when the three are not of one piece.
pub(super) fn booked(loaded: &Loaded, booking: &Booking) -> Result<(Hold, Payment, ChargeId), Stop> {
    let hold = loaded.hold.clone().ok_or(Stop::NoSuchHold)?;
    let payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    match (&hold.state, payment.state.clone()) {
        (HoldState::Confirmed { booking: of, .. }, PaymentState::Kept { charge, .. }) if *of == booking.reference => {
            Ok((hold, payment, charge))
        }
        (HoldState::Cancelled { .. }, PaymentState::Refunding { .. } | PaymentState::Refunded { .. }) => {
            Err(Stop::BookingCancelled)
        }
        _ => Err(Stop::NotBooked),
    }
}

/// Begins the refund of what was bought for `price`, and parts that into what goes back and what is kept.
pub(super) fn begin_return(payment: &mut Payment, price: Paise, refund: Paise, now: Moment) -> Vec<Transfer> {
    assert!(refund <= price, "a refund is a part of what was paid");
    let charge = price.less(refund);
    let number = payment.refunds.begin(refund, charge, now);
    let parts = [(Cause::Returned, refund), (Cause::Charged, charge)];
    let transfers = parts.into_iter().map(|(cause, amount)| Transfer::of_refund(number, cause, amount));
    transfers.filter(Transfer::moves_money).collect()
}

/// Is a charge at the provider that nobody here knows of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The payment under which it is seen off.
    pub payment: PaymentId,
    /// The charge.
    pub charge: ChargeId,
    /// How much of it is still there.
    pub amount: Paise,
    /// Whether it was taken, or only set aside.
    pub taken: bool,
}

/// Takes charge of money the provider holds for us and we know nothing of, so that it is let go or goes back.
///
/// # Errors
/// [`Stop::Already`] when it was adopted before.
pub fn adopt(loaded: &Loaded, orphan: Orphan, now: Moment) -> Verdict {
    if loaded.payment.is_some() {
        return Err(Stop::Already);
    }
    let Orphan { payment: id, charge, amount, taken } = orphan;
    let payment = Payment {
        id,
        hold: None,
        amount,
        method: "orphan".to_owned(),
        request_hash: [0; 32],
        created_at: now,
        changed_at: now,
        refunds: Refunds::default(),
        state: PaymentState::Voiding { charge: charge.clone() },
    };
    if !taken {
        let task = Task { kind: TaskKind::Void, payment: id };
        return Ok(Step { payment: Some(payment), enqueue: Some((task, now)), ..Step::default() });
    }
    let mut step = send_back(payment, charge, now);
    step.transfers.insert(0, Transfer::of_payment(Cause::Captured, amount));
    Ok(step)
}

/// Ends a task whose payment no longer needs it.
///
/// # Errors
/// [`Stop::Already`] while the payment still needs it.
pub fn tidy(loaded: &Loaded, task: Task) -> Verdict {
    let state = loaded.payment.as_ref().map(|payment| &payment.state);
    let needed = match task.kind {
        TaskKind::Settle => matches!(state, Some(PaymentState::Authorized { .. } | PaymentState::Captured { .. })),
        TaskKind::Capture => matches!(state, Some(PaymentState::Capturing { .. })),
        TaskKind::Void => matches!(state, Some(PaymentState::Voiding { .. })),
        TaskKind::Refund => {
            let under_way = |payment: &Payment| payment.refunds.under_way().next().is_some();
            matches!(state, Some(PaymentState::Refunding { .. })) || loaded.payment.as_ref().is_some_and(under_way)
        }
    };
    if needed {
        return Err(Stop::Already);
    }
    Ok(Step { complete: Some(task), ..Step::default() })
}
