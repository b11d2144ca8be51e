//! Tells the store whose number is whose, where it may have lost that.

use std::sync::PoisonError;

use super::{Room, push_bounded};
use crate::line::bits::Bits;
use crate::line::{Epoch, Number};
use crate::person;
use crate::token::Ticket;

/// Whose number the store was told in this epoch: a bit for each.
#[derive(Debug, Default)]
pub(super) struct Introduced {
    epoch: Epoch,
    numbers: Bits,
}

impl Introduced {
    /// Tells of a number the first time in `epoch`, and notes that if `tell` could.
    fn once(&mut self, epoch: Epoch, number: Number, tell: impl FnOnce() -> bool) {
        if self.epoch != epoch {
            *self = Self { epoch, numbers: Bits::default() };
        }
        if !self.numbers.contains(number) && tell() {
            self.numbers.insert(number);
        }
    }
}

impl Room {
    /// Tells the store, at the next tick, which number a person has, if it may have lost that: the ticket is of an
    /// older epoch. It is told once in an epoch, however often the visitor asks.
    pub fn introduce(&self, ticket: &Ticket) {
        let holder = self.rules.person.as_ref().and_then(|_| person::holder(ticket.id));
        let Some(person) = holder else { return };
        let epoch = self.mirror.known().epoch;
        if ticket.epoch < epoch && self.mirror.read(|roll| roll.covers(ticket.epoch, ticket.number)) {
            let mut introduced = self.introduced.lock().unwrap_or_else(PoisonError::into_inner);
            let tell = || push_bounded(&mut self.pending().introduced, (person, ticket.number));
            introduced.once(epoch, ticket.number, tell);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::PENDING_CAP;
    use super::*;

    #[test]
    fn who_could_not_be_introduced_is_introduced_later() {
        let mut introduced = Introduced::default();
        let mut list = vec![0; PENDING_CAP];
        introduced.once(7, 12, || push_bounded(&mut list, 12));
        assert_eq!(list.len(), PENDING_CAP, "it is full");
        list.clear();
        for epoch in [7, 7, 8] {
            introduced.once(epoch, 12, || push_bounded(&mut list, 12));
        }
        assert_eq!(list, [12, 12], "once in an epoch");
    }
}
