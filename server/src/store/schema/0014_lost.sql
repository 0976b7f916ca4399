-- 2026-11: a device that has lost the bytes which its changes name says so.

CREATE TABLE attachment_loss (
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    device INTEGER NOT NULL,
    told_ms INTEGER NOT NULL,
    PRIMARY KEY (hash, device)
) STRICT, WITHOUT ROWID;

CREATE INDEX batch_carried ON batch (replica, last) WHERE carrier IS NOT NULL;

-- What was kept as proof of a chain, and ends in another life's changes: no backup could be verified with it.
DELETE FROM batch WHERE EXISTS (
    SELECT 1 FROM change WHERE change.replica = batch.replica AND change.seq = batch.last AND change.hash <> batch.after);
