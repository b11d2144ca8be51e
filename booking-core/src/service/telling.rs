//! What those who browse, the gateways and the gauges are told of a row.

use std::sync::PoisonError;

use super::Service;
use crate::availability::{SoldOutWord, Turn, believable_seconds, believable_until};
use crate::domain::inventory::InventoryId;
use crate::notifier::Notice;
use crate::store::{Left, StoreError};

/// How many rows get a gauge of their own.
const GAUGES: usize = 64;

impl Service {
    /// Takes note of what a commit left on sale, and lets the gateways know.
    ///
    /// It never waits: what comes after the commit must not change places with what comes after the next one.
    pub(super) fn changed(&self, left: Left) {
        let Left { inventory, available, was_zero } = left;
        let turn = self.availability.note(inventory, available, self.now());
        self.gauge(inventory, available);
        if turn == Turn::SoldOut {
            tracing::info!(%inventory, "sold out");
        }
        let notice = Notice { was_zero: was_zero || available == 0, had_seats: available > 0 };
        for board in &self.parts.boards {
            board.post(inventory, notice);
        }
    }

    /// Takes note that a row has turned, whoever did that; what it turned to is read again by whoever wants to know.
    pub(crate) fn turned(&self, inventory: InventoryId) {
        self.availability.forget(inventory);
        for board in &self.parts.boards {
            board.post(inventory, Notice { was_zero: true, had_seats: true });
        }
    }

    fn gauge(&self, inventory: InventoryId, available: u32) {
        let mut gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gauge) = gauges.get(&inventory) {
            gauge.set(available.into());
        } else if gauges.len() < GAUGES {
            let gauge = self.parts.metrics.available.with_label_values(&[&inventory.to_string()]);
            gauge.set(available.into());
            gauges.insert(inventory, gauge);
        }
    }

    /// Returns what a gateway may be told of a row that seems sold out: for how long to believe it (until the first open
    /// hold may lapse, from 1 to 30 seconds), and as of which version of the row. `None` when something is on sale after
    /// all, or nothing is known.
    ///
    /// One caller a second reads that from the database; whoever comes while it is being read is told nothing.
    pub async fn sold_out_word(&self, inventory: InventoryId) -> Option<SoldOutWord> {
        let now = self.now();
        if let Some(word) = self.availability.fresh_word(inventory, now) {
            return word;
        }
        if !self.availability.may_read_word(inventory, now) {
            return None;
        }
        let word = self.read_word(inventory).await.unwrap_or_else(|error| {
            tracing::warn!(%inventory, %error, "whether it is sold out could not be read");
            None
        });
        self.availability.note_nothing(inventory, word, self.now());
        word
    }

    async fn read_word(&self, inventory: InventoryId) -> Result<Option<SoldOutWord>, StoreError> {
        // The version is read first: what happens in between makes the word older than it says, never newer.
        let row = self.parts.store.stock(&[inventory]).await?.pop();
        let Some(row) = row.filter(|row| row.stock.available == 0) else { return Ok(None) };
        let now = self.now();
        let first = self.parts.store.first_expiry(inventory, believable_until(now)).await?;
        let ttl_seconds = believable_seconds(first, now);
        Ok(Some(SoldOutWord { ttl_seconds, version: row.version }))
    }

    /// Returns as of which version a row is on sale; `None` when it is not, or that cannot be read.
    pub async fn on_sale_version(&self, inventory: InventoryId) -> Option<u64> {
        let row = self.parts.store.stock(&[inventory]).await.ok()?.pop()?;
        (row.stock.available > 0).then_some(row.version)
    }
}
