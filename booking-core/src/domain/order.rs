//! What may happen to a hold and its payments: every transition, each a pure function of (state, event, now).
//!
//! A function returns the [`Step`] to write or the [`Stop`] that says why nothing is written. The store runs it on rows
//! it has locked, so each transition happens at most once, whatever retries, webhooks, outbox and reaper do at once.

use super::booking::{Booking, Reference};
use super::hold::{Hold, HoldState};
use super::inventory::{InventoryId, StockChange, StockMove};
use super::moment::Moment;
use super::payment::{ChargeId, Payment, PaymentId, PaymentState};

pub mod shrinking;

pub use shrinking::{Keep, shrink};

/// Is what the store found: the hold and the payment a decision is about.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The hold, if there is one.
    pub hold: Option<Hold>,
    /// The payment, if there is one.
    pub payment: Option<Payment>,
}

/// Is what must be written, all of it in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The hold in its new state.
    pub hold: Option<Hold>,
    /// The payment, new or in its new state.
    pub payment: Option<Payment>,
    /// Seats of the hold that change their count, row by row in ascending order; refused as [`Stop::SoldOut`] when there
    /// are not enough, or when a numbered one has another owner.
    pub stock: Vec<StockChange>,
    /// Which line of the hold has become shorter, if one has.
    pub shrunk: Option<usize>,
    /// A booking that comes into being.
    pub booking: Option<Booking>,
    /// Work that must follow, whatever happens to this process.
    pub enqueue: Option<Task>,
    /// Work that is done by this step.
    pub complete: Option<Task>,
}

/// Names work the outbox must see through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// What is to be done.
    pub kind: TaskKind,
    /// For which payment.
    pub payment: PaymentId,
}

/// Says what the outbox is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// Turn captured money into a booking, or into a refund.
    Settle,
    /// Ask the provider to give money back.
    Refund,
}

impl TaskKind {
    /// Returns the word the databases store.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Settle => "settle",
            Self::Refund => "refund",
        }
    }

    /// Reads the word the databases store.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Settle, Self::Refund].into_iter().find(|kind| kind.word() == word)
    }
}

/// Says why a transition does not take place. None of these is a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It already took place, or something later did: there is nothing to do.
    Already,
    /// There is no such hold.
    NoSuchHold,
    /// There is no such payment.
    NoSuchPayment,
    /// The hold's time is not over yet.
    NotDue,
    /// The hold's time is over.
    HoldExpired,
    /// The buyer gave the seats back.
    HoldCancelled,
    /// The hold is paid for.
    AlreadyPaid,
    /// Another payment for the hold is under way.
    PaymentInProgress,
    /// The hold does not have what is to be kept of it.
    NotHeld,
    /// The idempotency key was used before, for something else.
    KeyReused,
    /// Too few seats are left.
    SoldOut,
    /// The money in question is another amount than the payment's.
    WrongAmount,
}

/// Is what a decision returns.
pub type Verdict = Result<Step, Stop>;

/// Lets a hold lapse whose time is over.
///
/// # Errors
/// [`Stop::NotDue`] before its time, [`Stop::Already`] when it has left `Held`.
pub fn expire(loaded: &Loaded, now: Moment) -> Verdict {
    let hold = loaded.hold.clone().ok_or(Stop::NoSuchHold)?;
    match hold.state {
        HoldState::Held if hold.expires_at > now => Err(Stop::NotDue),
        HoldState::Held => Ok(give_back(hold, HoldState::Expired { at: now })),
        _ => Err(Stop::Already),
    }
}

/// Gives a hold's seats back because the buyer says so.
///
/// # Errors
/// [`Stop::Already`] when cancelled before, [`Stop::HoldExpired`], or [`Stop::AlreadyPaid`].
pub fn cancel(loaded: &Loaded, now: Moment) -> Verdict {
    let hold = loaded.hold.clone().ok_or(Stop::NoSuchHold)?;
    match hold.state {
        HoldState::Held => Ok(give_back(hold, HoldState::Cancelled { at: now })),
        HoldState::Cancelled { .. } => Err(Stop::Already),
        HoldState::Expired { .. } => Err(Stop::HoldExpired),
        HoldState::Paid { .. } | HoldState::Confirmed { .. } => Err(Stop::AlreadyPaid),
    }
}

