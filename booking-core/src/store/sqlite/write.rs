//! Writing what a decision says, and the small writes beside it.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::ids::of_id;
use super::{commit, fault, ledger, read};
use crate::domain::booking::Booking;
use crate::domain::hold::Hold;
use crate::domain::inventory::{InventoryId, Offer, StockChange, StockMove};
use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::order::{Loaded, Step, Stop, Task};
use crate::domain::payment::Payment;
use crate::domain::placement::ShardNumber;
use crate::store::rows::{bytes, challenge, count, failure_reason, hold_changed_at, numbers, shard_number};
use crate::store::{Decide, DueTask, Left, Outcome, Question, StoreError, Subject, Transacted};

const MOVE: &str = "UPDATE inventory SET available = available + ?2, held = held + ?3, sold = sold + ?4,
                        version = version + 1
                    WHERE name = ?1 AND available + ?2 >= 0 RETURNING available";
const OWN: &str = "INSERT INTO seats (inventory_id, number, hold_id) SELECT id, ?2, ?3 FROM inventory WHERE name = ?1
                   ON CONFLICT DO NOTHING";
const DISOWN: &str = "DELETE FROM seats WHERE inventory_id = (SELECT id FROM inventory WHERE name = ?1)
                      AND number = ?2 AND hold_id = ?3";
const HOLD: &str = concat!(
    "UPDATE holds SET status = ?2, attempt = ?3, changed_at = ?4, expires_at = ?5, extensions = ?6 WHERE number = ",
    of_id!()
);
const SHRINK: &str = concat!("UPDATE holds SET quantity = ?2, amount = ?3, numbers = ?4 WHERE number = ", of_id!());
const PARTS: &str = "UPDATE holds SET status = ?2, attempt = ?3, changed_at = ?4, expires_at = ?5, extensions = ?6
                     WHERE part_of = ?1";
const PAYMENT: &str =
    "INSERT INTO payments (id, hold_id, amount, method, request_hash, status, charge, reason, created_at, changed_at,
                           challenge, refund)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
                       ON CONFLICT (id) DO UPDATE SET status = excluded.status, charge = excluded.charge,
                           reason = excluded.reason, changed_at = excluded.changed_at,
                           challenge = excluded.challenge, refund = excluded.refund";
const REFUND: &str = "INSERT INTO refunds (payment_id, number, amount, charge, status, changed_at)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                      ON CONFLICT (payment_id, number)
                      DO UPDATE SET status = excluded.status, changed_at = excluded.changed_at";
const BOOKING: &str =
    "INSERT INTO bookings (reference, hold_id, payment_id, inventory_id, quantity, amount, created_at)
                       SELECT ?1, ?2, ?3, id, ?5, ?6, ?7 FROM inventory WHERE name = ?4";
const CANCEL: &str = "UPDATE bookings SET cancelled_at = ?2 WHERE reference = ?1 AND cancelled_at IS NULL";
const SHORTEN: &str = "UPDATE bookings SET quantity = ?2, amount = ?3 WHERE reference = ?1 AND cancelled_at IS NULL";
const ENQUEUE: &str = "INSERT INTO outbox (kind, payment_id, created_at, due_at) VALUES (?1, ?2, ?3, ?4)
                       ON CONFLICT (kind, payment_id)
                       DO UPDATE SET due_at = min(outbox.due_at, excluded.due_at), asked = outbox.asked + 1";
const COMPLETE: &str = "DELETE FROM outbox WHERE kind = ?1 AND payment_id = ?2";
const POSTPONE: &str = "UPDATE outbox SET due_at = ?3, attempts = attempts + 1, last_error = ?4
                        WHERE kind = ?1 AND payment_id = ?2 AND asked = ?5";
const HASTEN: &str = "UPDATE outbox SET due_at = min(due_at, ?3), asked = asked + 1
                      WHERE kind = ?1 AND payment_id = ?2";
const ENSURE: &str = "INSERT INTO inventory (name, capacity, available, price, numbering)
                      VALUES (?1, ?2, ?2, ?3, ?4)
                      ON CONFLICT (name) DO NOTHING";

