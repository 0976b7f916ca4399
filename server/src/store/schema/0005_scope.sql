-- 2026-11: who works where: households that come first, teams with their leaders; and who left a bucket.

CREATE TABLE household_assignment (
    enumerator TEXT NOT NULL REFERENCES enumerator (code),
    household BLOB NOT NULL CHECK (length(household) = 16),
    round TEXT NOT NULL,
    PRIMARY KEY (enumerator, household, round)
) STRICT, WITHOUT ROWID;

CREATE TABLE lead ( -- a team leader sees the area and every area inside it
    enumerator TEXT NOT NULL REFERENCES enumerator (code),
    area INTEGER NOT NULL REFERENCES area (id),
    PRIMARY KEY (enumerator, area)
) STRICT, WITHOUT ROWID;
CREATE INDEX area_parent ON area (parent);

CREATE TABLE departure ( -- a household left a bucket: a place in the bucket's order, as a change has one
    area INTEGER NOT NULL REFERENCES area (id),
    seq INTEGER NOT NULL,
    household INTEGER NOT NULL REFERENCES record (id),
    PRIMARY KEY (area, seq)
) STRICT, WITHOUT ROWID;