fn give_back(mut hold: Hold, state: HoldState) -> Step {
    let stock = hold.moves(StockMove::release);
    hold.state = state;
    Step { hold: Some(hold), stock, ..Step::default() }
}

/// Begins a payment: writes it down before the provider hears of it.
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
    match hold.state {
        HoldState::Held if hold.expires_at <= now => return Err(Stop::HoldExpired),
        HoldState::Held => {}
        HoldState::Expired { .. } => return Err(Stop::HoldExpired),
        HoldState::Cancelled { .. } => return Err(Stop::HoldCancelled),
        HoldState::Paid { .. } | HoldState::Confirmed { .. } => return Err(Stop::AlreadyPaid),
    }
    if hold.attempt.is_some() {
        return Err(Stop::PaymentInProgress);
    }
    assert_eq!(payment.amount, hold.amount(), "a payment is over what its hold costs");
    hold.attempt = Some(payment.id);
    Ok(Step { hold: Some(hold), payment: Some(payment), ..Step::default() })
}

/// Records that the provider took the money, by whichever way we came to know it.
///
/// The seats are secured at the same instant if the hold still keeps them; what the money bought is for
/// [`settle`] to decide.
///
/// # Errors
/// [`Stop::Already`] when it was recorded before; [`Stop::WrongAmount`] when the provider took something else.
pub fn capture(loaded: &Loaded, charge: &ChargeId, amount: i64, now: Moment) -> Verdict {
    let mut payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    if payment.amount.get() != amount {
        return Err(Stop::WrongAmount);
    }
    match payment.state {
        PaymentState::Pending | PaymentState::Failed { .. } => {}
        _ => return Err(Stop::Already),
    }
    let hold = loaded.hold.clone().and_then(|hold| secure(hold, payment.id, now));
    payment.state = PaymentState::Captured { charge: charge.clone() };
    payment.changed_at = now;
    let enqueue = Some(Task { kind: TaskKind::Settle, payment: payment.id });
    Ok(Step { hold, payment: Some(payment), enqueue, ..Step::default() })
}

/// Returns the hold as paid, if it still keeps its seats and no other payment is under way for it.
fn secure(mut hold: Hold, payment: PaymentId, now: Moment) -> Option<Hold> {
    let ours = hold.attempt.is_none_or(|attempt| attempt == payment);
    if hold.state != HoldState::Held || !ours {
        return None;
    }
    hold.attempt = Some(payment);
    hold.state = HoldState::Paid { payment, at: now };
    Some(hold)
}

/// Records that the provider refused, and frees the hold for another try.
///
/// # Errors
/// [`Stop::Already`] when the payment has left `Pending`: a failure that comes after the capture changes nothing.
pub fn fail(loaded: &Loaded, reason: &str, now: Moment) -> Verdict {
    let mut payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    if payment.state != PaymentState::Pending {
        return Err(Stop::Already);
    }
    let hold = loaded.hold.clone().filter(|hold| hold.attempt == Some(payment.id)).map(|mut hold| {
        hold.attempt = None;
        hold
    });
    payment.state = PaymentState::Failed { reason: reason.to_owned() };
    payment.changed_at = now;
    Ok(Step { hold, payment: Some(payment), ..Step::default() })
}

/// Decides what captured money bought: a booking, or its way back.
///
/// A hold that ran out is bought a second time while its row is still on sale, which `on_sale` tells, and seats are left;
/// the store answers [`Stop::SoldOut`] when none are, and the caller then asks [`refund`].
///
/// # Errors
/// [`Stop::Already`] when it was decided before.
pub fn settle(loaded: &Loaded, on_sale: impl Fn(InventoryId) -> bool, now: Moment) -> Verdict {
    let payment = captured(loaded)?;
    let Some(hold) = loaded.hold.clone() else {
        return refund(loaded, now);
    };
    match hold.state {
        HoldState::Paid { payment: by, .. } if by == payment.id => {
            let stock = hold.moves(StockMove::sell_held);
            Ok(confirm(hold, payment, stock, now))
        }
        HoldState::Expired { .. } if hold.lines.iter().all(|line| on_sale(line.inventory)) => {
            let stock = hold.moves(StockMove::sell_available);
            Ok(confirm(hold, payment, stock, now))
        }
        _ => refund(loaded, now),
    }
}

