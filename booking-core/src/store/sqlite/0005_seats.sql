-- `numbering` says whether the seats of a row have numbers; it is fixed when the row is created. `version` rises with
-- every change of the counts, for those who read first and write only if nothing has changed.
ALTER TABLE inventory ADD COLUMN numbering TEXT NOT NULL DEFAULT 'pool' CHECK (numbering IN ('pool', 'seats', 'tickets'));
ALTER TABLE inventory ADD COLUMN version INTEGER NOT NULL DEFAULT 0;

-- (B5) is this key: a number of a row has one owner. A row of this table is there while the seat is held or sold.
CREATE TABLE seats (
    inventory_id INTEGER NOT NULL,
    number       INTEGER NOT NULL CHECK (number > 0),
    hold_id      BLOB    NOT NULL,
    PRIMARY KEY (inventory_id, number)
) STRICT, WITHOUT ROWID;

-- A hold of several rows is kept in several rows here: the first under the hold's own id, each other with `part_of`.
-- `parts` counts the others. `numbers` lists the seats, also after the hold has ended.
ALTER TABLE holds ADD COLUMN part_of BLOB;
ALTER TABLE holds ADD COLUMN parts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE holds ADD COLUMN numbers TEXT;

CREATE INDEX holds_parts ON holds (part_of, id) WHERE part_of IS NOT NULL;
