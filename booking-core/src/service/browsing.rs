//! Looking around: cheap, a little late, and never deciding.

use std::collections::HashMap;

use time::Date;

use super::{Denied, Service};
use crate::availability::Seen;
use crate::catalogue::Found;
use crate::domain::booking::{Booking, Reference};
use crate::domain::inventory::{Class, InventoryId, Offer};
use crate::domain::money::Paise;

/// Rows read from the database for one search, at most; a busier pair of stations shows the rest from the rule.
const ROWS_READ: usize = 1_000;

/// Is a class of a train on a day, as shown while browsing.
#[derive(Clone, Copy, Debug)]
pub struct Listing {
    /// The row.
    pub inventory: InventoryId,
    /// Seats in all.
    pub capacity: u32,
    /// The price of one seat.
    pub price: Paise,
    /// Seats on sale, and when that was true.
    pub seen: Seen,
}

/// Is a train of the day with its classes.
#[derive(Debug)]
pub struct TrainOfDay<'a> {
    /// The train and the stops.
    pub found: Found<'a>,
    /// Its classes.
    pub classes: Vec<Listing>,
}

impl Service {
    /// Finds the trains of a day between two stations, with availability.
    ///
    /// # Errors
    /// [`Denied::NotOnSale`] for a day outside the sale, [`Denied::Fault`].
    pub async fn trains(&self, from: &str, to: &str, date: Date) -> Result<Vec<TrainOfDay<'_>>, Denied> {
        if !self.terms().sale.keys().any(|row| row.date == date) {
            self.check_day(date)?;
        }
        let found = self.catalogue().search(from, to, date);
        let offers: Vec<Offer> = found.iter().flat_map(|hit| self.offers(hit, date)).collect();
        let mut listings = self.listings(&offers).await?.into_iter();
        let train = |found: Found<'_>| listings.by_ref().take(self.offers(&found, date).count()).collect();
        let classes: Vec<Vec<Listing>> = found.iter().copied().map(train).collect();
        Ok(found.into_iter().zip(classes).map(|(found, classes)| TrainOfDay { found, classes }).collect())
    }

    fn offers<'a>(&'a self, hit: &Found<'a>, date: Date) -> impl Iterator<Item = Offer> + 'a {
        let train = hit.train;
        let inventory = move |&class: &Class| InventoryId { train: train.number, date, class };
        train.classes.iter().map(inventory).filter_map(|inventory| self.offer(inventory).ok())
    }

    /// Shows one row.
    ///
    /// # Errors
    /// [`Denied::NotOnSale`], [`Denied::Fault`].
    pub async fn listing(&self, inventory: InventoryId) -> Result<Listing, Denied> {
        let offer = self.offer(inventory)?;
        let listings = self.listings(&[offer]).await?;
        Ok(listings[0])
    }

    /// Shows rows in the order of their offers. A row nobody has touched shows its full capacity.
    async fn listings(&self, offers: &[Offer]) -> Result<Vec<Listing>, Denied> {
        let now = self.now();
        let stale = |offer: &&Offer| self.availability.fresh(offer.inventory, now).is_none();
        let ids: Vec<InventoryId> = offers.iter().filter(stale).take(ROWS_READ).map(|offer| offer.inventory).collect();
        let rows = if ids.is_empty() { Vec::new() } else { self.store().stock(&ids).await? };
        let rows: HashMap<InventoryId, _> = rows.into_iter().map(|row| (row.inventory, row)).collect();
        for id in ids {
            let offered = offers.iter().find(|offer| offer.inventory == id).map_or(0, |offer| offer.capacity);
            let available = rows.get(&id).map_or(offered, |row| row.stock.available);
            self.availability.note(id, available, now);
        }
        Ok(offers
            .iter()
            .map(|offer| self.list(offer, rows.get(&offer.inventory).map(|row| row.stock.capacity)))
            .collect())
    }

    fn list(&self, offer: &Offer, capacity: Option<u32>) -> Listing {
        let now = self.now();
        let untouched = Seen { available: offer.capacity, as_of: now };
        let seen = self.availability.fresh(offer.inventory, now).unwrap_or(untouched);
        let capacity = capacity.unwrap_or(offer.capacity);
        Listing { inventory: offer.inventory, capacity, price: offer.price, seen }
    }

    /// Reads a booking.
    ///
    /// # Errors
    /// [`Denied::NoSuchBooking`], [`Denied::Fault`].
    pub async fn booking(&self, reference: Reference) -> Result<Booking, Denied> {
        self.store().booking(reference).await?.ok_or(Denied::NoSuchBooking)
    }
}