fn confirm(mut hold: Hold, mut payment: Payment, stock: Vec<StockChange>, now: Moment) -> Step {
    let PaymentState::Captured { charge } = payment.state else {
        unreachable!("only captured money is settled");
    };
    let reference = Reference::of(hold.id);
    let booking = Booking {
        reference,
        hold: hold.id,
        payment: payment.id,
        lines: hold.lines.clone(),
        amount: hold.amount(),
        created_at: now,
    };
    payment.state = PaymentState::Kept { charge, booking: reference };
    payment.changed_at = now;
    hold.attempt = Some(payment.id);
    hold.state = HoldState::Confirmed { payment: payment.id, booking: reference, at: now };
    Step {
        stock,
        complete: Some(Task { kind: TaskKind::Settle, payment: payment.id }),
        hold: Some(hold),
        payment: Some(payment),
        booking: Some(booking),
        enqueue: None,
        shrunk: None,
    }
}

/// Decides that captured money goes back.
///
/// # Errors
/// [`Stop::Already`] when it was decided before.
pub fn refund(loaded: &Loaded, now: Moment) -> Verdict {
    let mut payment = captured(loaded)?;
    let PaymentState::Captured { charge } = payment.state else {
        unreachable!("only captured money is refunded");
    };
    payment.state = PaymentState::Refunding { charge };
    payment.changed_at = now;
    Ok(Step {
        enqueue: Some(Task { kind: TaskKind::Refund, payment: payment.id }),
        complete: Some(Task { kind: TaskKind::Settle, payment: payment.id }),
        payment: Some(payment),
        ..Step::default()
    })
}

fn captured(loaded: &Loaded) -> Result<Payment, Stop> {
    let payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    match payment.state {
        PaymentState::Captured { .. } => Ok(payment),
        _ => Err(Stop::Already),
    }
}

/// Records that the provider gave the money back.
///
/// # Errors
/// [`Stop::Already`] when no refund is under way.
pub fn refunded(loaded: &Loaded, now: Moment) -> Verdict {
    let mut payment = loaded.payment.clone().ok_or(Stop::NoSuchPayment)?;
    let PaymentState::Refunding { charge } = payment.state else {
        return Err(Stop::Already);
    };
    payment.state = PaymentState::Refunded { charge };
    payment.changed_at = now;
    Ok(Step {
        complete: Some(Task { kind: TaskKind::Refund, payment: payment.id }),
        payment: Some(payment),
        ..Step::default()
    })
}

/// Takes charge of money the provider holds for us and we know nothing of, so that it goes back.
///
/// # Errors
/// [`Stop::Already`] when it was adopted before.
pub fn adopt(loaded: &Loaded, orphan: Payment) -> Verdict {
    if loaded.payment.is_some() {
        return Err(Stop::Already);
    }
    assert!(matches!(orphan.state, PaymentState::Refunding { .. }), "an orphan is only ever refunded");
    let enqueue = Some(Task { kind: TaskKind::Refund, payment: orphan.id });
    Ok(Step { payment: Some(orphan), enqueue, ..Step::default() })
}

/// Ends a task whose payment no longer needs it.
///
/// # Errors
/// [`Stop::Already`] while the payment still needs it.
pub fn tidy(loaded: &Loaded, task: Task) -> Verdict {
    let state = loaded.payment.as_ref().map(|payment| &payment.state);
    let needed = match task.kind {
        TaskKind::Settle => matches!(state, Some(PaymentState::Captured { .. })),
        TaskKind::Refund => matches!(state, Some(PaymentState::Refunding { .. })),
    };
    if needed {
        return Err(Stop::Already);
    }
    Ok(Step { complete: Some(task), ..Step::default() })
}
