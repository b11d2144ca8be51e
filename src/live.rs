//! The live hub: who has a live connection here, and when each is to hear.
//!
//! No timer and no message for each visitor: after a tick the ticker goes over the connections in
//! the order of the line and nudges those whose time it is. A nudged connection reads its own
//! status from the mirror.
//!
//! Where the machine cannot keep the pace, fewer are nudged, and everybody is told less often instead of late: no more
//! are nudged than there is time for, as those show who were nudged before and have not had their turn.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use tokio::sync::Notify;

use crate::capacity::UPDATES_PER_SECOND;
use crate::line::{Number, Numbers};

/// The front of the line hears of every change at once: so many connections, over all gateways.
const FRONT: f64 = 100.0;

/// So many tabs of one visitor are connected at once; one more is told to come back later.
const TABS_CAP: usize = 8;

/// The live connections of one room.
#[derive(Debug)]
pub struct Live {
    /// Those behind the front hear in turn: so many a second.
    per_second: f64,
    seats: Mutex<Seats>,
    /// Changed with the seats, and read by everybody who asks, without a lock.
    count: AtomicUsize,
    /// How many were nudged and have not had their turn.
    owed: AtomicUsize,
    /// How long the last round over everybody took, in milliseconds.
    round_ms: AtomicU64,
}

/// What a connection waits for.
#[derive(Debug, Default)]
struct Nudge {
    notify: Notify,
    /// Whether it was nudged and has not had its turn.
    is_owed: AtomicBool,
    /// Whether its reader has yet to take what was said.
    is_stuck: AtomicBool,
}

#[derive(Debug, Default)]
struct Seats {
    /// By number; a visitor may have several tabs.
    by_number: BTreeMap<Number, Vec<Arc<Nudge>>>,
    /// Up to where the last turn came.
    turn: Number,
    /// Since when the round goes on, in seconds.
    round_s: f64,
}

/// A connection's seat in the hub; dropping it leaves the hub.
#[derive(Debug)]
pub struct Seat {
    live: Arc<Live>,
    number: Number,
    nudge: Arc<Nudge>,
}

impl Default for Live {
    fn default() -> Self {
        Self::new(UPDATES_PER_SECOND)
    }
}

impl Live {
    /// Makes a hub that tells so many a second, once a second at the most.
    #[must_use]
    pub fn new(updates_per_second: u32) -> Self {
        Self {
            per_second: f64::from(updates_per_second),
            seats: Mutex::default(),
            count: AtomicUsize::new(0),
            owed: AtomicUsize::new(0),
            round_ms: AtomicU64::new(0),
        }
    }

    /// Takes a seat for a connection of `number`; `None` when it has as many as one visitor may.
    pub fn sit(self: &Arc<Self>, number: Number) -> Option<Seat> {
        let nudge = Arc::<Nudge>::default();
        let mut seats = self.lock();
        let tabs = seats.by_number.entry(number).or_default();
        if tabs.len() >= TABS_CAP {
            return None;
        }
        tabs.push(Arc::clone(&nudge));
        self.count.fetch_add(1, Ordering::Relaxed);
        drop(seats);
        Some(Seat { live: Arc::clone(self), number, nudge })
    }

    /// Counts the connections.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Nudges everyone.
    pub fn nudge_all(&self) {
        self.lock().by_number.values().flatten().for_each(|nudge| self.give(nudge));
    }

    /// Nudges those of `numbers` that are connected here.
    pub fn nudge(&self, numbers: &Numbers) {
        let seats = self.lock();
        for (first, last) in numbers.runs() {
            seats.by_number.range(first..=last).flat_map(|(_, tabs)| tabs).for_each(|nudge| self.give(nudge));
        }
    }

    /// Nudges the front of the line, and the next of the others: as many as the time since the
    /// last turn asks for, so that everyone is reached once a period, less those who are yet to have their turn.
    /// Of the front, this gateway has as large a part as of the `present` everywhere.
    pub fn nudge_next(&self, elapsed_s: f64, present: u64) {
        let mut seats = self.lock();
        let here = seats.by_number.len() as f64;
        let front = (FRONT * (here / present as f64).min(1.0)).ceil() as usize;
        let share = (elapsed_s / self.planned_s()).min(1.0);
        let wanted = (share * here).ceil() as usize;
        let wanted = wanted.saturating_sub(self.owed.load(Ordering::Relaxed));
        seats.by_number.values().take(front).flatten().for_each(|nudge| self.give(nudge));
        seats.round_s += elapsed_s;
        if seats.turn(wanted, |nudge| self.give(nudge)) {
            let round_s = std::mem::take(&mut seats.round_s);
            self.round_ms.store((round_s * 1_000.0) as u64, Ordering::Relaxed);
        }
    }

    /// Nudges one. A reader who does not read is owed nothing, lest the others wait for it.
    fn give(&self, nudge: &Nudge) {
        if !nudge.is_owed.swap(true, Ordering::AcqRel) {
            self.owed.fetch_add(1, Ordering::Relaxed);
            nudge.notify.notify_one();
        }
        if nudge.is_stuck.load(Ordering::Acquire) {
            self.take(nudge);
        }
    }

