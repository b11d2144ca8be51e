//! Writing what many steps say: a statement for each kind of row, with an array for each of its columns.

use deadpool_postgres::Transaction;
use futures_util::future::{try_join, try_join4};
use tokio_postgres::types::ToSql;

use crate::domain::booking::Booking;
use crate::domain::hold::{Hold, HoldId};
use crate::domain::inventory::InventoryId;
use crate::domain::ledger::Transfer;
use crate::domain::money::Paise;
use crate::domain::order::{Step, Task};
use crate::domain::payment::Payment;
use crate::domain::refund::Refund;
use crate::domain::seat::SeatNumber;
use crate::store::StoreError;
use crate::store::postgres::read::{execute, prepare};
use crate::store::rows::{challenge, failure_reason, hold_changed_at};

const HOLDS: &str = "
    UPDATE holds SET status = n.status, attempt = n.attempt, changed_at = n.changed_at, expires_at = n.expires_at,
        extensions = n.extensions
    FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::int[])
        AS n (id, status, attempt, changed_at, expires_at, extensions)
    WHERE holds.id = n.id";
const PARTS: &str = "
    UPDATE holds SET status = n.status, attempt = n.attempt, changed_at = n.changed_at, expires_at = n.expires_at,
        extensions = n.extensions
    FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::int[])
        AS n (id, status, attempt, changed_at, expires_at, extensions)
    WHERE holds.part_of = n.id";
const PAYMENTS: &str = "
    INSERT INTO payments (id, hold_id, amount, method, request_hash, status, charge, reason, created_at, changed_at,
                          challenge, refund)
    SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::text[], $5::bytea[], $6::text[], $7::text[],
                         $8::text[], $9::bigint[], $10::bigint[], $11::text[], $12::bigint[])
    ON CONFLICT (id) DO UPDATE SET status = excluded.status, charge = excluded.charge, reason = excluded.reason,
        changed_at = excluded.changed_at, challenge = excluded.challenge, refund = excluded.refund";
const LEDGER: &str = "
    INSERT INTO ledger (payment_id, cause, debit, credit, amount, at, refund)
    SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::smallint[])";
const REFUNDS: &str = "
    INSERT INTO refunds (payment_id, number, amount, charge, status, changed_at)
    SELECT * FROM unnest($1::bytea[], $2::smallint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[])
    ON CONFLICT (payment_id, number) DO UPDATE SET status = excluded.status, changed_at = excluded.changed_at";
const BOOKINGS: &str = "
    INSERT INTO bookings (reference, hold_id, payment_id, inventory_id, quantity, amount, created_at)
    SELECT n.reference, n.hold, n.payment, i.id, n.quantity, n.amount, n.created_at
    FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::text[], $5::int[], $6::bigint[], $7::bigint[])
        AS n (reference, hold, payment, name, quantity, amount, created_at)
        JOIN inventory i ON i.name = n.name";
const ENQUEUE: &str = "
    INSERT INTO outbox (kind, payment_id, created_at, due_at)
    SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bigint[])
    ON CONFLICT (kind, payment_id)
    DO UPDATE SET due_at = LEAST(outbox.due_at, excluded.due_at), asked = outbox.asked + 1";
const COMPLETE: &str = "
    DELETE FROM outbox USING unnest($1::text[], $2::bytea[]) AS done (kind, payment)
    WHERE outbox.kind = done.kind AND outbox.payment_id = done.payment";
const DISOWN: &str = "
    DELETE FROM seats USING inventory i, unnest($2::int[], $3::bytea[]) AS n (number, hold)
    WHERE i.name = $1 AND inventory_id = i.id AND seats.number = n.number AND hold_id = n.hold";

/// Every statement of [`write`].
const ALL: [&str; 8] = [HOLDS, PARTS, PAYMENTS, LEDGER, REFUNDS, BOOKINGS, ENQUEUE, COMPLETE];

