//! Counting everything twice.

use rusqlite::{Connection, Row};

use super::read::{inventory_row, many, one};
use crate::store::StoreError;
use crate::store::books::{Books, RowBooks};

const ROWS: &str = "SELECT i.name, i.capacity, i.available, i.held, i.sold, i.price,
        coalesce(h.open, 0), coalesce(h.confirmed, 0), coalesce(b.booked, 0)
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

pub(super) fn books(db: &Connection) -> Result<Books, StoreError> {
    let tx = db.unchecked_transaction().map_err(|error| super::fault(&error))?;
    let counted =
        many(&tx, ROWS, [], |row| Ok((inventory_row(row)?, number(row, 6)?, number(row, 7)?, number(row, 8)?)))?;
    let rows = counted
        .into_iter()
        .map(|(row, in_open_holds, in_confirmed_holds, in_bookings)| {
            let row = row.into_stock()?;
            let (inventory, stock) = (row.inventory, row.stock);
            Ok(RowBooks { inventory, stock, in_open_holds, in_confirmed_holds, in_bookings })
        })
        .collect::<Result<_, StoreError>>()?;
    let money = one(&tx, MONEY, [], |row| {
        Ok(Books {
            rows: Vec::new(),
            kept_without_booking: number(row, 0)?,
            booking_without_money: number(row, 1)?,
            unsettled: number(row, 2)?,
            unsettled_without_task: number(row, 3)?,
            pending: number(row, 4)?,
            refunded: number(row, 5)?,
            bookings: number(row, 6)?,
            open_holds: number(row, 7)?,
        })
    })?;
    Ok(Books { rows, ..money.unwrap_or_default() })
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}
