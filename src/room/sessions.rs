//! Who is inside: sessions that the site ends or renews, and until when one may stay.

use std::time::Duration;

use super::{Room, push_bounded};
use crate::line::{Number, Standing};
use crate::presence::Holder;
use crate::token::Ticket;

impl Room {
    /// Ends a session at the next tick, of which a pass says when it ends. Where the line has called the number again since,
    /// its slot ends at another second; and where the slot is free already, because the store's clock was put forward for a
    /// while, somebody else's would go along.
    pub fn end_session(&self, number: Number, ends_s: u64) {
        if let Some(slot_ends_s) = self.mirror.read(|roll| roll.slot_end(number, ends_s)) {
            push_bounded(&mut self.pending().ended, (slot_ends_s, number));
        }
    }

    /// Has a session go on, from the next tick, for as long as one that begins then; nothing is done where it would last hardly
    /// longer, for a site may ask for it with every answer.
    pub fn renew_session(&self, number: Number) {
        let now_s = self.line_now().latest_s();
        if self.mirror.read(|roll| roll.renewal(number, now_s)).is_some() {
            push_bounded(&mut self.pending().renewed, number);
        }
    }

    /// Returns when a session ends, in seconds since the Unix epoch: as its pass says, or later where it was renewed since; 0
    /// where it was ended.
    #[must_use]
    pub fn session_end(&self, (epoch, number): Holder, pass_ends_s: u64) -> u64 {
        let now_s = self.line_now().latest_s();
        self.mirror.read(|roll| match roll.standing(epoch, number, now_s) {
            Standing::Called { ends_s, .. } => ends_s.max(pass_ends_s),
            _ if roll.is_over(epoch, number) => 0,
            _ => pass_ends_s,
        })
    }

    /// Returns when a session that was renewed ends, and when its holder was called, both in seconds since the Unix epoch;
    /// `None` for any other. Every request with a pass asks, so what any other's would be is not looked for.
    #[must_use]
    pub fn renewed_session(&self, (epoch, number): Holder) -> Option<(u64, u64)> {
        let (ends_s, called_us) = self.mirror.read(|roll| roll.renewed(epoch, number))?;
        Some((ends_s, called_us / 1_000_000))
    }

    /// Returns for how long somebody may stay who came in with a pass that ends then; `None` when the session is over, or the
    /// ticket was revoked.
    #[must_use]
    pub fn stay(&self, ticket: &Ticket, pass_ends_s: u64) -> Option<Duration> {
        if self.shared.ring.load().revokes_visitor(ticket.id) {
            return None;
        }
        let ends_ms = self.session_end((ticket.epoch, ticket.number), pass_ends_s) * 1_000;
        let left = Duration::from_millis(ends_ms.saturating_sub(self.line_now().latest_ms));
        (!left.is_zero()).then_some(left)
    }
}
