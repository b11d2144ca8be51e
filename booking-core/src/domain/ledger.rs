//! The ledger: every movement of money as a transfer from one account to another, written once and never changed.
//!
//! A transfer names both accounts, so the ledger is balanced whatever is in it. What can be wrong is that a transfer is
//! missing or one too many; [`audit`] says so for one payment, from its state and its transfers alone.
//!
//! ```text
//! money set aside    reserved:  reserve ─► reserve offset       released: the way back
//! money taken        captured:  provider ─► deposits
//! what it bought     sold:      deposits ─► sales               owed:     deposits ─► refunds owed
//! a booking undone   returned:  sales ─► refunds owed           charged:  sales ─► cancellation charges
//! money given back   refunded:  refunds owed ─► provider      bounced:  the way back
//! ```

use std::collections::BTreeMap;

use super::moment::Moment;
use super::money::Paise;
use super::payment::{Payment, PaymentState};
use super::refund::RefundNumber;

/// Names an account. A balance counts what was debited less what was credited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// What the provider has set aside for us and not taken yet. Nobody's money has moved.
    Reserve,
    /// The other side of [`Account::Reserve`].
    ReserveOffset,
    /// What the provider has taken and holds for us.
    Provider,
    /// What was taken while it is not decided what it buys. Empty at rest.
    Deposits,
    /// What bookings were sold for.
    Sales,
    /// What we owe buyers until it is with them. Empty at rest.
    RefundsOwed,
    /// What was kept when a booking was cancelled.
    CancellationCharges,
}

impl Account {
    /// Every account, in the order in which they are printed.
    pub const ALL: [Self; 7] = [
        Self::Reserve,
        Self::ReserveOffset,
        Self::Provider,
        Self::Deposits,
        Self::Sales,
        Self::RefundsOwed,
        Self::CancellationCharges,
    ];

    /// Returns the word the databases, the metrics and the command print.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::ReserveOffset => "reserve_offset",
            Self::Provider => "provider",
            Self::Deposits => "deposits",
            Self::Sales => "sales",
            Self::RefundsOwed => "refunds_owed",
            Self::CancellationCharges => "cancellation_charges",
        }
    }
}

/// Says why money moved. Each happens at most once for a payment; those about money that goes back, at most once for each
/// of its refunds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The provider set the money aside.
    Reserved,
    /// What was set aside was taken, or let go.
    Released,
    /// The provider took the money.
    Captured,
    /// It bought a booking.
    Sold,
    /// It bought nothing and must go back.
    Owed,
    /// A booking, or a part of it, was cancelled: so much must go back.
    Returned,
    /// A booking, or a part of it, was cancelled: so much is kept.
    Charged,
    /// The money went back.
    Refunded,
    /// It did not stay there: the buyer's bank sent it back to the provider.
    Bounced,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 9] = [
        Self::Reserved,
        Self::Released,
        Self::Captured,
        Self::Sold,
        Self::Owed,
        Self::Returned,
        Self::Charged,
        Self::Refunded,
        Self::Bounced,
    ];

    /// Returns the word the databases store.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Released => "released",
            Self::Captured => "captured",
            Self::Sold => "sold",
            Self::Owed => "owed",
            Self::Returned => "returned",
            Self::Charged => "charged",
            Self::Refunded => "refunded",
            Self::Bounced => "bounced",
        }
    }

    /// Reads the word the databases store.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.word() == word)
    }

    /// Returns the account that is debited and the one that is credited.
    #[must_use]
    pub const fn accounts(self) -> (Account, Account) {
        match self {
            Self::Reserved => (Account::Reserve, Account::ReserveOffset),
            Self::Released => (Account::ReserveOffset, Account::Reserve),
            Self::Captured => (Account::Provider, Account::Deposits),
            Self::Sold => (Account::Deposits, Account::Sales),
            Self::Owed => (Account::Deposits, Account::RefundsOwed),
            Self::Returned => (Account::Sales, Account::RefundsOwed),
            Self::Charged => (Account::Sales, Account::CancellationCharges),
            Self::Refunded => (Account::RefundsOwed, Account::Provider),
            Self::Bounced => (Account::Provider, Account::RefundsOwed),
        }
    }
}

/// Moves money once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Why, and so between which accounts.
    pub cause: Cause,
    /// How much.
    pub amount: Paise,
    /// Of which refund it is part; 0 when of none.
    pub refund: RefundNumber,
}

