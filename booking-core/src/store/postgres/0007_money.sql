-- Money is set aside before it is taken, and a booking can be cancelled.
ALTER TABLE payments DROP CONSTRAINT payments_status_check;
ALTER TABLE payments ADD CONSTRAINT payments_status_check
    CHECK (status IN ('pending', 'challenged', 'failed', 'authorized', 'capturing', 'captured', 'kept', 'voiding',
                      'voided', 'refunding', 'refunded'));
ALTER TABLE payments ADD COLUMN challenge TEXT, ADD COLUMN refund BIGINT CHECK (refund >= 0 AND refund <= amount);
UPDATE payments SET refund = amount WHERE status IN ('refunding', 'refunded') AND amount > 0;
DROP INDEX payments_pending;
CREATE INDEX payments_pending ON payments (created_at) WHERE status IN ('pending', 'challenged');

ALTER TABLE outbox DROP CONSTRAINT outbox_kind_check;
ALTER TABLE outbox ADD CONSTRAINT outbox_kind_check CHECK (kind IN ('settle', 'capture', 'void', 'refund'));

ALTER TABLE holds ADD COLUMN extensions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE bookings ADD COLUMN cancelled_at BIGINT;

-- Every movement of money, written once. Each cause at most once for a payment.
CREATE TABLE ledger (
    id         BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    payment_id BYTEA  NOT NULL REFERENCES payments (id),
    cause      TEXT   NOT NULL,
    debit      TEXT   NOT NULL,
    credit     TEXT   NOT NULL CHECK (credit <> debit),
    amount     BIGINT NOT NULL CHECK (amount > 0),
    at         BIGINT NOT NULL,
    UNIQUE (payment_id, cause)
);

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

CREATE FUNCTION ledger_is_only_added_to() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the ledger is only ever added to'; END $$;
CREATE TRIGGER ledger_is_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_only_added_to();
