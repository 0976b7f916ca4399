-- 2026-11: who heard of a household in an area by what is in escrow now is told that it lives elsewhere; and of a branch, what its
-- changes say again themselves.

CREATE TABLE escrow_area ( -- a change in escrow places a household, which has no place yet, in an area
    household BLOB NOT NULL CHECK (length(household) = 16),
    area INTEGER NOT NULL REFERENCES area (id),
    PRIMARY KEY (household, area)
) STRICT, WITHOUT ROWID;

ALTER TABLE branch ADD COLUMN instead BLOB CHECK (length(instead) = 32);
CREATE INDEX branch_instead ON branch (instead) WHERE instead IS NOT NULL;
