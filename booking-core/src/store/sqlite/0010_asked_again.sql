-- How often a task was asked for. Whoever did it in vain puts it off only if nobody has asked for it again meanwhile.
ALTER TABLE outbox ADD COLUMN asked INTEGER NOT NULL DEFAULT 1;
