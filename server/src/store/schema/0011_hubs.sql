-- 2026-11: hubs carry other devices' batches: which device brought one, and what of a history does not count.

ALTER TABLE batch ADD COLUMN carrier INTEGER REFERENCES device (id); -- none: its author's own device
CREATE INDEX batch_carrier ON batch (carrier) WHERE carrier IS NOT NULL;
CREATE INDEX change_kept_apart ON change (replica, seq) WHERE state <> 0;
