//! The way from a hold to a booking: the money is set aside, the seats are secured, the money is taken, the booking is
//! written. A provider that takes the money at once goes the same way without the first steps.

use super::{Loaded, Step, Stop, Task, TaskKind, Verdict, payable};
use crate::domain::booking::{Booking, Reference};
use crate::domain::hold::{Hold, HoldState};
use crate::domain::inventory::{InventoryId, StockChange, StockMove};
use crate::domain::ledger::{Cause, Transfer};
use crate::domain::moment::Moment;
use crate::domain::payment::{Challenge, ChargeId, Payment, PaymentId, PaymentState};

/// Begins a payment: writes it down before the provider hears of it. It is over what the hold costs now, whatever the
/// caller read before: a part may have been given back since.
///
/// # Errors
/// [`Stop::Already`] for a replay of the same request, [`Stop::KeyReused`] for another request under the same key, and
/// whatever keeps the hold from being paid.
pub fn open_payment(loaded: &Loaded, payment: Payment, now: Moment) -> Verdict {
    if let Some(known) = &loaded.payment {
        let same = known.request_hash == payment.request_hash;
        return Err(if same { Stop::Already } else { Stop::KeyReused });
    }
    let mut hold = loaded.hold.clone().ok_or(Stop::NoSuchHold)?;
    payable(&hold, now)?;
    if hold.attempt.is_some() {
        return Err(Stop::PaymentInProgress);
    }
    let payment = Payment { amount: hold.amount(), ..payment };
    hold.attempt = Some(payment.id);
    Ok(Step { hold: Some(hold), payment: Some(payment), ..Step::default() })
}

/// Records that the provider waits for the buyer.
///
/// # Errors
/// [`Stop::Already`] when the payment has left `Pending`.
pub fn challenged(loaded: &Loaded, charge: &ChargeId, challenge: &Challenge, now: Moment) -> Verdict {
    let payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    if payment.state != PaymentState::Pending {
        return Err(Stop::Already);
    }
    let state = PaymentState::Challenged { charge: charge.clone(), challenge: challenge.clone() };
    Ok(Step { payment: Some(moved(payment, state, now)), ..Step::default() })
}

/// Records that the provider has set the money aside, by whichever way we came to know it.
///
/// The seats are secured at the same instant if the hold still keeps them, and then the money may be taken; otherwise
/// [`settle`] looks for seats first. The caller may have the money taken itself; the outbox does so from `due_at` on.
///
/// # Errors
/// [`Stop::Already`] when it was recorded before, or the charge is not this payment's; [`Stop::WrongAmount`] when the
/// provider set aside something else.
pub fn authorized(loaded: &Loaded, charge: &ChargeId, amount: i64, (now, due_at): (Moment, Moment)) -> Verdict {
    let payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    if payment.amount.get() != amount {
        return Err(Stop::WrongAmount);
    }
    match payment.state {
        _ if payment.state.knows_another(charge) => return Err(Stop::Already),
        PaymentState::Pending | PaymentState::Challenged { .. } | PaymentState::Failed { .. } => {}
        _ => return Err(Stop::Already),
    }
    let hold = loaded.hold.clone().and_then(|hold| secure(hold, &payment, now));
    let charge = charge.clone();
    let (state, kind) = match hold {
        Some(_) => (PaymentState::Capturing { charge }, TaskKind::Capture),
        None => (PaymentState::Authorized { charge }, TaskKind::Settle),
    };
    Ok(Step {
        hold,
        enqueue: Some((Task { kind, payment: payment.id }, due_at)),
        transfers: vec![Transfer::of_payment(Cause::Reserved, payment.amount)],
        payment: Some(moved(payment, state, now)),
        ..Step::default()
    })
}

/// Returns the hold as paid, if it still keeps its seats, costs what was paid and no other payment is under way for it.
fn secure(hold: Hold, payment: &Payment, now: Moment) -> Option<Hold> {
    let ours = hold.attempt.is_none_or(|attempt| attempt == payment.id) && hold.amount() == payment.amount;
    (hold.state == HoldState::Held && ours).then(|| paid(hold, payment.id, now))
}

