//! Counting everything twice.

use rusqlite::{Connection, Row};

use super::read::{inventory_row, many, one};
use crate::domain::seat::Numbering;
use crate::store::StoreError;
use crate::store::books::{Books, MONEY, Numbers, RowBooks};
use crate::store::rows::InventoryRow;

const ROWS: &str = "SELECT i.name, i.capacity, i.available, i.held, i.sold, i.price, i.numbering, i.version,
        coalesce(h.open, 0), coalesce(h.confirmed, 0), coalesce(b.booked, 0),
        coalesce(s.owned, 0), coalesce(s.numbers, 0)
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

pub(super) fn books(db: &Connection) -> Result<Books, StoreError> {
    let tx = db.unchecked_transaction().map_err(|error| super::fault(&error))?;
    let rows = many(&tx, ROWS, [], row_books)?.into_iter().map(Counted::into_books).collect::<Result<_, _>>()?;
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
            stray_seats: number(row, 8)?,
        })
    })?;
    Ok(Books { rows, ..money.unwrap_or_default() })
}

/// A row as the database counts it.
struct Counted {
    row: InventoryRow,
    in_open_holds: u64,
    in_confirmed_holds: u64,
    in_bookings: u64,
    numbers: Numbers,
}

fn row_books(row: &Row<'_>) -> rusqlite::Result<Counted> {
    Ok(Counted {
        row: inventory_row(row)?,
        in_open_holds: number(row, 8)?,
        in_confirmed_holds: number(row, 9)?,
        in_bookings: number(row, 10)?,
        numbers: Numbers { owned: number(row, 11)?, distinct: number(row, 12)? },
    })
}

impl Counted {
    fn into_books(self) -> Result<RowBooks, StoreError> {
        let read = self.row.into_stock()?;
        Ok(RowBooks {
            inventory: read.inventory,
            stock: read.stock,
            in_open_holds: self.in_open_holds,
            in_confirmed_holds: self.in_confirmed_holds,
            in_bookings: self.in_bookings,
            numbers: (read.numbering != Numbering::Pool).then_some(self.numbers),
        })
    }
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}
