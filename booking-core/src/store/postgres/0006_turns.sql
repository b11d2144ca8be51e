-- When a row last had nothing on sale for the first time, or something again: what the gateways must be told, whoever
-- changed it and whatever became of that process. It is written here and not by those who change a row, so that none can
-- forget to.
CREATE TABLE turns (
    inventory_id BIGINT PRIMARY KEY,
    version      BIGINT NOT NULL,
    turned_at    TIMESTAMPTZ NOT NULL
);

CREATE INDEX turns_latest ON turns (turned_at);

CREATE FUNCTION note_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO turns (inventory_id, version, turned_at) VALUES (NEW.id, NEW.version, clock_timestamp())
    ON CONFLICT (inventory_id) DO UPDATE SET version = excluded.version, turned_at = excluded.turned_at;
    RETURN NULL;
END
$$;

CREATE TRIGGER inventory_turns AFTER UPDATE ON inventory FOR EACH ROW
    WHEN ((OLD.available = 0) <> (NEW.available = 0)) EXECUTE FUNCTION note_turn();

-- Which shard this database is, once it has been told.
CREATE TABLE shard (
    one    INTEGER PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    number INTEGER NOT NULL CHECK (number BETWEEN 0 AND 31)
);