fn paid(mut hold: Hold, payment: PaymentId, now: Moment) -> Hold {
    hold.attempt = Some(payment);
    hold.state = HoldState::Paid { payment, at: now };
    hold
}

/// Records that the provider took the money, by whichever way we came to know it.
///
/// With the seats secured it is a booking at once. If we had not asked for it (some ways to pay take the money at once)
/// the seats are secured if the hold still keeps them, and [`settle`] decides. If we had asked for the opposite, the
/// money goes back.
///
/// # Errors
/// [`Stop::Already`] when it was recorded before, or the charge is not this payment's; [`Stop::WrongAmount`] when the
/// provider took something else.
pub fn captured(loaded: &Loaded, charge: &ChargeId, amount: i64, now: Moment) -> Verdict {
    let payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    if payment.amount.get() != amount {
        return Err(Stop::WrongAmount);
    }
    if payment.state.knows_another(charge) {
        return Err(Stop::Already);
    }
    match payment.state {
        PaymentState::Capturing { .. } => Ok(captured_as_asked(loaded, payment, now)),
        PaymentState::Pending
        | PaymentState::Challenged { .. }
        | PaymentState::Failed { .. }
        | PaymentState::Authorized { .. } => Ok(captured_unasked(loaded, payment, charge, now)),
        PaymentState::Voiding { .. } | PaymentState::Voided { .. } => Ok(captured_unwanted(payment, charge, now)),
        _ => Err(Stop::Already),
    }
}

fn captured_as_asked(loaded: &Loaded, payment: Payment, now: Moment) -> Step {
    let hold = loaded.hold.clone().filter(|hold| paid_by(hold, payment.id));
    #[expect(
        clippy::expect_used,
        reason = "`authorized` and `settle` secure the seats in the step that begins capturing"
    )]
    let hold = hold.expect("what is being captured has its seats secured");
    let stock = hold.moves(StockMove::sell_held);
    let mut step = confirm(hold, payment, stock, now);
    let amount = step.booking.as_ref().map_or_else(Default::default, |booking| booking.amount);
    let before = [Cause::Released, Cause::Captured].map(|cause| Transfer::of_payment(cause, amount));
    step.transfers.splice(0..0, before);
    step.complete = step.complete.map(|task| Task { kind: TaskKind::Capture, ..task });
    step
}

fn paid_by(hold: &Hold, payment: PaymentId) -> bool {
    matches!(hold.state, HoldState::Paid { payment: by, .. } if by == payment)
}

fn captured_unasked(loaded: &Loaded, payment: Payment, charge: &ChargeId, now: Moment) -> Step {
    let set_aside = matches!(payment.state, PaymentState::Authorized { .. });
    let causes = if set_aside { &[Cause::Released, Cause::Captured][..] } else { &[Cause::Captured] };
    Step {
        hold: loaded.hold.clone().and_then(|hold| secure(hold, &payment, now)),
        // What is set aside waits to be settled already.
        enqueue: (!set_aside).then_some((Task { kind: TaskKind::Settle, payment: payment.id }, now)),
        transfers: causes.iter().map(|&cause| Transfer::of_payment(cause, payment.amount)).collect(),
        payment: Some(moved(payment, PaymentState::Captured { charge: charge.clone() }, now)),
        ..Step::default()
    }
}

fn captured_unwanted(payment: Payment, charge: &ChargeId, now: Moment) -> Step {
    let taken = Transfer::of_payment(Cause::Captured, payment.amount);
    let mut step = super::undoing::send_back(payment, charge.clone(), now);
    step.transfers.insert(0, taken);
    step.complete = step.complete.map(|task| Task { kind: TaskKind::Void, ..task });
    step
}

/// Records that the provider refused, and frees the hold for another try. `charge` is what it refused, if it says so.
///
/// # Errors
/// [`Stop::Already`] when money was set aside or taken, it was recorded before, or the charge is not this payment's:
/// nothing moves backwards.
pub fn fail(loaded: &Loaded, charge: Option<&ChargeId>, reason: &str, now: Moment) -> Verdict {
    let payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    if charge.is_some_and(|charge| payment.state.knows_another(charge)) {
        return Err(Stop::Already);
    }
    match payment.state {
        PaymentState::Pending | PaymentState::Challenged { .. } => {}
        _ => return Err(Stop::Already),
    }
    let state = PaymentState::Failed { reason: reason.to_owned() };
    Ok(Step { hold: freed(loaded, payment.id), payment: Some(moved(payment, state, now)), ..Step::default() })
}

