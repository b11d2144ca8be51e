//! Giving back a part of what is held, or of what is booked.

use super::paying::moved;
use super::undoing::{begin_return, booked};
use super::{Loaded, Step, Stop, Task, TaskKind, Verdict};
use crate::domain::booking::{Booking, CancellationRule, refund_of};
use crate::domain::hold::{Hold, HoldState, Line};
use crate::domain::inventory::{InventoryId, StockChange, StockMove};
use crate::domain::moment::Moment;
use crate::domain::seat::SeatNumber;

/// Says what a buyer keeps of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// So many; of numbered seats those with the lowest numbers.
    Any(u32),
    /// These, in ascending order.
    Seats(Vec<SeatNumber>),
}

/// Gives back what a buyer does not keep of one row, before a payment has begun. The time to pay stays as it is.
///
/// # Errors
/// [`Stop::Already`] when the hold has just that, [`Stop::NotHeld`] when it has less or others, or nothing would be left,
/// and whatever keeps a hold from being paid.
pub fn shrink(loaded: &Loaded, row: InventoryId, keep: &Keep, now: Moment) -> Verdict {
    let mut hold = loaded.hold.clone().ok_or(Stop::NoSuchHold)?;
    check_open(&hold, now)?;
    let index = hold.lines.iter().position(|line| line.inventory == row).ok_or(Stop::NotHeld)?;
    let given_back = shorten(&mut hold.lines[index], keep)?;
    if hold.lines[index].quantity == 0 {
        return Err(Stop::NotHeld);
    }
    let stock = vec![on_sale_again(given_back, StockMove::release)];
    Ok(Step { hold: Some(hold), stock, shrunk: Some(index), ..Step::default() })
}

/// Gives back what a traveller does not keep of one row of a booking: the seats are on sale again at once, and of what
/// they cost goes back what the rules say. The rest of the booking stays as it is. To give all of it back is to cancel it.
///
/// # Errors
/// [`Stop::Already`] when the booking has just that, [`Stop::NotInBooking`] when it has less or others, or nothing would
/// be left of it, [`Stop::TooLateToCancel`], [`Stop::BookingCancelled`], and [`Stop::NotBooked`] when hold, payment and
/// booking are not of one piece.
pub fn give_back_part(
    loaded: &Loaded,
    booking: &Booking,
    (row, keep): (InventoryId, &Keep),
    rules: &[CancellationRule],
    now: Moment,
) -> Verdict {
    let (mut hold, mut payment, _) = booked(loaded, booking)?;
    let index = hold.lines.iter().position(|line| line.inventory == row).ok_or(Stop::NotInBooking)?;
    let shortened = shorten(&mut hold.lines[index], keep);
    let given_back = shortened.map_err(|stop| if stop == Stop::NotHeld { Stop::NotInBooking } else { stop })?;
    if hold.quantity() == 0 {
        return Err(Stop::NotInBooking);
    }
    let refund = refund_of(rules, std::slice::from_ref(&given_back), now).ok_or(Stop::TooLateToCancel)?;
    let transfers = begin_return(&mut payment, given_back.amount, refund, now);
    let state = payment.state.clone();
    Ok(Step {
        stock: vec![on_sale_again(given_back, StockMove::take_back)],
        booking: Some(Booking { lines: hold.lines.clone(), amount: hold.amount(), ..booking.clone() }),
        hold: Some(hold),
        shrunk: Some(index),
        enqueue: Some((Task { kind: TaskKind::Refund, payment: payment.id }, now)),
        transfers,
        payment: Some(moved(payment, state, now)),
        complete: None,
    })
}

fn check_open(hold: &Hold, now: Moment) -> Result<(), Stop> {
    match hold.state {
        HoldState::Held if hold.expires_at <= now => Err(Stop::HoldExpired),
        HoldState::Held if hold.attempt.is_some() => Err(Stop::PaymentInProgress),
        HoldState::Held => Ok(()),
        HoldState::Expired { .. } => Err(Stop::HoldExpired),
        HoldState::Cancelled { .. } => Err(Stop::HoldCancelled),
        HoldState::Paid { .. } | HoldState::Confirmed { .. } => Err(Stop::AlreadyPaid),
    }
}