    fn take(&self, nudge: &Nudge) {
        if nudge.is_owed.swap(false, Ordering::AcqRel) {
            self.owed.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Returns within how many seconds everyone hears, if only that nothing changed.
    #[must_use]
    pub fn period_s(&self) -> f64 {
        self.planned_s().max(self.round_ms.load(Ordering::Relaxed) as f64 / 1_000.0)
    }

    fn planned_s(&self) -> f64 {
        self.spread_s(self.count())
    }

    /// Returns how long it takes to tell so many, in seconds, and at the least one second.
    #[must_use]
    pub fn spread_s(&self, count: usize) -> f64 {
        (count as f64 / self.per_second).max(1.0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    /// Gives the next ones their nudges; returns whether a round over everybody ended with that.
    fn turn(&mut self, wanted: usize, give: impl Fn(&Nudge)) -> bool {
        let behind = self.by_number.range((Bound::Excluded(self.turn), Bound::Unbounded));
        let round = behind.chain(self.by_number.range(..=self.turn));
        let mut last = self.turn;
        for (number, tabs) in round.take(wanted) {
            tabs.iter().for_each(|nudge| give(nudge));
            last = *number;
        }
        let is_over = wanted > 0 && last <= self.turn;
        self.turn = last;
        is_over
    }
}

impl Seat {
    /// Waits until the connection is to hear. A nudge that comes while nobody waits is kept.
    pub async fn nudged(&self) {
        self.nudge.notify.notified().await;
        self.live.take(&self.nudge);
    }

    /// Waits until the reader has taken what is told. If that is not at once, nobody waits for this connection meanwhile.
    pub async fn telling<T>(&self, mut told: Pin<&mut impl Future<Output = T>>) -> T {
        if let Some(told) = told.as_mut().now_or_never() {
            return told;
        }
        self.nudge.is_stuck.store(true, Ordering::Release);
        self.live.take(&self.nudge);
        let told = told.await;
        self.nudge.is_stuck.store(false, Ordering::Release);
        told
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.live.lock();
        self.live.take(&self.nudge);
        self.live.count.fetch_sub(1, Ordering::Relaxed);
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
    use std::pin::pin;

    use super::*;

    fn nudged(seats: &[Seat]) -> Vec<Number> {
        seats.iter().filter(|seat| seat.nudged().now_or_never().is_some()).map(|seat| seat.number).collect()
    }

    #[test]
    fn everyone_has_a_turn_within_the_period() {
        let live = Arc::new(Live::default());
        let seats: Vec<Seat> = (1..=1_000).filter_map(|number| live.sit(number)).collect();
        let mut heard = std::collections::BTreeSet::new();
        for _ in 0..10 {
            live.nudge_next(0.1, 0);
            let now = nudged(&seats);
            assert!(now.len() <= 2 * FRONT as usize, "a tenth of the period, a tenth of the line");
            heard.extend(now);
        }
        assert_eq!(heard.len(), 1_000);
    }

    #[test]
    fn gateways_share_the_front() {
        let live = Arc::new(Live::new(1));
        let seats: Vec<Seat> = (1..=1_000).filter_map(|number| live.sit(number)).collect();
        live.nudge_next(0.0, 10_000);
        assert_eq!(nudged(&seats).len(), 10, "a tenth of all who are here are here at this one");
        live.nudge_next(0.0, 500);
        assert_eq!(nudged(&seats).len(), 100, "however few are known to be here");
    }

    #[test]
    fn a_machine_that_is_behind_tells_everybody_less_often_and_nobody_twice() {
        let live = Arc::new(Live::default());
        let seats: Vec<Seat> = (1..=10_000).filter_map(|number| live.sit(number)).collect();
        let mut heard = std::collections::BTreeSet::new();
        let mut rounds = 0;
        while heard.len() < seats.len() {
            live.nudge_next(0.1, 0);
            rounds += 1;
            // Half of those who are due have their turn in time, now these and now those.
            let (early, late) = seats.split_at(rounds * 700 % seats.len());
            let due = late.iter().chain(early).filter(|seat| seat.nudge.is_owed.load(Ordering::Relaxed));
            let served = due.take(500).filter(|seat| seat.nudged().now_or_never().is_some());
            heard.extend(served.map(|seat| seat.number));
            assert!(live.owed.load(Ordering::Relaxed) <= 1_000 + FRONT as usize);
            assert!(rounds < 100, "{} of them have heard", heard.len());
        }
        assert!(rounds > 20, "{rounds}");
        live.nudge_next(0.1, 0);
        assert!(live.period_s() > 1.5, "and says so: {}", live.period_s());
        drop(seats);
        assert_eq!(live.owed.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn readers_who_do_not_read_keep_no_update_from_the_others() {
        let live = Arc::new(Live::default());
        let seats: Vec<Seat> = (1..=10_000).filter_map(|number| live.sit(number)).collect();
        let (stuck, well): (Vec<&Seat>, Vec<&Seat>) = seats.iter().partition(|seat| seat.number % 5 == 0);
        live.nudge_all();
        let told: Vec<_> = stuck
            .iter()
            .map(|seat| Box::pin(async { seat.telling(pin!(std::future::pending::<()>())).await }))
            .collect();
        let told: Vec<_> = told.into_iter().map(|mut told| (told.as_mut().now_or_never(), told)).collect();
        assert!(told.iter().all(|(taken, _)| taken.is_none()));
        let hear = |seats: &[&Seat]| seats.iter().filter(|seat| seat.nudged().now_or_never().is_some()).count();
        assert_eq!(hear(&well), well.len());
        let heard: usize = (0..11).map(|_| (live.nudge_next(0.1, 0), hear(&well)).1).sum();
        assert!(heard >= well.len(), "{heard} in a period");
        assert_eq!(live.owed.load(Ordering::Relaxed), 0, "nobody waits for those who do not read");
        drop(told);
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
