-- 2026-11: the review of interviews. It follows from no change: a rebuild leaves it, backups hold it.

CREATE TABLE review_event ( -- every transition, in order; never changed
    id INTEGER PRIMARY KEY,
    record INTEGER NOT NULL REFERENCES record (id) DEFERRABLE INITIALLY DEFERRED,
    at_ms INTEGER NOT NULL,
    who TEXT NOT NULL, -- the coordinator; empty: the server noticed it
    transition TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    view BLOB NOT NULL CHECK (length(view) = 32), -- the hash of the answers then
    seen TEXT NOT NULL, -- the changes that they were merged from, by number: `3-7 12`
    remarks TEXT NOT NULL -- what was returned with it: the changes of the remarks, `REPLICA:SEQ REPLICA:SEQ`
) STRICT;
CREATE INDEX review_event_record ON review_event (record);

CREATE TABLE review ( -- where the review of an interview stands that somebody decided about
    record INTEGER PRIMARY KEY REFERENCES record (id) DEFERRABLE INITIALLY DEFERRED,
    state TEXT NOT NULL CHECK (state IN ('in-review', 'returned', 'corrected', 'approved')),
    event INTEGER NOT NULL REFERENCES review_event (id), -- the decision that differences are shown against
    remarks TEXT NOT NULL, -- those of a return, until another decision
    differs INTEGER NOT NULL -- the answers are others than at that decision
) STRICT;
CREATE INDEX review_state ON review (state);
