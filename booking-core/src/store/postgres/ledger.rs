//! The ledger: written with the step it belongs to, read payment by payment.

use std::collections::HashMap;

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Row};

use super::fault;
use super::read::{execute, payments, query};
use crate::domain::ledger::{Statement, Transfer};
use crate::domain::moment::Moment;
use crate::domain::payment::{Payment, PaymentId};
use crate::store::StoreError;
use crate::store::rows::{payment_id, transfer};

const POST: &str = "INSERT INTO ledger (payment_id, cause, debit, credit, amount, at, refund)
                    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const PAYMENTS: &str = "SELECT id, hold_id, amount, method, request_hash, status, charge, reason, created_at,
                               changed_at, challenge, refund
                        FROM payments WHERE id > $1 ORDER BY id LIMIT $2";
const TRANSFERS: &str =
    "SELECT payment_id, cause, amount, at, refund::bigint FROM ledger WHERE payment_id = ANY($1::bytea[]) ORDER BY id";

pub(super) async fn post(tx: &Transaction<'_>, payment: &Payment, transfers: &[Transfer]) -> Result<(), StoreError> {
    for transfer in transfers.iter().filter(|transfer| transfer.moves_money()) {
        let (debit, credit) = transfer.cause.accounts();
        let params: [&(dyn ToSql + Sync); 7] = [
            &payment.id.as_bytes().as_slice(),
            &transfer.cause.word(),
            &debit.word(),
            &credit.word(),
            &transfer.amount.get(),
            &payment.changed_at.as_ms(),
            &(transfer.refund as i16),
        ];
        execute(tx, POST, &params).await?;
    }
    Ok(())
}

pub(super) async fn statements(
    connection: &mut Object,
    after: Option<PaymentId>,
    limit: u32,
) -> Result<Vec<Statement>, StoreError> {
    let snapshot =
        connection.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start();
    let tx = snapshot.await.map_err(|error| fault(&error))?;
    let after: &[u8] = after.as_ref().map_or(&[], |id| id.as_bytes());
    let rows = query(&tx, PAYMENTS, &[&after, &i64::from(limit)]).await?;
    let payments: Vec<Payment> = payments(&tx, &rows).await?;
    let ids: Vec<&[u8]> = payments.iter().map(|payment| payment.id.as_bytes().as_slice()).collect();
    let mut transfers: HashMap<PaymentId, Vec<(Transfer, Moment)>> = HashMap::new();
    for row in &query(&tx, TRANSFERS, &[&ids]).await? {
        let (payment, posted) = posted(row)?;
        transfers.entry(payment).or_default().push(posted);
    }
    tx.commit().await.map_err(|error| fault(&error))?;
    let mut of = |id| transfers.remove(&id).unwrap_or_default();
    Ok(payments.into_iter().map(|payment| Statement { transfers: of(payment.id), payment }).collect())
}

fn posted(row: &Row) -> Result<(PaymentId, (Transfer, Moment)), StoreError> {
    let posted = transfer(row.get(1), row.get(2), row.get(4))?;
    Ok((payment_id(row.get(0))?, (posted, Moment::from_ms(row.get(3)))))
}
