-- When the first open hold of a row may lapse is asked for each row that is sold out.
CREATE INDEX holds_first_expiry ON holds (inventory_id, expires_at) WHERE status = 'held';

-- Each kind of task is read by itself, so that many of one do not hide the other.
CREATE INDEX outbox_due_by_kind ON outbox (kind, due_at);
DROP INDEX outbox_due;
