-- A hold's id is as good as random, so an index of all ids changes a page of its own for each of them. New ids stand in a small
-- index first, and go over to the large one by and by (ids.rs). Nothing refers to holds by a foreign key any more, for which one
-- index would have to have all ids. SQLite changes keys and references only by a new table.
CREATE TABLE holds_next (
    number       INTEGER PRIMARY KEY,
    id           BLOB    NOT NULL,
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
) STRICT;

INSERT INTO holds_next (id, inventory_id, quantity, amount, request_hash, status, attempt, created_at, expires_at, changed_at,
                        part_of, parts, numbers, extensions)
    SELECT id, inventory_id, quantity, amount, request_hash, status, attempt, created_at, expires_at, changed_at, part_of,
           parts, numbers, extensions
    FROM holds ORDER BY rowid;
DROP TABLE holds;
ALTER TABLE holds_next RENAME TO holds;
CREATE INDEX holds_open ON holds (expires_at, inventory_id) WHERE status = 'held';
CREATE INDEX holds_parts ON holds (part_of, id) WHERE part_of IS NOT NULL;

CREATE TABLE settled_ids (
    id   BLOB    NOT NULL PRIMARY KEY,
    hold INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE recent_ids (
    id   BLOB    NOT NULL PRIMARY KEY,
    hold INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO settled_ids SELECT id, number FROM holds ORDER BY id;
CREATE VIEW hold_ids AS SELECT id, hold FROM recent_ids UNION ALL SELECT id, hold FROM settled_ids;

CREATE TABLE payments_next (
    id           BLOB    PRIMARY KEY,
    hold_id      BLOB,
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
    SELECT id, hold_id, amount, method, request_hash, status, charge, reason, challenge, refund, created_at, changed_at
    FROM payments;
DROP TABLE payments;
ALTER TABLE payments_next RENAME TO payments;
CREATE INDEX payments_pending ON payments (created_at) WHERE status IN ('pending', 'challenged');

CREATE TABLE bookings_next (
    reference    TEXT    PRIMARY KEY,
    hold_id      BLOB    NOT NULL UNIQUE,
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