/// Writes everything that steps say but for the seats they move, in one round trip. The order counts: a transfer, a
/// refund, a booking and a task refer to a payment.
pub(super) async fn write(tx: &Transaction<'_>, steps: &[&Step]) -> Result<(), StoreError> {
    let holds: Vec<&Hold> = steps.iter().filter_map(|step| step.hold.as_ref()).collect();
    let several: Vec<&Hold> = holds.iter().copied().filter(|hold| hold.lines.len() > 1).collect();
    let payments: Vec<&Payment> = steps.iter().filter_map(|step| step.payment.as_ref()).collect();
    let bookings: Vec<&Booking> = steps.iter().filter_map(|step| step.booking.as_ref()).collect();
    let done: Vec<Task> = steps.iter().filter_map(|step| step.complete).collect();
    let posts = posts(steps);
    prepare(tx, &ALL).await?;
    let first = try_join4(
        write_holds(tx, HOLDS, &holds),
        write_holds(tx, PARTS, &several),
        write_payments(tx, &payments),
        write_ledger(tx, &posts),
    );
    let then =
        try_join4(write_refunds(tx, &payments), write_bookings(tx, &bookings), enqueue(tx, steps), complete(tx, &done));
    try_join(first, then).await.map(drop)
}

/// Runs a statement if there is anything to write.
async fn run(tx: &Transaction<'_>, sql: &str, rows: usize, params: &[&(dyn ToSql + Sync)]) -> Result<(), StoreError> {
    if rows > 0 { execute(tx, sql, params).await.map(drop) } else { Ok(()) }
}

/// Lists one column of many rows.
fn column<'a, T, C>(rows: &[&'a T], column: impl Fn(&'a T) -> C) -> Vec<C> {
    rows.iter().map(|row| column(row)).collect()
}

async fn write_holds(tx: &Transaction<'_>, sql: &str, holds: &[&Hold]) -> Result<(), StoreError> {
    let params: [&(dyn ToSql + Sync); 6] = [
        &column(holds, |hold| hold.id.as_bytes().as_slice()),
        &column(holds, |hold| hold.state.status().word()),
        &column(holds, |hold| hold.attempt.as_ref().map(|attempt| attempt.as_bytes().as_slice())),
        &column(holds, |hold| hold_changed_at(hold).as_ms()),
        &column(holds, |hold| hold.expires_at.as_ms()),
        &column(holds, |hold| hold.extensions as i32),
    ];
    run(tx, sql, holds.len(), &params).await
}

async fn write_payments(tx: &Transaction<'_>, payments: &[&Payment]) -> Result<(), StoreError> {
    let params: [&(dyn ToSql + Sync); 12] = [
        &column(payments, |payment| payment.id.as_bytes().as_slice()),
        &column(payments, |payment| payment.hold.as_ref().map(|hold| hold.as_bytes().as_slice())),
        &column(payments, |payment| payment.amount.get()),
        &column(payments, |payment| payment.method.as_str()),
        &column(payments, |payment| payment.request_hash.as_slice()),
        &column(payments, |payment| payment.state.status().word()),
        &column(payments, |payment| payment.state.charge().map(|charge| charge.0.as_str())),
        &column(payments, failure_reason),
        &column(payments, |payment| payment.created_at.as_ms()),
        &column(payments, |payment| payment.changed_at.as_ms()),
        &column(payments, challenge),
        &column(payments, |payment| payment.refunds.due().map(Paise::get)),
    ];
    run(tx, PAYMENTS, payments.len(), &params).await
}

/// Lists the transfers of steps, each with its payment.
fn posts<'a>(steps: &[&'a Step]) -> Vec<(&'a Payment, Transfer)> {
    let of = |step: &'a Step| {
        let moving = step.transfers.iter().filter(|transfer| transfer.moves_money());
        step.payment.iter().flat_map(move |payment| moving.clone().map(move |transfer| (payment, *transfer)))
    };
    steps.iter().flat_map(|step| of(step)).collect()
}