fn begin(db: &mut Connection) -> Result<Transaction<'_>, StoreError> {
    db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|error| fault(&error))
}

pub(super) fn execute(tx: &Transaction<'_>, sql: &str, params: impl rusqlite::Params) -> Result<usize, StoreError> {
    tx.prepare_cached(sql).and_then(|mut sql| sql.execute(params)).map_err(|error| fault(&error))
}

pub(super) fn transact(db: &mut Connection, subject: Subject, decide: &Decide) -> Transacted {
    let tx = begin(db)?;
    let loaded = load(&tx, subject)?;
    let step = match decide(&loaded) {
        Ok(step) => step,
        Err(stop) => return Ok(Err(stop)),
    };
    let Some(outcome) = apply(&tx, step)? else {
        return Ok(Err(Stop::SoldOut));
    };
    commit(tx)?;
    Ok(Ok(outcome))
}

/// Answers questions in one commit; `None` for each that is to be asked by itself.
pub(super) fn transact_together(db: &mut Connection, questions: &[Question]) -> Vec<Option<Transacted>> {
    match decide_and_write(db, questions) {
        Ok((tx, answers)) => match end(tx, &answers) {
            Ok(()) => answers.into_iter().map(|answer| answer.map(Ok)).collect(),
            Err(error) => questions.iter().map(|_| Some(Err(error.clone()))).collect(),
        },
        // Nothing was committed. Whoever is to blame finds out alone, and the others do not suffer for it.
        Err(error) => {
            tracing::warn!(%error, questions = questions.len(), "a commit is undone, and each part of it tried by itself");
            questions.iter().map(|_| None).collect()
        }
    }
}

type Answers = Vec<Option<Result<Outcome, Stop>>>;

/// Commits, if anybody has changed anything.
fn end(tx: Transaction<'_>, answers: &Answers) -> Result<(), StoreError> {
    if answers.iter().flatten().any(Result::is_ok) { commit(tx) } else { Ok(()) }
}

fn decide_and_write<'a>(
    db: &'a mut Connection,
    questions: &[Question],
) -> Result<(Transaction<'a>, Answers), StoreError> {
    let tx = begin(db)?;
    let mut answers =
        questions.iter().map(|question| answer(&tx, question)).collect::<Result<Answers, StoreError>>()?;
    see_whole(&mut answers);
    Ok((tx, answers))
}

/// Has every outcome say of a row what was there before the first of them, and what is there after the last: nobody
/// outside ever sees what is in between.
fn see_whole(answers: &mut Answers) {
    let mut rows: HashMap<InventoryId, Left> = HashMap::new();
    for left in answers.iter().flatten().flatten().flat_map(|outcome| &outcome.left) {
        rows.entry(left.inventory).or_insert(*left).available = left.available;
    }
    for left in answers.iter_mut().flatten().flatten().flat_map(|outcome| &mut outcome.left) {
        *left = rows[&left.inventory];
    }
}

fn answer(tx: &Transaction<'_>, question: &Question) -> Result<Option<Result<Outcome, Stop>>, StoreError> {
    match (question.decide)(&load(tx, question.subject)?) {
        Ok(step) if step.is_shareable() => apply(tx, step)?.map_or_else(not_taken, |outcome| Ok(Some(Ok(outcome)))),
        Ok(_) => Ok(None),
        Err(stop) => Ok(Some(Err(stop))),
    }
}

fn not_taken<T>() -> Result<T, StoreError> {
    Err(StoreError::Corrupt("a step that takes no seats was refused some".to_owned()))
}

fn load(tx: &Transaction<'_>, subject: Subject) -> Result<Loaded, StoreError> {
    let payment = subject.payment().map(|id| read::payment(tx, id)).transpose()?.flatten();
    let hold = subject.hold().or(payment.as_ref().and_then(|payment| payment.hold));
    let hold = hold.map(|id| read::hold(tx, id)).transpose()?.flatten();
    Ok(Loaded { hold, payment })
}

