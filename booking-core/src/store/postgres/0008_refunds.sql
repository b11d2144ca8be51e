-- A copy that sells while this runs locks some of these in another order; taken all at once, it waits or is waited for.
LOCK TABLE holds, payments, bookings, ledger, outbox IN ACCESS EXCLUSIVE MODE;

-- A payment may have several refunds: one for each part of a booking that is given back, and another for each that failed.
-- `payments.refund` is their sum without those that failed, and there exactly when there is one.
CREATE TABLE refunds (
    payment_id BYTEA    NOT NULL REFERENCES payments (id),
    number     SMALLINT NOT NULL CHECK (number > 0),
    amount     BIGINT   NOT NULL CHECK (amount >= 0),
    charge     BIGINT   NOT NULL CHECK (charge >= 0),
    status     TEXT     NOT NULL CHECK (status IN ('under_way', 'done', 'failed')),
    changed_at BIGINT   NOT NULL,
    PRIMARY KEY (payment_id, number)
);

CREATE INDEX refunds_under_way ON refunds (payment_id) WHERE status = 'under_way';

UPDATE payments SET refund = 0 WHERE status IN ('refunding', 'refunded') AND refund IS NULL;
INSERT INTO refunds (payment_id, number, amount, charge, status, changed_at)
    SELECT id, 1, refund, amount - refund, CASE status WHEN 'refunded' THEN 'done' ELSE 'under_way' END, changed_at
    FROM payments WHERE status IN ('refunding', 'refunded');

-- Of which refund a movement is part, 0 when of none; each cause at most once for a payment, or for a refund of it.
ALTER TABLE ledger DISABLE TRIGGER ledger_is_only_added_to;
ALTER TABLE ledger ADD COLUMN refund SMALLINT NOT NULL DEFAULT 0 CHECK (refund >= 0);
UPDATE ledger SET refund = 1 WHERE cause IN ('owed', 'returned', 'charged', 'refunded');
ALTER TABLE ledger ENABLE TRIGGER ledger_is_only_added_to;
ALTER TABLE ledger DROP CONSTRAINT ledger_payment_id_cause_key;
ALTER TABLE ledger ADD CONSTRAINT ledger_each_cause_once UNIQUE (payment_id, cause, refund);

-- What was given back of a booking leaves a line of no seats.
ALTER TABLE holds DROP CONSTRAINT holds_quantity_check;
ALTER TABLE holds ADD CONSTRAINT holds_quantity_check CHECK (quantity > 0 OR quantity = 0 AND status IN ('confirmed', 'cancelled'));
ALTER TABLE bookings DROP CONSTRAINT bookings_quantity_check;
ALTER TABLE bookings ADD CONSTRAINT bookings_quantity_check CHECK (quantity >= 0);
