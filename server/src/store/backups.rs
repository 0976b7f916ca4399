//! Copies of the database, what each of them holds, and the epochs that restores ended.

use super::{FILE, ReplicaRow, StoreError, Tx};
use rusqlite::{Connection, OpenFlags, OptionalExtension, backup::Backup, params};
use std::path::Path;
use sync_protocol::{
    Hash, ReplicaId,
    chain::{Adoption, PublicKey, Signature},
};

/// A verified backup that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupRow {
    /// Its number.
    pub id: i64,
    /// Where it is.
    pub file: String,
    /// When it was taken.
    pub taken_ms: i64,
}

/// How far a log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogEnd {
    /// The greatest number of a change.
    pub last_change: i64,
    /// The last seq of each area's bucket, by the area's number.
    pub buckets: Vec<(i64, u64)>,
}

/// Pages that are copied between two looks at the progress.
const PAGES: i32 = 2048;

/// Copies the database of a data directory to a file as it is at one moment, beside a running server or without one.
///
/// # Errors
/// If either file can't be read or written; what was written is no backup then.
pub fn copy(data: &Path, to: &Path, mut progress: impl FnMut(f64)) -> Result<(), StoreError> {
    let mut source = super::open_reader(data)?;
    // One reading transaction: what is committed meanwhile is not in the copy, and does not begin it anew.
    let source = source.transaction()?;
    source.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))?;
    let mut target = Connection::open(to)?;
    {
        let backup = Backup::new(&source, &mut target)?;
        while backup.step(PAGES)? != rusqlite::backup::StepResult::Done {
            let left = backup.progress();
            progress(1.0 - f64::from(left.remaining) / f64::from(left.pagecount.max(1)));
        }
    }
    // The copy is one file, without a journal beside it.
    target.pragma_update(None, "journal_mode", "DELETE")?;
    target.pragma_update(None, "synchronous", "FULL")?;
    target.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// Opens a copy for reading alone.
///
/// # Errors
/// If it is no database, or was written by a newer program.
pub fn open_copy(file: &Path) -> Result<Connection, StoreError> {
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    super::migrations::check(&conn)?;
    Ok(conn)
}

/// The file of a data directory's database.
#[must_use]
pub fn file(data: &Path) -> std::path::PathBuf {
    data.join(FILE)
}

fn hash(bytes: Vec<u8>) -> rusqlite::Result<Hash> {
    bytes.try_into().map(Hash).map_err(|_ignored| rusqlite::Error::InvalidQuery)
}

