//! The device's schema, by numbered steps; steps are only ever added.

use crate::error::Error;
use rusqlite::{Connection, TransactionBehavior};

/// The least SQLite: before it, a race in resetting the WAL could lose commits.
const LEAST_SQLITE: i32 = 3_051_003;

/// Step `n` (from 0) brings the schema from version `n` to `n + 1`.
const STEPS: &[&str] = &[
    // 2026-11: the first one.
    "CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT;
     CREATE TABLE change (
        id INTEGER PRIMARY KEY,
        replica BLOB NOT NULL CHECK (length(replica) = 16),
        seq INTEGER NOT NULL CHECK (seq > 0),
        record BLOB NOT NULL CHECK (length(record) = 16),
        hash BLOB CHECK (hash IS NULL OR length(hash) = 32), -- own changes only
        received_ms INTEGER,
        skew_ms INTEGER,
        verdict TEXT, -- what the server said, if it did not plainly accept it
        bytes BLOB NOT NULL,
        UNIQUE (replica, seq)
     ) STRICT;
     CREATE INDEX change_record ON change (record);
     -- What the receipts count, without a look at any body.
     CREATE INDEX change_own ON change (record, replica, seq) WHERE hash IS NOT NULL;
     CREATE INDEX change_verdict ON change (verdict) WHERE verdict IS NOT NULL;
     CREATE TABLE record ( -- derived from change
        id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
        household BLOB NOT NULL,
        round TEXT,
        purpose TEXT,
        form TEXT NOT NULL,
        area TEXT,
        title TEXT NOT NULL,
        finished INTEGER NOT NULL,
        conflicts INTEGER NOT NULL,
        answers INTEGER NOT NULL
     ) STRICT;
     CREATE INDEX record_list ON record (area, title);
     CREATE INDEX record_conflicts ON record (conflicts) WHERE conflicts > 0;
     CREATE TABLE cursor (bucket TEXT PRIMARY KEY NOT NULL, seq INTEGER NOT NULL) STRICT;
     CREATE TABLE questionnaire (reference TEXT PRIMARY KEY NOT NULL, json TEXT NOT NULL) STRICT;",
    // 2026-11: where each interview stands, and the time spent in it.
    "CREATE TABLE session (
        record BLOB PRIMARY KEY NOT NULL CHECK (length(record) = 16),
        position TEXT NOT NULL,
        language TEXT NOT NULL
     ) STRICT;
     CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        record BLOB NOT NULL CHECK (length(record) = 16),
        kind TEXT NOT NULL,
        node TEXT NOT NULL,
        start_ms INTEGER NOT NULL,
        end_ms INTEGER,
        before TEXT,
        after TEXT
     ) STRICT;
     CREATE INDEX event_record ON event (record);",
    // 2026-11: stamps as the server signed them, to be given back to one that was restored.
    "CREATE TABLE stamp (
        replica BLOB NOT NULL CHECK (length(replica) = 16),
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        received_ms INTEGER NOT NULL,
        skew_ms INTEGER NOT NULL,
        signature BLOB NOT NULL CHECK (length(signature) = 64),
        PRIMARY KEY (replica, first)
     ) STRICT, WITHOUT ROWID;",
    // 2026-11: what an interview began with is no answer that anybody gave.
    "ALTER TABLE session ADD COLUMN begun INTEGER;",
    // 2026-11: households that left for where the device sees nothing; they go once nothing of them is unsent. The bytes of
    // own changes of what was dropped are empty once they are safe on the server.
    "CREATE TABLE moved (household BLOB PRIMARY KEY NOT NULL CHECK (length(household) = 16)) STRICT;",
    // 2026-11: what this device can give back to a server that was restored: others' changes with what proves them, and its own
    // under the names that it had.
    "CREATE TABLE life (
        id INTEGER PRIMARY KEY,
        replica BLOB NOT NULL UNIQUE CHECK (length(replica) = 16),
        secret TEXT NOT NULL,
        adoption TEXT NOT NULL -- of the next one
     ) STRICT;
     CREATE TABLE proof (
        id INTEGER PRIMARY KEY,
        replica BLOB NOT NULL CHECK (length(replica) = 16),
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        before BLOB NOT NULL,
        after BLOB NOT NULL,
        signature BLOB NOT NULL,
        UNIQUE (replica, first, last)
     ) STRICT;
     CREATE TABLE withheld ( -- digests of changes that belong to a proof and are not here
        replica BLOB NOT NULL,
        seq INTEGER NOT NULL,
        digest BLOB NOT NULL CHECK (length(digest) = 32),
        PRIMARY KEY (replica, seq)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE wanted ( -- what a restored server lacks
        replica BLOB NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        PRIMARY KEY (replica, first)
     ) STRICT, WITHOUT ROWID;",
    // 2026-11: records as a server told that they stand, in place of all that had happened to them.
    "CREATE TABLE snapshot (
        record BLOB PRIMARY KEY NOT NULL CHECK (length(record) = 16),
        body TEXT NOT NULL
     ) STRICT;
     ALTER TABLE cursor ADD COLUMN after INTEGER; -- so far its snapshots were told; none: all of them, or it has none",
    // 2026-11: what a dot meant before server and author were both restored and it was given again.
    "CREATE TABLE displaced (
        id INTEGER PRIMARY KEY,
        replica BLOB NOT NULL CHECK (length(replica) = 16),
        seq INTEGER NOT NULL CHECK (seq > 0),
        bytes BLOB NOT NULL
     ) STRICT;",
    // 2026-11: what an interview began with is named in full: the device may go on under another name.
    "ALTER TABLE session ADD COLUMN begun_by BLOB;
     UPDATE session SET begun_by = (SELECT replica FROM change WHERE change.record = session.record AND change.seq = begun
        AND change.hash IS NOT NULL) WHERE begun IS NOT NULL;",
    // 2026-11: photos and files; their bytes lie beside the database.
    "CREATE TABLE attachment (
        hash BLOB PRIMARY KEY NOT NULL CHECK (length(hash) = 32),
        size INTEGER NOT NULL,
        type TEXT NOT NULL,
        name TEXT,
        own INTEGER NOT NULL, -- 0: others named it; 1: it was taken in here; 2: a change of this device names it
        sent_ms INTEGER,
        upload TEXT, -- the address of an upload under way
        refused TEXT, -- why the server does not take it
        thumbnail INTEGER NOT NULL DEFAULT 0 -- 1: here, 2: there is none
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE attachment_use (
        hash BLOB NOT NULL REFERENCES attachment (hash),
        record BLOB NOT NULL CHECK (length(record) = 16),
        PRIMARY KEY (record, hash)
     ) STRICT, WITHOUT ROWID;",
    // 2026-11: hubs: those that this device syncs with; and what it needs to be one itself.
    "CREATE TABLE peer ( -- a hub that this device has met
        hub BLOB PRIMARY KEY NOT NULL CHECK (length(hub) = 16),
        name TEXT NOT NULL,
        replica BLOB NOT NULL CHECK (length(replica) = 16), -- the name that this device had there
        acked INTEGER NOT NULL, -- so far the hub holds that name's changes
        epoch TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE peer_cursor (
        hub BLOB NOT NULL REFERENCES peer (hub),
        bucket TEXT NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (hub, bucket)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE voucher ( -- the server's word for authors' keys
        replica BLOB PRIMARY KEY NOT NULL CHECK (length(replica) = 16),
        body TEXT NOT NULL
     ) STRICT;
     CREATE TABLE guest ( -- devices whose pass a hub has seen
        replica BLOB PRIMARY KEY NOT NULL CHECK (length(replica) = 16),
        pass TEXT NOT NULL,
        adoption TEXT, -- the pass is for the replica before; this leads on
        seen_ms INTEGER -- none: another hub carries for it
     ) STRICT;
     CREATE TABLE carried ( -- batches as their authors signed them; truth until the server has them
        id INTEGER PRIMARY KEY,
        replica BLOB NOT NULL CHECK (length(replica) = 16),
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        before BLOB NOT NULL CHECK (length(before) = 32),
        after BLOB NOT NULL CHECK (length(after) = 32),
        size INTEGER NOT NULL,
        body BLOB NOT NULL, -- a message of its own; empty once it was given and had to make room
        given INTEGER NOT NULL DEFAULT 0, -- the server has answered to it
        UNIQUE (replica, first, last, before, after)
     ) STRICT;
     CREATE INDEX carried_to_give ON carried (id) WHERE given = 0;
     CREATE TABLE handed ( -- hubs that have a batch
        batch INTEGER NOT NULL REFERENCES carried (id),
        hub BLOB NOT NULL CHECK (length(hub) = 16),
        PRIMARY KEY (batch, hub)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE receipt ( -- how far the server holds what was carried
        replica BLOB PRIMARY KEY NOT NULL CHECK (length(replica) = 16),
        seq INTEGER NOT NULL,
        body TEXT NOT NULL
     ) STRICT;
     CREATE TABLE feed ( -- what a hub tells its guests, area by area
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        mark INTEGER NOT NULL, -- drawn by chance: a hub that was restored gives a seq again, but not its mark
        area TEXT NOT NULL,
        replica BLOB NOT NULL CHECK (length(replica) = 16),
        change INTEGER NOT NULL, -- the seq there
        UNIQUE (area, replica, change)
     ) STRICT;
     CREATE INDEX feed_area ON feed (area, seq);
     ALTER TABLE proof ADD COLUMN whole INTEGER NOT NULL DEFAULT 0; -- everything that it proves is here",
    // 2026-11: what was asked for in vain, or failed, waits until the others have had their turn.
    "ALTER TABLE attachment ADD COLUMN asked_ms INTEGER;",
    // 2026-11: what an interview has seen of its household is in the interview itself.
    "ALTER TABLE session DROP COLUMN begun;
     ALTER TABLE session DROP COLUMN begun_by;",
    // 2026-11: a household's name and area stand on its interviews' lines: each was looked for among all records.
    "CREATE INDEX record_household ON record (household);",
    // 2026-11: how far a hub holds a history is found from its end.
    "CREATE INDEX carried_end ON carried (replica, last);",
    // 2026-11: what the server refuses of what is carried is not lost.
    "ALTER TABLE carried ADD COLUMN refused_ms INTEGER; -- when, by the server's clock; 0: once, and not yet with who its author is",
    // 2026-11: how far the server holds what stands under an earlier name, and its backups.
    "ALTER TABLE life ADD COLUMN acked INTEGER NOT NULL DEFAULT 0;
     ALTER TABLE life ADD COLUMN safe INTEGER NOT NULL DEFAULT 0;
     UPDATE life SET acked = (SELECT coalesce(max(seq), 0) FROM change
        WHERE change.replica = life.replica AND hash IS NOT NULL);
     -- What was said of others' changes was not taken back when they counted again: it is asked for anew.
     UPDATE change SET verdict = NULL WHERE hash IS NULL AND (verdict LIKE 'quarantined%' OR verdict LIKE 'escrow%');
     INSERT OR REPLACE INTO meta (key, value) VALUES ('tells_held', '1');",
    // 2026-11: what a card has changed is lost, and the server hears of it.
    "UPDATE attachment SET refused = NULL WHERE refused = 'damaged';",
    // 2026-11: what a hub had no room for is offered to it again when it is met again.
    "DELETE FROM handed;
     ALTER TABLE handed ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
     -- What the leader wrote is proved anew, without gaps; households that left are told no more.
     DELETE FROM proof WHERE replica NOT IN (SELECT replica FROM life)
        AND EXISTS (SELECT 1 FROM change WHERE change.replica = proof.replica AND change.hash IS NOT NULL);
     CREATE INDEX feed_change ON feed (replica, change);
     DELETE FROM feed WHERE NOT EXISTS (SELECT 1 FROM change JOIN record ON record.id = change.record
        WHERE change.replica = feed.replica AND change.seq = feed.change);",
];

/// Brings a database to this program's schema, each step in a transaction of its own.
pub(super) fn run(conn: &mut Connection) -> Result<(), Error> {
    if rusqlite::version_number() < LEAST_SQLITE {
        return Err(Error::Corrupt(format!("SQLite {} is too old to be safe", rusqlite::version())));
    }
    let known = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    let found: u32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(Error::NewerSchema { found, known });
    }
    for (version, step) in (1_u32..).zip(STEPS).skip(usize::try_from(found).unwrap_or(0)) {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(step)?;
        tx.pragma_update(None, "user_version", version)?;
        tx.commit()?;
    }
    Ok(())
}
