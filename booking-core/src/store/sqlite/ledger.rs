//! The ledger: written with the step it belongs to, read payment by payment.

use rusqlite::{Connection, Transaction, params};

use super::read::{many, payment_row, whole};
use super::write::execute;
use crate::domain::ledger::{Statement, Transfer};
use crate::domain::moment::Moment;
use crate::domain::payment::{Payment, PaymentId};
use crate::store::StoreError;
use crate::store::rows::{PaymentRow, transfer};

const POST: &str = "INSERT INTO ledger (payment_id, cause, debit, credit, amount, at, refund)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const PAYMENTS: &str = "SELECT id, hold_id, amount, method, request_hash, status, charge, reason, created_at,
                               changed_at, challenge, refund
                        FROM payments WHERE id > ?1 ORDER BY id LIMIT ?2";
const TRANSFERS: &str = "SELECT cause, amount, at, refund FROM ledger WHERE payment_id = ?1 ORDER BY id";

pub(super) fn post(tx: &Transaction<'_>, payment: &Payment, transfers: &[Transfer]) -> Result<(), StoreError> {
    for transfer in transfers.iter().filter(|transfer| transfer.moves_money()) {
        let (debit, credit) = transfer.cause.accounts();
        let amount = transfer.amount.get();
        let at = payment.changed_at.as_ms();
        let id = payment.id.as_bytes();
        let cause = transfer.cause.word();
        execute(tx, POST, params![id, cause, debit.word(), credit.word(), amount, at, transfer.refund])?;
    }
    Ok(())
}

pub(super) fn statements(db: &Connection, after: Option<PaymentId>, limit: u32) -> Result<Vec<Statement>, StoreError> {
    let snapshot = db.unchecked_transaction().map_err(|error| super::fault(&error))?;
    let after: &[u8] = after.as_ref().map_or(&[], |id| id.as_bytes());
    let payments = many(&snapshot, PAYMENTS, params![after, limit], payment_row)?;
    payments.into_iter().map(|row| statement(&snapshot, row)).collect()
}

fn statement(db: &Connection, row: PaymentRow) -> Result<Statement, StoreError> {
    let payment = whole(db, row)?;
    let map = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let rows = many(db, TRANSFERS, [payment.id.as_bytes()], map)?;
    let transfers = rows
        .into_iter()
        .map(|(cause, amount, at, refund)| Ok((transfer(&cause, amount, refund)?, Moment::from_ms(at))))
        .collect::<Result<_, StoreError>>()?;
    Ok(Statement { payment, transfers })
}
