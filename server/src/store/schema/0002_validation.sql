-- 2026-11: what a record's questionnaire says of it is worked out after the ack, by a queue that is part of the record.
-- Interviews that are there already wait in it; a household has no questionnaire and never waits.

ALTER TABLE record ADD COLUMN violations INTEGER NOT NULL DEFAULT 0; -- (derived) broken rules
ALTER TABLE record ADD COLUMN validated INTEGER NOT NULL DEFAULT 0; -- (derived) 0: it changed since `violations` was counted

CREATE INDEX record_unvalidated ON record (id) WHERE validated = 0 AND round IS NOT NULL;
CREATE INDEX record_violations ON record (violations) WHERE violations > 0;
