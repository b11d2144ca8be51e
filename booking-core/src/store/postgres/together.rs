//! Several decisions in one commit: each kind of row is read and written once for all of them.
//!
//! The rows are locked in the order that holds everywhere: holds, payments, and last the inventory, row by row in ascending
//! order. A hold that somebody else has locked is passed over, so nobody waits here for a stranger but for a row's counts.

use std::collections::{BTreeMap, HashMap};

use deadpool_postgres::{Object, Transaction};

use super::{commit, fault, read};
use crate::domain::hold::{Hold, HoldId};
use crate::domain::inventory::{InventoryId, StockMove};
use crate::domain::order::{Loaded, Step, Stop};
use crate::domain::payment::{Payment, PaymentId};
use crate::domain::seat::SeatNumber;
use crate::store::rows::count;
use crate::store::{Left, Outcome, Question, StoreError, Subject, Transacted};

mod writing;

const MOVE: &str = "UPDATE inventory SET available = available + $2::int, held = held + $3::int, sold = sold + $4::int,
                        version = version + 1
                    WHERE name = $1 RETURNING available";

/// Answers questions; `None` for each that is to be asked by itself.
pub(super) async fn transact(connection: &mut Object, questions: &[Question]) -> Vec<Option<Transacted>> {
    let nobody = || questions.iter().map(|_| None).collect();
    let everybody = |error: StoreError| questions.iter().map(|_| Some(Err(error.clone()))).collect();
    match decide_and_write(connection, questions).await {
        Ok((tx, answers)) => match end(tx, &answers).await {
            Ok(()) => answers.into_iter().map(|answer| answer.map(Ok)).collect(),
            Err(error) => everybody(error),
        },
        Err(error @ StoreError::Unavailable(_)) => everybody(error),
        // Nothing was committed. Whoever is to blame finds out alone, and the others do not suffer for it.
        Err(error) => {
            tracing::warn!(%error, questions = questions.len(), "a commit is undone, and each part of it tried by itself");
            nobody()
        }
    }
}

/// Commits, if anybody has changed anything.
async fn end(tx: Transaction<'_>, answers: &Answers) -> Result<(), StoreError> {
    if answers.iter().flatten().any(Result::is_ok) { commit(tx).await } else { Ok(()) }
}

type Answers = Vec<Option<Result<Outcome, Stop>>>;

async fn decide_and_write<'a>(
    connection: &'a mut Object,
    questions: &[Question],
) -> Result<(Transaction<'a>, Answers), StoreError> {
    let tx = connection.transaction().await.map_err(|error| fault(&error))?;
    let mut found = Found::read(&tx, questions).await?;
    let verdicts: Vec<_> = questions.iter().map(|question| found.decide(question)).collect();
    let steps: Vec<&Step> = verdicts.iter().flatten().filter_map(|verdict| verdict.as_ref().ok()).collect();
    writing::write(&tx, &steps).await?;
    let left = move_stock(&tx, &steps).await?;
    let outcome = |step: Step| {
        let left = step.stock.iter().filter_map(|change| left.get(&change.inventory).copied()).collect();
        Outcome { hold: step.hold, payment: step.payment, left }
    };
    let answers = verdicts.into_iter().map(|verdict| verdict.map(|verdict| verdict.map(outcome))).collect();
    Ok((tx, answers))
}

/// Is what the questions are about, as far as it could be locked.
struct Found {
    /// Holds that nobody has decided about yet; what was read serves one decision.
    holds: HashMap<HoldId, Hold>,
    payments: HashMap<PaymentId, Payment>,
}

impl Found {
    async fn read(tx: &Transaction<'_>, questions: &[Question]) -> Result<Self, StoreError> {
        let holds: Vec<HoldId> = questions.iter().filter_map(|question| question.subject.hold()).collect();
        let payments: Vec<PaymentId> = questions.iter().filter_map(|question| question.subject.payment()).collect();
        let (holds, payments) =
            (slices(holds.iter().map(HoldId::as_bytes)), slices(payments.iter().map(PaymentId::as_bytes)));
        let (holds, payments) = read::lock_all(tx, &holds, &payments).await?;
        Ok(Self {
            holds: holds.into_iter().map(|hold| (hold.id, hold)).collect(),
            payments: payments.into_iter().map(|payment| (payment.id, payment)).collect(),
        })
    }

    /// Decides; `None` when the rows could not be locked or are not there, when they were another question's, or when the
    /// step is none that can share a commit.
    fn decide(&mut self, question: &Question) -> Option<Result<Step, Stop>> {
        let verdict = (question.decide)(&self.load(question.subject)?);
        verdict.as_ref().map_or(true, Step::is_shareable).then_some(verdict)
    }

    /// Whoever changes a payment has its hold locked. So with the hold in hand, a payment that was not found is not there.
    fn load(&mut self, subject: Subject) -> Option<Loaded> {
        let payment = subject.payment().and_then(|payment| self.payments.get(&payment).cloned());
        let hold = subject.hold().or_else(|| payment.as_ref().and_then(|payment| payment.hold))?;
        Some(Loaded { hold: Some(self.holds.remove(&hold)?), payment })
    }
}

fn slices<'a>(ids: impl Iterator<Item = &'a [u8; 16]>) -> Vec<&'a [u8]> {
    ids.map(<[u8; 16]>::as_slice).collect()
}

/// Is what all steps together move in one row.
#[derive(Default)]
struct Moved {
    sum: StockMove,
    /// The numbers that are given back, and whose they were.
    freed: Vec<(SeatNumber, HoldId)>,
}

fn sums(steps: &[&Step]) -> BTreeMap<InventoryId, Moved> {
    let mut rows: BTreeMap<InventoryId, Moved> = BTreeMap::new();
    for step in steps {
        for change in &step.stock {
            let row = rows.entry(change.inventory).or_default();
            row.sum = row.sum.and(change.change);
            let owner = step.hold.as_ref().filter(|_| change.change.owned() < 0);
            row.freed.extend(owner.iter().flat_map(|hold| change.seats.iter().map(|seat| (*seat, hold.id))));
        }
    }
    rows
}

/// Moves the seats of all steps, row by row in ascending order: first the numbers that nobody owns any more, then the
/// counts, once.
async fn move_stock(tx: &Transaction<'_>, steps: &[&Step]) -> Result<HashMap<InventoryId, Left>, StoreError> {
    let mut left = HashMap::new();
    for (row, Moved { sum, freed }) in sums(steps) {
        writing::disown(tx, row, &freed).await?;
        let counts = read::query(tx, MOVE, &[&row.to_string(), &sum.available, &sum.held, &sum.sold]).await?;
        let available = counts.first().ok_or(StoreError::UnknownInventory(row))?.get::<_, i32>(0);
        left.insert(row, Left::after(row, count(available.into())?, sum.available));
    }
    Ok(left)
}
