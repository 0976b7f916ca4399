-- 2026-11: a device that has lost the bytes which its changes name says so.

CREATE TABLE attachment_loss (
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    device INTEGER NOT NULL,
    told_ms INTEGER NOT NULL,
    PRIMARY KEY (hash, device)
) STRICT, WITHOUT ROWID;
