-- 2026-11: returned interviews by area, so that a device is told its own without a look at the country's.

CREATE TABLE returned ( -- (derived) follows from `review` and `placement`
    area INTEGER NOT NULL REFERENCES area (id),
    record INTEGER NOT NULL REFERENCES record (id) DEFERRABLE INITIALLY DEFERRED,
    household INTEGER NOT NULL,
    PRIMARY KEY (area, record)
) STRICT, WITHOUT ROWID;
CREATE INDEX returned_household ON returned (household);
INSERT INTO returned SELECT placement.area, record.id, record.household FROM review
    JOIN record ON record.id = review.record JOIN placement ON placement.record = record.household WHERE review.state = 'returned';

CREATE INDEX said_again_change ON said_again (change);
