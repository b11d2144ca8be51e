//! Numbered seats: which are free, and the locks on those that buyers have chosen.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Denied, Service};
use crate::domain::coach::Plan;
use crate::domain::hold::Hold;
use crate::domain::inventory::InventoryId;
use crate::domain::moment::Moment;
use crate::domain::seat::{Free, Numbering, SeatNumber, Wish};
use crate::seat_lock::Locked;
use crate::store::TakeRequest;
use crate::strategy::Strategy;

/// How many free seats are offered instead of one that is gone.
const NEARBY: usize = 6;

/// How long a seat map is shown without being read again, in milliseconds.
const FRESH_MS: i64 = 1_000;

/// How many seat maps are remembered; when there are more, all are forgotten.
const MAPS: usize = 256;

/// Shows which seats of a row are free, as they were a moment ago. It never decides.
#[derive(Clone, Debug)]
pub struct SeatMap {
    /// The coaches.
    pub plan: &'static Plan,
    /// Seats in all.
    pub capacity: u32,
    /// The free ones.
    pub free: Free,
    /// When that was true.
    pub as_of: Moment,
}

/// Is what a buyer is told whose chosen seats are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatsTaken {
    /// The row.
    pub inventory: InventoryId,
    /// Those of the chosen seats that have an owner.
    pub taken: Vec<SeatNumber>,
    /// Free seats near the first of them, the nearest first.
    pub free_nearby: Vec<SeatNumber>,
    /// Seats that are left in all.
    pub available: u32,
}

/// Remembers seat maps for a second, so that a crowd that looks at one train does not read it from the database each.
#[derive(Debug, Default)]
pub(super) struct SeatMaps(Mutex<HashMap<InventoryId, Arc<SeatMap>>>);

impl SeatMaps {
    fn fresh(&self, row: InventoryId, now: Moment) -> Option<Arc<SeatMap>> {
        let maps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |map: &&Arc<SeatMap>| (0..FRESH_MS).contains(&now.since_ms(map.as_of));
        maps.get(&row).filter(fresh).cloned()
    }

    fn note(&self, row: InventoryId, map: &Arc<SeatMap>) {
        let mut maps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if maps.len() >= MAPS {
            maps.clear();
        }
        maps.insert(row, Arc::clone(map));
    }

    /// Strikes out what was just taken here, so that nobody is offered it.
    pub(super) fn strike(&self, row: InventoryId, taken: &[SeatNumber]) {
        let mut maps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(map) = maps.get_mut(&row).filter(|_| !taken.is_empty()) {
            Arc::make_mut(map).free.remove(taken);
        }
    }
}

impl Service {
    /// Returns how the seats of a row are numbered.
    #[must_use]
    pub fn numbering(&self, row: InventoryId) -> Numbering {
        self.parts.teller.strategy(row).numbering()
    }

    /// Shows which seats of a row are free, no older than a second; `None` where there are none to choose.
    ///
    /// # Errors
    /// [`Denied::NotOnSale`], [`Denied::Fault`].
    pub async fn seat_map(&self, row: InventoryId) -> Result<Option<Arc<SeatMap>>, Denied> {
        let plan = Plan::of(row.class).filter(|_| self.numbering(row) == Numbering::Seats);
        let Some(plan) = plan else { return Ok(None) };
        let now = self.now();
        if let Some(map) = self.seat_maps.fresh(row, now) {
            return Ok(Some(map));
        }
        let (free, capacity) = self.free_seats(row).await?;
        let map = Arc::new(SeatMap { plan, capacity, free, as_of: now });
        self.seat_maps.note(row, &map);
        Ok(Some(map))
    }

    /// Reads which seats of a row are free, and how many it has in all. A row nobody has touched has all of them free.
    async fn free_seats(&self, row: InventoryId) -> Result<(Free, u32), Denied> {
        let capacity = match self.store().stock(&[row]).await?.first() {
            Some(row) => row.stock.capacity,
            None => self.offer(row)?.capacity,
        };
        let owned = self.store().owned_seats(row).await?;
        Ok((Free::of(capacity, &owned), capacity))
    }

    /// Lists free seats near the first one that is gone, as of a second ago at most: whoever came too late is not worth a
    /// question to the database each.
    pub(super) async fn free_nearby(&self, row: InventoryId, gone: &[SeatNumber]) -> Result<Vec<SeatNumber>, Denied> {
        let (Some(map), Some(&first)) = (self.seat_map(row).await?, gone.first()) else { return Ok(Vec::new()) };
        let mut free = map.free.clone();
        free.remove(gone);
        Ok(map.plan.nearest(&free, first, NEARBY))
    }

    /// Locks chosen seats of rows whose strategy says so, for a hold that is to be made; returns the row and the seats
    /// that others have locked, if any, and then nothing is locked.
    pub(super) async fn lock_seats(&self, requests: &[Wished<'_>]) -> Option<(InventoryId, Vec<SeatNumber>)> {
        let lock = self.parts.seat_lock.as_ref()?;
        for (at, &(row, request)) in requests.iter().enumerate() {
            let Some(seats) = self.lockable(row, request) else { continue };
            let locked = lock.lock(row, seats, request.hold, self.parts.terms.hold_ms).await;
            self.parts.metrics.seat_locks.with_label_values(&[word(&locked)]).inc();
            if let Locked::Others(others) = locked {
                self.unlock_seats(&requests[..at]).await;
                return Some((row, others));
            }
        }
        None
    }

    /// Lets go of the locks for a hold that was not made.
    pub(super) async fn unlock_seats(&self, requests: &[Wished<'_>]) {
        let Some(lock) = self.parts.seat_lock.as_ref() else { return };
        for &(row, request) in requests {
            if let Some(seats) = self.lockable(row, request) {
                lock.unlock(row, seats, request.hold).await;
            }
        }
    }

    /// Lets go of the locks of a hold that has ended.
    pub(super) async fn unlock_hold(&self, hold: &Hold) {
        let Some(lock) = self.parts.seat_lock.as_ref() else { return };
        for line in hold.lines.iter().filter(|line| !line.seats.is_empty()) {
            if self.parts.teller.strategy(line.inventory) == Strategy::SeatLock {
                lock.unlock(line.inventory, &line.seats, hold.id).await;
            }
        }
    }

    /// Lets go of the locks of seats that a hold had and has no more.
    pub(super) async fn unlock_what_went(&self, before: &Hold, now: &Hold) {
        let mut went = before.clone();
        for (line, kept) in went.lines.iter_mut().zip(&now.lines) {
            line.seats.retain(|seat| !kept.seats.contains(seat));
        }
        self.unlock_hold(&went).await;
    }

    fn lockable<'a>(&self, row: InventoryId, request: &'a TakeRequest) -> Option<&'a [SeatNumber]> {
        match &request.wish {
            Wish::These(seats) if self.parts.teller.strategy(row) == Strategy::SeatLock => Some(seats),
            _ => None,
        }
    }
}

/// What is wanted of a row.
pub(super) type Wished<'a> = (InventoryId, &'a TakeRequest);

const fn word(locked: &Locked) -> &'static str {
    match locked {
        Locked::Ours => "ours",
        Locked::Others(_) => "others",
        Locked::Unknown => "unknown",
    }
}
