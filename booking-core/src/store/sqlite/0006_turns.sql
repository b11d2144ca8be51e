-- When a row last had nothing on sale for the first time, or something again: what the gateways must be told, whoever
-- changed it and whatever became of that process. It is written here and not by those who change a row, so that none can
-- forget to.
CREATE TABLE turns (
    inventory_id INTEGER PRIMARY KEY,
    version      INTEGER NOT NULL,
    turned_at    INTEGER NOT NULL
) STRICT;

CREATE INDEX turns_latest ON turns (turned_at);

CREATE TRIGGER inventory_turns AFTER UPDATE OF available ON inventory WHEN (OLD.available = 0) <> (NEW.available = 0)
BEGIN
    INSERT INTO turns (inventory_id, version, turned_at) VALUES (NEW.id, NEW.version, unixepoch())
        ON CONFLICT (inventory_id) DO UPDATE SET version = excluded.version, turned_at = excluded.turned_at;
END;

-- Which shard this database is, once it has been told.
CREATE TABLE shard (
    one    INTEGER PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    number INTEGER NOT NULL CHECK (number BETWEEN 0 AND 31)
) STRICT;
