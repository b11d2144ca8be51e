-- `numbering` says whether the seats of a row have numbers; it is fixed when the row is created. `version` rises with
-- every change of the counts, for those who read first and write only if nothing has changed.
ALTER TABLE inventory
    ADD COLUMN numbering TEXT NOT NULL DEFAULT 'pool' CHECK (numbering IN ('pool', 'seats', 'tickets')),
    ADD COLUMN version BIGINT NOT NULL DEFAULT 0;

-- (B5) is this key: a number of a row has one owner. A row of this table is there while the seat is held or sold.
CREATE TABLE seats (
    inventory_id BIGINT  NOT NULL,
    number       INTEGER NOT NULL CHECK (number > 0),
    hold_id      BYTEA   NOT NULL,
    PRIMARY KEY (inventory_id, number)
);

-- A hold of several rows is kept in several rows here: the first under the hold's own id, each other with `part_of`.
-- `parts` counts the others. `numbers` lists the seats, also after the hold has ended.
ALTER TABLE holds
    ADD COLUMN part_of BYTEA,
    ADD COLUMN parts   SMALLINT NOT NULL DEFAULT 0,
    ADD COLUMN numbers TEXT;

CREATE INDEX holds_parts ON holds (part_of, id) WHERE part_of IS NOT NULL;
