-- 2026-11: the first schema.
-- The truth is `change` with its stamps, `branch` and `parked`; tables marked (derived) follow from them
-- and are made again by `tenun-server rebuild`.

CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT;

CREATE TABLE area (
    id INTEGER PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    level TEXT NOT NULL,
    parent TEXT,
    head INTEGER NOT NULL DEFAULT 0 -- the last seq given out in this bucket
) STRICT;

CREATE TABLE questionnaire (
    id INTEGER PRIMARY KEY,
    reference TEXT NOT NULL UNIQUE, -- id@version
    title TEXT NOT NULL,
    json TEXT NOT NULL,
    workbook BLOB NOT NULL,
    loaded_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE enumerator (code TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL) STRICT;

CREATE TABLE assignment (
    enumerator TEXT NOT NULL REFERENCES enumerator (code),
    area INTEGER NOT NULL REFERENCES area (id),
    round TEXT NOT NULL,
    PRIMARY KEY (enumerator, area, round)
) STRICT, WITHOUT ROWID;

CREATE TABLE device_code (
    hash BLOB PRIMARY KEY NOT NULL,
    enumerator TEXT NOT NULL REFERENCES enumerator (code),
    expires_ms INTEGER NOT NULL,
    used_ms INTEGER
) STRICT;

CREATE TABLE device (
    id INTEGER PRIMARY KEY,
    enumerator TEXT NOT NULL REFERENCES enumerator (code),
    name TEXT NOT NULL,
    token BLOB NOT NULL UNIQUE, -- SHA-256 of the token
    enrolled_ms INTEGER NOT NULL,
    revoked_ms INTEGER,
    seen_ms INTEGER,
    skew_ms INTEGER,
    app TEXT NOT NULL DEFAULT '',
    unsent INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE replica (
    id INTEGER PRIMARY KEY,
    uuid BLOB NOT NULL UNIQUE CHECK (length(uuid) = 16),
    device INTEGER REFERENCES device (id), -- none: the server's own
    key BLOB NOT NULL CHECK (length(key) = 32),
    adopted_from INTEGER REFERENCES replica (id),
    head INTEGER NOT NULL DEFAULT 0,
    head_hash BLOB NOT NULL
) STRICT;
CREATE INDEX replica_device ON replica (device);

CREATE TABLE batch (
    replica INTEGER NOT NULL REFERENCES replica (id),
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    before BLOB NOT NULL,
    after BLOB NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (replica, first, last)
) STRICT, WITHOUT ROWID;

CREATE TABLE stamp (
    replica INTEGER NOT NULL REFERENCES replica (id),
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    skew_ms INTEGER NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (replica, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE record (
    id INTEGER PRIMARY KEY,
    uuid BLOB NOT NULL UNIQUE CHECK (length(uuid) = 16),
    household INTEGER NOT NULL, -- the household's record; a household names itself
    round TEXT, -- none: a household
    purpose TEXT,
    -- (derived)
    form TEXT NOT NULL DEFAULT '',
    title TEXT NOT NULL DEFAULT '',
    area INTEGER REFERENCES area (id), -- a household's shown area
    enumerator TEXT NOT NULL DEFAULT '', -- who saved first
    finished INTEGER NOT NULL DEFAULT 0,
    answers INTEGER NOT NULL DEFAULT 0,
    conflicts INTEGER NOT NULL DEFAULT 0,
    attention INTEGER NOT NULL DEFAULT 0, -- rows or a record kept against a concurrent removal
    void INTEGER NOT NULL DEFAULT 0,
    changes INTEGER NOT NULL DEFAULT 0,
    changed_ms INTEGER NOT NULL DEFAULT 0 -- receipt of the last change
) STRICT;
CREATE INDEX record_household ON record (household);
CREATE INDEX record_area ON record (area) WHERE area IS NOT NULL;
CREATE INDEX record_conflicts ON record (conflicts) WHERE conflicts > 0;

-- A rowid table: bodies of about 1 KB would spill out of a WITHOUT ROWID one (2.3 times the space).
CREATE TABLE change (
    id INTEGER PRIMARY KEY,
    replica INTEGER NOT NULL REFERENCES replica (id),
    seq INTEGER NOT NULL CHECK (seq > 0),
    record INTEGER REFERENCES record (id) DEFERRABLE INITIALLY DEFERRED, -- none: not applied
    state INTEGER NOT NULL, -- 0 applied, 1 quarantined, 2 in escrow, 3 re-authored twice: not applied
    received_ms INTEGER NOT NULL,
    skew_ms INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    bytes BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX change_dot ON change (replica, seq);
CREATE INDEX change_record ON change (record) WHERE record IS NOT NULL;

CREATE TABLE quarantine (
    change INTEGER PRIMARY KEY REFERENCES change (id),
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    released_by TEXT,
    released_ms INTEGER
) STRICT;

CREATE TABLE parked (
    replica INTEGER NOT NULL REFERENCES replica (id),
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    body BLOB NOT NULL, -- the batch as a message of its own
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (replica, first, last)
) STRICT;

CREATE TABLE branch (
    replica INTEGER NOT NULL REFERENCES replica (id),
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    received_ms INTEGER NOT NULL,
    skew_ms INTEGER NOT NULL,
    reauthored INTEGER REFERENCES change (id), -- the change that replaces it
    bytes BLOB NOT NULL,
    PRIMARY KEY (replica, seq, hash)
) STRICT;
CREATE INDEX branch_hash ON branch (hash);

CREATE TABLE placement ( -- (derived) the areas in which a household lives, by its live siblings
    record INTEGER NOT NULL REFERENCES record (id),
    area INTEGER NOT NULL REFERENCES area (id),
    PRIMARY KEY (record, area)
) STRICT, WITHOUT ROWID;

CREATE TABLE bucket ( -- what a device pulls, in order; a row is a run of changes that were stored together
    area INTEGER NOT NULL REFERENCES area (id),
    seq INTEGER NOT NULL, -- of the run's last change
    first INTEGER NOT NULL REFERENCES change (id),
    count INTEGER NOT NULL CHECK (count > 0),
    PRIMARY KEY (area, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE conflict ( -- (derived)
    record INTEGER NOT NULL REFERENCES record (id),
    path TEXT NOT NULL,
    PRIMARY KEY (record, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE flag ( -- what was unusual when a change arrived
    change INTEGER NOT NULL REFERENCES change (id),
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (change, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE account (name TEXT PRIMARY KEY NOT NULL, password TEXT NOT NULL, created_ms INTEGER NOT NULL) STRICT;

CREATE TABLE session (
    token BLOB PRIMARY KEY NOT NULL, -- SHA-256 of the token
    account TEXT NOT NULL REFERENCES account (name),
    expires_ms INTEGER NOT NULL
) STRICT;