/// Returns the hold without this payment, if it waits for this one and no other.
pub(super) fn freed(loaded: &Loaded, payment: PaymentId) -> Option<Hold> {
    let ours = |hold: &Hold| hold.attempt == Some(payment) && hold.state == HoldState::Held;
    loaded.hold.clone().filter(ours).map(|hold| Hold { attempt: None, ..hold })
}

/// Decides what becomes of money whose seats were not secured when we heard of it.
///
/// A hold that ran out is bought a second time while its row is still on sale, which `on_sale` tells, and seats are left;
/// the store answers [`Stop::SoldOut`] when none are, and the caller then asks [`super::undoing::give_up`].
///
/// # Errors
/// [`Stop::Already`] when it was decided before.
pub fn settle(loaded: &Loaded, on_sale: impl Fn(InventoryId) -> bool, now: Moment) -> Verdict {
    let payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    let give_up = || super::undoing::give_up(loaded, now);
    let Some(hold) = loaded.hold.clone() else {
        return give_up();
    };
    // A payment that failed leaves the hold open to be shrunk; money that comes late for it all the same buys nothing else.
    let lapsed = matches!(hold.state, HoldState::Expired { .. }) && hold.amount() == payment.amount;
    let on_sale = hold.lines.iter().all(|line| on_sale(line.inventory));
    match payment.state {
        PaymentState::Authorized { .. } if lapsed && on_sale => Ok(secure_again(hold, payment, now)),
        PaymentState::Captured { .. } if paid_by(&hold, payment.id) => {
            let stock = hold.moves(StockMove::sell_held);
            Ok(confirm(hold, payment, stock, now))
        }
        PaymentState::Captured { .. } if lapsed && on_sale => {
            let stock = hold.moves(StockMove::sell_available);
            Ok(confirm(hold, payment, stock, now))
        }
        _ => give_up(),
    }
}

fn secure_again(hold: Hold, payment: Payment, now: Moment) -> Step {
    let PaymentState::Authorized { charge } = payment.state.clone() else {
        unreachable!("only money that is set aside looks for seats");
    };
    Step {
        stock: hold.moves(StockMove::take),
        enqueue: Some((Task { kind: TaskKind::Capture, payment: payment.id }, now)),
        complete: Some(Task { kind: TaskKind::Settle, payment: payment.id }),
        hold: Some(paid(hold, payment.id, now)),
        payment: Some(moved(payment, PaymentState::Capturing { charge }, now)),
        ..Step::default()
    }
}

fn confirm(mut hold: Hold, payment: Payment, stock: Vec<StockChange>, now: Moment) -> Step {
    let (PaymentState::Captured { charge } | PaymentState::Capturing { charge }) = payment.state.clone() else {
        unreachable!("only money that is taken buys a booking");
    };
    let reference = Reference::of(hold.id);
    let booking = Booking {
        reference,
        hold: hold.id,
        payment: payment.id,
        lines: hold.lines.clone(),
        amount: hold.amount(),
        created_at: now,
        cancelled_at: None,
    };
    hold.attempt = Some(payment.id);
    hold.state = HoldState::Confirmed { payment: payment.id, booking: reference, at: now };
    Step {
        stock,
        complete: Some(Task { kind: TaskKind::Settle, payment: payment.id }),
        hold: Some(hold),
        transfers: vec![Transfer::of_payment(Cause::Sold, payment.amount)],
        payment: Some(moved(payment, PaymentState::Kept { charge, booking: reference }, now)),
        booking: Some(booking),
        enqueue: None,
        shrunk: None,
    }
}

/// Returns a payment in its next state.
pub(super) fn moved(payment: Payment, state: PaymentState, now: Moment) -> Payment {
    Payment { state, changed_at: now, ..payment }
}
