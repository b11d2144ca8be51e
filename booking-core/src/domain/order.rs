//! What may happen to a hold and its payments: every transition, each a pure function of (state, event, now).
//!
//! A function returns the [`Step`] to write or the [`Stop`] that says why nothing is written. The store runs it on rows
//! it has locked, so each transition happens at most once, whatever retries, webhooks, outbox and reaper do at once.
//!
//! What becomes of a hold by itself is here; [`paying`] is the way to a booking, [`undoing`] every way back.

use super::booking::Booking;
use super::hold::{Hold, HoldState};
use super::inventory::{StockChange, StockMove};
use super::ledger::Transfer;
use super::moment::Moment;
use super::payment::{Payment, PaymentId};

pub mod paying;

pub mod undoing;

pub use paying::{authorized, captured, challenged, fail, open_payment, settle};
pub use undoing::{
    Orphan, abandon, adopt, cancel_booking, give_up, lost, refund, refund_failed, refunded, refuse, tidy, void, voided,
};

pub mod shrinking;

pub use shrinking::{Keep, give_back_part, shrink};

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
    /// Which line of the hold, and of the booking if there is one, has become shorter, if one has.
    pub shrunk: Option<usize>,
    /// A booking that comes into being, is cancelled, or has become shorter.
    pub booking: Option<Booking>,
    /// What the ledger says of the payment's money.
    pub transfers: Vec<Transfer>,
    /// Work that must follow, whatever happens to this process, and from when on the outbox sees to it.
    pub enqueue: Option<(Task, Moment)>,
    /// Work that is done by this step.
    pub complete: Option<Task>,
}

impl Step {
    /// Tells whether it can share a commit with others: it can be written whatever the counts say, and it is one of those
    /// that are written so often that sharing is worth it.
    #[must_use]
    pub fn is_shareable(&self) -> bool {
        let takes = self.stock.iter().any(|change| change.change.available < 0 || change.change.owned() > 0);
        let cancels = self.booking.as_ref().is_some_and(|booking| booking.cancelled_at.is_some());
        !takes && !cancels && self.shrunk.is_none()
    }
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
    /// Find seats for money that is set aside or taken, or send it back.
    Settle,
    /// Ask the provider to take what is set aside.
    Capture,
    /// Ask the provider to let go what is set aside.
    Void,
    /// Ask the provider to give money back.
    Refund,
}

impl TaskKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Settle, Self::Capture, Self::Void, Self::Refund];

    /// Returns the word the databases store.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Settle => "settle",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
        }
    }

    /// Reads the word the databases store.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
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
    /// The hold was put off as often as it may be.
    NoExtensionLeft,
    /// It is not the next extension that is asked for.
    NotTheNextExtension,
    /// It is too late to cancel the booking.
    TooLateToCancel,
    /// The booking was not paid for by this payment.
    NotBooked,
    /// The booking was cancelled.
    BookingCancelled,
    /// The booking does not have what is to be kept of it, or all of it would go back.
    NotInBooking,
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

/// Says how often and by how much a hold's end may be put off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extensions {
    /// How often.
    pub most: u32,
    /// By how much each time, in milliseconds.
    pub each_ms: i64,
}

/// Puts off the end of a hold for the `number`-th time, counted from 1.
///
/// The number makes it safe to repeat: asking for the same one again changes nothing.
///
/// # Errors
/// [`Stop::Already`] when that extension was given before, [`Stop::NotTheNextExtension`], [`Stop::NoExtensionLeft`], and
/// whatever keeps the hold from being paid.
pub fn extend(loaded: &Loaded, number: u32, rule: Extensions, now: Moment) -> Verdict {
    let mut hold = loaded.hold.clone().ok_or(Stop::NoSuchHold)?;
    if (1..=hold.extensions).contains(&number) {
        return Err(Stop::Already);
    }
    payable(&hold, now)?;
    if hold.extensions >= rule.most {
        return Err(Stop::NoExtensionLeft);
    }
    if number != hold.extensions + 1 {
        return Err(Stop::NotTheNextExtension);
    }
    hold.extensions = number;
    hold.expires_at = hold.expires_at.plus_ms(rule.each_ms);
    Ok(Step { hold: Some(hold), ..Step::default() })
}

/// Tells whether a hold still promises its seats and waits for money.
fn payable(hold: &Hold, now: Moment) -> Result<(), Stop> {
    match hold.state {
        HoldState::Held if hold.expires_at <= now => Err(Stop::HoldExpired),
        HoldState::Held => Ok(()),
        HoldState::Expired { .. } => Err(Stop::HoldExpired),
        HoldState::Cancelled { .. } => Err(Stop::HoldCancelled),
        HoldState::Paid { .. } | HoldState::Confirmed { .. } => Err(Stop::AlreadyPaid),
    }
}

fn give_back(mut hold: Hold, state: HoldState) -> Step {
    let stock = hold.moves(StockMove::release);
    hold.state = state;
    Step { hold: Some(hold), stock, ..Step::default() }
}
