-- Every change of a row is counted here and not by those who make it, so that none can forget to: of two words about a
-- row, the one with the higher count is the newer.
ALTER TABLE inventory ADD COLUMN changes BIGINT NOT NULL DEFAULT 0;

-- When a row last had nothing on sale for the first time, or something again: what the gateways must be told, whoever
-- changed it and whatever became of that process.
CREATE TABLE turns (
    inventory_id BIGINT PRIMARY KEY,
    changes      BIGINT NOT NULL,
    turned_at    TIMESTAMPTZ NOT NULL
);

CREATE INDEX turns_latest ON turns (turned_at);

CREATE FUNCTION count_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changes := OLD.changes + 1;
    IF (OLD.available = 0) <> (NEW.available = 0) THEN
        INSERT INTO turns (inventory_id, changes, turned_at) VALUES (NEW.id, NEW.changes, clock_timestamp())
        ON CONFLICT (inventory_id) DO UPDATE SET changes = excluded.changes, turned_at = excluded.turned_at;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER inventory_changes BEFORE UPDATE ON inventory FOR EACH ROW EXECUTE FUNCTION count_change();

-- Which shard this database is, once it has been told.
CREATE TABLE shard (
    one    INTEGER PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    number INTEGER NOT NULL CHECK (number BETWEEN 0 AND 31)
);
