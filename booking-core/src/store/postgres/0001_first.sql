-- (B1) is the CHECK on inventory: no commit can leave a row that does not add up, whatever the code above it does.
CREATE TABLE inventory (
    id        BIGINT  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name      TEXT    NOT NULL UNIQUE,
    capacity  INTEGER NOT NULL,
    available INTEGER NOT NULL,
    held      INTEGER NOT NULL DEFAULT 0,
    sold      INTEGER NOT NULL DEFAULT 0,
    price     BIGINT  NOT NULL CHECK (price >= 0),
    CHECK (available >= 0 AND held >= 0 AND sold >= 0 AND available + held + sold = capacity)
);

-- The id follows from the idempotency key, so the primary key is also what keeps one key from making two holds.
-- There is no foreign key to inventory: rows are never deleted, every insert takes the id from the very decrement it
-- rides on, and a check for each row would cost the group commit most of its speed.
CREATE TABLE holds (
    id           BYTEA   PRIMARY KEY,
    inventory_id BIGINT  NOT NULL,
    quantity     INTEGER NOT NULL CHECK (quantity > 0),
    amount       BIGINT  NOT NULL CHECK (amount >= 0),
    request_hash BYTEA   NOT NULL,
    status       TEXT    NOT NULL CHECK (status IN ('held', 'paid', 'confirmed', 'expired', 'cancelled')),
    attempt      BYTEA,
    created_at   BIGINT  NOT NULL,
    expires_at   BIGINT  NOT NULL,
    changed_at   BIGINT  NOT NULL
);

CREATE INDEX holds_open ON holds (expires_at, inventory_id) WHERE status = 'held';

CREATE TABLE payments (
    id           BYTEA   PRIMARY KEY,
    hold_id      BYTEA   REFERENCES holds (id),
    amount       BIGINT  NOT NULL CHECK (amount >= 0),
    method       TEXT    NOT NULL,
    request_hash BYTEA   NOT NULL,
    status       TEXT    NOT NULL CHECK (status IN ('pending', 'failed', 'captured', 'kept', 'refunding', 'refunded')),
    charge       TEXT    UNIQUE,
    reason       TEXT,
    created_at   BIGINT  NOT NULL,
    changed_at   BIGINT  NOT NULL
);

CREATE INDEX payments_pending ON payments (created_at) WHERE status = 'pending';

-- One booking for each hold and for each payment.
CREATE TABLE bookings (
    reference    TEXT    PRIMARY KEY,
    hold_id      BYTEA   NOT NULL UNIQUE REFERENCES holds (id),
    payment_id   BYTEA   NOT NULL UNIQUE REFERENCES payments (id),
    inventory_id BIGINT  NOT NULL REFERENCES inventory (id),
    quantity     INTEGER NOT NULL CHECK (quantity > 0),
    amount       BIGINT  NOT NULL CHECK (amount >= 0),
    created_at   BIGINT  NOT NULL
);

-- A task is here until it is done.
CREATE TABLE outbox (
    kind       TEXT    NOT NULL CHECK (kind IN ('settle', 'refund')),
    payment_id BYTEA   NOT NULL REFERENCES payments (id),
    created_at BIGINT  NOT NULL,
    due_at     BIGINT  NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    PRIMARY KEY (kind, payment_id)
);

CREATE INDEX outbox_due ON outbox (due_at);

CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);