/// Takes off a line what is not kept; returns that as a line of its own.
fn shorten(line: &mut Line, keep: &Keep) -> Result<Line, Stop> {
    let kept: Vec<SeatNumber> = match keep {
        Keep::Any(count) => line.seats.iter().copied().take(*count as usize).collect(),
        Keep::Seats(seats) if !line.seats.is_empty() => seats.clone(),
        Keep::Seats(_) => return Err(Stop::NotHeld),
    };
    let count = match keep {
        Keep::Any(count) => *count,
        Keep::Seats(seats) => seats.len() as u32,
    };
    let known = kept.iter().all(|seat| line.seats.contains(seat));
    match line.quantity {
        quantity if quantity == count && known => return Err(Stop::Already),
        quantity if count > quantity || !known => return Err(Stop::NotHeld),
        _ => {}
    }
    let (kept, seats) = line.seats.iter().partition(|seat| kept.contains(seat));
    let price = line.price_of(count);
    let quantity = line.quantity - count;
    let given_back = Line { quantity, amount: line.amount.less(price), seats, ..*line };
    (line.amount, line.quantity, line.seats) = (price, count, kept);
    Ok(given_back)
}

fn on_sale_again(line: Line, step: impl Fn(u32) -> StockMove) -> StockChange {
    StockChange { inventory: line.inventory, change: step(line.quantity), seats: line.seats }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hold::HoldId;
    use crate::domain::money::Paise;

    const NOW: Moment = Moment::from_ms(1_000);

    fn numbers(numbers: &[u32]) -> Vec<SeatNumber> {
        numbers.iter().copied().map(SeatNumber::new).collect()
    }

    fn row() -> InventoryId {
        "12951:2026-11-23:3A".parse().unwrap()
    }

    fn loaded(quantity: u32, seats: &[u32]) -> Loaded {
        let line = Line { inventory: row(), quantity, amount: Paise::new(100 * quantity), seats: numbers(seats) };
        let hold = Hold {
            id: HoldId::from_bytes([1; 16]),
            lines: vec![line],
            request_hash: [0; 32],
            created_at: NOW,
            expires_at: NOW.plus_ms(10),
            extensions: 0,
            attempt: None,
            state: HoldState::Held,
        };
        Loaded { hold: Some(hold), payment: None }
    }

    #[test]
    fn what_is_not_kept_goes_back() {
        for (quantity, seats, keep, kept, back) in [
            (3, vec![], Keep::Any(1), vec![], vec![]),
            (3, vec![4, 5, 6], Keep::Any(2), vec![4, 5], vec![6]),
            (3, vec![4, 5, 6], Keep::Seats(numbers(&[4, 6])), vec![4, 6], vec![5]),
        ] {
            let step = shrink(&loaded(quantity, &seats), row(), &keep, NOW).unwrap();
            let (hold, change) = (step.hold.unwrap(), &step.stock[0]);
            assert_eq!((&hold.first().seats, &change.seats), (&numbers(&kept), &numbers(&back)), "{keep:?}");
            assert_eq!(change.change, StockMove::release(quantity - hold.quantity()));
            assert_eq!(hold.amount(), Paise::new(100 * hold.quantity()));
        }
    }

    #[test]
    fn what_is_not_held_cannot_be_kept() {
        for (keep, stop) in [
            (Keep::Any(3), Stop::Already),
            (Keep::Any(0), Stop::NotHeld),
            (Keep::Any(4), Stop::NotHeld),
            (Keep::Seats(numbers(&[4, 5, 6])), Stop::Already),
            (Keep::Seats(numbers(&[7])), Stop::NotHeld),
            (Keep::Seats(vec![]), Stop::NotHeld),
        ] {
            assert_eq!(shrink(&loaded(3, &[4, 5, 6]), row(), &keep, NOW).unwrap_err(), stop, "{keep:?}");
        }
        assert_eq!(shrink(&loaded(3, &[]), row(), &Keep::Seats(numbers(&[4])), NOW).unwrap_err(), Stop::NotHeld);
        let late = shrink(&loaded(3, &[]), row(), &Keep::Any(1), NOW.plus_ms(10));
        assert_eq!(late.unwrap_err(), Stop::HoldExpired);
    }
}
