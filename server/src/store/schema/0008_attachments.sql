-- 2026-11: photos, recordings, files. Their bytes lie apart, named by their SHA-256.

CREATE TABLE attachment ( -- whose bytes are here, whole and with the right hash
    hash BLOB PRIMARY KEY NOT NULL CHECK (length(hash) = 32),
    size INTEGER NOT NULL,
    stored_ms INTEGER NOT NULL -- when a device last proved to have them
) STRICT, WITHOUT ROWID;

CREATE TABLE attachment_holder ( -- devices that sent the bytes, or had a right to them when they offered to
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    device INTEGER NOT NULL REFERENCES device (id),
    since_ms INTEGER NOT NULL,
    PRIMARY KEY (hash, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE attachment_name ( -- (derived) the applied changes of which record name it, and whose device authored them; 0: the server
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    record INTEGER NOT NULL REFERENCES record (id) DEFERRABLE INITIALLY DEFERRED,
    device INTEGER NOT NULL,
    PRIMARY KEY (hash, record, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE attachment_refusal ( -- offered, and not taken: too large, or of a type that is not taken
    hash BLOB PRIMARY KEY NOT NULL CHECK (length(hash) = 32),
    code TEXT NOT NULL,
    told_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE attachment_sweep ( -- no longer listed, and about to be deleted: nobody may store it anew before it is
    hash BLOB PRIMARY KEY NOT NULL CHECK (length(hash) = 32)
) STRICT, WITHOUT ROWID;
