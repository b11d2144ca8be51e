//! A booking: seats that are sold, and the reference a traveller shows.

use super::hold::Line;
pub use super::id::{BadReference, Reference};
use serde::{Deserialize, Serialize};

use super::id::{HoldId, PaymentId};
use super::moment::Moment;
use super::money::Paise;

/// Records seats that are sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    /// What the traveller shows.
    pub reference: Reference,
    /// The hold it came from.
    pub hold: HoldId,
    /// The payment that bought it.
    pub payment: PaymentId,
    /// What of it is still the traveller's, row by row: the lines of the hold.
    pub lines: Vec<Line>,
    /// What was paid for that.
    pub amount: Paise,
    /// When it was confirmed.
    pub created_at: Moment,
    /// When it was cancelled, if it was; its seats are on sale again since then.
    pub cancelled_at: Option<Moment>,
}

impl Booking {
    /// Returns the first line that has seats.
    #[must_use]
    pub fn first(&self) -> &Line {
        self.lines.iter().find(|line| line.quantity > 0).unwrap_or(&self.lines[0])
    }
}

/// Says how much of a booking's price goes back when it is cancelled in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancellationRule {
    /// In time is at least so many hours before the day of travel begins.
    pub hours_before: u32,
    /// So many hundredths of the price go back, from 0 to 100.
    pub percent: u8,
}

/// Returns what comes back for seats that are given back now, by the first day on which any of them is for; `None` when it
/// is too late.
#[must_use]
pub fn refund_of(rules: &[CancellationRule], lines: &[Line], now: Moment) -> Option<Paise> {
    let held = || lines.iter().filter(|line| line.quantity > 0);
    let travel = Moment::beginning_in_india(held().map(|line| line.inventory.date).min()?);
    let price = held().try_fold(Paise::default(), |sum, line| sum.plus(line.amount))?;
    refund_percent(rules, travel, now).map(|percent| price.percent(percent))
}

/// Returns the share that goes back when a booking is cancelled now, in hundredths; `None` when it is too late.
///
/// Of all rules that are still kept, the one for the earliest cancellation counts.
#[must_use]
pub fn refund_percent(rules: &[CancellationRule], travel: Moment, now: Moment) -> Option<u8> {
    let left_ms = travel.since_ms(now);
    let kept = |rule: &&CancellationRule| left_ms >= i64::from(rule.hours_before) * 3_600_000;
    rules.iter().filter(kept).max_by_key(|rule| rule.hours_before).map(|rule| rule.percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_one_cancels_the_more_comes_back() {
        let rules =
            [(4, 25), (48, 100), (12, 50)].map(|(hours_before, percent)| CancellationRule { hours_before, percent });
        let travel = Moment::from_ms(1_795_242_600_000);
        for (hours, percent) in
            [(500, Some(100)), (48, Some(100)), (47, Some(50)), (12, Some(50)), (4, Some(25)), (3, None), (-1, None)]
        {
            assert_eq!(refund_percent(&rules, travel, travel.plus_ms(-hours * 3_600_000)), percent, "{hours}");
        }
        assert_eq!(refund_percent(&[], travel, travel.plus_ms(-1)), None);
    }
}
