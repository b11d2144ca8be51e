//! Two rolls of one line, as one.

use super::Roll;
use crate::line::bits::Bits;

impl Roll {
    /// Merges what another roll of the same line remembers. Being called and being over are for
    /// good, so their unions are the truth; whoever is neither and waits in one of the two, waits. Of the rate as much
    /// is used up as either knows, carried over at `now_us` to the limits that hold.
    pub fn merge(&mut self, other: &Self, now_us: u64) {
        let other = &self.with_same_draws(other);
        let (used_up, limits) = (std::mem::take(&mut self.tat_us), self.limits());
        self.issued = self.issued.max(other.issued);
        self.remember_unseen(other);
        self.called.union_with(&other.called);
        self.over.union_with(&other.over);
        self.waiting.union_with(&other.waiting);
        self.waiting.subtract(&self.called);
        self.waiting.subtract(&self.over);
        (self.paced_at_us, self.pace_us) = (self.paced_at_us, self.pace_us).max((other.paced_at_us, other.pace_us));
        self.sessions.merge(&other.sessions, &self.over);
        self.tally = self.tally.max(other.tally);
        if self.settings.is_none() {
            (self.settings, self.set_at_us) = (other.settings.clone(), other.set_at_us);
        }
        self.use_up(used_up, limits.as_ref(), now_us);
        self.use_up(other.tat_us, other.limits().as_ref(), now_us);
    }

    /// What may be held by a forgotten visitor in either of the two may still be.
    fn remember_unseen(&mut self, other: &Self) {
        if self.unseen != other.unseen && !other.unseen.is_empty() {
            let mut unseen = Bits::from(&self.unseen);
            unseen.union_with(&Bits::from(&other.unseen));
            self.unseen = unseen.into();
        }
    }
}
