//! When tickets are issued and renewed: nobody's place ends because a line is long, or because somebody sets a clock.

use std::sync::atomic::Ordering;

use super::Room;
use crate::line::UNSEEN_S;
use crate::token::Ticket;

/// For how long a ticket is honoured, in milliseconds: a day.
pub const TICKET_LIFETIME_MS: u64 = 24 * 3_600_000;

/// For how long somebody may stay away, at the least, and still have a ticket, in milliseconds.
pub const TICKET_KEPT_MS: u64 = TICKET_LIFETIME_MS / 2;

const _: () = assert!(TICKET_LIFETIME_MS / 1_000 < UNSEEN_S, "a place is kept for as long as its ticket is honoured");

impl Room {
    /// Returns when a ticket is issued that is made now, in milliseconds since the Unix epoch: by this gateway's clock or
    /// the line's, whichever is behind. So no gateway takes it for one from the future whose own clock is right.
    #[must_use]
    pub fn issue_ms(&self) -> u64 {
        let now_ms = self.shared.clock.now_ms().min(self.line_now().earliest_ms);
        self.last_issue_ms.fetch_max(now_ms, Ordering::Relaxed);
        now_ms
    }

    /// Returns the ticket to be shown from now on in the place of one that is getting old: of the very same place, so that
    /// it does not matter which of the two is shown. A clock that somebody put forward makes none old.
    #[must_use]
    pub fn renewed(&self, ticket: &Ticket) -> Option<Ticket> {
        let may_be_due = ticket.renewed(self.shared.clock.now_ms(), TICKET_LIFETIME_MS).is_some();
        may_be_due.then(|| ticket.renewed(self.issue_ms(), TICKET_LIFETIME_MS)).flatten()
    }
}
