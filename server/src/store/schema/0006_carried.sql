-- 2026-11: changes that somebody else than their author brought back, and the signature by which a new epoch's key is vouched for.

ALTER TABLE replica ADD COLUMN apart INTEGER NOT NULL DEFAULT 0; -- the last seq that is held beyond `head`, behind a gap
ALTER TABLE replica ADD COLUMN vouched BLOB; -- by the key of `adopted_from`; the server's own replicas only
