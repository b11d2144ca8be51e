//! Writing what a decision says, and the small writes beside it.
//!
//! Rows are locked in one order everywhere, so that no two transactions wait for each other: the hold, the payment, and
//! last and shortest, inventory row by inventory row in ascending order, its seats and then its counts.

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::types::ToSql;

use super::read::{execute, query};
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
use crate::store::{Decide, DueTask, Left, Outcome, StoreError, Subject, Transacted};

const MOVE: &str = "UPDATE inventory SET available = available + $2::int, held = held + $3::int, sold = sold + $4::int,
                        version = version + 1
                    WHERE name = $1 AND available + $2::int >= 0 RETURNING available";
const OWN: &str = "INSERT INTO seats (inventory_id, number, hold_id)
                   SELECT i.id, n.number, $3 FROM inventory i, unnest($2::int[]) AS n (number) WHERE i.name = $1
                   ORDER BY n.number ON CONFLICT DO NOTHING";
const DISOWN: &str = "DELETE FROM seats USING inventory i
                      WHERE i.name = $1 AND inventory_id = i.id AND number = ANY($2::int[]) AND hold_id = $3";
const HOLD: &str = "UPDATE holds SET status = $2, attempt = $3, changed_at = $4, expires_at = $5, extensions = $6
                    WHERE id = $1";
const SHRINK: &str = "UPDATE holds SET quantity = $2, amount = $3, numbers = $4 WHERE id = $1";
const PARTS: &str = "UPDATE holds SET status = $2, attempt = $3, changed_at = $4, expires_at = $5, extensions = $6
                     WHERE part_of = $1";
const PAYMENT: &str =
    "INSERT INTO payments (id, hold_id, amount, method, request_hash, status, charge, reason, created_at, changed_at,
                           challenge, refund)
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                       ON CONFLICT (id) DO UPDATE SET status = excluded.status, charge = excluded.charge,
                           reason = excluded.reason, changed_at = excluded.changed_at,
                           challenge = excluded.challenge, refund = excluded.refund";
const REFUND: &str = "INSERT INTO refunds (payment_id, number, amount, charge, status, changed_at)
                      VALUES ($1, $2, $3, $4, $5, $6)
                      ON CONFLICT (payment_id, number)
                      DO UPDATE SET status = excluded.status, changed_at = excluded.changed_at";
const BOOKING: &str =
    "INSERT INTO bookings (reference, hold_id, payment_id, inventory_id, quantity, amount, created_at)
                       SELECT $1, $2, $3, id, $5::int, $6, $7 FROM inventory WHERE name = $4";
const CANCEL: &str = "UPDATE bookings SET cancelled_at = $2 WHERE reference = $1 AND cancelled_at IS NULL";
const SHORTEN: &str = "UPDATE bookings SET quantity = $2, amount = $3 WHERE reference = $1 AND cancelled_at IS NULL";
const ENQUEUE: &str = "INSERT INTO outbox (kind, payment_id, created_at, due_at) VALUES ($1, $2, $3, $4)
                       ON CONFLICT (kind, payment_id)
                       DO UPDATE SET due_at = LEAST(outbox.due_at, excluded.due_at), asked = outbox.asked + 1";
const COMPLETE: &str = "DELETE FROM outbox WHERE kind = $1 AND payment_id = $2";
const POSTPONE: &str = "UPDATE outbox SET due_at = $3, attempts = attempts + 1, last_error = $4
                        WHERE kind = $1 AND payment_id = $2 AND asked = $5";
const HASTEN: &str = "UPDATE outbox SET due_at = LEAST(due_at, $3), asked = asked + 1
                      WHERE kind = $1 AND payment_id = $2";
const ENSURE: &str = "INSERT INTO inventory (name, capacity, available, price, numbering)
                      SELECT o.name, o.capacity, o.capacity, o.price, o.numbering
                      FROM unnest($1::text[], $2::int[], $3::bigint[], $4::text[])
                          AS o (name, capacity, price, numbering)
                      ON CONFLICT (name) DO NOTHING";

pub(super) async fn transact(connection: &mut Object, subject: Subject, decide: &Decide) -> Transacted {
    let tx = connection.transaction().await.map_err(|error| fault(&error))?;
    let loaded = load(&tx, subject).await?;
    let step = match decide(&loaded) {
        Ok(step) => step,
        Err(stop) => return Ok(Err(stop)),
    };
    let Some(outcome) = apply(&tx, step).await? else {
        return Ok(Err(Stop::SoldOut));
    };
    commit(tx).await?;
    Ok(Ok(outcome))
}