async fn write_ledger(tx: &Transaction<'_>, posts: &[(&Payment, Transfer)]) -> Result<(), StoreError> {
    let posts: Vec<_> = posts.iter().collect();
    let params: [&(dyn ToSql + Sync); 7] = [
        &column(&posts, |(payment, _)| payment.id.as_bytes().as_slice()),
        &column(&posts, |(_, transfer)| transfer.cause.word()),
        &column(&posts, |(_, transfer)| transfer.cause.accounts().0.word()),
        &column(&posts, |(_, transfer)| transfer.cause.accounts().1.word()),
        &column(&posts, |(_, transfer)| transfer.amount.get()),
        &column(&posts, |(payment, _)| payment.changed_at.as_ms()),
        &column(&posts, |(_, transfer)| transfer.refund as i16),
    ];
    run(tx, LEDGER, posts.len(), &params).await
}

async fn write_refunds(tx: &Transaction<'_>, payments: &[&Payment]) -> Result<(), StoreError> {
    let refunds: Vec<(&Payment, &Refund)> = payments
        .iter()
        .flat_map(|payment| payment.refunds.all().iter().map(move |refund| (*payment, refund)))
        .collect();
    let refunds: Vec<_> = refunds.iter().collect();
    let params: [&(dyn ToSql + Sync); 6] = [
        &column(&refunds, |(payment, _)| payment.id.as_bytes().as_slice()),
        &column(&refunds, |(_, refund)| refund.number as i16),
        &column(&refunds, |(_, refund)| refund.amount.get()),
        &column(&refunds, |(_, refund)| refund.charge.get()),
        &column(&refunds, |(_, refund)| refund.state.word()),
        &column(&refunds, |(_, refund)| refund.changed_at.as_ms()),
    ];
    run(tx, REFUNDS, refunds.len(), &params).await
}

async fn write_bookings(tx: &Transaction<'_>, bookings: &[&Booking]) -> Result<(), StoreError> {
    let params: [&(dyn ToSql + Sync); 7] = [
        &column(bookings, |booking| booking.reference.to_string()),
        &column(bookings, |booking| booking.hold.as_bytes().as_slice()),
        &column(bookings, |booking| booking.payment.as_bytes().as_slice()),
        &column(bookings, |booking| booking.lines[0].inventory.to_string()),
        &column(bookings, |booking| booking.lines[0].quantity as i32),
        &column(bookings, |booking| booking.amount.get()),
        &column(bookings, |booking| booking.created_at.as_ms()),
    ];
    run(tx, BOOKINGS, bookings.len(), &params).await
}

async fn enqueue(tx: &Transaction<'_>, steps: &[&Step]) -> Result<(), StoreError> {
    let tasks: Vec<_> = steps.iter().filter_map(|step| step.enqueue.zip(step.payment.as_ref())).collect();
    let tasks: Vec<_> = tasks.iter().collect();
    let params: [&(dyn ToSql + Sync); 4] = [
        &column(&tasks, |((task, _), _)| task.kind.word()),
        &column(&tasks, |((task, _), _)| task.payment.as_bytes().as_slice()),
        &column(&tasks, |(_, payment)| payment.changed_at.as_ms()),
        &column(&tasks, |((_, due_at), _)| due_at.as_ms()),
    ];
    run(tx, ENQUEUE, tasks.len(), &params).await
}

async fn complete(tx: &Transaction<'_>, done: &[Task]) -> Result<(), StoreError> {
    let kinds: Vec<&str> = done.iter().map(|task| task.kind.word()).collect();
    let payments: Vec<&[u8]> = done.iter().map(|task| task.payment.as_bytes().as_slice()).collect();
    run(tx, COMPLETE, done.len(), &[&kinds, &payments]).await
}

/// Takes note that numbers of a row belong to nobody any more.
pub(super) async fn disown(
    tx: &Transaction<'_>,
    row: InventoryId,
    freed: &[(SeatNumber, HoldId)],
) -> Result<(), StoreError> {
    if freed.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i32> = freed.iter().map(|(seat, _)| seat.get() as i32).collect();
    let owners: Vec<&[u8]> = freed.iter().map(|(_, hold)| hold.as_bytes().as_slice()).collect();
    let given_back = execute(tx, DISOWN, &[&row.to_string(), &numbers, &owners]).await?;
    if given_back != freed.len() as u64 {
        return Err(StoreError::Corrupt(format!("a hold does not own the seats of {row} it lists")));
    }
    Ok(())
}