impl Transfer {
    /// Writes down a movement that is about the payment as a whole.
    #[must_use]
    pub const fn of_payment(cause: Cause, amount: Paise) -> Self {
        Self { cause, amount, refund: 0 }
    }

    /// Writes down a movement that is about one of the payment's refunds.
    #[must_use]
    pub const fn of_refund(refund: RefundNumber, cause: Cause, amount: Paise) -> Self {
        Self { cause, amount, refund }
    }

    /// Tells whether there is anything to write down: what is free moves no money.
    #[must_use]
    pub fn moves_money(&self) -> bool {
        self.amount > Paise::default()
    }
}

/// Is one payment with everything the ledger says of it.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The payment as it is.
    pub payment: Payment,
    /// Its transfers, in the order in which they were written, and when.
    pub transfers: Vec<(Transfer, Moment)>,
}

/// Sums up accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balances(BTreeMap<Account, i64>);

impl Balances {
    /// Adds a transfer.
    pub fn post(&mut self, transfer: Transfer) {
        let (debit, credit) = transfer.cause.accounts();
        self.add(debit, transfer.amount.get());
        self.add(credit, -transfer.amount.get());
    }

    /// Returns what an account stands at.
    #[must_use]
    pub fn of(&self, account: Account) -> i64 {
        self.0.get(&account).copied().unwrap_or_default()
    }

    /// Returns the sum over all accounts, which is always 0.
    #[must_use]
    pub fn sum(&self) -> i64 {
        self.0.values().sum()
    }

    fn add(&mut self, account: Account, amount: i64) {
        *self.0.entry(account).or_default() += amount;
    }

    /// Tells whether every account stands where the other has it.
    fn same(&self, other: &Self) -> bool {
        Account::ALL.into_iter().all(|account| self.of(account) == other.of(account))
    }
}

/// Returns where the accounts of one payment must stand, given its state.
#[must_use]
pub fn expected(payment: &Payment) -> Balances {
    let all = payment.amount.get();
    let (due, done, charged) = going_back(payment);
    let mut stand = Balances::default();
    let mut set = |account, amount| stand.add(account, amount);
    match &payment.state {
        PaymentState::Pending
        | PaymentState::Challenged { .. }
        | PaymentState::Failed { .. }
        | PaymentState::Voiding { .. }
        | PaymentState::Voided { .. } => {}
        PaymentState::Authorized { .. } | PaymentState::Capturing { .. } => {
            set(Account::Reserve, all);
            set(Account::ReserveOffset, -all);
        }
        PaymentState::Captured { .. } => {
            set(Account::Provider, all);
            set(Account::Deposits, -all);
        }
        PaymentState::Kept { .. } => {
            set(Account::Provider, all - done);
            set(Account::Sales, due + charged - all);
            set(Account::RefundsOwed, done - due);
            set(Account::CancellationCharges, -charged);
        }
        PaymentState::Refunding { .. } | PaymentState::Refunded { .. } => {
            set(Account::Provider, all - done);
            set(Account::RefundsOwed, done - due);
            set(Account::CancellationCharges, due - all);
        }
    }
    stand
}

/// Returns what goes or went back of a payment, how much of that the buyer has, and what was kept for it.
fn going_back(payment: &Payment) -> (i64, i64, i64) {
    let refunds = &payment.refunds;
    (refunds.due().unwrap_or_default().get(), refunds.done().get(), refunds.charged().get())
}

