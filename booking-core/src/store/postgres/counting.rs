//! Counting everything twice, in one snapshot.

use deadpool_postgres::Object;
use tokio_postgres::{IsolationLevel, Row};

use super::fault;
use super::read::{inventory_row, query};
use crate::domain::seat::Numbering;
use crate::store::StoreError;
use crate::store::books::{Books, MONEY, Numbers, RowBooks};

const ROWS: &str = "SELECT i.name, i.capacity::bigint, i.available::bigint, i.held::bigint, i.sold::bigint, i.price,
        i.numbering, i.version,
        coalesce(h.open, 0)::bigint, coalesce(h.confirmed, 0)::bigint, coalesce(b.booked, 0)::bigint,
        coalesce(s.owned, 0)::bigint, coalesce(s.numbers, 0)::bigint
    FROM inventory i
    LEFT JOIN (SELECT inventory_id, sum(quantity) FILTER (WHERE status IN ('held', 'paid')) AS open,
                      sum(quantity) FILTER (WHERE status = 'confirmed') AS confirmed
               FROM holds GROUP BY inventory_id) h ON h.inventory_id = i.id
    LEFT JOIN (SELECT inventory_id, sum(quantity) AS booked
               FROM (SELECT inventory_id, quantity FROM bookings WHERE cancelled_at IS NULL
                     UNION ALL
                     SELECT part.inventory_id, part.quantity
                     FROM holds part JOIN bookings ON bookings.hold_id = part.part_of AND cancelled_at IS NULL) lines
               GROUP BY inventory_id) b ON b.inventory_id = i.id
    LEFT JOIN (SELECT inventory_id, count(*) AS owned, count(DISTINCT number) AS numbers
               FROM seats GROUP BY inventory_id) s ON s.inventory_id = i.id
    ORDER BY i.name";

pub(super) async fn books(connection: &mut Object) -> Result<Books, StoreError> {
    let snapshot =
        connection.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start();
    let tx = snapshot.await.map_err(|error| fault(&error))?;
    // Here everything is read.
    tx.batch_execute("SET LOCAL enable_seqscan = on").await.map_err(|error| fault(&error))?;
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
        stray_seats: number(&money, 8),
    })
}

fn row_books(row: &Row) -> Result<RowBooks, StoreError> {
    let read = inventory_row(row).into_stock()?;
    Ok(RowBooks {
        inventory: read.inventory,
        stock: read.stock,
        in_open_holds: number(row, 8),
        in_confirmed_holds: number(row, 9),
        in_bookings: number(row, 10),
        numbers: (read.numbering != Numbering::Pool)
            .then(|| Numbers { owned: number(row, 11), distinct: number(row, 12) }),
    })
}

fn number(row: &Row, column: usize) -> u64 {
    row.get::<_, i64>(column).unsigned_abs()
}
