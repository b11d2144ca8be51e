//! Which numbers are of which epoch, and which lines a line may be the successor of.

use super::{Era, Roll};
use crate::line::bits::Bits;
use crate::line::{EPOCH_MARGIN, Epoch, Number, Numbers, UNSEEN_S};

/// The epoch of a line of which nothing is known but tickets: it stands for all that it had.
const BYGONE: Epoch = 0;

/// How far above the first ticket that returns numbers may have been given, in a line that was lost whole: more than
/// ever wait in one line, for those above would be strangers.
const BYGONE_MARGIN: u64 = 1 << 22;

/// Where two lines parted that went on alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::line) struct Parting {
    /// How many epochs they have in common.
    pub(in crate::line) eras: usize,
    /// The last number that means the same visitor in both; 0 where they have nothing in common.
    pub(in crate::line) last: Number,
}

/// For how long a line that began from nothing gives way to an older one, in seconds.
const YOUNG_S: u64 = 60;

impl Roll {
    /// Makes all that a returning visitor's ticket tells of a line that was lost whole, and in whose place the one of the epoch
    /// `young` was made: that numbers were given, up to this one at the least. Those who come back first may be the first in
    /// line, so many more count as given.
    #[must_use]
    pub fn bygone(number: Number, young: Epoch) -> Self {
        let issued = number + BYGONE_MARGIN;
        let eras = vec![Era { epoch: BYGONE, above: 0 }, Era { epoch: young, above: issued + EPOCH_MARGIN }];
        Self { eras, issued, unseen: Numbers::run(1, issued), ..Self::default() }
    }

    /// Tells whether this line is back by tickets, and the one of the epoch `young` has given way to it.
    #[must_use]
    pub fn is_back_for(&self, young: Epoch) -> bool {
        let is_back = self.eras.first().is_some_and(|era| era.epoch == BYGONE);
        is_back && self.has_begun(young) && !self.knows(young)
    }

    /// Tells whether `number` can have been given in `epoch`.
    #[must_use]
    pub fn covers(&self, epoch: Epoch, number: Number) -> bool {
        self.span(epoch).is_some_and(|(above, last)| above < number && number <= last)
    }

    /// Tells whether a ticket's number is not this line's, which may give it to somebody else. One of a later epoch than
    /// was heard of may well be its own.
    #[must_use]
    pub fn is_strange(&self, epoch: Epoch, number: Number) -> bool {
        epoch <= self.epoch() && !self.covers(epoch, number)
    }

    /// Returns which numbers are of which epoch, and nothing else.
    #[must_use]
    pub fn outline(&self) -> Self {
        Self { eras: self.eras.clone(), issued: self.issued, ..Self::default() }
    }

    /// Tells whether numbers of `epoch` are of this line.
    pub(in crate::line) fn knows(&self, epoch: Epoch) -> bool {
        self.span(epoch).is_some_and(|(above, last)| above < last)
    }

    /// Tells whether this line may have begun because the store had lost one of an older `epoch`, with nothing in
    /// common. A line that has given numbers for long is not put aside for a gateway or a visitor that slept
    /// through its beginning.
    pub(in crate::line) fn may_replace(&self, epoch: Epoch, now_s: u64) -> bool {
        let is_young = now_s < u64::from(self.epoch()) + YOUNG_S;
        self.eras.len() == 1 && (self.issued == 0 || is_young) && epoch < self.epoch()
    }

    /// Finds where this line and another parted; `None` where one goes on from the other, as far as epochs tell. A line
    /// that came back by tickets stands for the one that was lost, but for none that began later, be it in a second that it
    /// has named an epoch after itself.
    pub(in crate::line) fn parting(&self, other: &Self) -> Option<Parting> {
        let eras = self.eras.iter().zip(&other.eras).take_while(|(mine, theirs)| mine == theirs).count();
        let (mine, theirs) = (self.eras.get(eras)?, other.eras.get(eras)?);
        let stands_for_it = mine.epoch == BYGONE && self.knows(other.epoch());
        (!stands_for_it).then_some(Parting { eras, last: mine.above.min(theirs.above) })
    }

