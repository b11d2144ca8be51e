//! The auditor reads the whole ledger, a part at a time, and compares every payment with its transfers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::ledger::{self, Account, Balances};
use crate::domain::payment::PaymentId;
use crate::service::Service;
use crate::store::{Store, StoreError};
use crate::worker;

/// How long it rests between two parts, so that it is never in the way.
const PERIOD: Duration = Duration::from_secs(1);
const PART: u32 = 1_000;
/// Faults that are kept in words; more are only counted.
const MOST_WORDS: usize = 100;

/// Is what an audit found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What each account stands at.
    pub balances: Balances,
    /// Payments read, by their state.
    pub payments: BTreeMap<&'static str, u64>,
    /// Payments whose transfers do not fit their state.
    pub faults: u64,
    /// The first of them, in words.
    pub words: Vec<String>,
    /// How far it has come.
    last: Option<PaymentId>,
}

impl Report {
    /// Reads the next part; `false` when there was none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_on(&mut self, store: &dyn Store) -> Result<bool, StoreError> {
        let part = store.statements(self.last, PART).await?;
        for statement in &part {
            statement.transfers.iter().for_each(|(transfer, _)| self.balances.post(*transfer));
            *self.payments.entry(statement.payment.state.status().word()).or_default() += 1;
            if let Some(fault) = ledger::audit(statement) {
                self.faults += 1;
                self.words.extend(Some(fault).filter(|_| self.words.len() < MOST_WORDS));
            }
        }
        self.last = part.last().map(|statement| statement.payment.id).or(self.last);
        Ok(!part.is_empty())
    }
}

/// Reads the whole ledger.
///
/// # Errors
/// [`StoreError`].
pub async fn audit(store: &dyn Store) -> Result<Report, StoreError> {
    let mut report = Report::default();
    while report.read_on(store).await? {}
    Ok(report)
}

/// Audits until stopped, a part at a time, and shows what each whole audit found.
pub async fn run(service: Arc<Service>, stop: CancellationToken) {
    let (never, report) = (Notify::new(), tokio::sync::Mutex::new(Report::default()));
    worker::run(PERIOD, &never, &stop, || async {
        let mut report = report.lock().await;
        match report.read_on(service.store()).await {
            Ok(true) => {}
            Ok(false) => show(&service, &std::mem::take(&mut *report)),
            Err(error) => tracing::error!(%error, "the ledger could not be read"),
        }
    })
    .await;
}

fn show(service: &Service, report: &Report) {
    let metrics = service.metrics();
    metrics.ledger_faults.set(i64::try_from(report.faults).unwrap_or(i64::MAX));
    for account in Account::ALL {
        metrics.ledger_paise.with_label_values(&[account.word()]).set(report.balances.of(account));
    }
    for fault in &report.words {
        tracing::error!(fault, "the ledger and a payment contradict each other");
    }
}
