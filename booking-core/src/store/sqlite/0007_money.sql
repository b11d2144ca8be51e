-- Money is set aside before it is taken, and a booking can be cancelled. SQLite changes a CHECK only by a new table.
CREATE TABLE payments_next (
    id           BLOB    PRIMARY KEY,
    hold_id      BLOB    REFERENCES holds (id),
    amount       INTEGER NOT NULL CHECK (amount >= 0),
    method       TEXT    NOT NULL,
    request_hash BLOB    NOT NULL,
    status       TEXT    NOT NULL CHECK (status IN ('pending', 'challenged', 'failed', 'authorized', 'capturing',
                                                    'captured', 'kept', 'voiding', 'voided', 'refunding', 'refunded')),
    charge       TEXT    UNIQUE,
    reason       TEXT,
    challenge    TEXT,
    refund       INTEGER CHECK (refund >= 0 AND refund <= amount),
    created_at   INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO payments_next
    SELECT id, hold_id, amount, method, request_hash, status, charge, reason, NULL,
           CASE WHEN status IN ('refunding', 'refunded') THEN amount END, created_at, changed_at
    FROM payments;
DROP TABLE payments;
ALTER TABLE payments_next RENAME TO payments;
CREATE INDEX payments_pending ON payments (created_at) WHERE status IN ('pending', 'challenged');

CREATE TABLE outbox_next (
    kind       TEXT    NOT NULL CHECK (kind IN ('settle', 'capture', 'void', 'refund')),
    payment_id BLOB    NOT NULL REFERENCES payments (id),
    created_at INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    PRIMARY KEY (kind, payment_id)
) STRICT, WITHOUT ROWID;

INSERT INTO outbox_next SELECT kind, payment_id, created_at, due_at, attempts, last_error FROM outbox;
DROP TABLE outbox;
ALTER TABLE outbox_next RENAME TO outbox;
CREATE INDEX outbox_due_by_kind ON outbox (kind, due_at);

ALTER TABLE holds ADD COLUMN extensions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE bookings ADD COLUMN cancelled_at INTEGER;

-- Every movement of money, written once. Each cause at most once for a payment.
CREATE TABLE ledger (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    payment_id BLOB    NOT NULL REFERENCES payments (id),
    cause      TEXT    NOT NULL,
    debit      TEXT    NOT NULL,
    credit     TEXT    NOT NULL CHECK (credit <> debit),
    amount     INTEGER NOT NULL CHECK (amount > 0),
    at         INTEGER NOT NULL,
    UNIQUE (payment_id, cause)
) STRICT;

-- What was done before there was a ledger.
INSERT INTO ledger (payment_id, cause, debit, credit, amount, at)
    SELECT id, 'captured', 'provider', 'deposits', amount, changed_at FROM payments
    WHERE status IN ('captured', 'kept', 'refunding', 'refunded') AND amount > 0;
INSERT INTO ledger (payment_id, cause, debit, credit, amount, at)
    SELECT id, 'sold', 'deposits', 'sales', amount, changed_at FROM payments WHERE status = 'kept' AND amount > 0;
INSERT INTO ledger (payment_id, cause, debit, credit, amount, at)
    SELECT id, 'owed', 'deposits', 'refunds_owed', amount, changed_at FROM payments
    WHERE status IN ('refunding', 'refunded') AND amount > 0;
INSERT INTO ledger (payment_id, cause, debit, credit, amount, at)
    SELECT id, 'refunded', 'refunds_owed', 'provider', amount, changed_at FROM payments
    WHERE status = 'refunded' AND amount > 0;

CREATE TRIGGER ledger_is_not_changed BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;
CREATE TRIGGER ledger_is_not_deleted BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;
