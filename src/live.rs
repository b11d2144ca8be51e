//! The live hub: who has a live connection here, and when each is to hear.
//!
//! No timer and no message for each visitor: after a tick the ticker goes over the connections in
//! the order of the line and nudges those whose time it is. A nudged connection reads its own
//! status from the mirror.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::line::{Number, Numbers};

/// The front of the line hears of every change at once: this many connections.
const FRONT: usize = 100;

/// The others hear in turn; so many a second at the least get a frame.
const FRAMES_PER_SECOND: f64 = 20_000.0;

/// So many tabs of one visitor are connected at once; one more is told to come back later.
const TABS_CAP: usize = 8;

/// The live connections of one room.
#[derive(Debug, Default)]
pub struct Live(Mutex<Seats>);

#[derive(Debug, Default)]
struct Seats {
    /// By number; a visitor may have several tabs.
    by_number: BTreeMap<Number, Vec<Arc<Notify>>>,
    count: usize,
    /// Up to where the last turn came.
    turn: Number,
}

/// A connection's seat in the hub; dropping it leaves the hub.
#[derive(Debug)]
pub struct Seat {
    live: Arc<Live>,
    number: Number,
    nudge: Arc<Notify>,
}

impl Live {
    /// Takes a seat for a connection of `number`; `None` when it has as many as one visitor may.
    pub fn sit(self: &Arc<Self>, number: Number) -> Option<Seat> {
        let nudge = Arc::new(Notify::new());
        let mut seats = self.lock();
        let tabs = seats.by_number.entry(number).or_default();
        if tabs.len() >= TABS_CAP {
            return None;
        }
        tabs.push(Arc::clone(&nudge));
        seats.count += 1;
        drop(seats);
        Some(Seat { live: Arc::clone(self), number, nudge })
    }

    /// Counts the connections.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().count
    }

    /// Nudges everyone.
    pub fn nudge_all(&self) {
        self.lock().by_number.values().flatten().for_each(|nudge| nudge.notify_one());
    }

    /// Nudges those of `numbers` that are connected here.
    pub fn nudge(&self, numbers: &Numbers) {
        let seats = self.lock();
        for (first, last) in numbers.runs() {
            seats.by_number.range(first..=last).flat_map(|(_, tabs)| tabs).for_each(|nudge| nudge.notify_one());
        }
    }

    /// Nudges the front of the line, and the next of the others: as many as the time since the
    /// last turn asks for, so that everyone is reached once a period.
    pub fn nudge_next(&self, elapsed_s: f64) {
        let mut seats = self.lock();
        seats.by_number.values().take(FRONT).flatten().for_each(|nudge| nudge.notify_one());
        let share = (elapsed_s / seats.period_s()).min(1.0);
        let wanted = (share * seats.by_number.len() as f64).ceil() as usize;
        seats.turn(wanted);
    }

    /// Returns within how many seconds everyone hears, if only that nothing changed.
    #[must_use]
    pub fn period_s(&self) -> f64 {
        self.lock().period_s()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    fn period_s(&self) -> f64 {
        (self.count as f64 / FRAMES_PER_SECOND).max(1.0)
    }

    fn turn(&mut self, wanted: usize) {
        let behind = self.by_number.range((Bound::Excluded(self.turn), Bound::Unbounded));
        let round = behind.chain(self.by_number.range(..=self.turn));
        let mut last = self.turn;
        for (number, tabs) in round.take(wanted) {
            tabs.iter().for_each(|nudge| nudge.notify_one());
            last = *number;
        }
        self.turn = last;
    }
}

impl Seat {
    /// Waits until the connection is to hear. A nudge that comes while nobody waits is kept.
    pub async fn nudged(&self) {
        self.nudge.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.live.lock();
        seats.count -= 1;
        if let Some(tabs) = seats.by_number.get_mut(&self.number) {
            tabs.retain(|nudge| !Arc::ptr_eq(nudge, &self.nudge));
            if tabs.is_empty() {
                seats.by_number.remove(&self.number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn nudged(seats: &[Seat]) -> Vec<Number> {
        seats.iter().filter(|seat| seat.nudged().now_or_never().is_some()).map(|seat| seat.number).collect()
    }

    #[test]
    fn everyone_has_a_turn_within_the_period() {
        let live = Arc::new(Live::default());
        let seats: Vec<Seat> = (1..=1_000).filter_map(|number| live.sit(number)).collect();
        let mut heard = std::collections::BTreeSet::new();
        for _ in 0..10 {
            live.nudge_next(0.1);
            let now = nudged(&seats);
            assert!(now.len() <= 2 * FRONT, "a tenth of the period, a tenth of the line");
            heard.extend(now);
        }
        assert_eq!(heard.len(), 1_000);
    }

    #[test]
    fn the_called_hear_at_once_in_every_tab() {
        let live = Arc::new(Live::default());
        let seats = [5, 5, 6].map(|number| live.sit(number).unwrap());
        live.nudge(&Numbers::run(1, 5));
        assert_eq!(nudged(&seats), [5, 5]);
        let more: Vec<_> = (0..20).filter_map(|_| live.sit(5)).collect();
        assert_eq!(more.len(), TABS_CAP - 2);
        drop((seats, more));
        assert_eq!(live.count(), 0);
        assert!(live.lock().by_number.is_empty());
    }
}
