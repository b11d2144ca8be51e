//! Every way back: what was set aside is let go, what was taken is given back, and a booking is cancelled.

use super::paying::{freed, moved};
use super::{Loaded, Step, Stop, Task, TaskKind, Verdict};
use crate::domain::booking::Booking;
use crate::domain::hold::{Hold, HoldState};
use crate::domain::inventory::StockMove;
use crate::domain::ledger::{Cause, Transfer};
use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::payment::{ChargeId, Payment, PaymentId, PaymentState};

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

/// Decides that what is set aside is let go; or, for a payment that waits for a buyer who does not come, that it never
/// will be.
///
/// # Errors
/// [`Stop::Already`] when it was decided before, or the seats are secured.
pub fn void(loaded: &Loaded, now: Moment) -> Verdict {
    let payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    let (charge, set_aside) = match payment.state.clone() {
        PaymentState::Authorized { charge } => (charge, true),
        PaymentState::Challenged { charge, .. } => (charge, false),
        _ => return Err(Stop::Already),
    };
    Ok(Step {
        hold: freed(loaded, payment.id),
        enqueue: Some((Task { kind: TaskKind::Void, payment: payment.id }, now)),
        complete: Some(Task { kind: TaskKind::Settle, payment: payment.id }),
        transfers: set_aside.then_some(released(&payment)).into_iter().collect(),
        payment: Some(moved(payment, PaymentState::Voiding { charge }, now)),
        ..Step::default()
    })
}

const fn released(payment: &Payment) -> Transfer {
    Transfer { cause: Cause::Released, amount: payment.amount }
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
    let secured = |hold: &Hold| matches!(hold.state, HoldState::Paid { payment: by, .. } if by == payment.id);
    let hold = loaded.hold.clone().filter(secured);
    Ok(Step {
        stock: hold.as_ref().map(|hold| hold.moves(StockMove::release)).unwrap_or_default(),
        hold: hold.map(|hold| Hold { state: HoldState::Cancelled { at: now }, ..hold }),
        complete: Some(Task { kind, payment: payment.id }),
        transfers: vec![released(&payment)],
        payment: Some(moved(payment, PaymentState::Voided { charge }, now)),
        ..Step::default()
    })
}

/// Decides that captured money goes back.
///
/// # Errors
/// [`Stop::Already`] when it was decided before.
pub fn refund(loaded: &Loaded, now: Moment) -> Verdict {
    let payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    let PaymentState::Captured { charge } = payment.state.clone() else {
        return Err(Stop::Already);
    };
    let amount = payment.amount;
    Ok(Step {
        enqueue: Some((Task { kind: TaskKind::Refund, payment: payment.id }, now)),
        complete: Some(Task { kind: TaskKind::Settle, payment: payment.id }),
        transfers: vec![Transfer { cause: Cause::Owed, amount }],
        payment: Some(moved(payment, PaymentState::Refunding { charge, amount }, now)),
        ..Step::default()
    })
}

/// Records that the provider gave the money back.
///
/// # Errors
/// [`Stop::Already`] when no refund is under way.
pub fn refunded(loaded: &Loaded, now: Moment) -> Verdict {
    let payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    let PaymentState::Refunding { charge, amount } = payment.state.clone() else {
        return Err(Stop::Already);
    };
    Ok(Step {
        complete: Some(Task { kind: TaskKind::Refund, payment: payment.id }),
        transfers: vec![Transfer { cause: Cause::Refunded, amount }],
        payment: Some(moved(payment, PaymentState::Refunded { charge, amount }, now)),
        ..Step::default()
    })
}

/// Cancels a booking: its seats are on sale again at once, and `refund` of its money goes back.
///
/// # Errors
/// [`Stop::Already`] when it was cancelled before, [`Stop::NotBooked`] when hold, payment and booking are not of one
/// piece.
pub fn cancel_booking(loaded: &Loaded, booking: &Booking, refund: Paise, now: Moment) -> Verdict {
    let (hold, payment) = (loaded.hold.clone().ok_or(Stop::NoSuchHold)?, loaded.payment.clone());
    let payment = payment.ok_or(Stop::NoSuchPayment)?;
    let charge = match (&hold.state, payment.state.clone()) {
        (HoldState::Confirmed { booking: of, .. }, PaymentState::Kept { charge, .. }) if *of == booking.reference => {
            charge
        }
        (HoldState::Cancelled { .. }, PaymentState::Refunding { .. } | PaymentState::Refunded { .. }) => {
            return Err(Stop::Already);
        }
        _ => return Err(Stop::NotBooked),
    };
    assert!(refund <= payment.amount, "a refund is a part of what was paid");
    Ok(Step {
        stock: hold.moves(StockMove::take_back),
        hold: Some(Hold { state: HoldState::Cancelled { at: now }, ..hold }),
        booking: Some(Booking { cancelled_at: Some(now), ..booking.clone() }),
        enqueue: Some((Task { kind: TaskKind::Refund, payment: payment.id }, now)),
        transfers: parted(payment.amount, refund),
        payment: Some(moved(payment, PaymentState::Refunding { charge, amount: refund }, now)),
        complete: None,
        shrunk: None,
    })
}

/// Parts what a booking was sold for into what goes back and what is kept.
fn parted(amount: Paise, refund: Paise) -> Vec<Transfer> {
    let parts = [(Cause::Returned, refund), (Cause::Charged, amount.less(refund))];
    let transfers = parts.into_iter().map(|(cause, amount)| Transfer { cause, amount });
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
    let (state, kind, causes) = if taken {
        (PaymentState::Refunding { charge, amount }, TaskKind::Refund, &[Cause::Captured, Cause::Owed][..])
    } else {
        (PaymentState::Voiding { charge }, TaskKind::Void, &[][..])
    };
    let payment = Payment {
        id,
        hold: None,
        amount,
        method: "orphan".to_owned(),
        request_hash: [0; 32],
        created_at: now,
        changed_at: now,
        state,
    };
    Ok(Step {
        payment: Some(payment),
        enqueue: Some((Task { kind, payment: id }, now)),
        transfers: causes.iter().map(|&cause| Transfer { cause, amount }).collect(),
        ..Step::default()
    })
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
        TaskKind::Refund => matches!(state, Some(PaymentState::Refunding { .. })),
    };
    if needed {
        return Err(Stop::Already);
    }
    Ok(Step { complete: Some(task), ..Step::default() })
}
