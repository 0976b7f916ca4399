-- 2026-11: how far the log goes in each backup. Devices that are far behind get what is in all of them as snapshots,
-- and what is newer as changes with what proves them. Backups from before count for nothing here.

ALTER TABLE backup ADD COLUMN last_change INTEGER NOT NULL DEFAULT 0; -- the greatest number of a change in it

CREATE INDEX departure_household ON departure (household);

CREATE TABLE backup_bucket ( -- how far each bucket goes in a backup
    backup INTEGER NOT NULL REFERENCES backup (id),
    area INTEGER NOT NULL REFERENCES area (id),
    head INTEGER NOT NULL,
    PRIMARY KEY (backup, area)
) STRICT, WITHOUT ROWID;