impl Tx<'_> {
    /// What SQLite itself finds wrong with the file; none where all is well.
    ///
    /// # Errors
    /// If the store fails.
    pub fn damage(&self) -> Result<Option<String>, StoreError> {
        let found: String = self.conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        Ok((found != "ok").then_some(found))
    }

    /// Every replica by number.
    ///
    /// # Errors
    /// If the store fails.
    pub fn replicas(&self) -> Result<Vec<ReplicaId>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT uuid FROM replica ORDER BY id")?;
        let rows = query.query_map([], |row| Ok(ReplicaId(row.get(0)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Calls `look` with every change of a replica's chain in order, those apart from it not: seq, hash, bytes.
    ///
    /// # Errors
    /// If the store or `look` fails.
    pub fn each_change(
        &self,
        replica: &ReplicaRow,
        mut look: impl FnMut(u64, Hash, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut query = self
            .conn
            .prepare_cached("SELECT seq, hash, bytes FROM change WHERE replica = ?1 AND seq <= ?2 ORDER BY seq")?;
        let mut rows = query.query(params![replica.id, replica.head])?;
        while let Some(row) = rows.next()? {
            let bytes = row.get_ref(2)?.as_blob().map_err(|_ignored| StoreError::Corrupt("a change's bytes"))?;
            look(row.get(0)?, hash(row.get(1)?)?, bytes)?;
        }
        Ok(())
    }

    /// The backups that are kept, the oldest first.
    ///
    /// # Errors
    /// If the store fails.
    pub fn backups(&self) -> Result<Vec<BackupRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT id, file, taken_ms FROM backup ORDER BY id")?;
        let rows =
            query.query_map([], |row| Ok(BackupRow { id: row.get(0)?, file: row.get(1)?, taken_ms: row.get(2)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How far the log of this database goes.
    ///
    /// # Errors
    /// If the store fails.
    pub fn log_end(&self) -> Result<LogEnd, StoreError> {
        let last_change = self.conn.query_row("SELECT coalesce(max(id), 0) FROM change", [], |row| row.get(0))?;
        let mut query = self.conn.prepare_cached("SELECT id, head FROM area WHERE head > 0 ORDER BY id")?;
        let buckets = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(LogEnd { last_change, buckets: buckets.collect::<Result<_, _>>()? })
    }

    /// Notes a verified backup with how far each replica's chain and the log go in it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn insert_backup(
        &self,
        file: &str,
        taken_ms: i64,
        heads: &[(ReplicaId, u64)],
        end: &LogEnd,
    ) -> Result<(), StoreError> {
        let mut put =
            self.conn.prepare_cached("INSERT INTO backup (file, taken_ms, last_change) VALUES (?1, ?2, ?3)")?;
        let id = put.insert(params![file, taken_ms, end.last_change])?;
        let mut put = self.conn.prepare_cached("INSERT INTO backup_bucket (backup, area, head) VALUES (?1, ?2, ?3)")?;
        for (area, head) in &end.buckets {
            put.execute(params![id, area, head])?;
        }
        let mut put = self.conn.prepare_cached(
            "INSERT INTO backup_head (backup, replica, head) SELECT ?1, id, ?3 FROM replica WHERE uuid = ?2",
        )?;
        for (replica, head) in heads {
            put.execute(params![id, replica.0, head])?;
        }
        Ok(())
    }

    /// Forgets a backup that is not kept any more.
    ///
    /// # Errors
    /// If the store fails.
    pub fn forget_backup(&self, id: i64) -> Result<(), StoreError> {
        self.conn.prepare_cached("DELETE FROM backup_head WHERE backup = ?1")?.execute([id])?;
        self.conn.prepare_cached("DELETE FROM backup_bucket WHERE backup = ?1")?.execute([id])?;
        self.conn.prepare_cached("DELETE FROM backup WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    /// How far a replica's chain goes in the oldest backup that is kept: a restore of any of them holds that much.
    ///
    /// # Errors
    /// If the store fails.
    pub fn safe_through(&self, replica: ReplicaId) -> Result<u64, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT backup_head.head FROM backup_head JOIN replica ON replica.id = backup_head.replica
             WHERE replica.uuid = ?1 AND backup = (SELECT min(id) FROM backup)",
        )?;
        Ok(query.query_row([replica.0], |row| row.get(0)).optional()?.unwrap_or(0))
    }

    /// The last change, by number, that is in every backup that is kept; none where there is no backup.
    ///
    /// # Errors
    /// If the store fails.
    pub fn safe_change(&self) -> Result<Option<i64>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT last_change FROM backup ORDER BY id LIMIT 1")?;
        Ok(query.query_row([], |row| row.get(0)).optional()?.filter(|last| *last > 0))
    }

    /// How far a bucket goes in every backup that is kept.
    ///
    /// # Errors
    /// If the store fails.
    pub fn safe_bucket_head(&self, area: i64) -> Result<u64, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT head FROM backup_bucket WHERE area = ?1 AND backup = (SELECT min(id) FROM backup)",
        )?;
        Ok(query.query_row([area], |row| row.get(0)).optional()?.unwrap_or(0))
    }

    /// Ends an epoch: notes how far each bucket went in it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn end_epoch(&self, name: &str, now_ms: i64) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached("INSERT INTO epoch (name, ended_ms) VALUES (?1, ?2)")?;
        let id = put.insert(params![name, now_ms])?;
        let mut put = self.conn.prepare_cached(
            "INSERT INTO epoch_head (epoch, area, head) SELECT ?1, id, head FROM area WHERE head > 0",
        )?;
        put.execute([id])?;
        Ok(())
    }

    /// How far a cursor in a bucket that was given in an ended epoch is still good; none if the epoch is not known.
    ///
    /// # Errors
    /// If the store fails.
    pub fn cut_cursor(&self, epoch: &str, area: i64, cursor: u64) -> Result<Option<u64>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT id FROM epoch WHERE name = ?1")?;
        let Some(id) = query.query_row([epoch], |row| row.get::<_, i64>(0)).optional()? else {
            return Ok(None);
        };
        // Each restore since may have cut the bucket shorter.
        let mut query = self.conn.prepare_cached(
            "SELECT min(coalesce(head, 0)) FROM epoch LEFT JOIN epoch_head ON epoch = id AND area = ?2 WHERE id >= ?1",
        )?;
        let head: u64 = query.query_row(params![id, area], |row| row.get(0))?;
        Ok(Some(cursor.min(head)))
    }

    /// Whether the store was ever restored: what it keeps apart may have counted once, and others know of it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn was_restored(&self) -> Result<bool, StoreError> {
        Ok(self.conn.prepare_cached("SELECT 1 FROM epoch LIMIT 1")?.exists([])?)
    }

    /// Keeps the signature by which the server's replica before vouches for one.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_vouched(&self, replica: ReplicaId, by: Signature) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached("UPDATE replica SET vouched = ?2 WHERE uuid = ?1")?;
        put.execute(params![replica.0, by.0.as_slice()])?;
        Ok(())
    }

    /// How each of the server's replicas is vouched for by the one before, in the order in which it heard of them, and the one of
    /// today last: devices take that for the newest.
    ///
    /// # Errors
    /// If the store fails.
    pub fn vouched(&self, today: ReplicaId) -> Result<Vec<Adoption>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT own.uuid, own.key, earlier.uuid, own.vouched FROM replica AS own
             JOIN replica AS earlier ON earlier.id = own.adopted_from
             WHERE own.device IS NULL AND own.vouched IS NOT NULL ORDER BY own.uuid = ?1, own.id",
        )?;
        let rows = query.query_map([today.0], |row| {
            Ok(Adoption {
                replica: ReplicaId(row.get(0)?),
                key: PublicKey(row.get(1)?),
                from: ReplicaId(row.get(2)?),
                signature: Signature(row.get(3)?),
                from_key: None,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The server's own replicas, one for each epoch, with their keys.
    ///
    /// # Errors
    /// If the store fails.
    pub fn own_replicas(&self) -> Result<Vec<(ReplicaId, PublicKey)>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT uuid, key FROM replica WHERE device IS NULL ORDER BY id")?;
        let rows = query.query_map([], |row| Ok((ReplicaId(row.get(0)?), PublicKey(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
