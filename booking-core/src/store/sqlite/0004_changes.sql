-- Every change of a row is counted here and not by those who make it, so that none can forget to: of two words about a
-- row, the one with the higher count is the newer.
ALTER TABLE inventory ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;

-- When a row last had nothing on sale for the first time, or something again: what the gateways must be told, whoever
-- changed it and whatever became of that process.
CREATE TABLE turns (
    inventory_id INTEGER PRIMARY KEY,
    changes      INTEGER NOT NULL,
    turned_at    INTEGER NOT NULL
) STRICT;

CREATE INDEX turns_latest ON turns (turned_at);

CREATE TRIGGER inventory_changes AFTER UPDATE OF available, held, sold ON inventory
BEGIN
    UPDATE inventory SET changes = changes + 1 WHERE id = NEW.id;
    INSERT INTO turns (inventory_id, changes, turned_at)
        SELECT NEW.id, NEW.changes + 1, unixepoch() WHERE (OLD.available = 0) <> (NEW.available = 0)
        ON CONFLICT (inventory_id) DO UPDATE SET changes = excluded.changes, turned_at = excluded.turned_at;
END;

-- Which shard this database is, once it has been told.
CREATE TABLE shard (
    one    INTEGER PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    number INTEGER NOT NULL CHECK (number BETWEEN 0 AND 31)
) STRICT;
