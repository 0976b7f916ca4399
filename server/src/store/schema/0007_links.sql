-- 2026-11: households that were registered twice.
CREATE TABLE link ( -- (derived) live links of a household's record
    record INTEGER NOT NULL REFERENCES record (id),
    other BLOB NOT NULL CHECK (length(other) = 16), -- the household that it is
    PRIMARY KEY (record, other)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_other ON link (other);
