-- 2026-11: which change says again what a hash names, whether or not the server ever held what it replaces: a copied phone
-- may learn of its fork before it has sent everything.
CREATE TABLE said_again (
    hash BLOB PRIMARY KEY NOT NULL CHECK (length(hash) = 32),
    change INTEGER NOT NULL REFERENCES change (id)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO said_again SELECT hash, reauthored FROM branch WHERE reauthored IS NOT NULL;
