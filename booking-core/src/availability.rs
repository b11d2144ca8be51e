//! What visitors who browse are shown: the last count seen of each row, and when it was seen.
//!
//! It follows every commit of this process and is read again after a second, which catches what other processes did. It
//! never decides: only the decrement does.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::inventory::InventoryId;
use crate::domain::moment::Moment;

/// How long a count is shown without being read again.
const FRESH_MS: i64 = 1_000;
/// How many rows are remembered; when there are more, the stale ones are forgotten.
const ROWS: usize = 50_000;

/// Is a count and when it was true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Seats on sale.
    pub available: u32,
    /// When.
    pub as_of: Moment,
}

/// Says how a new count relates to the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The last seat went.
    SoldOut,
    /// Seats came back after there were none.
    BackOnSale,
    /// Neither.
    Neither,
}

/// Is what one reading of a row says to whoever answers "sold out" from memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoldOutWord {
    /// For how many seconds it may be believed.
    pub ttl_seconds: u32,
    /// How often the row had changed: of two words about it, the one with the higher version is the newer.
    pub version: u64,
}

/// Is what was read of a row that may be sold out, and when.
#[derive(Clone, Copy, Debug)]
struct Nothing {
    /// `None` when something was on sale.
    word: Option<SoldOutWord>,
    as_of: Moment,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    seen: Option<Seen>,
    nothing: Option<Nothing>,
    /// When somebody last set out to read it.
    nothing_asked: Option<Moment>,
}

/// Remembers counts.
#[derive(Debug, Default)]
pub struct Availability {
    rows: Mutex<HashMap<InventoryId, Row>>,
}

impl Availability {
    fn rows(&self) -> MutexGuard<'_, HashMap<InventoryId, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a count, and says whether something turned.
    pub fn note(&self, inventory: InventoryId, available: u32, now: Moment) -> Turn {
        let mut rows = self.rows();
        make_room(&mut rows, now);
        let row = rows.entry(inventory).or_default();
        let before = row.seen.replace(Seen { available, as_of: now });
        let turn = match (before.map(|seen| seen.available), available) {
            (Some(0), 0) => Turn::Neither,
            (_, 0) => Turn::SoldOut,
            (Some(0), _) => Turn::BackOnSale,
            _ => Turn::Neither,
        };
        if turn != Turn::Neither {
            (row.nothing, row.nothing_asked) = (None, None);
        }
        turn
    }

    /// Forgets the count of a row that somebody else has changed, so that it is read again.
    pub fn forget(&self, inventory: InventoryId) {
        self.rows().remove(&inventory);
    }

    /// Returns the last count, if it is not older than a second.
    #[must_use]
    pub fn fresh(&self, inventory: InventoryId, now: Moment) -> Option<Seen> {
        let seen = self.rows().get(&inventory)?.seen?;
        is_fresh(seen.as_of, now).then_some(seen)
    }

    /// Remembers what was read of a row that may be sold out.
    pub fn note_nothing(&self, inventory: InventoryId, word: Option<SoldOutWord>, now: Moment) {
        let mut rows = self.rows();
        make_room(&mut rows, now);
        rows.entry(inventory).or_default().nothing = Some(Nothing { word, as_of: now });
    }

    /// Returns what a row that is sold out is said to be, if that was read within a second; the inner `None` is "on sale".
    #[must_use]
    pub fn fresh_word(&self, inventory: InventoryId, now: Moment) -> Option<Option<SoldOutWord>> {
        let nothing = self.rows().get(&inventory)?.nothing?;
        is_fresh(nothing.as_of, now).then_some(nothing.word)
    }

    /// Lets one caller a second read whether a row is sold out and for how long, so that a rush for a row that is sold
    /// out does not become a rush for the database.
    pub fn may_read_word(&self, inventory: InventoryId, now: Moment) -> bool {
        let mut rows = self.rows();
        make_room(&mut rows, now);
        let row = rows.entry(inventory).or_default();
        let free = row.nothing_asked.is_none_or(|asked| !is_fresh(asked, now));
        if free {
            row.nothing_asked = Some(now);
        }
        free
    }
}

/// For how long "sold out" may be believed at most, in seconds.
const LONGEST_S: i64 = 30;

/// Returns for how many seconds "sold out" may be believed when the first open hold may lapse at `first`: from 1 to 30.
#[must_use]
pub fn believable_seconds(first: Option<Moment>, now: Moment) -> u32 {
    let seconds = first.map_or(LONGEST_S, |first| (first.since_ms(now) + 999).div_euclid(1000));
    u32::try_from(seconds.clamp(1, LONGEST_S)).unwrap_or(1)
}

/// Returns until when "sold out" may be believed at most; what lapses later changes nothing.
#[must_use]
pub const fn believable_until(now: Moment) -> Moment {
    now.plus_ms(LONGEST_S * 1000)
}

fn is_fresh(as_of: Moment, now: Moment) -> bool {
    (0..FRESH_MS).contains(&now.since_ms(as_of))
}

fn make_room(rows: &mut HashMap<InventoryId, Row>, now: Moment) {
    if rows.len() < ROWS {
        return;
    }
    rows.retain(|_, row| row.seen.is_some_and(|seen| is_fresh(seen.as_of, now)));
    if rows.len() >= ROWS {
        rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_when_the_last_seat_goes_and_when_one_comes_back() {
        let availability = Availability::default();
        let row = "12951:2026-11-23:3A".parse().unwrap();
        let now = Moment::from_ms(10_000);
        let turns: Vec<Turn> = [3, 0, 0, 2, 1, 0].iter().map(|&left| availability.note(row, left, now)).collect();
        let expected = [Turn::Neither, Turn::SoldOut, Turn::Neither, Turn::BackOnSale, Turn::Neither, Turn::SoldOut];
        assert_eq!(turns, expected);
    }

    #[test]
    fn one_caller_a_second_reads_whether_it_is_sold_out() {
        let availability = Availability::default();
        let row = "12951:2026-11-23:3A".parse().unwrap();
        let now = Moment::from_ms(10_000);
        let asked: Vec<bool> =
            [0, 0, 999, 1000, 1001].iter().map(|&later| availability.may_read_word(row, now.plus_ms(later))).collect();
        assert_eq!(asked, [true, false, false, true, false]);
    }

    #[test]
    fn sold_out_is_believed_until_a_hold_may_lapse() {
        let now = Moment::from_ms(10_000);
        for (lapses_in_ms, seconds) in [(-5, 1), (0, 1), (1_001, 2), (29_500, 30), (90_000, 30)] {
            assert_eq!(believable_seconds(Some(now.plus_ms(lapses_in_ms)), now), seconds, "{lapses_in_ms}");
        }
        assert_eq!(believable_seconds(None, now), 30);
    }

    #[test]
    fn a_count_is_shown_for_a_second() {
        let availability = Availability::default();
        let row = "12951:2026-11-23:3A".parse().unwrap();
        let now = Moment::from_ms(10_000);
        availability.note(row, 3, now);
        assert_eq!(availability.fresh(row, now.plus_ms(999)).map(|seen| seen.available), Some(3));
        assert_eq!(availability.fresh(row, now.plus_ms(1000)), None);
        assert_eq!(availability.fresh(row, now.plus_ms(-1)), None);
    }
}