/// Writes a step; `None` when it wants seats that are not there, and then nothing may be committed.
fn apply(tx: &Transaction<'_>, step: Step) -> Result<Option<Outcome>, StoreError> {
    let mut left = Vec::with_capacity(step.stock.len());
    for change in &step.stock {
        if !move_seats(tx, step.hold.as_ref(), change)? {
            return Ok(None);
        }
        match move_stock(tx, change.inventory, change.change)? {
            Some(available) => left.push(Left::after(change.inventory, available, change.change.available)),
            None => return Ok(None),
        }
    }
    step.hold.as_ref().map(|hold| write_hold(tx, hold)).transpose()?;
    if let (Some(hold), Some(index)) = (&step.hold, step.shrunk) {
        write_shrunk(tx, hold, index)?;
    }
    step.payment.as_ref().map(|payment| write_payment(tx, payment)).transpose()?;
    step.payment.as_ref().map(|payment| ledger::post(tx, payment, &step.transfers)).transpose()?;
    step.booking.as_ref().map(|booking| write_booking(tx, booking, step.shrunk.is_some())).transpose()?;
    if let (Some(task), Some(payment)) = (step.enqueue, &step.payment) {
        let (task, due_at) = task;
        let times = (payment.changed_at.as_ms(), due_at.as_ms());
        execute(tx, ENQUEUE, params![task.kind.word(), task.payment.as_bytes(), times.0, times.1])?;
    }
    if let Some(task) = step.complete {
        execute(tx, COMPLETE, params![task.kind.word(), task.payment.as_bytes()])?;
    }
    Ok(Some(Outcome { hold: step.hold, payment: step.payment, left }))
}

/// Has the numbered seats of a change change hands; `false` when one of them has another owner.
fn move_seats(tx: &Transaction<'_>, hold: Option<&Hold>, change: &StockChange) -> Result<bool, StoreError> {
    let growth = change.change.owned();
    let Some(hold) = hold.filter(|_| growth != 0) else { return Ok(true) };
    let (sql, row) = (if growth > 0 { OWN } else { DISOWN }, change.inventory.to_string());
    let mut moved = 0;
    for seat in &change.seats {
        moved += execute(tx, sql, params![row, seat.get(), hold.id.as_bytes()])?;
    }
    if growth < 0 && moved != change.seats.len() {
        return Err(StoreError::Corrupt(format!("hold {} does not own the seats it lists", hold.id)));
    }
    Ok(moved == change.seats.len())
}

fn move_stock(tx: &Transaction<'_>, row: InventoryId, change: StockMove) -> Result<Option<u32>, StoreError> {
    let params = params![row.to_string(), change.available, change.held, change.sold];
    let left = tx
        .prepare_cached(MOVE)
        .and_then(|mut sql| sql.query_row(params, |row| row.get::<_, i64>(0)).optional())
        .map_err(|error| fault(&error))?;
    left.map(count).transpose()
}

fn write_hold(tx: &Transaction<'_>, hold: &Hold) -> Result<usize, StoreError> {
    let attempt = hold.attempt.as_ref().map(|attempt| attempt.as_bytes());
    let changed_at = hold_changed_at(hold).as_ms();
    let (status, expires_at) = (hold.state.status().word(), hold.expires_at.as_ms());
    let params = params![hold.id.as_bytes(), status, attempt, changed_at, expires_at, hold.extensions];
    if hold.lines.len() > 1 {
        execute(tx, PARTS, params)?;
    }
    execute(tx, HOLD, params)
}

fn write_shrunk(tx: &Transaction<'_>, hold: &Hold, index: usize) -> Result<usize, StoreError> {
    let (id, line) = (hold.id.of_line(index), &hold.lines[index]);
    execute(tx, SHRINK, params![id.as_bytes(), line.quantity, line.amount.get(), numbers(&line.seats)])
}

