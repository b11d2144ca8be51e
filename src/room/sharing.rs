//! What is sold out, and what was used that may be used once, is known to all gateways of a room.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{Room, timed};
use crate::line::{Mark, StoreFault};

/// How long another gateway's word may be on its way at the most, and a store that does not answer is left alone.
const SHARE_EVERY: Duration = Duration::from_secs(1);

/// For so long a burst of words comes together.
const BURST: Duration = Duration::from_millis(20);

impl Room {
    /// Returns the time by which something is sold out: that of the line's store, as all gateways know it, and the
    /// latest that it may be, for the upstream decides once a "sold out" has ended.
    #[must_use]
    pub fn board_ms(&self) -> u64 {
        self.line_now().latest_ms
    }

    /// Shares with the room's other gateways what was heard of sales, until the task is dropped.
    pub async fn run_sharing(&self) {
        loop {
            // Either there is news here, or there may be some elsewhere.
            let _ = timeout(SHARE_EVERY, self.sold_out.untold.notified()).await;
            sleep(BURST).await;
            if let Err(fault) = self.share().await {
                tracing::debug!(room = %self.rules.name, %fault, "what is sold out is not shared yet");
                sleep(SHARE_EVERY).await;
            }
        }
    }

    /// Tells the other gateways what they have not heard of, and hears what this one has not.
    ///
    /// # Errors
    /// The store's; what was to be told is told later.
    pub async fn share(&self) -> Result<(), StoreFault> {
        let before = self.is_sold_out(self.board_ms());
        loop {
            let (told, known) = self.sold_out.tell(self.board_ms());
            let call = self.shared.store.share(&self.rules.name, &told, known);
            let heard = match timed(&self.shared.metrics, "share", call).await {
                Ok(heard) => heard,
                Err(fault) => {
                    self.sold_out.put_back(told);
                    return Err(fault);
                }
            };
            let is_more = heard.is_more;
            self.sold_out.take_in(heard, self.board_ms());
            if !is_more {
                break;
            }
        }
        if self.is_sold_out(self.board_ms()) != before {
            self.live.nudge_all();
        }
        Ok(())
    }

    /// Uses what may be used once; returns whether it was unused, whichever gateway is asked.
    ///
    /// # Errors
    /// The store's; whether it is used up is then unknown.
    pub async fn use_once(&self, mark: &Mark) -> Result<bool, StoreFault> {
        timed(&self.shared.metrics, "use_once", self.shared.store.use_once(&self.rules.name, mark)).await
    }
}