async fn load(tx: &Transaction<'_>, subject: Subject) -> Result<Loaded, StoreError> {
    let hold = match (subject.hold(), subject.payment()) {
        (None, Some(payment)) => read::payment_in(tx, payment, false).await?.and_then(|payment| payment.hold),
        (hold, _) => hold,
    };
    let hold = match hold {
        Some(hold) => read::lock_hold(tx, hold).await?,
        None => None,
    };
    let payment = match subject.payment() {
        Some(payment) => read::payment_in(tx, payment, true).await?,
        None => None,
    };
    Ok(Loaded { hold, payment })
}

/// Writes a step; `None` when it wants seats that are not there, and then nothing may be committed.
async fn apply(tx: &Transaction<'_>, step: Step) -> Result<Option<Outcome>, StoreError> {
    if let Some(hold) = &step.hold {
        write_hold(tx, hold).await?;
    }
    if let (Some(hold), Some(index)) = (&step.hold, step.shrunk) {
        write_shrunk(tx, hold, index).await?;
    }
    if let Some(payment) = &step.payment {
        write_payment(tx, payment).await?;
        ledger::post(tx, payment, &step.transfers).await?;
    }
    if let Some(booking) = &step.booking {
        write_booking(tx, booking, step.shrunk.is_some()).await?;
    }
    if let (Some(task), Some(payment)) = (step.enqueue, &step.payment) {
        let (task, due_at) = task;
        let (created, due, id) = (payment.changed_at.as_ms(), due_at.as_ms(), task.payment.as_bytes().as_slice());
        execute(tx, ENQUEUE, &[&task.kind.word(), &id, &created, &due]).await?;
    }
    if let Some(task) = step.complete {
        execute(tx, COMPLETE, &[&task.kind.word(), &task.payment.as_bytes().as_slice()]).await?;
    }
    let mut left = Vec::with_capacity(step.stock.len());
    for change in &step.stock {
        if !move_seats(tx, step.hold.as_ref(), change).await? {
            return Ok(None);
        }
        match move_stock(tx, change.inventory, change.change).await? {
            Some(available) => left.push(Left::after(change.inventory, available, change.change.available)),
            None => return Ok(None),
        }
    }
    Ok(Some(Outcome { hold: step.hold, payment: step.payment, left }))
}

/// Has the numbered seats of a change change hands; `false` when one of them has another owner.
async fn move_seats(tx: &Transaction<'_>, hold: Option<&Hold>, change: &StockChange) -> Result<bool, StoreError> {
    let growth = change.change.owned();
    let Some(hold) = hold.filter(|_| growth != 0 && !change.seats.is_empty()) else { return Ok(true) };
    let numbers: Vec<i32> = change.seats.iter().map(|seat| seat.get() as i32).collect();
    let sql = if growth > 0 { OWN } else { DISOWN };
    let params: [&(dyn ToSql + Sync); 3] = [&change.inventory.to_string(), &numbers, &hold.id.as_bytes().as_slice()];
    let moved = execute(tx, sql, &params).await?;
    if growth < 0 && moved != change.seats.len() as u64 {
        return Err(StoreError::Corrupt(format!("hold {} does not own the seats it lists", hold.id)));
    }
    Ok(moved == change.seats.len() as u64)
}

async fn move_stock(tx: &Transaction<'_>, row: InventoryId, change: StockMove) -> Result<Option<u32>, StoreError> {
    let params: [&(dyn ToSql + Sync); 4] = [&row.to_string(), &change.available, &change.held, &change.sold];
    let left = read::query(tx, MOVE, &params).await?;
    left.first().map(|row| count(row.get::<_, i32>(0).into())).transpose()
}

async fn write_hold(tx: &Transaction<'_>, hold: &Hold) -> Result<u64, StoreError> {
    let attempt = hold.attempt.as_ref().map(|attempt| attempt.as_bytes().as_slice());
    let changed_at = hold_changed_at(hold).as_ms();
    let id = hold.id.as_bytes().as_slice();
    let (status, expires_at) = (hold.state.status().word(), hold.expires_at.as_ms());
    let extensions = hold.extensions as i32;
    let params: [&(dyn ToSql + Sync); 6] = [&id, &status, &attempt, &changed_at, &expires_at, &extensions];
    if hold.lines.len() > 1 {
        execute(tx, PARTS, &params).await?;
    }
    execute(tx, HOLD, &params).await
}

async fn write_shrunk(tx: &Transaction<'_>, hold: &Hold, index: usize) -> Result<u64, StoreError> {
    let (id, line) = (hold.id.of_line(index), &hold.lines[index]);
    let (quantity, seats) = (line.quantity as i32, numbers(&line.seats));
    execute(tx, SHRINK, &[&id.as_bytes().as_slice(), &quantity, &line.amount.get(), &seats]).await
}

