//! Finding the place that a person holds, for a device of theirs that has no ticket yet.

use super::{Place, Room, timed};
use crate::line::{PersonId, Standing, StoreFault};

impl Room {
    /// Finds the place of a person; `None` where they have none. Gives no new one.
    ///
    /// # Errors
    /// The store's.
    pub async fn find(&self, person: PersonId) -> Result<Option<Place>, StoreFault> {
        let shared = &self.shared;
        let found = timed(&shared.metrics, "find", shared.store.find(&self.rules.name, person)).await?;
        let Some((epoch, number)) = found else { return Ok(None) };
        let standing = self.mirror.read(|roll| roll.standing(epoch, number, self.line_now().latest_s()));
        self.take_back(number, standing);
        let ends_s = match standing {
            Standing::Over | Standing::Foreign | Standing::Bygone => return Ok(None),
            Standing::Called { ends_s, .. } => Some(ends_s),
            Standing::Waiting { .. } | Standing::Unseen | Standing::Unheard => None,
        };
        Ok(Some(Place { epoch, number, ends_s }))
    }
}
