//! The rhythm of background work: a pass on a period and on a nudge, until told to stop.

use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Is what one pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Rows that were dealt with.
    pub done: u32,
    /// Rows that could not be dealt with; they did not keep the others waiting.
    pub failed: u32,
}

impl Pass {
    /// Adds what another pass did.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { done: self.done + other.done, failed: self.failed + other.failed }
    }

    /// Counts one row.
    pub fn count(&mut self, dealt_with: bool) {
        if dealt_with {
            self.done += 1;
        } else {
            self.failed += 1;
        }
    }
}

/// Makes passes until stopped. A pass that is under way is finished first.
pub async fn run<F: Future<Output = ()>>(
    period: Duration,
    nudge: &Notify,
    stop: &CancellationToken,
    mut pass: impl FnMut() -> F,
) {
    loop {
        pass().await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = nudge.notified() => {}
            () = tokio::time::sleep(period) => {}
        }
    }
}