/// Compares a payment with its transfers; returns what is wrong, in words.
#[must_use]
pub fn audit(statement: &Statement) -> Option<String> {
    let mut posted = Balances::default();
    statement.transfers.iter().for_each(|(transfer, _)| posted.post(*transfer));
    let due = expected(&statement.payment);
    if posted.same(&due) {
        return None;
    }
    let differs = |account: &Account| posted.of(*account) != due.of(*account);
    let words = Account::ALL.into_iter().filter(differs).map(|account| {
        format!("{} stands at {} paise and must at {}", account.word(), posted.of(account), due.of(account))
    });
    let (payment, status) = (statement.payment.id, statement.payment.state.status().word());
    Some(format!("payment {payment} ({status}): {}", words.collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Reference;
    use crate::domain::payment::{ChargeId, PaymentId};
    use crate::domain::refund::Refunds;

    const NOW: Moment = Moment::from_ms(0);

    fn payment(state: PaymentState, refunds: Refunds) -> Payment {
        Payment {
            id: PaymentId::from_bytes([1; 16]),
            hold: None,
            amount: Paise::new(700),
            method: String::new(),
            request_hash: [0; 32],
            created_at: NOW,
            changed_at: NOW,
            refunds,
            state,
        }
    }

    /// Makes refunds of so much, of each so much kept, and whether it is done.
    fn refunds(refunds: &[(u32, u32, bool)]) -> Refunds {
        let mut made = Refunds::default();
        for &(amount, charge, done) in refunds {
            let number = made.begin(Paise::new(amount), Paise::new(charge), NOW);
            if done {
                made.finish(number, NOW).unwrap();
            }
        }
        made
    }

    fn is_right(state: &PaymentState, refunds: &Refunds, transfers: &[(Cause, u32)]) -> bool {
        let transfer =
            |&(cause, amount): &(Cause, u32)| (Transfer::of_payment(cause, Paise::new(amount)), Moment::from_ms(0));
        let payment = payment(state.clone(), refunds.clone());
        audit(&Statement { payment, transfers: transfers.iter().map(transfer).collect() }).is_none()
    }

    #[test]
    fn a_state_and_its_transfers_agree_or_are_named() {
        use Cause::{Captured, Owed, Refunded, Released, Reserved};
        let charge = || ChargeId("ch".to_owned());
        let (none, all) = (Refunds::default(), refunds(&[(700, 0, true)]));
        for (state, refunds, transfers, right) in [
            (PaymentState::Pending, &none, vec![], true),
            (PaymentState::Pending, &none, vec![(Reserved, 700)], false),
            (PaymentState::Capturing { charge: charge() }, &none, vec![(Reserved, 700)], true),
            (PaymentState::Voided { charge: charge() }, &none, vec![(Reserved, 700), (Released, 700)], true),
            (PaymentState::Captured { charge: charge() }, &none, vec![(Captured, 700)], true),
            (PaymentState::Captured { charge: charge() }, &none, vec![(Captured, 699)], false),
            (
                PaymentState::Refunded { charge: charge() },
                &all,
                vec![(Captured, 700), (Owed, 700), (Refunded, 700)],
                true,
            ),
            (PaymentState::Refunded { charge: charge() }, &all, vec![(Captured, 700), (Owed, 700)], false),
        ] {
            assert_eq!(is_right(&state, refunds, &transfers), right, "{state:?} {transfers:?}");
        }
    }

    #[test]
    fn parts_that_go_back_are_part_of_the_sum_at_every_step() {
        use Cause::{Bounced, Captured, Charged, Refunded, Returned, Sold};
        let charge = || ChargeId("ch".to_owned());
        let kept = PaymentState::Kept {
            charge: charge(),
            booking: Reference::of(super::super::id::HoldId::from_bytes([1; 16])),
        };
        let sold = vec![(Captured, 700), (Sold, 700)];
        let and = |more: &[(Cause, u32)]| [&sold[..], more].concat();
        let first = and(&[(Returned, 200), (Charged, 100)]);
        assert!(is_right(&kept, &Refunds::default(), &sold));
        assert!(is_right(&kept, &refunds(&[(200, 100, false)]), &first));
        assert!(!is_right(&kept, &refunds(&[(200, 100, true)]), &first), "the money has not moved yet");
        let first = and(&[(Returned, 200), (Charged, 100), (Refunded, 200)]);
        assert!(is_right(&kept, &refunds(&[(200, 100, true)]), &first));
        let rest = [&first[..], &[(Returned, 400)]].concat();
        let both = refunds(&[(200, 100, true), (400, 0, false)]);
        assert!(
            is_right(&PaymentState::Refunding { charge: charge() }, &both, &rest),
            "the rest goes back at full price"
        );
        let mut bounced = refunds(&[(200, 100, true)]);
        bounced.fail(1, NOW).unwrap();
        bounced.begin(Paise::new(200), Paise::default(), NOW);
        assert!(!is_right(&kept, &bounced, &first));
        assert!(is_right(&kept, &bounced, &[&first[..], &[(Bounced, 200)]].concat()));
    }

    #[test]
    fn whatever_is_posted_the_sum_is_nothing() {
        let mut balances = Balances::default();
        for (number, cause) in Cause::ALL.into_iter().enumerate() {
            balances.post(Transfer::of_payment(cause, Paise::new(10 + number as u32)));
        }
        assert_eq!(balances.sum(), 0);
    }
}
