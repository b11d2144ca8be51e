//! A refund: money of a payment on its way back to the buyer. A payment may have several, one for each part of a booking
//! that is given back; each is asked for, done or failed by itself.

use super::moment::Moment;
use super::money::Paise;

/// Numbers the refunds of a payment, from 1. With the payment it is the idempotency key towards the provider.
pub type RefundNumber = u16;

/// Refunds of one payment, at most: far more than its seats and all that its bank may send back.
const MOST: usize = 1_000;

/// Is one refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refund {
    /// Which of its payment's.
    pub number: RefundNumber,
    /// How much goes back; may be nothing, where the rules keep all of it.
    pub amount: Paise,
    /// How much of what was given back is kept, as the rules of cancelling say.
    pub charge: Paise,
    /// How far it has come.
    pub state: RefundState,
    /// Since when.
    pub changed_at: Moment,
}

/// Says how far a refund has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundState {
    /// The provider is to be asked, or has not finished.
    UnderWay,
    /// The buyer has the money.
    Done,
    /// The provider could not give it back, or the buyer's bank sent it back later. The next refund stands in for it.
    Failed,
}

impl RefundState {
    const ALL: [Self; 3] = [Self::UnderWay, Self::Done, Self::Failed];

    /// Returns the word the databases store.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::UnderWay => "under_way",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// Reads the word the databases store.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// Lists the refunds of one payment, in the order of their numbers.
///
/// # Invariants
/// They are numbered from 1 without a gap. Those that have not failed come to no more than the payment, together with
/// what is kept of them. None moves backwards: one that fails after it was done is followed by another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refunds(Vec<Refund>);

impl Refunds {
    /// Wraps what a database holds.
    #[must_use]
    pub const fn new(refunds: Vec<Refund>) -> Self {
        Self(refunds)
    }

    /// Returns them all.
    #[must_use]
    pub fn all(&self) -> &[Refund] {
        &self.0
    }

    /// Tells whether another may begin.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.0.len() < MOST
    }

    /// Begins the next one, and returns its number.
    pub fn begin(&mut self, amount: Paise, charge: Paise, now: Moment) -> RefundNumber {
        let number = self.0.len() as RefundNumber + 1;
        self.0.push(Refund { number, amount, charge, state: RefundState::UnderWay, changed_at: now });
        number
    }

    /// Returns one of them.
    #[must_use]
    pub fn get(&self, number: RefundNumber) -> Option<&Refund> {
        self.0.get(usize::from(number).checked_sub(1)?)
    }

    /// Lists those the provider is to be asked for.
    pub fn under_way(&self) -> impl Iterator<Item = &Refund> {
        self.0.iter().filter(|refund| refund.state == RefundState::UnderWay)
    }

    /// Tells whether one failed and what stands in for it is not done yet.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.under_way().next().is_some() && self.0.iter().any(|refund| refund.state == RefundState::Failed)
    }

    /// Returns how much goes back or went back; `None` when there never was a refund.
    #[must_use]
    pub fn due(&self) -> Option<Paise> {
        (!self.0.is_empty()).then(|| self.sum(|refund| (refund.state != RefundState::Failed).then_some(refund.amount)))
    }

    /// Returns how much the buyer has.
    #[must_use]
    pub fn done(&self) -> Paise {
        self.sum(|refund| (refund.state == RefundState::Done).then_some(refund.amount))
    }

    /// Returns how much is kept of what was given back.
    #[must_use]
    pub fn charged(&self) -> Paise {
        self.sum(|refund| Some(refund.charge))
    }

    /// Takes note that the buyer has the money, and returns that refund; `None` when it is not under way.
    pub fn finish(&mut self, number: RefundNumber, now: Moment) -> Option<Refund> {
        self.turn(number, &[RefundState::UnderWay], RefundState::Done, now)
    }

    /// Takes note that the buyer does not get the money this way, and returns the refund as it was before; `None` when
    /// that is known, or there is no such refund.
    pub fn fail(&mut self, number: RefundNumber, now: Moment) -> Option<Refund> {
        self.turn(number, &[RefundState::UnderWay, RefundState::Done], RefundState::Failed, now)
    }

    fn turn(&mut self, number: RefundNumber, from: &[RefundState], to: RefundState, now: Moment) -> Option<Refund> {
        let refund = self.0.iter_mut().find(|refund| refund.number == number && from.contains(&refund.state))?;
        let before = *refund;
        (refund.state, refund.changed_at) = (to, now);
        Some(before)
    }

    fn sum(&self, part: impl Fn(&Refund) -> Option<Paise>) -> Paise {
        let sum = self.0.iter().filter_map(part).try_fold(Paise::default(), Paise::plus);
        assert!(sum.is_some(), "no more goes back than was paid");
        sum.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_ms(1_000);

    #[test]
    fn each_is_done_or_fails_by_itself() {
        let mut refunds = Refunds::default();
        assert_eq!(refunds.due(), None);
        assert_eq!(refunds.begin(Paise::new(30), Paise::new(3), NOW), 1);
        assert_eq!(refunds.begin(Paise::new(40), Paise::default(), NOW), 2);
        refunds.finish(1, NOW).unwrap();
        assert_eq!(refunds.finish(1, NOW), None);
        assert_eq!(refunds.finish(3, NOW), None);
        assert_eq!((refunds.due(), refunds.done()), (Some(Paise::new(70)), Paise::new(30)));
        assert!(!refunds.is_failing());
        assert_eq!(refunds.fail(1, NOW).unwrap().state, RefundState::Done, "a bank may send it back later");
        assert_eq!(refunds.fail(1, NOW), None);
        refunds.begin(Paise::new(30), Paise::default(), NOW);
        assert!(refunds.is_failing());
        assert_eq!((refunds.due(), refunds.done()), (Some(Paise::new(70)), Paise::default()));
        assert_eq!(refunds.charged(), Paise::new(3));
        assert_eq!(refunds.under_way().map(|refund| refund.number).collect::<Vec<_>>(), [2, 3]);
    }
}
