-- Holds stand in the order in which they came, and their ids in a narrow index beside them. An id is as good as random: a table
-- in the order of the ids moves whole rows to make room for one. SQLite changes that only by a new table.
CREATE TABLE holds_next (
    id           BLOB    NOT NULL PRIMARY KEY,
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

INSERT INTO holds_next
    SELECT id, inventory_id, quantity, amount, request_hash, status, attempt, created_at, expires_at, changed_at, part_of,
           parts, numbers, extensions
    FROM holds ORDER BY created_at, id;
DROP TABLE holds;
ALTER TABLE holds_next RENAME TO holds;
CREATE INDEX holds_open ON holds (expires_at, inventory_id) WHERE status = 'held';
CREATE INDEX holds_parts ON holds (part_of, id) WHERE part_of IS NOT NULL;
