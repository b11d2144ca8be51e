-- A payment may have several refunds: one for each part of a booking that is given back, and another for each that failed.
-- `payments.refund` is their sum without those that failed, and there exactly when there is one.
CREATE TABLE refunds (
    payment_id BLOB    NOT NULL REFERENCES payments (id),
    number     INTEGER NOT NULL CHECK (number > 0),
    amount     INTEGER NOT NULL CHECK (amount >= 0),
    charge     INTEGER NOT NULL CHECK (charge >= 0),
    status     TEXT    NOT NULL CHECK (status IN ('under_way', 'done', 'failed')),
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (payment_id, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX refunds_under_way ON refunds (payment_id) WHERE status = 'under_way';

UPDATE payments SET refund = 0 WHERE status IN ('refunding', 'refunded') AND refund IS NULL;
INSERT INTO refunds (payment_id, number, amount, charge, status, changed_at)
    SELECT id, 1, refund, amount - refund, CASE status WHEN 'refunded' THEN 'done' ELSE 'under_way' END, changed_at
    FROM payments WHERE status IN ('refunding', 'refunded');

-- Of which refund a movement is part, 0 when of none; each cause at most once for a payment, or for a refund of it.
-- SQLite changes a key or a CHECK only by a new table.
CREATE TABLE ledger_next (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    payment_id BLOB    NOT NULL REFERENCES payments (id),
    cause      TEXT    NOT NULL,
    debit      TEXT    NOT NULL,
    credit     TEXT    NOT NULL CHECK (credit <> debit),
    amount     INTEGER NOT NULL CHECK (amount > 0),
    at         INTEGER NOT NULL,
    refund     INTEGER NOT NULL DEFAULT 0 CHECK (refund >= 0),
    UNIQUE (payment_id, cause, refund)
) STRICT;

INSERT INTO ledger_next
    SELECT id, payment_id, cause, debit, credit, amount, at, cause IN ('owed', 'returned', 'charged', 'refunded')
    FROM ledger ORDER BY id;
DROP TABLE ledger;
ALTER TABLE ledger_next RENAME TO ledger;
CREATE TRIGGER ledger_is_not_changed BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;
CREATE TRIGGER ledger_is_not_deleted BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;

-- What was given back of a booking leaves a line of no seats.
CREATE TABLE holds_next (
    id           BLOB    PRIMARY KEY,
    inventory_id INTEGER NOT NULL REFERENCES inventory (id),
    quantity     INTEGER NOT NULL,
    amount       INTEGER NOT NULL CHECK (amount >= 0),
    request_hash BLOB    NOT NULL,
    status       TEXT    NOT NULL CHECK (status IN ('held', 'paid', 'confirmed', 'expired', 'cancelled')),
    attempt      BLOB,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL,
    part_of      BLOB,
    parts        INTEGER NOT NULL DEFAULT 0,
    numbers      TEXT,
    extensions   INTEGER NOT NULL DEFAULT 0,
    CHECK (quantity > 0 OR quantity = 0 AND status IN ('confirmed', 'cancelled'))
) STRICT, WITHOUT ROWID;

INSERT INTO holds_next
    SELECT id, inventory_id, quantity, amount, request_hash, status, attempt, created_at, expires_at, changed_at, part_of,
           parts, numbers, extensions
    FROM holds;
DROP TABLE holds;
ALTER TABLE holds_next RENAME TO holds;
CREATE INDEX holds_open ON holds (expires_at, inventory_id) WHERE status = 'held';
CREATE INDEX holds_first_expiry ON holds (inventory_id, expires_at) WHERE status = 'held';
CREATE INDEX holds_parts ON holds (part_of, id) WHERE part_of IS NOT NULL;

CREATE TABLE bookings_next (
    reference    TEXT    PRIMARY KEY,
    hold_id      BLOB    NOT NULL UNIQUE REFERENCES holds (id),
    payment_id   BLOB    NOT NULL UNIQUE REFERENCES payments (id),
    inventory_id INTEGER NOT NULL REFERENCES inventory (id),
    quantity     INTEGER NOT NULL CHECK (quantity >= 0),
    amount       INTEGER NOT NULL CHECK (amount >= 0),
    created_at   INTEGER NOT NULL,
    cancelled_at INTEGER
) STRICT, WITHOUT ROWID;

INSERT INTO bookings_next
    SELECT reference, hold_id, payment_id, inventory_id, quantity, amount, created_at, cancelled_at FROM bookings;
DROP TABLE bookings;
ALTER TABLE bookings_next RENAME TO bookings;