async fn write_payment(tx: &Transaction<'_>, payment: &Payment) -> Result<(), StoreError> {
    let params: [&(dyn ToSql + Sync); 12] = [
        &payment.id.as_bytes().as_slice(),
        &payment.hold.as_ref().map(|hold| hold.as_bytes().as_slice()),
        &payment.amount.get(),
        &payment.method,
        &payment.request_hash.as_slice(),
        &payment.state.status().word(),
        &payment.state.charge().map(|charge| charge.0.as_str()),
        &failure_reason(payment),
        &payment.created_at.as_ms(),
        &payment.changed_at.as_ms(),
        &challenge(payment),
        &payment.refunds.due().map(Paise::get),
    ];
    execute(tx, PAYMENT, &params).await?;
    for refund in payment.refunds.all() {
        let (id, number) = (payment.id.as_bytes().as_slice(), refund.number as i16);
        let (amount, charge) = (refund.amount.get(), refund.charge.get());
        let params: [&(dyn ToSql + Sync); 6] =
            [&id, &number, &amount, &charge, &refund.state.word(), &refund.changed_at.as_ms()];
        execute(tx, REFUND, &params).await?;
    }
    Ok(())
}

/// Writes a booking with its first line; the others are those of its hold.
async fn write_booking(tx: &Transaction<'_>, booking: &Booking, is_shorter: bool) -> Result<u64, StoreError> {
    if let Some(at) = booking.cancelled_at {
        return execute(tx, CANCEL, &[&booking.reference.to_string(), &at.as_ms()]).await;
    }
    let first = &booking.lines[0];
    if is_shorter {
        let (reference, quantity) = (booking.reference.to_string(), first.quantity as i32);
        return execute(tx, SHORTEN, &[&reference, &quantity, &booking.amount.get()]).await;
    }
    let params: [&(dyn ToSql + Sync); 7] = [
        &booking.reference.to_string(),
        &booking.hold.as_bytes().as_slice(),
        &booking.payment.as_bytes().as_slice(),
        &first.inventory.to_string(),
        &(first.quantity as i32),
        &booking.amount.get(),
        &booking.created_at.as_ms(),
    ];
    execute(tx, BOOKING, &params).await
}

pub(super) async fn ensure(db: &Object, offers: &[Offer]) -> Result<(), StoreError> {
    let names: Vec<String> = offers.iter().map(|offer| offer.inventory.to_string()).collect();
    let capacities: Vec<i32> = offers.iter().map(|offer| offer.capacity as i32).collect();
    let prices: Vec<i64> = offers.iter().map(|offer| offer.price.get()).collect();
    let numberings: Vec<&str> = offers.iter().map(|offer| offer.numbering.word()).collect();
    execute(db, ENSURE, &[&names, &capacities, &prices, &numberings]).await.map(drop)
}

pub(super) async fn postpone(db: &Object, due: DueTask, until: Moment, reason: &str) -> Result<(), StoreError> {
    let DueTask { task, asked, .. } = due;
    let (kind, payment, asked) = (task.kind.word(), task.payment.as_bytes().as_slice(), asked as i32);
    execute(db, POSTPONE, &[&kind, &payment, &until.as_ms(), &reason, &asked]).await.map(drop)
}

pub(super) async fn hasten(db: &Object, task: Task, now: Moment) -> Result<(), StoreError> {
    let (kind, payment) = (task.kind.word(), task.payment.as_bytes().as_slice());
    execute(db, HASTEN, &[&kind, &payment, &now.as_ms()]).await.map(drop)
}

pub(super) async fn secret(db: &Object, candidate: Option<[u8; 32]>) -> Result<Option<[u8; 32]>, StoreError> {
    if let Some(candidate) = candidate {
        let write = "INSERT INTO secrets (name, value) VALUES ('ids', $1) ON CONFLICT (name) DO NOTHING";
        execute(db, write, &[&candidate.as_slice()]).await?;
    }
    let rows = query(db, "SELECT value FROM secrets WHERE name = 'ids'", &[]).await?;
    rows.first().map(|row| bytes(row.get(0))).transpose()
}

pub(super) async fn number(db: &Object, candidate: Option<ShardNumber>) -> Result<Option<ShardNumber>, StoreError> {
    if let Some(candidate) = candidate {
        let write = "INSERT INTO shard (number) VALUES ($1) ON CONFLICT DO NOTHING";
        execute(db, write, &[&i32::from(u8::from(candidate))]).await?;
    }
    let rows = query(db, "SELECT number::bigint FROM shard", &[]).await?;
    rows.first().map(|row| shard_number(row.get(0))).transpose()
}
