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
//! money given back   refunded:  refunds owed ─► provider
//! ```

use std::collections::BTreeMap;

use super::moment::Moment;
use super::money::Paise;
use super::payment::{Payment, PaymentState};

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

/// Says why money moved. Each happens at most once for a payment.
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
    /// A booking was cancelled: so much must go back.
    Returned,
    /// A booking was cancelled: so much is kept.
    Charged,
    /// The money went back.
    Refunded,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 8] = [
        Self::Reserved,
        Self::Released,
        Self::Captured,
        Self::Sold,
        Self::Owed,
        Self::Returned,
        Self::Charged,
        Self::Refunded,
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
}

impl Transfer {
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
            set(Account::Provider, all);
            set(Account::Sales, -all);
        }
        PaymentState::Refunding { amount, .. } => {
            set(Account::Provider, all);
            set(Account::RefundsOwed, -amount.get());
            set(Account::CancellationCharges, amount.get() - all);
        }
        PaymentState::Refunded { amount, .. } => {
            set(Account::Provider, all - amount.get());
            set(Account::CancellationCharges, amount.get() - all);
        }
    }
    stand
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
    use crate::domain::payment::{ChargeId, PaymentId};

    fn payment(state: PaymentState) -> Payment {
        Payment {
            id: PaymentId::from_bytes([1; 16]),
            hold: None,
            amount: Paise::new(700),
            method: String::new(),
            request_hash: [0; 32],
            created_at: Moment::from_ms(0),
            changed_at: Moment::from_ms(0),
            state,
        }
    }

    fn statement(state: PaymentState, transfers: &[(Cause, u32)]) -> Statement {
        let transfer =
            |&(cause, amount): &(Cause, u32)| (Transfer { cause, amount: Paise::new(amount) }, Moment::from_ms(0));
        Statement { payment: payment(state), transfers: transfers.iter().map(transfer).collect() }
    }

    #[test]
    fn a_state_and_its_transfers_agree_or_are_named() {
        use Cause::{Captured, Charged, Owed, Refunded, Released, Reserved, Returned, Sold};
        let charge = || ChargeId("ch".to_owned());
        let refunded = |amount| PaymentState::Refunded { charge: charge(), amount: Paise::new(amount) };
        let taken = [(Reserved, 700), (Released, 700), (Captured, 700), (Sold, 700)];
        for (state, transfers, right) in [
            (PaymentState::Pending, vec![], true),
            (PaymentState::Pending, vec![(Reserved, 700)], false),
            (PaymentState::Capturing { charge: charge() }, vec![(Reserved, 700)], true),
            (PaymentState::Voided { charge: charge() }, vec![(Reserved, 700), (Released, 700)], true),
            (PaymentState::Captured { charge: charge() }, vec![(Captured, 700)], true),
            (PaymentState::Captured { charge: charge() }, vec![(Captured, 699)], false),
            (refunded(700), vec![(Captured, 700), (Owed, 700), (Refunded, 700)], true),
            (refunded(700), vec![(Captured, 700), (Owed, 700)], false),
            (refunded(500), [&taken[..], &[(Returned, 500), (Charged, 200), (Refunded, 500)]].concat(), true),
            (refunded(500), [&taken[..], &[(Returned, 500), (Refunded, 500)]].concat(), false),
        ] {
            let statement = statement(state, &transfers);
            assert_eq!(audit(&statement).is_none(), right, "{statement:?}");
        }
    }

    #[test]
    fn whatever_is_posted_the_sum_is_nothing() {
        let mut balances = Balances::default();
        for (number, cause) in Cause::ALL.into_iter().enumerate() {
            balances.post(Transfer { cause, amount: Paise::new(10 + number as u32) });
        }
        assert_eq!(balances.sum(), 0);
    }
}
