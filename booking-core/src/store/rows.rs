//! Rows as the databases return them, and back into the domain; shared by all of them.

use super::judge::Shelf;
use super::{StockRow, StoreError, TurnedRow};
use crate::domain::booking::{Booking, Reference};
use crate::domain::hold::{Hold, HoldId, HoldState, HoldStatus, Line};
use crate::domain::inventory::{InventoryId, Stock};
use crate::domain::ledger::{Cause, Transfer};
use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::payment::{Challenge, ChargeId, Payment, PaymentId, PaymentState, PaymentStatus};
use crate::domain::placement::ShardNumber;
use crate::domain::refund::{Refund, RefundState, Refunds};
use crate::domain::seat::{Numbering, SeatNumber};

/// The columns of one line of a hold, with the name of its row.
pub(super) struct LineRow {
    pub inventory: String,
    pub quantity: i64,
    pub amount: i64,
    pub numbers: Option<String>,
}

/// The columns of a hold, with its first line.
pub(super) struct HoldRow {
    pub id: Vec<u8>,
    pub line: LineRow,
    /// How many lines are kept elsewhere.
    pub parts: i64,
    pub request_hash: Vec<u8>,
    pub status: String,
    pub created_at: i64,
    pub expires_at: i64,
    pub changed_at: i64,
    pub attempt: Option<Vec<u8>>,
    pub extensions: i64,
}

/// The columns of a payment.
pub(super) struct PaymentRow {
    pub id: Vec<u8>,
    pub hold: Option<Vec<u8>>,
    pub amount: i64,
    pub method: String,
    pub request_hash: Vec<u8>,
    pub status: String,
    pub charge: Option<String>,
    pub reason: Option<String>,
    pub created_at: i64,
    pub changed_at: i64,
    pub challenge: Option<String>,
    /// There exactly when there are refunds.
    pub refund: Option<i64>,
}

/// The columns of a refund, without its payment.
pub(super) struct RefundRow {
    pub number: i64,
    pub amount: i64,
    pub charge: i64,
    pub status: String,
    pub changed_at: i64,
}

/// The columns of a booking.
pub(super) struct BookingRow {
    pub hold: Vec<u8>,
    pub payment: Vec<u8>,
    pub amount: i64,
    pub created_at: i64,
    pub cancelled_at: Option<i64>,
}

/// The columns of a row of stock.
pub(super) struct InventoryRow {
    pub name: String,
    pub capacity: i64,
    pub available: i64,
    pub held: i64,
    pub sold: i64,
    pub price: i64,
    pub numbering: String,
    pub version: i64,
}

/// The columns of a row of stock that decide who gets what.
pub(super) struct ShelfRow {
    pub id: i64,
    pub capacity: i64,
    pub available: i64,
    pub numbering: String,
    pub version: i64,
}

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(format!("unreadable {what}"))
}

pub(super) fn count(value: i64) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|_| corrupt("count"))
}

pub(super) fn inventory_id(name: &str) -> Result<InventoryId, StoreError> {
    name.parse().map_err(|_| corrupt("inventory id"))
}

pub(super) fn bytes<const N: usize>(value: &[u8]) -> Result<[u8; N], StoreError> {
    value.try_into().map_err(|_| corrupt("id or hash"))
}

fn money(value: i64) -> Result<Paise, StoreError> {
    Paise::from_i64(value).ok_or_else(|| corrupt("amount"))
}

pub(super) fn payment_id(value: &[u8]) -> Result<PaymentId, StoreError> {
    bytes(value).map(PaymentId::from_bytes)
}

pub(super) fn hold_id(value: &[u8]) -> Result<HoldId, StoreError> {
    bytes(value).map(HoldId::from_bytes)
}

pub(super) fn shard_number(value: i64) -> Result<ShardNumber, StoreError> {
    let number = u8::try_from(value).ok().and_then(|number| ShardNumber::try_from(number).ok());
    number.ok_or_else(|| corrupt("shard number"))
}

pub(super) fn turned_row(name: &str, version: i64) -> Result<TurnedRow, StoreError> {
    Ok(TurnedRow { inventory: inventory_id(name)?, version: version.unsigned_abs() })
}

pub(super) fn numbering(word: &str) -> Result<Numbering, StoreError> {
    Numbering::from_word(word).ok_or_else(|| corrupt("numbering"))
}

pub(super) fn seat(number: i64) -> Result<SeatNumber, StoreError> {
    count(number).map(SeatNumber::new)
}

