//! The SQL of a device: the only place that knows any.
//!
//! The changes are the truth; `record` is derived from them and only there so that lists open quickly.
//! Every write runs in one IMMEDIATE transaction that the caller opens with [`Store::write`].

mod attachments;
mod carried;
mod displaced;
mod feed;
mod hub;
mod migrations;
mod peers;
mod scope;
mod session;
mod snapshots;

pub(crate) use attachments::{AttachmentRow, LOST, Whose};
pub(crate) use carried::LifeRow;
pub(crate) use feed::FeedRow;
pub(crate) use hub::{CarriedRow, GuestRow};
pub(crate) use peers::PeerRow;

use crate::error::Error;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use std::{collections::BTreeMap, path::Path};
use sync_protocol::{
    Dot, Hash, RecordId, ReplicaId, Stamp,
    chain::Signature,
    wire::{Cursor, Stamped},
};
use uuid::Uuid;

/// The verdict of a change that another life of this device authored again: it is left out of every view that has the
/// other.
pub(crate) const SUPERSEDED: &str = "superseded";

/// The most pages that SQLite puts into one database.
const MOST_PAGES: i64 = 0xFFFF_FFFE;

/// A stored change.
#[derive(Debug)]
pub(crate) struct StoredChange {
    pub(crate) dot: Dot,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_superseded: bool,
}

/// One line of the list of records; derived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordRow {
    pub(crate) id: RecordId,
    pub(crate) household: Uuid,
    pub(crate) round: Option<String>,
    pub(crate) purpose: Option<String>,
    pub(crate) form: String,
    pub(crate) area: Option<String>,
    pub(crate) title: String,
    pub(crate) finished: bool,
    pub(crate) conflicts: u32,
    pub(crate) answers: u32,
}

/// How many interviews are how safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipts {
    pub(crate) interviews: u64,
    pub(crate) on_hub: u64,
    pub(crate) on_server: u64,
    pub(crate) backed_up: u64,
}

/// The database of one device.
#[derive(Debug)]
pub(crate) struct Store {
    conn: Connection,
}

impl Store {
    /// Opens or creates the database; one that does not open is set aside, never deleted.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        match Self::try_open(path) {
            Ok(store) => Ok(store),
            Err(Error::Database(error)) if is_not_a_database(&error) => Err(set_aside(path, &error)),
            Err(other) => Err(other),
        }
    }

    fn try_open(path: &Path) -> Result<Self, Error> {
        let mut conn = Connection::open(path)?;
        conn.busy_timeout(std::time::Duration::from_secs(10))?;
        conn.pragma_update(None, "journal_mode", "WAL")?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.pragma_update(None, "foreign_keys", true)?;
        conn.set_prepared_statement_cache_capacity(64);
        migrations::run(&mut conn)?;
        Ok(Self { conn })
    }

    /// Bounds the size of the database from now on.
    pub(crate) fn limit_bytes(&mut self, most: u64) -> Result<(), Error> {
        let page: u64 = self.conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        // Never less than what is there: SQLite sees to that. Nought would mean no bound.
        let pages = i64::try_from(most.div_ceil(page.max(1)).max(1)).unwrap_or(i64::MAX).min(MOST_PAGES);
        self.conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        Ok(())
    }

    /// Runs `work` in one durable transaction.
    pub(crate) fn write<T>(&mut self, work: impl FnOnce(&Tx<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let tx = Tx { tx: self.conn.transaction_with_behavior(TransactionBehavior::Immediate)? };
        let result = work(&tx)?;
        tx.tx.commit()?;
        Ok(result)
    }

    /// Runs `look` on one snapshot.
    pub(crate) fn read<T>(&mut self, look: impl FnOnce(&Tx<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let tx = Tx { tx: self.conn.transaction_with_behavior(TransactionBehavior::Deferred)? };
        look(&tx)
    }
}

/// One transaction.
#[derive(Debug)]
pub(crate) struct Tx<'a> {
    tx: Transaction<'a>,
}

