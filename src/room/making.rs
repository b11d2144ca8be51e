//! A room is made in the store by whichever gateway comes first, and made again where it is lost.

use std::sync::Arc;

use super::{Room, timed};
use crate::admission::Limits;
use crate::line::{Steering, StoreFault};

impl Room {
    /// Makes the room in the store with the limits of a configuration, or has it take them where they are other ones.
    ///
    /// # Errors
    /// The store's.
    pub async fn configure(&self, limits: Limits) -> Result<(), StoreFault> {
        self.configured.store(Some(Arc::new(limits)));
        self.make().await
    }

    /// Makes the room with the limits of the last configuration, if there was one: for a store that knows none.
    ///
    /// # Errors
    /// The store's.
    pub async fn make(&self) -> Result<(), StoreFault> {
        let Some(limits) = self.configured.load_full() else { return Ok(()) };
        let configure = Steering::Configure(Limits::clone(&limits));
        timed(&self.shared.metrics, "steer", self.shared.store.steer(&self.rules.name, &configure)).await
    }
}
