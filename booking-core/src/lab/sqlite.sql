CREATE TABLE IF NOT EXISTS inventory (
    id        INTEGER PRIMARY KEY,
    capacity  INTEGER NOT NULL,
    available INTEGER NOT NULL CHECK (available >= 0),
    version   INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS holds (
    row_id INTEGER NOT NULL,
    person INTEGER NOT NULL,
    seat   INTEGER
);
CREATE TABLE IF NOT EXISTS seats (
    row_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    person INTEGER NOT NULL,
    PRIMARY KEY (row_id, number)
);