impl Tx<'_> {
    pub(crate) fn meta(&self, key: &str) -> Result<Option<String>, Error> {
        let mut query = self.tx.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        Ok(query.query_row([key], |row| row.get(0)).optional()?)
    }

    pub(crate) fn set_meta(&self, key: &str, value: &str) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?;
        put.execute([key, value])?;
        Ok(())
    }

    pub(crate) fn delete_meta(&self, key: &str) -> Result<(), Error> {
        self.tx.prepare_cached("DELETE FROM meta WHERE key = ?1")?.execute([key])?;
        Ok(())
    }

    /// Stores a change, also one that had been freed, of which nothing holds any more that was said then; false if the device
    /// holds it already.
    pub(crate) fn insert_change(
        &self,
        dot: Dot,
        record: RecordId,
        hash: Option<Hash>,
        stamp: Option<Stamp>,
        bytes: &[u8],
    ) -> Result<bool, Error> {
        let mut put = self.tx.prepare_cached(
            "INSERT INTO change (replica, seq, record, hash, received_ms, skew_ms, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (replica, seq) DO UPDATE
             SET record = excluded.record, received_ms = excluded.received_ms, skew_ms = excluded.skew_ms,
             bytes = excluded.bytes, verdict = NULL WHERE length(change.bytes) = 0",
        )?;
        let rows = put.execute(params![
            dot.replica.0,
            dot.seq,
            record.0,
            hash.map(|hash| hash.0.to_vec()),
            stamp.map(|stamp| stamp.received_ms),
            stamp.map(|stamp| stamp.skew_ms),
            bytes
        ])?;
        Ok(rows == 1)
    }

    /// Takes over the server's stamp for changes that have none, and keeps it with its signature.
    pub(crate) fn stamp(&self, stamped: &Stamped) -> Result<(), Error> {
        self.stamp_through(stamped, stamped.last)
    }

    /// The same, for no more than the changes up to a seq: of the others it is not known whether they are what was stamped.
    pub(crate) fn stamp_through(&self, stamped: &Stamped, through: u64) -> Result<(), Error> {
        let Stamped { replica, first, last, stamp, signature } = stamped;
        let mut put = self.tx.prepare_cached(
            "UPDATE change SET received_ms = ?4, skew_ms = ?5
             WHERE replica = ?1 AND seq BETWEEN ?2 AND ?3 AND received_ms IS NULL",
        )?;
        put.execute(params![replica.0, first, last.min(&through), stamp.received_ms, stamp.skew_ms])?;
        let mut keep = self.tx.prepare_cached(
            "INSERT INTO stamp (replica, first, last, received_ms, skew_ms, signature) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO NOTHING",
        )?;
        keep.execute(params![replica.0, first, last, stamp.received_ms, stamp.skew_ms, signature.0.as_slice()])?;
        Ok(())
    }

    /// The stamps of a span of changes, with their signatures.
    pub(crate) fn stamps(&self, replica: ReplicaId, first: u64, last: u64) -> Result<Vec<Stamped>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT first, last, received_ms, skew_ms, signature FROM stamp
             WHERE replica = ?1 AND first <= ?3 AND last >= ?2 ORDER BY first",
        )?;
        let rows = query.query_map(params![replica.0, first, last], |row| {
            Ok(Stamped {
                replica,
                first: row.get(0)?,
                last: row.get(1)?,
                stamp: Stamp { received_ms: row.get(2)?, skew_ms: row.get(3)? },
                signature: Signature(row.get(4)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Notes what the server said of a change that it did not plainly accept.
    pub(crate) fn set_verdict(&self, dot: Dot, verdict: Option<&str>) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached("UPDATE change SET verdict = ?3 WHERE replica = ?1 AND seq = ?2")?;
        put.execute(params![dot.replica.0, dot.seq, verdict])?;
        Ok(())
    }

    /// Own changes that wait for a coordinator's decision, the first of them, by the name that they stand under, today's first. What is in
    /// escrow may be applied already where the server was restored and a copy of this phone sent it again.
    pub(crate) fn waits(&self, today: ReplicaId) -> Result<BTreeMap<ReplicaId, Vec<u64>>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT replica, seq FROM change
             WHERE verdict IS NOT NULL AND (verdict LIKE 'quarantined%' OR verdict LIKE 'escrow%') AND hash IS NOT NULL
             ORDER BY replica <> ?1, replica, seq LIMIT 1000",
        )?;
        let mut waits: BTreeMap<ReplicaId, Vec<u64>> = BTreeMap::new();
        for row in query.query_map([today.0], |row| Ok((ReplicaId(row.get(0)?), row.get(1)?)))? {
            let (replica, seq) = row?;
            waits.entry(replica).or_default().push(seq);
        }
        Ok(waits)
    }

    /// Forgets what was said of own changes that are acked anew: it is told again where it still holds.
    pub(crate) fn clear_verdicts(&self, replica: ReplicaId, after: u64, through: u64) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached(
            "UPDATE change SET verdict = NULL WHERE verdict IS NOT NULL AND replica = ?1 AND seq > ?2 AND seq <= ?3",
        )?;
        put.execute(params![replica.0, after, through])?;
        Ok(())
    }

    /// A change that is here and came counts, whatever was said of it, from when the server says; false where that is known.
    pub(crate) fn let_count(&self, dot: Dot, stamp: Stamp) -> Result<bool, Error> {
        let mut put = self.tx.prepare_cached(
            "UPDATE change SET verdict = iif(verdict LIKE 'quarantined%' OR verdict LIKE 'escrow%', NULL, verdict),
                received_ms = iif(hash IS NULL, ?3, received_ms), skew_ms = iif(hash IS NULL, ?4, skew_ms)
             WHERE replica = ?1 AND seq = ?2 AND (verdict LIKE 'quarantined%' OR verdict LIKE 'escrow%'
                OR (hash IS NULL AND (received_ms, skew_ms) IS NOT (?3, ?4)))",
        )?;
        Ok(put.execute(params![dot.replica.0, dot.seq, stamp.received_ms, stamp.skew_ms])? > 0)
    }

    /// The last own seq and its hash.
    pub(crate) fn head(&self, replica: ReplicaId) -> Result<(u64, Hash), Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT seq, hash FROM change WHERE replica = ?1 AND hash IS NOT NULL ORDER BY seq DESC LIMIT 1",
        )?;
        let head = query.query_row([replica.0], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, Vec<u8>>(1)?)));
        match head.optional()? {
            Some((seq, hash)) => Ok((seq, to_hash(&hash)?)),
            None => Ok((0, Hash::default())),
        }
    }

    pub(crate) fn hash_at(&self, replica: ReplicaId, seq: u64) -> Result<Option<Hash>, Error> {
        if seq == 0 {
            return Ok(Some(Hash::default()));
        }
        let mut query = self.tx.prepare_cached("SELECT hash FROM change WHERE replica = ?1 AND seq = ?2")?;
        let hash = query.query_row(params![replica.0, seq], |row| row.get::<_, Option<Vec<u8>>>(0));
        hash.optional()?.flatten().map(|hash| to_hash(&hash)).transpose()
    }

    /// Own changes after a seq: as many as fit into the budget, at least one.
    pub(crate) fn own_changes(
        &self,
        replica: ReplicaId,
        after: u64,
        budget: usize,
    ) -> Result<Vec<(u64, Hash, Vec<u8>)>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT seq, hash, bytes FROM change WHERE replica = ?1 AND seq > ?2 AND hash IS NOT NULL ORDER BY seq",
        )?;
        let mut rows = query.query(params![replica.0, after])?;
        let (mut changes, mut size) = (Vec::new(), 0_usize);
        while let Some(row) = rows.next()? {
            let bytes: Vec<u8> = row.get(2)?;
            size = size.saturating_add(bytes.len());
            if size > budget && !changes.is_empty() {
                break;
            }
            changes.push((row.get(0)?, to_hash(&row.get::<_, Vec<u8>>(1)?)?, bytes));
        }
        Ok(changes)
    }

    /// The line of the record that a change is part of.
    pub(crate) fn record_of(&self, dot: Dot) -> Result<Option<RecordRow>, Error> {
        let mut query = self.tx.prepare_cached("SELECT record FROM change WHERE replica = ?1 AND seq = ?2")?;
        let id: Option<Uuid> = query.query_row(params![dot.replica.0, dot.seq], |row| row.get(0)).optional()?;
        id.map_or(Ok(None), |id| self.record(RecordId(id)))
    }

    /// Every change of a record that counts here, in the order of arrival: what is own always does, what others did not where
    /// the server keeps it apart by now.
    pub(crate) fn changes_of(&self, record: RecordId) -> Result<Vec<StoredChange>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT replica, seq, received_ms, skew_ms, bytes, verdict IS 'superseded' FROM change
             WHERE record = ?1 AND (hash IS NOT NULL OR verdict IS NULL OR verdict IS 'superseded') ORDER BY id",
        )?;
        let rows = query.query_map([record.0], stored_change)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Of these, those that count on the server, as far as is known here.
    pub(crate) fn changes_there(&self, record: RecordId) -> Result<Vec<StoredChange>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT replica, seq, received_ms, skew_ms, bytes, 0 FROM change
             WHERE record = ?1 AND received_ms IS NOT NULL AND verdict IS NULL ORDER BY id",
        )?;
        let rows = query.query_map([record.0], stored_change)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Gives a forked change its place under the new replica.
    pub(crate) fn replace_change(&self, old: Dot, new: Dot, hash: Hash, bytes: &[u8]) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached(
            "UPDATE change SET replica = ?3, seq = ?4, hash = ?5, bytes = ?6, verdict = NULL,
             received_ms = NULL, skew_ms = NULL WHERE replica = ?1 AND seq = ?2",
        )?;
        put.execute(params![old.replica.0, old.seq, new.replica.0, new.seq, hash.0.to_vec(), bytes])?;
        Ok(())
    }

    /// How many changes were authored on this device.
    pub(crate) fn saved(&self) -> Result<u64, Error> {
        let count: u64 =
            self.tx.query_row("SELECT count(*) FROM change WHERE hash IS NOT NULL", [], |row| row.get(0))?;
        Ok(count)
    }

    /// How many own changes wait for a coordinator: in quarantine, or, of a device that was revoked, in escrow.
    pub(crate) fn quarantined(&self) -> Result<u64, Error> {
        let query = "SELECT count(*) FROM change
             WHERE (verdict LIKE 'quarantined%' OR verdict LIKE 'escrow%') AND hash IS NOT NULL";
        Ok(self.tx.query_row(query, [], |row| row.get(0))?)
    }

    pub(crate) fn put_record(&self, row: &RecordRow) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached(
            "INSERT OR REPLACE INTO record
             (id, household, round, purpose, form, area, title, finished, conflicts, answers)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        put.execute(params![
            row.id.0,
            row.household,
            row.round,
            row.purpose,
            row.form,
            row.area,
            row.title,
            row.finished,
            row.conflicts,
            row.answers
        ])?;
        Ok(())
    }

    /// Removes the line of a record that has no change left.
    pub(crate) fn delete_record(&self, id: RecordId) -> Result<(), Error> {
        self.tx.prepare_cached("DELETE FROM record WHERE id = ?1")?.execute([id.0])?;
        Ok(())
    }

    pub(crate) fn record(&self, id: RecordId) -> Result<Option<RecordRow>, Error> {
        let mut query = self.tx.prepare_cached(&format!("{RECORD} WHERE id = ?1"))?;
        Ok(query.query_row([id.0], record_row).optional()?)
    }

    /// Records of one kind (households, or interviews), in the order of area and title.
    pub(crate) fn records(&self, interviews: bool) -> Result<Vec<RecordRow>, Error> {
        let mut query =
            self.tx.prepare_cached(&format!("{RECORD} WHERE (round IS NOT NULL) = ?1 ORDER BY area, title, id"))?;
        let rows = query.query_map([interviews], record_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Bytes of own changes after a seq, before compression.
    pub(crate) fn unsent_bytes(&self, replica: ReplicaId, acked: u64) -> Result<u64, Error> {
        let mut query = self
            .tx
            .prepare_cached("SELECT coalesce(sum(length(bytes)), 0) FROM change WHERE replica = ?1 AND seq > ?2")?;
        Ok(query.query_row(params![replica.0, acked], |row| row.get(0))?)
    }

    /// How many records have own changes after a seq.
    pub(crate) fn unsent_records(&self, replica: ReplicaId, acked: u64) -> Result<u64, Error> {
        let mut query =
            self.tx.prepare_cached("SELECT count(DISTINCT record) FROM change WHERE replica = ?1 AND seq > ?2")?;
        Ok(query.query_row(params![replica.0, acked], |row| row.get(0))?)
    }

    /// Records with own changes after a seq, in the order of area and title.
    pub(crate) fn unsent(&self, replica: ReplicaId, acked: u64) -> Result<Vec<RecordRow>, Error> {
        let mut query = self.tx.prepare_cached(&format!(
            "{RECORD} WHERE id IN (SELECT record FROM change WHERE replica = ?1 AND seq > ?2) ORDER BY area, title, id"
        ))?;
        let rows = query.query_map(params![replica.0, acked], record_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The records that were filled last with a questionnaire version.
    pub(crate) fn records_by(&self, form: &str) -> Result<Vec<RecordId>, Error> {
        let mut query = self.tx.prepare_cached("SELECT id FROM record WHERE form = ?1")?;
        let rows = query.query_map([form], |row| Ok(RecordId(row.get(0)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The interviews of a household.
    pub(crate) fn interviews_of(&self, household: Uuid) -> Result<Vec<RecordRow>, Error> {
        let mut query =
            self.tx.prepare_cached(&format!("{RECORD} WHERE household = ?1 AND round IS NOT NULL ORDER BY id"))?;
        let rows = query.query_map([household], record_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Records with at least one conflict.
    pub(crate) fn conflicted(&self) -> Result<Vec<RecordRow>, Error> {
        let mut query = self.tx.prepare_cached(&format!("{RECORD} WHERE conflicts > 0 ORDER BY area, title, id"))?;
        let rows = query.query_map([], record_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many interviews there are, and of how many every change is on a hub, acked, or safe in a backup, by the seqs up to
    /// which that is so of what the device wrote under its name of today; of what stands under earlier names, the server's word counts, and
    /// its ack of then where the name is not known any more.
    pub(crate) fn interview_receipts(&self, replica: ReplicaId, through: [u64; 3]) -> Result<Receipts, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT count(*), coalesce(sum(hub), 0), coalesce(sum(server), 0), coalesce(sum(safe), 0) FROM
             (SELECT min(seq <= iif(change.replica = ?1, ?2, coalesce(life.acked, seq))) AS hub,
                min(seq <= iif(change.replica = ?1, ?3, coalesce(life.acked, seq))) AS server,
                min(seq <= iif(change.replica = ?1, ?4, coalesce(life.safe, 0))) AS safe
              FROM change JOIN record ON record.id = change.record LEFT JOIN life ON life.replica = change.replica
              WHERE change.hash IS NOT NULL AND record.round IS NOT NULL GROUP BY change.record)",
        )?;
        let [hub, acked, safe] = through;
        let receipts = query.query_row(params![replica.0, hub, acked, safe], |row| {
            Ok(Receipts {
                interviews: row.get(0)?,
                on_hub: row.get(1)?,
                on_server: row.get(2)?,
                backed_up: row.get(3)?,
            })
        })?;
        Ok(receipts)
    }

    pub(crate) fn cursors(&self) -> Result<BTreeMap<String, u64>, Error> {
        let mut query = self.tx.prepare_cached("SELECT bucket, seq FROM cursor")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn set_cursor(&self, cursor: &Cursor) -> Result<(), Error> {
        let Cursor { bucket, seq, after } = cursor;
        let mut put =
            self.tx.prepare_cached("INSERT OR REPLACE INTO cursor (bucket, seq, after) VALUES (?1, ?2, ?3)")?;
        put.execute(params![bucket, seq, after])?;
        Ok(())
    }

    pub(crate) fn clear_cursors(&self) -> Result<(), Error> {
        self.tx.execute("DELETE FROM cursor", [])?;
        self.tx.execute("DELETE FROM peer_cursor", [])?;
        Ok(())
    }

    pub(crate) fn questionnaire(&self, reference: &str) -> Result<Option<String>, Error> {
        let mut query = self.tx.prepare_cached("SELECT json FROM questionnaire WHERE reference = ?1")?;
        Ok(query.query_row([reference], |row| row.get(0)).optional()?)
    }

    pub(crate) fn put_questionnaire(&self, reference: &str, json: &str) -> Result<(), Error> {
        let mut put =
            self.tx.prepare_cached("INSERT OR REPLACE INTO questionnaire (reference, json) VALUES (?1, ?2)")?;
        put.execute([reference, json])?;
        Ok(())
    }
}

const RECORD: &str =
    "SELECT id, household, round, purpose, form, area, title, finished, conflicts, answers FROM record";

fn record_row(row: &Row<'_>) -> rusqlite::Result<RecordRow> {
    Ok(RecordRow {
        id: RecordId(row.get(0)?),
        household: row.get(1)?,
        round: row.get(2)?,
        purpose: row.get(3)?,
        form: row.get(4)?,
        area: row.get(5)?,
        title: row.get(6)?,
        finished: row.get(7)?,
        conflicts: row.get(8)?,
        answers: row.get(9)?,
    })
}

fn stored_change(row: &Row<'_>) -> rusqlite::Result<StoredChange> {
    let received: Option<i64> = row.get(2)?;
    let skew: Option<i64> = row.get(3)?;
    Ok(StoredChange {
        dot: Dot { replica: ReplicaId(row.get(0)?), seq: row.get(1)? },
        stamp: received.zip(skew).map(|(received_ms, skew_ms)| Stamp { received_ms, skew_ms }),
        bytes: row.get(4)?,
        is_superseded: row.get(5)?,
    })
}

fn to_hash(bytes: &[u8]) -> Result<Hash, Error> {
    bytes.try_into().map(Hash).map_err(|_ignored| Error::Corrupt("a hash".into()))
}

fn is_not_a_database(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt))
}

/// Moves an unreadable database and its journal out of the way, under the first free name.
fn set_aside(path: &Path, error: &rusqlite::Error) -> Error {
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        std::path::PathBuf::from(name)
    };
    let kept = (1..1000).map(|n| with(&format!(".unreadable-{n}"))).find(|name| !name.exists());
    let Some(kept) = kept else {
        return Error::Corrupt(error.to_string());
    };
    for suffix in ["-wal", "-shm"] {
        if with(suffix).exists() {
            let mut aside = kept.as_os_str().to_owned();
            aside.push(suffix);
            if let Err(failed) = std::fs::rename(with(suffix), aside) {
                return Error::Corrupt(format!("{error}; and its journal could not be moved: {failed}"));
            }
        }
    }
    match std::fs::rename(path, &kept) {
        Ok(()) => Error::SetAside { reason: error.to_string(), kept: kept.display().to_string() },
        Err(failed) => Error::Corrupt(format!("{error}; and it could not be moved: {failed}")),
    }
}