/// Writes seats the way the databases keep them; `None` for none.
pub(super) fn numbers(seats: &[SeatNumber]) -> Option<String> {
    let words: Vec<String> = seats.iter().map(SeatNumber::to_string).collect();
    (!words.is_empty()).then(|| words.join(","))
}

fn read_numbers(text: &str) -> Result<Vec<SeatNumber>, StoreError> {
    text.split(',').map(|word| word.parse().map(SeatNumber::new).map_err(|_| corrupt("seat number"))).collect()
}

impl LineRow {
    fn into_line(self) -> Result<Line, StoreError> {
        Ok(Line {
            inventory: inventory_id(&self.inventory)?,
            quantity: count(self.quantity)?,
            amount: money(self.amount)?,
            seats: self.numbers.as_deref().map(read_numbers).transpose()?.unwrap_or_default(),
        })
    }
}

impl HoldRow {
    /// Puts a hold together from its row and the lines that are kept elsewhere.
    pub(super) fn into_hold(self, parts: Vec<LineRow>) -> Result<Hold, StoreError> {
        let id = hold_id(&self.id)?;
        let attempt = self.attempt.as_deref().map(payment_id).transpose()?;
        let state = self.state(id, attempt)?;
        let lines = std::iter::once(self.line).chain(parts).map(LineRow::into_line);
        let mut lines = lines.collect::<Result<Vec<_>, _>>()?;
        lines.sort_by_key(|line| line.inventory);
        Ok(Hold {
            id,
            lines,
            request_hash: bytes(&self.request_hash)?,
            created_at: Moment::from_ms(self.created_at),
            expires_at: Moment::from_ms(self.expires_at),
            extensions: count(self.extensions)?,
            attempt,
            state,
        })
    }

    fn state(&self, id: HoldId, attempt: Option<PaymentId>) -> Result<HoldState, StoreError> {
        let at = Moment::from_ms(self.changed_at);
        let paid = || attempt.ok_or_else(|| corrupt("hold: paid by nothing"));
        Ok(match HoldStatus::from_word(&self.status).ok_or_else(|| corrupt("hold status"))? {
            HoldStatus::Held => HoldState::Held,
            HoldStatus::Paid => HoldState::Paid { payment: paid()?, at },
            HoldStatus::Confirmed => HoldState::Confirmed { payment: paid()?, booking: Reference::of(id), at },
            HoldStatus::Expired => HoldState::Expired { at },
            HoldStatus::Cancelled => HoldState::Cancelled { at },
        })
    }
}

/// Returns when a hold's state last changed, for the column that keeps it.
pub(super) const fn hold_changed_at(hold: &Hold) -> Moment {
    match hold.state {
        HoldState::Held => hold.created_at,
        HoldState::Paid { at, .. }
        | HoldState::Confirmed { at, .. }
        | HoldState::Expired { at }
        | HoldState::Cancelled { at } => at,
    }
}

impl PaymentRow {
    /// Puts a payment together from its row and its refunds, in the order of their numbers.
    pub(super) fn into_payment(self, refunds: Vec<RefundRow>) -> Result<Payment, StoreError> {
        let mut refunds = refunds.into_iter().map(RefundRow::into_refund).collect::<Result<Vec<_>, _>>()?;
        if refunds.is_empty() {
            refunds.extend(self.unnumbered_refund()?);
        }
        let hold = self.hold.as_deref().map(hold_id).transpose()?;
        Ok(Payment {
            id: payment_id(&self.id)?,
            hold,
            amount: money(self.amount)?,
            request_hash: bytes(&self.request_hash)?,
            created_at: Moment::from_ms(self.created_at),
            changed_at: Moment::from_ms(self.changed_at),
            refunds: Refunds::new(refunds),
            state: self.state(hold)?,
            method: self.method,
        })
    }

    /// Returns the refund of a payment that a copy from before refunds had numbers wrote down after the upgrade: it knew of
    /// one at most, and kept only its amount.
    fn unnumbered_refund(&self) -> Result<Option<Refund>, StoreError> {
        let state = match PaymentStatus::from_word(&self.status) {
            Some(PaymentStatus::Refunding) => RefundState::UnderWay,
            Some(PaymentStatus::Refunded) => RefundState::Done,
            _ => return Ok(None),
        };
        let (paid, amount) = (money(self.amount)?, money(self.refund.unwrap_or_default())?);
        let charge = paid.less(amount);
        Ok(Some(Refund { number: 1, amount, charge, state, changed_at: Moment::from_ms(self.changed_at) }))
    }

