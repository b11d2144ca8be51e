BEGIN;
-- Any number will do, as long as every copy of this program takes the same.
SELECT pg_advisory_xact_lock(8314040619746);
CREATE SCHEMA IF NOT EXISTS vestibule_lab;
CREATE TABLE IF NOT EXISTS vestibule_lab.inventory (
    id        bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    capacity  integer NOT NULL,
    available integer NOT NULL CHECK (available >= 0),
    version   integer NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS vestibule_lab.holds (
    row_id bigint NOT NULL,
    person integer NOT NULL,
    seat   integer
);
CREATE TABLE IF NOT EXISTS vestibule_lab.seats (
    row_id bigint NOT NULL,
    number integer NOT NULL,
    person integer NOT NULL,
    PRIMARY KEY (row_id, number)
);
COMMIT;
