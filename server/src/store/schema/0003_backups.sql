-- 2026-11: backups that were verified, and the lives of the log that a restore ended.

CREATE TABLE backup ( -- verified copies of this database that are still kept
    id INTEGER PRIMARY KEY,
    file TEXT NOT NULL UNIQUE,
    taken_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE backup_head ( -- how far each replica's chain goes in a backup
    backup INTEGER NOT NULL REFERENCES backup (id),
    replica INTEGER NOT NULL REFERENCES replica (id),
    head INTEGER NOT NULL,
    PRIMARY KEY (backup, replica)
) STRICT, WITHOUT ROWID;

CREATE TABLE epoch ( -- lives of the log that ended with a restore, in their order
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    ended_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE epoch_head ( -- how far each bucket went in the copy that was restored
    epoch INTEGER NOT NULL REFERENCES epoch (id),
    area INTEGER NOT NULL REFERENCES area (id),
    head INTEGER NOT NULL,
    PRIMARY KEY (epoch, area)
) STRICT, WITHOUT ROWID;