fn write_payment(tx: &Transaction<'_>, payment: &Payment) -> Result<(), StoreError> {
    let params = params![
        payment.id.as_bytes(),
        payment.hold.as_ref().map(|hold| hold.as_bytes()),
        payment.amount.get(),
        payment.method,
        payment.request_hash,
        payment.state.status().word(),
        payment.state.charge().map(|charge| charge.0.as_str()),
        failure_reason(payment),
        payment.created_at.as_ms(),
        payment.changed_at.as_ms(),
        challenge(payment),
        payment.refunds.due().map(Paise::get),
    ];
    execute(tx, PAYMENT, params)?;
    for refund in payment.refunds.all() {
        let (amount, charge, at) = (refund.amount.get(), refund.charge.get(), refund.changed_at.as_ms());
        let params = params![payment.id.as_bytes(), refund.number, amount, charge, refund.state.word(), at];
        execute(tx, REFUND, params)?;
    }
    Ok(())
}

/// Writes a booking with its first line; the others are those of its hold.
fn write_booking(tx: &Transaction<'_>, booking: &Booking, is_shorter: bool) -> Result<usize, StoreError> {
    if let Some(at) = booking.cancelled_at {
        return execute(tx, CANCEL, params![booking.reference.to_string(), at.as_ms()]);
    }
    let first = &booking.lines[0];
    if is_shorter {
        return execute(tx, SHORTEN, params![booking.reference.to_string(), first.quantity, booking.amount.get()]);
    }
    let params = params![
        booking.reference.to_string(),
        booking.hold.as_bytes(),
        booking.payment.as_bytes(),
        first.inventory.to_string(),
        first.quantity,
        booking.amount.get(),
        booking.created_at.as_ms(),
    ];
    execute(tx, BOOKING, params)
}

pub(super) fn ensure(db: &mut Connection, offers: &[Offer]) -> Result<(), StoreError> {
    let tx = begin(db)?;
    for offer in offers {
        let params = params![offer.inventory.to_string(), offer.capacity, offer.price.get(), offer.numbering.word()];
        execute(&tx, ENSURE, params)?;
    }
    tx.commit().map_err(|error| fault(&error))
}

pub(super) fn postpone(db: &mut Connection, due: DueTask, until: Moment, reason: &str) -> Result<(), StoreError> {
    let (tx, DueTask { task, asked, .. }) = (begin(db)?, due);
    execute(&tx, POSTPONE, params![task.kind.word(), task.payment.as_bytes(), until.as_ms(), reason, asked])?;
    tx.commit().map_err(|error| fault(&error))
}

pub(super) fn hasten(db: &mut Connection, task: Task, now: Moment) -> Result<(), StoreError> {
    let tx = begin(db)?;
    execute(&tx, HASTEN, params![task.kind.word(), task.payment.as_bytes(), now.as_ms()])?;
    tx.commit().map_err(|error| fault(&error))
}

pub(super) fn secret(db: &mut Connection, candidate: Option<[u8; 32]>) -> Result<Option<[u8; 32]>, StoreError> {
    let tx = begin(db)?;
    if let Some(candidate) = candidate {
        let write = "INSERT INTO secrets (name, value) VALUES ('ids', ?1) ON CONFLICT (name) DO NOTHING";
        execute(&tx, write, [candidate])?;
    }
    let secret: Option<Vec<u8>> = read::one(&tx, "SELECT value FROM secrets WHERE name = 'ids'", [], |row| row.get(0))?;
    tx.commit().map_err(|error| fault(&error))?;
    secret.as_deref().map(bytes).transpose()
}

pub(super) fn number(db: &mut Connection, candidate: Option<ShardNumber>) -> Result<Option<ShardNumber>, StoreError> {
    let tx = begin(db)?;
    if let Some(candidate) = candidate {
        execute(&tx, "INSERT INTO shard (one, number) VALUES (1, ?1) ON CONFLICT DO NOTHING", [u8::from(candidate)])?;
    }
    let number = read::one(&tx, "SELECT number FROM shard", [], |row| row.get(0))?;
    tx.commit().map_err(|error| fault(&error))?;
    number.map(shard_number).transpose()
}