    /// Tells whether this line puts aside what it did since it parted from another: that was too short ago for many to
    /// have come, or nobody has. What has given way to this line before does not come back, unlike what this line, or one that
    /// began in the same second, has given way to; and a mere ticket puts no line aside but the one that was made in place of its own. Where
    /// both have given numbers of an epoch that began in the same second, the one that went its own way earlier stays.
    pub(in crate::line) fn may_give_way(&self, other: &Self, parting: Parting, now_s: u64) -> bool {
        let (Some(own), Some(first)) = (self.eras.get(parting.eras), other.eras.get(parting.eras)) else {
            return false;
        };
        let is_unused = self.eras.len() == 1 && self.issued == 0;
        let is_young = now_s < u64::from(own.epoch) + YOUNG_S;
        let mut theirs = other.eras.iter().skip(parting.eras).filter(|era| other.knows(era.epoch));
        let has_given_way =
            theirs.any(|era| self.has_begun(era.epoch) && (own.epoch <= first.epoch || !self.knows(era.epoch)));
        let may_ask = !other.is_of_tickets() || (self.eras.len() == 1 && self.epoch() == other.epoch());
        may_ask && (is_unused || (is_young && other.issued > 0 && !has_given_way))
    }

    /// Tells whether this is all that a ticket tells: no entry has made a line of it.
    fn is_of_tickets(&self) -> bool {
        self.seq == 0 && self.eras.first().is_some_and(|era| era.epoch == BYGONE)
    }

    /// Tells whether an epoch is one of this line, be it that its numbers had to give way.
    pub(in crate::line) fn has_begun(&self, epoch: Epoch) -> bool {
        self.eras.iter().any(|era| era.epoch == epoch)
    }

    /// Returns what this line knows of the numbers up to `last`.
    pub(in crate::line) fn up_to(&self, last: Number) -> Self {
        let mut past = Self { issued: self.issued.min(last), step_seq: 0, pending: None, ..self.clone() };
        let mut unseen = Bits::from(&self.unseen);
        for bits in [&mut past.waiting, &mut past.called, &mut past.over, &mut unseen] {
            bits.remove_run(last + 1, Number::MAX);
        }
        past.unseen = unseen.into();
        past.sessions.cut_off_after(last);
        past
    }

    /// Gives up the places that may have been given unseen and for which nobody can come back any more.
    pub(super) fn give_up_unseen(&mut self, now_s: u64) {
        let last = self.stale_up_to(now_s);
        if self.unseen.runs().next().is_some_and(|(first, _)| first <= last) {
            let mut unseen = Bits::from(&self.unseen);
            let mut stale = unseen.clone();
            stale.remove_run(last + 1, Number::MAX);
            unseen.subtract(&stale);
            stale.subtract(&self.waiting);
            stale.subtract(&self.called);
            self.over.union_with(&stale);
            self.unseen = unseen.into();
        }
    }

    /// Returns the last place that was given in an epoch of which no ticket is honoured any more. Lots may have mixed
    /// the numbers of two epochs: then those of the later one decide.
    fn stale_up_to(&self, now_s: u64) -> Number {
        let is_bygone = |era: &Era| u64::from(era.epoch) + UNSEEN_S <= now_s;
        match self.eras.iter().rposition(is_bygone) {
            None => 0,
            Some(i) if i + 1 == self.eras.len() => self.issued,
            Some(i) => {
                let above = self.eras[i].above;
                let mixed = self.draws.iter().find(|draw| draw.first <= above && above < draw.last);
                mixed.map_or(above, |draw| draw.first - 1)
            }
        }
    }

    /// Returns the numbers that `epoch` lies between: above the first, up to the second.
    fn span(&self, epoch: Epoch) -> Option<(Number, Number)> {
        let is_bygone = self.eras.first().is_some_and(|era| era.epoch == BYGONE);
        let is_older = self.eras.get(1).is_some_and(|era| epoch < era.epoch);
        let known = self.eras.iter().position(|era| era.epoch == epoch);
        let i = known.or((is_bygone && is_older).then_some(0))?;
        Some((self.eras[i].above, self.eras.get(i + 1).map_or(Number::MAX, |next| next.above)))
    }
}
