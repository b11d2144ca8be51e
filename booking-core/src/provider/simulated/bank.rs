//! The simulated bank itself: its charges, its script of faults, and the news it has to tell. No HTTP here.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::account::{Account, Refusal, Status, Telling};
use super::faults::{Fault, FaultKind, Manner, Script, Verb};
use super::journal::Journal;
use crate::clock::Clock;
use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::payment::{ChargeId, PaymentId};
use crate::domain::refund::RefundNumber;
use crate::provider::ChargeOrder;

/// How many charges are remembered; the oldest are forgotten beyond that.
const MEMORY: usize = 200_000;
/// News that may wait to be told; more is lost, as webhooks sometimes are.
const UNTOLD: usize = 4_096;
/// Charges in one part of the list.
pub const PAGE: usize = 200;
/// How long a call that hangs is kept at most.
const LONGEST_HANG: Duration = Duration::from_secs(120);

/// Is news on its way to the merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The body of the webhook.
    pub body: Vec<u8>,
    /// How long it is kept back first.
    pub delay: Duration,
}

/// Chooses how long things take.
#[derive(Clone, Copy, Debug)]
pub struct Tempo {
    /// How long what is slow takes.
    pub slow: Duration,
    /// How long after the request what is late happens.
    pub late: Duration,
}

impl Default for Tempo {
    fn default() -> Self {
        Self { slow: Duration::from_secs(2), late: Duration::from_secs(12) }
    }
}

/// Is a bank. Cheap to clone; all clones are one bank.
#[derive(Clone)]
pub struct Bank {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    tempo: Tempo,
    desk: Mutex<Desk>,
    untold: mpsc::Sender<Delivery>,
    /// Changes with every script; calls that hang wait for that.
    scripts: watch::Sender<u64>,
    /// Owns what happens after a caller was left without an answer.
    tasks: TaskTracker,
    stopped: CancellationToken,
}

#[derive(Default)]
struct Desk {
    accounts: HashMap<ChargeId, Account>,
    /// The order of the list.
    by_age: BTreeSet<(Moment, ChargeId)>,
    script: Script,
    journal: Option<Journal>,
}

/// Says why the bank did not do it.
#[derive(Debug)]
pub enum NotDone {
    /// It may not be done.
    Refused(Refusal),
    /// It could not be written down.
    Disk(io::Error),
}

