//! The books, counted twice: what the rows say, and what the holds, payments and bookings say.

use crate::domain::inventory::{InventoryId, Stock};

/// Counts what the money and its bookings come to, in this order: as [`Books`] has it after its rows. Both databases
/// understand it.
pub(super) const MONEY: &str = "SELECT
        (SELECT count(*) FROM payments p LEFT JOIN bookings b ON b.payment_id = p.id AND b.cancelled_at IS NULL
            WHERE p.status = 'kept' AND b.reference IS NULL),
        (SELECT count(*) FROM bookings b JOIN payments p ON p.id = b.payment_id
            WHERE p.status <> 'kept' AND b.cancelled_at IS NULL),
        (SELECT count(*) FROM payments p WHERE p.status IN ('authorized', 'capturing', 'captured', 'voiding', 'refunding')
            OR EXISTS (SELECT 1 FROM refunds r WHERE r.payment_id = p.id AND r.status = 'under_way')),
        (SELECT count(*) FROM payments p LEFT JOIN outbox o ON o.payment_id = p.id
            WHERE o.kind IS NULL AND (p.status IN ('authorized', 'capturing', 'captured', 'voiding', 'refunding')
                OR EXISTS (SELECT 1 FROM refunds r WHERE r.payment_id = p.id AND r.status = 'under_way'))),
        (SELECT count(*) FROM payments WHERE status IN ('pending', 'challenged')),
        (SELECT count(*) FROM refunds WHERE status = 'done'),
        (SELECT count(*) FROM bookings WHERE cancelled_at IS NULL),
        (SELECT count(*) FROM holds WHERE status IN ('held', 'paid') AND part_of IS NULL),
        (SELECT count(*) FROM seats s LEFT JOIN holds h ON h.id = s.hold_id
            WHERE h.id IS NULL OR h.status NOT IN ('held', 'paid', 'confirmed'))";

/// Counts payments of which a refund failed and the one that stands in for it is not done yet. Both databases understand
/// it.
pub(super) const FAILING: &str = "SELECT count(DISTINCT r.payment_id) FROM refunds r WHERE r.status = 'under_way'
    AND EXISTS (SELECT 1 FROM refunds f WHERE f.payment_id = r.payment_id AND f.status = 'failed')";

/// Is the whole state in sums.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// One entry for each row.
    pub rows: Vec<RowBooks>,
    /// Payments kept for which there is no booking.
    pub kept_without_booking: u64,
    /// Bookings whose payment is not kept.
    pub booking_without_money: u64,
    /// Payments whose money is set aside or taken and not decided yet, or on its way back; may be above zero only while work is under way.
    pub unsettled: u64,
    /// Payments of that kind for which the outbox holds no task: nobody would ever see to them.
    pub unsettled_without_task: u64,
    /// Payments of which nothing is known yet.
    pub pending: u64,
    /// Refunds done.
    pub refunded: u64,
    /// Bookings, cancelled ones left out.
    pub bookings: u64,
    /// Holds that keep seats.
    pub open_holds: u64,
    /// Numbered seats with an owner whose hold keeps them no longer.
    pub stray_seats: u64,
}

/// Is one row, counted twice.
#[derive(Clone, Copy, Debug)]
pub struct RowBooks {
    /// Which row.
    pub inventory: InventoryId,
    /// What the row says.
    pub stock: Stock,
    /// Seats in holds that keep them.
    pub in_open_holds: u64,
    /// Seats in confirmed holds.
    pub in_confirmed_holds: u64,
    /// Seats in bookings.
    pub in_bookings: u64,
    /// Whether its seats have numbers, and who owns which.
    pub numbers: Option<Numbers>,
}

/// Counts the numbers of a row that have an owner.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    /// How often any of them has one.
    pub owned: u64,
    /// How many of them have one. If it is less, one number has two owners.
    pub distinct: u64,
}

impl RowBooks {
    /// Returns how many seats were promised or sold beyond the capacity.
    #[must_use]
    pub fn oversold(&self) -> u64 {
        (self.in_open_holds + self.in_bookings).saturating_sub(u64::from(self.stock.capacity))
    }

    fn faults(&self) -> Vec<String> {
        let name = self.inventory;
        let mut faults = Vec::new();
        let mut expect = |what: &str, counted: u64, written: u32| {
            if counted != u64::from(written) {
                faults.push(format!("{name}: {counted} {what}, but the row says {written}"));
            }
        };
        expect("seats in open holds", self.in_open_holds, self.stock.held);
        expect("seats in confirmed holds", self.in_confirmed_holds, self.stock.sold);
        expect("seats in bookings", self.in_bookings, self.stock.sold);
        if let Some(Numbers { owned, distinct }) = self.numbers {
            expect("numbers with an owner", owned, self.stock.held + self.stock.sold);
            if distinct != owned {
                faults.push(format!("{name}: {} numbers have a second owner", owned - distinct));
            }
        }
        if !self.stock.adds_up() {
            faults.push(format!("{name}: {:?} does not add up", self.stock));
        }
        if self.oversold() > 0 {
            faults.push(format!("{name}: {} seats oversold", self.oversold()));
        }
        faults
    }
}

impl Books {
    /// Adds the books of another database.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        Self {
            rows: self.rows,
            kept_without_booking: self.kept_without_booking + other.kept_without_booking,
            booking_without_money: self.booking_without_money + other.booking_without_money,
            unsettled: self.unsettled + other.unsettled,
            unsettled_without_task: self.unsettled_without_task + other.unsettled_without_task,
            pending: self.pending + other.pending,
            refunded: self.refunded + other.refunded,
            bookings: self.bookings + other.bookings,
            open_holds: self.open_holds + other.open_holds,
            stray_seats: self.stray_seats + other.stray_seats,
        }
    }

    /// Lists every breach of (B1), (B3) and (B5) in words; empty when all is well.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = self.rows.iter().flat_map(RowBooks::faults).collect();
        for (count, what) in [
            (self.kept_without_booking, "payments kept without a booking"),
            (self.booking_without_money, "bookings without money"),
            (self.unsettled_without_task, "payments that nobody will see to"),
            (self.stray_seats, "seats that belong to a hold that has ended"),
        ] {
            if count > 0 {
                faults.push(format!("{count} {what}"));
            }
        }
        faults
    }
}
