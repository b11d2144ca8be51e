//! Counting everything twice, in one snapshot.

use deadpool_postgres::Object;
use tokio_postgres::{IsolationLevel, Row};

use super::fault;
use super::read::{inventory_row, query};
use crate::store::StoreError;
use crate::store::books::{Books, RowBooks};

const ROWS: &str = "SELECT i.name, i.capacity::bigint, i.available::bigint, i.held::bigint, i.sold::bigint, i.price,
        coalesce(h.open, 0)::bigint, coalesce(h.confirmed, 0)::bigint, coalesce(b.booked, 0)::bigint
    FROM inventory i
    LEFT JOIN (SELECT inventory_id, sum(quantity) FILTER (WHERE status IN ('held', 'paid')) AS open,
                      sum(quantity) FILTER (WHERE status = 'confirmed') AS confirmed
               FROM holds GROUP BY inventory_id) h ON h.inventory_id = i.id
    LEFT JOIN (SELECT inventory_id, sum(quantity) AS booked FROM bookings WHERE cancelled_at IS NULL GROUP BY inventory_id) b
        ON b.inventory_id = i.id
    ORDER BY i.name";

const MONEY: &str = "SELECT
        (SELECT count(*) FROM payments p LEFT JOIN bookings b ON b.payment_id = p.id AND b.cancelled_at IS NULL
            WHERE p.status = 'kept' AND b.reference IS NULL),
        (SELECT count(*) FROM bookings b JOIN payments p ON p.id = b.payment_id
            WHERE p.status <> 'kept' AND b.cancelled_at IS NULL),
        (SELECT count(*) FROM payments WHERE status IN ('authorized', 'capturing', 'captured', 'voiding', 'refunding')),
        (SELECT count(*) FROM payments p LEFT JOIN outbox o ON o.payment_id = p.id
            WHERE p.status IN ('authorized', 'capturing', 'captured', 'voiding', 'refunding') AND o.kind IS NULL),
        (SELECT count(*) FROM payments WHERE status IN ('pending', 'challenged')),
        (SELECT count(*) FROM payments WHERE status = 'refunded'),
        (SELECT count(*) FROM bookings WHERE cancelled_at IS NULL),
        (SELECT count(*) FROM holds WHERE status IN ('held', 'paid'))";

pub(super) async fn books(connection: &mut Object) -> Result<Books, StoreError> {
    let snapshot =
        connection.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start();
    let tx = snapshot.await.map_err(|error| fault(&error))?;
    let rows = query(&tx, ROWS, &[]).await?;
    let money = tx.query_one(MONEY, &[]).await.map_err(|error| fault(&error))?;
    tx.commit().await.map_err(|error| fault(&error))?;
    Ok(Books {
        rows: rows.iter().map(row_books).collect::<Result<_, _>>()?,
        kept_without_booking: number(&money, 0),
        booking_without_money: number(&money, 1),
        unsettled: number(&money, 2),
        unsettled_without_task: number(&money, 3),
        pending: number(&money, 4),
        refunded: number(&money, 5),
        bookings: number(&money, 6),
        open_holds: number(&money, 7),
    })
}

fn row_books(row: &Row) -> Result<RowBooks, StoreError> {
    let read = inventory_row(row).into_stock()?;
    Ok(RowBooks {
        inventory: read.inventory,
        stock: read.stock,
        in_open_holds: number(row, 6),
        in_confirmed_holds: number(row, 7),
        in_bookings: number(row, 8),
    })
}

fn number(row: &Row, column: usize) -> u64 {
    row.get::<_, i64>(column).unsigned_abs()
}