    fn state(&self, hold: Option<HoldId>) -> Result<PaymentState, StoreError> {
        let charge = || self.charge.clone().map(ChargeId).ok_or_else(|| corrupt("payment: no charge"));
        let challenge = || self.challenge.clone().map(Challenge).ok_or_else(|| corrupt("payment: no challenge"));
        Ok(match PaymentStatus::from_word(&self.status).ok_or_else(|| corrupt("payment status"))? {
            PaymentStatus::Pending => PaymentState::Pending,
            PaymentStatus::Failed => PaymentState::Failed { reason: self.reason.clone().unwrap_or_default() },
            PaymentStatus::Challenged => PaymentState::Challenged { charge: charge()?, challenge: challenge()? },
            PaymentStatus::Authorized => PaymentState::Authorized { charge: charge()? },
            PaymentStatus::Capturing => PaymentState::Capturing { charge: charge()? },
            PaymentStatus::Captured => PaymentState::Captured { charge: charge()? },
            PaymentStatus::Kept => {
                let hold = hold.ok_or_else(|| corrupt("payment: kept for no hold"))?;
                PaymentState::Kept { charge: charge()?, booking: Reference::of(hold) }
            }
            PaymentStatus::Voiding => PaymentState::Voiding { charge: charge()? },
            PaymentStatus::Voided => PaymentState::Voided { charge: charge()? },
            PaymentStatus::Refunding => PaymentState::Refunding { charge: charge()? },
            PaymentStatus::Refunded => PaymentState::Refunded { charge: charge()? },
        })
    }
}

impl RefundRow {
    fn into_refund(self) -> Result<Refund, StoreError> {
        Ok(Refund {
            number: u16::try_from(self.number).map_err(|_| corrupt("number of a refund"))?,
            amount: money(self.amount)?,
            charge: money(self.charge)?,
            state: RefundState::from_word(&self.status).ok_or_else(|| corrupt("refund status"))?,
            changed_at: Moment::from_ms(self.changed_at),
        })
    }
}

/// Returns why a payment failed, for the column that keeps it.
pub(super) fn failure_reason(payment: &Payment) -> Option<&str> {
    match &payment.state {
        PaymentState::Failed { reason } => Some(reason),
        _ => None,
    }
}

/// Returns what a payment waits for the buyer to do, for the column that keeps it.
pub(super) fn challenge(payment: &Payment) -> Option<&str> {
    match &payment.state {
        PaymentState::Challenged { challenge, .. } => Some(&challenge.0),
        _ => None,
    }
}

/// Reads a transfer of the ledger back; its accounts follow from its cause.
pub(super) fn transfer(cause: &str, amount: i64, refund: i64) -> Result<Transfer, StoreError> {
    let cause = Cause::from_word(cause).ok_or_else(|| corrupt("cause of a transfer"))?;
    let refund = u16::try_from(refund).map_err(|_| corrupt("number of a refund"))?;
    Ok(Transfer { cause, amount: money(amount)?, refund })
}

impl BookingRow {
    /// Puts a booking together from its row and the lines of its hold.
    pub(super) fn into_booking(self, lines: Vec<Line>) -> Result<Booking, StoreError> {
        let hold = hold_id(&self.hold)?;
        Ok(Booking {
            reference: Reference::of(hold),
            hold,
            payment: payment_id(&self.payment)?,
            lines,
            amount: money(self.amount)?,
            created_at: Moment::from_ms(self.created_at),
            cancelled_at: self.cancelled_at.map(Moment::from_ms),
        })
    }
}

impl InventoryRow {
    pub(super) fn into_stock(self) -> Result<StockRow, StoreError> {
        Ok(StockRow {
            inventory: inventory_id(&self.name)?,
            stock: Stock {
                capacity: count(self.capacity)?,
                available: count(self.available)?,
                held: count(self.held)?,
                sold: count(self.sold)?,
            },
            price: money(self.price)?,
            numbering: numbering(&self.numbering)?,
            version: self.version.unsigned_abs(),
        })
    }
}

impl ShelfRow {
    pub(super) fn into_shelf(self, row: InventoryId) -> Result<Shelf, StoreError> {
        Ok(Shelf {
            row,
            id: self.id,
            capacity: count(self.capacity)?,
            available: count(self.available)?,
            numbering: numbering(&self.numbering)?,
            version: self.version,
        })
    }
}
