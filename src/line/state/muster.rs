//! Who is here, as all gateways together say: one set, which costs the same however many gateways there are.
//!
//! What one set cannot tell is whose a visitor is. So when a gateway falls silent there is a *muster*: every gateway
//! says again whom it vouches for, and until all have, whoever was here before still counts as here. Somebody for whom
//! two gateways vouch stays when one of them takes leave; whether the other has too, the next muster tells.

use crate::line::bits::Bits;
use crate::line::{MUSTER_EACH_US, MUSTER_US, Number};

/// The last muster, and what came after it.
///
/// # Invariant
/// `twice` is part of `here`.
#[derive(Clone, Debug, Default)]
pub(super) struct Muster {
    /// For whom a gateway has vouched since it began.
    here: Bits,
    /// Those of them for whom this was said again: maybe by another gateway.
    twice: Bits,
    /// Who was here when it began, or has come since to a gateway that has yet to answer; empty once every gateway has.
    before: Bits,
    begun_us: u64,
    /// Somebody who waits may have gone from all gateways.
    is_doubted: bool,
}

impl Muster {
    /// Begins with nobody here.
    pub(super) fn since(now_us: u64) -> Self {
        Self { begun_us: now_us, ..Self::default() }
    }

    /// Asks every gateway again who is here.
    pub(super) fn begin(&mut self, now_us: u64) {
        self.before.union_with(&self.here);
        let before = std::mem::take(&mut self.before);
        *self = Self { before, ..Self::since(now_us) };
    }

    /// Tells whether to ask again because of somebody who was told by two: the more are here, the later, for all of them
    /// are told again. A clock that was put back puts nothing off.
    pub(super) fn is_due(&self, now_us: u64) -> bool {
        let is_over = |since_us| since_us >= MUSTER_US.max(self.here.count() * MUSTER_EACH_US);
        self.is_doubted && now_us.checked_sub(self.begun_us).is_none_or(is_over)
    }

    /// Ends when every gateway has answered.
    pub(super) fn end(&mut self) {
        self.before = Bits::default();
    }

    /// Notes for whom a gateway vouches.
    pub(super) fn come(&mut self, number: Number) {
        if !self.here.insert(number) {
            self.twice.insert(number);
        }
    }

    /// Notes who is here as far as is known, until every gateway has answered.
    pub(super) fn stay(&mut self, number: Number) {
        self.before.insert(number);
    }

    /// Notes for whom a gateway vouches no more.
    pub(super) fn go(&mut self, number: Number, waits: bool) {
        if self.twice.contains(number) {
            self.is_doubted |= waits;
        } else {
            self.here.remove(number);
        }
    }

    /// Returns who is here of the 64 numbers of word `i`.
    pub(super) fn word(&self, i: usize) -> u64 {
        self.here.word(i) | self.before.word(i)
    }

    /// Returns who is here.
    pub(super) fn all(&self) -> Bits {
        let mut all = self.here.clone();
        all.union_with(&self.before);
        all
    }
}