impl Bank {
    /// Opens a bank; with a path, it remembers its charges there. Its news comes out of the receiver.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(
        clock: Arc<dyn Clock>,
        tempo: Tempo,
        memory: Option<&Path>,
    ) -> io::Result<(Self, mpsc::Receiver<Delivery>)> {
        let mut desk = Desk::default();
        if let Some(path) = memory {
            let (journal, accounts) = Journal::open(path)?;
            desk.by_age = accounts.values().map(|account| (account.created_at, account.id.clone())).collect();
            desk.accounts = accounts;
            desk.journal = Some(journal);
        }
        let (untold, inbox) = mpsc::channel(UNTOLD);
        let inner = Inner {
            clock,
            tempo,
            desk: Mutex::new(desk),
            untold,
            scripts: watch::Sender::new(0),
            tasks: TaskTracker::new(),
            stopped: CancellationToken::new(),
        };
        Ok((Self { inner: Arc::new(inner) }, inbox))
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.inner.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the script of faults. Calls that hang are let go.
    pub fn play(&self, script: Script) {
        self.desk().script = script;
        self.let_go();
    }

    /// Returns the script as far as it has been played.
    #[must_use]
    pub fn script(&self) -> Script {
        self.desk().script.clone()
    }

    /// Says what goes wrong with a call; the script comes before the payment method.
    #[must_use]
    pub fn fault(&self, verb: Verb, method: Option<Manner>) -> Option<Fault> {
        let scripted = self.desk().script.next(verb);
        scripted.or_else(|| method.and_then(|manner| manner.fault).map(|kind| Fault { kind, ms: None }))
    }

    /// Returns how long a fault takes.
    #[must_use]
    pub fn pace(&self, fault: Fault) -> Duration {
        let own = if fault.kind == FaultKind::Late { self.inner.tempo.late } else { self.inner.tempo.slow };
        fault.ms.map_or(own, Duration::from_millis)
    }

    /// Waits until the script is replaced, the bank closes or patience ends.
    pub async fn hang(&self) {
        let mut scripts = self.inner.scripts.subscribe();
        tokio::select! {
            _ = scripts.changed() => {}
            () = self.inner.stopped.cancelled() => {}
            () = tokio::time::sleep(LONGEST_HANG) => {}
        }
    }

    /// Ends the calls that hang, with an answer that says nothing.
    pub fn let_go(&self) {
        self.inner.scripts.send_modify(|version| *version += 1);
    }

    /// Returns how many calls hang.
    #[must_use]
    pub fn hanging(&self) -> usize {
        self.inner.scripts.receiver_count()
    }

    /// Does something later, whoever still waits for it.
    pub fn later(&self, delay: Duration, act: impl FnOnce() + Send + 'static) {
        let stopped = self.inner.stopped.clone();
        self.inner.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(delay) => act(),
                () = stopped.cancelled() => {}
            }
        });
    }

    /// Sets money aside, once for each payment: the same order again returns the charge as it is now.
    ///
    /// # Errors
    /// [`NotDone::Disk`].
    pub fn authorize(&self, order: &ChargeOrder, manner: Manner, base: &str) -> Result<Account, NotDone> {
        let id = ChargeId(format!("ch_{}", order.payment));
        if let Some(known) = self.find(&id) {
            return Ok(known);
        }
        let status = match manner {
            Manner { fault: Some(FaultKind::Decline), .. } => Status::Failed,
            Manner { challenge: true, .. } => Status::Open,
            Manner { instant: true, .. } => Status::Captured,
            _ => Status::Authorized,
        };
        let declined = (status == Status::Failed).then(|| "the bank refused this payment".to_owned());
        let challenge = manner.challenge.then(|| format!("{base}/challenge/{}", id.0));
        let account = Account {
            reason: declined,
            challenge,
            return_url: order.return_url.clone(),
            copies: manner.copies,
            instant: manner.instant,
            ..self.account(id, order.payment, order.amount, status)
        };
        self.keep(account)
    }

    fn account(&self, id: ChargeId, payment: PaymentId, amount: Paise, status: Status) -> Account {
        Account {
            id,
            payment,
            amount_paise: amount,
            refunded_paise: Paise::default(),
            created_at: self.inner.clock.now(),
            status,
            reason: None,
            challenge: None,
            return_url: None,
            refunds: Vec::new(),
            copies: 0,
            instant: false,
        }
    }

    /// Takes money for a payment nobody asked for, as a bank's own fault would.
    ///
    /// # Errors
    /// [`NotDone::Disk`].
    pub fn stray(&self, payment: PaymentId, amount: Paise, status: Status) -> Result<Account, NotDone> {
        self.keep(self.account(ChargeId(format!("stray_{payment}")), payment, amount, status))
    }

    /// Returns a charge.
    #[must_use]
    pub fn find(&self, id: &ChargeId) -> Option<Account> {
        self.desk().accounts.get(id).cloned()
    }

    /// Changes a charge; what it becomes is told.
    ///
    /// # Errors
    /// [`NotDone`]; nothing is changed then.
    pub fn change(
        &self,
        id: &ChargeId,
        act: impl FnOnce(&mut Account) -> Result<(), Refusal>,
    ) -> Result<Account, NotDone> {
        let mut desk = self.desk();
        let before = desk.accounts.get(id).cloned().ok_or(NotDone::Refused(Refusal::Unknown))?;
        let mut after = before.clone();
        act(&mut after).map_err(NotDone::Refused)?;
        if after == before {
            return Ok(after);
        }
        desk.write(&after)?;
        if after.status != before.status {
            self.tell(&mut desk, &after, after.telling());
        }
        Ok(after)
    }

    /// Has the buyer's bank send a refund back after it was done, and says so.
    ///
    /// # Errors
    /// [`NotDone`].
    pub fn bounce(&self, id: &ChargeId, number: RefundNumber) -> Result<(), NotDone> {
        let mut desk = self.desk();
        let mut account = desk.accounts.get(id).cloned().ok_or(NotDone::Refused(Refusal::Unknown))?;
        let Some(telling) = account.bounce(number) else { return Ok(()) };
        desk.write(&account)?;
        self.tell(&mut desk, &account, Some(telling));
        Ok(())
    }

    fn keep(&self, account: Account) -> Result<Account, NotDone> {
        let mut desk = self.desk();
        if let Some(known) = desk.accounts.get(&account.id) {
            return Ok(known.clone());
        }
        desk.write(&account)?;
        self.tell(&mut desk, &account, account.telling());
        Ok(account)
    }

    fn tell(&self, desk: &mut Desk, account: &Account, telling: Option<Telling>) {
        let Some(body) = telling.and_then(|telling| serde_json::to_vec(&telling).ok()) else { return };
        for _ in 0..account.copies {
            let fault = desk.script.next(Verb::Webhook);
            let (copies, delay) = match fault {
                Some(Fault { kind: FaultKind::Fail, .. }) => (0, Duration::ZERO),
                Some(Fault { kind: FaultKind::Duplicate, .. }) => (3, Duration::ZERO),
                Some(fault) => (1, self.pace(fault)),
                None => (1, Duration::ZERO),
            };
            for _ in 0..copies {
                let _lost_when_full = self.inner.untold.try_send(Delivery { body: body.clone(), delay });
            }
        }
    }

    /// Lists charges made since a moment, the oldest first, after a cursor; returns the next cursor when there are more.
    #[must_use]
    pub fn list(&self, since: Moment, after: Option<(Moment, ChargeId)>) -> (Vec<Account>, Option<(Moment, ChargeId)>) {
        let desk = self.desk();
        let from = after.map_or(Bound::Included((since, ChargeId(String::new()))), Bound::Excluded);
        let mut keys = desk.by_age.range((from, Bound::Unbounded));
        let page: Vec<&(Moment, ChargeId)> = keys.by_ref().take(PAGE).collect();
        let next = keys.next().and(page.last().map(|last| (*last).clone()));
        (page.iter().filter_map(|(_, id)| desk.accounts.get(id).cloned()).collect(), next)
    }

    /// Returns every charge of which money was taken and not all given back.
    #[must_use]
    pub fn kept(&self) -> Vec<Account> {
        self.desk().accounts.values().filter(|account| account.kept() > Paise::default()).cloned().collect()
    }

    /// Returns every charge for which money is still set aside.
    #[must_use]
    pub fn set_aside(&self) -> Vec<Account> {
        self.desk().accounts.values().filter(|account| account.status == Status::Authorized).cloned().collect()
    }

    /// Waits until nothing is left that would happen behind the caller's back.
    pub async fn idle(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.tasks.reopen();
    }

    /// Ends what still goes on in the background.
    pub async fn stop(&self) {
        self.inner.stopped.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl Desk {
    /// Writes a charge down, on disk first.
    fn write(&mut self, account: &Account) -> Result<(), NotDone> {
        if let Some(journal) = &mut self.journal {
            journal.write(account).map_err(NotDone::Disk)?;
        }
        self.by_age.insert((account.created_at, account.id.clone()));
        self.accounts.insert(account.id.clone(), account.clone());
        while self.by_age.len() > MEMORY {
            let oldest = self.by_age.pop_first();
            oldest.and_then(|(_, id)| self.accounts.remove(&id));
        }
        Ok(())
    }
}
