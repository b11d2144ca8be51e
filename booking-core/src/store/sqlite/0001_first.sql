-- (B1) is the CHECK on inventory: no commit can leave a row that does not add up, whatever the code above it does.
CREATE TABLE inventory (
    id        INTEGER PRIMARY KEY,
    name      TEXT    NOT NULL UNIQUE,
    capacity  INTEGER NOT NULL,
    available INTEGER NOT NULL,
    held      INTEGER NOT NULL DEFAULT 0,
    sold      INTEGER NOT NULL DEFAULT 0,
    price     INTEGER NOT NULL CHECK (price >= 0),
    CHECK (available >= 0 AND held >= 0 AND sold >= 0 AND available + held + sold = capacity)
) STRICT;

-- The id follows from the idempotency key, so the primary key is also what keeps one key from making two holds.
CREATE TABLE holds (
    id           BLOB    PRIMARY KEY,
    inventory_id INTEGER NOT NULL REFERENCES inventory (id),
    quantity     INTEGER NOT NULL CHECK (quantity > 0),
    amount       INTEGER NOT NULL CHECK (amount >= 0),
    request_hash BLOB    NOT NULL,
    status       TEXT    NOT NULL CHECK (status IN ('held', 'paid', 'confirmed', 'expired', 'cancelled')),
    attempt      BLOB,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX holds_open ON holds (expires_at, inventory_id) WHERE status = 'held';

CREATE TABLE payments (
    id           BLOB    PRIMARY KEY,
    hold_id      BLOB    REFERENCES holds (id),
    amount       INTEGER NOT NULL CHECK (amount >= 0),
    method       TEXT    NOT NULL,
    request_hash BLOB    NOT NULL,
    status       TEXT    NOT NULL CHECK (status IN ('pending', 'failed', 'captured', 'kept', 'refunding', 'refunded')),
    charge       TEXT    UNIQUE,
    reason       TEXT,
    created_at   INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX payments_pending ON payments (created_at) WHERE status = 'pending';

-- One booking for each hold and for each payment.
CREATE TABLE bookings (
    reference    TEXT    PRIMARY KEY,
    hold_id      BLOB    NOT NULL UNIQUE REFERENCES holds (id),
    payment_id   BLOB    NOT NULL UNIQUE REFERENCES payments (id),
    inventory_id INTEGER NOT NULL REFERENCES inventory (id),
    quantity     INTEGER NOT NULL CHECK (quantity > 0),
    amount       INTEGER NOT NULL CHECK (amount >= 0),
    created_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A task is here until it is done.
CREATE TABLE outbox (
    kind       TEXT    NOT NULL CHECK (kind IN ('settle', 'refund')),
    payment_id BLOB    NOT NULL REFERENCES payments (id),
    created_at INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    PRIMARY KEY (kind, payment_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_due ON outbox (due_at);

CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;
